//! Whether a document matches.

use bson::raw::RawBson;
use bson::{RawArray, RawBsonRef};

use super::tree::{Comparison, Node, Operator, Subject, Test};
use super::walk::{LeafArrays, Walk, elements};
use crate::document::order_key::{self, compare};

impl Node {
    /// `subject` is what paths start from, or the element itself.
    pub(crate) fn matches(&self, subject: RawBsonRef<'_>) -> bool {
        match self {
            Node::And(nodes) => nodes.iter().all(|node| node.matches(subject)),
            Node::Or(nodes) => nodes.iter().any(|node| node.matches(subject)),
            Node::Not(node) => !node.matches(subject),
            Node::Test(test) => test.matches(subject),
        }
    }
}

impl Test {
    fn matches(&self, subject: RawBsonRef<'_>) -> bool {
        let Some(path) = &self.path else { return self.operator.passes(Some(subject)) };
        let leaf_arrays = match self.operator {
            Operator::Size(_) | Operator::ElemMatch(..) => LeafArrays::Whole,
            _ => LeafArrays::Elements,
        };
        let passes = |value: Option<RawBsonRef<'_>>| self.operator.passes(value);
        Walk::new(leaf_arrays, passes).start(subject, path.segments())
    }
}

impl Operator {
    /// Whether a value passes; none is one that is not there.
    fn passes(&self, value: Option<RawBsonRef<'_>>) -> bool {
        match (self, value) {
            (Operator::Compare(comparison, operand), value) => {
                comparison.holds(null_if_none(value), operand.as_raw_bson_ref())
            }
            (Operator::In(values), value) => is_in(null_if_none(value), values),
            (Operator::Exists, value) => value.is_some(),
            (Operator::Type(types), Some(value)) => types.contains(value.element_type()),
            (Operator::Regex(pattern), Some(value)) => pattern.matches(value),
            (Operator::Size(size), Some(RawBsonRef::Array(array))) => has_size(array, *size),
            (Operator::ElemMatch(subject, node), Some(RawBsonRef::Array(array))) => {
                elements(array).any(|element| suits(element, *subject) && node.matches(element))
            }
            _ => false,
        }
    }
}

/// Null, undefined and what is not there are one and the same to comparisons.
fn null_if_none(value: Option<RawBsonRef<'_>>) -> RawBsonRef<'_> {
    match value {
        None | Some(RawBsonRef::Undefined) => RawBsonRef::Null,
        Some(value) => value,
    }
}

impl Comparison {
    fn holds(self, value: RawBsonRef<'_>, operand: RawBsonRef<'_>) -> bool {
        let order = compare(value, operand);
        let in_range = match self {
            // Of two types nothing is equal.
            Comparison::Equal => return order.is_eq(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        };
        in_range && are_comparable(value, operand)
    }
}

/// Whether a range may say something of these two. With MinKey or MaxKey as an operand it does of every value.
fn are_comparable(value: RawBsonRef<'_>, operand: RawBsonRef<'_>) -> bool {
    matches!(operand, RawBsonRef::MinKey | RawBsonRef::MaxKey)
        || order_key::same_rank(value, operand) && is_nan(value) == is_nan(operand)
}

fn is_nan(value: RawBsonRef<'_>) -> bool {
    match value {
        RawBsonRef::Double(double) => double.is_nan(),
        RawBsonRef::Decimal128(_) => compare(value, RawBsonRef::Double(f64::NAN)).is_eq(),
        _ => false,
    }
}

/// `values` are in order.
fn is_in(value: RawBsonRef<'_>, values: &[RawBson]) -> bool {
    values.binary_search_by(|known| compare(known.as_raw_bson_ref(), value)).is_ok()
}

fn has_size(array: &RawArray, size: u32) -> bool {
    // One more than asked for is enough to see that there are too many.
    let most = size as usize + 1;
    elements(array).take(most).count() == size as usize
}

/// Only what has fields can be asked for them.
fn suits(element: RawBsonRef<'_>, subject: Subject) -> bool {
    subject == Subject::Element || matches!(element, RawBsonRef::Document(_) | RawBsonRef::Array(_))
}
