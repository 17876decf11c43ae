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

/// The keys of a document in an index, before and after a change.
struct Keyed<'i> {
    index: &'i Arc<Kept>,
    old: Keys,
    new: Keys,
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
    let (keyed, mut changes) = (keyed(indexes, changed)?, Vec::new());
    let view = |keyed: &Keyed<'_>| View::new(txn, collection, Arc::clone(keyed.index), Some(base));
    keyed.iter().for_each(|keyed| view(keyed).give_up(keyed, changed.key, &mut changes));
    keyed.iter().try_for_each(|keyed| view(keyed).take(keyed, changed.key, &mut changes))?;
    Ok(changes)
}

fn keyed<'i>(indexes: &'i [Arc<Kept>], changed: Changed<'_>) -> Result<SmallVec<[Keyed<'i>; 2]>, IndexError> {
    let of = |index: &'i Arc<Kept>| {
        // What has no place in an index has no entries there: so it may be mended, or go.
        let old = changed.old.and_then(|old| keys(index, old, changed.key).ok()).unwrap_or_default();
        let new = changed.new.map(|new| keys(index, new, changed.key)).transpose()?.unwrap_or_default();
        Ok(Keyed { index, old, new })
    };
    indexes.iter().map(of).collect()
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
    collection: &'s Space,
    space: &'s Space,
    index: Arc<Kept>,
    /// Whether the transaction's snapshot sees all entries. It does not while the index is built, nor if it became ready later, nor those of a document that it does
    /// not see as it was changed: then what is there now counts.
    is_whole: bool,
    /// What is committed at or above is a conflict.
    base: Lsn,
}

impl<'v, 's> View<'v, 's> {
    /// `base` was taken before the document was read; none if that was not read as the transaction's isolation has it, but as it is now.
    fn new(txn: &'v Txn<'s>, collection: &'s Space, index: Arc<Kept>, base: Option<Lsn>) -> View<'v, 's> {
        let base = base.filter(|_| index.ready.is_some_and(|ready| ready < txn.position()));
        let is_whole = base.is_some();
        let base = match (index.definition.is_unique(), base) {
            (false, _) => ANY_BASE,
            (true, Some(base)) => base,
            // Before anything is looked at.
            (true, None) => txn.end(),
        };
        View { txn, collection, space: index.space(collection), index, is_whole, base }
    }

    fn change(&self, key: &[u8], value: Option<SmallVec<[u8; 24]>>) -> EntryChange {
        EntryChange { index: Arc::clone(&self.index), key: SmallVec::from_slice(key), value, base: self.base }
    }

    /// Takes away the entries that a document has no more.
    fn give_up(&self, keyed: &Keyed<'_>, id: &[u8], changes: &mut Vec<EntryChange>) {
        let gone = keyed.old.keys.iter().filter(|key| !keyed.new.contains(key));
        changes.extend(gone.map(|key| self.change(key, self.of_another(key, id))));
    }

    /// The entry of another document, which stays. Before a unique index is whole, another one may have taken a key whose entry was not there yet. It is
    /// written again: if the other one gives it up meanwhile, the build may put ours.
    fn of_another(&self, key: &[u8], id: &[u8]) -> Option<SmallVec<[u8; 24]>> {
        if self.is_whole || !self.index.definition.is_unique() {
            return None;
        }
        self.entry(key).filter(|entry| *entry::holder(entry) != *id)
    }

    /// Puts the entries that a document has now.
    fn take(&self, keyed: &Keyed<'_>, id: &[u8], changes: &mut Vec<EntryChange>) -> Result<(), IndexError> {
        let Keyed { old, new, .. } = keyed;
        // What is stored with an entry says whether it is the only one, and what the values are besides what the key says.
        let are_alike = old.says_the_same(new);
        for key in new.keys.iter().filter(|key| !(are_alike && old.contains(key))) {
            self.check_unique(key, id)?;
            changes.push(self.change(key, Some(entry::value(&self.index.definition, id, new))));
        }
        // Whoever put it: it stays for good, so it is nothing that was read.
        if new.are_several() && self.txn.get_newest(self.space, SEVERAL_KEY).is_none() {
            changes.push(EntryChange { base: ANY_BASE, ..self.change(SEVERAL_KEY, Some(SmallVec::new())) });
        }
        Ok(())
    }

    fn check_unique(&self, key: &[u8], id: &[u8]) -> Result<(), IndexError> {
        // What the transaction wrote before the index came is not in it: the commit decides, which writes all of it anew.
        let is_for_later = || !self.is_whole && self.txn.is_outdated(self.collection);
        if !self.index.definition.is_unique() || is_for_later() {
            return Ok(());
        }
        match self.entry(key) {
            Some(entry) if *entry::holder(&entry) != *id => {
                Err(duplicate(&self.index, key, id, entry::holder(&entry)))
            }
            _ => Ok(()),
        }
    }

    fn entry(&self, key: &[u8]) -> Option<SmallVec<[u8; 24]>> {
        let found =
            if self.is_whole { self.txn.get(self.space, key) } else { self.txn.get_newest(self.space, key) };
        found.map(|found| SmallVec::from_slice(&found.value))
    }
}

pub(super) fn duplicate(index: &Kept, key: &[u8], first: &[u8], second: &[u8]) -> IndexError {
    let key = entry::values_shown(index.definition.fields(), key);
    IndexError::Duplicate { index: index.name.clone(), key, first: shown(first), second: shown(second) }
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
    let (current, base, mut written) = (indexes.current(), txn.statement_base(), Vec::new());
    for (key, new) in txn.own_writes(collection) {
        let old = txn.beneath(collection, &key).map(|value| value.into_owned());
        let changed = Changed { key: &key, old: document(old.as_deref()), new: document(new.as_deref()) };
        let keyed = keyed(current, changed)?;
        written.push((key, keyed));
    }
    // First of all documents what they give up: another one may have taken it.
    for takes in [false, true] {
        for (id, keyed) in written.iter().flat_map(|(id, keyed)| keyed.iter().map(move |keyed| (id, keyed))) {
            let base = (!txn.is_patched_again(collection, id)).then_some(base);
            let (view, mut changes) = (View::new(txn, collection, Arc::clone(keyed.index), base), Vec::new());
            match takes {
                false => view.give_up(keyed, id, &mut changes),
                true => view.take(keyed, id, &mut changes)?,
            }
            apply(txn, collection, changes);
        }
    }
    Ok(())
}

fn document(value: Option<&[u8]>) -> Option<&RawDocument> {
    Some(stored::decode(value?)?.1)
}
