//! From conditions that must all hold to the ranges of an index in which the documents are that can meet them: pure.

use super::interval::{Interval, Intervals, of_node};
use crate::filter::tree::{Node, Test};
use crate::index::definition::{Index, IndexField};
use crate::sync::Arc;
use bson::RawBsonRef;
use smallvec::{SmallVec, smallvec};

/// More ranges than this are not made by combining values of several fields; what is left of the conditions is asked of the documents.
const RANGES_MAX: usize = 4096;

/// Keys from one up to another one, which is not included.
pub(super) type KeyRange = (Vec<u8>, Vec<u8>);

/// Where an index has what can meet the conditions.
#[derive(Clone, Debug)]
pub(super) struct IndexRanges {
    /// In the order of the index, and apart.
    pub(super) ranges: SmallVec<[KeyRange; 1]>,
    /// In how many fields, from the first, the keys of each range agree.
    pub(super) points: usize,
    /// How many fields are limited at all.
    pub(super) limited: usize,
    /// Whether several conditions on one field were put together.
    pub(super) are_joined: bool,
    /// Of each condition, whether it holds for every entry.
    pub(super) is_met: SmallVec<[bool; 8]>,
}

/// A condition that must hold: one of those that are joined by `and`.
pub(super) fn conditions(node: &Node) -> &[Node] {
    match node {
        Node::And(nodes) => nodes,
        node => std::slice::from_ref(node),
    }
}

/// The ranges of an index for conditions. `are_several` says that some document has several entries: then two conditions on one field may be met by
/// different ones.
pub(super) fn of_index(index: &Index, conditions: &[Node], are_several: bool) -> IndexRanges {
    let mut found = IndexRanges {
        ranges: smallvec![(Vec::new(), Vec::new())],
        points: 0,
        limited: 0,
        are_joined: false,
        is_met: smallvec![false; conditions.len()],
    };
    for field in index.fields() {
        let Some((intervals, used)) = of_field(field, conditions, are_several) else { break };
        if found.points > 0 && found.ranges.len() * intervals.list.len() > RANGES_MAX {
            break;
        }
        found.are_joined |= used.len() > 1;
        used.into_iter().for_each(|condition| found.is_met[condition] = intervals.are_exact);
        let are_points = intervals.are_points();
        found.extend(field, intervals.list);
        found.limited += 1;
        if !are_points {
            found.close();
            return found;
        }
        found.points += 1;
    }
    if found.points < index.fields().len() {
        let field = &index.fields()[found.points];
        found.extend(field, smallvec![Interval::all()]);
    }
    found.close();
    found
}

/// Whether no document can be left out of a sparse index that meets the conditions: one of its fields must be there.
pub(super) fn asks_for_a_value(index: &Index, conditions: &[Node]) -> bool {
    let null = Interval::all_of(RawBsonRef::Null);
    let excludes_null = |intervals: &Intervals| {
        let holds_null = |interval: &Interval| interval.low < null.high && null.low < interval.high;
        !intervals.list.iter().any(holds_null)
    };
    index.fields().iter().any(|field| {
        conditions.iter().any(|node| of_node(node, &is_on(field)).is_some_and(|found| excludes_null(&found)))
    })
}

fn is_on(field: &IndexField) -> impl Fn(&Test) -> bool + '_ {
    |test| test.path.as_ref() == Some(&field.path)
}

/// The intervals of a field, and the conditions that they are made of.
fn of_field(
    field: &IndexField,
    conditions: &[Node],
    are_several: bool,
) -> Option<(Intervals, SmallVec<[usize; 2]>)> {
    let each = conditions.iter().enumerate();
    let each = each.filter_map(|(at, node)| Some((of_node(node, &is_on(field))?, smallvec![at])));
    if are_several {
        // Each of them alone holds for what is found, so the one that says most is enough.
        return each.min_by_key(|(intervals, _)| (!intervals.are_points(), !intervals.are_exact));
    }
    each.reduce(|(a, mut used): (_, SmallVec<_>), (b, more)| {
        used.extend(more);
        (a.intersect(&b), used)
    })
}

impl IndexRanges {
    /// Replaces each prefix by one for each interval.
    fn extend(&mut self, field: &IndexField, intervals: SmallVec<[Interval; 1]>) {
        let mut parts: SmallVec<[KeyRange; 1]> = SmallVec::new();
        for interval in intervals {
            parts.push(interval.towards(field.direction));
        }
        parts.sort_unstable();
        let prefixes = std::mem::take(&mut self.ranges);
        if let [(prefix, _)] = &prefixes[..]
            && prefix.is_empty()
        {
            self.ranges = parts;
            return;
        }
        self.ranges = prefixes
            .iter()
            .flat_map(|(prefix, _)| {
                parts
                    .iter()
                    .map(move |(low, high)| ([&prefix[..], low].concat(), [&prefix[..], high].concat()))
            })
            .collect();
    }

    /// As they are kept.
    pub(super) fn into_shared(self) -> Arc<[KeyRange]> {
        match self.ranges.into_inner() {
            Ok(one) => Arc::new(one),
            Err(others) => others.into_vec().into(),
        }
    }

    /// What ends before it begins holds nothing.
    fn close(&mut self) {
        self.ranges.retain(|(low, high)| low < high);
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::filter::{Filter, field};
    use crate::index::entry;
    use bson::{RawDocumentBuf, doc};

    fn ranges(index: &Index, filter: &Filter, are_several: bool) -> IndexRanges {
        of_index(index, conditions(&filter.checked_tree().unwrap().node), are_several)
    }

    /// The values of `a` and `b`, of those from 0 to 9, whose entries are in the ranges.
    fn within(index: &Index, found: &IndexRanges) -> Vec<(i32, i32)> {
        let all = (0..10).flat_map(|a| (0..10).map(move |b| (a, b)));
        let is_within = |(a, b): &(i32, i32)| {
            let document = RawDocumentBuf::try_from(&doc! { "a": a, "b": b }).unwrap();
            let key = entry::keys(index, &document, b"id").unwrap().keys.remove(0);
            found.ranges.iter().any(|(low, high)| *low <= key && key < *high)
        };
        all.filter(is_within).collect()
    }

    fn product(a: &[i32], b: &[i32]) -> Vec<(i32, i32)> {
        a.iter().flat_map(|a| b.iter().map(|b| (*a, *b))).collect()
    }

    #[test]
    fn ranges_hold_what_meets_the_conditions() {
        let all: Vec<_> = (0..10).collect();
        for index in [
            Index::on("a").unwrap().and("b").unwrap(),
            Index::on_descending("a").unwrap().and_descending("b").unwrap(),
            Index::on("a").unwrap().and_descending("b").unwrap(),
        ] {
            for (filter, a, b, points) in [
                (field("a").eq(3), &[3][..], &all[..], 1),
                (field("a").eq(3).and(field("b").gt(7)), &[3], &[8, 9], 1),
                (field("a").in_([2, 5]).and(field("b").le(1)), &[2, 5], &[0, 1], 1),
                (field("a").in_([2, 5]).and(field("b").eq(4)), &[2, 5], &[4], 2),
                (field("a").ge(2).and(field("a").lt(4)), &[2, 3], &all, 0),
                (field("a").eq(3).or(field("a").gt(8)), &[3, 9], &all, 0),
                (field("a").gt(5).and(field("a").lt(3)), &[], &all, 1),
                (field("a").eq("3"), &[], &all, 1),
            ] {
                let found = ranges(&index, &filter, false);
                assert_eq!(within(&index, &found), product(a, b), "{filter}");
                assert_eq!(found.points, points, "{filter}");
                assert!(found.is_met.iter().all(|is_met| *is_met), "{filter}");
                assert!(found.ranges.is_sorted() && found.ranges.windows(2).all(|two| two[0].1 <= two[1].0));
            }
            let second = ranges(&index, &field("b").eq(1), false);
            assert_eq!((second.limited, second.points, &second.is_met[..]), (0, 0, &[false][..]));
            assert_eq!(within(&index, &second).len(), 100);
        }
    }

    #[test]
    fn with_several_entries_conditions_on_one_field_are_not_joined() {
        let index = Index::on("a").unwrap();
        let found = ranges(&index, &field("a").gt(7).and(field("a").lt(2)), true);
        assert_eq!(found.is_met.iter().filter(|is_met| **is_met).count(), 1);
        assert!(!within(&index, &found).is_empty());
    }

    #[test]
    fn only_a_value_that_must_be_there_keeps_documents_in_a_sparse_index() {
        let index = Index::on("a").unwrap().sparse();
        let asks =
            |filter: Filter| asks_for_a_value(&index, conditions(&filter.checked_tree().unwrap().node));
        assert!(asks(field("a").gt(1)) && asks(field("a").eq("x")));
        assert!(!asks(field("a").eq(bson::Bson::Null)) && !asks(field("b").eq(1)) && !asks(Filter::all()));
    }
}
