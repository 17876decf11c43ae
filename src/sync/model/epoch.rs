//! A stand-in for epoch reclamation with crossbeam-epoch's contract, frugal with the checker's states.
//!
//! Contract: what is deferred while some guards live is freed after all of them are gone, and whoever pins after
//! that cannot reach it any more. The stand-in frees at the first moment when *nobody* is pinned, which is as early as the
//! contract allows for what was just deferred. Its book-keeping is invisible to the checker (which runs its threads one
//! at a time, on one thread), so it orders nothing, except this: a free happens before every later pin,
//! which crossbeam's epoch gives too, by its fences.

use super::checker;
use super::checker::sync::atomic::{AtomicUsize, Ordering};
use std::cell::RefCell;

type Free = Box<dyn FnOnce()>;

#[derive(Default)]
struct Collector {
    pinned: usize,
    deferred: Vec<Free>,
    freed_any: bool,
}

thread_local! {
    static COLLECTOR: RefCell<Collector> = RefCell::default();
}

checker::lazy_static! {
    /// Written when something is deferred or freed, read by pins after a free.
    static ref GRACE: AtomicUsize = AtomicUsize::new(0);
}

pub(crate) struct Guard(());

/// Forgets the execution before; to be called first in each model.
pub(crate) fn reset() {
    COLLECTOR.with_borrow_mut(|c| *c = Collector::default());
}

pub(crate) fn pin() -> Guard {
    let freed_any = COLLECTOR.with_borrow_mut(|c| {
        c.pinned += 1;
        c.freed_any
    });
    if freed_any {
        // Acquire: pairs with the release in `defer` and `unpin`; nothing freed is reachable from here on.
        GRACE.fetch_add(0, Ordering::Acquire);
    }
    Guard(())
}

fn unpin() {
    let quiet = COLLECTOR.with_borrow_mut(|c| {
        c.pinned -= 1;
        c.pinned == 0 && !c.deferred.is_empty()
    });
    if !quiet {
        return;
    }
    // AcqRel: acquires what was deferred, releases to later pins.
    GRACE.fetch_add(1, Ordering::AcqRel);
    // The access above lets others run: they may have pinned meanwhile.
    let free = COLLECTOR.with_borrow_mut(|c| {
        if c.pinned > 0 {
            return Vec::new();
        }
        c.freed_any = true;
        std::mem::take(&mut c.deferred)
    });
    free.into_iter().for_each(|free| free());
}

impl Guard {
    /// # Safety
    /// As for the real one.
    pub(crate) unsafe fn defer(&self, free: impl FnOnce() + 'static) {
        // Release: what was unlinked before is unlinked for whoever pins after the free.
        GRACE.fetch_add(1, Ordering::AcqRel);
        COLLECTOR.with_borrow_mut(|c| c.deferred.push(Box::new(free)));
    }

    pub(crate) fn flush(&self) {}

    pub(crate) fn repin(&mut self) {
        self.unpinned(|| ());
    }

    pub(crate) fn unpinned<R>(&mut self, act: impl FnOnce() -> R) -> R {
        unpin();
        let result = act();
        std::mem::forget(std::mem::replace(self, pin()));
        result
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        unpin();
    }
}
