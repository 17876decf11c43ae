//! The ordered lock-free map from byte keys to nodes, with a hash directory in front for point reads.
//!
//! Two structures hold the same nodes: a list of blocks for order (`ordered`; where the map is modelled a stand-in with the
//! same contract, `model`: the list has models of its own), and a hash table for point reads (`directory`). A protocol keeps them one map:
//!
//! - A node is *linked* in the ordered part first, which decides who creates it, then in the directory, before
//!   [`Map::get_or_insert`] returns it to anybody. So what was ever written to is found by both.
//! - Linking is counted (`Node::links`). Removal marks the node `DYING`; from then on nobody may begin to link it. It is taken out of both
//!   parts by whoever marks it and by whoever meets it, which does no harm twice. It is retired once, when it is dying *and*
//!   nobody is linking it any more: only then can nobody put it back.
//! - Entries are removed only if they hold the very node that is meant: another may be there under the same key.
//!
//! A map whose keys are walked in order and hardly ever asked for one by one goes without a directory: the protocol is the same, and its steps there are
//! nothing. A look-up goes by the ordered part then, and may meet a dying node, as one may that the directory sends there.
//!
//! What recovery finds goes a shorter way (`loaded`): its nodes are in the directory, and in order by where they lie.
//!
//! A node is in reach while the guard lives under which it was found.
//!
//! The map holds any `T`; what makes a `T` fit to be removed is the caller's business.

mod directory;
pub(crate) mod key;
mod loaded;
#[cfg(any(loom, shuttle))]
mod model;
mod ordered;
mod table;

pub(crate) use directory::FETCHED_TOGETHER;
use directory::{Directory, Known};
pub(crate) use key::Key;
use loaded::Loaded;
pub(crate) use loaded::Loading;
#[cfg(any(loom, shuttle))]
use model::Ordered;
#[cfg(not(any(loom, shuttle)))]
use ordered::Ordered;
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) use ordered::alone::Alone;

use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::epoch::Guard;
use crate::sync::garbage::{self, Reclaim};
use crate::sync::{Canary, INITIAL_SLOTS, Step, step};
use smallvec::SmallVec;
use std::ops::{Bound, Deref};
use std::ptr::NonNull;
use std::sync::OnceLock;

/// Set in `links` when the node is on its way out; the rest counts who is linking it.
const DYING: u32 = 1 << 31;

/// One entry: a key and its value, at an address that does not change. A cache line, as long as the value is small.
#[repr(C, align(64))]
pub(crate) struct Node<T> {
    key: Key,
    value: T,
    links: AtomicU32,
    /// Its memory belongs to a run of the loaded part.
    is_loaded: bool,
    canary: Canary,
}

impl<T> Node<T> {
    fn new(key: &[u8], value: T) -> Node<T> {
        // Whoever creates a node is linking it.
        let links = AtomicU32::new(1);
        Node { key: Key::from(key), value, links, is_loaded: false, canary: Canary::new() }
    }

    /// A node for [`Loading::add`], which links it before anybody else can reach it.
    pub(crate) fn to_load(key: &[u8], value: T) -> Node<T> {
        let links = AtomicU32::new(0);
        Node { key: Key::from(key), value, links, is_loaded: true, canary: Canary::new() }
    }

    pub(crate) fn key(&self) -> &[u8] {
        self.canary.check();
        &self.key
    }

    fn is_dying(&self) -> bool {
        // Acquire: pairs with `Map::retire`.
        let links = self.links.load(Ordering::Acquire);
        self.canary.check();
        links & DYING != 0
    }

    /// Unless the node is dying, it will not be retired before `end_linking`.
    fn begin_linking(&self) -> bool {
        // Relaxed: the compare-exchange below decides.
        let mut links = self.links.load(Ordering::Relaxed);
        while links & DYING == 0 {
            // Acquire: pairs with `end_linking`; failure Relaxed: only the count is looked at.
            match self.links.compare_exchange(links, links + 1, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => links = now,
            }
        }
        false
    }

    /// True for the last one out of a dying node, who has to retire it.
    #[must_use]
    fn end_linking(&self) -> bool {
        // AcqRel: releases our links to whoever retires the node, acquires those of the others.
        self.links.fetch_sub(1, Ordering::AcqRel) == DYING | 1
    }
}

impl<T> Deref for Node<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.canary.check();
        &self.value
    }
}

impl<T: 'static> Reclaim for Node<T> {
    /// # Safety
    /// As of the trait.
    unsafe fn reclaim(node: NonNull<Node<T>>) {
        // SAFETY: alive until this call, by the contract.
        if unsafe { node.as_ref() }.canary.poison() {
            // SAFETY: from a box, for loaded nodes are not retired.
            drop(unsafe { Box::from_raw(node.as_ptr()) });
        }
    }
}

/// A node's address, as both parts hold it.
struct Link<T>(NonNull<Node<T>>);

impl<T> Clone for Link<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Link<T> {}

impl<T> PartialEq for Link<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

// SAFETY: a link is a shared reference whose lifetime the map's protocol guards.
unsafe impl<T: Send + Sync> Send for Link<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Link<T> {}

impl<T> Link<T> {
    fn of(node: &Node<T>) -> Link<T> {
        Link(NonNull::from(node))
    }

    /// The node behind a link that was found in the map under `guard`.
    #[inline]
    fn get(self, _guard: &Guard) -> &Node<T> {
        // SAFETY: in one of the parts when it was found; nodes are freed by epochs after they are out of both for good, loaded ones with
        // the map, and whoever has a guard for its nodes has the map.
        unsafe { self.0.as_ref() }
    }
}

/// Which way a range is walked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Towards {
    Greater,
    Lesser,
}

impl Towards {
    /// Whether a walk comes by `one` before it comes by `other`.
    fn meets_first(self, one: &[u8], other: &[u8]) -> bool {
        match self {
            Towards::Greater => one < other,
            Towards::Lesser => one > other,
        }
    }
}

/// See the module.
pub(crate) struct Map<T> {
    ordered: Ordered<T>,
    /// None: all keys are looked up in order.
    directory: Option<Directory<T>>,
    loaded: OnceLock<Loaded<T>>,
}

impl<T: Send + Sync + 'static> Map<T> {
    #[cfg(test)]
    pub(crate) fn new() -> Map<T> {
        Map::with_room(0)
    }

    /// A map whose directory need not grow before it holds more than so many nodes.
    pub(crate) fn with_room(nodes: usize) -> Map<T> {
        Map::with(Some(Directory::new(nodes, INITIAL_SLOTS)))
    }

    /// A map without a directory.
    pub(crate) fn in_order() -> Map<T> {
        Map::with(None)
    }

    /// A map whose directory begins with so many slots, a power of two.
    #[cfg(test)]
    pub(crate) fn with_slots(slots: usize) -> Map<T> {
        Map::with(Some(Directory::new(0, slots)))
    }

    fn with(directory: Option<Directory<T>>) -> Map<T> {
        Map { ordered: Ordered::new(), directory, loaded: OnceLock::new() }
    }

    /// Fills the map with nodes in order: once, before it has any, and before anybody else uses it.
    pub(crate) fn load(&self) -> Loading<'_, T> {
        debug_assert!(self.len() == 0);
        Loading::new(self)
    }

    /// What the directory knows of a key; without one, that the ordered part does.
    #[inline]
    fn known<'g>(&self, key: &[u8], guard: &'g Guard) -> Known<'g, T> {
        self.directory.as_ref().map_or(Known::InOrder, |directory| directory.get(key, guard))
    }

    /// The node under `key`. With a directory no walk of the ordered part, but for a key that it may just be moving, by the look of a slot,
    /// or has a dying node for.
    #[inline]
    pub(crate) fn get<'g>(&self, key: &[u8], guard: &'g Guard) -> Option<&'g Node<T>> {
        self.found(key, self.known(key, guard), guard)
    }

    /// The nodes under some keys, whose memory is cold, mostly: it is asked for before the first is looked at.
    pub(crate) fn get_each<'g>(
        &self,
        keys: &[&[u8]],
        guard: &'g Guard,
    ) -> SmallVec<[Option<&'g Node<T>>; FETCHED_TOGETHER]> {
        match &self.directory {
            None => keys.iter().map(|key| self.get(key, guard)).collect(),
            Some(directory) => {
                let known = keys.iter().zip(directory.get_each(keys, guard));
                known.map(|(key, known)| self.found(key, known, guard)).collect()
            }
        }
    }

    #[inline]
    fn found<'g>(&self, key: &[u8], known: Known<'g, T>, guard: &'g Guard) -> Option<&'g Node<T>> {
        match known {
            Known::Node(node) => Some(node),
            Known::Absent => None,
            Known::InOrder => {
                let link = self.loaded_link(key).or_else(|| self.ordered.get(key, guard));
                link.map(|link| link.get(guard))
            }
        }
    }

    /// The loaded node under `key`, unless it is dying: then there may be another one in the ordered part.
    fn loaded_link(&self, key: &[u8]) -> Option<Link<T>> {
        self.loaded.get()?.get(key).filter(|node| !node.is_dying()).map(Link::of)
    }

    /// Whether `key` is there and the first of all; no other may be below it.
    pub(crate) fn has_first(&self, key: &[u8], guard: &Guard) -> bool {
        let all = (Bound::Unbounded, Bound::Unbounded);
        let first_loaded = self.loaded.get().and_then(|loaded| loaded.range(all, Towards::Greater).next());
        first_loaded.is_some_and(|node| node.key() == key) || self.ordered.has_first(key, guard)
    }

    /// Some of the keys, taken at random, as many as are asked for or fewer. Without a directory, of those that were loaded.
    pub(crate) fn sample(&self, count: usize, guard: &Guard) -> Vec<Key> {
        let key = |node: &Node<T>| node.key.clone();
        match (&self.directory, self.loaded.get()) {
            (Some(directory), _) => directory.sample(count, guard).map(key).collect(),
            (None, Some(loaded)) => loaded.sample(count).map(key).collect(),
            (None, None) => Vec::new(),
        }
    }

    /// Has near what a look-up of `key` will look at first, for whoever has something else to do before.
    #[inline]
    pub(crate) fn prefetch(&self, key: &[u8], guard: &Guard) {
        self.directory.iter().for_each(|directory| directory.prefetch(key, guard));
    }

    /// The node under `key`, made by `new` if there is none.
    pub(crate) fn get_or_insert<'g>(&self, key: &[u8], new: impl Fn() -> T, guard: &'g Guard) -> &'g Node<T> {
        // Only from the directory: what the ordered part alone has may not be linked yet.
        match self.known(key, guard) {
            Known::Node(node) => return node,
            // A loaded node was in the directory before, if there is one: if it does not die, it is on its way to the next table.
            Known::InOrder => {
                if let Some(link) = self.loaded_link(key) {
                    return link.get(guard);
                }
            }
            Known::Absent => {}
        }
        loop {
            if let Some(node) = self.link(key, &new, guard) {
                self.move_directory(guard);
                return node;
            }
        }
    }

    /// Does a share of the directory's growth, if it is growing. False if there was nothing to do.
    pub(crate) fn move_directory(&self, guard: &Guard) -> bool {
        let Some(directory) = &self.directory else { return false };
        directory.move_chunk(guard, |link| {
            step(Step::Moving);
            self.relink(link, guard);
        })
    }

    /// Links a node once more, in the tables behind the one that it was in. A dying one is not put anywhere any more.
    fn relink(&self, link: Link<T>, guard: &Guard) {
        let node = link.get(guard);
        if node.begin_linking() {
            self.link_in_directory(link, guard);
            self.finish_linking(node, guard);
        }
    }

    /// One attempt to have a node under `key` in both parts; none if it died meanwhile.
    fn link<'g>(&self, key: &[u8], new: &impl Fn() -> T, guard: &'g Guard) -> Option<&'g Node<T>> {
        let ours = Link(NonNull::from(Box::leak(Box::new(Node::new(key, new())))));
        let link = self.ordered.get_or_insert(key, ours, guard);
        let node = link.get(guard);
        if link != ours {
            // SAFETY: never published.
            unsafe { Node::reclaim(ours.0) };
            if !node.begin_linking() {
                self.displace(node, guard);
                return None;
            }
        }
        self.link_in_directory(link, guard);
        self.finish_linking(node, guard).then_some(node)
    }

    /// False if the node died and was ours to free. One that others are linking still may be dying all the same.
    fn finish_linking(&self, node: &Node<T>, guard: &Guard) -> bool {
        let is_ours_to_free = node.end_linking();
        if is_ours_to_free {
            self.displace(node, guard);
            self.free(node, guard);
        }
        !is_ours_to_free
    }

    fn link_in_directory(&self, link: Link<T>, guard: &Guard) {
        let Some(directory) = &self.directory else { return };
        while let Some(other) = directory.insert_if_absent(link, guard) {
            if other == link {
                return;
            }
            if !other.get(guard).is_dying() {
                // It was created after ours was displaced: ours is dying, and has no business here.
                return;
            }
            directory.remove(other, guard);
        }
    }

    /// Takes a node out of the map for good, which the caller found unfit for further use.
    ///
    /// To be called by whoever made it unfit, and by whoever meets it and wants the key for a new node.
    pub(crate) fn retire(&self, node: &Node<T>, guard: &Guard) {
        // AcqRel: releases what made it unfit to those who find it dying, acquires the links of those who ended linking.
        let before = node.links.fetch_or(DYING, Ordering::AcqRel);
        if node.is_loaded && before & DYING == 0 {
            self.loaded.get().expect("it has the node").count_dying();
        }
        self.displace(node, guard);
        if before == 0 {
            self.free(node, guard);
        }
    }

    fn displace(&self, node: &Node<T>, guard: &Guard) {
        debug_assert!(node.is_dying());
        let link = Link::of(node);
        self.directory.iter().for_each(|directory| directory.remove(link, guard));
        if !node.is_loaded {
            self.ordered.remove(node.key(), link, guard);
        }
    }

    /// Only for the one that found the node dying and nobody linking it.
    fn free(&self, node: &Node<T>, guard: &Guard) {
        if node.is_loaded {
            return;
        }
        let link = Link::of(node);
        // SAFETY: displaced from both parts by the caller, and nobody may link it any more; called once, see `links`.
        unsafe { garbage::retire(link.0, guard) };
    }

    /// Calls `visit` with the entries of a range, in order, until it returns false or the range ends. Returns whether it ended.
    ///
    /// All under one guard, so `visit` decides when it has been long enough. Entries that come or go meanwhile
    /// are met or not.
    pub(crate) fn scan<'g>(
        &'g self,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        towards: Towards,
        guard: &'g Guard,
        mut visit: impl FnMut(&'g Key, &'g Node<T>) -> bool,
    ) -> bool {
        if is_empty_range(range) {
            return true;
        }
        let loaded = self.loaded.get().map(|loaded| loaded.range(range, towards));
        let mut loaded = loaded.into_iter().flatten().peekable();
        let ended = self.ordered.scan(range, towards, guard, |key, link| {
            while let Some(node) = loaded.next_if(|node| towards.meets_first(node.key(), key)) {
                if !visit(&node.key, node) {
                    return false;
                }
            }
            visit(key, link.get(guard))
        });
        ended && loaded.all(|node| visit(&node.key, node))
    }

    /// How many entries there are, roughly.
    pub(crate) fn len(&self) -> usize {
        self.ordered.len() + self.loaded.get().map_or(0, Loaded::len)
    }

    /// Calls `dispose` with each value, for the last time.
    pub(crate) fn dispose_with(&mut self, guard: &Guard, mut dispose: impl FnMut(&mut T)) {
        self.ordered.scan((Bound::Unbounded, Bound::Unbounded), Towards::Greater, guard, |_, link| {
            // SAFETY: exclusive access to the map, each node is in the ordered part once.
            dispose(unsafe { &mut (*link.0.as_ptr()).value });
            true
        });
        let loaded = self.loaded.get_mut().into_iter().flat_map(Loaded::nodes_mut);
        loaded.for_each(|node| dispose(&mut node.value));
    }
}

impl<T> Drop for Map<T> {
    fn drop(&mut self) {
        self.ordered.drain(|link| {
            // SAFETY: exclusive access to the map; a node in the ordered part has not been freed, and is there once.
            unsafe { drop(Box::from_raw(link.0.as_ptr())) };
        });
    }
}

/// Whether a range holds nothing whatever the map holds, which some ordered maps answer with a panic.
pub(crate) fn is_empty_range(range: (Bound<&[u8]>, Bound<&[u8]>)) -> bool {
    match range {
        (Bound::Included(low), Bound::Included(high)) => low > high,
        (Bound::Included(low), Bound::Excluded(high))
        | (Bound::Excluded(low), Bound::Included(high))
        | (Bound::Excluded(low), Bound::Excluded(high)) => low >= high,
        _ => false,
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
