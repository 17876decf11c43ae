//! The catalog: which collections and keyspaces there are, and the number of each.
//!
//! It is a keyspace like any other, number 0: key is the kind and the name, value the number. So it is logged and recovered with the rest, and
//! a name is in the log before anything that was written under its number.

use crate::map::Towards;
use crate::mvcc::snapshot::Snapshot;
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
}

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
    let catalog = space(store);
    let taken = txn.scan(catalog, (Bound::Unbounded, Bound::Unbounded), Towards::Greater);
    let greatest = taken.filter_map(|entry| number(&entry.value)).max().unwrap_or(CATALOG_SPACE);
    let next = greatest.checked_add(1)?;
    txn.put(catalog, &key(kind, name), Some(&next.to_le_bytes()));
    Some(next)
}

/// All names of a kind with their numbers, in order.
pub(crate) fn list(snapshot: &Snapshot, store: &Store, kind: Kind) -> Vec<(String, u32)> {
    let (low, high) = ([kind as u8], [kind as u8 + 1]);
    let range = (Bound::Included(&low[..]), Bound::Excluded(&high[..]));
    snapshot
        .scan(space(store), range, Towards::Greater)
        .filter_map(|(key, seen)| Some((String::from_utf8(key[1..].to_vec()).ok()?, number(seen.value)?)))
        .collect()
}
