//! Loom's atomics, each access preceded by a relaxed read-modify-write of a shadow word.
//!
//! Loom 0.7 remembers one last access per object, so a thread's load just before its own compare-exchange can hide
//! another thread's earlier load, and the interleaving is never run. The shadow makes every access a conflict
//! with every other of the same object, so that all orders are explored. Being relaxed, it orders nothing itself.

pub(crate) use loom::sync::atomic::{Ordering, fence};

use loom::sync::atomic as raw;

macro_rules! atomic {
    ($name:ident, $raw:ty, $value:ty) => {
        #[derive(Debug)]
        pub(crate) struct $name {
            shadow: raw::AtomicUsize,
            inner: $raw,
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new(<$value>::default())
            }
        }

        impl $name {
            pub(crate) fn new(value: $value) -> Self {
                Self { shadow: raw::AtomicUsize::new(0), inner: <$raw>::new(value) }
            }

            fn inner(&self) -> &$raw {
                // Relaxed: only there to be an access that conflicts with all others.
                self.shadow.fetch_add(1, Ordering::Relaxed);
                &self.inner
            }

            pub(crate) fn load(&self, ordering: Ordering) -> $value {
                self.inner().load(ordering)
            }

            pub(crate) fn store(&self, value: $value, ordering: Ordering) {
                self.inner().store(value, ordering);
            }

            pub(crate) fn swap(&self, value: $value, ordering: Ordering) -> $value {
                self.inner().swap(value, ordering)
            }

            pub(crate) fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.inner().compare_exchange(current, new, success, failure)
            }
        }
    };
}

macro_rules! integer {
    ($name:ident, $value:ty) => {
        impl $name {
            pub(crate) fn fetch_add(&self, value: $value, ordering: Ordering) -> $value {
                self.inner().fetch_add(value, ordering)
            }

            pub(crate) fn fetch_sub(&self, value: $value, ordering: Ordering) -> $value {
                self.inner().fetch_sub(value, ordering)
            }

            pub(crate) fn fetch_or(&self, value: $value, ordering: Ordering) -> $value {
                self.inner().fetch_or(value, ordering)
            }

            pub(crate) fn fetch_max(&self, value: $value, ordering: Ordering) -> $value {
                self.inner().fetch_max(value, ordering)
            }
        }
    };
}

atomic!(AtomicBool, raw::AtomicBool, bool);
atomic!(AtomicU32, raw::AtomicU32, u32);
atomic!(AtomicU64, raw::AtomicU64, u64);
atomic!(AtomicUsize, raw::AtomicUsize, usize);
integer!(AtomicU32, u32);
integer!(AtomicU64, u64);
integer!(AtomicUsize, usize);

#[derive(Debug)]
pub(crate) struct AtomicPtr<T> {
    shadow: raw::AtomicUsize,
    inner: raw::AtomicPtr<T>,
}

impl<T> AtomicPtr<T> {
    pub(crate) fn new(value: *mut T) -> Self {
        Self { shadow: raw::AtomicUsize::new(0), inner: raw::AtomicPtr::new(value) }
    }

    fn inner(&self) -> &raw::AtomicPtr<T> {
        // Relaxed: as in the macro above.
        self.shadow.fetch_add(1, Ordering::Relaxed);
        &self.inner
    }

    pub(crate) fn load(&self, ordering: Ordering) -> *mut T {
        self.inner().load(ordering)
    }

    pub(crate) fn store(&self, value: *mut T, ordering: Ordering) {
        self.inner().store(value, ordering);
    }

    pub(crate) fn compare_exchange(
        &self,
        current: *mut T,
        new: *mut T,
        success: Ordering,
        failure: Ordering,
    ) -> Result<*mut T, *mut T> {
        self.inner().compare_exchange(current, new, success, failure)
    }
}
