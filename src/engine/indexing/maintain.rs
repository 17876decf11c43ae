//! What a change of a document changes in the indexes of its collection, within the transaction that changes it.
//!
//! An entry of a document is changed by who changes the document, so what its own record says of conflicts holds for its entries too, and they are written
//! whatever is there. But for those of a unique index: there, different documents want one key.

use super::IndexError;
use crate::document::{DocumentId, stored};
use crate::index::entry::{self, Keys, SEVERAL_KEY};
use crate::index::set::{Indexes, Kept};
use crate::lsn::Lsn;
use crate::mvcc::chain::ANY_BASE;
use crate::mvcc::store::Space;
use crate::sync::Arc;
use crate::txn::Txn;
use bson::RawDocument;
use smallvec::SmallVec;

/// A document before and after a change; none where there is none.
#[derive(Clone, Copy)]
pub(crate) struct Changed<'d> {
    /// The key of its id.
    pub(crate) key: &'d [u8],
    pub(crate) old: Option<&'d RawDocument>,
    pub(crate) new: Option<&'d RawDocument>,
}

/// A write to an index.
pub(crate) struct EntryChange {
    index: Arc<Kept>,
    key: SmallVec<[u8; 64]>,
    /// None deletes.
    value: Option<SmallVec<[u8; 24]>>,
    base: Lsn,
}

/// What a change of a document means for its collection's indexes, if the transaction may make it. Nothing is written yet. `base` was taken before the document
/// was read.
pub(crate) fn plan<'s>(
    txn: &Txn<'s>,
    collection: &'s Space,
    indexes: &[Arc<Kept>],
    changed: Changed<'_>,
    base: Lsn,
) -> Result<Vec<EntryChange>, IndexError> {
    let mut changes = Vec::new();
    for index in indexes {
        let keys = |document: Option<&RawDocument>| match document {
            Some(document) => keys(index, document, changed.key),
            None => Ok(Keys::default()),
        };
        let (old, new) = (keys(changed.old)?, keys(changed.new)?);
        let view = View::new(txn, index.space(collection), index, base);
        // What is stored with an entry says whether it is the only one.
        let are_alike = old.are_several() == new.are_several();
        for key in old.keys.iter().filter(|key| !new.contains(key)) {
            if view.may_delete(key, changed.key) {
                changes.push(view.change(key, None));
            }
        }
        for key in new.keys.iter().filter(|key| !(are_alike && old.contains(key))) {
            view.check_unique(key, changed.key)?;
            changes.push(view.change(key, Some(entry::value(&index.definition, changed.key, &new))));
        }
        if new.are_several() && txn.get(index.space(collection), SEVERAL_KEY).is_none() {
            changes.push(EntryChange { base: ANY_BASE, ..view.change(SEVERAL_KEY, Some(SmallVec::new())) });
        }
    }
    Ok(changes)
}

/// Writes what was planned.
pub(crate) fn apply<'s>(txn: &mut Txn<'s>, collection: &'s Space, changes: Vec<EntryChange>) {
    for EntryChange { index, key, value, base } in changes {
        txn.put_based(index.space(collection), &key, value.as_deref(), base);
    }
}

pub(super) fn keys(index: &Kept, document: &RawDocument, id: &[u8]) -> Result<Keys, IndexError> {
    entry::keys(&index.definition, document, id).map_err(|cause| IndexError::Entry {
        index: index.name.clone(),
        id: shown(id),
        cause,
    })
}

/// An index as a transaction has to see it.
struct View<'v, 's> {
    txn: &'v Txn<'s>,
    space: &'s Space,
    index: &'v Arc<Kept>,
    /// Whether the transaction's snapshot sees all entries. It does not while the index is built, nor if it became ready later: then what is there now counts.
    is_whole: bool,
    /// What is committed at or above is a conflict.
    base: Lsn,
}

impl<'v, 's> View<'v, 's> {
    fn new(txn: &'v Txn<'s>, space: &'s Space, index: &'v Arc<Kept>, base: Lsn) -> View<'v, 's> {
        let is_whole = index.ready.is_some_and(|ready| ready < txn.position());
        let base = match (index.definition.is_unique(), is_whole) {
            (false, _) => ANY_BASE,
            (true, true) => base,
            // Before anything is looked at.
            (true, false) => txn.end(),
        };
        View { txn, space, index, is_whole, base }
    }

    fn change(&self, key: &[u8], value: Option<SmallVec<[u8; 24]>>) -> EntryChange {
        EntryChange { index: Arc::clone(self.index), key: SmallVec::from_slice(key), value, base: self.base }
    }

    fn check_unique(&self, key: &[u8], id: &[u8]) -> Result<(), IndexError> {
        if !self.index.definition.is_unique() {
            return Ok(());
        }
        match self.holder(key) {
            Some(holder) if *holder != *id => Err(duplicate(self.index, id, &holder)),
            _ => Ok(()),
        }
    }

    /// Before a unique index is whole, another document may have taken a key whose entry was not there yet.
    fn may_delete(&self, key: &[u8], id: &[u8]) -> bool {
        !self.index.definition.is_unique()
            || self.is_whole
            || self.holder(key).is_none_or(|holder| *holder == *id)
    }

    fn holder(&self, key: &[u8]) -> Option<SmallVec<[u8; 24]>> {
        let found =
            if self.is_whole { self.txn.get(self.space, key) } else { self.txn.get_newest(self.space, key) };
        found.map(|found| SmallVec::from_slice(entry::holder(&found.value)))
    }
}

pub(super) fn duplicate(index: &Kept, first: &[u8], second: &[u8]) -> IndexError {
    IndexError::Duplicate { index: index.name.clone(), first: shown(first), second: shown(second) }
}

/// The id of a key, as messages show it.
fn shown(key: &[u8]) -> DocumentId {
    DocumentId::from_key(key).unwrap_or_else(|_| DocumentId::Bytes(key.to_vec()))
}

/// Writes the entries of everything that the transaction wrote to a collection anew: its indexes have changed since.
pub(crate) fn anew<'s>(txn: &mut Txn<'s>, collection: &'s Space) -> Result<(), IndexError> {
    let (era, indexes) = (collection.era().current(), Indexes::of(collection));
    txn.rely_anew(collection, era);
    for index in indexes.ever() {
        txn.forget_writes(index.space(collection));
    }
    let (current, base) = (indexes.current(), txn.statement_base());
    for (key, new) in txn.own_writes(collection) {
        let old = txn.beneath(collection, &key).map(|value| value.into_owned());
        let changed = Changed { key: &key, old: document(old.as_deref()), new: document(new.as_deref()) };
        let changes = plan(txn, collection, current, changed, base)?;
        apply(txn, collection, changes);
    }
    Ok(())
}

fn document(value: Option<&[u8]>) -> Option<&RawDocument> {
    Some(stored::decode(value?)?.1)
}
