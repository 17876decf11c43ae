//! What a field is compared with: a value, or one that is given later.
//!
//! A value that is made of nothing else is taken as it is; any other goes through a document first, whose check it has to pass.

use bson::raw::RawBson;
use bson::{Bson, doc};
use smallvec::SmallVec;

use super::read::{owned, unreadable};
use super::tree::{Comparison, Operator, Tree, levels};
use super::{FilterError, LIMITS};
use crate::document::{FieldPath, IntoDocument};

/// A filter takes so many values at most.
const PARAMETERS_MAX: usize = 256;

/// What a field is compared with: any value that is BSON, or a parameter ([`param`]).
#[derive(Debug, Clone)]
pub struct Operand(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Value(Bson),
    Parameter(usize),
}

impl<V: Into<Bson>> From<V> for Operand {
    fn from(value: V) -> Operand {
        Operand(Kind::Value(value.into()))
    }
}

/// The value that is given at this position, from 0, when a prepared query is asked: see [`PreparedQuery`](crate::PreparedQuery).
///
/// ```
/// use skipstone::{FilterError, field, param};
///
/// let older = field("age").gt(param(0)).and(field("city").eq(param(1)));
/// // Alone it says nothing.
/// assert!(matches!(older.check(), Err(FilterError::Values { expected: 2, given: 0, .. })));
/// ```
pub fn param(position: usize) -> Operand {
    Operand(Kind::Parameter(position))
}

impl Operand {
    pub(super) fn test(self, path: Option<&FieldPath>, comparison: Comparison) -> Result<Tree, FilterError> {
        match self.0 {
            Kind::Value(value) => {
                let value = raw(value)
                    .map_err(|error| path.map_or(error.clone(), |path| error.within(&path.to_string())))?;
                let levels = levels(value.as_raw_bson_ref());
                Tree::test(path, Operator::Compare(comparison, value), levels)
            }
            Kind::Parameter(position) if position >= PARAMETERS_MAX => {
                Err(FilterError::Parameter { position, limit: PARAMETERS_MAX })
            }
            Kind::Parameter(position) => Tree::test(path, Operator::Parameter(comparison, position), 0),
        }
    }
}

/// Values for parameters, and the levels of the deepest. Of too many only as many as show that they are.
pub(super) fn raw_values(
    values: impl IntoIterator<Item = Bson>,
) -> Result<(SmallVec<[RawBson; 2]>, usize), FilterError> {
    let (mut raw_values, mut deepest) = (SmallVec::new(), 0);
    for value in values.into_iter().take(PARAMETERS_MAX + 1) {
        let value = raw(value)?;
        deepest = levels(value.as_raw_bson_ref()).max(deepest);
        raw_values.push(value);
    }
    Ok((raw_values, deepest))
}

/// A value that may be in a document; null for undefined.
fn raw(value: Bson) -> Result<RawBson, FilterError> {
    Ok(match value {
        Bson::Null | Bson::Undefined => RawBson::Null,
        Bson::Boolean(value) => RawBson::Boolean(value),
        Bson::Int32(value) => RawBson::Int32(value),
        Bson::Int64(value) => RawBson::Int64(value),
        Bson::Double(value) => RawBson::Double(value),
        Bson::Decimal128(value) => RawBson::Decimal128(value),
        Bson::DateTime(value) => RawBson::DateTime(value),
        Bson::Timestamp(value) => RawBson::Timestamp(value),
        Bson::ObjectId(value) => RawBson::ObjectId(value),
        Bson::String(value) if value.len() < LIMITS.max_document_bytes / 2 => RawBson::String(value),
        other => {
            let document = doc! { "": other }.into_document(&LIMITS)?;
            owned(document.get("").map_err(unreadable)?.expect("it was put there"))
        }
    })
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::filter::{Filter, field};

    #[test]
    fn a_value_is_what_it_is_in_a_document() {
        let regex = bson::Regex { pattern: bson::cstr!("b").into(), options: bson::cstr!("").into() };
        for value in [
            Bson::Null,
            Bson::Undefined,
            true.into(),
            5.into(),
            5_i64.into(),
            f64::NAN.into(),
            "x".into(),
            Bson::MinKey,
            Bson::MaxKey,
            bson::oid::ObjectId::new().into(),
            bson::DateTime::from_millis(3).into(),
            Bson::Symbol("s".into()),
            Bson::Timestamp(bson::Timestamp { time: 1, increment: 2 }),
            bson::Decimal128::from_bytes([7; 16]).into(),
            doc! { "a": [1, { "b": 2 }] }.into(),
            Bson::Array(vec![1.into(), "x".into()]),
            regex.into(),
        ] {
            let built = field("a").eq(value.clone());
            let read = Filter::from_document(doc! { "a": { "$eq": value.clone() } }).unwrap();
            assert_eq!(format!("{built:?}"), format!("{read:?}"), "{value}");
            let later = field("a").eq(param(0)).bound([value.clone()]).unwrap();
            assert_eq!(
                later.to_document().unwrap().to_string(),
                read.to_document().unwrap().to_string(),
                "{value}"
            );
        }
    }

    #[test]
    fn values_are_as_many_as_parameters_and_no_deeper_than_a_filter_may_be() {
        let filter = field("a")
            .gt(param(1))
            .and(field("b").elem_match(field("c").ne(param(0))))
            .or(field("d").lt(param(1)));
        assert_eq!(filter.parameters(), 2);
        let bound = filter.bound([1.into(), 2.into()]).unwrap();
        let written = field("a").gt(2).and(field("b").elem_match(field("c").ne(1))).or(field("d").lt(2));
        assert_eq!(bound.to_document().unwrap(), written.to_document().unwrap());
        for given in [0, 1, 3, 1000] {
            let refused = filter.bound(vec![Bson::Null; given]).unwrap_err();
            assert!(matches!(refused, FilterError::Values { expected: 2, .. }), "{given}: {refused}");
        }
        assert!(
            matches!(filter.check(), Err(FilterError::Values { .. }))
                && !filter.matches(&bson::rawdoc! { "a": 5 })
        );
        assert!(matches!(
            field("a").eq(param(256)).check(),
            Err(FilterError::Parameter { position: 256, .. })
        ));
        let deep = |levels| (0..levels).fold(Bson::Null, |inner, _| doc! { "x": inner }.into());
        assert!(field("a").eq(param(0)).bound([deep(100)]).is_ok());
        assert!(matches!(field("a").eq(param(0)).bound([deep(119)]), Err(FilterError::TooDeep { .. })));
        let in_many = (0..30).fold(field("a").eq(param(0)), |inner, _| inner.not().and(field("b").eq(1)));
        assert!(matches!(in_many.bound([deep(80)]), Err(FilterError::TooDeep { .. })));
    }
}
