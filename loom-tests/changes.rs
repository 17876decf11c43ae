//! A feed begins beside commits: each is seen by the snapshot that it begins with, or told behind it, never both, never neither.

use super::*;
use crate::mvcc::changes::Next;
use crate::sync::wakers::{Sleeper, Wakers};
use loom::sync::atomic::AtomicBool;
use loom::thread;
use std::task::Waker;

/// What is told from a position on, up to the log's end.
fn told(store: &Store, from: Lsn) -> Vec<Option<Vec<u8>>> {
    let (mut at, mut told) = (from, Vec::new());
    while at < store.end().load() {
        let (writes, end) = match store.changes().next(at) {
            Next::Commit(writes, end) => (Some(writes.to_vec()), end),
            Next::Void(end) => (None, end),
            Next::NotYet => panic!("everybody is done"),
            Next::Gone(oldest) => panic!("{at} is gone, {oldest} is the oldest"),
        };
        told.push(writes);
        at = end;
    }
    told
}

#[test]
fn a_commit_is_seen_or_told() {
    let outcomes = Outcomes::default();
    let noted = outcomes.clone();
    explore("feed beside a commit", move || {
        let store = store();
        let writer = {
            let store = Arc::clone(&store);
            thread::spawn(move || put(&store, &[(b"a", Some(1)), (b"b", Some(1))]).unwrap())
        };
        store.changes().keep(store.end());
        let snapshot = store.snapshot();
        let seen = [b"a", b"b"].map(|key| snapshot.get(space(&store), key).is_some());
        writer.join().unwrap();
        let commits = told(&store, snapshot.position()).into_iter().flatten().count();
        noted.note((seen, commits));
    });
    outcomes.expect(&["([false, false], 1)", "([true, true], 0)"]);
}

/// The event is published before the waiters are taken; who waits pushes before he looks.
#[test]
fn nobody_sleeps_through_an_event() {
    explore("wakers", || {
        let (wakers, event) = (Arc::new(Wakers::new()), Arc::new(AtomicBool::new(false)));
        let who_brings_it = {
            let (wakers, event) = (Arc::clone(&wakers), Arc::clone(&event));
            thread::spawn(move || {
                event.store(true, std::sync::atomic::Ordering::Relaxed); // released by the taking of the stack
                wakers.wake_all();
            })
        };
        let (waker, woken) = counting_waker();
        wakers.add(&mut Sleeper::new(), &waker);
        // Relaxed: acquired by the push, if the taking came first.
        let is_seen = event.load(std::sync::atomic::Ordering::Relaxed);
        who_brings_it.join().unwrap();
        // Relaxed: after the join.
        assert!(is_seen || woken.load(Ordering::Relaxed) == 1, "neither seen nor woken");
    });
}

fn counting_waker() -> (Waker, std::sync::Arc<AtomicUsize>) {
    struct Count(std::sync::Arc<AtomicUsize>);
    impl std::task::Wake for Count {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed); // a count
        }
    }
    let count = std::sync::Arc::new(AtomicUsize::new(0));
    (std::sync::Arc::new(Count(std::sync::Arc::clone(&count))).into(), count)
}
