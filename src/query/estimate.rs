//! How much there is of something, for the planner: from statistics, or from a look at some keys; what conditions leave is guessed.

use super::ranges::{IndexRanges, KeyRange};
use crate::filter::tree::{Comparison, Node, Operator};
use crate::index::set::Kept;
use crate::index::statistics::Statistics;
use crate::map::Towards;
use crate::mvcc::store::Space;
use crate::sync::epoch;
use std::ops::Bound;

/// So many keys are counted;
const COUNTED: usize = 32;
/// of more of them so many are looked at.
const SAMPLED: usize = 128;

/// How many entries are in the ranges.
pub(super) fn expected_entries(index: &Kept, collection: &Space, found: &IndexRanges) -> f64 {
    let space = index.space(collection);
    let entries = space.records().len();
    index.statistics.read(|known| match known {
        Some(known) if known.is_of_use_for(entries) => {
            let each = found.ranges.iter().map(|(low, high)| known.estimate(low, high, found.points));
            each.sum::<f64>().min(entries as f64)
        }
        // The store was opened just now, or much has come since they were gathered.
        _ => expected_keys(space, &found.ranges).unwrap_or_else(|| {
            let part = if found.limited == 0 { 1.0 } else { RANGE_PART };
            entries as f64 * part
        }),
    })
}

/// Of which part of an index's entries fields can be made again.
pub(super) fn restorable_part(index: &Kept) -> f64 {
    index.statistics.read(|known| known.map_or(1.0, Statistics::restorable_part))
}

/// Which part of all a range has, where nothing is known.
const RANGE_PART: f64 = 0.33;

/// How many keys are in ranges: those that are there, if they are few; else as many as of a sample. None if the space has no sample to give.
pub(super) fn expected_keys(space: &Space, ranges: &[KeyRange]) -> Option<f64> {
    let (records, guard, mut met) = (space.records(), epoch::pin(), 0);
    let are_few = ranges.iter().all(|(low, high)| {
        let range = (Bound::Included(&low[..]), Bound::Excluded(&high[..]));
        records.scan(range, Towards::Greater, &guard, |_, _| {
            met += 1;
            met < COUNTED
        })
    });
    if are_few {
        return Some(met as f64);
    }
    let keys = records.sample(SAMPLED, &guard);
    if keys.is_empty() {
        return None;
    }
    let is_within = |key: &&[u8]| ranges.iter().any(|(low, high)| **low <= **key && **key < **high);
    let within = keys.iter().map(|key| &**key).filter(is_within).count();
    Some((records.len() as f64 * within as f64 / keys.len() as f64).max(met as f64))
}

/// Which part of the documents a condition leaves, without knowing any of them.
pub(super) fn selectivity(node: &Node) -> f64 {
    match node {
        Node::And(nodes) => nodes.iter().map(selectivity).product(),
        Node::Or(nodes) => nodes.iter().map(selectivity).sum::<f64>().min(1.0),
        Node::Not(node) => 1.0 - selectivity(node),
        Node::Test(test) => match &test.operator {
            Operator::Compare(Comparison::Equal, _)
            | Operator::Parameter(Comparison::Equal, _)
            | Operator::Size(_) => 0.1,
            Operator::Compare(..) | Operator::Parameter(..) => RANGE_PART,
            Operator::In(values) => (values.len() as f64 * 0.1).min(0.5),
            Operator::Regex(_) | Operator::ElemMatch(..) => 0.2,
            Operator::Exists | Operator::Type(_) => 0.9,
        },
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::lsn::{LogEnd, Lsn};
    use crate::mvcc::store::Store;
    use crate::sync::Arc;

    #[test]
    fn ranges_are_counted_or_sampled() {
        let store = Store::new(Arc::new(LogEnd::new(Lsn::new(Lsn::ALIGN))), 0);
        let space = store.space(1);
        (0..4_000_u32).for_each(|n| space.recover(&n.to_be_bytes(), Lsn::new(8), Some(&[])));
        let expected = |ranges: &[(u32, u32)]| {
            let keys = |(low, high): &(u32, u32)| (low.to_be_bytes().to_vec(), high.to_be_bytes().to_vec());
            expected_keys(space, &ranges.iter().map(keys).collect::<Vec<_>>()).unwrap()
        };
        assert_eq!(expected(&[(10, 20), (3_000, 3_010), (5_000, 6_000)]), 20.0);
        let half = expected(&[(0, 2_000)]);
        assert!((1_000.0..3_000.0).contains(&half), "{half}");
        assert_eq!(expected(&[(0, 5_000)]), 4_000.0);
    }
}
