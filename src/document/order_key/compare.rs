//! The order of values, said directly: what filters and sorts use, and what the key encoding is tested against.
//!
//! It shares with the encoding the ranks of types and the exact digits of numbers, nothing else.

use std::cmp::Ordering;

use bson::raw::{RawBinaryRef, RawDbPointerRef};
use bson::{RawArray, RawBsonRef, RawDocument};

use super::Rank;
use super::decimal::{Digits, Unpacked, unpack};
use crate::document::raw::db_pointer_parts;

/// Compares two values by the order that the [module](super) describes.
///
/// Allocates nothing unless a decimal meets another number, or a DBPointer another.
pub fn compare(a: RawBsonRef<'_>, b: RawBsonRef<'_>) -> Ordering {
    use RawBsonRef as Value;
    match (a, b) {
        (Value::String(a) | Value::Symbol(a), Value::String(b) | Value::Symbol(b)) => a.cmp(b),
        (Value::Document(a), Value::Document(b)) => compare_objects(a, b),
        (Value::Array(a), Value::Array(b)) => compare_arrays(a, b),
        (Value::Binary(a), Value::Binary(b)) => compare_binaries(a, b),
        (Value::ObjectId(a), Value::ObjectId(b)) => a.bytes().cmp(&b.bytes()),
        (Value::Boolean(a), Value::Boolean(b)) => a.cmp(&b),
        (Value::DateTime(a), Value::DateTime(b)) => a.timestamp_millis().cmp(&b.timestamp_millis()),
        (Value::Timestamp(a), Value::Timestamp(b)) => (a.time, a.increment).cmp(&(b.time, b.increment)),
        (Value::RegularExpression(a), Value::RegularExpression(b)) => {
            (a.pattern, a.options).cmp(&(b.pattern, b.options))
        }
        (Value::DbPointer(a), Value::DbPointer(b)) => compare_pointers(a, b),
        (Value::JavaScriptCode(a), Value::JavaScriptCode(b)) => a.cmp(b),
        (Value::JavaScriptCodeWithScope(a), Value::JavaScriptCodeWithScope(b)) => {
            a.code.cmp(b.code).then_with(|| compare_objects(a.scope, b.scope))
        }
        _ => match (Number::of(a), Number::of(b)) {
            (Some(a), Some(b)) => a.compare(&b),
            // Of different rank, or two of a type with one value.
            _ => Rank::of(a).cmp(&Rank::of(b)),
        },
    }
}

fn compare_objects(a: &RawDocument, b: &RawDocument) -> Ordering {
    let (mut a, mut b) = (a.iter().map_while(Result::ok), b.iter().map_while(Result::ok));
    loop {
        match (a.next(), b.next()) {
            (Some((a_name, a)), Some((b_name, b))) => {
                let ranks = Rank::of(a).cmp(&Rank::of(b));
                let order = ranks.then_with(|| a_name.cmp(b_name)).then_with(|| compare(a, b));
                if order.is_ne() {
                    return order;
                }
            }
            (a, b) => return a.is_some().cmp(&b.is_some()),
        }
    }
}

fn compare_arrays(a: &RawArray, b: &RawArray) -> Ordering {
    let (mut a, mut b) = (a.into_iter().map_while(Result::ok), b.into_iter().map_while(Result::ok));
    loop {
        match (a.next(), b.next()) {
            (Some(a), Some(b)) => {
                let order = compare(a, b);
                if order.is_ne() {
                    return order;
                }
            }
            (a, b) => return a.is_some().cmp(&b.is_some()),
        }
    }
}

fn compare_binaries(a: RawBinaryRef<'_>, b: RawBinaryRef<'_>) -> Ordering {
    let subtype = |binary: RawBinaryRef<'_>| u8::from(binary.subtype);
    (a.bytes.len(), subtype(a), a.bytes).cmp(&(b.bytes.len(), subtype(b), b.bytes))
}

fn compare_pointers(a: RawDbPointerRef<'_>, b: RawDbPointerRef<'_>) -> Ordering {
    let (a, b) = (db_pointer_parts(a), db_pointer_parts(b));
    a.0.len().cmp(&b.0.len()).then_with(|| a.cmp(&b))
}

/// A number of any type. A decimal that is not finite is the double that equals it.
enum Number {
    Integer(i64),
    Double(f64),
    Decimal { negative: bool, digits: Digits },
}

impl Number {
    fn of(value: RawBsonRef<'_>) -> Option<Number> {
        Some(match value {
            RawBsonRef::Int32(integer) => Number::Integer(integer.into()),
            RawBsonRef::Int64(integer) => Number::Integer(integer),
            RawBsonRef::Double(double) => Number::Double(double),
            RawBsonRef::Decimal128(decimal) => match unpack(decimal) {
                Unpacked::NaN => Number::Double(f64::NAN),
                Unpacked::Infinite { negative: true } => Number::Double(f64::NEG_INFINITY),
                Unpacked::Infinite { negative: false } => Number::Double(f64::INFINITY),
                Unpacked::Finite { negative, coefficient, exponent } => {
                    Number::Decimal { negative, digits: Digits::of_coefficient(coefficient, exponent) }
                }
            },
            _ => return None,
        })
    }

    fn compare(&self, other: &Number) -> Ordering {
        match (self, other) {
            (Number::Integer(a), Number::Integer(b)) => a.cmp(b),
            (Number::Double(a), Number::Double(b)) => compare_doubles(*a, *b),
            (Number::Integer(a), Number::Double(b)) => compare_integer_with_double(*a, *b),
            (Number::Double(a), Number::Integer(b)) => compare_integer_with_double(*b, *a).reverse(),
            (a, b) => compare_digits(a, b),
        }
    }

    /// The sign, and the exact digits: none for NaN and infinities.
    fn parts(&self) -> (bool, Option<Digits>) {
        match self {
            Number::Integer(integer) => {
                (*integer < 0, Some(Digits::of_coefficient(integer.unsigned_abs().into(), 0)))
            }
            Number::Double(double) => {
                // NaN goes with −∞ here: both are below every decimal.
                let below = double.is_nan() || *double < 0.0;
                (below, double.is_finite().then(|| Digits::of_double(*double)))
            }
            Number::Decimal { negative, digits } => {
                (*negative && !digits.digits.is_empty(), Some(digits.clone()))
            }
        }
    }
}

fn compare_doubles(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

/// Exact also where the integer has no double of its own.
fn compare_integer_with_double(integer: i64, double: f64) -> Ordering {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    if double.is_nan() || double < -TWO_TO_63 {
        return Ordering::Greater;
    }
    if double >= TWO_TO_63 {
        return Ordering::Less;
    }
    let whole = double.trunc();
    integer.cmp(&(whole as i64)).then_with(|| compare_doubles(whole, double))
}

/// Compares two numbers of which at least one is a decimal.
fn compare_digits(a: &Number, b: &Number) -> Ordering {
    let ((a_negative, a), (b_negative, b)) = (a.parts(), b.parts());
    if a_negative != b_negative {
        return b_negative.cmp(&a_negative);
    }
    // An infinity is farther from zero than all digits.
    let distance = match (&a, &b) {
        (Some(a), Some(b)) => a.cmp(b),
        _ => a.is_none().cmp(&b.is_none()),
    };
    if a_negative { distance.reverse() } else { distance }
}
