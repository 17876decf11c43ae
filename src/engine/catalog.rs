//! The catalog: which collections, keyspaces and indexes there are, and the number of each.
//!
//! It is a keyspace like any other, number 0: key is the kind and the name, value the number. So it is logged and recovered with the rest, and
//! a name is in the log before anything that was written under its number. The name of an index begins with the number of its collection; behind its own
//! number come its phase and its definition.

use crate::index::definition::Index;
use crate::index::set::Phase;
use crate::map::Towards;
use crate::lsn::Lsn;
use crate::mvcc::snapshot::{Seen, Snapshot};
use crate::mvcc::store::{Space, Store};
use crate::txn::Txn;
use std::ops::Bound;

/// The catalog's own number.
pub(super) const CATALOG_SPACE: u32 = 0;

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Documents.
    Collection = b'c' as isize,
    /// Bytes.
    Keyspace = b'k' as isize,
    /// Entries of the documents of a collection.
    Index = b'i' as isize,
}

/// An index as the catalog has it.
#[derive(Clone, Debug)]
pub(crate) struct IndexRecord {
    /// The number of its collection.
    pub(crate) collection: u32,
    /// Its own.
    pub(crate) number: u32,
    pub(crate) phase: Phase,
    pub(crate) definition: Index,
}

impl IndexRecord {
    fn key(&self) -> Vec<u8> {
        let mut key = vec![Kind::Index as u8];
        key.extend_from_slice(&self.collection.to_be_bytes());
        key.extend_from_slice(self.definition.name().as_bytes());
        key
    }

    fn value(&self) -> Vec<u8> {
        let mut value = self.number.to_le_bytes().to_vec();
        value.push(self.phase as u8);
        value.extend_from_slice(&self.definition.encode());
        value
    }

    fn parse(key: &[u8], value: &[u8]) -> Option<IndexRecord> {
        let (collection, name) = key.strip_prefix(&[Kind::Index as u8])?.split_first_chunk::<4>()?;
        let name = std::str::from_utf8(name).ok().filter(|name| !name.is_empty())?;
        let (own, rest) = value.split_first_chunk::<4>()?;
        let (phase, definition) = rest.split_first()?;
        Some(IndexRecord {
            collection: u32::from_be_bytes(*collection),
            number: u32::from_le_bytes(*own),
            phase: Phase::from_byte(*phase)?,
            definition: Index::decode(name, definition)?,
        })
    }

    /// Writes it.
    pub(super) fn put<'s>(&self, txn: &mut Txn<'s>, store: &'s Store) {
        txn.put(space(store), &self.key(), Some(&self.value()));
    }

    /// Takes it out.
    pub(super) fn remove<'s>(&self, txn: &mut Txn<'s>, store: &'s Store) {
        txn.put(space(store), &self.key(), None);
    }
}

/// All indexes, those of a collection next to each other, each with the position since which it is in this phase.
pub(crate) fn indexes(snapshot: &Snapshot, store: &Store) -> Vec<(IndexRecord, Lsn)> {
    entries(snapshot, store, Kind::Index)
        .filter_map(|(key, seen)| Some((IndexRecord::parse(key, seen.value)?, seen.lsn)))
        .collect()
}

/// Behind the kind and the number of its collection.
const INDEX_NAME_AT: usize = 1 + 4;

/// The catalog itself.
fn space(store: &Store) -> &Space {
    store.space(CATALOG_SPACE).named("the catalog")
}

/// A name's key in the catalog.
pub(super) fn key(kind: Kind, name: &str) -> Vec<u8> {
    let mut key = vec![kind as u8];
    key.extend_from_slice(name.as_bytes());
    key
}

/// What an entry of the catalog says: kind, name, number.
pub(super) fn parse<'k>(key: &'k [u8], value: &[u8]) -> Option<(Kind, &'k str, u32)> {
    if let Some(index) = IndexRecord::parse(key, value) {
        let name = std::str::from_utf8(&key[INDEX_NAME_AT..]).ok()?;
        return (index.number != CATALOG_SPACE).then_some((Kind::Index, name, index.number));
    }
    let (kind, name) = key.split_first()?;
    let kind = [Kind::Collection, Kind::Keyspace].into_iter().find(|known| *known as u8 == *kind)?;
    let name = std::str::from_utf8(name).ok().filter(|name| !name.is_empty())?;
    Some((kind, name, number(value).filter(|number| *number != CATALOG_SPACE)?))
}

fn number(value: &[u8]) -> Option<u32> {
    value.try_into().map(u32::from_le_bytes).ok()
}

/// The number of a name, if it is there.
pub(crate) fn find(snapshot: &Snapshot, store: &Store, kind: Kind, name: &str) -> Option<u32> {
    snapshot.get(space(store), &key(kind, name)).and_then(|seen| number(seen.value))
}

/// Gives a new name the next number; none if the greatest one is given away, as no program does. The caller commits, and holds off others who add
/// names meanwhile.
pub(crate) fn add<'s>(txn: &mut Txn<'s>, store: &'s Store, kind: Kind, name: &str) -> Option<u32> {
    let next = next_number(txn, store)?;
    txn.put(space(store), &key(kind, name), Some(&next.to_le_bytes()));
    Some(next)
}

/// The number for what is added next: a greater one than any that was ever given away.
pub(crate) fn next_number<'s>(txn: &Txn<'s>, store: &'s Store) -> Option<u32> {
    let entries = txn.scan(space(store), (Bound::Unbounded, Bound::Unbounded), Towards::Greater);
    let numbers = entries.filter_map(|entry| first_number(&entry.value));
    numbers.max().unwrap_or(CATALOG_SPACE).checked_add(1)
}

/// All names of a kind with their numbers, in order.
pub(crate) fn list(snapshot: &Snapshot, store: &Store, kind: Kind) -> Vec<(String, u32)> {
    entries(snapshot, store, kind)
        .filter_map(|(key, seen)| Some((String::from_utf8(key[1..].to_vec()).ok()?, number(seen.value)?)))
        .collect()
}

fn entries<'s>(
    snapshot: &'s Snapshot,
    store: &'s Store,
    kind: Kind,
) -> impl Iterator<Item = (&'s [u8], Seen<'s>)> {
    let (low, high) = ([kind as u8], [kind as u8 + 1]);
    let range = (Bound::Included(&low[..]), Bound::Excluded(&high[..]));
    snapshot.scan(space(store), range, Towards::Greater)
}
