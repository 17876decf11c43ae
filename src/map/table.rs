//! One table of the directory: slots that hold a node's address each, searched one after the other from where the key's hash points.
//!
//! ```text
//!   slot:  EMPTY ──► node ──► GONE          at any time, by whoever moves the table's nodes: the same, FROZEN
//!
//!   bits of a word:  address of a node, aligned to 64 │ 5 bits of the hash │ FROZEN
//! ```
//!
//! A slot is never EMPTY again, so that everybody who has the same key in mind comes to the same first EMPTY slot: a key is in a table
//! once. What is GONE stays in the way until the table is given up for the next one.
//!
//! When there is a next table, an EMPTY slot is not filled any more but FROZEN, and the key goes to the next table: so whoever looks for it
//! there and finds the slot learns where to look. A word that is FROZEN does not change. Its address is no longer good: the
//! node may be freed, and only the thread that froze it, which was pinned, may still follow it.

use super::{Link, Node};
use crate::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use crate::sync::epoch::Guard;
use crate::sync::{CachePadded, null_pointers, prefetch};
use std::ptr::{self, NonNull};

/// The hash of a key.
#[derive(Clone, Copy)]
pub(super) struct Hash(pub(super) u64);

/// Slots are moved to the next table so many at a time.
const CHUNK: usize = if cfg!(any(loom, shuttle)) { 2 } else { 32 };

/// What a slot holds: see the module.
struct Word<T>(*mut Node<T>);

impl<T> Clone for Word<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Word<T> {}

impl<T> PartialEq for Word<T> {
    fn eq(&self, other: &Self) -> bool {
        ptr::eq(self.0, other.0)
    }
}

impl<T> Word<T> {
    const FROZEN: usize = 1;
    const BITS: usize = 63;
    const EMPTY: Word<T> = Word(ptr::null_mut());
    /// Looks like a node with the first tag; only its address tells that it is none.
    const GONE: Word<T> = Word(ptr::without_provenance_mut(2));
    const ALIGNED: () = assert!(align_of::<Node<T>>() > Self::BITS);

    fn of(link: Link<T>, hash: Hash) -> Word<T> {
        let () = Self::ALIGNED;
        Word(link.0.as_ptr().map_addr(|address| address | Self::tag(hash)))
    }

    /// The highest bits of the hash, for its lowest say where to look.
    fn tag(hash: Hash) -> usize {
        (hash.0 >> 59 << 1) as usize
    }

    fn frozen(self) -> Word<T> {
        Word(self.0.map_addr(|address| address | Self::FROZEN))
    }

    fn is_frozen(self) -> bool {
        self.0.addr() & Self::FROZEN != 0
    }

    /// EMPTY, or was when it was frozen: what was looked for is not behind it.
    fn is_end(self) -> bool {
        self.0.addr() & !Self::FROZEN == 0
    }

    fn has_tag(self, hash: Hash) -> bool {
        self.0.addr() & Self::BITS & !Self::FROZEN == Self::tag(hash)
    }

    fn link(self) -> Option<Link<T>> {
        NonNull::new(self.0.map_addr(|address| address & !Self::BITS)).map(Link)
    }
}

/// What a table knows of a key.
pub(super) enum Found<'g, T> {
    Here(&'g Node<T>),
    /// It is in no table.
    Nowhere,
    /// It may be in the next table.
    Next {
        /// It may be on its way there: a node with its tag was frozen here.
        on_its_way: bool,
    },
}

/// What became of an insertion.
pub(super) enum Inserted<T> {
    /// It is in; so many slots are in use now.
    Here { used: usize },
    /// A node with the same key is in.
    Taken(Link<T>),
    /// The key belongs to the next table, which there may not be yet if this one is full.
    Next,
}

/// See the module.
pub(super) struct Table<T> {
    slots: Box<[AtomicPtr<Node<T>>]>,
    next: AtomicPtr<Table<T>>,
    /// Slots that are not EMPTY.
    used: CachePadded<AtomicUsize>,
    /// Of these, those that are GONE.
    gone: AtomicUsize,
    /// Chunks that somebody began to move, and those that are moved.
    claimed: AtomicUsize,
    moved: AtomicUsize,
}

/// A node that lies farther from where it is looked for is not asked for before.
const PREFETCHED_SLOTS: usize = 8;

impl<T> Table<T> {
    /// The number of slots must be a power of two, and a chunk at least.
    pub(super) fn new(slots: usize) -> Table<T> {
        assert!(slots.is_power_of_two() && slots >= CHUNK);
        Table {
            slots: null_pointers(slots),
            next: AtomicPtr::new(ptr::null_mut()),
            used: CachePadded::new(AtomicUsize::new(0)),
            gone: AtomicUsize::new(0),
            claimed: AtomicUsize::new(0),
            moved: AtomicUsize::new(0),
        }
    }

    /// The slots where a key with this hash may be, in order.
    fn path(&self, hash: Hash) -> impl Iterator<Item = &AtomicPtr<Node<T>>> {
        let (mask, home) = (self.slots.len() - 1, hash.0 as usize);
        (0..self.slots.len()).map(move |step| &self.slots[home.wrapping_add(step) & mask])
    }

    /// Has the slot near where a key with this hash begins to be looked for.
    #[inline]
    pub(super) fn prefetch(&self, hash: Hash) {
        prefetch(&raw const self.slots[hash.0 as usize & (self.slots.len() - 1)]);
    }

    /// Has the node near that is under a key with this hash, most likely.
    pub(super) fn prefetch_node(&self, hash: Hash) {
        // Relaxed: nothing is read by what is found.
        let words = self.path(hash).map(|slot| Word::<T>(slot.load(Ordering::Relaxed)));
        let mut words = words.take(PREFETCHED_SLOTS).take_while(|word| !word.is_end());
        if let Some(link) = words.find(|word| word.has_tag(hash)).and_then(Word::link) {
            prefetch(link.0.as_ptr());
        }
    }

    #[inline]
    pub(super) fn find<'g>(&self, key: &[u8], hash: Hash, guard: &'g Guard) -> Found<'g, T> {
        let mut on_its_way = false;
        for slot in self.path(hash) {
            // Acquire: pairs with the release of `insert`, the node is initialised; and of who froze it, the next table is there.
            let word = Word(slot.load(Ordering::Acquire));
            if word.is_end() {
                if !word.is_frozen() && !on_its_way {
                    return Found::Nowhere;
                }
                break;
            }
            if !word.has_tag(hash) {
                continue;
            }
            if word.is_frozen() {
                on_its_way = true;
            } else if let Some(node) = word.link().map(|link| link.get(guard))
                && node.key() == key
            {
                return Found::Here(node);
            }
        }
        Found::Next { on_its_way }
    }

    /// Some nodes from all over the table, as many as are asked for or fewer.
    pub(super) fn sample<'g>(&'g self, count: usize, guard: &'g Guard) -> impl Iterator<Item = &'g Node<T>> {
        /// A table is used to a third at least, mostly.
        const LOOKS: usize = 8;
        let apart = (self.slots.len() / count.max(1)).max(LOOKS);
        self.slots.chunks(apart).filter_map(move |slots| {
            slots.iter().take(LOOKS).find_map(|slot| {
                // Acquire: as in `find`.
                let word = Word(slot.load(Ordering::Acquire));
                // A frozen one may be freed.
                word.link().filter(|_| !word.is_frozen()).map(|link| link.get(guard))
            })
        })
    }

    /// Puts a node where its key belongs, unless one with that key is there.
    pub(super) fn insert(&self, link: Link<T>, hash: Hash, guard: &Guard) -> Inserted<T> {
        let key = link.get(guard).key();
        for slot in self.path(hash) {
            let empty = Word::<T>::EMPTY;
            let to = if self.next(guard).is_some() { empty.frozen() } else { Word::of(link, hash) };
            // Mostly it is empty; to look first would cost a new table two faults a memory page, the second with a message to every core.
            // Release: publishes the node, or that the next table is there; failure Acquire: as in `find`.
            let word = match slot.compare_exchange(empty.0, to.0, Ordering::Release, Ordering::Acquire) {
                Ok(_) if to.is_frozen() => return Inserted::Next,
                // Relaxed: a count.
                Ok(_) => return Inserted::Here { used: self.used.fetch_add(1, Ordering::Relaxed) + 1 },
                Err(found) => Word(found),
            };
            if word.is_end() {
                return Inserted::Next;
            }
            if !word.is_frozen()
                && word.has_tag(hash)
                && let Some(other) = word.link()
                && other.get(guard).key() == key
            {
                return Inserted::Taken(other);
            }
        }
        Inserted::Next
    }

    /// Takes a node out, if it is here; a frozen word may go on naming it.
    pub(super) fn remove(&self, link: Link<T>, hash: Hash) {
        let word = Word::of(link, hash);
        for slot in self.path(hash) {
            // Acquire: a frozen word comes with the next table, where the caller looks afterwards.
            let found = Word(slot.load(Ordering::Acquire));
            if found.is_end() {
                return;
            }
            if found == word {
                let gone = Word::<T>::GONE;
                // AcqRel: what the caller did to the node is seen by who finds it gone; failure Acquire: as above.
                if slot.compare_exchange(word.0, gone.0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                    // Relaxed: a count.
                    self.gone.fetch_add(1, Ordering::Relaxed);
                }
                return;
            }
        }
    }

    pub(super) fn next<'g>(&self, _guard: &'g Guard) -> Option<&'g Table<T>> {
        // Acquire: pairs with the release of `set_next`.
        let next = self.next.load(Ordering::Acquire);
        // SAFETY: we came here from the directory's first table under the guard. A table is deferred after the one before it was
        // replaced as the first, so after the guard was made.
        unsafe { next.as_ref() }
    }

    /// Adds a table behind this one; there may be one already.
    pub(super) fn set_next(&self, next: Box<Table<T>>) {
        let next = Box::into_raw(next);
        // Release: publishes the table. Failure Relaxed: nothing is read.
        let set = self.next.compare_exchange(ptr::null_mut(), next, Ordering::Release, Ordering::Relaxed);
        if set.is_err() {
            // SAFETY: from `Box::into_raw` right above, and never published.
            drop(unsafe { Box::from_raw(next) });
        }
    }

    /// Gives the table up for the one behind, for whoever has both to himself.
    pub(super) fn take_next(self: Box<Self>) -> Option<Box<Table<T>>> {
        // Relaxed: exclusive access.
        let next = self.next.load(Ordering::Relaxed);
        // SAFETY: from `Box::into_raw` in `set_next`, and whoever has this table to himself takes it once, right before it goes.
        (!next.is_null()).then(|| unsafe { Box::from_raw(next) })
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// How many nodes are here, roughly.
    pub(super) fn nodes(&self) -> usize {
        // Relaxed: counts.
        self.used.load(Ordering::Relaxed).saturating_sub(self.gone.load(Ordering::Relaxed))
    }

    /// Freezes a chunk that nobody else has, and calls `relink` with the nodes that were in it: it sees to it that the tables behind
    /// have them. The guard makes them good to follow. False if there is no chunk left.
    pub(super) fn move_chunk(&self, guard: &Guard, mut relink: impl FnMut(Link<T>)) -> bool {
        debug_assert!(self.next(guard).is_some(), "what is frozen leads to the next table");
        let chunks = self.slots.len() / CHUNK;
        // Relaxed: a number for each caller; the count must not run over.
        if self.claimed.load(Ordering::Relaxed) >= chunks {
            return false;
        }
        // Relaxed: as above.
        let chunk = self.claimed.fetch_add(1, Ordering::Relaxed);
        let Some(slots) = self.slots.chunks_exact(CHUNK).nth(chunk) else {
            return false;
        };
        for slot in slots {
            // In the table until we froze it, which was under the guard.
            freeze(slot).into_iter().for_each(&mut relink);
        }
        // AcqRel: who sees that all are moved sees them frozen, and in the next table.
        self.moved.fetch_add(1, Ordering::AcqRel);
        true
    }

    pub(super) fn is_moved(&self) -> bool {
        // Acquire: pairs with `move_chunk`.
        self.moved.load(Ordering::Acquire) == self.slots.len() / CHUNK
    }
}

/// Returns the node that was in the slot.
fn freeze<T>(slot: &AtomicPtr<Node<T>>) -> Option<Link<T>> {
    // Acquire: pairs with `insert`; the node's key is read.
    let mut word = Word(slot.load(Ordering::Acquire));
    while !word.is_frozen() {
        // AcqRel: releases that the next table is there; acquires the node. Failure Acquire: as above.
        match slot.compare_exchange(word.0, word.frozen().0, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return word.link(),
            Err(found) => word = Word(found),
        }
    }
    // EMPTY when an insertion froze it: nobody else freezes in our chunk.
    None
}
