//! Backups of an open store: stores of their own, as of one moment.

use crate::{DEVICES, Place, contents, fill, things};
use skipstone::bson::doc;
use skipstone::{BackupError, Database, Durability, Error, OpenError, Until};
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn a_backup_is_a_sound_store_with_everything_in_it() {
    for device in DEVICES {
        let (place, copies) = (Place::new(), Place::new());
        let db = place.builder().device(device).open().unwrap();
        fill(&db, 300);
        let backup = db.back_up(&copies.store).unwrap();
        let expected = contents(&db);
        things(&db).insert(doc! { "_id": "later" }).unwrap();
        let found = crate::sound(&copies.store);
        assert_eq!((found.entries, found.checkpoint), (backup.entries, backup.checkpoint), "{device:?}");
        for round in 0..2 {
            let copy = Database::builder().path(&copies.store).create(false).open().unwrap();
            assert_eq!(contents(&copy), expected, "{device:?}, opened {round} times before");
        }
        let copy = Database::open(&copies.store).unwrap();
        things(&copy).insert(doc! { "_id": "own" }).unwrap();
        assert!(!things(&db).exists("own").unwrap() && !things(&copy).exists("later").unwrap());
    }
}

/// The past stays behind: a copy begins with what there was at its checkpoint.
#[test]
fn a_backup_of_a_store_that_keeps_its_past_is_sound() {
    for checkpoints in 0..3 {
        let (place, copies, restored) = (Place::new(), Place::new(), Place::new());
        let db = place.builder().retain_history_bytes(1 << 20).open().unwrap();
        fill(&db, 50);
        let past = db.position();
        things(&db).insert(doc! {}).unwrap();
        for _ in 0..checkpoints {
            db.checkpoint().unwrap();
            things(&db).insert(doc! {}).unwrap();
        }
        db.back_up(&copies.store).unwrap();
        skipstone::restore(&[&copies.store], &restored.store, Until::End).unwrap();
        let expected = contents(&db);
        for store in [&copies.store, &restored.store] {
            crate::sound(store);
            let copy = Database::open(store).unwrap();
            assert_eq!(copy.recovery().lost_history, None);
            assert_eq!(contents(&copy), expected);
            assert!(matches!(copy.at(past), Err(Error::HistoryGone { .. })));
            // What it keeps from then on is its own.
            let own = copy.position();
            things(&copy).insert(doc! {}).unwrap();
            copy.checkpoint().unwrap();
            copy.close().unwrap();
            crate::sound(store);
            let copy = Database::open(store).unwrap();
            assert_eq!(copy.recovery().lost_history, None);
            assert!(copy.at(own).is_ok());
        }
    }
}

/// Two counters that are raised together, while one backup after the other is made.
#[test]
fn writers_go_on_and_no_transaction_is_half_there() {
    let place = Place::new();
    // Segments that are made seldom: the writers are fast.
    let builder = place.builder().segment_bytes(16 << 20);
    let db = builder.durability(Durability::Buffered).open().unwrap();
    let (left, right) = (db.keyspace("left").unwrap(), db.keyspace("right").unwrap());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let (db, left, right, done) = (&db, &left, &right, &done);
            scope.spawn(move || {
                let mut count = 0_u64;
                // Relaxed: it ends the loop, and nothing is read because of it.
                while !done.load(Ordering::Relaxed) {
                    count += 1;
                    db.transact(|tx| {
                        tx.keyspace(left)?.put(&[thread], &count.to_be_bytes())?;
                        tx.keyspace(right)?.put(&[thread], &count.to_be_bytes())
                    })
                    .unwrap();
                }
            });
        }
        let mut position = db.position();
        for _ in 0..8 {
            let copies = Place::new();
            let backup = db.back_up(&copies.store).unwrap();
            assert!(backup.position >= position, "everything that was committed before is in it");
            position = backup.position;
            let copy = copies.open();
            let snapshot = copy.snapshot().unwrap();
            let all = |name| {
                let keyspace = copy.keyspace(name).unwrap();
                let entries = snapshot.keyspace(&keyspace).unwrap().range::<&[u8]>(..);
                entries.map(|(key, value)| (key.to_vec(), value.to_vec())).collect::<Vec<_>>()
            };
            assert_eq!(all("left"), all("right"));
        }
        done.store(true, Ordering::Relaxed); // as above
    });
    assert_eq!(left.get(&[0]).unwrap(), right.get(&[0]).unwrap());
}

#[test]
fn a_directory_that_is_not_empty_is_refused_and_left_alone() {
    let place = Place::new();
    let db = place.open();
    fill(&db, 10);
    let refused = |target: &std::path::Path| match db.back_up(target).unwrap_err() {
        Error::Backup { cause, .. } => match *cause {
            BackupError::Target(error) => error,
            error => panic!("{error}"),
        },
        error => panic!("{error}"),
    };
    assert!(matches!(refused(&place.store), OpenError::Locked(_)), "the store itself");
    let other = Place::new();
    drop(other.open());
    let before = std::fs::read_dir(&other.store).unwrap().count();
    assert!(matches!(refused(&other.store), OpenError::NotEmpty { .. }), "another store");
    assert_eq!(std::fs::read_dir(&other.store).unwrap().count(), before);
    let foreign = tempfile::tempdir().unwrap();
    std::fs::write(foreign.path().join("letter"), "dear").unwrap();
    assert!(matches!(refused(foreign.path()), OpenError::Foreign { .. }));
    assert!(matches!(refused(&foreign.path().join("letter")), OpenError::NotADirectory { .. }));
    assert!(matches!(refused(&foreign.path().join("no/such")), OpenError::Io(_)));
    assert_eq!(std::fs::read_dir(foreign.path()).unwrap().count(), 1);
}

#[test]
fn a_store_in_memory_has_nothing_to_copy() {
    let target = Place::new();
    let error = Database::in_memory().back_up(&target.store).unwrap_err();
    assert!(matches!(error, Error::InMemory), "{error}");
    assert!(!target.store.exists());
}
