//! Everything that was committed is there when a store is opened again.

use crate::{DEVICES, DURABILITIES, Place, contents, fill, image, things};
use skipstone::bson::doc;
use skipstone::{Database, Durability, Error, Isolation, TransactionOptions};

#[test]
fn after_closing_whatever_the_durability_and_the_device() {
    for device in DEVICES {
        for durability in DURABILITIES {
            let place = Place::new();
            let db = place.builder().device(device).durability(durability).open().unwrap();
            assert!(["io_uring", "portable"].contains(&db.stats().device));
            fill(&db, 300);
            let (expected, end) = (contents(&db), db.position());
            assert!(expected.len() > 400);
            db.close().unwrap();
            let db = place.builder().device(device).create(false).open().unwrap();
            assert_eq!(contents(&db), expected, "{device:?} {durability:?}");
            let recovery = db.recovery();
            assert!(recovery.closed && recovery.cut_bytes == 0 && recovery.end >= end, "{recovery:?}");
            // The catalog's two names as well.
            assert_eq!(recovery.keys, expected.len() as u64 + 2);
            assert!(recovery.writes > recovery.keys && recovery.frames > recovery.keys);
        }
    }
}

#[test]
fn after_dropping_every_handle_without_closing() {
    for durability in DURABILITIES {
        let place = Place::new();
        let expected = {
            let db = place.builder().durability(durability).open().unwrap();
            fill(&db, 300);
            contents(&db)
        };
        let db = place.open();
        assert_eq!(contents(&db), expected, "{durability:?}");
        assert!(db.recovery().closed);
    }
}

#[test]
fn the_last_handle_closes_the_store_whichever_it_is() {
    let place = Place::new();
    let db = place.open();
    let (things, bytes) = (things(&db), db.keyspace("bytes").unwrap());
    drop(db);
    things.insert(doc! { "_id": 1 }).unwrap();
    drop(things);
    bytes.put(b"x", b"y").unwrap();
    assert!(place.builder().open().is_err(), "a handle keeps it open");
    drop(bytes);
    let db = place.open();
    assert_eq!(contents(&db).len(), 2);
}

#[test]
fn with_another_device_than_it_was_written_with() {
    let place = Place::new();
    let mut expected = Vec::new();
    for (round, device) in DEVICES.into_iter().cycle().take(6).enumerate() {
        let db = place.builder().device(device).open().unwrap();
        assert_eq!(contents(&db), expected, "round {round}");
        things(&db).insert_many((0..50).map(|n| doc! { "_id": round as i32 * 50 + n })).unwrap();
        expected = contents(&db);
        db.close().unwrap();
    }
}

#[test]
fn recovery_twice_in_a_row_gives_the_same_store() {
    let place = Place::new();
    let db = place.open();
    fill(&db, 200);
    let expected = contents(&db);
    db.close().unwrap();
    let before = image(&place.store);
    let first = crate::sound(&place.store);
    let second = crate::sound(&place.store);
    assert_eq!((first.end, first.frames, first.writes), (second.end, second.frames, second.writes));
    assert_eq!(image(&place.store), before, "verifying changes nothing");
    let mut end = first.end;
    for round in 0..5 {
        let db = place.open();
        assert_eq!(contents(&db), expected, "round {round}");
        assert!(db.recovery().end >= end && db.recovery().closed);
        end = db.recovery().end;
        if round % 2 == 0 {
            db.close().unwrap();
        }
    }
}

/// Positions go on where they were, so versions and snapshots keep their order across openings.
#[test]
fn versions_and_positions_go_on() {
    let place = Place::new();
    let mut latest = skipstone::Lsn::ZERO;
    for round in 1..=4_u64 {
        let db = place.open();
        let things = things(&db);
        if round == 1 {
            things.insert(doc! { "_id": 1 }).unwrap();
        } else {
            assert_eq!(things.update(1, |_| {}).unwrap(), round);
        }
        let found = things.get(1).unwrap().unwrap();
        assert!(found.version() == round && found.position().unwrap() > latest);
        latest = found.position().unwrap();
    }
}

#[test]
fn names_keep_what_belongs_to_them() {
    let place = Place::new();
    for round in 0..4 {
        let db = place.open();
        for name in 0..=round {
            let collection = db.collection(&format!("c{name}")).unwrap();
            let keyspace = db.keyspace(&format!("c{name}")).unwrap();
            assert_eq!(collection.count().unwrap(), round - name);
            collection.insert(doc! { "name": name as i64 }).unwrap();
            keyspace.put(b"name", &[name as u8]).unwrap();
            for document in db.snapshot().unwrap().collection(&collection).unwrap().scan() {
                assert_eq!(document.unwrap().get("name").unwrap().as_i64(), Some(name as i64));
            }
        }
        assert_eq!(db.collection_names().unwrap().len() as u64, round + 1);
    }
}

/// What was rolled back or refused leaves nothing in the log.
#[test]
fn only_what_was_committed_comes_back() {
    let place = Place::new();
    let db = place.open();
    let things = things(&db);
    things.insert(doc! { "_id": 1, "n": 0 }).unwrap();
    for level in [Isolation::Snapshot, Isolation::Serializable] {
        let mut loser = db.begin_with(TransactionOptions::new().isolation(level)).unwrap();
        let mut within = loser.collection(&things).unwrap();
        within.get(1).unwrap();
        within.insert(doc! { "lost": true }).unwrap();
        if level == Isolation::Snapshot {
            within.update(1, |d| drop(d.insert("n", -1))).unwrap();
        }
        things.update(1, |d| drop(d.insert("n", 1))).unwrap();
        assert!(loser.commit().unwrap_err().is_conflict());
    }
    let mut rolled_back = db.begin().unwrap();
    rolled_back.collection(&things).unwrap().delete(1).unwrap();
    rolled_back.rollback();
    let expected = contents(&db);
    drop(things);
    db.close().unwrap();
    let db = place.open();
    assert_eq!((contents(&db), expected.len()), (expected, 1));
}

#[test]
fn many_threads_and_many_segments() {
    for device in DEVICES {
        let place = Place::new();
        let db = place.builder().device(device).open().unwrap();
        let things = things(&db);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (db, things) = (&db, &things);
                scope.spawn(move || {
                    for n in 0..200 {
                        let options =
                            TransactionOptions::new().durability(crate::DURABILITIES[n as usize % 3]);
                        db.transact_with(options, |tx| {
                            tx.collection(things)?
                                .insert(doc! { "_id": thread * 1_000 + n, "text": "x".repeat(500) })
                        })
                        .unwrap();
                    }
                });
            }
        });
        let expected = contents(&db);
        assert_eq!(expected.len(), 1_600);
        assert!(db.stats().log_segments >= 10, "{}", db.stats().log_segments);
        drop(things);
        db.close().unwrap();
        assert_eq!(contents(&place.open()), expected, "{device:?}");
    }
}

#[test]
fn the_past_before_the_opening_is_gone_if_it_is_not_kept() {
    let place = Place::new();
    let open = |kept| place.builder().retain_history_bytes(kept).open().unwrap();
    let db = open(1 << 20);
    let things = things(&db);
    things.upsert(doc! { "_id": 1, "n": 0 }).unwrap();
    let before = db.position();
    things.upsert(doc! { "_id": 1, "n": 1 }).unwrap();
    assert!(db.at(before).is_ok());
    drop(things);
    db.close().unwrap();
    let db = open(1 << 20);
    let seen = db.at(before).unwrap();
    let seen = seen.collection(&crate::things(&db)).unwrap().get(1).unwrap().expect("it was there");
    assert_eq!(seen.get("n").unwrap().as_i32(), Some(0));
    drop(seen);
    db.close().unwrap();
    let db = open(0);
    let things = crate::things(&db);
    // The clock may have noted the time behind what was recovered.
    let gone = |oldest| (db.recovery().end..=db.position()).contains(&oldest);
    assert!(matches!(db.at(before), Err(Error::HistoryGone { oldest, .. }) if gone(oldest)));
    let at_opening = db.at(db.position()).unwrap();
    things.upsert(doc! { "_id": 1, "n": 2 }).unwrap();
    let seen = at_opening.collection(&things).unwrap().get(1).unwrap().unwrap();
    assert_eq!(seen.get("n").unwrap().as_i32(), Some(1));
}

#[test]
fn verify_counts_what_is_there() {
    let place = Place::new();
    let db = place.open();
    let things = things(&db);
    things.insert_many((0..10).map(|id| doc! { "_id": id })).unwrap();
    things.delete_many(0..5).unwrap();
    drop(things);
    db.close().unwrap();
    let found = crate::sound(&place.store);
    // The name, and two batches; their frames, and two each for opening and closing, one of which says when that was.
    assert_eq!((found.commits, found.writes, found.frames, found.cut_bytes), (3, 16, 7, 0));
    assert!(found.closed && found.segments >= 1);
    assert_eq!(
        Database::builder().path(&place.store).durability(Durability::None).open().unwrap().recovery().end,
        found.end
    );
}
