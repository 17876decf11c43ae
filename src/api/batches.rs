//! Calls on a collection that take several documents: each is one transaction, and happens whole or not at all.
//!
//! What a call is given is read to its end and checked before the transaction begins, so that a transaction that is tried again finds the same
//! batch, and an iterator may itself read and write the store. Then the items are taken in their order, each on top of what those before it
//! did. The first that fails ends the call, and nothing is changed; the error names it if it has an id that can be a key.
//!
//! Not here: what becomes of one document (`documents`), and trying again (`Collection::alone`).

use super::documents::{Documents, Prepared, Target};
use super::value::{DocRef, Document};
use super::{Collection, Error, Result, Snapshot};
use crate::document::{DocumentId, IntoDocument, Patch};
use crate::txn::Txn;

/// One document of a batch, with what the call brings for it.
struct Item<D = ()> {
    target: Target,
    /// The version that it must be at, if the call says one.
    if_version: Option<u64>,
    brought: D,
}

impl Item {
    fn at_any(id: impl Into<DocumentId>) -> Result<Item> {
        Ok(Item { target: Target::new(id)?, if_version: None, brought: () })
    }

    fn at(id: impl Into<DocumentId>, version: u64) -> Result<Item> {
        Ok(Item { if_version: Some(version), ..Item::at_any(id)? })
    }
}

impl<D> Item<D> {
    /// An error of the document layer does not know which document it is about.
    fn name(&self, collection: &str, error: Error) -> Error {
        match error {
            Error::Document(cause) => Error::RefusedInBatch {
                collection: collection.to_owned(),
                id: self.target.id.clone(),
                cause: cause.into(),
            },
            other => other,
        }
    }
}

impl Collection {
    /// Inserts all of them, or none.
    ///
    /// # Errors
    /// As [`Collection::insert`], for the first that fails.
    pub fn insert_many(
        &self,
        documents: impl IntoIterator<Item = impl IntoDocument>,
    ) -> Result<Vec<DocumentId>> {
        self.store_each(documents, |documents, txn, document| documents.insert(txn, document))
    }

    /// Upserts all of them, or none.
    ///
    /// # Errors
    /// As [`Collection::upsert`], for the first that fails.
    pub fn upsert_many(
        &self,
        documents: impl IntoIterator<Item = impl IntoDocument>,
    ) -> Result<Vec<DocumentId>> {
        self.store_each(documents, |documents, txn, document| documents.upsert(txn, document).map(drop))
    }

    fn store_each(
        &self,
        documents: impl IntoIterator<Item = impl IntoDocument>,
        store: impl for<'s> Fn(Documents<'s>, &mut Txn<'s>, &Prepared) -> Result<()>,
    ) -> Result<Vec<DocumentId>> {
        let prepare = |document| self.prepare_document(document);
        let prepared = documents.into_iter().map(prepare).collect::<Result<Vec<_>>>()?;
        self.alone(|documents, txn| {
            prepared.iter().try_for_each(|document| store(documents, txn, document))
        })?;
        Ok(prepared.into_iter().map(|document| document.id).collect())
    }

    /// The documents under these ids as of one moment, as copies: in the order of the ids, and none where there is no document.
    ///
    /// Sees everything that was committed before the call. Costs one snapshot, and a look-up and a copy for each id; to read many large documents
    /// in place, use a [`Snapshot`].
    ///
    /// ```
    /// # use skipstone::{Database, bson::doc};
    /// let db = Database::in_memory();
    /// let towns = db.collection("towns")?;
    /// towns.insert_many([doc! { "_id": "aachen" }, doc! { "_id": "bonn" }])?;
    /// let found = towns.get_many(["bonn", "ghent", "aachen"])?;
    /// assert_eq!(found[0].as_ref().map(|town| town.id()).transpose()?, Some("bonn".into()));
    /// assert!(found[1].is_none() && found[2].is_some());
    /// # Ok::<(), skipstone::Error>(())
    /// ```
    ///
    /// # Errors
    /// An id that cannot be a key.
    pub fn get_many(
        &self,
        ids: impl IntoIterator<Item = impl Into<DocumentId>>,
    ) -> Result<Vec<Option<Document>>> {
        let ids: Vec<DocumentId> = ids.into_iter().map(Into::into).collect();
        let snapshot = Snapshot::new(&self.0.engine, self.0.engine.store().snapshot());
        let seen = snapshot.collection(self)?;
        ids.into_iter().map(|id| Ok(seen.get(id)?.map(DocRef::into_owned))).collect()
    }

    /// Puts other documents under ids that are all there, or changes nothing. Returns their new versions, in the order given.
    ///
    /// An id that is given twice is replaced twice: the last document stays, two versions on. Each try copies every document.
    ///
    /// ```
    /// # use skipstone::{Database, bson::doc};
    /// let db = Database::in_memory();
    /// let towns = db.collection("towns")?;
    /// towns.insert_many([doc! { "_id": "aachen" }, doc! { "_id": "bonn" }])?;
    /// let versions = towns.replace_many([("aachen", doc! { "people": 249_070 }), ("bonn", doc! { "people": 335_975 })])?;
    /// assert_eq!(versions, [2, 2]);
    /// # Ok::<(), skipstone::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`] for the first that is absent. [`Error::RefusedInBatch`] for the first with an `_id` in the document that is not its id, or
    /// with a document that cannot be stored. An id that cannot be a key.
    pub fn replace_many(
        &self,
        documents: impl IntoIterator<Item = (impl Into<DocumentId>, impl IntoDocument)>,
    ) -> Result<Vec<u64>> {
        self.replace_each(documents.into_iter().map(|(id, document)| (Item::at_any(id), document)))
    }

    /// [`Collection::replace_many`], if each document is at the version beside its id.
    ///
    /// An id that is given twice must be named with the version that the first replacement gives it.
    ///
    /// # Errors
    /// [`Error::VersionMismatch`] as well.
    pub fn replace_many_if(
        &self,
        documents: impl IntoIterator<Item = (impl Into<DocumentId>, u64, impl IntoDocument)>,
    ) -> Result<Vec<u64>> {
        self.replace_each(
            documents.into_iter().map(|(id, version, document)| (Item::at(id, version), document)),
        )
    }

    fn replace_each(
        &self,
        documents: impl Iterator<Item = (Result<Item>, impl IntoDocument)>,
    ) -> Result<Vec<u64>> {
        let limits = self.0.engine.config().limits;
        let items = documents.map(|(item, document)| {
            let item = item?;
            let raw =
                document.into_document(&limits).map_err(|refused| item.name(self.name(), refused.into()))?;
            Ok(Item { target: item.target, if_version: item.if_version, brought: raw })
        });
        self.change_each(items, |documents, txn, item| {
            documents.replace(txn, &item.target, &item.brought, item.if_version)
        })
    }

    /// Changes documents by a closure, all of them or none. Returns their new versions, in the order given.
    ///
    /// The closure is called for one document after the other, in the order given; the document says its `_id`. If another transaction comes in
    /// between it is called again for all of them, so it should not count on how often. An id that is given twice is changed twice, the second
    /// time as the first left it. What the closure gets is a copy: nothing it does reaches the store but by this call, and nothing does if it
    /// panics. Each try decodes and encodes every document.
    ///
    /// ```
    /// # use skipstone::{Database, bson::doc};
    /// let db = Database::in_memory();
    /// let towns = db.collection("towns")?;
    /// towns.insert_many([doc! { "_id": "aachen" }, doc! { "_id": "bonn" }])?;
    /// let versions = towns.update_many(["aachen", "bonn"], |town| {
    ///     let name = town.get_str("_id").unwrap_or_default().to_uppercase();
    ///     town.insert("name", name);
    /// })?;
    /// assert_eq!(versions, [2, 2]);
    /// # Ok::<(), skipstone::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`] for the first that is absent. [`Error::RefusedInBatch`] for the first with a changed `_id`, or with a result that cannot be
    /// stored. An id that cannot be a key.
    pub fn update_many(
        &self,
        ids: impl IntoIterator<Item = impl Into<DocumentId>>,
        update: impl FnMut(&mut bson::Document),
    ) -> Result<Vec<u64>> {
        self.update_each(ids.into_iter().map(Item::at_any), update)
    }

    /// [`Collection::update_many`], if each document is at the version beside its id.
    ///
    /// An id that is given twice must be named with the version that the first update gives it.
    ///
    /// # Errors
    /// [`Error::VersionMismatch`] as well.
    pub fn update_many_if(
        &self,
        ids: impl IntoIterator<Item = (impl Into<DocumentId>, u64)>,
        update: impl FnMut(&mut bson::Document),
    ) -> Result<Vec<u64>> {
        self.update_each(ids.into_iter().map(|(id, version)| Item::at(id, version)), update)
    }

    fn update_each(
        &self,
        items: impl Iterator<Item = Result<Item>>,
        mut update: impl FnMut(&mut bson::Document),
    ) -> Result<Vec<u64>> {
        self.change_each(items, |documents, txn, item| {
            documents.update(txn, &item.target, item.if_version, &mut update)
        })
    }

    /// Changes fields of documents by one patch, all of them or none. Returns their new versions, in the order given.
    ///
    /// An id that is given twice is patched twice.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the first that is absent. [`Error::RefusedInBatch`] for the first that the patch does not fit. An id that cannot be a key.
    pub fn patch_many(
        &self,
        ids: impl IntoIterator<Item = impl Into<DocumentId>>,
        patch: &Patch,
    ) -> Result<Vec<u64>> {
        self.patch_each(ids.into_iter().map(Item::at_any), patch)
    }

    /// [`Collection::patch_many`], if each document is at the version beside its id.
    ///
    /// An id that is given twice must be named with the version that the first patch gives it.
    ///
    /// ```
    /// # use skipstone::{Database, Error, Patch, bson::doc};
    /// let db = Database::in_memory();
    /// let towns = db.collection("towns")?;
    /// towns.insert_many([doc! { "_id": "aachen", "people": 1 }, doc! { "_id": "bonn", "people": 1 }])?;
    /// let one_more = Patch::new().inc("people", 1);
    /// assert_eq!(towns.patch_many_if([("aachen", 1), ("bonn", 1)], &one_more)?, [2, 2]);
    /// let error = towns.patch_many_if([("aachen", 2), ("bonn", 1)], &one_more).unwrap_err();
    /// assert!(matches!(error, Error::VersionMismatch { expected: 1, found: 2, .. }));
    /// assert_eq!(towns.get("aachen")?.map(|town| town.version()), Some(2));
    /// # Ok::<(), skipstone::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::VersionMismatch`] as well.
    pub fn patch_many_if(
        &self,
        ids: impl IntoIterator<Item = (impl Into<DocumentId>, u64)>,
        patch: &Patch,
    ) -> Result<Vec<u64>> {
        self.patch_each(ids.into_iter().map(|(id, version)| Item::at(id, version)), patch)
    }

    fn patch_each(&self, items: impl Iterator<Item = Result<Item>>, patch: &Patch) -> Result<Vec<u64>> {
        let items = items.collect::<Result<Vec<_>>>()?;
        self.alone_with_patches(
            |documents, txn| {
                let patch = |item: &Item| documents.patch(txn, &item.target, item.if_version, patch);
                items.iter().map(self.naming(patch)).collect()
            },
            |versions: Vec<u64>, mended| {
                let passed = items.iter().map(|item| mended.versions_passed(&item.target.key));
                versions.into_iter().zip(passed).map(|(version, passed)| version + passed).collect()
            },
        )
    }

    /// Deletes all of them that are there, in one transaction. Returns how many were.
    ///
    /// # Errors
    /// An id that cannot be a key.
    pub fn delete_many(&self, ids: impl IntoIterator<Item = impl Into<DocumentId>>) -> Result<u64> {
        let targets = ids.into_iter().map(Target::new).collect::<Result<Vec<_>>>()?;
        self.alone(|documents, txn| {
            targets
                .iter()
                .try_fold(0, |count, target| Ok(count + u64::from(documents.delete(txn, target, None)?)))
        })
    }

    /// Deletes documents that are each at the version beside its id, all of them or none.
    ///
    /// An id that is given twice is absent the second time.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionMismatch`], for the first that fails. An id that cannot be a key.
    pub fn delete_many_if(&self, ids: impl IntoIterator<Item = (impl Into<DocumentId>, u64)>) -> Result<()> {
        let items = ids.into_iter().map(|(id, version)| Item::at(id, version));
        let deleted = self
            .change_each(items, |documents, txn, item| documents.delete(txn, &item.target, item.if_version));
        deleted.map(drop)
    }

    /// Changes each in its order, in one transaction. Returns what `change` makes of each.
    fn change_each<D, T>(
        &self,
        items: impl Iterator<Item = Result<Item<D>>>,
        mut change: impl for<'s> FnMut(Documents<'s>, &mut Txn<'s>, &Item<D>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let items = items.collect::<Result<Vec<_>>>()?;
        self.alone(|documents, txn| {
            items.iter().map(self.naming(|item: &Item<D>| change(documents, txn, item))).collect()
        })
    }

    /// `change`, with errors that name the document.
    fn naming<D, T>(
        &self,
        mut change: impl FnMut(&Item<D>) -> Result<T>,
    ) -> impl FnMut(&Item<D>) -> Result<T> {
        move |item| change(item).map_err(|error| item.name(self.name(), error))
    }
}
