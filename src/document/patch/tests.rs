//! Patches: what each change does, and what it refuses.

use bson::{Bson, RawDocumentBuf, bson, doc, rawdoc};

use super::Patch;
use crate::document::{DocumentError, FieldPath, Limits, get};

fn apply(document: &RawDocumentBuf, patch: &Patch) -> Result<RawDocumentBuf, DocumentError> {
    patch.apply(document, &Limits::default())
}

fn patched(document: RawDocumentBuf, patch: Patch) -> RawDocumentBuf {
    let result = apply(&document, &patch).expect("the patch fits");
    crate::document::validate(result.as_bytes(), &Limits::default()).expect("the result is well formed");
    result
}

fn refused(document: RawDocumentBuf, patch: Patch) -> String {
    apply(&document, &patch).expect_err("the patch does not fit").to_string()
}

#[test]
fn set_replaces_adds_and_creates_what_leads_there() {
    let document = rawdoc! { "_id": 1, "a": { "b": 1, "c": "keep" }, "list": [1, { "x": 2 }] };
    let patch = Patch::new()
        .set("a.b", "longer than before")
        .set("new", Bson::Null)
        .set("deep.er.still", 5i64)
        .set("list.1.x", true)
        .set("list.2", 3)
        .set("a..z", 1);
    assert_eq!(
        patched(document, patch),
        rawdoc! {
            "_id": 1,
            "a": { "b": "longer than before", "c": "keep", "": { "z": 1 } },
            "list": [1, { "x": true }, 3],
            "new": null,
            "deep": { "er": { "still": 5i64 } },
        }
    );
}

#[test]
fn names_with_dots_are_reached_by_segments() {
    let path = FieldPath::from_segments(["a.b", "c"]).expect("a path");
    let result = patched(rawdoc! { "a.b": { "c": 1 } }, Patch::new().set(path.clone(), 2));
    assert_eq!(result, rawdoc! { "a.b": { "c": 2 } });
    assert_eq!(get(&result, &path), Some(bson::RawBsonRef::Int32(2)));
}

#[test]
fn unset_removes_fields_and_blanks_elements() {
    let document = rawdoc! { "a": { "b": 1, "c": 2 }, "list": [1, 2, 3], "n": 1 };
    let patch = Patch::new()
        .unset("a.b")
        .unset("list.1")
        .unset("missing.way")
        .unset("n.through")
        .unset("list.9")
        .unset("list.x");
    assert_eq!(patched(document, patch), rawdoc! { "a": { "c": 2 }, "list": [1, null, 3], "n": 1 });
}

#[test]
fn inc_adds_and_widens() {
    let document = rawdoc! { "i": 1, "max": i32::MAX, "long": 5i64, "d": 0.5 };
    let patch = Patch::new()
        .inc("i", 2i64)
        .inc("max", 1)
        .inc("long", -10)
        .inc("d", 1)
        .inc("fresh.count", 7)
        .inc("i", 0.25);
    assert_eq!(
        patched(document, patch),
        rawdoc! { "i": 3.25, "max": 2_147_483_648i64, "long": -5i64, "d": 1.5, "fresh": { "count": 7 } }
    );
}

#[test]
fn inc_names_what_it_cannot_add() {
    let said = refused(rawdoc! { "a": { "b": i64::MAX } }, Patch::new().inc("a.b", 1));
    assert_eq!(said, "cannot patch \"a.b\": 9223372036854775807 + 1 does not fit a 64-bit integer");
    let said = refused(rawdoc! { "s": "text" }, Patch::new().inc("s", 1));
    assert_eq!(said, "cannot patch \"s\": inc needs an integer or a double, the field is of type string");
    let said = refused(rawdoc! {}, Patch::new().inc("s", "1"));
    assert_eq!(said, "cannot patch \"s\": inc adds an integer or a double, not a value of type string");
}

#[test]
fn push_and_add_to_set_append() {
    let many: Vec<Bson> = (0..10).map(Bson::Int32).collect();
    let document = RawDocumentBuf::try_from(doc! { "many": many, "set": [1, "a"] }).expect("valid");
    let patch = Patch::new()
        .push("many", 10)
        .push("fresh", bson!({ "x": 1 }))
        .add_to_set("set", 1.0)
        .add_to_set("set", "b")
        .add_to_set("set", "b")
        .add_to_set("other", 1);
    let expected: Vec<Bson> = (0..11).map(Bson::Int32).collect();
    let expected = doc! { "many": expected, "set": [1, "a", "b"], "fresh": [{ "x": 1 }], "other": [1] };
    assert_eq!(patched(document, patch), RawDocumentBuf::try_from(expected).expect("valid"));
    let said = refused(rawdoc! { "a": 1 }, Patch::new().push("a", 1));
    assert_eq!(said, "cannot patch \"a\": push needs an array, the field is of type 32-bit integer");
}

#[test]
fn what_is_in_the_way_is_named() {
    for (patch, reason) in [
        (Patch::new().set("n.x", 1), "\"n\" on the way is of type 32-bit integer, neither object nor array"),
        (Patch::new().set("list.x", 1), "\"x\" is not a position in an array"),
        (Patch::new().set("list.01", 1), "\"01\" is not a position in an array"),
        (Patch::new().set("list.5", 1), "position 5 is beyond the end of an array of 2"),
        (Patch::new().set("_id", 1), "the id of a document cannot change"),
        (Patch::new().unset("_id.x"), "the id of a document cannot change"),
        (Patch::new().set("", 1), "it is empty"),
        (Patch::new().set("a\0b", 1), "NUL"),
        (Patch::new().set("a", bson!({ "x\0": 1 })), "NUL"),
    ] {
        let said = refused(rawdoc! { "_id": 1, "n": 1, "list": [1, 2] }, patch);
        assert!(said.contains(reason), "{said}");
    }
}

#[test]
fn a_failing_operation_fails_the_whole_patch() {
    let document = rawdoc! { "a": 1 };
    assert!(apply(&document, &Patch::new().set("a", 2).inc("a.b", 1)).is_err());
    assert_eq!(document, rawdoc! { "a": 1 });
}

#[test]
fn results_keep_the_limits() {
    let small = Limits { max_document_bytes: 64, max_depth: 3 };
    let document = rawdoc! { "a": 1 };
    let large = Patch::new().set("b", "x".repeat(64)).apply(&document, &small);
    assert!(matches!(large, Err(DocumentError::TooLarge { limit_bytes: 64, .. })), "{large:?}");
    assert!(Patch::new().set("b.c.d", 1).apply(&document, &small).is_ok());
    let deep = Patch::new().set("b.c.d.e", 1).apply(&document, &small);
    assert!(matches!(deep, Err(DocumentError::TooDeep { limit: 3 })), "{deep:?}");
}

#[test]
fn the_empty_patch_copies() {
    let document = rawdoc! { "a": 1, "b": [1, 2] };
    assert_eq!(patched(document.clone(), Patch::new()), document);
}
