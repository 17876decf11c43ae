//! The encoding against the directly written order, over every type, and both against hand-written truths.

use std::cmp::Ordering;

use bson::oid::ObjectId;
use bson::raw::{RawBsonRef, cstr};
use bson::{Binary, Bson, DateTime, Document, JavaScriptCodeWithScope, RawDocumentBuf, Regex, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{Direction, compare, decode, encode, encoded_bytes};
use crate::document::DocumentError;
use crate::document::test_values::{db_pointer, decimal, number, text, value};

/// A value in raw form: the only element of a document.
struct Held(RawDocumentBuf);

impl Held {
    fn new(value: &Bson) -> Held {
        let mut document = Document::new();
        document.insert("v", value.clone());
        Held(RawDocumentBuf::try_from(document).expect("test values have no NUL in names"))
    }

    fn get(&self) -> RawBsonRef<'_> {
        self.0.get("v").expect("well formed").expect("present")
    }
}

fn key(value: &Bson, direction: Direction) -> Vec<u8> {
    let mut out = Vec::new();
    encode(Held::new(value).get(), direction, &mut out);
    out
}

fn order(a: &Bson, b: &Bson) -> Ordering {
    compare(Held::new(a).get(), Held::new(b).get())
}

fn in_direction(order: Ordering, direction: Direction) -> Ordering {
    match direction {
        Direction::Ascending => order,
        Direction::Descending => order.reverse(),
    }
}

/// Pairs of which a good part is close together, or equal.
fn pair() -> impl Strategy<Value = (Bson, Bson)> {
    prop_oneof![
        (value(), value()),
        (number(), number()),
        (text().prop_map(Bson::String), text().prop_map(Bson::String)),
        value().prop_map(|value| (value.clone(), value)),
        (value(), value(), value()).prop_map(|(shared, a, b)| {
            (Bson::Array(vec![shared.clone(), a]), Bson::Array(vec![shared, b]))
        }),
    ]
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Ascending), Just(Direction::Descending)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn byte_order_is_the_reference_order((a, b) in pair(), direction in direction()) {
        let keys = key(&a, direction).cmp(&key(&b, direction));
        prop_assert_eq!(keys, in_direction(order(&a, &b), direction));
    }

    #[test]
    fn numbers_of_all_types_order_exactly(a in number(), b in number()) {
        prop_assert_eq!(key(&a, Direction::Ascending).cmp(&key(&b, Direction::Ascending)), order(&a, &b));
        prop_assert_eq!(order(&a, &b), order(&b, &a).reverse());
    }

    #[test]
    fn the_reference_order_is_transitive(a in number(), b in number(), c in number()) {
        let mut sorted = [a, b, c];
        sorted.sort_by(order);
        prop_assert!(order(&sorted[0], &sorted[2]).is_le());
        prop_assert!(order(&sorted[0], &sorted[1]).is_le() && order(&sorted[1], &sorted[2]).is_le());
    }

    #[test]
    fn concatenations_order_field_by_field(
        fields in vec((pair(), direction(), any::<bool>()), 2..=3),
    ) {
        let (mut left, mut right, mut expected) = (Vec::new(), Vec::new(), Ordering::Equal);
        for ((a, b), direction, same) in &fields {
            let b = if *same { a } else { b };
            encode(Held::new(a).get(), *direction, &mut left);
            encode(Held::new(b).get(), *direction, &mut right);
            expected = expected.then(in_direction(order(a, b), *direction));
        }
        prop_assert_eq!(left.cmp(&right), expected);
    }

    #[test]
    fn no_key_starts_another((a, b) in pair(), direction in direction()) {
        let (a, b) = (key(&a, direction), key(&b, direction));
        prop_assert!(a == b || !(a.starts_with(&b) || b.starts_with(&a)));
    }

    #[test]
    fn decoding_gives_an_equal_value_and_its_end(value in value(), direction in direction(), rest in vec(any::<u8>(), 0..4)) {
        let mut bytes = key(&value, direction);
        bytes.extend_from_slice(&rest);
        let mut left = &bytes[..];
        let decoded = decode(&mut left, direction).expect("what was encoded decodes");
        prop_assert_eq!(left, &rest[..]);
        prop_assert_eq!(encoded_bytes(&bytes, direction), Some(bytes.len() - rest.len()));
        prop_assert_eq!(order(&decoded, &value), Ordering::Equal);
    }

    #[test]
    fn damaged_keys_never_panic(
        value in value(),
        direction in direction(),
        cut in any::<prop::sample::Index>(),
        flip in any::<(prop::sample::Index, u8)>(),
    ) {
        let mut bytes = key(&value, direction);
        let length = bytes.len();
        let mut truncated = &bytes[..cut.index(length)];
        prop_assert_eq!(encoded_bytes(truncated, direction), None);
        prop_assert!(decode(&mut truncated, direction).is_err());
        bytes[flip.0.index(length)] ^= flip.1;
        let mut flipped = &bytes[..];
        let _ = decode(&mut flipped, direction);
        prop_assert!(encoded_bytes(&bytes, direction).is_none_or(|bytes| bytes <= length));
        prop_assert!(flipped.len() <= length);
    }

    #[test]
    fn random_keys_never_panic(bytes in vec(any::<u8>(), 0..40), rank in 1u8..18, direction in direction()) {
        let mut bytes = bytes;
        bytes.insert(0, if direction == Direction::Descending { !(rank * 8) } else { rank * 8 });
        let mut rest = &bytes[..];
        if decode(&mut rest, direction).is_err() {
            prop_assert_eq!(rest.len(), bytes.len());
        }
    }
}

/// Everything in this list is strictly ascending, in the encoding and in the reference.
#[test]
fn types_and_numbers_stand_in_the_documented_order() {
    let ascending = [
        Bson::MinKey,
        Bson::Undefined,
        Bson::Null,
        Bson::Double(f64::NAN),
        Bson::Double(f64::NEG_INFINITY),
        decimal("-9.9E+6144"),
        Bson::Double(f64::MIN),
        Bson::Int64(i64::MIN),
        Bson::Int64(i64::MIN + 1),
        Bson::Int64(-(1 << 53) - 1),
        Bson::Double(-(2f64.powi(53))),
        decimal("-0.1"),
        Bson::Double(-5e-324),
        decimal("-1E-6176"),
        Bson::Int32(0),
        decimal("1E-6176"),
        Bson::Double(5e-324),
        decimal("0.1"),
        // The double nearest to 0.1 is a little above it, and between these two decimals of 34 digits.
        decimal("0.1000000000000000055511151231257827"),
        Bson::Double(0.1),
        decimal("0.1000000000000000055511151231257828"),
        decimal("0.999"),
        Bson::Int32(1),
        Bson::Double(2f64.powi(53)),
        Bson::Int64((1 << 53) + 1),
        decimal("9007199254740993.5"),
        Bson::Double(2f64.powi(53) + 2.0),
        Bson::Int64(i64::MAX),
        Bson::Double(2f64.powi(63)),
        decimal("9223372036854775809"),
        Bson::Double(f64::MAX),
        decimal("9.9E+6144"),
        Bson::Double(f64::INFINITY),
        Bson::String(String::new()),
        Bson::String("\0".into()),
        Bson::Symbol("a".into()),
        Bson::String("a\0".into()),
        Bson::String("aa".into()),
        Bson::String("ÿ".into()),
        bson::bson!({}),
        bson::bson!({ "z": 1 }),
        bson::bson!({ "z": 1, "a": 0 }),
        bson::bson!({ "a": "" }),
        bson::bson!([]),
        bson::bson!([1, 2]),
        bson::bson!([2]),
        bson::bson!([[]]),
        Bson::Binary(Binary { subtype: 4.into(), bytes: vec![9] }),
        Bson::Binary(Binary { subtype: 0.into(), bytes: vec![0, 0] }),
        Bson::ObjectId(ObjectId::from_bytes([0; 12])),
        Bson::Boolean(false),
        Bson::Boolean(true),
        Bson::DateTime(DateTime::from_millis(-1)),
        Bson::DateTime(DateTime::from_millis(0)),
        Bson::Timestamp(Timestamp { time: 0, increment: 9 }),
        Bson::Timestamp(Timestamp { time: 1, increment: 0 }),
        Bson::RegularExpression(Regex { pattern: cstr!("").into(), options: cstr!("i").into() }),
        Bson::RegularExpression(Regex { pattern: cstr!("a").into(), options: cstr!("").into() }),
        db_pointer("b", [0; 12]),
        db_pointer("aa", [0; 12]),
        Bson::JavaScriptCode("z".into()),
        Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope { code: "a".into(), scope: Document::new() }),
        Bson::MaxKey,
    ];
    for pair in ascending.windows(2) {
        let (a, b) = (&pair[0], &pair[1]);
        assert_eq!(order(a, b), Ordering::Less, "reference: {a:?} before {b:?}");
        assert!(key(a, Direction::Ascending) < key(b, Direction::Ascending), "keys: {a:?} before {b:?}");
        assert!(
            key(a, Direction::Descending) > key(b, Direction::Descending),
            "descending: {b:?} before {a:?}"
        );
    }
}

#[test]
fn equal_numbers_have_one_key_whatever_their_type() {
    let groups = [
        vec![Bson::Int32(0), Bson::Int64(0), Bson::Double(-0.0), decimal("-0"), decimal("0E+99")],
        vec![Bson::Int32(5), Bson::Int64(5), Bson::Double(5.0), decimal("5"), decimal("5.000")],
        vec![Bson::Double(0.5), decimal("0.5"), decimal("0.50")],
        vec![Bson::Int64((1 << 53) + 1), decimal("9007199254740993"), decimal("9007199254740993.0")],
        vec![Bson::Int64(i64::MIN), Bson::Double(i64::MIN as f64), decimal("-9223372036854775808")],
        vec![Bson::Double(f64::NAN), Bson::Double(-f64::NAN), decimal("NaN")],
        vec![Bson::Double(f64::INFINITY), decimal("Infinity")],
    ];
    for group in groups {
        for other in &group[1..] {
            assert_eq!(order(&group[0], other), Ordering::Equal, "{:?} and {other:?}", group[0]);
            assert_eq!(key(&group[0], Direction::Ascending), key(other, Direction::Ascending), "{other:?}");
        }
    }
}

#[test]
fn deep_keys_are_refused_without_deep_recursion() {
    let key = vec![0x38; 1 << 20];
    let refused = decode(&mut &key[..], Direction::Ascending).expect_err("too deep");
    assert!(matches!(refused, DocumentError::TooDeep { .. }), "{refused}");
}
