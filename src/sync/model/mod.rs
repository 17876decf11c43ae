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

use std::collections::BTreeMap;
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

/// The kernel's queues: who sleeps on which word, and how many of them were woken.
///
/// The kernel checks the word and goes to sleep in one step with respect to a wake; a mutex and a condition
/// variable model just that. A wake is for those who sleep on that word, and for as many as it says.
struct Queues {
    sleepers: Mutex<BTreeMap<usize, Sleepers>>,
    changed: loom::sync::Condvar,
}

#[derive(Default)]
struct Sleepers {
    asleep: usize,
    woken: usize,
}

loom::lazy_static! {
    static ref QUEUES: Queues = Queues { sleepers: Mutex::new(BTreeMap::new()), changed: loom::sync::Condvar::new() };
}

pub(crate) fn futex_wait(word: &atomic::AtomicU32, expected: u32, timeout: Option<Duration>) {
    if timeout.is_some() {
        return loom::thread::yield_now();
    }
    let address = std::ptr::from_ref(word).addr();
    let mut sleepers = QUEUES.sleepers.lock().unwrap();
    // Acquire: pairs with the release that changed the word; the value alone decides, as in the kernel.
    if word.load(atomic::Ordering::Acquire) != expected {
        return;
    }
    sleepers.entry(address).or_default().asleep += 1;
    loop {
        sleepers = QUEUES.changed.wait(sleepers).unwrap();
        let here = sleepers.get_mut(&address).expect("we are in it");
        if here.woken > 0 {
            here.woken -= 1;
            return;
        }
    }
}

/// Wakes up to `count` of those who sleep on `word`.
pub(crate) fn futex_wake(word: &atomic::AtomicU32, count: u32) {
    let address = std::ptr::from_ref(word).addr();
    let mut sleepers = QUEUES.sleepers.lock().unwrap();
    let Some(here) = sleepers.get_mut(&address).filter(|here| here.asleep > 0) else {
        return;
    };
    let woken = here.asleep.min(count as usize);
    here.asleep -= woken;
    here.woken += woken;
    drop(sleepers);
    QUEUES.changed.notify_all();
}
