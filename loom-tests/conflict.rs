//! Invariant 2: two transactions that wrote the same record from overlapping snapshots never both commit.

use super::*;
use loom::thread;

#[test]
fn of_two_overlapping_writers_one_commits_at_most() {
    let outcomes = Outcomes::default();
    let noted = outcomes.clone();
    explore("write conflict", move || {
        let store = store();
        put(&store, &[(b"a", Some(0))]).unwrap();
        let write = |value: u8| {
            let store = Arc::clone(&store);
            move || {
                let mut txn = begin(&store, Isolation::Snapshot);
                let position = txn.position();
                txn.put(space(&store), b"a", Some(&[value]));
                (position, txn.commit().ok())
            }
        };
        let other = thread::spawn(write(1));
        let (here, mine) = write(2)();
        let (there, theirs) = other.join().unwrap();
        noted.note((mine.is_some(), theirs.is_some()));
        match (mine, theirs) {
            (Some(mine), Some(theirs)) => {
                let (first, second) =
                    if mine.lsn < theirs.lsn { (mine.lsn, there) } else { (theirs.lsn, here) };
                assert!(first < second, "the later one did not see the earlier one, and overwrote it");
                assert_eq!(read(&store, b"a"), Some(if mine.lsn < theirs.lsn { 1 } else { 2 }));
            }
            (Some(_), None) => assert_eq!(read(&store, b"a"), Some(2)),
            (None, Some(_)) => assert_eq!(read(&store, b"a"), Some(1)),
            (None, None) => panic!("somebody always goes on"),
        }
    });
    outcomes.expect(&["(false, true)", "(true, false)", "(true, true)"]);
}

#[test]
fn an_increment_is_never_lost() {
    explore("increment", || {
        let store = store();
        put(&store, &[(b"a", Some(0))]).unwrap();
        let increment = |store: Arc<Store>| {
            move || {
                loop {
                    let mut txn = begin(&store, Isolation::Snapshot);
                    let seen = value(txn.get(space(&store), b"a")).unwrap();
                    txn.put(space(&store), b"a", Some(&[seen + 1]));
                    if txn.commit().is_ok() {
                        return;
                    }
                    thread::yield_now();
                }
            }
        };
        let other = thread::spawn(increment(Arc::clone(&store)));
        increment(Arc::clone(&store))();
        other.join().unwrap();
        assert_eq!(read(&store, b"a"), Some(2));
    });
}

#[test]
fn an_aborted_writer_leaves_nothing_behind() {
    explore("abort", || {
        let store = store();
        put(&store, &[(b"a", Some(0)), (b"b", Some(0))]).unwrap();
        let writer = {
            let store = Arc::clone(&store);
            thread::spawn(move || put(&store, &[(b"a", Some(1)), (b"b", Some(1))]).is_ok())
        };
        let mine = put(&store, &[(b"b", Some(2))]).is_ok();
        let theirs = writer.join().unwrap();
        let (a, b) = (read(&store, b"a"), read(&store, b"b"));
        assert_eq!(a, Some(u8::from(theirs)), "all or nothing of the other");
        assert!(mine || theirs, "somebody always goes on");
        assert!(if mine { b == Some(2) || theirs && b == Some(1) } else { b == Some(1) });
    });
}
