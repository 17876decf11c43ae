//! Verifying a store that is open, on real files, while others write; and salvage from directory to directory.

use crate::{DEVICES, Place, contents, fill, image, sound, things};
use skipstone::bson::doc;
use skipstone::{Database, Durability, Lost, OpenError, SalvageError, salvage};
use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Writers that insert, update and delete, a checkpoint now and then, and one verifying after the other.
#[test]
fn nobody_waits_for_it_and_it_finds_nothing_while_others_write() {
    for device in DEVICES {
        let place = Place::new();
        let db = place.builder().device(device).checkpoint_log_bytes(256 << 10).open().unwrap();
        fill(&db, 300);
        let (stop, began) = (AtomicBool::new(false), Instant::now());
        let verified = std::thread::scope(|scope| {
            for writer in 0..3_i32 {
                let (db, stop) = (db.clone(), &stop);
                scope.spawn(move || {
                    let things = things(&db);
                    for n in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let id = writer * 1_000 + 1_000 + n % 200;
                        things.upsert(doc! { "_id": id, "n": n, "text": "x".repeat(200) }).unwrap();
                        if n % 3 == 0 {
                            things.delete(id).unwrap();
                        }
                    }
                });
            }
            let mut verified = 0;
            while verified < 5 || began.elapsed() < Duration::from_millis(700) {
                let before = db.position();
                let found = db.verify().unwrap();
                assert!(found.is_sound(), "{:#?}", found.findings);
                assert!(found.end >= before && found.records > 200, "{found:?}");
                verified += 1;
            }
            stop.store(true, Ordering::Relaxed);
            verified
        });
        assert!(verified >= 5, "{verified}");
        db.close().unwrap();
        sound(&place.store);
    }
}

#[test]
fn a_store_that_is_closed_or_takes_no_more_writes_says_so() {
    let place = Place::new();
    let db = place.open();
    fill(&db, 10);
    db.clone().close().unwrap();
    assert!(db.verify().is_err());
}

#[test]
fn a_sound_store_is_salvaged_whole() {
    let (old, new) = (Place::new(), Place::new());
    let db = old.builder().checkpoint_log_bytes(100 << 10).durability(Durability::Buffered).open().unwrap();
    fill(&db, 400);
    let without_positions = |db: &Database| -> Vec<String> {
        contents(db).into_iter().map(|line| line.split(" Lsn(").next().unwrap().to_owned()).collect()
    };
    let expected = without_positions(&db);
    db.close().unwrap();
    let before = image(&old.store);
    let made = salvage(&old.store, &new.store).unwrap();
    assert!(made.is_complete(), "{:#?}", made.findings);
    assert!(image(&old.store) == before, "nothing of the old store changes");
    sound(&new.store);
    assert_eq!(without_positions(&new.open()), expected);
}

#[test]
fn what_is_damaged_is_left_out_and_listed() {
    let (old, new) = (Place::new(), Place::new());
    let db = old.open();
    fill(&db, 300);
    db.checkpoint().unwrap();
    let count = things(&db).count().unwrap();
    db.close().unwrap();
    let name = old.file("pages-000000000000");
    let bytes = fs::read(&name).unwrap();
    // The first leaf of the collection: its number is the first that was given.
    let is_leaf = |page: &[u8]| page[4] == 3 && page[28] == 1;
    let page = bytes.chunks(8_192).position(is_leaf).unwrap();
    fs::File::options()
        .write(true)
        .open(&name)
        .unwrap()
        .write_all_at(b"damage", page as u64 * 8_192 + 99)
        .unwrap();
    let found = skipstone::verify(&old.store).unwrap();
    let made = salvage(&old.store, &new.store).unwrap();
    assert!(made.findings == found.findings && found.findings.len() == 1, "{:#?}", made.findings);
    let Lost::Keys { keyspace, is_collection: true, .. } = &made.findings[0].lost else {
        panic!("{found:?}")
    };
    assert_eq!(keyspace, "things");
    sound(&new.store);
    let (there, db) = (made.keyspaces.iter().find(|space| space.name == "things").unwrap(), new.open());
    assert_eq!(there.entries, things(&db).count().unwrap());
    assert!(there.entries < count && there.entries > count / 3, "{} of {count}", there.entries);
}

#[test]
fn what_is_there_already_is_not_written_over() {
    let (old, new) = (Place::new(), Place::new());
    let missing = salvage(&old.store, &new.store).unwrap_err();
    assert!(
        matches!(missing, SalvageError::Old(OpenError::Missing { .. })) && !new.store.exists(),
        "{missing}"
    );
    fill(&old.open(), 10);
    new.open().close().unwrap();
    let there = salvage(&old.store, &new.store).unwrap_err();
    assert!(matches!(there, SalvageError::New(OpenError::NotEmpty { .. })), "{there}");
    let held = old.open();
    assert!(matches!(salvage(&old.store, &old.store).unwrap_err(), SalvageError::Old(OpenError::Locked(_))));
    drop(held);
}
