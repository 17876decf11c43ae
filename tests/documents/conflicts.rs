//! Conflicts: at once, with names in them, tried again up to a limit; and never because of age.

use crate::{collection, n};
use skipstone::bson::doc;
use skipstone::{ConflictKind, Database, DocumentId, Error, Isolation, TransactionOptions};

#[test]
fn a_conflict_names_collection_key_and_winner() {
    let (db, things) = collection();
    things.insert(doc! { "_id": "town", "n": 1 }).unwrap();
    let mut loser = db.begin().unwrap();
    loser.collection(&things).unwrap().update("town", |d| drop(d.insert("n", 2))).unwrap();
    let mut winner = db.begin().unwrap();
    winner.collection(&things).unwrap().update("town", |d| drop(d.insert("n", 3))).unwrap();
    let won = winner.commit().unwrap();

    let error = loser.commit().unwrap_err();
    assert!(error.is_conflict());
    let text = error.to_string();
    let Error::Conflict { keyspace, conflict, attempts, .. } = error else { panic!("{text}") };
    assert_eq!(
        (&keyspace[..], conflict.kind, conflict.winner, attempts),
        ("things", ConflictKind::Write, Some(won), 1)
    );
    assert_eq!(DocumentId::from_key(&conflict.key).unwrap(), "town".into());
    for part in ["`things`", "town", &won.to_string(), "nothing was changed", "try again"] {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    assert_eq!(n(&things.get("town").unwrap().unwrap()), 3);
}

/// Also in a store that was opened again, whose records were there before their names.
#[test]
fn of_several_keyspaces_the_right_one_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["first", "second", "third"];
    for round in 0..2 {
        let db = Database::open(dir.path().join("store")).unwrap();
        let spaces = names.map(|name| db.keyspace(name).unwrap());
        for contested in &spaces {
            let mut loser = db.begin().unwrap();
            for space in &spaces {
                let key = if space.name() == contested.name() { &b"contested"[..] } else { b"own" };
                loser.keyspace(space).unwrap().put(key, b"lost").unwrap();
            }
            contested.put(b"contested", b"won").unwrap();
            let Error::Conflict { keyspace, .. } = loser.commit().unwrap_err() else { panic!("no conflict") };
            assert_eq!(keyspace, contested.name(), "round {round}");
        }
        db.close().unwrap();
    }
}

#[test]
fn serializable_conflicts_say_what_was_read() {
    let (db, things) = collection();
    things.insert_many([doc! { "_id": "a", "n": 1 }, doc! { "_id": "b", "n": 1 }]).unwrap();
    let serializable = TransactionOptions::new().isolation(Isolation::Serializable);
    for (by_range, kind) in [(false, ConflictKind::Read), (true, ConflictKind::Range)] {
        let mut loser = db.begin_with(serializable).unwrap();
        let mut within = loser.collection(&things).unwrap();
        if by_range {
            assert_eq!(within.scan().count(), things.count().unwrap() as usize);
        } else {
            within.get("a").unwrap();
        }
        within.insert(doc! { "by range": by_range }).unwrap();
        things.update("a", |_| {}).unwrap();
        let Error::Conflict { keyspace, conflict, .. } = loser.commit().unwrap_err() else {
            panic!("no conflict")
        };
        assert_eq!((&keyspace[..], conflict.kind), ("things", kind));
        assert_eq!(DocumentId::from_key(&conflict.key).unwrap(), "a".into());
        assert_eq!(conflict.winner, things.get("a").unwrap().unwrap().position());
    }
}

/// Two who bring the same id into being are a conflict, and then one finds it there.
#[test]
fn two_inserts_of_one_id() {
    let (db, things) = collection();
    let mut loser = db.begin().unwrap();
    loser.collection(&things).unwrap().insert(doc! { "_id": 1, "n": 1 }).unwrap();
    things.insert(doc! { "_id": 1, "n": 2 }).unwrap();
    assert!(loser.commit().unwrap_err().is_conflict());
    let error = db.transact(|tx| tx.collection(&things)?.insert(doc! { "_id": 1, "n": 3 })).unwrap_err();
    assert!(matches!(error, Error::AlreadyExists { .. }), "{error}");
    assert_eq!(n(&things.get(1).unwrap().unwrap()), 2);
}

#[test]
fn transact_tries_again_and_counts() {
    let (db, things) = collection();
    things.insert(doc! { "_id": 1, "n": 0 }).unwrap();
    let mut tries = 0;
    let answer = db
        .transact(|tx| {
            tries += 1;
            let version = tx.collection(&things)?.update(1, |d| {
                let n = d.get_i32("n").unwrap();
                d.insert("n", n + 1);
            })?;
            if tries <= 5 {
                things.update(1, |d| {
                    let n = d.get_i32("n").unwrap();
                    d.insert("n", n + 100);
                })?;
            }
            Ok(version)
        })
        .unwrap();
    assert_eq!((tries, answer, n(&things.get(1).unwrap().unwrap())), (6, 7, 501));
}

#[test]
fn the_limit_of_retries_says_key_and_tries() {
    let db = Database::builder().retries(3).open().unwrap();
    let things = db.collection("things").unwrap();
    things.insert(doc! { "_id": "hot", "n": 0 }).unwrap();
    let mut tries = 0;
    let error = db
        .transact(|tx| {
            tries += 1;
            tx.collection(&things)?.update("hot", |d| drop(d.insert("n", -1)))?;
            things.update("hot", |d| drop(d.insert("n", 1)))
        })
        .unwrap_err();
    let text = error.to_string();
    let Error::Conflict { keyspace, conflict, attempts, .. } = error else { panic!("{text}") };
    assert_eq!((tries, attempts, &keyspace[..]), (4, 4, "things"), "once, and 3 retries");
    assert_eq!(DocumentId::from_key(&conflict.key).unwrap(), "hot".into());
    assert!(text.contains("hot") && text.contains("tried 4 times"), "{text}");
    assert_eq!(things.get("hot").unwrap().unwrap().version(), 5);
}

/// As long as nobody touches what it read and wrote, a transaction may take as long as it likes.
#[test]
fn a_long_transaction_commits_after_many_others() {
    for level in [Isolation::ReadCommitted, Isolation::Snapshot, Isolation::Serializable] {
        let (db, things) = collection();
        things.insert_many((0..100).map(|id| doc! { "_id": id, "n": 0 })).unwrap();
        let mut long = db.begin_with(TransactionOptions::new().isolation(level)).unwrap();
        let mut within = long.collection(&things).unwrap();
        assert_eq!(n(&within.get(0).unwrap().unwrap()), 0);
        within.update(1, |d| drop(d.insert("n", 1))).unwrap();
        assert_eq!(within.range(DocumentId::Int(0)..DocumentId::Int(10)).unwrap().count(), 10);
        for round in 0..2_000 {
            things.update(10 + round % 90, |d| drop(d.insert("n", round))).unwrap();
            things.upsert(doc! { "_id": 1_000 + round % 7 }).unwrap();
            things.delete(1_000 + (round + 3) % 7).unwrap();
        }
        db.sweep().unwrap();
        within.insert(doc! { "_id": -1, "n": 1 }).unwrap();
        long.commit().unwrap_or_else(|error| panic!("at {level:?}: {error}"));
        assert_eq!(n(&things.get(1).unwrap().unwrap()), 1);
    }
}
