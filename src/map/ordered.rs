//! The ordered part: crossbeam-skiplist with explicit guards.
//!
//! Never `SkipMap`, whose entries write a shared counter on each read; never a replacing insert, which removes the old node
//! first, so that readers miss a key that is always there.

use super::{Key, Link, Towards};
use crate::sync::epoch::{self, Guard};
use crossbeam_skiplist::base::SkipList;
use std::ops::Bound;

pub(super) struct Ordered<T>(SkipList<Key, Link<T>>);

impl<T: Send + Sync + 'static> Ordered<T> {
    pub(super) fn new() -> Self {
        Ordered(SkipList::new(epoch::collector()))
    }

    pub(super) fn get(&self, key: &[u8], guard: &Guard) -> Option<Link<T>> {
        self.0.get(key, guard.collector_guard()).map(|entry| *entry.value())
    }

    /// What is under `key` now: what was there, or `link`.
    pub(super) fn get_or_insert(&self, key: &[u8], link: Link<T>, guard: &Guard) -> Link<T> {
        let guard = guard.collector_guard();
        let entry = self.0.get_or_insert(Key::from(key), link, guard);
        let found = *entry.value();
        entry.release(guard);
        found
    }

    /// Removes the entry under `key` if it holds `link`.
    pub(super) fn remove(&self, key: &[u8], link: Link<T>, guard: &Guard) {
        if let Some(entry) = self.0.get(key, guard.collector_guard())
            && *entry.value() == link
        {
            entry.remove();
        }
    }

    /// Whether the first key is this one. No search.
    pub(super) fn has_first(&self, key: &[u8], guard: &Guard) -> bool {
        self.0.front(guard.collector_guard()).is_some_and(|first| **first.key() == *key)
    }

    /// The range must not be one that holds nothing whatever the map holds.
    pub(super) fn scan<'g>(
        &'g self,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        towards: Towards,
        guard: &'g Guard,
        mut visit: impl FnMut(&'g Key, Link<T>) -> bool,
    ) -> bool {
        let guard = guard.collector_guard();
        let mut entries = self.0.range::<[u8], _>(range, guard);
        loop {
            let next = match towards {
                Towards::Greater => entries.next(),
                Towards::Lesser => entries.next_back(),
            };
            match next {
                None => return true,
                Some(entry) => {
                    if !visit(entry.key(), *entry.value()) {
                        return false;
                    }
                }
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<T> Ordered<T> {
    /// Hands out every link, for whoever has the map to himself and is about to drop it.
    pub(super) fn drain(&mut self, mut take: impl FnMut(Link<T>)) {
        let guard = epoch::pin();
        for entry in self.0.iter(guard.collector_guard()) {
            take(*entry.value());
        }
    }
}
