//! Records that lately got a new version on top: pruned a little later, in batches, while they are warm still.
//!
//! To prune right at a commit would look at every snapshot's slot for each, for that is what raising the horizon takes. To leave it to the
//! next commit on the record keeps two versions of each where one is enough, and meets the older one when it is cold. So each thread gathers
//! the records it wrote to, and when a batch is full, raises the horizon once and prunes them all.
//!
//! A thread's first batches are small, each twice the one before, so that a thread that ends soon has pruned at least half of what
//! it superseded; the rest is left to the sweep. A thread has one queue, and begins anew when it turns to another store.
//!
//! Records are remembered by key, not by address: a record may die meanwhile. Under loom and shuttle each is pruned at once, so that
//! every commit meets a pruning.

use super::store::Space;
use crate::map::Key;
use crate::sync::Arc;
use std::cell::RefCell;
use std::ptr::NonNull;

/// How many records are pruned at a time, at most.
const BATCH_MAX: usize = if cfg!(any(loom, shuttle)) { 1 } else { 64 };

/// Tells one store from all others, those that are no more included, as long as somebody holds it.
#[derive(Clone)]
pub(super) struct StoreIdentity(Arc<()>);

impl StoreIdentity {
    pub(super) fn new() -> StoreIdentity {
        StoreIdentity(Arc::new(()))
    }
}

/// Where a superseded version is.
pub(super) type Place = (NonNull<Space>, Key);

struct Queue {
    /// Which store the places are in.
    store: Option<StoreIdentity>,
    places: Vec<Place>,
    batch: usize,
}

thread_local! {
    static QUEUE: RefCell<Queue> = const { RefCell::new(Queue { store: None, places: Vec::new(), batch: 1 }) };
}

/// Adds a place in `store`. Hands out the batch when it is full: all its places were added for that same store.
pub(super) fn add(store: &StoreIdentity, space: &Space, key: Key) -> Option<Vec<Place>> {
    let place = (NonNull::from(space), key);
    QUEUE
        .try_with(|queue| {
            let queue = &mut *queue.borrow_mut();
            if !queue.store.as_ref().is_some_and(|known| Arc::ptr_eq(&known.0, &store.0)) {
                *queue = Queue { store: Some(store.clone()), places: Vec::new(), batch: 1 };
            }
            queue.places.push(place);
            (queue.places.len() >= queue.batch).then(|| {
                queue.batch = (queue.batch * 2).min(BATCH_MAX);
                std::mem::replace(&mut queue.places, Vec::with_capacity(queue.batch))
            })
        })
        // The thread is ending: the sweep comes by.
        .unwrap_or_default()
}
