//! The entries of the documents that are there already, while others change them.
//!
//! The build reads at one snapshot, behind the position from which on every writer keeps the index, and puts an entry only where nothing was committed
//! since: what is newer was put, or taken away, by who wrote the document, and is right. Writers do not look at what the build put below them.
//!
//! With a unique index that is not enough. A writer may have taken a key that a document has whose entry was not there yet. So where the build
//! finds something newer, it looks at the document again, and at what is under the key now.

use super::super::Engine;
use super::IndexError;
use super::maintain::{self, duplicate};
use crate::document::stored;
use crate::index::entry::{self, Keys, SEVERAL_KEY};
use crate::index::set::Kept;
use crate::lsn::Lsn;
use crate::map::Towards;
use crate::mvcc::snapshot::{Seen, Snapshot};
use crate::mvcc::store::Space;
use crate::options::Isolation;
use crate::sync::atomic::Ordering;
use crate::txn;
use crate::txn::commit::Failed;
use crate::txn::error::Conflict;
use rayon::prelude::*;
use smallvec::SmallVec;
use std::ops::Bound;

/// The entries of so many documents are in memory at a time.
const SLAB: usize = 1 << 20;
/// So many entries are one transaction.
const TOGETHER: usize = 512;

struct Build<'b> {
    engine: &'b Engine,
    collection: &'b Space,
    space: &'b Space,
    index: &'b Kept,
    snapshot: &'b Snapshot,
}

/// An entry of a document.
struct Entry<'d> {
    key: Vec<u8>,
    value: SmallVec<[u8; 24]>,
    /// The key of the document.
    id: &'d [u8],
}

/// Builds the index from everything that is committed by now, on several threads: the entries of many documents are made, sorted, and put in their
/// order, which is faster than any other, and leaves them near each other in memory.
pub(super) fn build(engine: &Engine, collection: &Space, index: &Kept) -> Result<(), IndexError> {
    let snapshot = engine.store().snapshot();
    let build = Build { engine, collection, space: index.space(collection), index, snapshot: &snapshot };
    let mut documents = snapshot.scan(collection, (Bound::Unbounded, Bound::Unbounded), Towards::Greater);
    loop {
        let slab: Vec<_> = documents.by_ref().take(SLAB).collect();
        if slab.is_empty() {
            return Ok(());
        }
        build.add(&slab)?;
        // Relaxed: a count.
        index.built.fetch_add(slab.len() as u64, Ordering::Relaxed);
    }
}

impl<'b> Build<'b> {
    fn add(&self, documents: &[(&'b [u8], Seen<'b>)]) -> Result<(), IndexError> {
        let mut entries = Vec::new();
        for made in documents.par_chunks(TOGETHER).map(|chunk| self.entries(chunk)).collect::<Vec<_>>() {
            entries.extend(made?);
        }
        entries.par_sort_unstable_by(|a, b| a.key.cmp(&b.key));
        entries.par_chunks(TOGETHER).try_for_each(|chunk| self.put_all(chunk))
    }

    /// Puts entries in their order, and settles those that something stands in the way of.
    fn put_all(&self, entries: &[Entry<'b>]) -> Result<(), IndexError> {
        self.engine.go_on()?;
        let is_unique = self.index.definition.is_unique();
        let (mut puts, mut unsettled): (Vec<&Entry<'b>>, Vec<&Entry<'b>>) = Default::default();
        for entry in entries {
            let is_again = is_unique && puts.last().is_some_and(|before| before.key == entry.key);
            if is_again { &mut unsettled } else { &mut puts }.push(entry);
        }
        while let Err(conflict) = self.put(&puts, self.snapshot.position())? {
            // Without a winner it was overtaken, and nothing is decided. Where one lost, others would.
            if conflict.winner.is_some() {
                let has_lost = |key: &[u8]| {
                    *key == *conflict.key || txn::is_changed(self.space, key, self.snapshot.position())
                };
                unsettled.extend(puts.extract_if(.., |entry| has_lost(&entry.key)));
            }
        }
        match is_unique {
            true => unsettled.into_iter().try_for_each(|entry| self.settle(entry)),
            false => Ok(()),
        }
    }

    fn entries(&self, documents: &[(&'b [u8], Seen<'b>)]) -> Result<Vec<Entry<'b>>, IndexError> {
        let mut entries = Vec::with_capacity(documents.len());
        let mut are_several = false;
        for (id, seen) in documents {
            let keys = self.keys(id, Some(seen.value))?;
            are_several |= keys.are_several();
            let value = entry::value(&self.index.definition, id, &keys);
            entries.extend(keys.keys.into_iter().map(|key| Entry { key, value: value.clone(), id }));
        }
        if are_several {
            self.note_several()?;
        }
        Ok(entries)
    }

    fn keys(&self, id: &[u8], value: Option<&[u8]>) -> Result<Keys, IndexError> {
        match value.and_then(stored::decode) {
            Some((_, document)) => maintain::keys(self.index, document, id),
            None => Ok(Keys::default()),
        }
    }

    /// Says in the index that a document has several entries.
    fn note_several(&self) -> Result<(), IndexError> {
        loop {
            let mut txn = self.engine.begin(Isolation::Snapshot);
            if txn.get(self.space, SEVERAL_KEY).is_some() {
                return Ok(());
            }
            txn.put(self.space, SEVERAL_KEY, Some(&[]));
            if super::committed(txn.commit())?.is_some() {
                return Ok(());
            }
        }
    }

    /// Puts entries where nothing was committed at or above `base`.
    fn put(&self, entries: &[&Entry<'_>], base: Lsn) -> Result<Result<(), Conflict>, IndexError> {
        let mut txn = self.engine.begin(Isolation::Snapshot);
        for entry in entries {
            txn.put_based(self.space, &entry.key, Some(&entry.value), base);
        }
        match txn.commit() {
            Ok(_) => Ok(Ok(())),
            Err(Failed::Conflict { conflict, .. }) => Ok(Err(conflict)),
            Err(Failed::Log(error)) => Err(IndexError::Log(error)),
        }
    }

    /// An entry of a unique index where there is something newer.
    fn settle(&self, entry: &Entry<'_>) -> Result<(), IndexError> {
        loop {
            let now = self.engine.store().snapshot();
            let document = now.get(self.collection, entry.id).map(|seen| seen.value);
            let keys = self.keys(entry.id, document)?;
            if !keys.contains(&entry.key) {
                return Ok(());
            }
            match now.get(self.space, &entry.key).map(|seen| entry::holder(seen.value)) {
                Some(holder) if *holder == *entry.id => return Ok(()),
                Some(holder) => return Err(duplicate(self.index, &entry.key, entry.id, holder)),
                None => {}
            }
            let value = entry::value(&self.index.definition, entry.id, &keys);
            let entry = Entry { key: entry.key.clone(), value, id: entry.id };
            if self.put(&[&entry], now.position())?.is_ok() {
                return Ok(());
            }
        }
    }
}
