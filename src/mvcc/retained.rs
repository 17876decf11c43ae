//! How much of the past is kept for whoever asks for it: so many bytes, and everything from a position on. What either keeps, stays.
//!
//! Both are one value, which is replaced as a whole. Of two that are stored one after the other a committing thread could meet the new one of the
//! first and the old one of the second, neither of which keeps anything, while they are changed from one to the other.

use crate::lsn::Lsn;
use crate::sync::atomic::{AtomicPtr, Ordering};
use crate::sync::epoch::{self, Guard};

/// See the module.
pub(super) struct Retained(AtomicPtr<Settings>);

struct Settings {
    bytes: u64,
    /// None if the bytes alone say.
    floor: Option<Lsn>,
}

impl Retained {
    pub(super) fn new(bytes: u64) -> Retained {
        Retained(AtomicPtr::new(Box::into_raw(Box::new(Settings { bytes, floor: None }))))
    }

    pub(super) fn set(&self, bytes: u64, floor: Option<Lsn>) {
        let guard = epoch::pin();
        let new = Box::into_raw(Box::new(Settings { bytes, floor }));
        // AcqRel: publishes the new settings; the old ones are whole.
        let old = self.0.swap(new, Ordering::AcqRel);
        // SAFETY: from `Box::into_raw`, replaced just now by us alone; whoever loaded it before is pinned.
        unsafe { guard.defer(move || drop(Box::from_raw(old))) };
    }

    /// From where on the past of a log that ends at `end` is kept.
    #[inline]
    pub(super) fn from(&self, end: Lsn, _guard: &Guard) -> Lsn {
        // Acquire: pairs with the release in `set`.
        let settings = self.0.load(Ordering::Acquire);
        // SAFETY: read under the guard; settings are freed by epochs after they were replaced.
        let settings = unsafe { &*settings };
        let by_bytes = Lsn::new(end.get().saturating_sub(settings.bytes) & !(Lsn::ALIGN - 1));
        settings.floor.map_or(by_bytes, |floor| floor.min(by_bytes))
    }
}

impl Drop for Retained {
    fn drop(&mut self) {
        // Relaxed: exclusive access.
        let settings = self.0.load(Ordering::Relaxed);
        // SAFETY: from `Box::into_raw`, the current ones, and nobody is left to read them.
        drop(unsafe { Box::from_raw(settings) });
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn what_either_keeps_stays() {
        let (retained, guard) = (Retained::new(0), epoch::pin());
        let from = |end| retained.from(Lsn::new(end), &guard).get();
        assert_eq!(from(800), 800);
        for (bytes, floor, expected) in [
            (100, None, 696),
            (100, Some(400), 400),
            (100, Some(800), 696),
            (0, Some(800), 800),
            (u64::MAX, Some(800), 0),
            (801, None, 0),
        ] {
            retained.set(bytes, floor.map(Lsn::new));
            assert_eq!(from(800), expected, "{bytes} bytes, from {floor:?}");
        }
    }
}
