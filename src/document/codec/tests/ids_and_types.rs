//! The id field, serde, and everything that can become a document.

use std::collections::BTreeMap;

use bson::{RawDocument, RawDocumentBuf, doc, rawdoc};
use serde::{Deserialize, Serialize};

use super::raw;
use crate::document::codec::{from_serde, take_or_generate_id, to_serde, with_id};
use crate::document::{DocumentError, DocumentId, IntoDocument, Json, Limits, Serde, order_key};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Town<'a> {
    #[serde(borrow)]
    name: &'a str,
    people: u32,
    area: Option<f64>,
    tags: Vec<String>,
}

fn limits() -> Limits {
    Limits::default()
}

#[test]
fn serde_types_go_in_and_come_back_borrowing() {
    let town = Town { name: "Aachen", people: 249_070, area: None, tags: vec!["spa".into()] };
    let document = from_serde(&town, &limits()).expect("valid");
    assert_eq!(document, raw(doc! { "name": "Aachen", "people": 249_070i64, "area": null, "tags": ["spa"] }));
    let back: Town<'_> = to_serde(&document).expect("of that shape");
    assert_eq!(back, town);
    let bytes = document.as_bytes().as_ptr_range();
    assert!(bytes.contains(&back.name.as_ptr()), "text is borrowed from the document");
}

#[test]
fn what_serde_cannot_put_into_a_document_is_named() {
    let refused = |error: Result<RawDocumentBuf, DocumentError>| error.expect_err("refused");
    assert!(matches!(refused(from_serde(&5, &limits())), DocumentError::NotAnObject { .. }));
    assert!(matches!(refused(from_serde(&[1, 2], &limits())), DocumentError::NotAnObject { .. }));
    let huge = BTreeMap::from([("n", u64::MAX)]);
    assert_eq!(
        refused(from_serde(&huge, &limits())).to_string(),
        "the number 18446744073709551615 does not fit a 64-bit signed integer"
    );
    let nul = BTreeMap::from([("a\0b", 1)]);
    assert_eq!(refused(from_serde(&nul, &limits())), DocumentError::FieldName { name: "a\0b".into() });
    let keys = BTreeMap::from([(1, 1)]);
    assert!(matches!(refused(from_serde(&keys, &limits())), DocumentError::Serde { .. }));
    let wrong: Result<Town<'_>, _> = to_serde(RawDocument::from_bytes(b"\x05\0\0\0\0").expect("valid"));
    assert!(matches!(wrong, Err(DocumentError::Serde { reason }) if reason.contains("name")));
}

#[test]
fn raw_documents_inside_serde_values_are_checked() {
    let broken = RawDocumentBuf::from_bytes(b"\x08\0\0\0\x55a\0\0".to_vec()).expect("outer shape is right");
    let holder = BTreeMap::from([("inner", broken)]);
    assert!(matches!(from_serde(&holder, &limits()), Err(DocumentError::MalformedBson { .. })));
}

#[test]
fn everything_that_is_a_document_becomes_one() {
    let expected = rawdoc! { "a": 1, "b": ["x"] };
    let parsed: serde_json::Value = serde_json::json!({ "a": 1, "b": ["x"] });
    let document = doc! { "a": 1, "b": ["x"] };
    let borrowed: &RawDocument = &expected;
    for made in [
        (&document).into_document(&limits()),
        document.clone().into_document(&limits()),
        (&parsed).into_document(&limits()),
        parsed.clone().into_document(&limits()),
        borrowed.into_document(&limits()),
        (&expected).into_document(&limits()),
        expected.clone().into_document(&limits()),
        Json(r#"{"a": 1, "b": ["x"]}"#).into_document(&limits()),
        Json(r#"{"a": 1, "b": ["x"]}"#.to_owned()).into_document(&limits()),
        Json(&br#"{"a": 1, "b": ["x"]}"#[..]).into_document(&limits()),
        Serde(&parsed).into_document(&limits()),
    ] {
        // The last one holds an Int64: serde_json's numbers are 64 bits wide.
        let made = made.expect("a document");
        let (a, b) = (bson::RawBsonRef::Document(&made), bson::RawBsonRef::Document(&expected));
        assert!(order_key::compare(a, b).is_eq(), "{made:?}");
    }
}

#[test]
fn every_way_in_keeps_the_limits() {
    let tiny = Limits { max_document_bytes: 20, max_depth: 2 };
    let large = doc! { "text": "longer than twenty bytes" };
    let deep = doc! { "a": { "b": {} } };
    for (document, is_deep) in [(large, false), (deep, true)] {
        let json = serde_json::to_value(&document).expect("plain");
        let bytes = raw(document.clone());
        for made in [
            document.into_document(&tiny),
            bytes.clone().into_document(&tiny),
            (&bytes).into_document(&tiny),
            Json(json.to_string()).into_document(&tiny),
            json.clone().into_document(&tiny),
            Serde(json).into_document(&tiny),
        ] {
            let error = made.expect_err("beyond the limits");
            match error {
                DocumentError::TooDeep { limit: 2 } => assert!(is_deep),
                DocumentError::TooLarge { limit_bytes: 20, .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
    let nul = doc! { "a\0b": 1 }.into_document(&limits());
    assert_eq!(nul, Err(DocumentError::FieldName { name: "a\0b".into() }));
}

#[test]
fn an_id_in_front_stays_where_it_is() {
    let document = rawdoc! { "_id": "x", "a": 1 };
    let pointer = document.as_bytes().as_ptr();
    let (id, kept) = take_or_generate_id(document, &limits()).expect("valid");
    assert_eq!(id, DocumentId::from("x"));
    assert_eq!(kept.as_bytes().as_ptr(), pointer, "not copied");
    // An integer id of either width is the same id.
    let (id, kept) = take_or_generate_id(rawdoc! { "_id": 5i64, "a": 1 }, &limits()).expect("valid");
    assert_eq!((id, kept), (DocumentId::Int(5), rawdoc! { "_id": 5i64, "a": 1 }));
}

#[test]
fn an_id_elsewhere_moves_to_the_front() {
    let (id, moved) = take_or_generate_id(rawdoc! { "a": 1, "_id": 5, "b": 2 }, &limits()).expect("valid");
    assert_eq!((id, moved), (DocumentId::Int(5), rawdoc! { "_id": 5, "a": 1, "b": 2 }));
}

#[test]
fn a_document_without_id_gets_a_uuid_in_front() {
    let (id, document) =
        take_or_generate_id(rawdoc! { "a": 1, "inner": { "_id": 1 } }, &limits()).expect("valid");
    assert!(matches!(id, DocumentId::Uuid(_)));
    let mut elements = document.iter().map(|element| element.expect("well formed"));
    let (name, value) = elements.next().expect("an element");
    assert_eq!((name.as_str(), DocumentId::try_from(value).expect("an id")), ("_id", id));
    assert_eq!(elements.count(), 2);
    crate::document::validate(document.as_bytes(), &limits()).expect("well formed");
    let (id, document) = take_or_generate_id(rawdoc! {}, &limits()).expect("valid");
    assert_eq!(DocumentId::try_from(document.get("_id").expect("well formed").expect("there")), Ok(id));
}

#[test]
fn an_id_of_a_wrong_type_is_refused() {
    let refused = take_or_generate_id(rawdoc! { "_id": 1.5 }, &limits()).expect_err("a double is no id");
    assert_eq!(
        refused.to_string(),
        "an id cannot be of type double: use a UUID, a string, an integer or bytes"
    );
    for document in [rawdoc! { "_id": null }, rawdoc! { "_id": { "a": 1 } }, rawdoc! { "_id": [1] }] {
        assert!(matches!(take_or_generate_id(document, &limits()), Err(DocumentError::IdType { .. })));
    }
}

#[test]
fn with_id_replaces_another_id() {
    let id = DocumentId::from("new");
    for document in [rawdoc! { "_id": 1, "a": 1 }, rawdoc! { "a": 1, "_id": 1 }, rawdoc! { "a": 1 }] {
        assert_eq!(with_id(document, &id, &limits()).expect("valid"), rawdoc! { "_id": "new", "a": 1 });
    }
    let tight = Limits { max_document_bytes: 20, ..limits() };
    let grown = with_id(rawdoc! { "a": 1 }, &DocumentId::from("much longer"), &tight);
    assert!(matches!(grown, Err(DocumentError::TooLarge { limit_bytes: 20, .. })));
}
