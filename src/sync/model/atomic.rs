//! The checker's atomics; under loom each access is preceded by a relaxed read-modify-write of a shadow word.
//!
//! Loom 0.7 remembers one last access per object, so a thread's load just before its own compare-exchange can hide
//! another thread's earlier load, and the interleaving is never run. The shadow makes every access a conflict
//! with every other of the same object, so that all orders are explored. Being relaxed, it orders nothing itself.
//!
//! Shuttle may switch threads before any access, so it needs no shadow. It takes every ordering for SeqCst, and a fence for nothing.

use super::checker::sync::atomic as raw;

pub(crate) use raw::{Ordering, fence};

#[cfg(loom)]
#[derive(Debug)]
struct Shadow(raw::AtomicUsize);

#[cfg(loom)]
impl Shadow {
    fn new() -> Shadow {
        Shadow(raw::AtomicUsize::new(0))
    }

    fn touch(&self) {
        // Relaxed: only there to be an access that conflicts with all others.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(shuttle)]
#[derive(Debug)]
struct Shadow;

#[cfg(shuttle)]
impl Shadow {
    fn new() -> Shadow {
        Shadow
    }

    fn touch(&self) {}
}

macro_rules! atomic {
    ($name:ident, $raw:ty, $value:ty) => {
        #[derive(Debug)]
        pub(crate) struct $name {
            shadow: Shadow,
            inner: $raw,
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new(<$value>::default())
            }
        }

        impl $name {
            pub(crate) fn new(value: $value) -> Self {
                Self { shadow: Shadow::new(), inner: <$raw>::new(value) }
            }

            fn inner(&self) -> &$raw {
                self.shadow.touch();
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
    shadow: Shadow,
    inner: raw::AtomicPtr<T>,
}

impl<T> AtomicPtr<T> {
    pub(crate) fn new(value: *mut T) -> Self {
        Self { shadow: Shadow::new(), inner: raw::AtomicPtr::new(value) }
    }

    fn inner(&self) -> &raw::AtomicPtr<T> {
        self.shadow.touch();
        &self.inner
    }

    pub(crate) fn load(&self, ordering: Ordering) -> *mut T {
        self.inner().load(ordering)
    }

    pub(crate) fn store(&self, value: *mut T, ordering: Ordering) {
        self.inner().store(value, ordering);
    }

    pub(crate) fn swap(&self, value: *mut T, ordering: Ordering) -> *mut T {
        self.inner().swap(value, ordering)
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
