//! Invariant 2: two transactions that wrote the same record from overlapping snapshots never both commit.

use super::*;
use crate::mvcc::chain::{ANY_BASE, Record};
use crate::mvcc::own_state::OwnState;
use crate::mvcc::state::{Interrupted, Phase};
use crate::mvcc::version::{Stamp, Version};
use crate::sync::garbage;
use loom::thread;
use std::ptr::NonNull;

#[test]
fn of_two_overlapping_writers_one_commits_at_most() {
    let outcomes = Outcomes::default();
    let noted = outcomes.clone();
    explore_within(1, "write conflict", move || {
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

/// Under read committed the base is the log's end of the moment, and what is read may be undecided below it.
#[test]
fn an_increment_under_read_committed_is_never_lost() {
    explore("increment, read committed", || {
        let store = store();
        put(&store, &[(b"a", Some(0))]).unwrap();
        let writer = {
            let store = Arc::clone(&store);
            thread::spawn(move || put(&store, &[(b"a", Some(7))]).is_ok())
        };
        let mut txn = begin(&store, Isolation::ReadCommitted);
        let base = txn.statement_base();
        let seen = value(txn.get(space(&store), b"a")).unwrap();
        txn.put_based(space(&store), b"a", Some(&[seen + 1]), base);
        let is_committed = txn.commit().is_ok();
        let is_written = writer.join().unwrap();
        let expected: &[u8] = match (is_committed, is_written) {
            // In either order.
            (true, true) => &[8, 7],
            (true, false) => &[1],
            (false, true) => &[7],
            (false, false) => panic!("somebody always goes on"),
        };
        let found = read(&store, b"a").unwrap();
        assert!(expected.contains(&found), "{found} of what {seen} was seen of");
    });
}

#[test]
fn an_increment_is_never_lost() {
    explore_within(1, "increment", || {
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
    explore_within(1, "abort", || {
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

/// One transaction sleeps for good in the middle of its commit: the others push it or kill it, and go on.
#[test]
fn nobody_waits_for_one_that_sleeps() {
    explore("a sleeper", || {
        let (record, end) = (Arc::new(Record::new()), Arc::new(LogEnd::new(Lsn::new(8))));
        let (sleeper, asleep) = (OwnState::new(), Version::new(Some(&[1])));
        // SAFETY: nobody frees it in this model.
        unsafe { asleep.as_ref() }.begin(sleeper.address());
        record.install(asleep, Lsn::new(8), &epoch::pin()).unwrap();
        let before = end.load();
        sleeper.position(before).unwrap();
        let lsn = end.reserve(8);
        let at = end.load();
        let other = {
            let record = Arc::clone(&record);
            thread::spawn(move || record.visible(at, &epoch::pin()).unwrap().is_none())
        };
        let mine = record.visible(at, &epoch::pin()).unwrap().is_none();
        assert!(other.join().unwrap() && mine, "saw what is not committed");
        let version = Version::new(Some(&[2]));
        // SAFETY: ours until it is installed.
        unsafe { version.as_ref() }.set_stamp(end.reserve(8));
        record.install(version, Lsn::new(u64::MAX), &epoch::pin()).unwrap();
        assert_eq!(sleeper.commit(Phase::Positioning(before), lsn), Err(Interrupted::Killed));
    });
}

/// A commit of one write to one record, with nothing around it; where it read and where it committed.
fn write_once(record: &Record, end: &LogEnd) -> Option<(Lsn, Lsn)> {
    let base = end.load();
    write_upon(record, end, base).map(|lsn| (base, lsn))
}

fn write_upon(record: &Record, end: &LogEnd, base: Lsn) -> Option<Lsn> {
    let (state, version) = (OwnState::new(), Version::new(Some(&[1])));
    // SAFETY: ours until it is retired below.
    let header: &Version = unsafe { version.as_ref() };
    header.begin(state.address());
    record.install(version, base, &epoch::pin()).ok()?;
    let committed = position_once(&state, end);
    match committed {
        // SAFETY: installed above, stamped here, once.
        Some(lsn) => unsafe { record.settle(version, lsn, &epoch::pin()) },
        None => {
            state.abort();
            withdraw(record, version);
        }
    }
    state.retire();
    committed
}

/// Nobody pushes here; so a failure is a kill.
fn position_once(state: &OwnState, end: &LogEnd) -> Option<Lsn> {
    let before = end.load();
    state.position(before).ok()?;
    let lsn = end.reserve(8);
    state.commit(Phase::Positioning(before), lsn).ok().map(|()| lsn)
}

fn withdraw(record: &Record, version: NonNull<Version>) {
    let guard = epoch::pin();
    record.withdraw(version, &guard);
    // SAFETY: off the head, by us or by the other; once.
    unsafe { garbage::retire(version, &guard) };
}

#[test]
fn two_writers_of_one_record() {
    let outcomes = Outcomes::default();
    let noted = outcomes.clone();
    explore("two writers of one record", move || {
        let (record, end) = (Arc::new(Record::new()), Arc::new(LogEnd::new(Lsn::new(8))));
        let other = {
            let (record, end) = (Arc::clone(&record), Arc::clone(&end));
            thread::spawn(move || write_once(&record, &end))
        };
        let mine = write_once(&record, &end);
        let mut committed: Vec<_> = [mine, other.join().unwrap()].into_iter().flatten().collect();
        committed.sort_by_key(|&(_, lsn)| lsn);
        if let [(_, first), (base, _)] = committed[..] {
            assert!(first < base, "the later one did not see the earlier one, and overwrote it");
        }
        noted.note(committed.len());
        let guard = epoch::pin();
        let in_chain: Vec<_> = record.versions(&guard).unwrap().map(|version| version.stamp()).collect();
        assert_eq!(
            in_chain.len(),
            committed.len(),
            "of an aborted one nothing stays, of a committed one all"
        );
        assert_eq!(
            record.newest(&guard).unwrap().map(|newest| newest.lsn),
            committed.last().map(|&(_, lsn)| lsn)
        );
    });
    outcomes.expect(&["1", "2"]);
}

/// A blind write does not look at a version that is stamped, and is not put upon one that is undecided.
#[test]
fn blind_writers_of_one_record() {
    explore("blind writers of one record", || {
        let (record, end) = (Arc::new(Record::new()), Arc::new(LogEnd::new(Lsn::new(8))));
        write_upon(&record, &end, ANY_BASE).expect("nobody is in the way");
        let other = {
            let (record, end) = (Arc::clone(&record), Arc::clone(&end));
            thread::spawn(move || write_upon(&record, &end, ANY_BASE))
        };
        let mine = write_upon(&record, &end, ANY_BASE);
        let committed: Vec<_> = [mine, other.join().unwrap()].into_iter().flatten().collect();
        assert!(!committed.is_empty(), "somebody always goes on");
        let guard = epoch::pin();
        let positions: Vec<_> = record
            .versions(&guard)
            .unwrap()
            .map(|version| match version.stamp() {
                Stamp::At(lsn) => lsn,
                Stamp::Pending(_) => panic!("everybody is through"),
            })
            .collect();
        assert_eq!(positions.len(), committed.len() + 1);
        assert!(positions.is_sorted_by(|above, below| above > below), "not in the order of commits");
    });
}
