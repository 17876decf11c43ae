//! Invariant 5: a record taken out of the map and one put in under the same key never lose a write.

use super::*;
use loom::thread;

#[test]
fn an_insert_while_the_record_dies_is_not_lost() {
    let outcomes = Outcomes::default();
    let noted = outcomes.clone();
    explore("dead record against insert", move || {
        let store = store();
        put(&store, &[(b"a", Some(1))]).unwrap();
        put(&store, &[(b"a", None)]).unwrap();
        // Everything is below the horizon now: the sweep may make the record dead.
        store.end().reserve(8);
        let sweeper = {
            let store = Arc::clone(&store);
            thread::spawn(move || store.sweep(|| true).died)
        };
        put(&store, &[(b"a", Some(2))]).unwrap();
        noted.note(sweeper.join().unwrap());
        assert_eq!(read(&store, b"a"), Some(2), "lost from the directory");
        let snapshot = store.snapshot();
        let all = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
        let found = snapshot.scan(space(&store), all, crate::map::Towards::Greater).count();
        assert_eq!(found, 1, "lost from the order");
    });
    outcomes.expect(&["0", "1"]);
}

#[test]
fn two_inserts_while_the_record_dies() {
    explore("dead record against two inserts", || {
        let store = store();
        put(&store, &[(b"a", Some(1))]).unwrap();
        put(&store, &[(b"a", None)]).unwrap();
        store.end().reserve(8);
        store.sweep(|| true);
        assert_eq!(read(&store, b"a"), None);
        let other = {
            let store = Arc::clone(&store);
            thread::spawn(move || put(&store, &[(b"a", Some(2))]).is_ok())
        };
        let mine = put(&store, &[(b"a", Some(3))]).is_ok();
        let theirs = other.join().unwrap();
        assert!(mine || theirs);
        assert!(read(&store, b"a").is_some_and(|value| value == 3 && mine || value == 2 && theirs));
    });
}

/// A tombstone above a live snapshot is evidence for it: of what it sees, and of what its validation has to find.
#[test]
fn a_record_that_a_snapshot_sees_does_not_die() {
    explore("dead record against snapshot", || {
        let store = store();
        put(&store, &[(b"a", Some(1))]).unwrap();
        let mut reader = begin(&store, Isolation::Serializable);
        assert_eq!(value(reader.get(space(&store), b"a")), Some(1));
        let deleter = {
            let store = Arc::clone(&store);
            thread::spawn(move || put(&store, &[(b"a", None)]).unwrap())
        };
        assert_eq!(value(reader.get(space(&store), b"a")), Some(1), "gone under a live snapshot");
        let before = reader.position();
        reader.put(space(&store), b"b", Some(&[1]));
        let committed = reader.commit();
        let deleted = deleter.join().unwrap();
        assert!(deleted.lsn >= before);
        assert!(committed.is_err() || committed.unwrap().lsn < deleted.lsn, "committed behind the deletion");
    });
}
