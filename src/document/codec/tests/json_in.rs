//! JSON to BSON.

use bson::oid::ObjectId;
use bson::raw::cstr;
use bson::{Binary, Bson, DateTime, JavaScriptCodeWithScope, Regex, Timestamp, bson, doc};
use proptest::prelude::*;

use super::{raw, read};
use crate::document::codec::{json_to_raw, json_value_to_raw, to_serde, validate};
use crate::document::test_values::{db_pointer, decimal};
use crate::document::{DocumentError, Limits};

#[test]
fn plain_json_becomes_the_plain_types() {
    let text = r#" {"s": "a\u00e9\n\u0000b", "i": 5, "neg": -2147483648, "long": 2147483648, "d": 1.5, "e": 1e3,
        "minus zero": -0, "t": true, "f": false, "n": null, "": {"x": {}}, "list": [1, [], "a", {"b": 2}]} "#;
    let expected = doc! {
        "s": "aé\n\0b", "i": 5, "neg": i32::MIN, "long": 2_147_483_648_i64, "d": 1.5, "e": 1000.0,
        "minus zero": -0.0, "t": true, "f": false, "n": null, "": { "x": {} }, "list": [1, [], "a", { "b": 2 }],
    };
    assert_eq!(read(text).expect("valid"), raw(expected.clone()));
    let value: serde_json::Value = serde_json::from_str(text).expect("valid");
    assert_eq!(json_value_to_raw(&value, &Limits::default()).expect("valid"), raw(expected));
}

#[test]
fn integers_beyond_64_bits_become_doubles() {
    let text = r#"{"a": 9223372036854775807, "b": 9223372036854775808, "c": 100000000000000000000000}"#;
    assert_eq!(
        read(text).expect("valid"),
        raw(doc! { "a": i64::MAX, "b": 9_223_372_036_854_775_808.0, "c": 1e23 })
    );
}

#[test]
fn long_arrays_number_their_elements() {
    let text = format!("{{\"a\": [{}0]}}", "0,".repeat(1_234));
    let document = read(&text).expect("valid");
    assert_eq!(document, raw(doc! { "a": vec![Bson::Int32(0); 1_235] }));
}

#[test]
fn extended_forms_become_their_types() {
    let oid = ObjectId::from_bytes([0xab; 12]);
    let uuid = [0x01, 0x90, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1];
    for (text, expected) in [
        (r#"{"$oid": "abababababababababababab"}"#, Bson::ObjectId(oid)),
        (
            r#"{"$uuid": "01900000-0000-7000-8000-000000000001"}"#,
            Bson::Binary(Binary { subtype: 4.into(), bytes: uuid.to_vec() }),
        ),
        (
            r#"{"$date": "2020-01-02T03:04:05.678Z"}"#,
            Bson::DateTime(DateTime::from_millis(1_577_934_245_678)),
        ),
        (r#"{"$date": "1970-01-01T01:00:00+01:00"}"#, Bson::DateTime(DateTime::from_millis(0))),
        (r#"{"$date": {"$numberLong": "-5"}}"#, Bson::DateTime(DateTime::from_millis(-5))),
        (r#"{"$date": 5}"#, Bson::DateTime(DateTime::from_millis(5))),
        (r#"{"$numberInt": "-7"}"#, Bson::Int32(-7)),
        (r#"{"$numberLong": "7"}"#, Bson::Int64(7)),
        (r#"{"$numberDouble": "7"}"#, Bson::Double(7.0)),
        (r#"{"$numberDouble": "-Infinity"}"#, Bson::Double(f64::NEG_INFINITY)),
        (r#"{"$numberDecimal": "1.50"}"#, decimal("1.50")),
        (
            r#"{"$binary": {"base64": "AAEC/w==", "subType": "80"}}"#,
            Bson::Binary(Binary { subtype: 0x80.into(), bytes: vec![0, 1, 2, 255] }),
        ),
        (
            r#"{"$binary": {"subType": "2", "base64": "AAEC"}}"#,
            Bson::Binary(Binary { subtype: 2.into(), bytes: vec![0, 1, 2] }),
        ),
        (
            r#"{"$timestamp": {"t": 4294967295, "i": 1}}"#,
            Bson::Timestamp(Timestamp { time: u32::MAX, increment: 1 }),
        ),
        (
            r#"{"$regularExpression": {"pattern": "^a", "options": "i"}}"#,
            Bson::RegularExpression(Regex { pattern: cstr!("^a").into(), options: cstr!("i").into() }),
        ),
        (
            r#"{"$dbPointer": {"$ref": "db.c", "$id": {"$oid": "abababababababababababab"}}}"#,
            db_pointer("db.c", [0xab; 12]),
        ),
        (r#"{"$code": "f()"}"#, Bson::JavaScriptCode("f()".into())),
        (
            r#"{"$scope": {"x": 1}, "$code": "f()"}"#,
            Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope {
                code: "f()".into(),
                scope: doc! { "x": 1 },
            }),
        ),
        (r#"{"$symbol": "s"}"#, Bson::Symbol("s".into())),
        (r#"{"$undefined": true}"#, Bson::Undefined),
        (r#"{"$minKey": 1}"#, Bson::MinKey),
        (r#"{"$maxKey": 1}"#, Bson::MaxKey),
        // How numbers arrive if another crate in the build turns serde_json's `arbitrary_precision` on.
        (r#"{"$serde_json::private::Number": "-0"}"#, Bson::Double(-0.0)),
        (r#"{"$serde_json::private::Number": "5"}"#, Bson::Int32(5)),
        (r#"{"$serde_json::private::Number": "1e2"}"#, Bson::Double(100.0)),
    ] {
        let document = read(&format!("{{\"v\": {text}, \"list\": [{text}], \"after\": 1}}")).expect(text);
        assert_eq!(document, raw(doc! { "v": expected.clone(), "list": [expected], "after": 1 }), "{text}");
        validate(document.as_bytes(), &Limits::default()).expect(text);
    }
}

#[test]
fn what_only_resembles_a_form_stays_an_object() {
    for (text, expected) in [
        (
            r#"{"$oid": "abababababababababababab", "x": 1}"#,
            bson!({"$oid": "abababababababababababab", "x": 1}),
        ),
        (
            r#"{"x": 1, "$oid": "abababababababababababab"}"#,
            bson!({"x": 1, "$oid": "abababababababababababab"}),
        ),
        (r#"{"$oid": 5}"#, bson!({"$oid": 5})),
        (r#"{"$date": true}"#, bson!({"$date": true})),
        (r#"{"$binary": {"base64": "AA=="}}"#, bson!({"$binary": {"base64": "AA=="}})),
        (r#"{"$timestamp": {"t": 1, "i": "1"}}"#, bson!({"$timestamp": {"t": 1, "i": "1"}})),
        (r#"{"$minKey": 2}"#, bson!({"$minKey": 2})),
        (r#"{"$undefined": false}"#, bson!({"$undefined": false})),
        (r#"{"$code": "f", "$scope": 1}"#, bson!({"$code": "f", "$scope": 1})),
        (r#"{"$set": {"a": 1}}"#, bson!({"$set": {"a": 1}})),
    ] {
        assert_eq!(read(&format!("{{\"v\": {text}}}")).expect(text), raw(doc! { "v": expected }), "{text}");
    }
    // The document itself is always a document.
    assert_eq!(read(r#"{"$numberInt": "1"}"#).expect("valid"), raw(doc! { "$numberInt": "1" }));
}

#[test]
fn impossible_contents_of_a_form_are_named_with_their_place() {
    for (text, reason) in [
        (r#"{"$oid": "xyz"}"#, "$oid must be 24 hexadecimal digits"),
        (r#"{"$uuid": "01900000000070008000000000000001"}"#, "$uuid must be a UUID with hyphens"),
        (r#"{"$date": "yesterday"}"#, "$date must be a time by RFC 3339"),
        (r#"{"$numberInt": "2147483648"}"#, "$numberInt must be an integer of 32 bits"),
        (r#"{"$numberLong": "1.5"}"#, "$numberLong must be an integer of 64 bits"),
        (r#"{"$numberDouble": "inf"}"#, "$numberDouble must be"),
        (r#"{"$numberDecimal": "1e99999"}"#, "$numberDecimal must be"),
        (r#"{"$binary": {"base64": "?", "subType": "00"}}"#, "$binary must be base64"),
        (r#"{"$binary": {"base64": "", "subType": "+1"}}"#, "subType must be"),
        (r#"{"$timestamp": {"t": -1, "i": 0}}"#, "$timestamp must be two unsigned"),
        (r#"{"$regularExpression": {"pattern": "\u0000", "options": ""}}"#, "without a NUL"),
    ] {
        let refused = read(&format!("{{\n\"v\": {text}}}")).expect_err(text);
        assert!(refused.to_string().contains(reason), "{refused}");
        assert!(matches!(refused, DocumentError::MalformedJson { line: 2, .. }), "{refused:?}");
    }
}

#[test]
fn malformed_text_is_refused_with_line_and_column() {
    for (text, line, column) in [
        ("", 1, 0),
        ("{", 1, 1),
        ("{\"a\": 1,}", 1, 9),
        ("{\"a\" 1}", 1, 6),
        ("{\n  \"a\": tru }", 2, 11),
        ("{\"a\": 1} x", 1, 10),
        ("{\"a\": 1e999}", 1, 11),
        ("{\"a\": \"\\ud800\"}", 1, 14),
        ("{'a': 1}", 1, 2),
        ("\u{feff}{}", 1, 1),
    ] {
        match read(text).expect_err(text) {
            DocumentError::MalformedJson { line: l, column: c, reason } => {
                assert_eq!((l, c), (line, column), "{text:?}: {reason}");
                assert!(!reason.contains(" at line "), "{reason}");
            }
            other => panic!("{text:?}: {other:?}"),
        }
    }
}

#[test]
fn only_objects_are_documents() {
    for (text, found) in [
        ("[]", "array"),
        ("5", "number"),
        ("-5", "number"),
        ("0.5", "number"),
        ("\"a\"", "string"),
        ("null", "null"),
    ] {
        assert_eq!(read(text), Err(DocumentError::NotAnObject { found: found.into() }), "{text}");
        let value: serde_json::Value = serde_json::from_str(text).expect("valid");
        assert_eq!(
            json_value_to_raw(&value, &Limits::default()),
            Err(DocumentError::NotAnObject { found: found.into() })
        );
    }
}

#[test]
fn a_field_named_twice_is_refused_in_small_and_large_objects() {
    let many: String = (0..100).map(|field| format!("\"f{field}\": 0, ")).collect();
    for text in [
        "{\"ok\": 0,\n\"twice\": {\"f\": 1, \"g\": {\"f\": 2}, \"f\": 3}}".to_owned(),
        "{\"a\": [{\"f\": 1},\n{\"f\": 1, \"f\": 1}]}".to_owned(),
        format!("{{{many}\n\"f\": 1, \"z\": {{}}, \"\\u0066\": 0}}"),
    ] {
        match read(&text).expect_err("twice") {
            DocumentError::DuplicateField { name, line: 2, .. } => assert_eq!(name, "f"),
            other => panic!("{other:?}"),
        }
    }
    assert!(read(&format!("{{{many}\"f\": 1}}")).is_ok());
}

#[test]
fn names_with_nul_are_refused_by_name() {
    let refused = read(r#"{"a": {"b\u0000c": 1}}"#).expect_err("NUL");
    assert_eq!(refused, DocumentError::FieldName { name: "b\0c".into() });
    assert!(read(r#"{"": 1, ".": 2, "$x": 3, "a.b": 4}"#).is_ok());
}

#[test]
fn text_that_is_not_utf_8_is_refused_with_its_place() {
    let refused = json_to_raw(b"{\"a\": \"\xff\"}", &Limits::default());
    assert_eq!(refused, Err(DocumentError::NotUtf8 { offset: 7 }));
}

#[test]
fn depth_is_limited_however_deep_the_text_goes() {
    for (open, levels) in [("[", 100_000), ("{\"a\":", 100_000), ("[", 130), ("[", 100)] {
        let refused = read(&format!("{{\"a\": {}", open.repeat(levels))).expect_err("deep");
        assert_eq!(refused, DocumentError::TooDeep { limit: 100 });
    }
    let nested = |levels: usize| format!("{{\"a\": {}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert!(read(&nested(99)).is_ok());
    let deepest = Limits { max_depth: usize::MAX, ..Limits::default() };
    let accepted =
        json_to_raw(nested(Limits::DEPTH_CEILING - 1).as_bytes(), &deepest).expect("at the ceiling");
    validate(accepted.as_bytes(), &deepest).expect("the same limit");
    let refused =
        json_to_raw(nested(Limits::DEPTH_CEILING).as_bytes(), &deepest).expect_err("above the ceiling");
    assert_eq!(refused, DocumentError::TooDeep { limit: Limits::DEPTH_CEILING });
}

#[test]
fn size_is_limited_as_bson() {
    let text = r#"{"a": "0123456789"}"#;
    let size = read(text).expect("valid").as_bytes().len();
    let at = |max_document_bytes| {
        json_to_raw(text.as_bytes(), &Limits { max_document_bytes, ..Limits::default() })
    };
    assert!(at(size).is_ok());
    assert_eq!(at(size - 1), Err(DocumentError::TooLarge { size_bytes: size, limit_bytes: size - 1 }));
    let small = Limits { max_document_bytes: 1_000, ..Limits::default() };
    let endless = format!("{{\"a\": [{}", "1,".repeat(1_000_000));
    let stopped = json_to_raw(endless.as_bytes(), &small).expect_err("stops before the text's malformed end");
    assert!(
        matches!(stopped, DocumentError::TooLarge { size_bytes: ..3_000, limit_bytes: 1_000 }),
        "{stopped}"
    );
}

#[test]
fn a_form_may_be_longer_as_text_than_the_limit_on_its_value() {
    let text =
        format!("{{\"a\": {{\"$binary\": {{\"base64\": \"{}\", \"subType\": \"00\"}}}}}}", "A".repeat(4_000));
    let limits = Limits { max_document_bytes: 3_020, ..Limits::default() };
    assert!(json_to_raw(text.as_bytes(), &limits).is_ok());
}

const SAMPLE: &str = r#"{"_id": {"$oid": "abababababababababababab"}, "é\n": [1, -2.5e3, {"$date": 5}, "\ud83d\ude00"],
    "x": {"$binary": {"base64": "AA==", "subType": "00"}}, "y": {"$numberDecimal": "1"}, "z": null}"#;

#[test]
fn text_cut_anywhere_is_refused() {
    assert!(read(SAMPLE).is_ok());
    for cut in 0..SAMPLE.len() {
        assert!(json_to_raw(&SAMPLE.as_bytes()[..cut], &Limits::default()).is_err(), "cut at {cut}");
    }
}

fn plain_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::vec(("[a-é]{0,4}", inner), 0..5)
                .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn plain_json_comes_back_through_serde(value in plain_json()) {
        let text = serde_json::json!({ "v": value }).to_string();
        let document = json_to_raw(text.as_bytes(), &Limits::default()).expect("valid");
        validate(document.as_bytes(), &Limits::default()).expect("what is written is well formed");
        let back: serde_json::Value = to_serde(&document).expect("readable");
        prop_assert_eq!(back.to_string(), text);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = json_to_raw(&bytes, &Limits::default());
    }

    #[test]
    fn damaged_text_never_panics_and_never_yields_malformed_bson(
        edits in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(&b"{}[]\",:$0e-\\u \xff"[..])), 1..4),
    ) {
        let mut bytes = SAMPLE.as_bytes().to_vec();
        for (index, byte) in edits {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(document) = json_to_raw(&bytes, &Limits::default()) {
            prop_assert!(validate(document.as_bytes(), &Limits::default()).is_ok());
        }
    }
}
