//! Invariants 6 and 7: the durable position only moves forward, never past an unpublished byte, every waiter wakes, and what was
//! acknowledged is in what was written.

use super::*;
use crate::io::{IoError, IoOperation};
use crate::log::frame::{HEADER_BYTES, Header, Kind, Session};
use crate::log::group_commit::{GroupCommit, LogSink};
use crate::log::ring::Ring;
use crate::sync::atomic::AtomicU64;
use loom::thread;
use std::path::Path;

/// Remembers up to where it was written, or fails. Relaxed throughout: it is the log that has to order.
struct Sink {
    written_to: Arc<AtomicU64>,
    fails: bool,
}

impl LogSink for Sink {
    fn write_durable(&mut self, from: Lsn, pieces: &[&[u8]]) -> Result<(), IoError> {
        if self.fails {
            return Err(IoError::new(IoOperation::Write, Path::new("log"), std::io::Error::other("planted")));
        }
        assert!(from.get() <= self.written_to.load(Ordering::Relaxed), "a gap in what is written");
        let len: usize = pieces.iter().map(|piece| piece.len()).sum();
        // The last block is padded: what counts is that nothing before is missing.
        self.written_to.store(from.get() + len as u64, Ordering::Relaxed);
        Ok(())
    }
}

struct Log {
    end: LogEnd,
    group: GroupCommit<Sink>,
    written_to: Arc<AtomicU64>,
}

const FRAME_BYTES: u64 = HEADER_BYTES as u64;

fn log(frames_in_ring: usize, fails: bool) -> Arc<Log> {
    let written_to = Arc::new(AtomicU64::new(0));
    let sink = Sink { written_to: written_to.clone(), fails };
    let ring = Ring::new(frames_in_ring * HEADER_BYTES, Lsn::ZERO, &[]);
    Arc::new(Log { end: LogEnd::new(Lsn::ZERO), group: GroupCommit::new(ring, Lsn::ZERO, sink), written_to })
}

impl Log {
    /// Reserves, waits for room, publishes; returns the frame's end.
    fn publish(&self) -> Result<Lsn, IoError> {
        let lsn = self.end.reserve(FRAME_BYTES);
        let end = lsn.plus(FRAME_BYTES);
        if !self.group.ring().has_room(end) {
            self.group.wait_room(end)?;
        }
        let header = Header {
            kind: Kind::Void,
            session: Session(1),
            lsn,
            bytes: FRAME_BYTES as u32,
            durable: Lsn::ZERO,
            payload_bytes: 0,
        };
        // SAFETY: reserved for this frame alone, with room, published once.
        unsafe { self.group.ring().publish(lsn, &header.encode(0), &[]) };
        Ok(end)
    }

    fn commit(&self) {
        let end = self.publish().unwrap();
        self.group.wait_durable(end).unwrap();
        assert!(self.group.durable() >= end, "acknowledged before it was durable");
        assert!(self.written_to.load(Ordering::Relaxed) >= end.get(), "acknowledged before it was written");
    }
}

fn run(log: &Arc<Log>, operate: fn(&Log)) -> thread::JoinHandle<()> {
    let log = Arc::clone(log);
    thread::spawn(move || operate(&log))
}

#[test]
fn two_committers_are_both_acknowledged() {
    explore("group commit, two", || {
        let log = log(8, false);
        let other = run(&log, Log::commit);
        log.commit();
        other.join().unwrap();
        assert_eq!(log.group.durable(), log.end.load());
    });
}

/// The third needs room and nothing else: woken to lead next, it has to wake another.
#[test]
fn the_leadership_is_handed_over() {
    explore_within(1, "group commit, three", || {
        let log = log(2, false);
        let others = [run(&log, Log::commit), run(&log, |log| drop(log.publish().unwrap()))];
        log.commit();
        others.into_iter().for_each(|other| other.join().unwrap());
        log.group.wait_durable(log.end.load()).unwrap();
    });
}

#[test]
fn a_full_ring_makes_room() {
    explore("back-pressure", || {
        let log = log(2, false);
        let other = run(&log, |log| {
            // Does not wait for itself: whoever waits must not depend on it.
            log.publish().unwrap();
            log.publish().unwrap();
        });
        log.commit();
        log.commit();
        other.join().unwrap();
        log.group.wait_durable(log.end.load()).unwrap();
    });
}

/// The flusher waits for all that is reserved, and some of it may wait for the room that its flush makes.
#[test]
fn a_leader_wakes_those_it_waits_for() {
    explore("leader over a sleeping publisher", || {
        let log = log(2, false);
        let other = run(&log, |log| (0..3).for_each(|_| drop(log.publish().unwrap())));
        log.group.wait_durable(log.end.load()).unwrap();
        other.join().unwrap();
        log.group.wait_durable(log.end.load()).unwrap();
    });
}

#[test]
fn a_committer_that_does_not_wait_holds_up_nobody() {
    explore("an unpublished frame", || {
        let log = log(8, false);
        let other = run(&log, |log| drop(log.publish().unwrap()));
        log.commit();
        other.join().unwrap();
    });
}

#[test]
fn a_failed_write_reaches_every_waiter() {
    explore("poison", || {
        let log = log(8, true);
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
        let log = log(8, false);
        let end = log.publish().unwrap();
        let leader = run(&log, |log| log.group.wait_durable(Lsn::new(FRAME_BYTES)).unwrap());
        let flag = std::sync::Arc::new(Flag(AtomicBool::new(false)));
        let over = log.group.wake_when_durable(end, &Waker::from(flag.clone()));
        leader.join().unwrap();
        assert!(over || flag.0.load(Ordering::Relaxed), "never woken"); // after the join
    });
}
