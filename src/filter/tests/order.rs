//! Comparisons against the order of values: for every pair of a list of values, what the keys' bytes say.

use std::cmp::Ordering;

use bson::oid::ObjectId;
use bson::{Binary, Bson, DateTime, RawBsonRef, Timestamp, bson, doc};

use super::raw;
use crate::document::order_key::{Direction, encode};
use crate::document::test_values::decimal;
use crate::filter::field;

fn values() -> Vec<Bson> {
    vec![
        Bson::MinKey,
        Bson::Null,
        Bson::Double(f64::NAN),
        Bson::Double(f64::NEG_INFINITY),
        Bson::Int64(i64::MIN),
        Bson::Double(-0.5),
        Bson::Int32(0),
        Bson::Double(-0.0),
        decimal("0.1"),
        Bson::Double(0.1),
        Bson::Int32(1),
        Bson::Int64(1),
        decimal("1.0"),
        Bson::Double(2f64.powi(53)),
        Bson::Int64((1 << 53) + 1),
        decimal("9.9E+6144"),
        Bson::Double(f64::INFINITY),
        "".into(),
        "a".into(),
        Bson::Symbol("a".into()),
        "a\0".into(),
        "ÿ".into(),
        bson!({}),
        bson!({ "a": 1 }),
        bson!({ "a": 1.0, "b": null }),
        Bson::Binary(Binary { subtype: 4.into(), bytes: vec![9] }),
        Bson::Binary(Binary { subtype: 0.into(), bytes: vec![0, 0] }),
        ObjectId::from_bytes([0; 12]).into(),
        ObjectId::from_bytes([1; 12]).into(),
        false.into(),
        true.into(),
        DateTime::from_millis(-1).into(),
        DateTime::from_millis(0).into(),
        Timestamp { time: 0, increment: 9 }.into(),
        Timestamp { time: 1, increment: 0 }.into(),
        Bson::JavaScriptCode("z".into()),
        Bson::MaxKey,
    ]
}

fn key(value: &Bson) -> Vec<u8> {
    let holder = raw(&doc! { "v": value.clone() });
    let mut key = Vec::new();
    encode(holder.get("v").expect("readable").unwrap_or(RawBsonRef::Null), Direction::Ascending, &mut key);
    key
}

fn is_nan(value: &Bson) -> bool {
    matches!(value, Bson::Double(double) if double.is_nan())
}

#[test]
fn equality_is_equality_of_keys_and_ranges_are_their_order_within_a_type() {
    for value in values() {
        let document = raw(&doc! { "v": value.clone() });
        for operand in values() {
            let (value_key, operand_key) = (key(&value), key(&operand));
            let order = value_key.cmp(&operand_key);
            // The first byte of a key is the type's rank.
            let one_type = value_key[0] == operand_key[0] && is_nan(&value) == is_nan(&operand);
            let in_range = one_type || matches!(operand, Bson::MinKey | Bson::MaxKey);
            let expected = [
                (order.is_eq(), field("v").eq(operand.clone())),
                (order.is_eq(), field("v").in_([operand.clone()])),
                (order.is_ne(), field("v").ne(operand.clone())),
                (in_range && order == Ordering::Less, field("v").lt(operand.clone())),
                (in_range && order != Ordering::Greater, field("v").le(operand.clone())),
                (in_range && order == Ordering::Greater, field("v").gt(operand.clone())),
                (in_range && order != Ordering::Less, field("v").ge(operand.clone())),
            ];
            for (expected, filter) in expected {
                assert_eq!(filter.matches(&document), expected, "{filter} of {value:?}");
            }
        }
    }
}

#[test]
fn a_long_list_is_searched_by_value() {
    let numbers =
        (0..10_000).map(|n| if n % 2 == 0 { Bson::Int32(n * 3) } else { Bson::Double(f64::from(n) * 3.0) });
    let filter = field("v").in_(numbers.chain(["x".into(), Bson::Null]));
    for (value, expected) in [
        (Bson::Int32(9), true),
        (Bson::Int64(29_997), true),
        (Bson::Double(6.0), true),
        (decimal("12.0"), true),
        (Bson::Int32(10), false),
        (Bson::Double(9.5), false),
        ("x".into(), true),
        ("y".into(), false),
        (Bson::Undefined, true),
    ] {
        assert_eq!(filter.matches(&raw(&doc! { "v": value.clone() })), expected, "{value:?}");
    }
}
