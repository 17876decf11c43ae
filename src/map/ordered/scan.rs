//! Walking along the lowest level, in either direction.

use super::block::{Block, Item, key};
use super::{Found, LEVELS, Ordered, Side, holder_of, link_of};
use crate::map::{Key, Link, Towards};
use crate::sync::epoch::Guard;
use crate::sync::prefetch;
use std::ops::Bound;

/// So many nodes of a block are brought near before a scan comes to them.
const NODES_AHEAD: usize = 8;

impl<T: Send + Sync + 'static> Ordered<T> {
    /// The range must not be one that holds nothing whatever the map holds.
    pub(in crate::map) fn scan<'g>(
        &'g self,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        towards: Towards,
        guard: &'g Guard,
        visit: impl FnMut(&'g Key, Link<T>) -> bool,
    ) -> bool {
        match towards {
            Towards::Greater => self.scan_up(range, guard, visit),
            Towards::Lesser => self.scan_down(range, guard, visit),
        }
    }

    fn scan_up<'g>(
        &'g self,
        (low, high): (Bound<&[u8]>, Bound<&[u8]>),
        guard: &'g Guard,
        mut visit: impl FnMut(&'g Key, Link<T>) -> bool,
    ) -> bool {
        let (mut block, mut from) = match low {
            Bound::Unbounded => (Found::at(self.head(0), guard).block, 0),
            Bound::Included(low) => self.behind(low, Side::Below, guard),
            Bound::Excluded(low) => self.behind(low, Side::UpTo, guard),
        };
        let is_within = |key: &[u8]| match high {
            Bound::Included(high) => *key <= *high,
            Bound::Excluded(high) => *key < *high,
            Bound::Unbounded => true,
        };
        loop {
            let next = block.next(guard);
            next.into_iter().for_each(|next| prefetch(next));
            if let Some(is_over) = visit_each(block.items()[from..].iter(), is_within, guard, &mut visit) {
                return is_over;
            }
            let Some(next) = next else { return true };
            (block, from) = (Found::at(next, guard).block, 0);
        }
    }

    /// The block that a key belongs to, and how many of its items are before the key.
    fn behind<'g>(&'g self, key: &[u8], side: Side, guard: &'g Guard) -> (&'g Block, usize) {
        let found = self.locate(0, key, Side::UpTo, guard);
        (found.block, found.before(key, side, guard))
    }

    fn scan_down<'g>(
        &'g self,
        (low, high): (Bound<&[u8]>, Bound<&[u8]>),
        guard: &'g Guard,
        mut visit: impl FnMut(&'g Key, Link<T>) -> bool,
    ) -> bool {
        let (mut found, mut to) = match high {
            Bound::Unbounded => self.last(guard),
            Bound::Included(high) => self.up_to(high, Side::UpTo, guard),
            Bound::Excluded(high) => self.up_to(high, Side::Below, guard),
        };
        let is_within = |key: &[u8]| match low {
            Bound::Included(low) => *key >= *low,
            Bound::Excluded(low) => *key > *low,
            Bound::Unbounded => true,
        };
        loop {
            let items = found.block.items()[..to].iter().rev();
            if let Some(is_over) = visit_each(items, is_within, guard, &mut visit) {
                return is_over;
            }
            if self.is_head(0, found.holder) {
                return true;
            }
            (found, to) = self.up_to(found.holder.low(), Side::Below, guard);
        }
    }

    /// The last holder with something before a key, perhaps, and how many of its items are.
    fn up_to<'g>(&'g self, key: &[u8], side: Side, guard: &'g Guard) -> (Found<'g>, usize) {
        let found = self.locate(0, key, side, guard);
        let before = found.before(key, side, guard);
        (found, before)
    }

    /// The last holder, and how many items it has.
    fn last<'g>(&'g self, guard: &'g Guard) -> (Found<'g>, usize) {
        let mut at = self.head(LEVELS - 1);
        let mut level = LEVELS - 1;
        loop {
            let found = Found::at(at, guard);
            if found.held.is_dead() {
                self.unlist(level + 1, at, guard);
                (at, level) = (self.head(LEVELS - 1), LEVELS - 1);
            } else if let Some(next) = found.block.next(guard) {
                at = Self::step(&found, next, guard);
            } else if level == 0 {
                let items = found.block.items().len();
                return (found, items);
            } else {
                level -= 1;
                let last = found.block.items().last();
                at = last.map_or(self.head(level), |last| holder_of(*last, guard));
            }
        }
    }
}

/// Visits nodes, in the direction of a scan; says whether the range is over, or nothing if it may go on behind them.
fn visit_each<'g, T>(
    items: impl Iterator<Item = &'g Item> + Clone,
    is_within: impl Fn(&[u8]) -> bool,
    guard: &'g Guard,
    visit: &mut impl FnMut(&'g Key, Link<T>) -> bool,
) -> Option<bool> {
    let mut ahead = items.clone();
    ahead.by_ref().take(NODES_AHEAD).for_each(|item| prefetch(item.as_ptr()));
    for item in items {
        ahead.next().into_iter().for_each(|item| prefetch(item.as_ptr()));
        let key = key(*item, guard);
        if !is_within(key) {
            return Some(true);
        }
        if !visit(key, link_of(*item)) {
            return Some(false);
        }
    }
    None
}
