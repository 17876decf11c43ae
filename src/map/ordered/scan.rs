//! Walking along the lowest level, in either direction.

use super::block::{Item, Side, key};
use super::{Found, LEVELS, Ordered, holder_of, link_of};
use crate::map::{Key, Link, Towards};
use crate::sync::epoch::Guard;
use crate::sync::prefetch;
use std::ops::Bound;

/// So many nodes of a block are brought near before a scan comes to them.
const NODES_AHEAD: usize = 8;

/// Where a range is cut off: what is on that side of a key is before it. None where it is not.
type Cut<'k> = Option<(&'k [u8], Side)>;

/// A bound as a cut, if what is included is to be on this side of it.
fn cut(bound: Bound<&[u8]>, of_included: Side) -> Cut<'_> {
    match bound {
        Bound::Unbounded => None,
        Bound::Included(key) => Some((key, of_included)),
        Bound::Excluded(key) => Some((key, of_included.other())),
    }
}

impl<T: Send + Sync + 'static> Ordered<T> {
    /// The range must not be one that holds nothing whatever the map holds.
    pub(in crate::map) fn scan<'g>(
        &'g self,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        towards: Towards,
        guard: &'g Guard,
        visit: impl FnMut(&'g Key, Link<T>) -> bool,
    ) -> bool {
        let ends = (cut(range.0, Side::Below), cut(range.1, Side::UpTo));
        match towards {
            Towards::Greater => self.scan_up(ends, guard, visit),
            Towards::Lesser => self.scan_down(ends, guard, visit),
        }
    }

    fn scan_up<'g>(
        &'g self,
        (begin, end): (Cut<'_>, Cut<'_>),
        guard: &'g Guard,
        mut visit: impl FnMut(&'g Key, Link<T>) -> bool,
    ) -> bool {
        let (mut found, mut from) = match begin {
            None => (Found::at(self.head(0), guard), 0),
            Some((key, side)) => self.last_before(key, side, guard),
        };
        loop {
            let (items, next) = match end {
                None => (found.block.items(), found.block.next(guard)),
                Some((key, side)) => match found.next_before(key, side, guard) {
                    // All here is before it, and so before the end.
                    Some(next) => (found.block.items(), Some(next)),
                    None => (&found.block.items()[..found.before(key, side, guard)], None),
                },
            };
            next.into_iter().for_each(|next| prefetch(next));
            if !visit_each(items[from..].iter(), guard, &mut visit) {
                return false;
            }
            let Some(next) = next else { return true };
            (found, from) = (Found::at(next, guard), 0);
        }
    }

    fn scan_down<'g>(
        &'g self,
        (begin, end): (Cut<'_>, Cut<'_>),
        guard: &'g Guard,
        mut visit: impl FnMut(&'g Key, Link<T>) -> bool,
    ) -> bool {
        let (mut found, mut to) = match end {
            None => self.last(guard),
            Some((key, side)) => self.last_before(key, side, guard),
        };
        loop {
            let is_above = begin.is_none_or(|(key, _)| found.holder.low() > key);
            let goes_on = is_above && !self.is_head(0, found.holder);
            let from = match begin.filter(|_| !goes_on) {
                None => 0,
                Some((key, side)) => found.before(key, side, guard),
            };
            if !visit_each(found.block.items()[from..to].iter().rev(), guard, &mut visit) {
                return false;
            }
            if !goes_on {
                return true;
            }
            (found, to) = self.last_before(found.holder.low(), Side::Below, guard);
        }
    }

    /// The last holder that is before a key, and how many of its items are.
    fn last_before<'g>(&'g self, key: &[u8], side: Side, guard: &'g Guard) -> (Found<'g>, usize) {
        let found = self.locate(0, key, side, guard);
        let before = found.before(key, side, guard);
        (found, before)
    }

    /// The last holder, and how many items it has.
    fn last<'g>(&'g self, guard: &'g Guard) -> (Found<'g>, usize) {
        let top = || (LEVELS - 1, Found::at(self.head(LEVELS - 1), guard));
        let (mut level, mut found) = top();
        loop {
            if found.held.is_dead() {
                self.unlist(level + 1, found.holder, guard);
                (level, found) = top();
            } else if let Some(next) = found.block.next(guard) {
                found = Self::step(&found, next, guard);
            } else if level == 0 {
                let items = found.block.items().len();
                return (found, items);
            } else {
                level -= 1;
                let last = found.block.items().last();
                found = Found::at(last.map_or(self.head(level), |last| holder_of(*last, guard)), guard);
            }
        }
    }
}

/// Visits nodes, in the direction of a scan, until it is told to stop: then false.
fn visit_each<'g, T>(
    items: impl Iterator<Item = &'g Item> + Clone,
    guard: &'g Guard,
    visit: &mut impl FnMut(&'g Key, Link<T>) -> bool,
) -> bool {
    let mut ahead = items.clone();
    ahead.by_ref().take(NODES_AHEAD).for_each(|item| prefetch(item.as_ptr()));
    items.into_iter().all(|item| {
        ahead.next().into_iter().for_each(|item| prefetch(item.as_ptr()));
        visit(key(*item, guard), link_of(*item))
    })
}
