//! The calls on documents, once: on a transaction, whoever's it is.

use super::value::{DocRef, encode};
use super::{Error, Result};
use crate::document::stored::decode;
use crate::document::{DocumentError, DocumentId, ID_FIELD, Limits, Patch, with_id};
use crate::engine::indexing::maintain::{self, Changed};
use crate::index::set::Indexes;
use crate::mvcc::store::Space;
use crate::txn::{Change, Txn};
use bson::{RawDocument, RawDocumentBuf};

/// A collection, for the length of one call.
#[derive(Clone, Copy)]
pub(super) struct Documents<'s> {
    pub(super) space: &'s Space,
    pub(super) limits: Limits,
}

/// A document that was checked, with its id as its first field.
pub(super) struct Prepared {
    pub(super) id: DocumentId,
    pub(super) raw: RawDocumentBuf,
}

/// An id with its key.
pub(super) struct Target {
    pub(super) id: DocumentId,
    pub(super) key: Vec<u8>,
}

impl Target {
    pub(super) fn new(id: impl Into<DocumentId>) -> Result<Target> {
        let (id, mut key) = (id.into(), Vec::new());
        id.to_key(&mut key)?;
        Ok(Target { id, key })
    }
}

/// What becomes of a document.
enum Next<'p> {
    Put(RawDocumentBuf),
    /// By a patch that may be applied again to what others make of the document.
    Patched(RawDocumentBuf, &'p Patch),
    Delete,
}

impl<'s> Documents<'s> {
    pub(super) fn get<'t>(&self, txn: &'t Txn<'s>, target: &Target) -> Result<Option<DocRef<'t>>> {
        txn.note_look(self.space);
        let Some(found) = txn.get(self.space, &target.key) else {
            return Ok(None);
        };
        DocRef::new(found.value, found.lsn, self.space.name(), &target.key).map(Some)
    }

    pub(super) fn insert(&self, txn: &mut Txn<'s>, document: &Prepared) -> Result<()> {
        let target = Target::new(document.id.clone())?;
        self.write(txn, &target, |found| match found {
            None => Ok((encode(1, &*document.raw), ())),
            Some(_) => Err(Error::AlreadyExists {
                collection: self.space.name().to_owned(),
                id: document.id.clone(),
            }),
        })
    }

    /// Returns the new version.
    pub(super) fn upsert(&self, txn: &mut Txn<'s>, document: &Prepared) -> Result<u64> {
        let target = Target::new(document.id.clone())?;
        self.write(txn, &target, |found| {
            let version = match found {
                Some(value) => self.decode(value, &target)?.0 + 1,
                None => 1,
            };
            Ok((encode(version, &*document.raw), version))
        })
    }

    pub(super) fn replace(
        &self,
        txn: &mut Txn<'s>,
        target: &Target,
        document: &RawDocumentBuf,
        if_version: Option<u64>,
    ) -> Result<u64> {
        let document = self.keep_id(target, document.clone())?;
        self.change(txn, target, if_version, |_| Ok(Next::Put(document)))
    }

    pub(super) fn update(
        &self,
        txn: &mut Txn<'s>,
        target: &Target,
        if_version: Option<u64>,
        update: impl FnOnce(&mut bson::Document),
    ) -> Result<u64> {
        self.change(txn, target, if_version, |raw| {
            let mut document = bson::Document::try_from(raw).map_err(|_| Error::NotADocument {
                collection: self.space.name().to_owned(),
                key: target.key.clone(),
            })?;
            update(&mut document);
            let raw = crate::document::IntoDocument::into_document(&document, &self.limits)?;
            Ok(Next::Put(self.keep_id(target, raw)?))
        })
    }

    pub(super) fn patch(
        &self,
        txn: &mut Txn<'s>,
        target: &Target,
        if_version: Option<u64>,
        patch: &Patch,
    ) -> Result<u64> {
        self.change(txn, target, if_version, |raw| {
            let patched = patch.apply(raw, &self.limits)?;
            // A version that must be there is one that others must not have changed.
            Ok(if if_version.is_none() { Next::Patched(patched, patch) } else { Next::Put(patched) })
        })
    }

    /// Patches a document that was found by what is in it, which others must not have changed.
    pub(super) fn patch_found(&self, txn: &mut Txn<'s>, target: &Target, patch: &Patch) -> Result<u64> {
        self.change(txn, target, None, |raw| Ok(Next::Put(patch.apply(raw, &self.limits)?)))
    }

    /// False if there was nothing to delete.
    pub(super) fn delete(&self, txn: &mut Txn<'s>, target: &Target, if_version: Option<u64>) -> Result<bool> {
        match self.change(txn, target, if_version, |_| Ok(Next::Delete)) {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) if if_version.is_none() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Changes a document that must be there. Returns the version that it has then, or had when it was deleted.
    fn change<'p>(
        &self,
        txn: &mut Txn<'s>,
        target: &Target,
        if_version: Option<u64>,
        change: impl FnOnce(&RawDocument) -> Result<Next<'p>>,
    ) -> Result<u64> {
        self.write(txn, target, |found| {
            let (collection, id) = (|| self.space.name().to_owned(), || target.id.clone());
            let value = found.ok_or_else(|| Error::NotFound { collection: collection(), id: id() })?;
            let (version, raw) = self.decode(value, target)?;
            if let Some(expected) = if_version.filter(|&expected| expected != version) {
                return Err(Error::VersionMismatch {
                    collection: collection(),
                    id: id(),
                    expected,
                    found: version,
                });
            }
            Ok(match change(raw)? {
                Next::Put(raw) => (encode(version + 1, raw), version + 1),
                Next::Patched(raw, patch) => (encode(version + 1, raw).by_patch(patch), version + 1),
                Next::Delete => (Change::Delete, version),
            })
        })
    }

    /// Replaces what is under an id by what `change` makes of it, in the indexes too. Nothing is written if it fails.
    fn write<'c, T>(
        &self,
        txn: &mut Txn<'s>,
        target: &Target,
        change: impl FnOnce(Option<&[u8]>) -> Result<(Change<'c>, T)>,
    ) -> Result<T> {
        let (era, base) = (self.space.era().current(), txn.statement_base());
        let indexes = Indexes::of(self.space).current();
        let found = txn.get(self.space, &target.key);
        let old = found.as_ref().map(|found| &*found.value);
        let (change, result) = change(old)?;
        let entries = match indexes {
            [] => Vec::new(),
            _ => {
                let old = old.map(|value| self.decode(value, target)).transpose()?.map(|(_, raw)| raw);
                let new = match &change {
                    Change::Put { body, .. } => RawDocument::from_bytes(body).ok(),
                    Change::Delete => None,
                };
                let changed = Changed { key: &target.key, old, new };
                let planned = maintain::plan(txn, self.space, indexes, changed, base);
                planned.map_err(|error| super::index_error(self.space.name(), error))?
            }
        };
        drop(found);
        txn.rely_on(self.space, era);
        txn.put_change(self.space, &target.key, &change, base);
        maintain::apply(txn, self.space, entries);
        Ok(result)
    }

    fn decode<'v>(&self, value: &'v [u8], target: &Target) -> Result<(u64, &'v RawDocument)> {
        let not_one =
            || Error::NotADocument { collection: self.space.name().to_owned(), key: target.key.clone() };
        decode(value).ok_or_else(not_one)
    }

    /// The document with the id that it must have; another id in it is an error.
    fn keep_id(&self, target: &Target, document: RawDocumentBuf) -> Result<RawDocumentBuf> {
        if let Some(given) = document.get(ID_FIELD).ok().flatten() {
            let given = DocumentId::try_from(given)?;
            if given != target.id {
                return Err(DocumentError::IdChanged { stored: target.id.clone(), given }.into());
            }
        }
        Ok(with_id(document, &target.id, &self.limits)?)
    }
}
