//! BSON to JSON, and back again.

use bson::oid::ObjectId;
use bson::{Binary, Bson, DateTime, Document, RawDocument, doc};
use proptest::prelude::*;

use super::{raw, read};
use crate::document::codec::raw_to_json;
use crate::document::test_values::{decimal, document, value};

fn write(document: &RawDocument) -> String {
    let mut out = Vec::new();
    raw_to_json(document, &mut out).expect("well formed");
    String::from_utf8(out).expect("JSON is UTF-8")
}

#[test]
fn values_are_written_in_the_relaxed_forms() {
    let document = raw(doc! {
        "_id": Bson::Binary(Binary { subtype: 4.into(), bytes: vec![0x11; 16] }),
        "i": 5, "long": i64::MAX, "d": 5.0, "big": 1e300, "nan": f64::NAN, "inf": f64::NEG_INFINITY,
        "text": "quote \" line \n é", "t": true, "n": null, "list": [1, []], "o": {},
        "bin": Bson::Binary(Binary { subtype: 0.into(), bytes: vec![1, 2] }),
        "oid": ObjectId::from_bytes([0xab; 12]),
        "date": DateTime::from_millis(1_577_934_245_678),
        "old": DateTime::from_millis(-1),
        "dec": decimal("1.50"),
    });
    assert_eq!(
        write(&document),
        concat!(
            r#"{"_id":{"$uuid":"11111111-1111-1111-1111-111111111111"},"i":5,"long":9223372036854775807,"#,
            r#""d":5.0,"big":1e+300,"nan":{"$numberDouble":"NaN"},"inf":{"$numberDouble":"-Infinity"},"#,
            r#""text":"quote \" line \n é","t":true,"n":null,"list":[1,[]],"o":{},"#,
            r#""bin":{"$binary":{"base64":"AQI=","subType":"00"}},"oid":{"$oid":"abababababababababababab"},"#,
            r#""date":{"$date":"2020-01-02T03:04:05.678Z"},"old":{"$date":{"$numberLong":"-1"}},"#,
            r#""dec":{"$numberDecimal":"1.50"}}"#,
        )
    );
}

#[test]
fn malformed_bytes_are_refused_and_leave_the_output() {
    let mut out = b"before".to_vec();
    let truncated_text =
        RawDocument::from_bytes(b"\x0e\0\0\0\x02a\0\x99\0\0\0b\0\0").expect("outer shape is right");
    assert!(raw_to_json(truncated_text, &mut out).is_err());
    assert_eq!(out, b"before");
}

/// The value as reading JSON makes it: an Int64 that fits 32 bits does not occur.
fn as_read_from_json(value: Bson) -> Bson {
    match value {
        Bson::Int64(long) => i32::try_from(long).map_or(Bson::Int64(long), Bson::Int32),
        Bson::Array(elements) => Bson::Array(elements.into_iter().map(as_read_from_json).collect()),
        Bson::Document(inner) => Bson::Document(document_as_read(inner)),
        Bson::JavaScriptCodeWithScope(mut code) => {
            code.scope = document_as_read(code.scope);
            Bson::JavaScriptCodeWithScope(code)
        }
        other => other,
    }
}

fn document_as_read(document: Document) -> Document {
    document.into_iter().map(|(name, value)| (name, as_read_from_json(value))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn json_of_every_type_reads_back_to_the_same_bytes(document in document(value())) {
        let document = raw(document_as_read(document));
        let text = write(&document);
        prop_assert_eq!(read(&text).expect("own output is valid"), document, "{}", text);
    }

    #[test]
    fn doubles_survive_to_the_last_bit(bits in any::<u64>()) {
        let double = f64::from_bits(bits);
        prop_assume!(!double.is_nan());
        let document = raw(doc! { "d": double });
        prop_assert_eq!(read(&write(&document)).expect("valid"), document);
    }
}
