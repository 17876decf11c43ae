//! An ordered map that is a sorted vector while it is small, and a B-tree from then on.
//!
//! Most transactions write a few keys. A vector spares them the tree's nodes, and one entry any allocation.

use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};

/// A vector may have so many entries: to put one in its middle moves half of them.
const FEW: usize = 16;

/// Entries in order. One needs no allocation.
pub(super) type Sorted<K, V> = SmallVec<[(K, V); 1]>;

/// See the module.
pub(super) enum SmallMap<K, V> {
    Few(Sorted<K, V>),
    Many(BTreeMap<K, V>),
}

impl<K, V> Default for SmallMap<K, V> {
    fn default() -> Self {
        SmallMap::Few(SmallVec::new())
    }
}

impl<K: Ord, V> SmallMap<K, V> {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        match self {
            SmallMap::Few(entries) => entries.is_empty(),
            SmallMap::Many(entries) => entries.is_empty(),
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        match self {
            SmallMap::Few(entries) => find(entries, key).ok().map(|at| &entries[at].1),
            SmallMap::Many(entries) => entries.get(key),
        }
    }

    /// Returns what was under the key.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self {
            SmallMap::Few(entries) => match find(entries, &key) {
                Ok(at) => Some(std::mem::replace(&mut entries[at].1, value)),
                Err(at) if entries.len() < FEW => {
                    entries.insert(at, (key, value));
                    None
                }
                Err(_) => {
                    let mut many: BTreeMap<K, V> = std::mem::take(entries).into_iter().collect();
                    many.insert(key, value);
                    *self = SmallMap::Many(many);
                    None
                }
            },
            SmallMap::Many(entries) => entries.insert(key, value),
        }
    }

    pub(super) fn remove(&mut self, key: &K) {
        match self {
            SmallMap::Few(entries) => {
                if let Ok(at) = find(entries, key) {
                    entries.remove(at);
                }
            }
            SmallMap::Many(entries) => drop(entries.remove(key)),
        }
    }

    /// The entries of a range, which must not end before it begins.
    pub(super) fn range<'a>(
        &'a self,
        range: (Bound<K>, Bound<K>),
    ) -> Box<dyn DoubleEndedIterator<Item = (&'a K, &'a V)> + 'a> {
        match self {
            SmallMap::Few(entries) => {
                let within = |key: &K| range.contains(key);
                let from = entries.iter().position(|(key, _)| within(key)).unwrap_or(entries.len());
                let len = entries[from..].iter().take_while(|(key, _)| within(key)).count();
                Box::new(entries[from..from + len].iter().map(|(key, value)| (key, value)))
            }
            SmallMap::Many(entries) => Box::new(entries.range(range)),
        }
    }

    /// The map of entries that are in order, each key once.
    pub(super) fn of_sorted(entries: Sorted<K, V>) -> Self {
        if entries.len() <= FEW {
            SmallMap::Few(entries)
        } else {
            SmallMap::Many(entries.into_iter().collect())
        }
    }

    /// The entries, in order.
    pub(super) fn into_sorted(self) -> Sorted<K, V> {
        match self {
            SmallMap::Few(entries) => entries,
            SmallMap::Many(entries) => entries.into_iter().collect(),
        }
    }
}

fn find<K: Ord, V>(entries: &[(K, V)], key: &K) -> Result<usize, usize> {
    entries.binary_search_by(|(other, _)| other.cmp(key))
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_map(
            steps in proptest::collection::vec((0_u8..40, any::<bool>()), 0..120),
            (low, high) in (0_u8..20, 20_u8..40),
        ) {
            let (mut map, mut model) = (SmallMap::default(), BTreeMap::new());
            for (number, (key, insert)) in steps.into_iter().enumerate() {
                if insert {
                    prop_assert_eq!(map.insert(key, number), model.insert(key, number));
                } else {
                    map.remove(&key);
                    model.remove(&key);
                }
                prop_assert_eq!(map.get(&key), model.get(&key));
                prop_assert_eq!(map.is_empty(), model.is_empty());
            }
            for range in [
                (Bound::Included(low), Bound::Excluded(high)),
                (Bound::Excluded(low), Bound::Included(high)),
                (Bound::Unbounded, Bound::Included(low)),
                (Bound::Included(high), Bound::Unbounded),
            ] {
                prop_assert!(map.range(range).eq(model.range(range)));
                prop_assert!(map.range(range).rev().eq(model.range(range).rev()));
            }
            prop_assert!(map.into_sorted().into_iter().eq(model));
        }
    }
}
