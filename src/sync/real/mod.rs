//! The real machine: std, crossbeam-epoch, the futex system call.

mod canary;
mod ring_memory;

pub(crate) use canary::Canary;
pub(crate) use ring_memory::RingMemory;
pub(crate) use std::sync::{Arc, Condvar, Mutex};

use rustix::thread::futex;
use std::time::Duration;

pub(crate) mod atomic {
    pub(crate) use std::sync::atomic::*;
}

pub(crate) mod cell {
    /// `std::cell::UnsafeCell` with loom's way of getting at the value.
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, act: impl FnOnce(*mut T) -> R) -> R {
            act(self.0.get())
        }
    }
}

pub(crate) mod thread {
    pub(crate) use std::thread::*;
}

pub(crate) use std::hint::spin_loop;

/// How many slots a table that grows begins with.
pub(crate) const INITIAL_SLOTS: usize = 64;

/// So many null pointers, in memory that is not touched before it is used.
pub(crate) fn null_pointers<T>(len: usize) -> Box<[atomic::AtomicPtr<T>]> {
    // SAFETY: an atomic pointer is valid when it is all zeros, and then it is null.
    unsafe { Box::new_zeroed_slice(len).assume_init() }
}

/// Sleeps for a while: between looks at what another thread is about to do.
pub(crate) fn nap(time: Duration) {
    std::thread::sleep(time);
}

/// Sleeps while `*word == expected`, until woken or until `timeout`; may return early.
pub(crate) fn futex_wait(word: &atomic::AtomicU32, expected: u32, timeout: Option<Duration>) {
    let timeout =
        timeout.map(|t| futex::Timespec { tv_sec: t.as_secs() as _, tv_nsec: t.subsec_nanos() as _ });
    // Each error means "look again": the word changed, a signal came, the time is over.
    let _ = futex::wait(word, futex::Flags::PRIVATE, expected, timeout.as_ref());
}

/// Wakes up to `count` threads that sleep on `word`.
pub(crate) fn futex_wake(word: &atomic::AtomicU32, count: u32) {
    // The kernel takes the count as a signed number, and one below zero wakes a single thread.
    let count = count.min(i32::MAX as u32);
    // Fails for a bad address only, and this one is borrowed.
    let _ = futex::wake(word, futex::Flags::PRIVATE, count);
}

/// Epoch-based reclamation: crossbeam-epoch's default collector.
///
/// A guard lives as long as one step (a chain walk, a batch of a scan): what a snapshot sees is protected by
/// the snapshot's slot, not by a guard.
pub(crate) mod epoch {
    /// While it lives, nothing retired from now on is freed.
    pub(crate) struct Guard(crossbeam_epoch::Guard);

    #[inline]
    pub(crate) fn pin() -> Guard {
        Guard(crossbeam_epoch::pin())
    }

    impl Guard {
        /// Calls `free` when no guard that lives now lives any longer.
        ///
        /// # Safety
        /// What `free` frees must be out of reach for every guard made from now on; `free` may run on any thread.
        pub(crate) unsafe fn defer(&self, free: impl FnOnce() + 'static) {
            // SAFETY: the caller's promise is the one that crossbeam asks for.
            unsafe { self.0.defer_unchecked(free) }
        }

        /// Hands what this thread has deferred to the collector, which frees a few objects a pin otherwise.
        pub(crate) fn flush(&self) {
            self.0.flush();
        }

        /// Runs `act`, which may take its time, with nothing held back, at the price of everything reached through the guard so far.
        pub(crate) fn unpinned<R>(&mut self, act: impl FnOnce() -> R) -> R {
            self.0.repin_after(act)
        }

        /// Lets the collector go on, at the price of everything reached through the guard so far.
        pub(crate) fn repin(&mut self) {
            self.0.repin();
        }
    }
}
