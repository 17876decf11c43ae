//! The ordered part: a list of blocks, a list of blocks that leads to those, and so on.
//!
//! ```text
//!   level 1     head ─────────────────────► ○ ────────────►      holders, by their least keys
//!               [A B]                     [C D]                  blocks: links to holders of the level below
//!   level 0     head ──► A ────► B ───────► C ──► D ──►          holders
//!               [..]   [...]   [....]     [..]  [...]            blocks: links to nodes
//! ```
//!
//! Each holder of a level has the keys from its own least one up to that of the holder behind. What it holds is in a block, which is never changed but
//! replaced by compare-exchange, and says who is behind, too: so a block that is full is split in one step, by a block with the lower half and a new holder
//! behind. Who has an old block sees what was there.
//!
//! A holder whose last item goes is *dead* from then on: its block is marked, and replaced no more. Its keys are those of the holder before, from the
//! moment when that one's block says that the one behind the dead one is behind. Whoever meets a dead one on the way does that.
//!
//! The levels above only lead near: no key depends on them, and each is a list of the same kind, whose items are the holders of the level below. A
//! dead holder that is met there is taken out. It is retired by the last of two owners: whoever put it into the level above, and whoever took it
//! out of its own. The last one takes it out of the level above, too; nobody puts it there again.
//!
//! The list is that of *B-link trees* (Lehman and Yao, 1981) with the copied nodes of the *Bw-tree* (Levandoski et al., 2013), and no table between the two: a
//! holder is where a node's address would be looked up.

#[cfg(all(test, any(loom, shuttle)))]
pub(super) mod alone;
#[cfg(test)]
mod audit;
mod block;
mod holder;
mod scan;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

use super::{Link, Node};
use crate::sync::CachePadded;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::epoch::Guard;
use crate::sync::garbage::{self, Reclaim};
use block::{Behind, Block, Item, Side, key};
use holder::{Held, Holder};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

/// Seven levels of blocks that are half full lead to 400 million keys; of more than that the highest list is long.
const LEVELS: usize = if cfg!(any(loom, shuttle)) { 3 } else { 7 };
/// Counts of entries, so that threads that add them do not share one.
const COUNTS: usize = if cfg!(any(loom, shuttle)) { 1 } else { 8 };

/// See the module.
pub(super) struct Ordered<T> {
    /// The first holders of all levels, below all keys; they never die.
    heads: [NonNull<Holder>; LEVELS],
    counts: [CachePadded<AtomicUsize>; COUNTS],
    leads_to: PhantomData<Link<T>>,
}

// SAFETY: holders, blocks and nodes are shared between threads by atomics, and freed by epochs.
unsafe impl<T: Send + Sync> Send for Ordered<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Ordered<T> {}

/// A holder with what it held when it was looked at.
struct Found<'g> {
    holder: &'g Holder,
    held: Held,
    block: &'g Block,
}

impl<'g> Found<'g> {
    fn at(holder: &'g Holder, _guard: &'g Guard) -> Found<'g> {
        let held = holder.held();
        Block::prefetch(held.block());
        // SAFETY: held when it was found; freed by epochs after another one was.
        let block = unsafe { held.block().as_ref() };
        Found { holder, held, block }
    }

    fn search(&self, key: &[u8], guard: &Guard) -> Result<usize, usize> {
        self.block.search(self.holder.low(), key, guard)
    }

    /// The holder behind if it is before a key, which is not below this one.
    fn next_before(&self, key: &[u8], side: Side, guard: &'g Guard) -> Option<&'g Holder> {
        self.block.next_before(self.holder.low(), key, side, guard)
    }

    /// How many items are before a key.
    fn before(&self, key: &[u8], side: Side, guard: &Guard) -> usize {
        match self.search(key, guard) {
            Ok(at) => at + usize::from(side == Side::UpTo),
            Err(at) => at,
        }
    }
}

/// A dead holder at which a walk cannot go on.
struct Died<'g>(&'g Holder);

/// The holder that an item of a level above the lowest is.
fn holder_of(item: Item, _guard: &Guard) -> &Holder {
    // SAFETY: the items of these levels are holders; one that is found in a block is retired after it is out of all of them.
    unsafe { item.cast().as_ref() }
}

fn link_of<T>(item: Item) -> Link<T> {
    // The items of the lowest level are nodes, which begin with their keys.
    Link(item.cast::<Node<T>>())
}

impl<T> Ordered<T> {
    pub(super) fn new() -> Self {
        let heads = std::array::from_fn(|_| Holder::new(&[], Block::empty(Behind::NOTHING)));
        let counts = std::array::from_fn(|_| CachePadded::new(AtomicUsize::new(0)));
        Ordered { heads, counts, leads_to: PhantomData }
    }

    fn head(&self, level: usize) -> &Holder {
        // SAFETY: freed with `self`.
        unsafe { self.heads[level].as_ref() }
    }

    fn is_head(&self, level: usize, holder: &Holder) -> bool {
        ptr::eq(holder, self.head(level))
    }

    /// The holder of a level that a key belongs to, or that one before it. Takes dead ones out on the way.
    fn locate<'g>(&'g self, level: usize, key: &[u8], side: Side, guard: &'g Guard) -> Found<'g> {
        loop {
            match self.try_locate(level, key, side, guard) {
                Ok(found) => return found,
                Err((level, Died(holder))) => self.unlist(level + 1, holder, guard),
            }
        }
    }

    fn try_locate<'g>(
        &'g self,
        to_level: usize,
        key: &[u8],
        side: Side,
        guard: &'g Guard,
    ) -> Result<Found<'g>, (usize, Died<'g>)> {
        let mut at = self.head(LEVELS - 1);
        for level in (to_level + 1..LEVELS).rev() {
            let mut found = Self::walk(at, key, side, guard).map_err(|died| (level, died))?;
            let mut before = found.before(key, side, guard);
            while before == 0 && !self.is_head(level, found.holder) {
                // The item with its least key has gone.
                found = self.locate(level, found.holder.low(), Side::Below, guard);
                // Not all: it may have got the keys of the other one, and items behind ours.
                before = found.before(key, side, guard);
            }
            at = match before.checked_sub(1) {
                Some(last) => holder_of(found.block.items()[last], guard),
                None => self.head(level - 1),
            };
        }
        Self::walk(at, key, side, guard).map_err(|died| (to_level, died))
    }

    /// From a holder that is before a key to the last one of its level that is.
    fn walk<'g>(from: &'g Holder, key: &[u8], side: Side, guard: &'g Guard) -> Result<Found<'g>, Died<'g>> {
        let mut found = Found::at(from, guard);
        while !found.held.is_dead() {
            let Some(next) = found.next_before(key, side, guard) else { return Ok(found) };
            found = Self::step(&found, next, guard);
        }
        Err(Died(found.holder))
    }

    /// The next holder. If that is dead it is taken out of the list, and the one before it is looked at again.
    fn step<'g>(found: &Found<'g>, next: &'g Holder, guard: &'g Guard) -> Found<'g> {
        let behind = Found::at(next, guard);
        if !behind.held.is_dead() {
            return behind;
        }
        let beyond = Behind::new(found.holder.low(), behind.block.next(guard));
        Self::put(found, found.block.with_behind(beyond), guard);
        Found::at(found.holder, guard)
    }

    /// Replaces what was found, unless something else was put there meanwhile.
    fn put(found: &Found<'_>, block: NonNull<Block>, guard: &Guard) -> bool {
        Self::settle(found, found.holder.replace(found.held, block), block, guard)
    }

    /// Retires the block that was replaced, or frees the one that was not put.
    fn settle(found: &Found<'_>, is_put: bool, new: NonNull<Block>, guard: &Guard) -> bool {
        if is_put {
            let old = found.held.block();
            // SAFETY: not held any more, and retired by the one who replaced it.
            unsafe { garbage::retire(old, guard) };
        } else {
            // SAFETY: never published.
            unsafe { Block::reclaim(new) };
        }
        is_put
    }

    /// Adds an item to a level; or says what is there under its key.
    fn insert(&self, level: usize, item: Item, guard: &Guard) -> Result<(), Item> {
        loop {
            let found = self.locate(level, key(item, guard), Side::UpTo, guard);
            let at = match found.search(key(item, guard), guard) {
                Ok(at) => return Err(found.block.items()[at]),
                Err(at) => at,
            };
            let is_in = match found.block.is_full() {
                false => Self::put(&found, found.block.with(at, item, found.holder.low(), guard), guard),
                true => self.split(level, &found, at, item, guard),
            };
            if is_in {
                return Ok(());
            }
        }
    }

    /// Adds an item to a full block: the upper half gets a holder of its own. What comes behind all that there is gets one alone, for more may follow.
    fn split(&self, level: usize, found: &Found<'_>, at: usize, item: Item, guard: &Guard) -> bool {
        let mut items = found.block.items().to_vec();
        items.insert(at, item);
        let middle = if at + 1 == items.len() { at } else { items.len() / 2 };
        let (lower, upper) = items.split_at(middle);
        let low = key(upper[0], guard);
        let beyond = Behind::new(low, found.block.next(guard));
        let new = Holder::new(low, Block::of(low, upper, beyond, guard));
        // SAFETY: just made, and we are one of its owners.
        let behind = Behind::new(found.holder.low(), Some(unsafe { new.as_ref() }));
        let is_put = Self::put(found, Block::of(found.holder.low(), lower, behind, guard), guard);
        if is_put {
            self.list(level + 1, new, guard);
        } else {
            // SAFETY: never published.
            unsafe { Holder::reclaim(new) };
        }
        is_put
    }

    /// Puts a new holder into the level above.
    fn list(&self, above: usize, new: NonNull<Holder>, guard: &Guard) {
        if above < LEVELS {
            while let Err(other) = self.insert(above, new.cast(), guard) {
                // Of two of one least key one is dead.
                let other = holder_of(other, guard);
                if !other.held().is_dead() {
                    break;
                }
                self.unlist(above, other, guard);
            }
        }
        self.disown(above, new, guard);
    }

    /// Takes a dead holder out of the level above.
    fn unlist(&self, above: usize, dead: &Holder, guard: &Guard) {
        if above < LEVELS {
            self.take_out(above, dead.as_item(), guard);
        }
    }

    /// Removes an item of a level, if it is there.
    fn take_out(&self, level: usize, item: Item, guard: &Guard) -> bool {
        loop {
            let found = self.locate(level, key(item, guard), Side::UpTo, guard);
            let Ok(at) = found.search(key(item, guard), guard) else { return false };
            if found.block.items()[at] != item {
                return false;
            }
            let block = found.block.without(at);
            let dies = found.block.items().len() == 1 && !self.is_head(level, found.holder);
            if !dies {
                if Self::put(&found, block, guard) {
                    return true;
                }
            } else if Self::settle(&found, found.holder.kill(found.held, block), block, guard) {
                self.bury(level, NonNull::from(found.holder), guard);
                return true;
            }
        }
    }

    /// Takes a dead holder out of its level.
    fn bury(&self, level: usize, dead: NonNull<Holder>, guard: &Guard) {
        // SAFETY: we are one of its owners.
        let low = unsafe { dead.as_ref() }.low();
        self.locate(level, low, Side::UpTo, guard);
        self.disown(level + 1, dead, guard);
    }

    /// The last owner of a holder retires it.
    fn disown(&self, above: usize, owned: NonNull<Holder>, guard: &Guard) {
        // SAFETY: we are one of its owners, until the call below; and under a guard.
        let holder = unsafe { owned.as_ref() };
        if holder.disown() {
            self.unlist(above, holder, guard);
            // SAFETY: out of its level, out of the one above where nobody puts it any more; the last owner calls it.
            unsafe { garbage::retire(owned, guard) };
        }
    }
}

impl<T: Send + Sync + 'static> Ordered<T> {
    pub(super) fn get(&self, key: &[u8], guard: &Guard) -> Option<Link<T>> {
        let found = self.locate(0, key, Side::UpTo, guard);
        found.search(key, guard).ok().map(|at| link_of(found.block.items()[at]))
    }

    /// What is under `key` now: what was there, or `link`, whose node has that key.
    pub(super) fn get_or_insert(&self, key: &[u8], link: Link<T>, guard: &Guard) -> Link<T> {
        debug_assert!(*link.get(guard).key == *key);
        match self.insert(0, link.0.cast(), guard) {
            Ok(()) => {
                self.count(1);
                link
            }
            Err(there) => link_of(there),
        }
    }

    /// Removes the entry under `key` if it holds `link`, whose node has that key. Whether it did.
    pub(super) fn remove(&self, key: &[u8], link: Link<T>, guard: &Guard) -> bool {
        debug_assert!(*link.get(guard).key == *key);
        let is_out = self.take_out(0, link.0.cast(), guard);
        if is_out {
            self.count(-1);
        }
        is_out
    }

    fn count(&self, by: isize) {
        // Relaxed: a count, which wraps where more are taken out than were put in.
        self.counts[stripe()].fetch_add(by.cast_unsigned(), Ordering::Relaxed);
    }

    /// How many entries there are, roughly.
    pub(super) fn len(&self) -> usize {
        // Relaxed: counts.
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        usize::try_from(counts.fold(0, usize::wrapping_add).cast_signed()).unwrap_or(0)
    }

    /// Whether the first key is this one. No way down: the lowest level begins with it.
    pub(super) fn has_first(&self, wanted: &[u8], guard: &Guard) -> bool {
        let mut next = Some(self.head(0));
        while let Some(at) = next {
            let block = Found::at(at, guard).block;
            if let Some(first) = block.items().first() {
                return **key(*first, guard) == *wanted;
            }
            next = block.next(guard);
        }
        false
    }
}

impl<T> Ordered<T> {
    /// Hands out every link, for whoever has the map to himself and is about to drop it.
    pub(super) fn drain(&mut self, mut take: impl FnMut(Link<T>)) {
        self.each_holder(0, |holder| {
            // SAFETY: we have the list to ourselves; what is in it was not retired.
            let block = unsafe { holder.as_ref().held().block().as_ref() };
            block.items().iter().for_each(|item| take(link_of(*item)));
        });
    }

    /// Hands out every holder of a level, for the last time perhaps.
    fn each_holder(&mut self, level: usize, mut take: impl FnMut(NonNull<Holder>)) {
        let guard = crate::sync::epoch::pin();
        let mut next = Some(self.heads[level]);
        while let Some(holder) = next {
            // SAFETY: as in `drain`.
            let block = unsafe { holder.as_ref().held().block().as_ref() };
            next = block.next(&guard).map(NonNull::from);
            take(holder);
        }
    }
}

impl<T> Drop for Ordered<T> {
    fn drop(&mut self) {
        for level in 0..LEVELS {
            // SAFETY: we have the lists to ourselves; each holder is in one of them once, and was not retired.
            self.each_holder(level, |holder| unsafe { Holder::reclaim(holder) });
        }
    }
}

thread_local! {
    /// Its address tells threads apart.
    static HERE: u8 = const { 0 };
}

/// Which of the counts the thread adds to.
fn stripe() -> usize {
    let address = HERE.with(|here| ptr::from_ref(here).addr());
    let mixed = address.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (usize::BITS / 2)) % COUNTS
}
