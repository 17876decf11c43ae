//! A range as a transaction sees it: its snapshot, overlaid with its own writes.

use super::Entry;
use super::read_set::{ReadSet, Walk};
use super::write_set::PendingWrite;
use crate::lsn::Lsn;
use crate::map::{Key, Towards};
use crate::mvcc::snapshot::{self, Snapshot, as_bytes};
use crate::mvcc::store::Space;
use std::borrow::Cow;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::iter::Peekable;
use std::ops::Bound;

/// What lies under the transaction's own writes.
pub(super) enum Base<'t> {
    Snapshot(snapshot::Scan<'t>),
    Statement(StatementScan<'t>),
}

impl<'t> Iterator for Base<'t> {
    type Item = (Cow<'t, [u8]>, Lsn, Cow<'t, [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Base::Snapshot(scan) => {
                scan.next().map(|(key, seen)| (Cow::Borrowed(key), seen.lsn, Cow::Borrowed(seen.value)))
            }
            Base::Statement(scan) => {
                scan.next().map(|(key, lsn, value)| (Cow::Owned(key), lsn, Cow::Owned(value)))
            }
        }
    }
}

/// A range at a snapshot of the statement's own, which nothing can borrow from: copies, a batch at a time.
pub(super) struct StatementScan<'t> {
    snapshot: Snapshot,
    space: &'t Space,
    low: Bound<Key>,
    high: Bound<Key>,
    towards: Towards,
    fetched: VecDeque<(Vec<u8>, Lsn, Vec<u8>)>,
}

const STATEMENT_BATCH: usize = 64;

impl<'t> StatementScan<'t> {
    pub(super) fn new(snapshot: Snapshot, walk: &Walk<'t>) -> StatementScan<'t> {
        let (low, high) = walk.range.clone();
        StatementScan {
            snapshot,
            space: walk.space,
            low,
            high,
            towards: walk.towards,
            fetched: VecDeque::new(),
        }
    }

    fn next(&mut self) -> Option<(Vec<u8>, Lsn, Vec<u8>)> {
        if self.fetched.is_empty() {
            let range = (as_bytes(&self.low), as_bytes(&self.high));
            let scan = self.snapshot.scan(self.space, range, self.towards).take(STATEMENT_BATCH);
            self.fetched = scan.map(|(key, seen)| (key.to_vec(), seen.lsn, seen.value.to_vec())).collect();
            let last = Bound::Excluded(Key::from(&self.fetched.back()?.0[..]));
            match self.towards {
                Towards::Greater => self.low = last,
                Towards::Lesser => self.high = last,
            }
        }
        self.fetched.pop_front()
    }
}

type OwnWrites<'t, 's> = Box<dyn Iterator<Item = (&'t Key, &'t PendingWrite<'s>)> + 't>;

/// See the module. Entries come in the walk's order, each key once, deleted ones not at all.
pub(crate) struct Scan<'t, 's> {
    base: Peekable<Base<'t>>,
    own: Peekable<OwnWrites<'t, 's>>,
    walk: Walk<'s>,
    /// Serializable: where to note how far the walk has come.
    reads: Option<&'t RefCell<ReadSet<'s>>>,
}

impl<'t, 's> Scan<'t, 's> {
    pub(super) fn new(
        base: Base<'t>,
        own: OwnWrites<'t, 's>,
        walk: Walk<'s>,
        reads: Option<&'t RefCell<ReadSet<'s>>>,
    ) -> Scan<'t, 's> {
        Scan { base: base.peekable(), own: own.peekable(), walk, reads }
    }

    /// The next entry of either; of the same key the transaction's own, which may be a deletion.
    fn step(&mut self) -> Option<Entry<'t>> {
        loop {
            let order = match (self.base.peek(), self.own.peek()) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((base, ..)), Some((own, _))) => {
                    let order = base.as_ref().cmp(own);
                    if self.walk.towards == Towards::Lesser { order.reverse() } else { order }
                }
            };
            if order == Ordering::Less {
                return self.base.next().map(|(key, lsn, value)| Entry { key, lsn: Some(lsn), value });
            }
            if order == Ordering::Equal {
                self.base.next();
            }
            let (key, write) = self.own.next()?;
            if let Some(value) = write.value() {
                return Some(Entry { key: Cow::Borrowed(key), lsn: None, value: Cow::Borrowed(value) });
            }
        }
    }
}

impl<'t> Iterator for Scan<'t, '_> {
    type Item = Entry<'t>;

    fn next(&mut self) -> Option<Entry<'t>> {
        let entry = self.step();
        if let Some(reads) = self.reads {
            reads.borrow_mut().note(&mut self.walk, entry.as_ref().map(|entry| &*entry.key));
        }
        entry
    }
}
