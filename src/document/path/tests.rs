//! Field paths: parsing, and finding in place.

use bson::{RawBsonRef, RawDocument, rawdoc};

use super::{FieldPath, get};
use crate::document::{DocumentError, Limits};

fn find<'a>(document: &'a RawDocument, path: &str) -> Option<RawBsonRef<'a>> {
    get(document, &path.parse().expect("a path"))
}

#[test]
fn values_are_found_in_place() {
    let document = rawdoc! { "a": { "b": [10, { "c": "deep" }], "": 7 }, "0": "zero", "": { "": 1 } };
    for (path, expected) in [
        ("a.b.0", RawBsonRef::Int32(10)),
        ("a.b.1.c", RawBsonRef::String("deep")),
        ("0", RawBsonRef::String("zero")),
        ("a.", RawBsonRef::Int32(7)),
        (".", RawBsonRef::Int32(1)),
    ] {
        assert_eq!(find(&document, path), Some(expected), "{path}");
    }
    for missing in ["b", "a.c", "a.b.2", "a.b.x", "a.b.00", "a.b.+1", "a.b.0.x", "a.b.-1", "0.x"] {
        assert_eq!(find(&document, missing), None, "{missing}");
    }
    let RawBsonRef::String(text) = find(&document, "a.b.1.c").expect("there") else { panic!("not text") };
    assert!(document.as_bytes().as_ptr_range().contains(&text.as_ptr()), "borrowed");
}

#[test]
fn malformed_bytes_are_no_value() {
    let broken = RawDocument::from_bytes(b"\x08\0\0\0\x55a\0\0").expect("outer shape is right");
    assert_eq!(find(broken, "a"), None);
}

#[test]
fn paths_that_are_none_are_refused() {
    let refused = |text: &str| text.parse::<FieldPath>().expect_err("no path").to_string();
    assert_eq!(refused(""), "field path \"\": it is empty");
    assert!(refused("a.\0").contains("NUL"));
    let long = vec!["a"; Limits::DEPTH_CEILING + 1].join(".");
    assert!(refused(&long).contains("longer than any document is deep"));
    assert!(long[2..].parse::<FieldPath>().is_ok());
    let none: Result<FieldPath, DocumentError> = FieldPath::from_segments(Vec::<String>::new());
    assert!(matches!(none, Err(DocumentError::Path { .. })));
}

#[test]
fn paths_print_as_they_are_written() {
    let path: FieldPath = "a.b..0".parse().expect("a path");
    assert_eq!(path.to_string(), "a.b..0");
    assert_eq!(path.segments(), ["a", "b", "", "0"]);
}
