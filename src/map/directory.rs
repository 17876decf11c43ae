//! The hash directory: from key to node, without a look at the ordered part.
//!
//! A table of tagged addresses (`table`); the keys are in the nodes. When a table is half used up, the next one is put behind it, and whoever
//! links a new node moves a chunk of the old one there, until all are moved and the old one is freed by epochs. Nobody waits:
//!
//! - a look-up goes on to the next table when it finds that its key has gone there. A node that is frozen in the one and not yet in
//!   the other is on its way, by a thread that may be asleep: then only the ordered part knows;
//! - to move a node is to link it once more (`Map::relink`), counted like every linking: so it does not get into a table after it was retired.
//!
//! A thread that sleeps for good in the middle of a chunk keeps the old table, and all behind it, from being freed. Look-ups of the
//! chunk's keys go by the ordered part until it wakes.

use super::table::{Found, Hash, Inserted, Table};
use super::{Link, Node};
use crate::sync::atomic::{AtomicPtr, Ordering};
use crate::sync::epoch::Guard;
use smallvec::SmallVec;
use std::hash::BuildHasher;
use std::ptr;

/// A model must be the same in each execution.
#[cfg(any(loom, shuttle))]
type Hasher = foldhash::fast::FixedState;
#[cfg(not(any(loom, shuttle)))]
type Hasher = foldhash::fast::RandomState;

/// What the directory knows of a key.
pub(super) enum Known<'g, T> {
    Node(&'g Node<T>),
    Absent,
    /// The ordered part knows: the key may be on its way from one table to the next, or what was found is dying.
    InOrder,
}

/// See the module.
pub(super) struct Directory<T> {
    /// The first table that is not moved; the others hang on it.
    first: AtomicPtr<Table<T>>,
    hasher: Hasher,
    slots_min: usize,
}

/// As many cold slots as a core waits for at the same time, and some more.
pub(crate) const FETCHED_TOGETHER: usize = 32;

/// A third of a new table at most is used by the nodes that are there.
fn slots_for(nodes: usize) -> usize {
    (nodes * 3).next_power_of_two()
}

impl<T> Directory<T> {
    /// With room for as many nodes, and never fewer slots than a power of two.
    pub(super) fn new(nodes: usize, slots_min: usize) -> Self {
        let first = Box::into_raw(Box::new(Table::new(slots_for(nodes).max(slots_min))));
        Directory { first: AtomicPtr::new(first), hasher: Hasher::default(), slots_min }
    }

    fn first<'g>(&self, _guard: &'g Guard) -> &'g Table<T> {
        // Acquire: pairs with the release of `drop_moved`.
        let first = self.first.load(Ordering::Acquire);
        // SAFETY: never null; freed by epochs after it was replaced, so not before the guard ends.
        unsafe { &*first }
    }

    #[inline]
    fn hash(&self, key: &[u8]) -> Hash {
        Hash(self.hasher.hash_one(key))
    }

    #[inline]
    pub(super) fn get<'g>(&self, key: &[u8], guard: &'g Guard) -> Known<'g, T> {
        self.get_hashed(key, self.hash(key), guard)
    }

    /// The same for some keys. What one after the other would wait for, the slot and the node, is fetched for all at a time.
    pub(super) fn get_each<'g>(
        &self,
        keys: &[&[u8]],
        guard: &'g Guard,
    ) -> SmallVec<[Known<'g, T>; FETCHED_TOGETHER]> {
        let table = self.first(guard);
        let hashes: SmallVec<[Hash; FETCHED_TOGETHER]> = keys.iter().map(|key| self.hash(key)).collect();
        hashes.iter().for_each(|hash| table.prefetch(*hash));
        hashes.iter().for_each(|hash| table.prefetch_node(*hash));
        keys.iter().zip(hashes).map(|(key, hash)| self.get_hashed(key, hash, guard)).collect()
    }

    #[inline]
    fn get_hashed<'g>(&self, key: &[u8], hash: Hash, guard: &'g Guard) -> Known<'g, T> {
        let (mut table, mut was_on_its_way) = (self.first(guard), false);
        loop {
            match table.find(key, hash, guard) {
                // A maker who links late may put a dying node where the new one is just being moved to.
                Found::Here(node) if node.is_dying() => return Known::InOrder,
                Found::Here(node) => return Known::Node(node),
                Found::Next { on_its_way } => {
                    was_on_its_way |= on_its_way;
                    match table.next(guard) {
                        Some(next) => table = next,
                        None => break,
                    }
                }
                Found::Nowhere => break,
            }
        }
        if was_on_its_way { Known::InOrder } else { Known::Absent }
    }

    /// Some nodes, of all over the map for all that anybody knows.
    pub(super) fn sample<'g>(&self, count: usize, guard: &'g Guard) -> impl Iterator<Item = &'g Node<T>>
    where
        T: 'g,
    {
        self.first(guard).sample(count, guard)
    }

    /// Has near what a look-up of this key will look at first.
    #[inline]
    pub(super) fn prefetch(&self, key: &[u8], guard: &Guard) {
        self.first(guard).prefetch(self.hash(key));
    }

    /// Puts nodes in whose keys nobody else has in mind. Their slots are fetched many at a time, for each is cold.
    pub(super) fn insert_new(&self, nodes: &[Node<T>], guard: &Guard) {
        let table = self.first(guard);
        for batch in nodes.chunks(FETCHED_TOGETHER) {
            let mut hashes = [Hash(0); FETCHED_TOGETHER];
            for (hash, node) in hashes.iter_mut().zip(batch) {
                *hash = self.hash(node.key());
                table.prefetch(*hash);
            }
            for (hash, node) in hashes.into_iter().zip(batch) {
                let other = self.insert_hashed(Link::of(node), hash, guard);
                debug_assert!(other.is_none());
            }
        }
    }

    /// What was there already under the node's key, if anything: then nothing changes.
    pub(super) fn insert_if_absent(&self, link: Link<T>, guard: &Guard) -> Option<Link<T>> {
        self.insert_hashed(link, self.hash(link.get(guard).key()), guard)
    }

    fn insert_hashed(&self, link: Link<T>, hash: Hash, guard: &Guard) -> Option<Link<T>> {
        let mut table = self.first(guard);
        loop {
            match table.insert(link, hash, guard) {
                Inserted::Here { used } => {
                    self.grow_at(table, used, guard);
                    return None;
                }
                Inserted::Taken(other) => return Some(other),
                Inserted::Next => table = self.next_or_grow(table, guard),
            }
        }
    }

    fn next_or_grow<'g>(&self, table: &'g Table<T>, guard: &'g Guard) -> &'g Table<T> {
        loop {
            match table.next(guard) {
                Some(next) => return next,
                None => self.grow(table, guard),
            }
        }
    }

    /// The one who takes the slot in the middle makes the next table; beyond seven eighths everybody does who finds none.
    fn grow_at(&self, table: &Table<T>, used: usize, guard: &Guard) {
        let slots = table.len();
        if used == slots / 2 || used > slots - slots / 8 && table.next(guard).is_none() {
            self.grow(table, guard);
        }
    }

    fn grow(&self, table: &Table<T>, guard: &Guard) {
        let enough = slots_for(table.nodes()).max(self.slots_min);
        // While somebody sleeps who is moving the first table, those behind are not moved: no more of them than doublings.
        let is_first = ptr::eq(table, self.first(guard));
        let slots = if is_first { enough } else { enough.max(table.len() * 2) };
        table.set_next(Box::new(Table::new(slots)));
    }

    /// Takes a node out of every table.
    pub(super) fn remove(&self, link: Link<T>, guard: &Guard) {
        let (hash, mut table) = (self.hash(link.get(guard).key()), Some(self.first(guard)));
        while let Some(here) = table {
            here.remove(link, hash);
            table = here.next(guard);
        }
    }

    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(super) fn is_growing(&self, guard: &Guard) -> bool {
        self.first(guard).next(guard).is_some()
    }

    /// Moves a chunk of the first table, if it is being given up: `relink` sees to it that a node is linked in the tables behind.
    /// False if there was nothing to move.
    pub(super) fn move_chunk(&self, guard: &Guard, relink: impl FnMut(Link<T>)) -> bool
    where
        T: 'static,
    {
        // One look: what is the first a moment later may not be given up.
        let first = self.first(guard);
        if first.next(guard).is_none() {
            return false;
        }
        let moved = first.move_chunk(guard, relink);
        self.drop_moved(guard);
        moved
    }

    /// Replaces first tables that are moved by those behind them.
    fn drop_moved(&self, guard: &Guard)
    where
        T: 'static,
    {
        loop {
            let first = self.first(guard);
            let Some(next) = first.next(guard).filter(|_| first.is_moved()) else {
                return;
            };
            let (from, to) = (ptr::from_ref(first).cast_mut(), ptr::from_ref(next).cast_mut());
            // Release: publishes what the table points to. Failure Relaxed: it is loaded again.
            if self.first.compare_exchange(from, to, Ordering::Release, Ordering::Relaxed).is_ok() {
                // SAFETY: from `Box::into_raw`, replaced just now by us alone.
                unsafe { guard.defer(move || drop(Box::from_raw(from))) };
                // It may be large, and this thread defer nothing else for long.
                guard.flush();
            }
        }
    }
}

impl<T> Drop for Directory<T> {
    fn drop(&mut self) {
        // Relaxed: exclusive access.
        let first = self.first.load(Ordering::Relaxed);
        // SAFETY: from `Box::into_raw`, and nobody is left to use it.
        let mut table = Some(unsafe { Box::from_raw(first) });
        while let Some(here) = table {
            table = here.take_next();
        }
    }
}
