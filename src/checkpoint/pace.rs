//! How fast a checkpoint writes.

use crate::sync::{Mutex, lock, nap};
use std::time::{Duration, Instant};

/// Longer than this nobody sleeps at a time.
const NAP_MAX: Duration = Duration::from_millis(100);

/// Bytes a second, at most, over all threads of one checkpoint.
pub(crate) struct Pace {
    bytes_per_second: Option<u64>,
    /// When what was written so far is paid for.
    paid: Mutex<Instant>,
}

impl Pace {
    pub(crate) fn new(bytes_per_second: Option<u64>) -> Pace {
        Pace { bytes_per_second, paid: Mutex::new(Instant::now()) }
    }

    /// Returns when the next bytes may be written.
    pub(crate) fn wrote(&self, bytes: u64) {
        let Some(bytes_per_second) = self.bytes_per_second else { return };
        let paid = {
            let mut paid = lock(&self.paid);
            let cost = Duration::from_secs_f64(bytes as f64 / bytes_per_second.max(1) as f64);
            *paid = (*paid).max(Instant::now()) + cost;
            *paid
        };
        while let left = paid.saturating_duration_since(Instant::now())
            && !left.is_zero()
        {
            nap(left.min(NAP_MAX));
        }
    }
}
