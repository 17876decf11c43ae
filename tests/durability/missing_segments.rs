//! The log's last file removed: refused by name if it held anything, also if the log ended where the file before it ends.

use crate::{Place, contents, fill, image};
use skipstone::bson::doc;
use skipstone::{Database, Durability, Error, OpenError};
use std::fs;
use std::time::{Duration, Instant};

/// What a segment of 64 KiB holds of the log, in bytes.
const DATA_BYTES: u64 = (1 << 16) - 4_096;

/// Opening and verifying refuse the store for want of the segment, and change nothing.
fn assert_missing(place: &Place, name: &str) {
    let before = image(&place.store);
    let opening = match place.builder().open().err().expect("the store is not whole") {
        Error::Open(error) => error,
        other => panic!("{other}"),
    };
    crate::assert_verifying_agrees(&place.store, &opening);
    let text = opening.to_string();
    let OpenError::Damaged { file, what, .. } = opening else { panic!("{text}") };
    assert!(file == place.file(name) && what == "the segment is missing", "{text}");
    assert!(text.contains(name) && text.contains("restore a backup"), "{text}");
    assert!(image(&place.store) == before, "nothing is cut, nothing is made");
}

/// Which segment holds the last byte of the log.
fn last_used(db: &Database) -> usize {
    ((db.position().get() - 1) / DATA_BYTES) as usize
}

#[test]
fn of_a_store_that_was_closed_and_of_one_that_was_not() {
    for durability in [Durability::Sync, Durability::Buffered] {
        let place = Place::new();
        let db = place.builder().durability(durability).open().unwrap();
        fill(&db, 500);
        let expected = contents(&db);
        db.wait_durable(db.position()).unwrap();
        let killed = image(&place.store);
        let last = last_used(&db);
        assert!(last >= 2);
        db.close().unwrap();
        for files in [killed, image(&place.store)] {
            let copy = Place::new();
            fs::create_dir(&copy.store).unwrap();
            files.iter().for_each(|(name, bytes)| fs::write(copy.file(name), bytes).unwrap());
            let names = copy.segments();
            // What was merely made ready holds nothing.
            names[last + 1..].iter().for_each(|name| fs::remove_file(copy.file(name)).unwrap());
            for name in names[1..=last].iter().rev() {
                fs::rename(copy.file(name), copy.store.join(format!("aside-{name}"))).unwrap();
                assert_missing(&copy, name);
            }
            for name in &names[1..=last] {
                fs::rename(copy.store.join(format!("aside-{name}")), copy.file(name)).unwrap();
            }
            assert_eq!(contents(&copy.open()), expected, "with the files put back all is well");
        }
    }
}

/// Commits such that the log ends exactly where a segment does.
fn fill_a_segment(db: &Database) {
    let bytes = db.keyspace("bytes").unwrap();
    let put = |len: usize| {
        let before = db.position().get();
        bytes.put(b"filler", &vec![7; len]).unwrap();
        db.position().get() - before
    };
    // The length of a value takes two bytes from 128 on, and three from 16,384 on.
    let other_bytes = put(1_000) - 1_000;
    while DATA_BYTES - db.position().get() % DATA_BYTES > 10_000 {
        put(1_000);
    }
    put((DATA_BYTES - db.position().get() % DATA_BYTES - other_bytes) as usize);
    assert!(db.position().get().is_multiple_of(DATA_BYTES));
}

#[test]
fn of_a_log_that_ends_with_the_file_before() {
    let place = Place::new();
    let db = place.open();
    fill_a_segment(&db);
    let ended = image(&place.store);
    let expected = contents(&db);
    db.close().unwrap();
    let copy = Place::new();
    fs::create_dir(&copy.store).unwrap();
    ended.iter().for_each(|(name, bytes)| fs::write(copy.file(name), bytes).unwrap());
    assert_eq!(
        copy.segments().len(),
        2,
        "the next segment is there before the log reaches the end of the first"
    );
    for store in [&copy, &place] {
        let aside = store.store.join("aside");
        fs::rename(store.file("log-000000000001"), &aside).unwrap();
        assert_missing(store, "log-000000000001");
        fs::rename(&aside, store.file("log-000000000001")).unwrap();
        assert_eq!(contents(&store.open()), expected);
    }
}

#[test]
fn one_that_was_merely_made_ready_is_not_missed() {
    let place = Place::new();
    let db = place.builder().durability(Durability::Buffered).open().unwrap();
    // Beyond the middle of the first segment the next is made ready.
    let ready = db.collection("ready").unwrap();
    ready.insert_many((0..45).map(|id| doc! { "_id": id, "text": "x".repeat(1_000) })).unwrap();
    let since = Instant::now();
    while place.segments().len() < 2 {
        assert!(since.elapsed() < Duration::from_secs(60), "the next segment is not made");
        // From one look to the next.
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(ready);
    assert_eq!(last_used(&db), 0);
    let expected = contents(&db);
    db.close().unwrap();
    // Whoever closes the store last removes it.
    assert_eq!(place.segments().len(), 1);
    let found = crate::sound(&place.store);
    assert!((found.segments, found.cut_bytes, found.closed) == (1, 0, true));
    let db = place.open();
    assert_eq!(contents(&db), expected);
    fill(&db, 400);
    let expected = contents(&db);
    db.close().unwrap();
    assert_eq!(contents(&place.open()), expected);
}
