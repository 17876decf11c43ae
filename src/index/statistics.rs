//! What is known of an index's entries without looking at them: how many there are, how many of them differ, and how they lie.
//!
//! Gathered by one walk at a snapshot, now and then; between that they are old, and good enough to choose a plan by.

use super::definition::Index;
use super::entry::SEVERAL_KEY;
use super::restore::codes_bytes;
use crate::document::order_key;
use crate::map::Towards;
use crate::mvcc::snapshot::Snapshot;
use crate::mvcc::store::Space;
use std::ops::Bound;

/// An equi-depth histogram has so many buckets.
const BUCKETS: u64 = 256;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Statistics {
    pub(crate) entries: u64,
    /// Of those, how many say how fields are made again from them.
    restorable: u64,
    /// How many values the first field has, the first two together, and so on.
    pub(crate) distinct: Vec<u64>,
    /// Keys in order, with as many entries between one and the next.
    pub(crate) bounds: Vec<Box<[u8]>>,
    entries_each: u64,
}

impl Statistics {
    /// Walks all entries that a snapshot sees.
    pub(crate) fn gather(index: &Index, space: &Space, snapshot: &Snapshot) -> Statistics {
        let entries_each = (space.records().len() as u64 / BUCKETS).max(1);
        let mut found =
            Statistics { distinct: vec![0; index.fields().len()], entries_each, ..Statistics::default() };
        let mut before: Option<(&[u8], Vec<usize>)> = None;
        let all = (Bound::Excluded(SEVERAL_KEY), Bound::Unbounded);
        for (key, seen) in snapshot.scan(space, all, Towards::Greater) {
            let ends = field_ends(index, key);
            let same = before.as_ref().map_or(0, |(key_before, ends_before)| {
                let pairs = ends.iter().zip(ends_before);
                pairs.take_while(|(end, other)| end == other && key[..**end] == key_before[..**end]).count()
            });
            found.distinct[same..].iter_mut().for_each(|count| *count += 1);
            if found.entries.is_multiple_of(entries_each) {
                found.bounds.push(key.into());
            }
            found.entries += 1;
            found.restorable += u64::from(codes_bytes(seen.value) > 0);
            before = Some((key, ends));
        }
        found
    }

    /// How many entries there are from `low` up to `high`, roughly, if their keys agree in the first `fields` fields.
    pub(crate) fn estimate(&self, low: &[u8], high: &[u8], fields: usize) -> f64 {
        let below = |key: &[u8]| self.bounds.partition_point(|bound| **bound < *key) as f64;
        let bounds = below(high) - below(low);
        match fields.checked_sub(1).and_then(|last| self.distinct.get(last)) {
            // A value that is more frequent than others reaches over bounds; any may be at one.
            Some(&distinct) => {
                let between = (bounds - 1.0) * self.entries_each as f64;
                between.max(self.entries as f64 / distinct.max(1) as f64)
            }
            // Somewhere between two bounds.
            None => bounds.max(0.5) * self.entries_each as f64,
        }
        .min(self.entries as f64)
    }

    /// Of which part of the entries fields can be made again.
    pub(crate) fn restorable_part(&self) -> f64 {
        if self.entries == 0 { 1.0 } else { self.restorable as f64 / self.entries as f64 }
    }

    /// Whether they still say something, where there are so many entries by now.
    pub(crate) fn is_of_use_for(&self, entries: usize) -> bool {
        entries as u64 <= 2 * self.entries + 64
    }

    /// Whether so many entries are many more or fewer than there were.
    pub(crate) fn is_outdated(&self, entries: usize) -> bool {
        (entries as u64).abs_diff(self.entries) > self.entries / 8 + 16
    }
}

/// Where each field of a key ends.
fn field_ends(index: &Index, key: &[u8]) -> Vec<usize> {
    let mut end = 0;
    let ends = index.fields().iter().map(|field| {
        end += order_key::encoded_bytes(&key[end..], field.direction).unwrap_or(key.len() - end);
        end
    });
    ends.collect()
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::index::entry;
    use crate::lsn::{LogEnd, Lsn};
    use crate::mvcc::store::Store;
    use crate::sync::Arc;
    use bson::rawdoc;

    #[test]
    fn estimates_are_near_what_there_is() {
        let store = Store::new(Arc::new(LogEnd::new(Lsn::new(Lsn::ALIGN))), 0);
        let index = Index::on("a").unwrap().and("b").unwrap();
        let key = |a: i32, b: i32| {
            entry::keys(&index, &rawdoc! { "a": a, "b": b }, &b.to_be_bytes()).unwrap().keys[0].clone()
        };
        for n in 0..10_000 {
            store.space(1).recover(&key(n % 10, n), Lsn::new(8), Some(&[]));
        }
        store.end().reserve(8);
        let found = Statistics::gather(&index, store.space(1), &store.snapshot());
        assert_eq!((found.entries, &found.distinct[..]), (10_000, &[10, 10_000][..]));
        let prefix = |a: i32| {
            let mut key = Vec::new();
            order_key::encode(bson::RawBsonRef::Int32(a), Default::default(), &mut key);
            key
        };
        let of_one_value = found.estimate(&prefix(3), &prefix(4), 1);
        assert!((900.0..1_100.0).contains(&of_one_value), "{of_one_value}");
        let of_half = found.estimate(&prefix(0), &prefix(5), 0);
        assert!((4_900.0..5_100.0).contains(&of_half), "{of_half}");
        assert_eq!(found.estimate(&key(3, 3), &key(3, 13), 2), 1.0);
        let at_bound = |bound: &[u8]| found.estimate(bound, &[bound, &[0]].concat(), 2);
        assert!(found.bounds.iter().all(|bound| at_bound(bound) == 1.0));
        assert!(!found.is_outdated(10_500) && found.is_outdated(15_000) && found.is_outdated(5_000));
    }
}
