//! Tasks that wait for the next event: a stack that anybody pushes to, and whoever brings the event about takes as a whole.
//!
//! Nobody waits for anybody, and no event is missed: who waits pushes first and looks for the event then; who brings it about does so first and takes the
//! stack then. Both go through one word by read-modify-write. If the push comes first, its waker is taken. If the taking comes first, the push acquires what was
//! released by it, and the look behind the push finds the event.

use super::Arc;
use super::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::ptr;
use std::task::Waker;

/// See the module.
pub(crate) struct Wakers {
    first: AtomicPtr<Waiting>,
}

struct Waiting {
    waker: Waker,
    is_waiting: Arc<AtomicBool>,
    next: *mut Waiting,
}

/// Somebody who waits, time and again: on the stack once at most for one waker.
pub(crate) struct Sleeper {
    is_waiting: Arc<AtomicBool>,
    waker: Option<Waker>,
}

impl Sleeper {
    pub(crate) fn new() -> Sleeper {
        Sleeper { is_waiting: Arc::new(AtomicBool::new(false)), waker: None }
    }
}

impl Wakers {
    pub(crate) fn new() -> Wakers {
        Wakers { first: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Has `waker` woken by the next event. Look for the event once more behind this.
    pub(crate) fn add(&self, sleeper: &mut Sleeper, waker: &Waker) {
        // Acquire: pairs with the release in `take`; a waker that was taken is to be pushed again.
        let waits = sleeper.is_waiting.load(Ordering::Acquire);
        if waits && sleeper.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            return;
        }
        // What a former waker still waits for counts for itself.
        sleeper.is_waiting = Arc::new(AtomicBool::new(true));
        sleeper.waker = Some(waker.clone());
        let is_waiting = Arc::clone(&sleeper.is_waiting);
        let waiting =
            Box::into_raw(Box::new(Waiting { waker: waker.clone(), is_waiting, next: ptr::null_mut() }));
        // Relaxed: only compared and kept; whoever takes the stack acquires what is in it.
        let mut first = self.first.load(Ordering::Relaxed);
        loop {
            // SAFETY: ours until it is pushed.
            unsafe { (*waiting).next = first };
            // AcqRel: publishes the waker to `take`, and acquires the event of a `take` before; see the module. Failure Relaxed: as above.
            match self.first.compare_exchange(first, waiting, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => first = now,
            }
        }
    }

    /// Wakes all who wait, after an event.
    pub(crate) fn wake_all(&self) {
        self.take(|waiting| waiting.waker.wake());
    }

    fn take(&self, mut each: impl FnMut(Waiting)) {
        // AcqRel: acquires the wakers, and releases the event to whoever pushes from now on; see the module.
        let mut next = self.first.swap(ptr::null_mut(), Ordering::AcqRel);
        while !next.is_null() {
            // SAFETY: from `Box::into_raw` in `add`; the stack was taken as a whole, by us alone.
            let waiting = unsafe { Box::from_raw(next) };
            next = waiting.next;
            // Release: pairs with the load in `add`.
            waiting.is_waiting.store(false, Ordering::Release);
            each(*waiting);
        }
    }
}

impl Drop for Wakers {
    fn drop(&mut self) {
        self.take(drop);
    }
}
