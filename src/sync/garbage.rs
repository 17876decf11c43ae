//! What was unlinked and waits for its epoch: collected per thread, handed to the collector in batches.
//!
//! A deferred free for each object would cost more than a small object does, and the collector runs a few of them a pin: who unlinks more
//! under one pin would be ahead of it for ever. A batch is deferred later than its first member was unlinked, which errs on the safe side. A thread that
//! ends defers what it has.

use super::epoch::{self, Guard};
use std::cell::RefCell;
use std::ptr::NonNull;

/// How many objects go into one deferred free; in a model each its own, so that they are freed as early as can be.
const BATCH: usize = if cfg!(any(loom, shuttle)) { 1 } else { 64 };

/// What is retired when it was unlinked, and given back when nobody can reach it any more.
pub(crate) trait Reclaim: 'static {
    /// Gives it back to where it came from, on whatever thread.
    ///
    /// # Safety
    /// Nobody can reach it any more, and this is the only call for it.
    unsafe fn reclaim(object: NonNull<Self>);
}

/// An object that waits.
#[derive(Clone, Copy)]
struct Waiting {
    object: NonNull<u8>,
    reclaim: unsafe fn(NonNull<u8>),
}

impl Waiting {
    fn new<T: Reclaim>(object: NonNull<T>) -> Waiting {
        // SAFETY: called with `object`, once and when nobody can reach it: see `Batch::reclaim`.
        Waiting { object: object.cast(), reclaim: |object| unsafe { T::reclaim(object.cast()) } }
    }
}

#[derive(Default)]
struct Batch(Vec<Waiting>);

impl Batch {
    fn defer(self, guard: &Guard) {
        if self.0.is_empty() {
            return;
        }
        // SAFETY: everything in a batch was unlinked before it was put there, and may be given back by any thread, by the contract of `retire`.
        unsafe { guard.defer(move || self.reclaim()) }
    }

    /// # Safety
    /// Everything in the batch is out of reach for guards made from now on.
    unsafe fn reclaim(self) {
        for waiting in self.0 {
            // SAFETY: unlinked, and retired once, by the contract of `retire`.
            unsafe { (waiting.reclaim)(waiting.object) }
        }
    }
}

/// What a thread has collected.
struct Collected(Batch);

impl Drop for Collected {
    fn drop(&mut self) {
        if !self.0.0.is_empty() {
            std::mem::take(&mut self.0).defer(&epoch::pin());
        }
    }
}

thread_local! {
    static COLLECTED: RefCell<Collected> = const { RefCell::new(Collected(Batch(Vec::new()))) };
}

/// Gives an object back once its epoch is over.
///
/// # Safety
/// It is unlinked: no guard made from now on reaches it. Called once for each object. Any thread may drop what is in it.
pub(crate) unsafe fn retire<T: Reclaim>(object: NonNull<T>, guard: &Guard) {
    let waiting = Waiting::new(object);
    let full = COLLECTED.try_with(|collected| {
        let collected = &mut collected.borrow_mut().0.0;
        collected.push(waiting);
        (collected.len() >= BATCH).then(|| std::mem::replace(collected, Vec::with_capacity(BATCH)))
    });
    match full {
        Ok(None) => {}
        Ok(Some(full)) => {
            Batch(full).defer(guard);
            guard.flush();
        }
        // The thread is ending, its batch is gone.
        Err(_) => Batch(vec![waiting]).defer(guard),
    }
}

/// Hands over what this thread has collected: for who stops here for a while.
pub(crate) fn flush(guard: &Guard) {
    let collected = COLLECTED.try_with(|collected| std::mem::take(&mut collected.borrow_mut().0));
    collected.unwrap_or_default().defer(guard);
    guard.flush();
}
