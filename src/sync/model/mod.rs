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

/// Who sleeps, by the address of the word, the first to come first.
///
/// The kernel checks the word and goes to sleep in one step with respect to a wake; a mutex around the queue models just that.
type Queue = Mutex<Vec<(usize, thread::Thread)>>;

loom::lazy_static! {
    static ref QUEUE: Queue = Mutex::new(Vec::new());
}

fn address(word: &atomic::AtomicU32) -> usize {
    std::ptr::from_ref(word).addr()
}

pub(crate) fn futex_wait(word: &atomic::AtomicU32, expected: u32, timeout: Option<Duration>) {
    if timeout.is_some() {
        return loom::thread::yield_now();
    }
    let mut queue = QUEUE.lock().unwrap();
    // Acquire: pairs with the release that changed the word; the value alone decides, as in the kernel.
    if word.load(atomic::Ordering::Acquire) == expected {
        queue.push((address(word), thread::current()));
        drop(queue);
        thread::park();
    }
}

/// Wakes as many sleepers as the kernel would, and no more.
pub(crate) fn futex_wake(word: &atomic::AtomicU32, count: u32) {
    let mut queue = QUEUE.lock().unwrap();
    let mut left = count;
    let woken = queue.extract_if(.., |(asleep_at, _)| {
        let wakes = left > 0 && *asleep_at == address(word);
        left -= u32::from(wakes);
        wakes
    });
    let woken: Vec<_> = woken.collect();
    drop(queue);
    woken.into_iter().for_each(|(_, sleeper)| sleeper.unpark());
}
