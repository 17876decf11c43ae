//! BSON bytes that nobody vouches for.

use bson::raw::cstr;
use bson::{Bson, Document, JavaScriptCodeWithScope, RawBsonRef, RawDocument, Regex, doc};
use proptest::prelude::*;

use super::raw;
use crate::document::codec::{raw_to_json, validate};
use crate::document::order_key::{Direction, compare, encode};
use crate::document::test_values::{db_pointer, document, value};
use crate::document::{DocumentError, Limits};

fn check(bytes: &[u8]) -> Result<&RawDocument, DocumentError> {
    validate(bytes, &Limits::default())
}

/// One element of each shape.
fn sample() -> Vec<u8> {
    let document = doc! {
        "d": 1.5, "s": "text", "o": { "x": { "y": 1 } }, "a": [1, [2]], "b": Bson::Binary(bson::Binary {
            subtype: 2.into(), bytes: vec![1, 2],
        }),
        "u": Bson::Undefined, "t": true, "n": null,
        "r": Bson::RegularExpression(Regex { pattern: cstr!("^p").into(), options: cstr!("i").into() }),
        "p": db_pointer("ns", [7; 12]), "c": Bson::JavaScriptCode("f".into()), "l": 1i64, "i": 1,
        "w": Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope { code: "f".into(), scope: doc! { "v": 1 } }),
        "dec": "1.5".parse::<bson::Decimal128>().expect("a decimal"), "min": Bson::MinKey,
    };
    raw(document).into_bytes()
}

/// Reads everything in a document, in every way this layer has.
fn use_all(document: &RawDocument) {
    let value = RawBsonRef::Document(document);
    let (mut key, mut json) = (Vec::new(), Vec::new());
    encode(value, Direction::Descending, &mut key);
    assert!(compare(value, value).is_eq());
    raw_to_json(document, &mut json).expect("what passed the check can be written");
    Document::try_from(document).expect("what passed the check can be read");
}

#[test]
fn bytes_cut_anywhere_are_refused() {
    let bytes = sample();
    use_all(check(&bytes).expect("the sample is valid"));
    for cut in 0..bytes.len() {
        assert!(check(&bytes[..cut]).is_err(), "cut at {cut}");
        // Also with a length that admits to the cut.
        let mut shortened = bytes[..cut].to_vec();
        if cut >= 4 {
            shortened[..4].copy_from_slice(&(cut as u32).to_le_bytes());
            assert!(check(&shortened).is_err(), "cut at {cut} with its length");
        }
    }
}

#[test]
fn what_is_wrong_is_said_with_its_offset() {
    for (bytes, offset, reason) in [
        (&b""[..], 0, "past the end"),
        (b"\x05\0\0\0\x01", 4, "not terminated"),
        (b"\x04\0\0\0\0", 0, "impossible document length"),
        (b"\xff\xff\xff\xff\0", 0, "negative length"),
        (b"\x06\0\0\0\0", 0, "impossible document length"),
        (b"\x05\0\0\0\0\0", 0, "length says 5, got 6 bytes"),
        (b"\x06\0\0\0\0\0", 4, "terminated before its end"),
        (b"\x08\0\0\0\x55a\0\0", 4, "unknown type 0x55"),
        (b"\x09\0\0\0\x08a\0\x02\0", 7, "neither 0 nor 1"),
        (b"\x08\0\0\0\x0aab\0", 5, "name or pattern is not terminated"),
        (b"\x0e\0\0\0\x02a\0\x02\0\0\0ab\0", 11, "string is not terminated"),
        (b"\x0c\0\0\0\x02a\0\0\0\0\0\0", 11, "string is not terminated"),
        (b"\x0e\0\0\0\x02a\0\x09\0\0\0a\0\0", 11, "past the end"),
        (b"\x0e\0\0\0\x05a\0\x01\0\0\0\x02\x01\0", 12, "wrong inner length"),
        (b"\x0d\0\0\0\x03a\0\x07\0\0\0\0\0", 7, "impossible document length"),
    ] {
        match check(bytes).expect_err(reason) {
            DocumentError::MalformedBson { offset: at, reason: said } => {
                assert!(said.contains(reason), "{bytes:?}: {said}");
                assert_eq!(at, offset, "{bytes:?}: {said}");
            }
            other => panic!("{bytes:?}: {other:?}"),
        }
    }
    let bad_text = b"\x0e\0\0\0\x02a\0\x02\0\0\0\xff\0\0";
    assert_eq!(check(bad_text).expect_err("not UTF-8"), DocumentError::NotUtf8 { offset: 11 });
    let bad_name = b"\x08\0\0\0\x0a\xff\0\0";
    assert_eq!(check(bad_name).expect_err("not UTF-8"), DocumentError::NotUtf8 { offset: 5 });
}

#[test]
fn depth_and_size_are_limited() {
    let mut bytes = raw(doc! {}).into_bytes();
    let mut last_accepted = 0;
    for level in 1..=2_000 {
        match check(&bytes) {
            Ok(_) => last_accepted = level,
            Err(error) => assert_eq!(error, DocumentError::TooDeep { limit: 100 }),
        }
        let length = (bytes.len() + 8) as u32;
        let inner = bytes;
        bytes = length.to_le_bytes().to_vec();
        bytes.extend_from_slice(b"\x03a\0");
        bytes.extend_from_slice(&inner);
        bytes.push(0);
    }
    assert_eq!(last_accepted, 100);
    let small = Limits { max_document_bytes: 10, ..Limits::default() };
    assert_eq!(
        validate(&sample(), &small).expect_err("too large"),
        DocumentError::TooLarge { size_bytes: sample().len(), limit_bytes: 10 }
    );
}

#[test]
fn the_longest_allowed_document_is_accepted() {
    let text = "x".repeat((16 << 20) - 13);
    let bytes = raw(doc! { "a": &text }).into_bytes();
    assert_eq!(bytes.len(), 16 << 20);
    assert!(check(&bytes).is_ok());
    let bytes = raw(doc! { "a": text + "x" }).into_bytes();
    let refused = check(&bytes).expect_err("one byte too long");
    assert_eq!(refused, DocumentError::TooLarge { size_bytes: (16 << 20) + 1, limit_bytes: 16 << 20 });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn valid_documents_pass(document in document(value())) {
        let document = raw(document);
        use_all(check(document.as_bytes()).expect("valid"));
    }

    #[test]
    fn random_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..80), true_length in any::<bool>()) {
        if true_length && bytes.len() >= 5 {
            let length = bytes.len();
            bytes[..4].copy_from_slice(&(length as u32).to_le_bytes());
            bytes[length - 1] = 0;
        }
        if let Ok(document) = check(&bytes) {
            use_all(document);
        }
    }

    #[test]
    fn flipped_bytes_are_refused_or_harmless(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = sample();
        for (index, flip) in flips {
            let at = index.index(bytes.len());
            bytes[at] ^= flip;
        }
        if let Ok(document) = check(&bytes) {
            use_all(document);
        }
    }
}
