//! A model checker behind the same names: loom, which runs every schedule of something small, or shuttle, which draws random schedules of
//! something larger.
//!
//! Both run their threads one at a time on one thread of the machine, so book-keeping in plain memory and thread-locals is common to all
//! threads of an execution, and no part of what is checked.
//!
//! What is not modelled: `Arc` (std's own, taken on trust), timeouts (a wait with one returns at once, which is allowed, after a yield), and reclamation by
//! epochs itself, for which `epoch` is a stand-in with the same contract. Under shuttle, orderings weaker than SeqCst neither.

pub(crate) mod atomic;
mod canary;
pub(crate) mod cell;
pub(crate) mod epoch;
mod ring_memory;

#[cfg(loom)]
use loom as checker;
#[cfg(shuttle)]
use shuttle as checker;

pub(crate) use canary::Canary;
pub(crate) use checker::sync::Mutex;
pub(crate) use ring_memory::RingMemory;
pub(crate) use std::sync::Arc;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(crate) mod thread {
    pub(crate) use super::checker::thread::*;
}

pub(crate) fn spin_loop() {
    thread::yield_now();
}

/// How many slots a table that grows begins with. Loom's models are not about what they stand on; shuttle can afford that it grows, too.
#[cfg(loom)]
pub(crate) const INITIAL_SLOTS: usize = 16;
#[cfg(shuttle)]
pub(crate) const INITIAL_SLOTS: usize = 4;

pub(crate) fn null_pointers<T>(len: usize) -> Box<[atomic::AtomicPtr<T>]> {
    (0..len).map(|_| atomic::AtomicPtr::new(std::ptr::null_mut())).collect()
}

pub(crate) fn nap(_: Duration) {
    thread::yield_now();
}

/// Who sleeps, on the word at which address.
struct Sleeper {
    address: usize,
    thread: thread::Thread,
    /// Set when it is woken: a thread that is parked may come to without having been. Book-keeping, unseen by the checker.
    is_woken: Arc<AtomicBool>,
}

checker::lazy_static! {
    /// The sleepers, the first to come first.
    ///
    /// The kernel checks the word and goes to sleep in one step with respect to a wake; a mutex around the queue models just that.
    static ref QUEUE: Mutex<Vec<Sleeper>> = Mutex::new(Vec::new());
}

fn address(word: &atomic::AtomicU32) -> usize {
    std::ptr::from_ref(word).addr()
}

pub(crate) fn futex_wait(word: &atomic::AtomicU32, expected: u32, timeout: Option<Duration>) {
    if timeout.is_some() {
        return thread::yield_now();
    }
    let mut queue = QUEUE.lock().unwrap();
    // Acquire: pairs with the release that changed the word; the value alone decides, as in the kernel.
    if word.load(atomic::Ordering::Acquire) == expected {
        let is_woken = Arc::new(AtomicBool::new(false));
        let thread = thread::current();
        queue.push(Sleeper { address: address(word), thread, is_woken: Arc::clone(&is_woken) });
        drop(queue);
        loop {
            thread::park();
            // Relaxed: book-keeping on one thread of the machine.
            if is_woken.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

/// Wakes as many sleepers as the kernel would, and no more.
pub(crate) fn futex_wake(word: &atomic::AtomicU32, count: u32) {
    let mut queue = QUEUE.lock().unwrap();
    let mut left = count;
    let woken = queue.extract_if(.., |sleeper| {
        let wakes = left > 0 && sleeper.address == address(word);
        left -= u32::from(wakes);
        wakes
    });
    let woken: Vec<_> = woken.collect();
    drop(queue);
    for sleeper in woken {
        // Relaxed: as in `futex_wait`.
        sleeper.is_woken.store(true, Ordering::Relaxed);
        sleeper.thread.unpark();
    }
}
