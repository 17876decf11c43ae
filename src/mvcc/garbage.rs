//! What was unlinked and waits for its epoch: collected per thread, handed to the collector in batches.
//!
//! One deferred free for each version would cost more than the version. A batch is deferred later than its first member was
//! unlinked, which errs on the safe side. A thread that ends defers what it has.

use super::state::TxnState;
use super::version::Version;
use crate::sync::epoch::{self, Guard};
use std::cell::RefCell;
use std::ptr::NonNull;

/// How many objects go into one deferred free; in a model each its own, so that they are freed as early as can be.
const BATCH: usize = if cfg!(any(loom, shuttle)) { 1 } else { 64 };
/// States a thread keeps for its next transactions.
const STATES_KEPT: usize = 256;

#[derive(Default)]
struct Bag {
    versions: Vec<NonNull<Version>>,
    states: Vec<NonNull<TxnState>>,
}

impl Bag {
    const EMPTY: Bag = Bag { versions: Vec::new(), states: Vec::new() };

    fn is_empty(&self) -> bool {
        self.versions.is_empty() && self.states.is_empty()
    }

    /// # Safety
    /// Everything in the bag is out of reach for guards made from now on.
    unsafe fn free(self) {
        for version in self.versions {
            // SAFETY: unlinked, and put into one bag once, by the contracts of `retire_version`.
            unsafe { Version::free(version) }
        }
        FREE_STATES
            .try_with(|kept| {
                let kept = &mut kept.borrow_mut().0;
                for &state in &self.states {
                    // SAFETY: alive until now, by the contract of `retire_state`.
                    if unsafe { state.as_ref() }.retire() {
                        kept.push(state);
                    }
                }
                kept.drain(STATES_KEPT.min(kept.len())..).for_each(free_state);
            })
            // The thread is ending, its list is gone.
            .unwrap_or_else(|_| self.states.iter().copied().for_each(free_state));
    }
}

fn free_state(state: NonNull<TxnState>) {
    // SAFETY: from `Box::into_raw` in `new_state`, out of reach by now.
    drop(unsafe { Box::from_raw(state.as_ptr()) });
}

struct ThreadBag(Bag);

impl Drop for ThreadBag {
    fn drop(&mut self) {
        let bag = std::mem::take(&mut self.0);
        if !bag.is_empty() {
            defer(bag, &epoch::pin());
        }
    }
}

struct FreeStates(Vec<NonNull<TxnState>>);

impl Drop for FreeStates {
    fn drop(&mut self) {
        self.0.drain(..).for_each(free_state);
    }
}

thread_local! {
    static BAG: RefCell<ThreadBag> = const { RefCell::new(ThreadBag(Bag::EMPTY)) };
    static FREE_STATES: RefCell<FreeStates> = const { RefCell::new(FreeStates(Vec::new())) };
}

fn defer(bag: Bag, guard: &Guard) {
    if bag.is_empty() {
        return;
    }
    // SAFETY: everything in a bag was unlinked before it was put there; versions and states may be freed by any thread.
    unsafe { guard.defer(move || bag.free()) }
}

fn collect(guard: &Guard, put: impl FnOnce(&mut Bag)) {
    let full = BAG.try_with(|bag| {
        let bag = &mut bag.borrow_mut().0;
        put(bag);
        (bag.versions.len() + bag.states.len() >= BATCH).then(|| {
            let next = Bag { versions: Vec::with_capacity(BATCH), states: Vec::with_capacity(BATCH) };
            std::mem::replace(bag, next)
        })
    });
    if let Ok(Some(full)) = full {
        defer(full, guard);
        guard.flush();
    }
}

/// Frees a version once its epoch is over.
///
/// # Safety
/// It is unlinked: no guard made from now on reaches it. Called once for each version.
pub(crate) unsafe fn retire_version(version: NonNull<Version>, guard: &Guard) {
    collect(guard, |bag| bag.versions.push(version));
}

/// A state for the next transaction.
fn new_state() -> NonNull<TxnState> {
    let kept = FREE_STATES.try_with(|kept| kept.borrow_mut().0.pop()).ok().flatten();
    match kept {
        Some(state) => {
            // SAFETY: its epoch is over, so it is this thread's alone.
            unsafe { state.write(TxnState::new()) };
            state
        }
        None => NonNull::from(Box::leak(Box::new(TxnState::new()))),
    }
}

/// Frees a state once its epoch is over.
///
/// # Safety
/// No version carries it as its stamp any more, or all that do are unlinked. Called once for each state.
unsafe fn retire_state(state: NonNull<TxnState>, guard: &Guard) {
    collect(guard, |bag| bag.states.push(state));
}

/// Hands over what this thread has collected: for a sweep, which ends here for a while.
pub(crate) fn flush(guard: &Guard) {
    let bag = BAG.try_with(|bag| std::mem::take(&mut bag.borrow_mut().0)).unwrap_or_default();
    defer(bag, guard);
    guard.flush();
}

/// The state of the transaction that is committing on this thread.
pub(crate) struct OwnState(NonNull<TxnState>);

impl OwnState {
    pub(crate) fn new() -> OwnState {
        OwnState(new_state())
    }

    /// What the versions carry until they are stamped.
    pub(crate) fn address(&self) -> NonNull<TxnState> {
        self.0
    }

    /// The transaction is decided: every version carries its position, or is unlinked.
    pub(crate) fn retire(self) {
        // SAFETY: by the line above nobody comes to the state any more but those who are on their way; once, by value.
        unsafe { retire_state(self.0, &epoch::pin()) }
    }
}

impl std::ops::Deref for OwnState {
    type Target = TxnState;

    fn deref(&self) -> &TxnState {
        // SAFETY: alive until it is retired, which takes `self`.
        unsafe { self.0.as_ref() }
    }
}
