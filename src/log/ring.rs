//! The ring that committers fill in parallel: reserve, copy, publish.
//!
//! A byte of the log lives in the ring at its position modulo the capacity, and goes through these hands:
//!
//! ```text
//!   released + capacity ─► reserved by a committer ─► published ─► written and durable ─► zeroed ─► released
//!       (free, zero)          (its alone)              (the leader's from here on)              (free again)
//! ```
//!
//! | field | written by | when |
//! | --- | --- | --- |
//! | bytes of a reservation | the committer that reserved it | once there is room, before it publishes |
//! | first word of a reservation | the same | last: the release store that publishes the frame |
//! | everything published | the leader of the group commit alone | zeroes it once it is durable |
//! | `released` | the leader alone | after zeroing |
//!
//! The last, partly filled block stays in the ring after it was written, and is written again with what follows: the bytes that were
//! durable are the same ones, so a torn rewrite cannot hurt them.

use super::frame::HEADER_BYTES;
use crate::io::BLOCK;
use crate::lsn::Lsn;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{CachePadded, RingMemory};

/// In a model a block is as small as can be, so that a ring of a few words has several.
const RING_BLOCK: u64 = if cfg!(any(loom, shuttle)) { 16 } else { BLOCK as u64 };

pub(crate) fn block_floor(lsn: Lsn) -> Lsn {
    Lsn::new(lsn.get() / RING_BLOCK * RING_BLOCK)
}

/// See the module.
pub(crate) struct Ring {
    memory: RingMemory,
    /// Everything below is free for the next lap; a multiple of the block.
    released: CachePadded<AtomicU64>,
}

impl Ring {
    /// A ring whose first frame will be at `start`; `partial` is what the block of `start` holds before it.
    pub(crate) fn new(capacity: usize, start: Lsn, partial: &[u8]) -> Ring {
        assert!(capacity.is_power_of_two() && (capacity as u64).is_multiple_of(RING_BLOCK));
        let floor = block_floor(start);
        assert_eq!(floor.plus(partial.len() as u64), start);
        let ring = Ring {
            memory: RingMemory::new(capacity),
            released: CachePadded::new(AtomicU64::new(floor.get())),
        };
        // SAFETY: nobody else has the ring yet; the partial block does not wrap.
        unsafe { ring.memory.write(ring.index(floor), partial) };
        ring
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.memory.len() as u64
    }

    fn index(&self, lsn: Lsn) -> usize {
        (lsn.get() & (self.capacity() - 1)) as usize
    }

    /// Splits a range of the log where the ring wraps.
    fn split(&self, from: Lsn, len: usize) -> [(usize, usize); 2] {
        let at = self.index(from);
        let first = len.min(self.memory.len() - at);
        [(at, first), (0, len - first)]
    }

    /// Whether the reservation that ends at `end` may be filled by now.
    #[inline]
    pub(crate) fn has_room(&self, end: Lsn) -> bool {
        // Acquire: pairs with the release in `release`; the zeroing comes before our copying.
        end.get() <= self.released.load(Ordering::Acquire) + self.capacity()
    }

    /// Fills the reservation at `lsn` and publishes it.
    ///
    /// # Safety
    /// The caller reserved `lsn` for at least this header and payload, [`Ring::has_room`] was true for its end, and it publishes once.
    pub(crate) unsafe fn publish(&self, lsn: Lsn, header: &[u8; HEADER_BYTES], payload: &[u8]) {
        // SAFETY: ours by the caller's promise until the store below; the first word is only ever stored there.
        unsafe {
            self.copy(lsn.plus(8), &header[8..]);
            self.copy(lsn.plus(HEADER_BYTES as u64), payload);
        }
        let first = u64::from_le_bytes(header[..8].try_into().expect("eight bytes"));
        // Release: pairs with the acquire in `published`; the frame is complete.
        self.memory.store_word(self.index(lsn), first, Ordering::Release);
    }

    /// # Safety
    /// The range is the caller's.
    unsafe fn copy(&self, to: Lsn, data: &[u8]) {
        let mut rest = data;
        for (at, len) in self.split(to, data.len()) {
            let (part, behind) = rest.split_at(len);
            // SAFETY: in bounds by `split`, the caller's by its promise.
            unsafe { self.memory.write(at, part) };
            rest = behind;
        }
    }

    /// The end of the unbroken run of published frames from `from` on, and not much beyond `limit` bytes.
    ///
    /// For the leader alone; `from` is where a frame begins.
    pub(crate) fn published(&self, from: Lsn, limit: u64) -> Lsn {
        let mut end = from;
        // Behind a full lap comes what the block of `from` holds before it: the middle of a frame that was written, and no first word.
        // Relaxed: the leader alone writes it.
        let lap_end = self.released.load(Ordering::Relaxed) + self.capacity();
        while end.get() < lap_end && end.get() - from.get() < limit {
            // Acquire: pairs with the release in `publish`.
            let word = self.memory.load_word(self.index(end), Ordering::Acquire);
            let bytes = word & u64::from(u32::MAX);
            if bytes == 0 {
                break;
            }
            end = end.plus(bytes);
        }
        end
    }

    /// The bytes of a published range, in the two pieces that wrapping makes.
    ///
    /// # Safety
    /// For the leader alone: the range is published, and not released before the result is let go.
    pub(crate) unsafe fn bytes(&self, from: Lsn, len: usize) -> [impl AsRef<[u8]> + '_; 2] {
        // SAFETY: published and the leader's, by the caller's promise; in bounds by `split`.
        self.split(from, len).map(|(at, len)| unsafe { self.memory.read(at, len) })
    }

    /// Zeroes and frees the whole blocks below `durable`.
    ///
    /// # Safety
    /// For the leader alone: everything below `durable` is published, durable and not looked at any more.
    pub(crate) unsafe fn release(&self, durable: Lsn) {
        // Relaxed: the leader alone writes it; leaders hand over by the leadership's lock.
        let from = Lsn::new(self.released.load(Ordering::Relaxed));
        let to = block_floor(durable);
        for (at, len) in self.split(from, (to.get() - from.get()) as usize) {
            // SAFETY: the leader's by the caller's promise; in bounds by `split`.
            unsafe { self.memory.zero(at, len) };
        }
        // Release: pairs with the acquire in `has_room`.
        self.released.store(to.get(), Ordering::Release);
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_where_the_ring_does_though_the_kept_block_goes_on() {
        const CAPACITY: usize = 4 * BLOCK;
        // The block that was written in part holds bytes that look like a frame's length.
        let start = Lsn::new(BLOCK as u64 + 64);
        let ring = Ring::new(CAPACITY, start, &[8; 64]);
        let mut end = start;
        while end.get() < (BLOCK + CAPACITY) as u64 {
            let bytes = ((BLOCK + CAPACITY) as u64 - end.get()).min(1_000);
            let mut header = [0; HEADER_BYTES];
            header[..4].copy_from_slice(&(bytes as u32).to_le_bytes());
            assert!(ring.has_room(end.plus(bytes)));
            // SAFETY: one thread, each range once, and there is room.
            unsafe { ring.publish(end, &header, &[7; 100][..(bytes as usize - HEADER_BYTES).min(100)]) };
            end = end.plus(bytes);
        }
        assert!(!ring.has_room(end.plus(8)));
        assert_eq!(ring.published(start, ring.capacity()), end);
        assert_eq!(ring.published(start, 1_500), start.plus(2_000));
    }
}
