//! Records that lately got a new version on top: pruned a little later, in batches, while they are warm still.
//!
//! To prune right at a commit would find nothing: what was just superseded is garbage only when the horizon has passed the commit, and
//! raising the horizon looks at every snapshot's slot, too much for each commit. To leave it to the next commit on the record keeps two
//! versions of each where one is enough, and meets the older one when it is cold. So each thread gathers the records it wrote to, and
//! when a batch is full, raises the horizon once and prunes them all.
//!
//! They are remembered by key, not by address: a record may die meanwhile. What a thread still has when it ends, goes idle or
//! turns to another store is left to the sweep. Under loom and shuttle each record is pruned at once, so that every commit meets a pruning.

use super::store::Space;
use crate::lsn::LogEnd;
use crate::map::Key;
use crate::sync::Arc;
use std::cell::RefCell;
use std::ptr::NonNull;

/// How many records are pruned at a time.
pub(crate) const BATCH: usize = if cfg!(any(loom, shuttle)) { 1 } else { 64 };

/// Where a superseded version is.
pub(super) type Place = (NonNull<Space>, Key);

struct Queue {
    /// Which store the places are in: its log's end, held so that no other store's can have its address.
    store: Option<Arc<LogEnd>>,
    places: Vec<Place>,
}

thread_local! {
    static QUEUE: RefCell<Queue> = const { RefCell::new(Queue { store: None, places: Vec::new() }) };
}

/// Adds a place in the store whose log ends at `store`. Hands out the batch when it is full: all its places are in that store.
pub(super) fn add(store: &Arc<LogEnd>, space: &Space, key: Key) -> Option<Vec<Place>> {
    let place = (NonNull::from(space), key);
    if BATCH == 1 {
        return Some(vec![place]);
    }
    QUEUE
        .try_with(|queue| {
            let queue = &mut *queue.borrow_mut();
            if !queue.store.as_ref().is_some_and(|known| Arc::ptr_eq(known, store)) {
                *queue = Queue { store: Some(Arc::clone(store)), places: Vec::with_capacity(BATCH) };
            }
            queue.places.push(place);
            (queue.places.len() >= BATCH)
                .then(|| std::mem::replace(&mut queue.places, Vec::with_capacity(BATCH)))
        })
        // The thread is ending: the sweep comes by.
        .unwrap_or_default()
}
