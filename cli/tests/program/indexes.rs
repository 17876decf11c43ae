//! `index create`, `index drop`, `index list`.

use crate::support::Place;
use serde_json::{Value, json};

fn listed(place: &Place) -> Vec<Value> {
    place.run(&["index", "list", "s", "c"]).expect(0).values()
}

#[test]
fn indexes_are_created_listed_and_dropped_and_stay_when_the_store_is_closed() {
    let place = Place::with_documents("{\"_id\":1,\"a\":1,\"b\":\"x\"}\n{\"_id\":2,\"a\":2}\n");
    assert_eq!(listed(&place), [json!(null); 0]);
    assert_eq!(place.run(&["index", "list", "s", "c", "--human"]).expect(0).out, "`c` has no index\n");

    let created = place.run(&["index", "create", "s", "c", "a", "--desc"]).expect(0).value();
    assert_eq!((&created["index"], &created["documents"]), (&json!("a_desc"), &json!(2)));
    let args = ["b", "a:desc", "--unique", "--sparse", "--where", r#"{"a": {"$gte": 2}}"#, "--name", "by b"];
    place.run(&[&["index", "create", "s", "c"], &args[..]].concat()).expect(0);
    let mut all = listed(&place);
    all.sort_by_key(|index| index["index"].to_string());
    let where_ = json!({"a": {"$gte": 2}});
    let first = json!({"index": "a_desc", "fields": ["a:desc"], "unique": false, "sparse": false, "where": null, "ready": true, "entries": 2, "can_cover": true});
    let second = json!({"index": "by b", "fields": ["b", "a:desc"], "unique": true, "sparse": true, "where": where_, "ready": true, "entries": 1, "can_cover": true});
    assert_eq!(all, [first.clone(), second]);
    let human = place.run(&["index", "list", "s", "c", "--human"]).expect(0).out;
    assert!(
        human.contains("by b  on b, a:desc; unique; sparse; where {\"a\":{\"$gte\":2}}; entries: 1\n"),
        "{human}"
    );

    let dropped = place.run(&["index", "drop", "s", "c", "by b"]).expect(0).value();
    assert_eq!(dropped, json!({"collection": "c", "dropped": "by b"}));
    assert_eq!(listed(&place), [first]);
}

#[test]
fn what_cannot_be_indexed_says_why_and_leaves_nothing() {
    let place = Place::with_documents("{\"_id\":1,\"a\":1}\n{\"_id\":2,\"a\":1}\n");
    place
        .run(&["index", "create", "s", "c", "a", "--unique"])
        .expect_saying(4, &["in `c`", "documents", "have the same values in the unique index `a`"]);
    assert_eq!(listed(&place), [json!(null); 0]);
    place.run(&["index", "create", "s", "c", "a"]).expect(0);
    place.run(&["index", "create", "s", "c", "a"]).expect_saying(4, &["there is an index `a` already"]);
    place.run(&["index", "drop", "s", "c", "b"]).expect_saying(3, &["`c` has no index `b`; it has a"]);
    place.run(&["index", "create", "s", "d", "a"]).expect_saying(3, &["no collection `d`"]);
    place.run(&["index", "create", "s", "c", "a", "b", "--desc"]).expect_saying(2, &["`FIELD:desc`"]);
    place
        .run(&["index", "create", "s", "c", "$x"])
        .expect_saying(2, &["\"$x\"", "a name that begins with $ is an operator in a filter"]);
    place.run(&["index", "create", "s", "c", "b", "b"]).expect_saying(2, &["it is in the index already"]);
    for args in [&["index", "create", "s", "c"][..], &["index", "create", "s", "c", ":desc"], &["index"]] {
        assert_eq!(place.run(args).code, 2, "{args:?}");
    }
}

/// What an entry has no room to say is told.
#[test]
fn an_index_that_covers_no_fields_says_so_and_markers_are_no_entries() {
    let place = Place::with_documents("{\"_id\":1,\"f0\":[1,2,3]}\n{\"_id\":2}\n");
    let fields: Vec<String> = (0..17).map(|n| format!("f{n}")).collect();
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    place.run(&[&["index", "create", "s", "c", "--name", "many"], &fields[..]].concat()).expect(0);
    let listed = &listed(&place)[0];
    assert_eq!((&listed["can_cover"], &listed["entries"]), (&json!(false), &json!(4)));
    let human = place.run(&["index", "list", "s", "c", "--human"]).expect(0).out;
    assert!(human.contains("f16; covers no fields; entries: 4\n"), "{human}");
}

#[test]
fn a_unique_index_holds_for_every_command_that_writes() {
    let place = Place::with_documents("{\"_id\":1,\"a\":1}\n{\"_id\":2,\"a\":2}\n");
    place.run(&["index", "create", "s", "c", "a", "--unique"]).expect(0);
    let same = "have the same values in the unique index `a`";
    place.run_with(&["put", "s", "c"], "{\"_id\":3,\"a\":1}").expect_saying(4, &[same]);
    place.run(&["update", "s", "c", "-", r#"{"$set": {"a": 7}}"#]).expect_saying(4, &[same]);
    place.run_with(&["import", "s", "c", "-"], "{\"_id\":3,\"a\":1}\n").expect_saying(4, &[same]);
    assert_eq!(place.documents(), [json!({"_id": 1, "a": 1}), json!({"_id": 2, "a": 2})]);
}
