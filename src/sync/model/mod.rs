//! The loom model checker behind the same names.
//!
//! What is not modelled: `Arc` (std's own, taken on trust), timeouts (a wait with one returns at once, which is allowed, after a yield), and reclamation by
//! epochs itself, for which `epoch` is a stand-in with the same contract.

pub(crate) mod atomic;
mod canary;
pub(crate) mod epoch;
mod ring_memory;

pub(crate) use canary::Canary;
pub(crate) use loom::sync::Mutex;
pub(crate) use ring_memory::RingMemory;
pub(crate) use std::sync::Arc;

use std::time::Duration;

pub(crate) mod cell {
    pub(crate) use loom::cell::UnsafeCell;
}

pub(crate) mod thread {
    pub(crate) use loom::thread::*;
}

pub(crate) fn spin_loop() {
    loom::thread::yield_now();
}

pub(crate) fn nap(_: Duration) {
    loom::thread::yield_now();
}

/// A futex's word with what models the kernel's queue for it.
///
/// The kernel checks the word and goes to sleep in one step with respect to a wake; a mutex and a condition
/// variable in a table by address model just that.
struct Queue {
    mutex: Mutex<()>,
    changed: loom::sync::Condvar,
}

loom::lazy_static! {
    static ref QUEUE: Queue = Queue { mutex: Mutex::new(()), changed: loom::sync::Condvar::new() };
}

pub(crate) fn futex_wait(word: &atomic::AtomicU32, expected: u32, timeout: Option<Duration>) {
    if timeout.is_some() {
        return loom::thread::yield_now();
    }
    let asleep = QUEUE.mutex.lock().unwrap();
    // Acquire: pairs with the release that changed the word; the value alone decides, as in the kernel.
    if word.load(atomic::Ordering::Acquire) == expected {
        drop(QUEUE.changed.wait(asleep).unwrap());
    }
}

/// Wakes every sleeper, as a futex may: each looks at its word again.
pub(crate) fn futex_wake(_: &atomic::AtomicU32, _: u32) {
    drop(QUEUE.mutex.lock().unwrap());
    QUEUE.changed.notify_all();
}
