//! Transactions: several calls that happen at one moment, or not at all.

use super::commit_handle::CommitHandle;
use super::documents::{Documents, Target};
use super::keyspace::check_sizes;
use super::query::{Asked, Matches, Projected};
use super::scan::{TransactionDocumentScan, TransactionKeyValueScan};
use super::snapshot::{byte_range, id_range, key, prefix_range};
use super::value::DocRef;
use super::{Collection, Error, Keyspace, Result};
use crate::document::{DocumentId, IntoDocument, Patch};
use crate::engine::Engine;
use crate::lsn::Lsn;
use crate::map::Towards;
use crate::mvcc::store::Space;
use crate::options::{Durability, Isolation};
use crate::query::view::View;
use crate::query::{Grouping, Projection, Query};
use crate::txn::{Mark, Txn};
use bson::{Bson, RawDocumentBuf};
use std::borrow::Cow;
use std::ops::{Bound, RangeBounds};

/// Reads at one moment, keeps its writes to itself until it commits, and changes nothing if it does not.
///
/// It sees its own writes, in reads of single keys and in ranges. Dropping it rolls it back. It is never refused for its age: only
/// another transaction that wrote what this one writes (or read, if it is serializable) makes its commit fail.
///
/// ```
/// # use skipstone::{Database, bson::doc};
/// let db = Database::in_memory();
/// let accounts = db.collection("accounts")?;
/// accounts.insert_many([doc! { "_id": "a", "cents": 100 }, doc! { "_id": "b", "cents": 0 }])?;
/// db.transact(|tx| {
///     let mut accounts = tx.collection(&accounts)?;
///     accounts.update("a", |a| { a.insert("cents", 60); })?;
///     accounts.update("b", |b| { b.insert("cents", 40); })?;
///     Ok(())
/// })?;
/// # Ok::<(), skipstone::Error>(())
/// ```
pub struct Transaction<'db> {
    engine: &'db Engine,
    txn: Txn<'db>,
    durability: Durability,
}

/// A place in a transaction to roll back to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Savepoint(Mark);

impl<'db> Transaction<'db> {
    pub(super) fn new(engine: &'db Engine, isolation: Isolation, durability: Durability) -> Transaction<'db> {
        Transaction { engine, txn: engine.begin(isolation), durability }
    }

    /// What it sees of others.
    pub fn isolation(&self) -> Isolation {
        self.txn.isolation()
    }

    /// Where it reads; under read committed, where it began.
    pub fn position(&self) -> Lsn {
        self.txn.position()
    }

    /// A collection within this transaction.
    ///
    /// # Errors
    /// [`Error::ForeignHandle`].
    pub fn collection<'t>(
        &'t mut self,
        collection: &'t Collection,
    ) -> Result<TransactionCollection<'t, 'db>> {
        super::check_open(self.engine)?;
        let space = collection.0.within(self.engine)?;
        let documents = Documents { space, limits: self.engine.config().limits };
        let store = self.engine.identity();
        Ok(TransactionCollection { txn: &mut self.txn, documents, collection, store })
    }

    /// A keyspace within this transaction.
    ///
    /// # Errors
    /// [`Error::ForeignHandle`].
    pub fn keyspace<'t>(&'t mut self, keyspace: &Keyspace) -> Result<TransactionKeyspace<'t, 'db>> {
        super::check_open(self.engine)?;
        let space = keyspace.0.within(self.engine)?;
        Ok(TransactionKeyspace { txn: &mut self.txn, space, engine: self.engine })
    }

    /// Opens a savepoint. They nest.
    pub fn savepoint(&mut self) -> Savepoint {
        Savepoint(self.txn.mark())
    }

    /// Takes back every write since the savepoint, and closes it with those that were opened after it.
    ///
    /// # Errors
    /// [`Error::SavepointClosed`].
    pub fn rollback_to(&mut self, savepoint: Savepoint) -> Result<()> {
        self.check_mark(savepoint)?;
        self.txn.roll_back(savepoint.0);
        Ok(())
    }

    /// Closes a savepoint, with those that were opened after it, and keeps what was written since.
    ///
    /// # Errors
    /// [`Error::SavepointClosed`].
    pub fn release(&mut self, savepoint: Savepoint) -> Result<()> {
        self.check_mark(savepoint)?;
        self.txn.release(savepoint.0);
        Ok(())
    }

    fn check_mark(&self, savepoint: Savepoint) -> Result<()> {
        if self.txn.is_open(savepoint.0) { Ok(()) } else { Err(Error::SavepointClosed) }
    }

    /// Commits, and returns the position when that is acknowledged at the transaction's durability.
    ///
    /// A transaction that wrote nothing stands where it read. With [`Durability::Sync`] it too waits until everything it read is on stable storage.
    ///
    /// # Errors
    /// [`Error::Conflict`]: nothing was changed. [`Error::ReadOnly`]: the log failed, and the outcome is open.
    pub fn commit(self) -> Result<Lsn> {
        super::check_open(self.engine)?;
        let committed = self.engine.commit(self.txn, self.durability);
        Ok(committed.map_err(super::failed)?.committed.lsn)
    }

    /// Commits, and hands out what becomes ready when the commit is on stable storage, whatever the transaction's durability.
    ///
    /// The commit is in effect, and seen by others, when this returns. Its flush is asked for by then too, in one load while it is asked for
    /// already: nobody has to wait for the handle or poll it. Dropping the handle takes nothing back.
    ///
    /// # Errors
    /// As [`Transaction::commit`].
    pub fn commit_async(self) -> Result<CommitHandle> {
        super::check_open(self.engine)?;
        let committed = self.engine.commit_async(self.txn);
        let committed = committed.map_err(super::failed)?;
        Ok(CommitHandle::new(self.engine.log().cloned(), committed))
    }

    /// Gives up. Nothing was changed, so there is nothing to wait for.
    pub fn rollback(self) {}
}

/// A collection within a transaction.
pub struct TransactionCollection<'t, 'db> {
    txn: &'t mut Txn<'db>,
    documents: Documents<'db>,
    collection: &'t Collection,
    store: u64,
}

impl<'db> TransactionCollection<'_, 'db> {
    /// The document under an id, as this transaction sees it.
    ///
    /// # Errors
    /// An id that cannot be a key.
    pub fn get(&self, id: impl Into<DocumentId>) -> Result<Option<DocRef<'_>>> {
        self.documents.get(self.txn, &Target::new(id)?)
    }

    /// See [`Collection::insert`].
    ///
    /// # Errors
    /// As there.
    pub fn insert(&mut self, document: impl IntoDocument) -> Result<DocumentId> {
        let document = self.collection.prepare_document(document)?;
        self.documents.insert(self.txn, &document)?;
        Ok(document.id)
    }

    /// See [`Collection::upsert`].
    ///
    /// # Errors
    /// As there.
    pub fn upsert(&mut self, document: impl IntoDocument) -> Result<DocumentId> {
        let document = self.collection.prepare_document(document)?;
        self.documents.upsert(self.txn, &document)?;
        Ok(document.id)
    }

    /// See [`Collection::replace`].
    ///
    /// # Errors
    /// As there.
    pub fn replace(&mut self, id: impl Into<DocumentId>, document: impl IntoDocument) -> Result<u64> {
        let raw = self.raw(document)?;
        self.documents.replace(self.txn, &Target::new(id)?, &raw, None)
    }

    /// See [`Collection::replace_if`].
    ///
    /// # Errors
    /// As there.
    pub fn replace_if(
        &mut self,
        id: impl Into<DocumentId>,
        version: u64,
        document: impl IntoDocument,
    ) -> Result<u64> {
        let raw = self.raw(document)?;
        self.documents.replace(self.txn, &Target::new(id)?, &raw, Some(version))
    }

    fn raw(&self, document: impl IntoDocument) -> Result<RawDocumentBuf> {
        Ok(document.into_document(&self.documents.limits)?)
    }

    /// See [`Collection::update`]; the closure is called once.
    ///
    /// # Errors
    /// As there.
    pub fn update(
        &mut self,
        id: impl Into<DocumentId>,
        update: impl FnOnce(&mut bson::Document),
    ) -> Result<u64> {
        self.documents.update(self.txn, &Target::new(id)?, None, update)
    }

    /// See [`Collection::update_if`]; the closure is called once.
    ///
    /// # Errors
    /// As there.
    pub fn update_if(
        &mut self,
        id: impl Into<DocumentId>,
        version: u64,
        update: impl FnOnce(&mut bson::Document),
    ) -> Result<u64> {
        self.documents.update(self.txn, &Target::new(id)?, Some(version), update)
    }

    /// See [`Collection::patch`]. Returns the version that the document has in this transaction.
    ///
    /// At snapshot isolation a patch stands for the paths that it names, not for the document. If others have changed the document meanwhile, and those paths are as
    /// the transaction saw them, the commit applies the patch to what the others left; its version is higher then. An `inc` may come on top of other changes of the
    /// same number too, unless the transaction has read from the collection otherwise than by patches: what it does may depend on the number then. A path
    /// that others changed is a conflict, as is a document that they deleted. For fields that a patch depends on without naming them, use
    /// [`TransactionCollection::patch_if`] or a serializable transaction.
    ///
    /// # Errors
    /// As there.
    pub fn patch(&mut self, id: impl Into<DocumentId>, patch: &Patch) -> Result<u64> {
        self.documents.patch(self.txn, &Target::new(id)?, None, patch)
    }

    /// See [`Collection::patch_if`].
    ///
    /// # Errors
    /// As there.
    pub fn patch_if(&mut self, id: impl Into<DocumentId>, version: u64, patch: &Patch) -> Result<u64> {
        self.documents.patch(self.txn, &Target::new(id)?, Some(version), patch)
    }

    /// See [`Collection::delete`].
    ///
    /// # Errors
    /// As there.
    pub fn delete(&mut self, id: impl Into<DocumentId>) -> Result<bool> {
        self.documents.delete(self.txn, &Target::new(id)?, None)
    }

    /// See [`Collection::delete_if`].
    ///
    /// # Errors
    /// As there.
    pub fn delete_if(&mut self, id: impl Into<DocumentId>, version: u64) -> Result<()> {
        self.documents.delete(self.txn, &Target::new(id)?, Some(version)).map(drop)
    }

    /// The documents that a query gives, with the transaction's own writes, found as they are taken.
    ///
    /// A serializable transaction notes the ranges that the query reads: what is committed within them, and nothing else, is a conflict. Under read committed each document
    /// is the newest one, so two of them need not be of one moment.
    ///
    /// # Errors
    /// As [`SnapshotCollection::find`](crate::SnapshotCollection::find).
    pub fn find(&self, query: impl Into<Query>) -> Result<Matches<'_>> {
        self.asked().find(query.into())
    }

    /// What a projection keeps of the documents that a query gives. As [`SnapshotCollection::find_projected`](crate::SnapshotCollection::find_projected).
    ///
    /// # Errors
    /// As [`TransactionCollection::find`].
    pub fn find_projected(&self, query: impl Into<Query>, projection: &Projection) -> Result<Projected<'_>> {
        self.asked().find_projected(query.into(), projection)
    }

    /// The first one.
    ///
    /// # Errors
    /// As [`TransactionCollection::find`].
    pub fn first(&self, query: impl Into<Query>) -> Result<Option<DocRef<'_>>> {
        self.asked().first(query.into())
    }

    /// How many there are.
    ///
    /// # Errors
    /// As [`TransactionCollection::find`].
    pub fn count_matching(&self, query: impl Into<Query>) -> Result<u64> {
        self.asked().count(query.into())
    }

    /// Whether there is any.
    ///
    /// # Errors
    /// As [`TransactionCollection::find`].
    pub fn any(&self, query: impl Into<Query>) -> Result<bool> {
        self.asked().any(query.into())
    }

    /// The values of a field in the documents that a query gives, each once, in order; of arrays their elements.
    ///
    /// # Errors
    /// As [`TransactionCollection::find`]; a path that is none; more than a million values.
    pub fn distinct(&self, path: &str, query: impl Into<Query>) -> Result<Vec<Bson>> {
        self.asked().distinct(path, query.into())
    }

    /// The documents that a query gives, summed up in groups, in the order of the groups' values.
    ///
    /// # Errors
    /// As [`TransactionCollection::find`]; a mistake in the grouping; more than a million groups.
    pub fn group(&self, grouping: &Grouping, query: impl Into<Query>) -> Result<Vec<bson::Document>> {
        self.asked().group(grouping, query.into())
    }

    /// Patches all documents that a query gives; returns how many. All of them are found before the first is changed.
    ///
    /// # Errors
    /// As [`TransactionCollection::find`] and [`TransactionCollection::patch`]. Some may have been changed then, in the transaction.
    pub fn patch_matching(&mut self, query: impl Into<Query>, patch: &Patch) -> Result<u64> {
        let targets = self.asked().targets(query.into())?;
        for target in &targets {
            self.documents.patch_found(self.txn, target, patch)?;
        }
        Ok(targets.len() as u64)
    }

    /// Deletes all documents that a query gives; returns how many.
    ///
    /// # Errors
    /// As [`TransactionCollection::find`].
    pub fn delete_matching(&mut self, query: impl Into<Query>) -> Result<u64> {
        let targets = self.asked().targets(query.into())?;
        for target in &targets {
            self.documents.delete(self.txn, target, None)?;
        }
        Ok(targets.len() as u64)
    }

    pub(crate) fn asked(&self) -> Asked<'_, 'db> {
        self.txn.note_look(self.documents.space);
        Asked { store: self.store, space: self.documents.space, view: View::Txn(self.txn) }
    }

    /// All documents in the order of their ids, with the transaction's own writes.
    pub fn scan(&self) -> TransactionDocumentScan<'_, 'db> {
        self.walk((Bound::Unbounded, Bound::Unbounded), Towards::Greater)
    }

    /// [`TransactionCollection::scan`], the greatest id first.
    pub fn scan_rev(&self) -> TransactionDocumentScan<'_, 'db> {
        self.walk((Bound::Unbounded, Bound::Unbounded), Towards::Lesser)
    }

    /// The documents whose ids lie in a range, in order, with the transaction's own writes.
    ///
    /// # Errors
    /// Ids that cannot be keys.
    pub fn range(&self, ids: impl RangeBounds<DocumentId>) -> Result<TransactionDocumentScan<'_, 'db>> {
        let (low, high) = id_range(&ids)?;
        Ok(self.walk((key(&low), key(&high)), Towards::Greater))
    }

    /// [`TransactionCollection::range`], the greatest id first.
    ///
    /// # Errors
    /// Ids that cannot be keys.
    pub fn range_rev(&self, ids: impl RangeBounds<DocumentId>) -> Result<TransactionDocumentScan<'_, 'db>> {
        let (low, high) = id_range(&ids)?;
        Ok(self.walk((key(&low), key(&high)), Towards::Lesser))
    }

    fn walk<'a>(
        &'a self,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        towards: Towards,
    ) -> TransactionDocumentScan<'a, 'db> {
        self.txn.note_look(self.documents.space);
        let entries = self.txn.scan(self.documents.space, range, towards);
        TransactionDocumentScan::new(entries, self.documents.space.name())
    }
}

/// A keyspace within a transaction.
pub struct TransactionKeyspace<'t, 'db> {
    txn: &'t mut Txn<'db>,
    space: &'db Space,
    engine: &'db Engine,
}

impl<'db> TransactionKeyspace<'_, 'db> {
    /// The value of a key, as this transaction sees it.
    pub fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.txn.get(self.space, key).map(|found| found.value)
    }

    /// Writes a value, whatever is there.
    ///
    /// # Errors
    /// Keys and values that are too large.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        check_sizes(key, value, &self.engine.config().limits)?;
        self.txn.put(self.space, key, Some(value));
        Ok(())
    }

    /// Deletes a key, whatever is there.
    ///
    /// # Errors
    /// A key that is too long.
    pub fn delete(&mut self, key: &[u8]) -> Result<()> {
        check_sizes(key, &[], &self.engine.config().limits)?;
        self.txn.put(self.space, key, None);
        Ok(())
    }

    /// The entries of a range of keys, in order, with the transaction's own writes.
    pub fn range<K: AsRef<[u8]>>(&self, keys: impl RangeBounds<K>) -> TransactionKeyValueScan<'_, 'db> {
        self.walk(byte_range(&keys), Towards::Greater)
    }

    /// [`TransactionKeyspace::range`], the greatest key first.
    pub fn range_rev<K: AsRef<[u8]>>(&self, keys: impl RangeBounds<K>) -> TransactionKeyValueScan<'_, 'db> {
        self.walk(byte_range(&keys), Towards::Lesser)
    }

    /// The entries whose keys begin with `prefix`, in order, with the transaction's own writes.
    pub fn prefix(&self, prefix: &[u8]) -> TransactionKeyValueScan<'_, 'db> {
        let (low, high) = prefix_range(prefix);
        self.walk((key(&low), key(&high)), Towards::Greater)
    }

    fn walk<'a>(
        &'a self,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        towards: Towards,
    ) -> TransactionKeyValueScan<'a, 'db> {
        TransactionKeyValueScan::new(self.txn.scan(self.space, range, towards))
    }
}
