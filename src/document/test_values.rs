//! Random values for property tests: every BSON type, and numbers where exactness is at stake.

use bson::oid::ObjectId;
use bson::{Binary, Bson, DateTime, Document, JavaScriptCodeWithScope, RawDocumentBuf, Regex, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

pub(crate) fn decimal(text: &str) -> Bson {
    Bson::Decimal128(text.parse().expect("a decimal"))
}

pub(crate) fn db_pointer(namespace: &str, id: [u8; 12]) -> Bson {
    let mut bytes = vec![0, 0, 0, 0, 0x0c, b'v', 0];
    bytes.extend_from_slice(&(namespace.len() as u32 + 1).to_le_bytes());
    bytes.extend_from_slice(namespace.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(&id);
    bytes.push(0);
    let length = bytes.len() as u32;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    let held = RawDocumentBuf::from_bytes(bytes).expect("well formed");
    held.get("v").expect("well formed").expect("present").try_into().expect("a value")
}

/// Numbers where exactness is at stake: the edges of each type, and neighbours of doubles written in other types.
pub(crate) fn number() -> impl Strategy<Value = Bson> {
    let around = prop_oneof![
        Just(0.0),
        Just(-0.0),
        Just(0.1),
        Just(f64::MIN_POSITIVE),
        Just(5e-324),
        Just(f64::MAX),
        Just(2f64.powi(53)),
        Just(2f64.powi(63)),
        Just(-(2f64.powi(63))),
        Just(1e34),
        (-4i32..4).prop_map(f64::from),
        any::<f64>().prop_filter("decimals have no such digits", |x| x.is_finite()),
    ];
    let edge =
        prop_oneof![Just(1i64 << 53), Just(1 << 54), Just(i64::MAX), Just(i64::MIN), Just(0), any::<i64>()];
    prop_oneof![
        any::<i32>().prop_map(Bson::Int32),
        (-3i32..3).prop_map(Bson::Int32),
        (edge.clone(), -3i64..3).prop_map(|(edge, by)| Bson::Int64(edge.saturating_add(by))),
        (edge, -3i64..3).prop_map(|(edge, by)| Bson::Double((edge.saturating_add(by)) as f64)),
        around.clone().prop_map(Bson::Double),
        prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)].prop_map(Bson::Double),
        (around, -1i8..=1).prop_map(|(x, by)| near_decimal(x, by)),
        (any::<i64>(), -3i64..3).prop_map(|(x, by)| decimal(&x.saturating_add(by).to_string())),
        (any::<i64>(), 0u32..25, -40i32..40).prop_map(|(x, scale, e)| decimal(&format!(
            "{}E{}",
            i128::from(x) * 10i128.pow(scale.min(15)),
            e
        ))),
        (any::<i32>(), -6176i32..6100).prop_map(|(x, e)| decimal(&format!("{x}E{e}"))),
        prop_oneof![Just("NaN"), Just("Infinity"), Just("-Infinity"), Just("-0"), Just("0E+99")]
            .prop_map(decimal),
    ]
}

/// A decimal of 17 digits that is close to a double, moved by as much as a unit in the last digit.
pub(crate) fn near_decimal(double: f64, by: i8) -> Bson {
    let text = format!("{double:.16e}");
    let (mantissa, exponent) = text.split_once('e').expect("scientific");
    let digits: i64 = mantissa.replace('.', "").parse().expect("17 digits and a sign");
    let exponent: i32 = exponent.parse().expect("an exponent");
    decimal(&format!("{}E{}", digits + i64::from(by), exponent - 16))
}

pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        vec(prop_oneof![Just('\0'), Just('a'), Just('b'), Just('\u{1}'), Just('ÿ')], 0..5)
            .prop_map(|chars| chars.into_iter().collect()),
        any::<String>(),
    ]
}

pub(crate) fn name() -> impl Strategy<Value = String> {
    "[a-cÿ]{0,2}"
}

pub(crate) fn leaf() -> impl Strategy<Value = Bson> {
    prop_oneof![
        6 => number(),
        4 => text().prop_map(Bson::String),
        1 => text().prop_map(Bson::Symbol),
        1 => text().prop_map(Bson::JavaScriptCode),
        1 => prop_oneof![Just(Bson::MinKey), Just(Bson::MaxKey), Just(Bson::Null), Just(Bson::Undefined)],
        1 => any::<bool>().prop_map(Bson::Boolean),
        1 => (0u8..6, vec(0u8..3, 0..4)).prop_map(|(subtype, bytes)| {
            Bson::Binary(Binary { subtype: subtype.into(), bytes })
        }),
        1 => any::<[u8; 12]>().prop_map(|bytes| Bson::ObjectId(ObjectId::from_bytes(bytes))),
        1 => prop_oneof![-2i64..2, any::<i64>()].prop_map(|ms| Bson::DateTime(DateTime::from_millis(ms))),
        1 => (any::<u32>(), 0u32..3)
            .prop_map(|(time, increment)| Bson::Timestamp(Timestamp { time, increment })),
        1 => (name(), name()).prop_map(|(pattern, options)| {
            Bson::RegularExpression(Regex {
                pattern: pattern.try_into().expect("no NUL"),
                options: options.try_into().expect("no NUL"),
            })
        }),
        1 => (name(), any::<[u8; 12]>()).prop_map(|(namespace, id)| db_pointer(&namespace, id)),
    ]
}

pub(crate) fn document(value: impl Strategy<Value = Bson>) -> impl Strategy<Value = Document> {
    vec((name(), value), 0..3).prop_map(|fields| fields.into_iter().collect())
}

pub(crate) fn value() -> impl Strategy<Value = Bson> {
    leaf().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Bson::Array),
            document(inner.clone()).prop_map(Bson::Document),
            (name(), document(inner)).prop_map(|(code, scope)| {
                Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope { code, scope })
            }),
        ]
    })
}
