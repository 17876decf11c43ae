//! A value that is replaced as a whole now and then, and read by whoever likes meanwhile.

use super::atomic::{AtomicPtr, Ordering};
use super::epoch;
use std::ptr;

/// See the module. Nothing at first.
pub(crate) struct Latest<T>(AtomicPtr<T>);

impl<T> Default for Latest<T> {
    fn default() -> Latest<T> {
        Latest(AtomicPtr::new(ptr::null_mut()))
    }
}

impl<T: Send + Sync + 'static> Latest<T> {
    /// Hands out what was put there last, if anything was.
    pub(crate) fn read<R>(&self, read: impl FnOnce(Option<&T>) -> R) -> R {
        let _guard = epoch::pin();
        // Acquire: pairs with `replace`.
        let latest = self.0.load(Ordering::Acquire);
        // SAFETY: null, or from `replace`, which frees it when no guard lives any more that was there before it was replaced.
        read(unsafe { latest.as_ref() })
    }

    /// Of two who replace it at a time one does.
    pub(crate) fn replace(&self, value: T) {
        let guard = epoch::pin();
        let new = Box::into_raw(Box::new(value));
        // Acquire: pairs with the compare-exchange of whoever published this.
        let old = self.0.load(Ordering::Acquire);
        // Release: publishes the new one, for `read`. Relaxed: what another one put there is not looked at.
        let replaced = self.0.compare_exchange(old, new, Ordering::Release, Ordering::Relaxed);
        let unused = if replaced.is_ok() { old } else { new };
        if !unused.is_null() {
            // SAFETY: from a box, out of reach for guards from now on, and taken out once.
            unsafe { guard.defer(move || drop(Box::from_raw(unused))) }
        }
    }
}

impl<T> Drop for Latest<T> {
    fn drop(&mut self) {
        // Relaxed: nobody else is left.
        let last = self.0.load(Ordering::Relaxed);
        if !last.is_null() {
            // SAFETY: from a box, and nobody else is left.
            drop(unsafe { Box::from_raw(last) });
        }
    }
}
