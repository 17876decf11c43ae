//! Leader and followers: whoever needs the log flushed, and finds nobody flushing, writes for all.
//!
//! ```text
//!   leader of flush n:   flight = (t, n) ─► one durable write ─► durable = t ─► hand over
//!   follower of n:       its end <= t: sleeps on doors[n % 2], which flush n opens for all
//!   everybody else:      sleeps on doors[(n + 1) % 2], which flush n opens for one: the next leader
//! ```
//!
//! A door is a futex word that changes when it is opened, so whoever read it before does not go to sleep after. A follower reads the
//! door, then looks whether the flush it counted is still the last one started, whether it is durable, and whether it can lead: only then it
//! sleeps. So either it sees that flush n is over, or flush n sees its door unread or it asleep, and opens it.
//!
//! A reservation that is not published yet holds up what is behind it. The leader looks again, first at once, then between short
//! sleeps: the one wait for another thread in the engine, and only for what is to be durable.
//!
//! A failed write poisons the log: every waiter gets the error, and nothing is written any more.

use super::ring::{Ring, block_floor};
use crate::io::{AlignedBuf, BLOCK, Health, IoError, IoOperation};
use crate::lsn::Lsn;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sync::{CachePadded, Mutex, Step, TryLock, futex_wait, futex_wake, lock, nap, spin_loop, step};
use std::path::Path;
use std::task::Waker;
use std::time::Duration;

/// Where a group's bytes go: the log's segments, or a stand-in in tests.
pub(crate) trait LogSink: Send {
    /// Writes `pieces`, whole blocks from `from` on, and returns when they are on stable storage.
    fn write_durable(&mut self, from: Lsn, pieces: &[&[u8]]) -> Result<(), IoError>;
}

/// How often the leader looks for an unpublished frame before it sleeps between looks.
const LOOKS_AWAKE: u32 = 128;
/// The longest of these sleeps.
const NAP_MAX: Duration = Duration::from_millis(1);
/// What one write takes at most, so that early waiters are not held up by a long backlog.
const WRITE_BYTES_MAX: u64 = 1 << 20;

/// A flush: its target with its number in the bits that positions leave free. One word, so that a waiter sees both as they belong together.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Flight(u64);

impl Flight {
    const NUMBER: u64 = Lsn::ALIGN - 1;

    fn target(self) -> Lsn {
        Lsn::new(self.0 & !Self::NUMBER)
    }

    fn next(self, target: Lsn) -> Flight {
        Flight(target.get() | ((self.0 + 1) & Self::NUMBER))
    }

    /// Where its followers sleep.
    fn door(self) -> usize {
        (self.0 % 2) as usize
    }

    /// Where those sleep who came too late for it.
    fn next_door(self) -> usize {
        1 - self.door()
    }

    fn door_for(self, end: Lsn) -> usize {
        if end <= self.target() { self.door() } else { self.next_door() }
    }
}

/// What belongs to the leader alone; the lock is the leadership, and only ever tried on the way of a commit.
struct Leader<S> {
    sink: S,
    /// The last, partly filled block, padded with zeros: what is behind the run in the ring may be half-written.
    tail: AlignedBuf,
}

/// See the module.
pub(crate) struct GroupCommit<S> {
    ring: Ring,
    health: Health,
    durable: CachePadded<AtomicU64>,
    /// The last flush that was started: where it will leave `durable`, and its number in the low bits.
    flight: AtomicU64,
    doors: [CachePadded<AtomicU32>; 2],
    leader: TryLock<Leader<S>>,
    /// Asynchronous waiters with the positions they wait for.
    wakers: Mutex<Vec<(Lsn, Waker)>>,
}

impl<S: LogSink> GroupCommit<S> {
    /// Goes on after `start`, up to where everything is durable.
    pub(crate) fn new(ring: Ring, start: Lsn, sink: S) -> Self {
        GroupCommit {
            ring,
            health: Health::default(),
            durable: CachePadded::new(AtomicU64::new(start.get())),
            flight: AtomicU64::new(start.get()),
            doors: [CachePadded::new(AtomicU32::new(0)), CachePadded::new(AtomicU32::new(0))],
            leader: TryLock::new(Leader { sink, tail: AlignedBuf::zeroed(BLOCK) }),
            wakers: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn ring(&self) -> &Ring {
        &self.ring
    }

    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    /// Everything below is on stable storage.
    #[inline]
    pub(crate) fn durable(&self) -> Lsn {
        // Acquire: pairs with the release in `flush`; what is durable was written before.
        Lsn::new(self.durable.load(Ordering::Acquire))
    }

    /// Returns once everything below `end` is durable; leads flushes as need be.
    pub(crate) fn wait_durable(&self, end: Lsn) -> Result<(), IoError> {
        self.wait_until(end, || self.durable() >= end)
    }

    /// Returns once the reservation that ends at `end` has room in the ring.
    pub(crate) fn wait_room(&self, end: Lsn) -> Result<(), IoError> {
        let waited = self.wait_until(end, || self.ring.has_room(end));
        // We may have been the one for whom a door was opened, and have no need of a flush ourselves.
        self.hand_over();
        waited
    }

    fn wait_until(&self, end: Lsn, done: impl Fn() -> bool) -> Result<(), IoError> {
        loop {
            if done() {
                return Ok(());
            }
            self.health.check()?;
            let flight = self.flight();
            let door = &self.doors[flight.door_for(end)];
            // Acquire: pairs with the release in `open`; a door read before its flush ends does not let us sleep after.
            let closed = door.load(Ordering::Acquire);
            // Another flush since then: look again which one is ours.
            if self.flight() != flight || done() {
                continue;
            }
            let lead = |leader: &mut Leader<S>| {
                let unfinished = TellOnPanic(self);
                let led = self.lead(leader, &done);
                std::mem::forget(unfinished);
                led
            };
            match self.leader.try_with(lead) {
                Some(led) => {
                    self.hand_over();
                    led?;
                }
                None => futex_wait(door, closed, None),
            }
        }
    }

    /// Flushes until `done`, or once if that takes others' frames too.
    fn lead(&self, leader: &mut Leader<S>, done: &impl Fn() -> bool) -> Result<(), IoError> {
        step(Step::Leading);
        let mut looks = 0;
        while !done() {
            self.health.check()?;
            if self.flush(leader)? {
                looks = 0;
                continue;
            }
            if looks == 0 {
                // Whoever is to publish may be asleep for want of room in the ring, which a flush has made by now. It sleeps
                // where the next leader is woken, and nobody leads next as long as we do.
                self.open(self.flight().next_door(), u32::MAX);
            }
            looks += 1;
            wait_for_publisher(looks);
        }
        Ok(())
    }

    /// Writes the unbroken run of published frames, if there is one.
    fn flush(&self, leader: &mut Leader<S>) -> Result<bool, IoError> {
        let from = self.durable();
        let end = self.ring.published(from, WRITE_BYTES_MAX.min(self.ring.capacity()));
        if end == from {
            return Ok(false);
        }
        let flight = self.flight().next(end);
        // Release: pairs with the acquire in `flight`. Leaders alone write it.
        self.flight.store(flight.0, Ordering::Release);
        if let Err(error) = self.write(leader, from, end) {
            self.health.poison(error.clone());
            return Err(error);
        }
        // Release: pairs with the acquire in `durable`.
        self.durable.store(end.get(), Ordering::Release);
        // SAFETY: we lead, and everything below `end` is written.
        unsafe { self.ring.release(end) };
        self.open(flight.door(), u32::MAX);
        self.wake_tasks(end);
        Ok(true)
    }

    fn flight(&self) -> Flight {
        // Acquire: pairs with the release in `flush`.
        Flight(self.flight.load(Ordering::Acquire))
    }

    fn write(&self, leader: &mut Leader<S>, from: Lsn, end: Lsn) -> Result<(), IoError> {
        let (first, last) = (block_floor(from), block_floor(end));
        let (whole, rest) = ((last.get() - first.get()) as usize, (end.get() - last.get()) as usize);
        // SAFETY: we lead; the range is published, or kept since it was written, and not released before we return.
        let pieces = unsafe { self.ring.bytes(first, whole) };
        // SAFETY: as above.
        let partial = unsafe { self.ring.bytes(last, rest) };
        let mut parts: Vec<&[u8]> = pieces.iter().map(AsRef::as_ref).collect();
        if rest > 0 {
            leader.tail.fill(0);
            leader.tail[..rest].copy_from_slice(partial[0].as_ref());
            parts.push(&leader.tail);
        }
        parts.retain(|part| !part.is_empty());
        leader.sink.write_durable(first, &parts)
    }

    /// After the leadership was let go: somebody who waits for what came in meanwhile leads next; after a failure all wake.
    fn hand_over(&self) {
        if self.health.is_poisoned() {
            self.open(0, u32::MAX);
            self.open(1, u32::MAX);
            self.wake_tasks(Lsn::new(u64::MAX));
        } else {
            self.open(self.flight().next_door(), 1);
        }
    }

    fn open(&self, door: usize, count: u32) {
        let door = &self.doors[door];
        // Release: pairs with the acquire in `wait_until`; whoever sees the door opened sees why.
        door.fetch_add(1, Ordering::Release);
        futex_wake(door, count);
    }

    /// Records a failure outside of a group's write: nothing is written from now on, and every waiter is told.
    pub(crate) fn fail(&self, error: IoError) {
        self.health.poison(error);
        self.hand_over();
    }

    /// Wakes `waker` once everything below `end` is durable, or the log is poisoned; true if that is so already.
    pub(crate) fn wake_when_durable(&self, end: Lsn, waker: &Waker) -> bool {
        let over = || self.durable() >= end || self.health.is_poisoned();
        if over() {
            return true;
        }
        {
            let mut wakers = lock(&self.wakers);
            // Polled again before it was woken: one entry is enough.
            if !wakers.iter().any(|(waited, known)| *waited == end && known.will_wake(waker)) {
                wakers.push((end, waker.clone()));
            }
        }
        // A flush that ended before the waker was there has not seen it; one that ends from here on takes the lock after us.
        over()
    }

    fn wake_tasks(&self, durable: Lsn) {
        let due: Vec<_> = lock(&self.wakers).extract_if(.., |(end, _)| *end <= durable).collect();
        due.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

/// A panic in the middle of a flush leaves the leadership taken for good: nobody else is to touch what was left half-done. So the log is
/// poisoned, and those who wait are told, rather than left waiting.
struct TellOnPanic<'a, S: LogSink>(&'a GroupCommit<S>);

impl<S: LogSink> Drop for TellOnPanic<'_, S> {
    fn drop(&mut self) {
        // In a model a panic is the model's failure, and nothing more may happen in it.
        if !cfg!(any(loom, shuttle)) {
            let panicked = std::io::Error::other("the thread that was writing panicked");
            self.0.fail(IoError::new(IoOperation::Write, Path::new("log"), panicked));
        }
    }
}

/// A frame before what is to be flushed is reserved and not published: its owner is mostly about to.
fn wait_for_publisher(looks: u32) {
    if looks < LOOKS_AWAKE || cfg!(any(loom, shuttle)) {
        return spin_loop();
    }
    let naps = (looks - LOOKS_AWAKE).min(10);
    let time = Duration::from_micros(1 << naps).min(NAP_MAX);
    nap(time);
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::log::frame::HEADER_BYTES;

    struct Panicking;

    impl LogSink for Panicking {
        fn write_durable(&mut self, _from: Lsn, _pieces: &[&[u8]]) -> Result<(), IoError> {
            panic!("a bug in the sink");
        }
    }

    #[test]
    fn a_panic_of_the_leader_is_told_to_those_who_wait() {
        let (start, bytes) = (Lsn::new(BLOCK as u64), HEADER_BYTES as u64);
        let group = GroupCommit::new(Ring::new(16 * BLOCK, start, &[]), start, Panicking);
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(&(bytes as u32).to_le_bytes());
        // SAFETY: the range is nobody else's, once, and there is room.
        unsafe { group.ring().publish(start, &header, &[]) };
        let end = start.plus(bytes);
        std::thread::scope(|scope| {
            let wait = || scope.spawn(|| group.wait_durable(end));
            let waited: Vec<_> = [wait(), wait(), wait()].into_iter().map(|thread| thread.join()).collect();
            assert_eq!(waited.iter().filter(|result| result.is_err()).count(), 1, "the leader's own panic");
            assert!(waited.into_iter().flatten().all(|told| told.is_err()), "nothing is acknowledged");
        });
        assert!(group.wait_durable(end).is_err(), "for all who come after, too");
    }
}
