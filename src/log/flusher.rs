//! Requests to the one thread that flushes for those who do not wait: `Buffered` commits, asynchronous ones, a ring that fills up.
//!
//! A word says how urgent it is; a request that finds it said already is one load.

use crate::sync::atomic::{AtomicU32, Ordering, fence};
use crate::sync::{CachePadded, futex_wait, futex_wake};
use std::time::Duration;

/// How soon to flush.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Urgency {
    /// Within the interval of `Buffered` commits.
    Soon = 1,
    /// At once.
    Now = 2,
}

const IDLE: u32 = 0;
const SOON: u32 = Urgency::Soon as u32;
const CLOSED: u32 = 3;

/// See the module.
pub(crate) struct Flusher {
    wanted: CachePadded<AtomicU32>,
}

impl Flusher {
    pub(crate) fn new() -> Flusher {
        Flusher { wanted: CachePadded::new(AtomicU32::new(IDLE)) }
    }

    /// Asks for a flush of what the caller has published. False if the log is closed: then nobody flushes for him.
    #[inline]
    #[must_use]
    pub(crate) fn request(&self, urgency: Urgency) -> bool {
        fence(Ordering::SeqCst); // against the one in `take`: a request seen below was not taken up before what we have reserved was seen
        // Relaxed: ordered by the fence. A request that is seen here has not been taken up yet, and covers us too.
        let mut wanted = self.wanted.load(Ordering::Relaxed);
        if wanted < urgency as u32 {
            wanted = self.raise(urgency as u32);
        }
        wanted != CLOSED
    }

    /// Returns what was wanted before.
    fn raise(&self, to: u32) -> u32 {
        // AcqRel: the flusher sees what was published before the request that it takes up.
        let before = self.wanted.fetch_max(to, Ordering::AcqRel);
        if before < to {
            futex_wake(&self.wanted, 1);
        }
        before
    }

    /// Sleeps until there is something to do; false when the log is closed, and what was asked for before that is to be flushed still.
    pub(crate) fn wait_for_request(&self, interval: Duration) -> bool {
        loop {
            // Acquire: pairs with `raise`.
            match self.wanted.load(Ordering::Acquire) {
                IDLE => futex_wait(&self.wanted, IDLE, None),
                SOON => {
                    futex_wait(&self.wanted, SOON, Some(interval));
                    return self.take();
                }
                _ => return self.take(),
            }
        }
    }

    /// Takes the request up: what comes from here on asks anew. False when the log is closed.
    fn take(&self) -> bool {
        // Acquire: pairs with `raise`.
        let mut wanted = self.wanted.load(Ordering::Acquire);
        while wanted != CLOSED {
            // AcqRel: what was published before the request is seen; a later request finds the word idle. Failure Acquire: as above.
            match self.wanted.compare_exchange(wanted, IDLE, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(now) => wanted = now,
            }
        }
        fence(Ordering::SeqCst); // against the one in `request`: who saw the request that we took is seen from here on
        wanted != CLOSED
    }

    pub(crate) fn close(&self) {
        self.raise(CLOSED);
    }

    pub(crate) fn wait_for_close(&self) {
        loop {
            // Acquire: pairs with `raise`.
            let wanted = self.wanted.load(Ordering::Acquire);
            if wanted == CLOSED {
                return;
            }
            futex_wait(&self.wanted, wanted, None);
        }
    }
}
