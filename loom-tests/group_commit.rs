//! Invariants 6 and 7: the durable position only moves forward, never past an unpublished byte, every waiter wakes, and what was
//! acknowledged is in what was written.

use super::small_log::{FRAME_BYTES, Log, log};
use super::*;
use loom::thread;

/// A sink that never fails.
const SOUND: usize = usize::MAX;

fn commit(log: &Log) {
    log.commit().unwrap();
}

fn run(log: &Arc<Log>, operate: fn(&Log)) -> thread::JoinHandle<()> {
    let log = Arc::clone(log);
    thread::spawn(move || operate(&log))
}

#[test]
fn two_committers_are_both_acknowledged() {
    explore("group commit, two", || {
        let log = log(8, SOUND);
        let other = run(&log, commit);
        commit(&log);
        other.join().unwrap();
        assert_eq!(log.group.durable(), log.end.load());
    });
}

/// The third needs room and nothing else: woken to lead next, it has to wake another.
#[test]
fn the_leadership_is_handed_over() {
    explore_within(1, "group commit, three", || {
        let log = log(2, SOUND);
        let others = [run(&log, commit), run(&log, |log| drop(log.publish().unwrap()))];
        commit(&log);
        others.into_iter().for_each(|other| other.join().unwrap());
        log.group.wait_durable(log.end.load()).unwrap();
    });
}

#[test]
fn a_full_ring_makes_room() {
    explore("back-pressure", || {
        let log = log(2, SOUND);
        let other = run(&log, |log| {
            // Does not wait for itself: whoever waits must not depend on it.
            log.publish().unwrap();
            log.publish().unwrap();
        });
        commit(&log);
        commit(&log);
        other.join().unwrap();
        log.group.wait_durable(log.end.load()).unwrap();
    });
}

/// The flusher waits for all that is reserved, and some of it may wait for the room that its flush makes.
#[test]
fn a_leader_wakes_those_it_waits_for() {
    explore("leader over a sleeping publisher", || {
        let log = log(2, SOUND);
        let other = run(&log, |log| (0..3).for_each(|_| drop(log.publish().unwrap())));
        log.group.wait_durable(log.end.load()).unwrap();
        other.join().unwrap();
        log.group.wait_durable(log.end.load()).unwrap();
    });
}

#[test]
fn a_committer_that_does_not_wait_holds_up_nobody() {
    explore("an unpublished frame", || {
        let log = log(8, SOUND);
        let other = run(&log, |log| drop(log.publish().unwrap()));
        commit(&log);
        other.join().unwrap();
    });
}

#[test]
fn a_failed_write_reaches_every_waiter() {
    explore("poison", || {
        let log = log(8, 0);
        let fail = |log: &Log| {
            let end = log.publish().unwrap();
            assert!(log.group.wait_durable(end).is_err(), "acknowledged a write that failed");
            assert_eq!(log.group.durable(), Lsn::ZERO);
        };
        let other = run(&log, fail);
        fail(&log);
        other.join().unwrap();
    });
}

#[test]
fn an_asynchronous_waiter_is_woken() {
    use std::sync::atomic::AtomicBool;
    use std::task::{Wake, Waker};

    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.store(true, Ordering::Relaxed); // read after a join
        }
    }

    explore("asynchronous waiter", || {
        let log = log(8, SOUND);
        let end = log.publish().unwrap();
        let leader = run(&log, |log| log.group.wait_durable(Lsn::new(FRAME_BYTES)).unwrap());
        let flag = std::sync::Arc::new(Flag(AtomicBool::new(false)));
        let over = log.group.wake_when_durable(end, &Waker::from(flag.clone()));
        leader.join().unwrap();
        assert!(over || flag.0.load(Ordering::Relaxed), "never woken"); // after the join
    });
}
