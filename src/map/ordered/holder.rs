//! A holder: the place of a block in a list.
//!
//! Its least key never changes. Its block is replaced by compare-exchange, by whoever changes what it holds; the last one is empty, and marked `DEAD`.
//! It is retired by the last of its owners: whoever puts it into the list above, and whoever takes it out of its own.

use super::super::Key;
use super::block::{Block, Item};
use crate::sync::Canary;
use crate::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use crate::sync::garbage::Reclaim;
use std::ptr::NonNull;

/// The tag of a block whose holder is on its way out.
const DEAD: usize = 1;

/// See the module.
#[repr(C)]
pub(super) struct Holder {
    /// In front, for it is an item of the list above.
    low: Key,
    block: AtomicPtr<Block>,
    owners: AtomicU32,
    canary: Canary,
}

/// What a holder has: a block, and whether the holder is dead.
#[derive(Clone, Copy)]
pub(super) struct Held(*mut Block);

impl Held {
    pub(super) fn is_dead(self) -> bool {
        self.0.addr() & DEAD != 0
    }

    pub(super) fn block(self) -> NonNull<Block> {
        NonNull::new(self.0.map_addr(|addr| addr & !DEAD)).expect("a holder has a block always")
    }
}

impl Holder {
    /// A holder that nobody else can see yet.
    pub(super) fn new(low: &[u8], block: NonNull<Block>) -> NonNull<Holder> {
        let (block, owners) = (AtomicPtr::new(block.as_ptr()), AtomicU32::new(2));
        NonNull::from(Box::leak(Box::new(Holder {
            low: Key::from(low),
            block,
            owners,
            canary: Canary::new(),
        })))
    }

    pub(super) fn low(&self) -> &[u8] {
        self.canary.check();
        &self.low
    }

    /// As an item of the list above.
    pub(super) fn as_item(&self) -> Item {
        NonNull::from(self).cast()
    }

    pub(super) fn held(&self) -> Held {
        // Acquire: pairs with `exchange`; who finds a block sees what is in it, and the holder behind.
        let held = self.block.load(Ordering::Acquire);
        self.canary.check();
        Held(held)
    }

    /// Puts another block in the place of one, unless something else was put there. True if it was.
    #[must_use]
    pub(super) fn replace(&self, held: Held, block: NonNull<Block>) -> bool {
        self.exchange(held, block.as_ptr())
    }

    /// The same, for good: the block is empty.
    #[must_use]
    pub(super) fn kill(&self, held: Held, block: NonNull<Block>) -> bool {
        self.exchange(held, block.as_ptr().map_addr(|addr| addr | DEAD))
    }

    fn exchange(&self, held: Held, new: *mut Block) -> bool {
        debug_assert!(!held.is_dead());
        // AcqRel: releases the block to those who find it; failure Relaxed: they look again.
        self.block.compare_exchange(held.0, new, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// One owner less. True for the last one, who has to retire it.
    #[must_use]
    pub(super) fn disown(&self) -> bool {
        // AcqRel: releases what the owner did to whoever retires the holder, acquires what the other one did.
        self.owners.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

impl Reclaim for Holder {
    /// Its block goes with it.
    ///
    /// # Safety
    /// As of the trait.
    unsafe fn reclaim(holder: NonNull<Holder>) {
        // SAFETY: alive until this call, by the contract.
        let owned = unsafe { holder.as_ref() };
        // SAFETY: nobody reaches it but through its holder, and it is not replaced any more.
        unsafe { Block::reclaim(owned.held().block()) };
        if owned.canary.poison() {
            // SAFETY: from a box, see `new`.
            drop(unsafe { Box::from_raw(holder.as_ptr()) });
        }
    }
}
