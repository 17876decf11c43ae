//! What values of one field can pass a test: intervals of encoded values, pure.
//!
//! An interval is a half-open range of the ascending encoding (`order_key`), so it holds a value if it holds the value's encoding. Encodings are never the start of one
//! another, so the first key behind all that begin with one ends an interval that includes it.

use crate::document::order_key::{self, Direction};
use crate::document::parse_index;
use crate::filter::tree::{Comparison, Node, Operator, Subject, Test};
use bson::raw::RawBson;
use bson::{Bson, RawBsonRef};
use smallvec::{SmallVec, smallvec};

/// From `low` up to `high`, not included.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Interval {
    pub(super) low: Vec<u8>,
    pub(super) high: Vec<u8>,
    /// Whether it holds one value only.
    pub(super) is_point: bool,
}

/// The values that can pass a test.
#[derive(Clone, Debug)]
pub(super) struct Intervals {
    /// In order and apart.
    pub(super) list: SmallVec<[Interval; 1]>,
    /// Whether all of these pass.
    pub(super) are_exact: bool,
}

/// The first key behind all that begin with `prefix`, which has a byte below 0xff.
pub(super) fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut key = prefix.to_vec();
    while let Some(last) = key.pop() {
        if last < u8::MAX {
            key.push(last + 1);
            break;
        }
    }
    key
}

/// What the keys of most values have room in.
const USUAL_BYTES: usize = 32;

fn encoded(value: RawBsonRef<'_>) -> Vec<u8> {
    let mut key = Vec::with_capacity(USUAL_BYTES);
    order_key::encode(value, Direction::Ascending, &mut key);
    key
}

impl Interval {
    pub(super) fn all() -> Interval {
        // Ranks lie between.
        Interval { low: vec![0x01], high: vec![0xfe], is_point: false }
    }

    pub(super) fn all_of(value: RawBsonRef<'_>) -> Interval {
        of_rank(value)
    }

    fn point(value: RawBsonRef<'_>) -> Interval {
        let low = encoded(value);
        Interval { high: behind(&low), low, is_point: true }
    }

    fn intersect(&self, other: &Interval) -> Option<Interval> {
        let low = (&self.low).max(&other.low).clone();
        let high = (&self.high).min(&other.high).clone();
        let is_point = self.is_point || other.is_point;
        (low < high).then_some(Interval { low, high, is_point })
    }

    /// The same values in another direction.
    pub(super) fn towards(self, direction: Direction) -> (Vec<u8>, Vec<u8>) {
        match direction {
            Direction::Ascending => (self.low, self.high),
            Direction::Descending => {
                let inverted = |key: &[u8]| key.iter().map(|byte| !byte).collect::<Vec<u8>>();
                let low = match self.is_point {
                    // More fields may follow it, so it has to be the value itself.
                    true => inverted(&self.low),
                    false => behind(&inverted(&self.high)),
                };
                (low, behind(&inverted(&self.low)))
            }
        }
    }
}

impl Intervals {
    fn one(interval: Interval, are_exact: bool) -> Intervals {
        Intervals { list: smallvec![interval], are_exact }
    }

    /// What can pass both.
    pub(super) fn intersect(&self, other: &Intervals) -> Intervals {
        let (mut ours, mut theirs) = (self.list.iter().peekable(), other.list.iter().peekable());
        let mut list = SmallVec::new();
        while let (Some(one), Some(other)) = (ours.peek(), theirs.peek()) {
            list.extend(one.intersect(other));
            // What ends first meets nothing more.
            if one.high <= other.high {
                ours.next()
            } else {
                theirs.next()
            };
        }
        Intervals { list, are_exact: self.are_exact && other.are_exact }
    }

    /// What can pass one of them.
    fn union(each: Vec<Intervals>) -> Intervals {
        let are_exact = each.iter().all(|one| one.are_exact);
        let mut all: Vec<_> = each.into_iter().flat_map(|one| one.list).collect();
        all.sort_unstable();
        let mut list: SmallVec<[Interval; 1]> = SmallVec::with_capacity(all.len());
        for next in all {
            match list.last_mut().filter(|last| next.low < last.high) {
                Some(last) => {
                    last.is_point &= next.is_point && next.low == last.low;
                    last.high = std::mem::take(&mut last.high).max(next.high);
                }
                None => list.push(next),
            }
        }
        Intervals { list, are_exact }
    }

    pub(super) fn are_points(&self) -> bool {
        self.list.iter().all(|interval| interval.is_point)
    }
}

/// The values that pass a condition on one field, if an index can tell: none for what says nothing about single values.
pub(super) fn of_node(node: &Node, is_field: &impl Fn(&Test) -> bool) -> Option<Intervals> {
    match node {
        Node::Test(test) if is_field(test) && !asks_within_a_value(test) => of_operator(&test.operator),
        Node::Or(nodes) => {
            let each = nodes.iter().map(|node| of_node(node, is_field));
            each.collect::<Option<Vec<_>>>().map(Intervals::union)
        }
        _ => None,
    }
}

/// Whether it is about the elements of an array that an index has as a whole: of an element, or of what a position names.
fn asks_within_a_value(test: &Test) -> bool {
    let last = test.path.as_ref().and_then(|path| path.segments().last());
    let is_value = last.is_none_or(|last| parse_index(last).is_some());
    is_value && matches!(test.operator, Operator::ElemMatch(..))
}

fn of_operator(operator: &Operator) -> Option<Intervals> {
    match operator {
        Operator::Compare(comparison, operand) => of_comparison(*comparison, operand.as_raw_bson_ref())
            .map(|list| Intervals { list, are_exact: true }),
        Operator::In(values) => {
            let mut list = SmallVec::with_capacity(values.len());
            for value in values {
                list.push(indexable(value.as_raw_bson_ref()).map(Interval::point)?);
            }
            list.sort_unstable();
            Some(Intervals { list, are_exact: true })
        }
        Operator::Regex(pattern) => {
            let stored = Bson::RegularExpression(pattern.to_bson()?);
            let stored = Interval::point(RawBson::try_from(stored).ok()?.as_raw_bson_ref());
            let text = match pattern.prefix() {
                Some(prefix) => {
                    let mut low = encoded(RawBsonRef::String(prefix));
                    // Without its end.
                    low.truncate(low.len() - 2);
                    Intervals::one(Interval { high: behind(&low), low, is_point: false }, true)
                }
                None => Intervals::one(of_rank(RawBsonRef::String("")), false),
            };
            Some(Intervals::union(vec![text, Intervals::one(stored, true)]))
        }
        Operator::ElemMatch(Subject::Element, node) => {
            let conditions: &[Node] = match &**node {
                Node::And(nodes) => nodes,
                node => std::slice::from_ref(node),
            };
            let each = conditions.iter().filter_map(|node| of_node(node, &|test| test.path.is_none()));
            let all = each.reduce(|a, b| a.intersect(&b))?;
            Some(Intervals { are_exact: false, ..all })
        }
        Operator::Exists
        | Operator::Type(_)
        | Operator::Size(_)
        | Operator::ElemMatch(..)
        | Operator::Parameter(..) => None,
    }
}

/// A value that an index has under its own key: of an array it has the elements.
fn indexable(value: RawBsonRef<'_>) -> Option<RawBsonRef<'_>> {
    (!matches!(value, RawBsonRef::Array(_))).then_some(value)
}

fn of_rank(value: RawBsonRef<'_>) -> Interval {
    let rank = order_key::rank_byte(value);
    Interval { low: vec![rank], high: vec![rank + 1], is_point: false }
}

fn of_comparison(comparison: Comparison, operand: RawBsonRef<'_>) -> Option<SmallVec<[Interval; 1]>> {
    let operand = indexable(operand)?;
    if comparison == Comparison::Equal {
        return Some(smallvec![Interval::point(operand)]);
    }
    // These say something of every value, whole arrays too.
    if matches!(operand, RawBsonRef::MinKey | RawBsonRef::MaxKey) {
        return None;
    }
    let nan = RawBsonRef::Double(f64::NAN);
    let value = encoded(operand);
    // Only these may be NaN, which compares with nothing but itself.
    if matches!(operand, RawBsonRef::Double(_) | RawBsonRef::Decimal128(_)) && value == encoded(nan) {
        let includes = matches!(comparison, Comparison::LessOrEqual | Comparison::GreaterOrEqual);
        return Some(if includes { smallvec![Interval::point(nan)] } else { SmallVec::new() });
    }
    let rank = order_key::rank_byte(operand);
    let least = || if rank == order_key::rank_byte(nan) { behind(&encoded(nan)) } else { vec![rank] };
    let (low, high) = match comparison {
        Comparison::Less => (least(), value),
        Comparison::LessOrEqual => (least(), behind(&value)),
        Comparison::Greater => (behind(&value), vec![rank + 1]),
        Comparison::Equal | Comparison::GreaterOrEqual => (value, vec![rank + 1]),
    };
    let interval = Interval { low, high, is_point: false };
    Some(if interval.low < interval.high { smallvec![interval] } else { SmallVec::new() })
}
