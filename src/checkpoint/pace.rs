//! How fast a checkpoint writes.

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, lock, nap};
use std::time::{Duration, Instant};

/// Longer than this nobody sleeps at a time.
const NAP_MAX: Duration = Duration::from_millis(100);

/// Bytes a second, at most, over all threads of one checkpoint; as fast as the disk takes them once somebody is in a hurry.
pub(crate) struct Pace<'h> {
    bytes_per_second: Option<u64>,
    hurry: &'h AtomicBool,
    /// When what was written so far is paid for.
    paid: Mutex<Instant>,
}

impl<'h> Pace<'h> {
    pub(crate) fn new(bytes_per_second: Option<u64>, hurry: &'h AtomicBool) -> Pace<'h> {
        Pace { bytes_per_second, hurry, paid: Mutex::new(Instant::now()) }
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
            // Relaxed: it says when, and nothing else.
            && !self.hurry.load(Ordering::Relaxed)
        {
            nap(left.min(NAP_MAX));
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn who_is_in_a_hurry_waits_for_nothing() {
        let hurry = AtomicBool::new(false);
        let pace = Pace::new(Some(1 << 20), &hurry);
        let began = Instant::now();
        pace.wrote(1 << 17);
        assert!(began.elapsed() >= Duration::from_millis(125), "an eighth of a second's bytes");
        hurry.store(true, Ordering::Relaxed); // as above
        pace.wrote(1 << 40);
        assert!(began.elapsed() < Duration::from_secs(3600), "two weeks' bytes");
    }
}
