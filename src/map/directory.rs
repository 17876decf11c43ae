//! The hash directory: papaya, from key to node. It resizes by itself, in steps taken by writers.
//!
//! The caller has pinned the epoch before it looks up: the node then outlives papaya's own, shorter protection.

use super::{Key, Link};
use foldhash::fast::RandomState;
use papaya::HashMap;

pub(super) struct Directory<T>(HashMap<Key, Link<T>, RandomState>);

impl<T> Directory<T> {
    pub(super) fn new() -> Self {
        Directory(HashMap::with_hasher(RandomState::default()))
    }

    #[inline]
    pub(super) fn get(&self, key: &[u8]) -> Option<Link<T>> {
        self.0.get(key, &self.0.guard()).copied()
    }

    /// What was there already, if anything: then nothing changes.
    pub(super) fn insert_if_absent(&self, key: &[u8], link: Link<T>) -> Option<Link<T>> {
        self.0.try_insert(Key::from(key), link, &self.0.guard()).err().map(|occupied| *occupied.current)
    }

    /// Removes the entry under `key` if it holds `link`.
    pub(super) fn remove(&self, key: &[u8], link: Link<T>) {
        // An error says that another link is there, which stays.
        let _ = self.0.remove_if(key, |_, found| *found == link, &self.0.guard());
    }
}
