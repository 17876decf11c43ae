//! A stand-in under loom and shuttle for the ordered part, whose own steps, which it has models for, would multiply with those of everything above it.
//!
//! Each operation is atomic, and what an operation finds happened before it: weaker would not be a map, and stronger is not
//! given to callers by the real one either, but for the ordering between operations on *different* keys, which the stand-in's one
//! word gives and the real one need not.

use super::{Key, Link, Towards};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::epoch::Guard;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Bound;

struct Shared<T> {
    /// Makes each operation a point where the checker may switch, and orders the operations.
    turn: AtomicUsize,
    entries: RefCell<BTreeMap<Key, Link<T>>>,
}

// SAFETY: the checker runs its threads one at a time, and no borrow lasts across an access that it sees.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Send for Shared<T> {}

impl<T> Shared<T> {
    fn new() -> Self {
        Shared { turn: AtomicUsize::new(0), entries: RefCell::default() }
    }

    fn with<R>(&self, operate: impl FnOnce(&mut BTreeMap<Key, Link<T>>) -> R) -> R {
        // AcqRel: what an operation finds happened before it.
        self.turn.fetch_add(1, Ordering::AcqRel);
        operate(&mut self.entries.borrow_mut())
    }

    fn insert_if_absent(&self, key: &[u8], link: Link<T>) -> Option<Link<T>> {
        self.with(|entries| match entries.get(key) {
            Some(found) => Some(*found),
            None => {
                entries.insert(Key::from(key), link);
                None
            }
        })
    }

    fn remove(&self, key: &[u8], link: Link<T>) {
        self.with(|entries| {
            if entries.get(key) == Some(&link) {
                entries.remove(key);
            }
        });
    }
}

pub(super) struct Ordered<T>(Shared<T>);

impl<T> Ordered<T> {
    pub(super) fn new() -> Self {
        Ordered(Shared::new())
    }

    pub(super) fn get(&self, key: &[u8], _: &Guard) -> Option<Link<T>> {
        self.0.with(|entries| entries.get(key).copied())
    }

    pub(super) fn get_or_insert(&self, key: &[u8], link: Link<T>, _: &Guard) -> Link<T> {
        self.0.insert_if_absent(key, link).unwrap_or(link)
    }

    pub(super) fn remove(&self, key: &[u8], link: Link<T>, _: &Guard) {
        self.0.remove(key, link);
    }

    pub(super) fn has_first(&self, key: &[u8], _: &Guard) -> bool {
        self.0.with(|entries| entries.first_key_value().is_some_and(|(first, _)| **first == *key))
    }

    /// The range must not be one that holds nothing whatever the map holds.
    pub(super) fn scan<'g>(
        &'g self,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        towards: Towards,
        _: &'g Guard,
        mut visit: impl FnMut(&'g Key, Link<T>) -> bool,
    ) -> bool {
        let mut found: Vec<(Key, Link<T>)> = self.0.with(|entries| {
            entries.range::<[u8], _>(range).map(|(key, link)| (key.clone(), *link)).collect()
        });
        if towards == Towards::Lesser {
            found.reverse();
        }
        // Leaked: the keys of the real one live in its nodes, as long as the guard; a model is small and short.
        found.into_iter().all(|(key, link)| visit(Box::leak(Box::new(key)), link))
    }

    pub(super) fn len(&self) -> usize {
        self.0.with(|entries| entries.len())
    }

    pub(super) fn drain(&mut self, mut take: impl FnMut(Link<T>)) {
        self.0.entries.get_mut().values().for_each(|link| take(*link));
    }
}
