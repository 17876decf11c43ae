//! A collection: documents by id, one at a time. Each call alone is a transaction.
//!
//! Not here: calls that take several documents (`batches`), and what a call does within a transaction (`documents`).

use super::documents::{Documents, Prepared, Target};
use super::retry::retry;
use super::space::SpaceHandle;
use super::value::{DocRef, Document};
use super::{Database, Result};
use crate::document::{DocumentId, IntoDocument, Patch, take_or_generate_id};
use crate::index::definition::Index;
use crate::index::restore;
use crate::index::set::{Dropping, Indexes, Kept};
use crate::mvcc::store::Space;
use crate::options::Isolation;
use crate::sync::atomic::Ordering;
use crate::txn::reapply::Mended;
use crate::txn::{self, Txn};
use std::borrow::Cow;

/// A named set of schemaless documents, each under its id.
///
/// Cheap to clone; keeps the store. Every call here is a transaction of its own at snapshot isolation, acknowledged at the store's durability,
/// and tried again when another transaction comes in between. Calls that take several documents are one transaction: all or nothing.
/// For several calls in one transaction see [`Transaction`](crate::Transaction).
///
/// ```
/// # use skipstone::{Database, Patch, bson::doc};
/// let db = Database::in_memory();
/// let towns = db.collection("towns")?;
/// let id = towns.insert(doc! { "name": "Aachen", "people": 249_070 })?;
/// towns.patch(id.clone(), &Patch::new().inc("people", 1))?;
/// let town = towns.get(id)?.expect("it was inserted");
/// assert_eq!((town.version(), town.get("people").and_then(|n| n.as_i32())), (2, Some(249_071)));
/// # Ok::<(), skipstone::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Collection(pub(super) SpaceHandle);

/// An index of a collection, and how far it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IndexInfo {
    /// Its definition, with its name.
    pub index: Index,
    /// Whether it holds every document, and queries use it.
    pub is_ready: bool,
    /// So many documents its build has looked at, since the store was opened.
    pub built: u64,
    /// How many entries it has, roughly: one for each document that is in it, or for each element of an array. Entries that are gone may count
    /// until they are swept up.
    pub entries: u64,
    /// Whether its entries say what their fields are, so that queries for these alone need no document. One that an earlier version created does not: drop it
    /// and create it again. Neither does one of more than 16 fields.
    pub can_cover: bool,
    /// So many of its entries are gone, while it is being dropped; none if it is not. From then on nobody uses it, and when all are gone it is not listed any
    /// more.
    pub dropped: Option<u64>,
}

impl IndexInfo {
    fn of(kept: &Kept, collection: &Space) -> IndexInfo {
        // Relaxed: a count.
        let built = kept.built.load(Ordering::Relaxed);
        let (index, is_ready) = (kept.definition.clone(), kept.ready.is_some());
        let (entries, can_cover) = (kept.entry_count(collection), restore::can_cover(&index));
        IndexInfo { index, is_ready, built, entries, can_cover, dropped: None }
    }

    fn of_dropping(dropping: &Dropping, collection: &Space) -> IndexInfo {
        // Relaxed: a count.
        let dropped = Some(dropping.dropped.load(Ordering::Relaxed));
        IndexInfo { is_ready: false, dropped, ..IndexInfo::of(&dropping.index, collection) }
    }
}

impl Collection {
    /// The name.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    pub(super) fn prepare_document(&self, document: impl IntoDocument) -> Result<Prepared> {
        let limits = self.0.engine.config().limits;
        let (id, raw) = take_or_generate_id(document.into_document(&limits)?, &limits)?;
        Ok(Prepared { id, raw })
    }

    /// Runs `operate` in a transaction of its own, until it does not conflict.
    pub(super) fn alone<T>(
        &self,
        operate: impl for<'s> FnMut(Documents<'s>, &mut Txn<'s>) -> Result<T>,
    ) -> Result<T> {
        self.alone_with_patches(operate, |result, _| result)
    }

    /// The same; `settle` is told of patches that were applied again as the transaction was committed.
    pub(super) fn alone_with_patches<T>(
        &self,
        mut operate: impl for<'s> FnMut(Documents<'s>, &mut Txn<'s>) -> Result<T>,
        settle: impl Fn(T, &Mended<'_>) -> T,
    ) -> Result<T> {
        let engine = &*self.0.engine;
        retry(engine.config().retries_max, || {
            super::check_open(engine)?;
            let mut txn = engine.begin(Isolation::Snapshot);
            let documents = Documents { space: self.0.space(), limits: engine.config().limits };
            let result = operate(documents, &mut txn)?;
            let mended = engine.commit(txn, engine.config().durability).map_err(super::failed)?;
            Ok(settle(result, &mended))
        })
    }

    /// Inserts a document under its `_id`, or under a new UUID (version 7) if it has none. Returns the id.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`](crate::Error::AlreadyExists); a document that cannot be stored.
    pub fn insert(&self, document: impl IntoDocument) -> Result<DocumentId> {
        let document = self.prepare_document(document)?;
        self.alone(|documents, txn| documents.insert(txn, &document))?;
        Ok(document.id)
    }

    /// Inserts a document, or replaces the one with its `_id`. Returns the id.
    ///
    /// # Errors
    /// A document that cannot be stored.
    pub fn upsert(&self, document: impl IntoDocument) -> Result<DocumentId> {
        let document = self.prepare_document(document)?;
        self.alone(|documents, txn| documents.upsert(txn, &document))?;
        Ok(document.id)
    }

    /// The newest committed document under an id, as a copy: one look-up, no transaction, nothing registered.
    ///
    /// Linearizable for this document alone. Two such reads of two documents may see a later transaction and miss an earlier one; to read several
    /// as of one moment, use [`Collection::get_many`] or a [`Snapshot`](crate::Snapshot).
    ///
    /// # Errors
    /// An id that cannot be a key.
    pub fn get(&self, id: impl Into<DocumentId>) -> Result<Option<Document>> {
        super::check_open(&self.0.engine)?;
        let target = Target::new(id)?;
        let found = txn::newest(self.0.space(), &target.key, |lsn, value| (lsn, value.to_vec()));
        let document = |(lsn, value)| DocRef::new(Cow::Owned(value), Some(lsn), self.name(), &target.key);
        found.map(document).transpose()
    }

    /// Whether there is a document under an id, by the same rules as [`Collection::get`].
    ///
    /// # Errors
    /// An id that cannot be a key.
    pub fn exists(&self, id: impl Into<DocumentId>) -> Result<bool> {
        super::check_open(&self.0.engine)?;
        Ok(txn::newest(self.0.space(), &Target::new(id)?.key, |_, _| ()).is_some())
    }

    /// Puts another document under an id that is there. Returns its new version.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound); an `_id` in the document that is not `id`; a document that cannot be stored.
    pub fn replace(&self, id: impl Into<DocumentId>, document: impl IntoDocument) -> Result<u64> {
        self.replace_at(id, document, None)
    }

    /// [`Collection::replace`], if the document is at `version`.
    ///
    /// # Errors
    /// [`Error::VersionMismatch`](crate::Error::VersionMismatch) as well.
    pub fn replace_if(
        &self,
        id: impl Into<DocumentId>,
        version: u64,
        document: impl IntoDocument,
    ) -> Result<u64> {
        self.replace_at(id, document, Some(version))
    }

    fn replace_at(
        &self,
        id: impl Into<DocumentId>,
        document: impl IntoDocument,
        if_version: Option<u64>,
    ) -> Result<u64> {
        let (target, raw) = (Target::new(id)?, document.into_document(&self.0.engine.config().limits)?);
        self.alone(|documents, txn| documents.replace(txn, &target, &raw, if_version))
    }

    /// Changes a document by a closure, which is called again if another transaction comes in between. Returns the new version.
    ///
    /// What the closure gets is a copy: nothing it does reaches the store but by this call.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound); a changed `_id`; a result that cannot be stored.
    pub fn update(&self, id: impl Into<DocumentId>, update: impl FnMut(&mut bson::Document)) -> Result<u64> {
        self.update_at(id, None, update)
    }

    /// [`Collection::update`], if the document is at `version`.
    ///
    /// # Errors
    /// [`Error::VersionMismatch`](crate::Error::VersionMismatch) as well.
    pub fn update_if(
        &self,
        id: impl Into<DocumentId>,
        version: u64,
        update: impl FnMut(&mut bson::Document),
    ) -> Result<u64> {
        self.update_at(id, Some(version), update)
    }

    fn update_at(
        &self,
        id: impl Into<DocumentId>,
        if_version: Option<u64>,
        mut update: impl FnMut(&mut bson::Document),
    ) -> Result<u64> {
        let target = Target::new(id)?;
        self.alone(|documents, txn| documents.update(txn, &target, if_version, &mut update))
    }

    /// Changes fields of a document. Returns the new version.
    ///
    /// Others may change other fields meanwhile, and add to the same numbers: then the patch is applied to what they leave.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound); a patch that does not fit the document.
    pub fn patch(&self, id: impl Into<DocumentId>, patch: &Patch) -> Result<u64> {
        let target = Target::new(id)?;
        self.alone_with_patches(
            |documents, txn| documents.patch(txn, &target, None, patch),
            |version, mended| version + mended.versions_passed(&target.key),
        )
    }

    /// [`Collection::patch`], if the document is at `version`.
    ///
    /// # Errors
    /// [`Error::VersionMismatch`](crate::Error::VersionMismatch) as well.
    pub fn patch_if(&self, id: impl Into<DocumentId>, version: u64, patch: &Patch) -> Result<u64> {
        let target = Target::new(id)?;
        self.alone(|documents, txn| documents.patch(txn, &target, Some(version), patch))
    }

    /// Deletes a document; false if there is none.
    ///
    /// # Errors
    /// An id that cannot be a key.
    pub fn delete(&self, id: impl Into<DocumentId>) -> Result<bool> {
        let target = Target::new(id)?;
        self.alone(|documents, txn| documents.delete(txn, &target, None))
    }

    /// Deletes a document that is at `version`.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound), [`Error::VersionMismatch`](crate::Error::VersionMismatch).
    pub fn delete_if(&self, id: impl Into<DocumentId>, version: u64) -> Result<()> {
        let target = Target::new(id)?;
        self.alone(|documents, txn| documents.delete(txn, &target, Some(version)).map(drop))
    }

    /// Creates an index, and returns when it holds every document. Readers and writers go on meanwhile: who writes keeps it from the beginning,
    /// queries use it once it is complete. A crash before that leaves nothing of it.
    ///
    /// Reads all documents, on several threads, and logs an entry for each.
    ///
    /// # Errors
    /// [`IndexError`](crate::IndexError): a name that is taken, documents that have no place in it. Then nothing is left of it.
    pub fn create_index(&self, index: Index) -> Result<()> {
        super::check_open(&self.0.engine)?;
        let name = index.name();
        super::database::check_name(&name)?;
        let created = self.0.engine.create_index(self.0.space(), index.named(name));
        created.map_err(|error| super::index_error(self.name(), error))
    }

    /// Drops an index, and returns when nothing is left of it. Queries stop to use it at once; its entries go in many transactions, and
    /// [`Collection::indexes`] tells how far that is. A crash before the end leaves it to the next opening.
    ///
    /// # Errors
    /// [`IndexError::NotFound`](crate::IndexError::NotFound).
    pub fn drop_index(&self, name: &str) -> Result<()> {
        super::check_open(&self.0.engine)?;
        let dropped = self.0.engine.drop_index(self.0.space(), name);
        dropped.map_err(|error| super::index_error(self.name(), error))
    }

    /// The indexes that there are now: those that are being built, ready, and being dropped.
    pub fn indexes(&self) -> Vec<IndexInfo> {
        let (collection, indexes) = (self.0.space(), Indexes::of(self.0.space()));
        // In this order: one that is dropped in between is listed twice at most, and not left out.
        let kept: Vec<_> = indexes.current().iter().map(|kept| IndexInfo::of(kept, collection)).collect();
        let dropping = indexes.dropping();
        let dropping = dropping.iter().map(|dropping| IndexInfo::of_dropping(dropping, collection));
        kept.into_iter().chain(dropping).collect()
    }

    /// How many documents there are now. Walks all of them.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed).
    pub fn count(&self) -> Result<u64> {
        super::check_open(&self.0.engine)?;
        let snapshot = self.0.engine.store().snapshot();
        let all = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
        Ok(snapshot.scan(self.0.space(), all, crate::map::Towards::Greater).count() as u64)
    }

    /// The store that the collection belongs to.
    pub fn database(&self) -> Database {
        Database::from_engine(self.0.engine.clone())
    }
}
