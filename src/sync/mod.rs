//! The one door to atomics, cells, threads, parking and epoch reclamation.
//!
//! Everything concurrent in this crate goes through here, so that the same source runs on the real machine (`real`) and
//! inside a model checker: loom, or shuttle (`model`, compiled with `--cfg loom` or `--cfg shuttle`). Both offer the same names:
//!
//! | name | real | model |
//! | --- | --- | --- |
//! | `atomic` | `std::sync::atomic` | the checker's; loom's behind a shadow access each (see `model::atomic`) |
//! | `epoch` | crossbeam-epoch | a stand-in that frees at the first moment when nobody is pinned, and poisons |
//! | `cell` | `std::cell` | loom's, which reports races; under shuttle one that reports overlapping accesses |
//! | `futex_wait`, `futex_wake` | the futex system call | a queue of parked threads behind the checker's mutex |
//! | `RingMemory` | one aligned allocation | one such cell a word, so that a racing copy is reported |
//!
//! `step` marks the labelled steps of the protocols, where a test parks a thread for good.

pub(crate) mod garbage;
mod joined_pool;
mod latest;
#[cfg(any(loom, shuttle))]
mod model;
pub(crate) mod pool;
#[cfg(not(any(loom, shuttle)))]
mod real;
mod step;
mod try_lock;
pub(crate) mod wakers;

pub(crate) use joined_pool::JoinedPool;
pub(crate) use latest::Latest;
#[cfg(any(loom, shuttle))]
pub(crate) use model::{
    Arc, Canary, INITIAL_SLOTS, Mutex, RingMemory, atomic, cell, epoch, futex_wait, futex_wake, nap,
    null_pointers, spin_loop, thread,
};
#[cfg(not(any(loom, shuttle)))]
pub(crate) use real::Condvar;
#[cfg(not(any(loom, shuttle)))]
pub(crate) use real::{
    Arc, Canary, INITIAL_SLOTS, Mutex, RingMemory, atomic, cell, epoch, futex_wait, futex_wake, nap,
    null_pointers, spin_loop, thread,
};
pub(crate) use step::{Step, step};
#[cfg(all(test, not(any(loom, shuttle))))]
pub(crate) use step::{park_at, release_parked};
pub(crate) use try_lock::TryLock;

pub(crate) use crossbeam_utils::CachePadded;

/// How often to look again before taking a decision away from somebody who is mostly about to make it himself.
///
/// None in a model: a thread that yields under loom is passed over until all others are stuck, so it would find the decision made always.
pub(crate) const SPIN_LIMIT: usize = if cfg!(any(loom, shuttle)) { 0 } else { 64 };

/// Takes a mutex of a cold path; a panic of its holder left nothing half-done that we rely on.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> impl std::ops::DerefMut<Target = T> + '_ {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Has the memory at an address brought near, for whoever will look at it soon. Any address will do; nothing is read.
#[inline]
pub(crate) fn prefetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch has no effect that the program can see, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// The same for so many bytes from an address on, all at once: who reads them would come to one line after the other.
#[inline]
pub(crate) fn prefetch_bytes<T>(address: *const T, bytes: usize) {
    const LINE_BYTES: usize = 64;
    let lines = (0..bytes).step_by(LINE_BYTES);
    lines.for_each(|offset| prefetch(address.cast::<u8>().wrapping_add(offset)));
}
