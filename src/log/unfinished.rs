//! Where the large transactions began that are in the log in part: so much of the log before a position is needed by what commits after it.
//!
//! A transaction announces the log's end *before* it reserves its first chunk, and takes that back after its commit is published; with
//! that it counts up. Whoever asks for the log needed from a position on looks at the count, loads the position, and then looks at the
//! announcements and at the count again. So of a transaction with a chunk below the position,
//!
//! - the reservation came before the position was loaded, and its announcement before that: it is seen, or
//! - it was taken back. Then the count went up before. If it did so after the first look, the second look finds that; if before, the commit was
//!   reserved before the position was loaded, and is below it.
//!
//! There are a few places for announcements. A transaction that finds none free says only that there is one: then all is needed.

use crate::lsn::{LogEnd, Lsn};
use crate::sync::CachePadded;
use crate::sync::atomic::{AtomicU64, Ordering};

/// So many large transactions can say where they began.
const PLACES: usize = if cfg!(any(loom, shuttle)) { 1 } else { 64 };
/// In a place that nobody uses.
const FREE: u64 = u64::MAX;

/// See the module.
pub(crate) struct Unfinished {
    places: Box<[CachePadded<AtomicU64>]>,
    /// Transactions that found no place.
    others: AtomicU64,
    /// How many are over.
    over: AtomicU64,
}

/// How many large transactions were over at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Over(u64);

/// A transaction that is in the log in part; over when it is dropped.
pub(crate) struct Announced<'l> {
    unfinished: &'l Unfinished,
    /// None for one of the others.
    place: Option<usize>,
}

impl Unfinished {
    pub(crate) fn new() -> Unfinished {
        let places = (0..PLACES).map(|_| CachePadded::new(AtomicU64::new(FREE))).collect();
        Unfinished { places, others: AtomicU64::new(0), over: AtomicU64::new(0) }
    }

    /// To be called before the first chunk is reserved.
    pub(crate) fn announce(&self, end: &LogEnd) -> Announced<'_> {
        let from = end.load().get();
        let taken = self.places.iter().position(|place| {
            // Relaxed: the reservation of the chunk, which comes after, is a release; see the module.
            place.compare_exchange(FREE, from, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        });
        if taken.is_none() {
            // Relaxed: as above.
            self.others.fetch_add(1, Ordering::Relaxed);
        }
        Announced { unfinished: self, place: taken }
    }

    /// To be asked before the position is loaded.
    pub(crate) fn over(&self) -> Over {
        // Acquire: pairs with the release in `drop`; the positions of those that are over were reserved before.
        Over(self.over.load(Ordering::Acquire))
    }

    /// From where on the log is needed by what commits at or above `position`, which was loaded from the log's end after `over` was asked; none
    /// if that cannot be said.
    pub(crate) fn needed_from(&self, position: Lsn, over: Over) -> Option<Lsn> {
        // Acquire: pairs with the release of an announcement taken back, which counted before.
        let others = self.others.load(Ordering::Acquire);
        // Acquire: as above.
        let announced = self.places.iter().map(|place| Lsn::new(place.load(Ordering::Acquire)));
        let from = announced.fold(position, Lsn::min);
        (others == 0 && self.over() == over).then_some(from)
    }
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        // Release: pairs with `over`; the commit was reserved before.
        self.unfinished.over.fetch_add(1, Ordering::Release);
        match self.place {
            // Release: pairs with `needed_from`, which then finds the count too.
            Some(place) => self.unfinished.places[place].store(FREE, Ordering::Release),
            None => {
                // Release: as above.
                self.unfinished.others.fetch_sub(1, Ordering::Release);
            }
        }
    }
}
