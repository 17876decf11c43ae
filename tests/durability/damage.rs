//! A log whose bytes are not those that were written: torn at its end it is cut, damaged before it is refused.

use crate::{Place, contents, fill, image, things};
use skipstone::bson::doc;
use skipstone::{Durability, Error, LogError, OpenError};
use std::fs;
use std::path::Path;

const BLOCK: u64 = 4_096;

fn edit(file: &Path, offset: u64, change: impl FnOnce(&mut [u8])) {
    let mut bytes = fs::read(file).unwrap();
    change(&mut bytes[offset as usize..]);
    fs::write(file, bytes).unwrap();
}

/// Where a log position lies: file and offset, with segments of 64 KiB.
fn place_of(place: &Place, position: skipstone::Lsn) -> (std::path::PathBuf, u64) {
    let data = (1 << 16) - BLOCK;
    let (index, within) = (position.get() / data, position.get() % data);
    (place.file(&format!("log-{index:012}")), BLOCK + within)
}

/// A store with commits that are each durable before the next; the positions of some.
fn written(place: &Place) -> Vec<skipstone::Lsn> {
    let db = place.open();
    let things = things(&db);
    let positions = (0..200).map(|id| {
        things.insert(doc! { "_id": id, "text": "x".repeat(600) }).unwrap();
        things.get(id).unwrap().unwrap().position().unwrap()
    });
    let positions = positions.collect();
    drop(things);
    db.close().unwrap();
    positions
}

#[test]
fn a_flipped_byte_in_the_middle_is_an_error_that_names_the_place() {
    let place = Place::new();
    let positions = written(&place);
    assert!(place.segments().len() > 2);
    for (&position, within) in positions.iter().step_by(23).zip([0, 4, 8, 17, 25, 28, 40, 100, 500]) {
        let (file, offset) = place_of(&place, position);
        let good = fs::read(&file).unwrap();
        edit(&file, offset + within, |bytes| bytes[0] ^= 0x10);
        let before = image(&place.store);
        let error = opening(&place);
        crate::assert_verifying_agrees(&place.store, &error);
        let text = error.to_string();
        let OpenError::Log(LogError::Damaged { file: named, offset: at, position: found, .. }) = error else {
            panic!("byte {within} of the frame at {position}: {text}")
        };
        assert_eq!((&*named, at, found), (file.file_name().unwrap().to_str().unwrap(), offset, position));
        for part in [&named[..], &offset.to_string(), "damaged", "restore a backup"] {
            assert!(text.contains(part), "{part:?} is not in: {text}");
        }
        assert!(image(&place.store) == before, "nothing is cut, nothing is mended");
        fs::write(&file, good).unwrap();
    }
    assert_eq!(things(&place.open()).count().unwrap(), 200, "with the byte put back all is well");
}

fn opening(place: &Place) -> OpenError {
    match place.builder().open().err().expect("the store is damaged") {
        Error::Open(error) => error,
        other => panic!("{other}"),
    }
}

/// Zeros in the middle, as a lost write leaves them.
#[test]
fn a_lost_write_in_the_middle_is_found() {
    let place = Place::new();
    let positions = written(&place);
    let (file, offset) = place_of(&place, positions[100]);
    edit(&file, offset / BLOCK * BLOCK, |bytes| bytes[..BLOCK as usize].fill(0));
    let error = opening(&place);
    assert!(matches!(error, OpenError::Log(LogError::Damaged { .. })), "{error}");
}

#[test]
fn headers_of_segments_are_checked() {
    let place = Place::new();
    written(&place);
    for name in place.segments() {
        let file = place.file(&name);
        let good = fs::read(&file).unwrap();
        for offset in [0, 9, 16, 33, 41, 48] {
            edit(&file, offset, |bytes| bytes[0] ^= 0x40);
            let error = opening(&place);
            let text = error.to_string();
            assert!(matches!(error, OpenError::Damaged { .. } | OpenError::Newer { .. }), "{text}");
            assert!(text.contains(&name), "{text}");
            fs::write(&file, &good).unwrap();
        }
        fs::write(&file, &good[..good.len() - 1]).unwrap();
        assert!(matches!(opening(&place), OpenError::Damaged { file: named, .. } if named == file));
        fs::write(&file, &good).unwrap();
    }
    let gone = place.segments()[1].clone();
    fs::rename(place.file(&gone), place.store.join("aside")).unwrap();
    let error = opening(&place);
    assert!(
        matches!(&error, OpenError::Damaged { file, what, .. } if *file == place.file(&gone) && what.contains("missing")),
        "{error}"
    );
}

/// Segments of another store, or under another's number, are no segments of this one.
#[test]
fn segments_cannot_be_swapped() {
    let (place, other) = (Place::new(), Place::new());
    written(&place);
    written(&other);
    let names = place.segments();
    let (first, second) = (place.file(&names[0]), place.file(&names[1]));
    let good = fs::read(&first).unwrap();
    fs::copy(&second, &first).unwrap();
    assert!(matches!(opening(&place), OpenError::Damaged { .. }));
    fs::copy(other.file(&names[0]), &first).unwrap();
    assert!(matches!(opening(&place), OpenError::Damaged { .. }));
    fs::write(&first, good).unwrap();
    place.open();
}

/// What a kill leaves in the last block: a frame that is not whole.
#[test]
fn a_torn_end_is_cut_reported_and_gone_the_next_time() {
    for keep in [0, 8, 31, 32, 200] {
        let place = Place::new();
        let db = place.open();
        fill(&db, 50);
        let expected = contents(&db);
        let torn = db.position();
        things(&db).insert(doc! { "_id": "torn", "text": "y".repeat(300) }).unwrap();
        db.close().unwrap();
        let (file, offset) = place_of(&place, torn);
        // Of the last commit only a part reached the disk, and nothing after it but rubbish.
        edit(&file, offset + keep, |bytes| {
            bytes.fill(0);
            bytes[..16].fill(0xA5);
        });
        let found = skipstone::verify(&place.store).unwrap();
        assert_eq!((found.end, found.cut_bytes, found.closed), (torn, keep + 16, false));
        let db = place.open();
        assert_eq!(contents(&db), expected, "{keep} bytes kept");
        let recovery = db.recovery();
        assert_eq!((recovery.end, recovery.cut_bytes, recovery.closed), (torn, keep + 16, false));
        things(&db).insert(doc! { "_id": "after" }).unwrap();
        let expected = contents(&db);
        db.close().unwrap();
        let db = place.open();
        assert_eq!((contents(&db), db.recovery().cut_bytes, db.recovery().closed), (expected, 0, true));
    }
}

/// A tail that reaches into the next segment, which has no whole frame.
#[test]
fn a_torn_end_over_several_segments_is_cut() {
    let place = Place::new();
    let db = place.builder().durability(Durability::None).open().unwrap();
    fill(&db, 50);
    let (expected, torn) = (contents(&db), db.position());
    things(&db).insert(doc! { "_id": "torn", "text": "y".repeat(150_000) }).unwrap();
    let end = db.position();
    db.close().unwrap();
    let (file, offset) = place_of(&place, torn);
    edit(&file, offset, |bytes| bytes[40] ^= 1);
    // Nothing behind it proves that it was durable: it was written with the rest, in one flush.
    let (last, offset) = place_of(&place, end);
    edit(&last, offset, |bytes| bytes.fill(0));
    let db = place.open();
    assert_eq!(contents(&db), expected);
    assert!(db.recovery().cut_bytes > 150_000, "{:?}", db.recovery());
    drop(db);
    let db = place.open();
    assert_eq!((contents(&db), db.recovery().cut_bytes), (expected, 0));
}

/// Killed while it made a segment, which gets its name last: it is made anew.
#[test]
fn a_segment_that_was_being_made_is_made_anew() {
    let place = Place::new();
    written(&place);
    for rubbish in [0, 0xA5] {
        fs::write(place.file("log.new"), vec![rubbish; 30_000]).unwrap();
        let before = image(&place.store);
        skipstone::verify(&place.store).unwrap();
        assert!(image(&place.store) == before, "verifying changes nothing");
        let db = place.open();
        let count = things(&db).count().unwrap() as i32;
        things(&db)
            .insert_many((count..count + 300).map(|id| doc! { "_id": id, "text": "x".repeat(600) }))
            .unwrap();
        db.close().unwrap();
        assert_eq!(things(&place.open()).count().unwrap() as i32, count + 300);
        assert!(!place.file("log.new").exists());
    }
}
