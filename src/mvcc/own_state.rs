//! The state of a transaction that is committing; recycled within each thread.

use super::state::TxnState;
use crate::sync::epoch;
use crate::sync::garbage::{self, Reclaim};
use std::cell::RefCell;
use std::ptr::NonNull;

/// States a thread keeps for its next transactions.
const KEPT: usize = 256;

struct FreeStates(Vec<NonNull<TxnState>>);

impl Drop for FreeStates {
    fn drop(&mut self) {
        self.0.drain(..).for_each(free);
    }
}

thread_local! {
    static FREE_STATES: RefCell<FreeStates> = const { RefCell::new(FreeStates(Vec::new())) };
}

fn free(state: NonNull<TxnState>) {
    // SAFETY: from a box, see `new_state`, and out of reach by now.
    drop(unsafe { Box::from_raw(state.as_ptr()) });
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

impl Reclaim for TxnState {
    /// # Safety
    /// As of the trait.
    unsafe fn reclaim(state: NonNull<TxnState>) {
        // SAFETY: alive until now, by the contract.
        if !unsafe { state.as_ref() }.retire() {
            return;
        }
        let is_kept = FREE_STATES.try_with(|kept| {
            let kept = &mut kept.borrow_mut().0;
            let has_room = kept.len() < KEPT;
            if has_room {
                kept.push(state);
            }
            has_room
        });
        // If the thread is ending, its list is gone.
        if !is_kept.unwrap_or(false) {
            free(state);
        }
    }
}

/// See the module.
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
        unsafe { garbage::retire(self.0, &epoch::pin()) }
    }
}

impl std::ops::Deref for OwnState {
    type Target = TxnState;

    fn deref(&self) -> &TxnState {
        // SAFETY: alive until it is retired, which takes `self`.
        unsafe { self.0.as_ref() }
    }
}
