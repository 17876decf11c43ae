//! The catalog: which collections, keyspaces and indexes there are, and the number of each.
//!
//! It is a keyspace like any other, number 0: key is the kind and the name, value the number. So it is logged and recovered with the rest, and
//! a name is in the log before anything that was written under its number. The name of an index begins with the number of its collection; behind its own
//! number come its phase and its definition.

use crate::index::definition::Index;
use crate::index::set::Phase;
use crate::lsn::Lsn;
use crate::map::Towards;
use crate::mvcc::snapshot::{Seen, Snapshot};
use crate::mvcc::store::{IN_ORDER, Space, Store};
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
    /// Nothing any more: the greatest number whose name was taken out, under the empty name.
    Retired = b'r' as isize,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Collection, Kind::Keyspace, Kind::Index, Kind::Retired];
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
    pub(super) fn key(&self) -> Vec<u8> {
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

    pub(super) fn parse(key: &[u8], value: &[u8]) -> Option<IndexRecord> {
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

    /// Takes it out. Its number is not given away again: what the log and older positions have of it stays apart.
    pub(super) fn remove<'s>(&self, txn: &mut Txn<'s>, store: &'s Store) {
        let (catalog, retired) = (space(store), key(Kind::Retired, ""));
        let before = txn.get(catalog, &retired).and_then(|found| number(&found.value));
        let greatest = before.unwrap_or(CATALOG_SPACE).max(self.number & !IN_ORDER);
        txn.put(catalog, &retired, Some(&greatest.to_le_bytes()));
        txn.put(catalog, &self.key(), None);
    }
}

/// Whether a key of the catalog is one of an index, or of numbers that are not used any more.
pub(super) fn is_about_indexes(key: &[u8]) -> bool {
    key.first().is_some_and(|kind| [Kind::Index, Kind::Retired].into_iter().any(|known| known as u8 == *kind))
}

/// All indexes, those of a collection next to each other, each with the position since which it is in this phase.
pub(crate) fn indexes(snapshot: &Snapshot, store: &Store) -> Vec<(IndexRecord, Lsn)> {
    entries(snapshot, store, Kind::Index)
        .filter_map(|(key, seen)| Some((IndexRecord::parse(key, seen.value)?, seen.lsn)))
        .collect()
}

/// Behind the number of its collection.
const INDEX_NAME_AT: usize = 4;

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
    let (kind, rest) = key.split_first()?;
    let kind = Kind::ALL.into_iter().find(|known| *known as u8 == *kind)?;
    let (name, number) = match kind {
        Kind::Collection | Kind::Keyspace => (rest, number(value)?),
        Kind::Index => (rest.get(INDEX_NAME_AT..)?, IndexRecord::parse(key, value)?.number),
        Kind::Retired => return rest.is_empty().then_some((kind, "", number(value)?)),
    };
    let name = std::str::from_utf8(name).ok().filter(|name| !name.is_empty())?;
    (number != CATALOG_SPACE).then_some((kind, name, number))
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

/// The number for what is added next: a greater one than any that was ever given away, whatever [`IN_ORDER`] says of those.
pub(crate) fn next_number<'s>(txn: &Txn<'s>, store: &'s Store) -> Option<u32> {
    let entries = txn.scan(space(store), (Bound::Unbounded, Bound::Unbounded), Towards::Greater);
    let numbers = entries.filter_map(|entry| Some(parse(&entry.key, &entry.value)?.2 & !IN_ORDER));
    let next = numbers.max().unwrap_or(CATALOG_SPACE) + 1;
    (next < IN_ORDER).then_some(next)
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
