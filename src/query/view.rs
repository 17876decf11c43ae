//! What a query reads: a snapshot, or a transaction with its own writes.

use crate::lsn::Lsn;
use crate::map::Towards;
use crate::mvcc::snapshot::Snapshot;
use crate::mvcc::store::Space;
use crate::options::Isolation;
use crate::txn::Txn;
use std::borrow::Cow;
use std::ops::Bound;

/// See the module.
pub(crate) enum View<'t, 's> {
    Snapshot(&'t Snapshot),
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

/// Where a value was committed, unless by the transaction itself, and the value.
pub(super) type Found<'t> = (Option<Lsn>, Cow<'t, [u8]>);

pub(super) type Entries<'t> = Box<dyn Iterator<Item = Entry<'t>> + 't>;

impl<'t, 's: 't> View<'t, 's> {
    /// Indexes that became ready below have everything that is seen.
    pub(super) fn position(self) -> Lsn {
        match self {
            View::Snapshot(snapshot) => snapshot.position(),
            View::Txn(txn) => txn.position(),
        }
    }

    /// Whether what is read one after the other is as of one moment.
    pub(super) fn is_one_moment(self) -> bool {
        match self {
            View::Snapshot(_) => true,
            View::Txn(txn) => txn.isolation() != Isolation::ReadCommitted,
        }
    }

    pub(super) fn get(self, space: &'s Space, key: &[u8]) -> Option<Found<'t>> {
        match self {
            View::Snapshot(snapshot) => {
                snapshot.get(space, key).map(|seen| (Some(seen.lsn), Cow::Borrowed(seen.value)))
            }
            View::Txn(txn) => txn.get(space, key).map(|found| (found.lsn, found.value)),
        }
    }

    /// The values under some keys.
    pub(super) fn get_each<'k>(
        self,
        space: &'s Space,
        keys: impl Iterator<Item = &'k [u8]> + Clone,
    ) -> Vec<Option<Found<'t>>> {
        match self {
            View::Snapshot(snapshot) => {
                let found = snapshot.get_each(space, keys).into_iter();
                found.map(|seen| seen.map(|seen| (Some(seen.lsn), Cow::Borrowed(seen.value)))).collect()
            }
            View::Txn(_) => keys.map(|key| self.get(space, key)).collect(),
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
                Box::new(scan.map(|(key, seen)| Entry {
                    key: Cow::Borrowed(key),
                    lsn: Some(seen.lsn),
                    value: Cow::Borrowed(seen.value),
                }))
            }
            View::Txn(txn) => Box::new(txn.scan(space, range, towards).map(|entry| Entry {
                key: entry.key,
                lsn: entry.lsn,
                value: entry.value,
            })),
        }
    }
}
