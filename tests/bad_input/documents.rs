//! Documents that cannot be stored, by every call that takes one.

use crate::{assert_says, refused, state, store};
use skipstone::bson::{Bson, Document, RawDocumentBuf, doc, rawdoc};
use skipstone::{Collection, Database, DocumentError, Error, IntoDocument, Json, Limits, Patch, Serde};

/// What each call that takes a document makes of a bad one; the store must be as it was.
fn by_every_call<D: IntoDocument + Clone>(
    db: &Database,
    things: &Collection,
    bad: D,
) -> Vec<(DocumentError, String)> {
    let before = state(db);
    let mut errors = vec![
        refused(things.insert(bad.clone())),
        refused(things.insert_many([bad.clone(), bad.clone()])),
        refused(things.upsert(bad.clone())),
        refused(things.upsert_many([bad.clone()])),
        refused(things.replace(1, bad.clone())),
        refused(things.replace_if(1, 1, bad.clone())),
        refused(things.replace_many([(1, bad.clone())])),
        refused(things.replace_many_if([(1, 1, bad.clone())])),
    ];
    let mut transaction = db.begin().unwrap();
    let mut within = transaction.collection(things).unwrap();
    errors.extend([
        refused(within.insert(bad.clone())),
        refused(within.upsert(bad.clone())),
        refused(within.replace(1, bad.clone())),
        refused(within.replace_if(1, 1, bad)),
    ]);
    transaction.commit().unwrap();
    assert_eq!(state(db), before, "the store is as it was");
    errors
}

#[test]
fn malformed_json_names_line_column_and_reason() {
    let (db, things) = store();
    for (text, at, reason) in [
        ("{\"a\": 1", (1, 7), "EOF"),
        ("{\"a\": 1,\n \"b\": }", (2, 7), "expected value"),
        ("{\"a\": 01}", (1, 8), "invalid number"),
        ("{'a': 1}", (1, 2), "key must be a string"),
        ("{\"a\": 1} x", (1, 10), "trailing"),
        ("", (1, 0), "EOF"),
        ("{\"a\": \"\\ud800\"}", (1, 14), "hex escape"),
        ("{\"a\": {\"$oid\": \"?\"}}", (1, 19), "$oid"),
    ] {
        for (error, said) in by_every_call(&db, &things, Json(text)) {
            let DocumentError::MalformedJson { line, column, .. } = error else { panic!("{text}: {said}") };
            assert_eq!((line, column), at, "{text}: {said}");
            assert_says(&said, &["malformed JSON", &format!("line {line}, column {column}"), reason]);
        }
    }
}

#[test]
fn json_that_is_no_object_or_names_a_field_twice() {
    let (db, things) = store();
    for (text, kind) in
        [("[1]", "array"), ("5", "number"), ("\"x\"", "string"), ("null", "null"), ("true", "boolean")]
    {
        for (error, said) in by_every_call(&db, &things, Json(text)) {
            assert!(matches!(&error, DocumentError::NotAnObject { found, .. } if found == kind), "{said}");
            assert_says(&said, &["must be an object", kind]);
        }
    }
    for (error, said) in by_every_call(&db, &things, Json("{\"x\": {\"a\": 1,\n\"a\": 2}}")) {
        assert!(
            matches!(&error, DocumentError::DuplicateField { name, line: 2, .. } if name == "a"),
            "{said}"
        );
        assert_says(&said, &["\"a\"", "twice", "line 2"]);
    }
    for (error, said) in by_every_call(&db, &things, Serde(5)) {
        assert!(matches!(error, DocumentError::NotAnObject { .. } | DocumentError::Serde { .. }), "{said}");
    }
}

#[test]
fn text_that_is_no_utf8() {
    let (db, things) = store();
    for (error, said) in by_every_call(&db, &things, Json(b"{\"a\": \"\xff\"}")) {
        assert!(matches!(error, DocumentError::NotUtf8 { offset: 7, .. }), "{said}");
        assert_says(&said, &["UTF-8", "byte 7", "binary value"]);
    }
    let mut raw = rawdoc! { "a": "xyz" }.into_bytes();
    let at = raw.iter().position(|&byte| byte == b'y').unwrap();
    raw[at] = 0xC0;
    for (error, said) in by_every_call(&db, &things, RawDocumentBuf::from_bytes(raw).unwrap()) {
        assert!(matches!(error, DocumentError::NotUtf8 { offset, .. } if offset == at), "{said}");
    }
}

/// Raw BSON is taken apart completely before it is stored: here every byte of a document is changed in turn, and what is taken must be whole.
#[test]
fn malformed_bson_names_the_byte() {
    let (db, things) = store();
    let good = rawdoc! { "_id": 2, "a": "text", "b": [1, { "c": true }], "d": 1.5 };
    let unknown = good.clone().into_bytes().iter().rposition(|&byte| byte == 0x01).unwrap();
    let mut bytes = good.clone().into_bytes();
    bytes[unknown] = 0x42;
    for (error, said) in by_every_call(&db, &things, RawDocumentBuf::from_bytes(bytes).unwrap()) {
        assert!(matches!(error, DocumentError::MalformedBson { .. }), "{said}");
        assert_says(&said, &["malformed BSON at byte", "0x42"]);
    }
    let before = state(&db);
    let (mut taken, mut refusals) = (0, 0);
    for at in 4..good.as_bytes().len() - 1 {
        for flip in [0x01, 0x80, 0xFF] {
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= flip;
            let raw = RawDocumentBuf::from_bytes(bytes).expect("its length and its end are right");
            match db.begin().unwrap().collection(&things).unwrap().upsert(&raw) {
                Ok(_) => {
                    Document::try_from(raw).expect("what was taken can be read");
                    taken += 1;
                }
                Err(Error::Document(_)) => refusals += 1,
                Err(other) => panic!("{other}"),
            }
        }
    }
    assert!(taken > 20 && refusals > 20, "{taken} taken, {refusals} refused");
    assert_eq!(state(&db), before, "every transaction was dropped");
}

#[test]
fn ids_of_types_that_cannot_be_ids() {
    let (db, things) = store();
    for (value, named) in [
        (Bson::Double(1.5), "double"),
        (Bson::Boolean(true), "boolean"),
        (Bson::Null, "null"),
        (Bson::Array(vec![]), "array"),
        (Bson::Document(doc! {}), "object"),
        (Bson::DateTime(skipstone::bson::DateTime::from_millis(0)), "date"),
        (Bson::ObjectId(skipstone::bson::oid::ObjectId::from_bytes([1; 12])), "object id"),
    ] {
        for (error, said) in by_every_call(&db, &things, doc! { "a": 1, "_id": value.clone() }) {
            assert!(matches!(error, DocumentError::IdType { found, .. } if found == named), "{said}");
            assert_says(&said, &["id cannot be of type", named, "UUID, a string, an integer or bytes"]);
        }
    }
}

#[test]
fn an_update_cannot_change_the_id() {
    let (db, things) = store();
    let before = state(&db);
    for result in [
        things.replace(1, doc! { "_id": 2 }),
        things.update(1, |d| drop(d.insert("_id", 2))),
        things.update_if(1, 1, |d| drop(d.insert("_id", 2))),
        things.replace_many([(1, doc! { "_id": 2 })]).map(|_| 0),
        things.update_many([1], |d| drop(d.insert("_id", 2))).map(|_| 0),
        things.update_many_if([(1, 1)], |d| drop(d.insert("_id", 2))).map(|_| 0),
    ] {
        let (error, said) = refused(result);
        assert!(
            matches!(&error, DocumentError::IdChanged { stored, given, .. } if *stored == 1.into() && *given == 2.into()),
            "{said}"
        );
        assert_says(&said, &["cannot change", "it is 1", "says 2"]);
    }
    let (error, said) = refused(things.patch(1, &Patch::new().set("_id", 2)));
    assert!(matches!(error, DocumentError::Patch { .. }), "{said}");
    assert_eq!(state(&db), before);
    assert_eq!(things.update(1, |d| drop(d.remove("_id"))).unwrap(), 2, "leaving it out is no change");
    assert_eq!(things.get(1).unwrap().unwrap().to_json().unwrap(), r#"{"_id":1,"n":1}"#);
}

#[test]
fn documents_over_the_limit_on_size() {
    let limits = Limits { max_document_bytes: 1_000, ..Limits::default() };
    let db = Database::builder().limits(limits).open().unwrap();
    let things = db.collection("things").unwrap();
    things.insert(doc! { "_id": 1, "text": "x".repeat(900) }).unwrap();
    for (error, said) in by_every_call(&db, &things, doc! { "text": "x".repeat(1_000) }) {
        assert!(
            matches!(error, DocumentError::TooLarge { limit_bytes: 1_000, size_bytes, .. } if size_bytes > 1_000),
            "{said}"
        );
        assert_says(&said, &["limit is 1000"]);
    }
    by_every_call(&db, &things, Json(format!("{{\"text\": \"{}\"}}", "x".repeat(1_000))));
    let before = state(&db);
    let grow = |result| {
        let (error, said) = refused(result);
        assert!(matches!(error, DocumentError::TooLarge { .. }), "{said}");
    };
    grow(things.update(1, |d| drop(d.insert("more", "x".repeat(100)))));
    grow(things.patch(1, &Patch::new().set("more", "x".repeat(100))));
    grow(things.update_many([1], |d| drop(d.insert("more", "x".repeat(100)))).map(|_| 0));
    grow(things.patch_many_if([(1, 1)], &Patch::new().set("more", "x".repeat(100))).map(|_| 0));
    let id = "x".repeat(100);
    grow(things.insert(doc! { "text": "x".repeat(960) }).map(|_| 0));
    grow(things.insert(doc! { "_id": id, "text": "x".repeat(900) }).map(|_| 0));
    assert_eq!(state(&db), before, "also when only the id makes it too large");
}

#[test]
fn the_limit_on_size_that_nobody_set() {
    let (db, things) = store();
    let before = state(&db);
    let (error, said) = refused(things.insert(doc! { "text": "x".repeat(17 << 20) }));
    assert!(matches!(error, DocumentError::TooLarge { limit_bytes: 16_777_216, .. }), "{said}");
    assert_eq!(state(&db), before);
}

#[test]
fn nesting_that_is_too_deep() {
    let (db, things) = store();
    let nested = |levels: usize| "{\"a\":".repeat(levels - 1) + "{}" + &"}".repeat(levels - 1);
    let id = things.insert(Json(nested(100))).unwrap();
    assert!(things.delete(&id).unwrap());
    for levels in [101, 200, 100_000] {
        for (error, said) in by_every_call(&db, &things, Json(nested(levels))) {
            assert!(matches!(error, DocumentError::TooDeep { limit: 100, .. }), "{said}");
            assert_says(&said, &["more than 100 levels deep"]);
        }
    }
    for (error, said) in by_every_call(&db, &things, Json("{\"a\":".to_owned() + &"[".repeat(100_000))) {
        assert!(matches!(error, DocumentError::TooDeep { .. }), "{said}");
    }
    let before = state(&db);
    let deep = (0..98).fold(doc! {}, |inner, _| doc! { "a": inner });
    let (error, said) = refused(things.patch(1, &Patch::new().set("x.y.z", deep)));
    assert!(matches!(error, DocumentError::TooDeep { .. }), "{said}");
    assert_eq!(state(&db), before);
}

#[test]
fn field_names_that_bson_does_not_allow() {
    let (db, things) = store();
    for (error, said) in by_every_call(&db, &things, Json(r#"{"x": {"a\u0000b": 1}}"#)) {
        assert!(matches!(&error, DocumentError::FieldName { name, .. } if name == "a\0b"), "{said}");
        assert_says(&said, &["\"a\\0b\"", "NUL"]);
    }
    for (error, said) in by_every_call(&db, &things, doc! { "a\0b": 1 }) {
        assert!(matches!(&error, DocumentError::FieldName { name, .. } if name == "a\0b"), "{said}");
    }
    let fields: std::collections::BTreeMap<&str, i32> = [("a\0b", 1)].into();
    for (_, said) in by_every_call(&db, &things, Serde(&fields)) {
        assert_says(&said, &["NUL"]);
    }
    let before = state(&db);
    let (error, said) = refused(things.update(1, |d| drop(d.insert("a\0b", 1))));
    assert!(matches!(&error, DocumentError::FieldName { name, .. } if name == "a\0b"), "{said}");
    assert_eq!(state(&db), before);
}

#[test]
fn serde_types_that_bson_cannot_hold() {
    #[derive(serde::Serialize, Clone)]
    struct Large {
        n: u64,
    }
    let (db, things) = store();
    for (error, said) in by_every_call(&db, &things, Serde(Large { n: u64::MAX })) {
        assert!(matches!(error, DocumentError::NumberRange { .. } | DocumentError::Serde { .. }), "{said}");
        assert_says(&said, &["18446744073709551615"]);
    }
}
