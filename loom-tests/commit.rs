//! Invariant 1: a snapshot sees all or nothing of each transaction, and the same thing every time it looks.

use super::*;
use loom::thread;

fn all_or_nothing(isolation: Isolation, name: &str) {
    let outcomes = Outcomes::default();
    let noted = outcomes.clone();
    explore(name, move || {
        let store = store();
        put(&store, &[(b"a", Some(1)), (b"b", Some(1))]).unwrap();
        let writer = {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                let mut txn = begin(&store, isolation);
                let seen = value(txn.get(space(&store), b"a"));
                assert_eq!(seen, Some(1));
                txn.put(space(&store), b"a", Some(&[2]));
                txn.put(space(&store), b"b", Some(&[2]));
                txn.commit().unwrap()
            })
        };
        let snapshot = store.snapshot();
        let look = |key: &[u8]| snapshot.get(space(&store), key).unwrap().value[0];
        // In the order of installation, then again.
        let seen = (look(b"a"), look(b"b"));
        assert_eq!(seen.0, seen.1, "half a transaction");
        assert_eq!(seen, (look(b"a"), look(b"b")), "another answer the second time");
        let committed = writer.join().unwrap();
        assert_eq!(seen.0 == 2, committed.lsn < snapshot.position(), "seen is what lies below the snapshot");
        noted.note(seen.0);
        drop(snapshot);
        assert_eq!((read(&store, b"a"), read(&store, b"b")), (Some(2), Some(2)));
    });
    outcomes.expect(&["1", "2"]);
}

#[test]
fn a_snapshot_sees_all_or_nothing() {
    all_or_nothing(Isolation::Snapshot, "all or nothing, positioning");
}

#[test]
fn a_snapshot_sees_all_or_nothing_of_a_validating_transaction() {
    all_or_nothing(Isolation::Serializable, "all or nothing, validating");
}

#[test]
fn readers_that_look_in_the_other_order_see_all_or_nothing_too() {
    explore("all or nothing, two readers", || {
        let store = store();
        put(&store, &[(b"a", Some(1)), (b"b", Some(1))]).unwrap();
        let reader = |first: &'static [u8], second: &'static [u8]| {
            let store = Arc::clone(&store);
            move || {
                let snapshot = store.snapshot();
                let look = |key: &[u8]| snapshot.get(space(&store), key).unwrap().value[0];
                assert_eq!(look(first), look(second), "half a transaction");
            }
        };
        let reader = thread::spawn(reader(b"b", b"a"));
        put(&store, &[(b"a", Some(2)), (b"b", Some(2))]).unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn a_read_outside_of_transactions_sees_committed_values_only() {
    explore("newest committed", || {
        let store = store();
        put(&store, &[(b"a", Some(1))]).unwrap();
        let writer = {
            let store = Arc::clone(&store);
            thread::spawn(move || put(&store, &[(b"a", Some(2))]).unwrap())
        };
        let look = || crate::txn::newest(space(&store), b"a", |_, value| value[0]).unwrap();
        let (first, second) = (look(), look());
        assert!(first <= second, "went back in time");
        writer.join().unwrap();
        assert_eq!(look(), 2);
    });
}
