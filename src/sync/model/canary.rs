//! A mark inside of what is reclaimed: freed memory is kept for the rest of the execution, and using it is a failure.

use std::cell::Cell;

thread_local! {
    static FREED: Cell<usize> = const { Cell::new(0) };
    static MADE: Cell<usize> = const { Cell::new(0) };
}

/// Part of an object that an epoch frees.
pub(crate) struct Canary(Cell<bool>);

// SAFETY: the checker runs its threads one at a time, and no access spans one that it sees.
unsafe impl Sync for Canary {}

impl Canary {
    pub(crate) fn new() -> Canary {
        MADE.set(MADE.get() + 1);
        Canary(Cell::new(false))
    }

    /// Fails the model if the object was freed. To be called after an access: the checker switches threads before each.
    pub(crate) fn check(&self) {
        assert!(!self.0.get(), "used after it was freed");
    }

    /// Marks the object as freed; its memory stays, so that a later use is seen.
    pub(crate) fn poison(&self) -> bool {
        assert!(!self.0.replace(true), "freed twice");
        FREED.set(FREED.get() + 1);
        false
    }

    /// How many objects of this execution are not freed yet.
    pub(crate) fn alive() -> usize {
        MADE.get() - FREED.get()
    }

    pub(crate) fn reset() {
        MADE.set(0);
        FREED.set(0);
    }
}
