//! Checkpoints whose files are not what was written, or are not there: opening and verifying say so, name the place, and change nothing.

use crate::checkpoints::{fill_several, on_demand, take};
use crate::{Place, contents, image};
use skipstone::{CheckpointError, DeviceChoice, Error, FindingKind, Lost, OpenError};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

const PAGES: &str = "pages-000000000000";
const MANIFEST: &str = "manifest-000000000001";
const PAGE_BYTES: usize = 8_192;

/// A closed store that needs its checkpoint: the log before it is gone. Returns what it holds, and how many pages are in use.
fn checkpointed(place: &Place) -> (Vec<String>, u64) {
    let db = on_demand(place, DeviceChoice::Auto).open().unwrap();
    fill_several(&db, 0);
    let taken = take(&db);
    db.collection("late things").unwrap();
    let expected = contents(&db);
    db.close().unwrap();
    assert!(!place.file("log-000000000000").exists(), "{:?}", place.segments());
    (expected, taken.pages)
}

fn opening(place: &Place) -> OpenError {
    match place.builder().open().err().expect("the store is not whole") {
        Error::Open(error) => error,
        other => panic!("{other}"),
    }
}

/// What opening and verifying say, which is the same; neither changes anything.
fn refusal(place: &Place) -> OpenError {
    let before = image(&place.store);
    let error = opening(place);
    crate::assert_verifying_agrees(&place.store, &error);
    assert!(image(&place.store) == before, "nothing is mended, nothing is made");
    error
}

fn assert_damaged(error: &OpenError, file: &str, offset: usize, what: &str) {
    let OpenError::Checkpoint(CheckpointError::Damaged { file: named, offset: at, what: found, .. }) = error
    else {
        panic!("{error}")
    };
    assert_eq!((&**named, *at), (file, offset as u64), "{error}");
    assert!(found.contains(what), "{what:?} is not in: {error}");
    for part in ["the checkpoint is damaged", file, &offset.to_string(), "restore a backup"] {
        assert!(error.to_string().contains(part), "{part:?} is not in: {error}");
    }
}

fn assert_whole(place: &Place, expected: &[String]) {
    let found = crate::sound(&place.store);
    assert!(found.checkpoint.get() > 0, "{found:?}");
    let db = on_demand(place, DeviceChoice::Auto).open().unwrap();
    assert!(contents(&db) == expected && db.recovery().checkpoint == found.checkpoint);
    db.close().unwrap();
}

#[test]
fn a_flipped_byte_of_a_used_page_is_an_error_that_names_the_place() {
    let place = Place::new();
    let (expected, pages) = checkpointed(&place);
    let bytes = fs::read(place.file(PAGES)).unwrap();
    let is_written = |page: &usize| bytes[page * PAGE_BYTES..][..PAGE_BYTES].iter().any(|&byte| byte != 0);
    let written: Vec<usize> = (0..bytes.len() / PAGE_BYTES).filter(is_written).collect();
    assert_eq!(
        written.len() as u64,
        pages + 1,
        "a first checkpoint writes what it uses, and a page about the file"
    );
    let file = File::options().write(true).open(place.file(PAGES)).unwrap();
    let flip = |offset: usize| file.write_all_at(&[bytes[offset] ^ 0x10], offset as u64).unwrap();
    let mend = |offset: usize| file.write_all_at(&[bytes[offset]], offset as u64).unwrap();
    for (page, within) in written.iter().zip([0, 4, 6, 9, 20, 29, 33, 500, 8_191].into_iter().cycle()) {
        let offset = page * PAGE_BYTES + within;
        let what = if *page == 0 { "first page" } else { "does not agree with its checksum" };
        flip(offset);
        let error = opening(&place);
        assert_damaged(&error, PAGES, page * PAGE_BYTES, what);
        crate::assert_verifying_agrees(&place.store, &error);
        mend(offset);
    }
    flip(PAGE_BYTES + 100);
    assert_damaged(&refusal(&place), PAGES, PAGE_BYTES, "does not agree with its checksum");
    mend(PAGE_BYTES + 100);
    // Nobody reads what is in no use.
    flip((written[written.len() - 1] + 1) * PAGE_BYTES + 100);
    assert_whole(&place, &expected);
}

#[test]
fn pages_that_are_missing_are_named() {
    let place = Place::new();
    let (expected, _) = checkpointed(&place);
    let aside = place.file(PAGES).with_file_name("aside");
    fs::rename(place.file(PAGES), &aside).unwrap();
    assert_damaged(&refusal(&place), PAGES, 0, "is missing");
    fs::rename(&aside, place.file(PAGES)).unwrap();
    let file = File::options().write(true).open(place.file(PAGES)).unwrap();
    let len = file.metadata().unwrap().len();
    file.set_len(len - 1).unwrap();
    assert_damaged(&refusal(&place), PAGES, 0, "length");
    file.set_len(len).unwrap();
    assert_whole(&place, &expected);
}

/// Without its manifest a checkpoint is none, and the log alone begins too late.
#[test]
fn a_manifest_that_is_missing_is_missed_by_the_log() {
    let place = Place::new();
    let (expected, _) = checkpointed(&place);
    let aside = place.file(MANIFEST).with_file_name("aside");
    fs::rename(place.file(MANIFEST), &aside).unwrap();
    let error = opening(&place);
    let OpenError::Damaged { file, what, .. } = &error else { panic!("{error}") };
    assert!(*file == place.file("log-000000000000") && what.contains("missing"), "{error}");
    let found = skipstone::verify(&place.store).unwrap().findings;
    assert!(found[0].kind == FindingKind::Manifest && found[0].lost == Lost::Checkpoint, "{found:?}");
    fs::rename(&aside, place.file(MANIFEST)).unwrap();
    assert_whole(&place, &expected);
}

#[test]
fn a_manifest_that_is_missing_is_not_missed_while_the_log_has_everything() {
    let place = Place::new();
    let db = on_demand(&place, DeviceChoice::Auto).open().unwrap();
    crate::fill(&db, 20);
    take(&db);
    let expected = contents(&db);
    db.close().unwrap();
    fs::remove_file(place.file(MANIFEST)).unwrap();
    let found = crate::sound(&place.store);
    assert!(found.checkpoint.get() == 0 && found.writes > 40, "{found:?}");
    let db = on_demand(&place, DeviceChoice::Auto).open().unwrap();
    assert!(contents(&db) == expected && db.recovery().entries == 0, "{:?}", db.recovery());
    take(&db);
    db.close().unwrap();
    assert_whole(&place, &expected);
}

/// The manifest with other bytes at a place, and the checksum that belongs to them.
fn forged(manifest: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    // What comes before the body, and the body.
    let body_bytes = u32::from_le_bytes(manifest[72..76].try_into().unwrap()) as usize;
    let end = 80 + body_bytes;
    let mut forged = manifest.to_vec();
    forged[at..at + bytes.len()].copy_from_slice(bytes);
    let checksum = crc32c::crc32c(&forged[..end]);
    forged[end..end + 4].copy_from_slice(&checksum.to_le_bytes());
    forged
}

#[test]
fn a_manifest_of_a_newer_version_is_left_to_that() {
    let place = Place::new();
    let (expected, _) = checkpointed(&place);
    let manifest = fs::read(place.file(MANIFEST)).unwrap();
    assert!(forged(&manifest, 8, &2_u32.to_le_bytes()) == manifest, "this is where version and checksum are");
    fs::write(place.file(MANIFEST), forged(&manifest, 8, &3_u32.to_le_bytes())).unwrap();
    let error = refusal(&place);
    let OpenError::Checkpoint(CheckpointError::Newer { file, found: 3, supported: 2, .. }) = &error else {
        panic!("{error}")
    };
    assert!(file == MANIFEST && error.to_string().contains("use a newer one"), "{error}");
    fs::write(place.file(MANIFEST), &manifest).unwrap();
    assert_whole(&place, &expected);
}

#[test]
fn a_manifest_that_is_damaged_or_anothers_is_refused() {
    let place = Place::new();
    let (expected, _) = checkpointed(&place);
    let manifest = fs::read(place.file(MANIFEST)).unwrap();
    let mut flipped = manifest.clone();
    flipped[40] ^= 1;
    let anothers = forged(&manifest, 16, &[7; 16]);
    let of_another_number = forged(&manifest, 80, &2_u64.to_le_bytes());
    for (bytes, what) in [
        (&flipped[..], "checksum"),
        (&anothers, "another store"),
        (&of_another_number, "another number"),
        (&manifest[..50], "cut off"),
        (&[], "does not begin"),
    ] {
        fs::write(place.file(MANIFEST), bytes).unwrap();
        assert_damaged(&refusal(&place), MANIFEST, 0, what);
    }
    fs::write(place.file(MANIFEST), &manifest).unwrap();
    assert_whole(&place, &expected);
}

/// Whatever else is gone: where a checkpoint is, no new store is made.
#[test]
fn a_checkpoint_without_its_store_file_is_refused() {
    let place = Place::new();
    let (expected, _) = checkpointed(&place);
    let files = image(&place.store);
    let assert_refused = || {
        let error = refusal(&place);
        let OpenError::Damaged { file, what, .. } = &error else { panic!("{error}") };
        assert!(*file == place.file("store") && what.contains("a checkpoint is there"), "{error}");
    };
    fs::remove_file(place.file("store")).unwrap();
    assert_refused();
    place.segments().iter().for_each(|name| fs::remove_file(place.file(name)).unwrap());
    assert_refused();
    fs::remove_file(place.file(PAGES)).unwrap();
    assert_refused();
    files.iter().for_each(|(name, bytes)| fs::write(place.file(name), bytes).unwrap());
    assert_whole(&place, &expected);
}
