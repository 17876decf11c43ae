//! Changes to single fields by path, on stored documents.

use crate::collection;
use skipstone::bson::{self, Bson, doc};
use skipstone::document::FieldPath;
use skipstone::{DocumentError, Error, Patch};

fn patched(before: bson::Document, patch: Patch) -> bson::Document {
    let (_db, things) = collection();
    let id = things.insert(before).unwrap();
    assert_eq!(things.patch(&id, &patch).unwrap(), 2);
    let mut after = things.get(&id).unwrap().unwrap().to::<bson::Document>().unwrap();
    after.remove("_id").unwrap();
    after
}

#[test]
fn each_form_by_path() {
    let before = || doc! { "n": 1, "deep": { "list": [1, { "x": "y" }], "kept": true }, "tags": ["a"] };
    let with = |change: fn(&mut bson::Document)| {
        let mut after = before();
        change(&mut after);
        after
    };
    for (patch, expected) in [
        (Patch::new(), before()),
        (Patch::new().set("n", "text"), with(|d| drop(d.insert("n", "text")))),
        (Patch::new().set("new.er", 5), with(|d| drop(d.insert("new", doc! { "er": 5 })))),
        (
            Patch::new().set("deep.list.0", 9),
            with(|d| drop(d.insert("deep", doc! { "list": [9, { "x": "y" }], "kept": true }))),
        ),
        (
            Patch::new().set("deep.list.1.x", Bson::Null),
            with(|d| drop(d.insert("deep", doc! { "list": [1, { "x": null }], "kept": true }))),
        ),
        (
            Patch::new().set("deep.list.2", 3),
            with(|d| drop(d.insert("deep", doc! { "list": [1, { "x": "y" }, 3], "kept": true }))),
        ),
        (Patch::new().unset("n").unset("absent.too"), with(|d| drop(d.remove("n")))),
        (Patch::new().unset("deep.list"), with(|d| drop(d.insert("deep", doc! { "kept": true })))),
        (
            Patch::new().unset("deep.list.0"),
            with(|d| drop(d.insert("deep", doc! { "list": [null, { "x": "y" }], "kept": true }))),
        ),
        (
            Patch::new().inc("n", 2).inc("count", 1),
            with(|d| {
                d.insert("n", 3);
                d.insert("count", 1);
            }),
        ),
        (Patch::new().inc("n", i32::MAX), with(|d| drop(d.insert("n", 1_i64 << 31)))),
        (Patch::new().inc("n", 0.5), with(|d| drop(d.insert("n", 1.5)))),
        (
            Patch::new().push("tags", "a").push("more", 1),
            with(|d| {
                d.insert("tags", ["a", "a"]);
                d.insert("more", [1]);
            }),
        ),
        (
            Patch::new().add_to_set("tags", "a").add_to_set("tags", "b"),
            with(|d| drop(d.insert("tags", ["a", "b"]))),
        ),
    ] {
        assert_eq!(patched(before(), patch.clone()), expected, "{patch:?}");
    }
}

#[test]
fn steps_apply_in_their_order_and_names_may_have_dots() {
    let dotted = || FieldPath::from_segments(["a.b", "c"]).unwrap();
    assert_eq!(
        patched(doc! { "a": 1 }, Patch::new().set("a", 5).inc("a", 1).set(dotted(), 1)),
        doc! { "a": 6, "a.b": { "c": 1 } }
    );
}

#[test]
fn one_step_that_does_not_fit_takes_all_back() {
    let (_db, things) = collection();
    things.insert(doc! { "_id": 1, "n": "text", "list": [1] }).unwrap();
    for (patch, path, says) in [
        (Patch::new().set("ok", 1).inc("n", 1), "n", "string"),
        (Patch::new().push("n", 1), "n", "string"),
        (Patch::new().set("n.x", 1), "n.x", "neither object nor array"),
        (Patch::new().set("list.5", 1), "list.5", "beyond the end"),
        (Patch::new().set("list.x", 1), "list.x", "not a position"),
        (Patch::new().set("_id", 2), "_id", "cannot change"),
        (Patch::new().unset("_id"), "_id", "cannot change"),
        (Patch::new().inc("ok", "one"), "ok", "value of type string"),
    ] {
        let error = things.patch(1, &patch).unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(&error, Error::Document(DocumentError::Patch { path: named, .. }) if named == path),
            "{text}"
        );
        assert!(text.contains(says), "{text}");
    }
    for (path, says) in [("", "empty"), ("a\0b", "NUL")] {
        let error = things.patch(1, &Patch::new().set(path, 1)).unwrap_err();
        assert!(matches!(&error, Error::Document(DocumentError::Path { .. })), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    let found = things.get(1).unwrap().unwrap();
    assert_eq!(
        (found.version(), found.to_json().unwrap()),
        (1, r#"{"_id":1,"n":"text","list":[1]}"#.to_owned())
    );
}
