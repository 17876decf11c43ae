//! A block: some items in the order of their keys, and which holder comes behind them. It never changes once it is published.
//!
//! A key is found by the eight bytes that follow what all keys of the block have in common; only where those agree an item is looked at,
//! which is cold mostly. What they have in common is so many bytes of the holder's least key. Of the least key of the holder behind it
//! has eight bytes too, so that most walks end without a look at that one.

use super::super::Key;
use super::holder::Holder;
use crate::sync::Canary;
use crate::sync::epoch::Guard;
use crate::sync::garbage::Reclaim;
use crate::sync::{pool, prefetch_bytes};
use std::alloc::Layout;
use std::cmp::Ordering;
use std::ptr::NonNull;

/// The most items of a block.
pub(super) const ITEMS_MAX: usize = if cfg!(any(loom, shuttle)) { 2 } else { 32 };

/// What is in a block, by the key that it begins with: a node of the map, or a holder of the level below.
pub(super) type Item = NonNull<Key>;

/// The header; behind it there are as many prefixes, and then as many items.
#[repr(C, align(8))]
pub(super) struct Block {
    /// The holder behind; null at the end.
    next: *mut Holder,
    /// Of the least key behind: the eight bytes that follow what it has in common with our own, and how many bytes that are.
    next_prefix: u64,
    next_common: u16,
    len: u16,
    /// How many bytes all keys have in common with the least key that there may be.
    common: u16,
    canary: Canary,
}

/// Which holder comes behind, and what is known of its least key.
#[derive(Clone, Copy)]
pub(super) struct Behind {
    next: *mut Holder,
    prefix: u64,
    common: u16,
}

impl Behind {
    pub(super) const NOTHING: Behind = Behind { next: std::ptr::null_mut(), prefix: 0, common: 0 };

    /// For a block whose holder has `low` as its least key.
    pub(super) fn new(low: &[u8], next: Option<&Holder>) -> Behind {
        let Some(next) = next else { return Behind::NOTHING };
        let common = common_bytes(low, next.low());
        let prefix = prefix(next.low(), common);
        Behind { next: std::ptr::from_ref(next).cast_mut(), prefix, common: length(common) }
    }
}

/// What counts as before a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// What is not above it.
    UpTo,
    Below,
}

impl Side {
    pub(super) fn other(self) -> Side {
        match self {
            Side::UpTo => Side::Below,
            Side::Below => Side::UpTo,
        }
    }

    fn is_before(self, one: &[u8], key: &[u8]) -> bool {
        match self {
            Side::UpTo => one <= key,
            Side::Below => one < key,
        }
    }
}

fn length(bytes: usize) -> u16 {
    u16::try_from(bytes).expect("keys are short")
}

/// The eight bytes of a key behind its first ones, as a number that has their order; zeros where it ends.
fn prefix(key: &[u8], common: usize) -> u64 {
    let rest = key.get(common..).unwrap_or(&[]);
    match rest.first_chunk() {
        Some(eight) => u64::from_be_bytes(*eight),
        None => {
            let mut padded = [0; 8];
            padded[..rest.len()].copy_from_slice(rest);
            u64::from_be_bytes(padded)
        }
    }
}

/// How many bytes two keys begin with alike.
fn common_bytes(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// The key of an item that was found under the guard.
pub(super) fn key(item: Item, _guard: &Guard) -> &Key {
    // SAFETY: nodes and holders begin with their keys, which never change, and are freed by epochs after they are out of every block.
    unsafe { item.as_ref() }
}

#[derive(Clone, Copy)]
struct Entry {
    prefix: u64,
    item: Item,
}

impl Block {
    /// Has the prefixes brought near.
    pub(super) fn prefetch(block: NonNull<Block>) {
        prefetch_bytes(block.as_ptr(), size_of::<Block>() + ITEMS_MAX * size_of::<u64>());
    }

    fn layout(len: usize) -> Layout {
        let bytes = size_of::<Block>() + len * (size_of::<u64>() + size_of::<Item>());
        Layout::from_size_align(bytes, align_of::<Block>()).expect("a block is small")
    }

    /// A block that nobody else can see yet.
    fn new(behind: Behind, common: usize, entries: impl ExactSizeIterator<Item = Entry>) -> NonNull<Block> {
        let len = entries.len();
        let block = pool::allocate(Self::layout(len)).cast::<Block>();
        let (next, next_prefix, next_common) = (behind.next, behind.prefix, behind.common);
        let (len, common, canary) = (length(len), length(common), Canary::new());
        // SAFETY: fresh memory for the header, and behind it for as many prefixes and items as there are entries.
        unsafe {
            block.write(Block { next, next_prefix, next_common, len, common, canary });
            let prefixes = block.add(1).cast::<u64>();
            let items = prefixes.add(len.into()).cast::<Item>();
            for (at, entry) in entries.enumerate() {
                prefixes.add(at).write(entry.prefix);
                items.add(at).write(entry.item);
            }
        }
        block
    }

    /// One without items.
    pub(super) fn empty(behind: Behind) -> NonNull<Block> {
        Self::new(behind, 0, std::iter::empty())
    }

    /// One of items in the order of their keys, none of which is below `low`.
    pub(super) fn of(low: &[u8], items: &[Item], behind: Behind, guard: &Guard) -> NonNull<Block> {
        let common = items.last().map_or(0, |last| common_bytes(low, key(*last, guard)));
        let entry = |item: &Item| Entry { prefix: prefix(key(*item, guard), common), item: *item };
        Self::new(behind, common, items.iter().map(entry))
    }

    /// The same with another holder behind.
    pub(super) fn with_behind(&self, behind: Behind) -> NonNull<Block> {
        let entries = (0..self.items().len()).map(|at| self.entry(at));
        Self::new(behind, self.common.into(), entries)
    }

    /// The same with one item more, `at` its place, which `search` said.
    pub(super) fn with(&self, at: usize, item: Item, low: &[u8], guard: &Guard) -> NonNull<Block> {
        let (new, len) = (key(item, guard), self.items().len());
        let common = match len {
            0 => common_bytes(low, new),
            // Below the last key it begins as all do.
            _ if at < len => self.common.into(),
            _ => common_bytes(&low[..usize::from(self.common)], new),
        };
        let fewer = usize::from(self.common).saturating_sub(common);
        let widened = |entry: Entry| Entry { prefix: widened(entry.prefix, &low[common..], fewer), ..entry };
        let added = Entry { prefix: prefix(new, common), item };
        let entry = |nth: usize| match nth.cmp(&at) {
            Ordering::Less => widened(self.entry(nth)),
            Ordering::Equal => added,
            Ordering::Greater => widened(self.entry(nth - 1)),
        };
        Self::new(self.behind(), common, (0..len + 1).map(entry))
    }

    /// The same without the item at this place.
    pub(super) fn without(&self, at: usize) -> NonNull<Block> {
        let entry = |nth: usize| self.entry(if nth < at { nth } else { nth + 1 });
        Self::new(self.behind(), self.common.into(), (0..self.items().len() - 1).map(entry))
    }

    fn entry(&self, at: usize) -> Entry {
        Entry { prefix: self.prefixes()[at], item: self.items()[at] }
    }

    fn prefixes(&self) -> &[u64] {
        self.canary.check();
        // SAFETY: `new` put as many behind the header, and they never change.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(self).add(1).cast(), self.len.into()) }
    }

    pub(super) fn items(&self) -> &[Item] {
        let behind = self.prefixes().as_ptr_range().end;
        // SAFETY: `new` put as many behind the prefixes, and they never change.
        unsafe { std::slice::from_raw_parts(behind.cast(), self.len.into()) }
    }

    pub(super) fn behind(&self) -> Behind {
        self.canary.check();
        Behind { next: self.next, prefix: self.next_prefix, common: self.next_common }
    }

    /// The holder behind. Of a dead holder only for who came to it along its level: when one is found from above, the one behind it may be gone already.
    pub(super) fn next<'g>(&self, _guard: &'g Guard) -> Option<&'g Holder> {
        self.canary.check();
        // SAFETY: null, or in the list when the block was found, see above; retired when it is out of that for good.
        unsafe { self.next.as_ref() }
    }

    /// The holder behind if its least key is before the wanted one. `low` is the least key here, which the wanted one is not below.
    pub(super) fn next_before<'g>(
        &self,
        low: &[u8],
        wanted: &[u8],
        side: Side,
        guard: &'g Guard,
    ) -> Option<&'g Holder> {
        let next = self.next(guard)?;
        let common = usize::from(self.next_common);
        let order = match wanted.get(..common) == Some(&low[..common]) {
            true => self.next_prefix.cmp(&prefix(wanted, common)),
            // It is not below `low`, so it is behind all that begin as that does.
            false => Ordering::Less,
        };
        let is_behind_it = match order {
            Ordering::Less => true,
            Ordering::Greater => false,
            Ordering::Equal => side.is_before(next.low(), wanted),
        };
        is_behind_it.then_some(next)
    }

    pub(super) fn is_full(&self) -> bool {
        usize::from(self.len) >= ITEMS_MAX
    }

    /// Where a key is, or would be. `low` is the holder's least key, which the key is not below.
    pub(super) fn search(&self, low: &[u8], wanted: &[u8], guard: &Guard) -> Result<usize, usize> {
        let common = usize::from(self.common);
        let (prefixes, items) = (self.prefixes(), self.items());
        if wanted.get(..common) != Some(&low[..common]) {
            // As in `next_before`.
            return Err(items.len());
        }
        let sought = prefix(wanted, common);
        let first = prefixes.partition_point(|prefix| *prefix < sought);
        let alike = prefixes[first..].iter().take_while(|prefix| **prefix == sought).count();
        let within = items[first..first + alike].binary_search_by(|item| (**key(*item, guard)).cmp(wanted));
        within.map(|at| first + at).map_err(|at| first + at)
    }
}

impl Reclaim for Block {
    /// # Safety
    /// As of the trait.
    unsafe fn reclaim(block: NonNull<Block>) {
        // SAFETY: alive until this call, by the contract.
        let header = unsafe { block.as_ref() };
        let layout = Self::layout(header.len.into());
        if header.canary.poison() {
            // SAFETY: from `allocate` with this layout; nothing in it needs dropping.
            unsafe { pool::release(block.cast(), layout) }
        }
    }
}

/// A prefix with what comes before it: the first `fewer` bytes of `before`.
fn widened(prefix: u64, before: &[u8], fewer: usize) -> u64 {
    match fewer {
        0 => prefix,
        1..8 => {
            let mut bytes = [0; 8];
            bytes[..fewer].copy_from_slice(&before[..fewer]);
            u64::from_be_bytes(bytes) | prefix >> (8 * fewer)
        }
        _ => u64::from_be_bytes(before[..8].try_into().expect("eight bytes")),
    }
}
