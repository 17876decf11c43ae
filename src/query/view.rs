//! What a query reads: a snapshot, or a transaction with its own writes.

use super::stream::Stream;
use crate::lsn::Lsn;
use crate::map::{FETCHED_TOGETHER, Towards};
use crate::mvcc::snapshot::{Seen, Snapshot};
use crate::mvcc::store::Space;
use crate::options::Isolation;
use crate::sync::epoch;
use crate::txn::Txn;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::ops::Bound;

/// See the module.
pub(crate) enum View<'t, 's> {
    Snapshot(&'t Snapshot),
    /// A snapshot, and where the versions are counted that reads come by.
    Counted(&'t Snapshot, &'t Cell<u64>),
    Txn(&'t Txn<'s>),
}

impl Clone for View<'_, '_> {
    fn clone(&self) -> Self {
        *self
    }
}

impl Copy for View<'_, '_> {}

/// A key and its value.
pub(crate) struct Entry<'t> {
    pub(crate) key: Cow<'t, [u8]>,
    pub(crate) lsn: Option<Lsn>,
    pub(crate) value: Cow<'t, [u8]>,
}

impl<'t> Entry<'t> {
    fn seen((key, seen): (&'t [u8], Seen<'t>)) -> Entry<'t> {
        Entry { key: Cow::Borrowed(key), lsn: Some(seen.lsn), value: Cow::Borrowed(seen.value) }
    }
}

/// Where a value was committed, unless by the transaction itself, and the value.
pub(super) type Found<'t> = (Option<Lsn>, Cow<'t, [u8]>);

pub(super) type Entries<'t> = Stream<'t, Entry<'t>>;

impl<'t, 's: 't> View<'t, 's> {
    /// The same, with its versions counted, if somebody wants to know and it is a snapshot.
    pub(super) fn counting(self, versions: Option<&'t OnceCell<Cell<u64>>>) -> Self {
        match (self, versions) {
            (View::Snapshot(snapshot) | View::Counted(snapshot, _), Some(versions)) => {
                View::Counted(snapshot, versions.get_or_init(Cell::default))
            }
            (view, _) => view,
        }
    }

    /// Indexes that became ready below have everything that is seen.
    pub(super) fn position(self) -> Lsn {
        match self {
            View::Snapshot(snapshot) | View::Counted(snapshot, _) => snapshot.position(),
            View::Txn(txn) => txn.position(),
        }
    }

    /// Whether what is read one after the other is as of one moment.
    pub(super) fn is_one_moment(self) -> bool {
        match self {
            View::Snapshot(_) | View::Counted(..) => true,
            View::Txn(txn) => txn.isolation() != Isolation::ReadCommitted,
        }
    }

    pub(super) fn get(self, space: &'s Space, key: &[u8]) -> Option<Found<'t>> {
        match self {
            View::Snapshot(snapshot) => {
                snapshot.get(space, key).map(|seen| (Some(seen.lsn), Cow::Borrowed(seen.value)))
            }
            View::Counted(snapshot, versions) => {
                let found = snapshot.get_told(space, key, &versions);
                found.map(|seen| (Some(seen.lsn), Cow::Borrowed(seen.value)))
            }
            View::Txn(txn) => txn.get(space, key).map(|found| (found.lsn, found.value)),
        }
    }

    /// The entry under one key.
    pub(super) fn entry(self, space: &'s Space, key: &[u8]) -> Option<Entry<'t>> {
        match self {
            View::Snapshot(snapshot) => snapshot.entry_told(space, key, &()).map(Entry::seen),
            View::Counted(snapshot, versions) => snapshot.entry_told(space, key, &versions).map(Entry::seen),
            View::Txn(_) => {
                let (lsn, value) = self.get(space, key)?;
                Some(Entry { key: Cow::Owned(key.to_vec()), lsn, value })
            }
        }
    }

    /// The values under some keys.
    pub(super) fn get_each(
        self,
        space: &'s Space,
        keys: &[&[u8]],
    ) -> SmallVec<[Option<Found<'t>>; FETCHED_TOGETHER]> {
        match self {
            View::Snapshot(snapshot) => {
                let found = snapshot.get_each(space, keys).into_iter();
                found.map(|seen| seen.map(|seen| (Some(seen.lsn), Cow::Borrowed(seen.value)))).collect()
            }
            View::Counted(..) | View::Txn(_) => keys.iter().map(|key| self.get(space, key)).collect(),
        }
    }

    /// Whether there is anything under `key`, which no key of the space is below. A transaction does not note that it was asked.
    pub(super) fn has_first(self, space: &'s Space, key: &[u8]) -> bool {
        match self {
            View::Txn(txn) => txn.peek(space, key).is_some(),
            // The first key of all is there without a search.
            _ => space.records().has_first(key, &epoch::pin()) && self.get(space, key).is_some(),
        }
    }

    /// The entries from `low` up to `high`, which is not included; so many of them are wanted, probably.
    pub(super) fn scan(
        self,
        space: &'s Space,
        (low, high): (&[u8], &[u8]),
        towards: Towards,
        wanted: usize,
    ) -> Entries<'t> {
        let range = (Bound::Included(low), Bound::Excluded(high));
        match self {
            View::Snapshot(snapshot) => {
                let scan = snapshot.scan(space, range, towards).beginning_with(wanted);
                Stream::of(scan.map(Entry::seen))
            }
            View::Counted(snapshot, versions) => {
                let scan = snapshot.scan(space, range, towards).beginning_with(wanted);
                Stream::of(scan.told(versions).map(Entry::seen))
            }
            View::Txn(txn) => Stream::of(txn.scan(space, range, towards).map(|entry| Entry {
                key: entry.key,
                lsn: entry.lsn,
                value: entry.value,
            })),
        }
    }
}
