//! A lock that is only ever tried: whoever finds it taken does something else.
//!
//! An atomic flag of our own, because loom makes a thread that is about to *try* a mutex wait for its holder.

use super::atomic::{AtomicBool, Ordering};
use super::cell::UnsafeCell;

/// See the module.
pub(crate) struct TryLock<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: one thread at a time reaches the value, by `taken`; so it is handed from thread to thread, never shared.
unsafe impl<T: Send> Sync for TryLock<T> {}

impl<T> TryLock<T> {
    pub(crate) fn new(value: T) -> TryLock<T> {
        TryLock { taken: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// Runs `act` with the value, unless somebody else is at it. A panic in `act` leaves the lock taken.
    pub(crate) fn try_with<R>(&self, act: impl FnOnce(&mut T) -> R) -> Option<R> {
        // Acquire: pairs with the release below; what the holder before did is done. Failure Relaxed: nothing is read.
        self.taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).ok()?;
        // SAFETY: the flag was clear and is set by us: nobody else has a reference until we clear it.
        let result = self.value.with_mut(|value| act(unsafe { &mut *value }));
        // Release: pairs with the swap of the next holder.
        self.taken.store(false, Ordering::Release);
        Some(result)
    }
}
