//! Indexes while the store is in use: created and dropped beside readers and writers.
//!
//! - `maintain`: the entries that a change of a document changes, in the same transaction.
//! - `build`: the entries of the documents that are there already.
//!
//! Who writes a document while the list of indexes changes commits by the list that holds at its position, or not at all: see `mvcc::era`.
//!
//! ```text
//!   create:  name in the catalog ─► list, era ─► position p ─► entries of a snapshot behind p ─► ready in the catalog ─► list
//!   drop:    dropping in the catalog ─► list, era ─► position p ─► no entry of a snapshot behind p ─► out of the catalog
//! ```
//!
//! What is committed behind p keeps the index, or does not, whichever the list says; and the snapshot sees all that is below. An index that a crash
//! leaves half built or half dropped is dropped by the next opening.

mod build;
pub(crate) mod maintain;

use super::Engine;
use super::catalog::{self, IndexRecord};
use crate::document::DocumentId;
use crate::index::definition::Index;
use crate::index::entry::{IndexEntryError, SEVERAL_KEY};
use crate::index::set::{Indexes, Kept, Phase};
use crate::io::IoError;
use crate::lsn::Lsn;
use crate::map::Towards;
use crate::mvcc::chain::ANY_BASE;
use crate::mvcc::store::{IN_ORDER, Space, Store};
use crate::options::{Durability, Isolation};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, lock};
use crate::txn::commit::{Committed, Failed};
use std::ops::Bound;

/// Why an index was not created or dropped, or why a document has no place in one.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The collection has an index of this name.
    #[error("there is an index `{name}` already; drop it, or give another name")]
    #[non_exhaustive]
    Exists {
        /// The name.
        name: String,
    },
    /// The collection has no index of this name.
    #[error("there is no index `{name}`")]
    #[non_exhaustive]
    NotFound {
        /// The name.
        name: String,
    },
    /// Two documents have the same values in a unique index.
    #[error(
        "documents {first} and {second} have the same values in the unique index `{index}`: {key}; change one of them"
    )]
    #[non_exhaustive]
    Duplicate {
        /// The index.
        index: String,
        /// The values, separated by commas. Numbers are of the type that the index keeps, which is one for all.
        key: String,
        /// The document that was to be written, or was found first.
        first: DocumentId,
        /// The one that has the values already.
        second: DocumentId,
    },
    /// A document has no place in the index.
    #[error("document {id} has no place in the index `{index}`: {cause}")]
    #[non_exhaustive]
    Entry {
        /// The index.
        index: String,
        /// The document.
        id: DocumentId,
        /// Why.
        cause: IndexEntryError,
    },
    /// The store has no number left for another collection, keyspace or index.
    #[error("the store has no number left for another index")]
    NoNumberLeft,
    /// The log takes nothing any more.
    #[error(transparent)]
    Log(#[from] IoError),
    /// The store was closed meanwhile. The next opening drops what was there of the index.
    #[error("the store was closed before the index was complete")]
    Closed,
}

/// So many entries are dropped in one transaction.
const DROPPED_TOGETHER: usize = 1024;

/// Where an index has its entries; conflicts name it.
fn entries_space<'s>(store: &'s Store, record: &IndexRecord, collection: &str) -> &'s Space {
    let name = format!("{collection}, index {}", record.definition.name());
    store.space(record.number).named(&name)
}

impl Engine {
    /// Creates an index, and returns when it holds everything.
    pub(crate) fn create_index(&self, collection: &Space, definition: Index) -> Result<(), IndexError> {
        let _alone = lock(&self.indexing);
        let (store, indexes) = (self.store(), Indexes::of(collection));
        let name = definition.name();
        if indexes.current().iter().any(|index| index.name == name) {
            return Err(IndexError::Exists { name });
        }
        let record = self.add_to_catalog(collection, definition)?;
        let space = entries_space(store, &record, collection.name());
        let index = Arc::new(Kept::new(record.definition.clone(), space, None));
        indexes.publish(indexes.current().iter().cloned().chain([Arc::clone(&index)]).collect());
        collection.era().end();
        let ready = self.put_record(&record, Durability::None).and_then(|_| {
            build::build(self, collection, &index)?;
            let record = IndexRecord { phase: Phase::Ready, ..record.clone() };
            self.put_record(&record, self.config().durability)
        });
        match ready {
            Ok(ready) => {
                index.refresh(collection, &store.snapshot());
                replace(indexes, &index, Some(index.with_ready(Some(ready))));
                Ok(())
            }
            Err(error) => {
                // If that fails too, the next opening does it.
                let _ = self.take_out(collection, record, &index);
                Err(error)
            }
        }
    }

    fn add_to_catalog(&self, collection: &Space, definition: Index) -> Result<IndexRecord, IndexError> {
        let _alone = lock(&self.naming);
        loop {
            let mut txn = self.begin(Isolation::Snapshot);
            let number = catalog::next_number(&txn, self.store()).ok_or(IndexError::NoNumberLeft)?;
            // One key of a unique index is asked for; those of others are walked.
            let number = if definition.is_unique() { number } else { number | IN_ORDER };
            let (collection, phase) = (collection.id(), Phase::Building);
            let record = IndexRecord { collection, number, phase, definition: definition.clone() };
            record.put(&mut txn, self.store());
            if committed(txn.commit())?.is_some() {
                return Ok(record);
            }
        }
    }

    /// Drops an index, and returns when nothing is left of it.
    pub(crate) fn drop_index(&self, collection: &Space, name: &str) -> Result<(), IndexError> {
        let _alone = lock(&self.indexing);
        let kept = Indexes::of(collection).current().iter().find(|index| index.name == name).cloned();
        let kept = kept.ok_or_else(|| IndexError::NotFound { name: name.to_owned() })?;
        let (collection_id, number) = (collection.id(), kept.space(collection).id());
        let (definition, phase) = (kept.definition.clone().named(name), Phase::Dropping);
        self.take_out(collection, IndexRecord { collection: collection_id, number, phase, definition }, &kept)
    }

    fn take_out(&self, collection: &Space, record: IndexRecord, index: &Arc<Kept>) -> Result<(), IndexError> {
        let record = IndexRecord { phase: Phase::Dropping, ..record };
        self.put_record(&record, self.config().durability)?;
        let indexes = Indexes::of(collection);
        // Before it is out of the list: it is in one of the two all the while.
        let dropping = indexes.begin_drop(index);
        replace(indexes, index, None);
        collection.era().end();
        // The position behind which nobody keeps it.
        self.put_record(&record, Durability::None)?;
        // If that fails the next opening does it, and until then it is said that it is not done.
        self.finish_drop(&record, &dropping.dropped)?;
        indexes.end_drop(&dropping);
        Ok(())
    }

    /// Takes the entries out that nobody keeps any more, and then the name.
    fn finish_drop(&self, record: &IndexRecord, dropped: &AtomicU64) -> Result<(), IndexError> {
        let (store, space) = (self.store(), self.store().space(record.number));
        let snapshot = store.snapshot();
        let mut left = snapshot.scan(space, (Bound::Unbounded, Bound::Unbounded), Towards::Greater);
        loop {
            let keys: Vec<_> = left.by_ref().take(DROPPED_TOGETHER).map(|(key, _)| key).collect();
            if keys.is_empty() {
                break;
            }
            self.delete_entries(space, &keys)?;
            let entries = keys.iter().filter(|key| **key != SEVERAL_KEY).count() as u64;
            // Relaxed: a count.
            dropped.fetch_add(entries, Ordering::Relaxed);
            self.go_on()?;
        }
        loop {
            let mut txn = self.begin(Isolation::Snapshot);
            record.remove(&mut txn, store);
            if committed(self.commit_as_is(txn, self.config().durability))?.is_some() {
                return Ok(());
            }
        }
    }

    fn delete_entries(&self, space: &Space, keys: &[&[u8]]) -> Result<(), IndexError> {
        loop {
            let mut txn = self.begin(Isolation::Snapshot);
            keys.iter().for_each(|key| txn.put_based(space, key, None, ANY_BASE));
            // Who still keeps the index does not commit, but may be in the way.
            if committed(txn.commit())?.is_some() {
                return Ok(());
            }
        }
    }

    /// Writes what the catalog says of an index; returns its position.
    fn put_record(&self, record: &IndexRecord, durability: Durability) -> Result<Lsn, IndexError> {
        loop {
            let mut txn = self.begin(Isolation::Snapshot);
            record.put(&mut txn, self.store());
            if let Some(lsn) = committed(self.commit_as_is(txn, durability))? {
                return Ok(lsn);
            }
        }
    }

    fn go_on(&self) -> Result<(), IndexError> {
        if self.is_closed() { Err(IndexError::Closed) } else { Ok(()) }
    }

    /// Attaches the indexes of the catalog to their collections, before anybody uses the store.
    pub(super) fn attach_indexes(&self) {
        let snapshot = self.store().snapshot();
        let records = catalog::indexes(&snapshot, self.store());
        let names = catalog::list(&snapshot, self.store(), catalog::Kind::Collection);
        for of_collection in records.chunk_by(|(a, _), (b, _)| a.collection == b.collection) {
            let ready = of_collection.iter().filter(|(record, _)| record.phase == Phase::Ready);
            let kept = ready.map(|(record, since)| {
                let name = names.iter().find(|(_, number)| *number == record.collection);
                let name = name.map_or("", |(name, _)| name);
                let space = entries_space(self.store(), record, name);
                Arc::new(Kept::new(record.definition.clone(), space, Some(*since)))
            });
            Indexes::of(self.store().space(of_collection[0].0.collection)).publish(kept.collect());
        }
        for (record, _) in records.iter().filter(|(record, _)| record.phase != Phase::Ready) {
            // A store that takes no writes keeps it for the next opening.
            let _ = self.finish_drop(record, &AtomicU64::new(0));
        }
    }
}

/// Gathers statistics of all indexes that have changed much since.
pub(super) fn refresh_statistics(store: &Store, mut go_on: impl FnMut() -> bool) {
    for collection in store.spaces() {
        for index in Indexes::of(collection).current().iter().filter(|index| index.ready.is_some()) {
            if !go_on() {
                return;
            }
            index.refresh(collection, &store.snapshot());
        }
    }
}

/// Puts another index in the place of one in the list, or none.
fn replace(indexes: &Indexes, old: &Arc<Kept>, new: Option<Kept>) {
    let mut list = indexes.current().to_vec();
    let at = list.iter().position(|index| Arc::ptr_eq(index, old) || index.name == old.name);
    if let Some(at) = at {
        list.splice(at..=at, new.map(Arc::new));
    }
    indexes.publish(list);
}

/// Where it was committed, or nothing if another transaction came in between.
fn committed(result: Result<Committed, Failed<'_>>) -> Result<Option<Lsn>, IndexError> {
    match result {
        Ok(committed) => Ok(Some(committed.lsn)),
        Err(Failed::Conflict { .. }) => Ok(None),
        Err(Failed::Log(error)) => Err(IndexError::Log(error)),
    }
}
