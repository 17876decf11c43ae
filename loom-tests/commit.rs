//! Invariant 1: a snapshot sees all or nothing of each transaction, and the same thing every time it looks.

use super::*;
use crate::mvcc::chain::Record;
use crate::mvcc::own_state::OwnState;
use crate::mvcc::state::{Interrupted, Phase};
use crate::mvcc::version::Version;
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

/// Steps 2 and 3 of a commit that nobody kills; how often it was pushed, and where it is.
fn decide(state: &OwnState, end: &LogEnd, validates: bool) -> (u32, Lsn) {
    let mut pushes = 0;
    loop {
        let before = end.load();
        state.position(before).unwrap();
        let lsn = end.reserve(8);
        let decided = if validates {
            state.validate(before, lsn).and_then(|()| state.commit(Phase::Validating(lsn), lsn))
        } else {
            state.commit(Phase::Positioning(before), lsn)
        };
        match decided {
            Ok(()) => return (pushes, lsn),
            Err(interrupted) => assert_eq!(interrupted, Interrupted::Pushed),
        }
        pushes += 1;
    }
}

/// Two records by themselves: small enough to meet the push in every place, and nothing around them that orders more than they do.
fn pushed(validates: bool, name: &str) {
    let outcomes = Outcomes::default();
    let noted = outcomes.clone();
    explore(name, move || {
        let (records, end) = (Arc::new([Record::new(), Record::new()]), Arc::new(LogEnd::new(Lsn::new(8))));
        let writer = {
            let (records, end) = (Arc::clone(&records), Arc::clone(&end));
            thread::spawn(move || {
                let state = OwnState::new();
                for record in &*records {
                    let version = Version::new(Some(&[1]));
                    // SAFETY: nothing is freed in this model.
                    unsafe { version.as_ref() }.begin(state.address());
                    record.install(version, Lsn::new(8), &epoch::pin()).unwrap();
                }
                decide(&state, &end, validates)
            })
        };
        let at = end.load();
        let seen = [0, 1].map(|index| {
            let guard = epoch::pin();
            records[index].visible(at, &guard).unwrap().map(|seen| seen.lsn)
        });
        let (pushes, lsn) = writer.join().unwrap();
        assert_eq!(seen, [(lsn < at).then_some(lsn); 2], "half a transaction");
        noted.note((pushes, seen[0].is_some()));
    });
    outcomes.expect(&["(0, false)", "(0, true)", "(1, false)"]);
}

#[test]
fn a_pushed_writer_takes_a_later_position() {
    pushed(false, "push, positioning");
}

#[test]
fn a_pushed_validation_takes_a_later_position() {
    pushed(true, "push, validating");
}
