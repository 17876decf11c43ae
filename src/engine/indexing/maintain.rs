//! What a change of a document changes in the indexes of its collection, within the transaction that changes it.

use super::IndexError;
use crate::document::{DocumentId, stored};
use crate::index::definition::Index;
use crate::index::entry;
use crate::index::set::{Indexes, Kept};
use crate::lsn::Lsn;
use crate::mvcc::chain::ANY_BASE;
use crate::mvcc::store::Space;
use crate::sync::Arc;
use crate::txn::Txn;
use bson::RawDocument;

/// A document before and after a change; none where there is none.
#[derive(Clone, Copy)]
pub(crate) struct Changed<'d> {
    /// The key of its id.
    pub(crate) key: &'d [u8],
    pub(crate) old: Option<&'d RawDocument>,
    pub(crate) new: Option<&'d RawDocument>,
}

/// An entry of an index that comes or goes.
pub(crate) struct EntryChange {
    index: Arc<Kept>,
    key: Vec<u8>,
    is_there: bool,
}

/// What a change of a document means for its collection's indexes, if the transaction may make it. Nothing is written yet.
pub(crate) fn plan<'s>(
    txn: &Txn<'s>,
    collection: &'s Space,
    indexes: &[Arc<Kept>],
    changed: Changed<'_>,
) -> Result<Vec<EntryChange>, IndexError> {
    let mut changes = Vec::new();
    for index in indexes {
        let keys = |document| keys(&index.definition, &index.name, document, changed.key);
        let (old, new) = (keys(changed.old)?, keys(changed.new)?);
        let mut change = |key: &[u8], is_there| {
            changes.push(EntryChange { index: Arc::clone(index), key: key.to_vec(), is_there });
        };
        old.iter().filter(|key| new.binary_search(key).is_err()).for_each(|key| change(key, false));
        for key in new.iter().filter(|key| old.binary_search(key).is_err()) {
            if index.definition.is_unique() {
                check_unique(txn, index.space(collection), index, key, changed.key)?;
            }
            change(key, true);
        }
    }
    Ok(changes)
}

/// Writes what was planned. What the index has of a unique key at or above `base` is a conflict.
///
/// Nothing else about entries is: that of a document's entries nobody else changes the same one, its own record sees to. So a build may put entries below a
/// transaction that is older than it.
pub(crate) fn apply<'s>(
    txn: &mut Txn<'s>,
    collection: &'s Space,
    changes: Vec<EntryChange>,
    id: &[u8],
    base: Lsn,
) {
    for EntryChange { index, key, is_there } in changes {
        let space = index.space(collection);
        if is_there {
            let base = if index.definition.is_unique() { base } else { ANY_BASE };
            txn.put_based(space, &key, Some(entry::value(&index.definition, id)), base);
        } else {
            txn.put_based(space, &key, None, ANY_BASE);
        }
    }
}

pub(super) fn keys(
    index: &Index,
    name: &str,
    document: Option<&RawDocument>,
    id: &[u8],
) -> Result<Vec<Vec<u8>>, IndexError> {
    let keys = document.map(|document| entry::keys(index, document, id)).transpose();
    let refused = |cause| IndexError::Entry { index: name.to_owned(), id: shown(id), cause };
    Ok(keys.map_err(refused)?.unwrap_or_default())
}

fn check_unique<'s>(
    txn: &Txn<'s>,
    space: &'s Space,
    index: &Kept,
    key: &[u8],
    id: &[u8],
) -> Result<(), IndexError> {
    match txn.get(space, key).filter(|found| *found.value != *id) {
        Some(found) => Err(duplicate(index, id, &found.value)),
        None => Ok(()),
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
    let written: Vec<(Vec<u8>, Option<Vec<u8>>)> =
        txn.own_writes(collection).map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect();
    for (key, new) in written {
        let old = txn.beneath(collection, &key).map(|value| value.into_owned());
        let changed = Changed { key: &key, old: document(old.as_deref()), new: document(new.as_deref()) };
        let changes = plan(txn, collection, current, changed)?;
        apply(txn, collection, changes, &key, base);
    }
    Ok(())
}

fn document(value: Option<&[u8]>) -> Option<&RawDocument> {
    Some(stored::decode(value?)?.1)
}
