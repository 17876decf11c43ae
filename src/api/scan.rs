//! Iterators over ranges: of a snapshot, of a transaction.

use super::Result;
use super::value::DocRef;
use crate::map::Towards;
use crate::mvcc::snapshot::{self, Snapshot};
use crate::mvcc::store::Space;
use crate::txn;
use std::borrow::Cow;
use std::ops::Bound;

/// A range of keys, in its order or against it.
#[derive(Clone, Copy)]
pub(super) struct Span<'a> {
    pub(super) low: Bound<&'a [u8]>,
    pub(super) high: Bound<&'a [u8]>,
    pub(super) towards: Towards,
}

/// Documents as of a snapshot, in the order of their ids or against it. Holds some dozens of references at a time, and no lock.
pub struct DocumentScan<'s> {
    entries: snapshot::Scan<'s>,
    name: &'s str,
}

impl<'s> DocumentScan<'s> {
    pub(super) fn new(snapshot: &'s Snapshot, space: &'s Space, span: Span<'_>) -> DocumentScan<'s> {
        let entries = snapshot.scan(space, (span.low, span.high), span.towards);
        DocumentScan { entries, name: space.name() }
    }
}

impl<'s> Iterator for DocumentScan<'s> {
    type Item = Result<DocRef<'s>>;

    fn next(&mut self) -> Option<Self::Item> {
        let (key, seen) = self.entries.next()?;
        Some(DocRef::new(Cow::Borrowed(seen.value), Some(seen.lsn), self.name, key))
    }
}

/// Keys and values as of a snapshot, in the order of the keys or against it.
pub struct KeyValueScan<'s>(snapshot::Scan<'s>);

impl<'s> KeyValueScan<'s> {
    pub(super) fn new(snapshot: &'s Snapshot, space: &'s Space, span: Span<'_>) -> KeyValueScan<'s> {
        KeyValueScan(snapshot.scan(space, (span.low, span.high), span.towards))
    }
}

impl<'s> Iterator for KeyValueScan<'s> {
    type Item = (&'s [u8], &'s [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(key, seen)| (key, seen.value))
    }
}

/// Documents as a transaction sees them, its own writes included.
pub struct TransactionDocumentScan<'t, 'db> {
    entries: txn::Scan<'t, 'db>,
    name: &'t str,
}

impl<'t, 'db> TransactionDocumentScan<'t, 'db> {
    pub(super) fn new(entries: txn::Scan<'t, 'db>, name: &'t str) -> Self {
        TransactionDocumentScan { entries, name }
    }
}

impl<'t> Iterator for TransactionDocumentScan<'t, '_> {
    type Item = Result<DocRef<'t>>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.entries.next()?;
        Some(DocRef::new(entry.value, entry.lsn, self.name, &entry.key))
    }
}

/// A key and its value, borrowed from the transaction unless its isolation forbids that.
pub type KeyValue<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// Keys and values as a transaction sees them, its own writes included.
pub struct TransactionKeyValueScan<'t, 'db>(txn::Scan<'t, 'db>);

impl<'t, 'db> TransactionKeyValueScan<'t, 'db> {
    pub(super) fn new(entries: txn::Scan<'t, 'db>) -> Self {
        TransactionKeyValueScan(entries)
    }
}

impl<'t> Iterator for TransactionKeyValueScan<'t, '_> {
    type Item = KeyValue<'t>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|entry| (entry.key, entry.value))
    }
}
