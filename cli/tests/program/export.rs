//! `export`: all of a collection, whole or not at all.

use crate::support::{Place, records};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

#[test]
fn what_was_exported_can_be_imported_as_it_was() {
    let place = Place::new();
    place.run(&["import", "s", "c", records().to_str().unwrap(), "--id", "id"]).expect(0);
    let odd = "{\"_id\":{\"$uuid\":\"0190163d-8694-739b-aea5-966c26f8ad91\"},\"at\":{\"$date\":\"2024-01-01T00:00:00Z\"},\
               \"d\":{\"$numberDecimal\":\"1.10\"},\"f\":1.0,\"n\":9007199254740993,\"s\":\"\\u0000\\n\\\"\"}\n";
    place.run_with(&["import", "s", "c", "-"], odd).expect(0);

    let ended = place.run(&["export", "s", "c", "out.ndjson"]).expect(0);
    let text = fs::read_to_string(place.path("out.ndjson")).unwrap();
    assert_eq!(ended.value(), json!({"file": "out.ndjson", "documents": 4230, "bytes": text.len()}));
    assert_eq!(text.lines().count(), 4230);
    assert_eq!(place.run(&["export", "s", "c"]).expect(0).out, text, "standard output gets the same");
    assert_eq!(place.run(&["export", "s", "c", "-"]).expect(0).out, text);

    place.run(&["import", "t", "c", "out.ndjson"]).expect(0);
    assert_eq!(place.run(&["export", "t", "c"]).expect(0).out, text);
}

#[test]
fn the_file_is_an_ordinary_one_and_replaces_what_was_there() {
    let place = Place::with_documents("{\"_id\":1}\n");
    place.write("old.ndjson", "something else, and longer than the export");
    symlink("old.ndjson", place.path("link.ndjson")).unwrap();
    place.run(&["export", "s", "c", "link.ndjson"]).expect(0);
    assert_eq!(fs::read_to_string(place.path("old.ndjson")).unwrap(), "{\"_id\":1}\n");
    assert!(fs::symlink_metadata(place.path("link.ndjson")).unwrap().is_symlink());
    place.write("ordinary", "");
    let mode = |name: &str| fs::metadata(place.path(name)).unwrap().permissions().mode();
    assert_eq!(mode("old.ndjson"), mode("ordinary"));
    assert_eq!(place.names("."), ["link.ndjson", "old.ndjson", "ordinary", "s"], "nothing else is left");
}

#[test]
fn an_export_that_fails_leaves_what_was_there() {
    let place = Place::with_documents("{\"_id\":1}\n");
    place.write("old.ndjson", "old");
    place
        .run(&["export", "s", "missing", "old.ndjson"])
        .expect_saying(3, &["no collection `missing`", "it has c"]);
    place
        .run(&["export", "s", "c", "nowhere/new.ndjson"])
        .expect_saying(3, &["cannot write `nowhere/new.ndjson`"]);
    assert_eq!(fs::read_to_string(place.path("old.ndjson")).unwrap(), "old");
    assert_eq!(place.names("."), ["old.ndjson", "s"]);
}

#[test]
fn what_is_no_plain_file_is_written_to() {
    let place = Place::with_documents("{\"_id\":1}\n");
    place.run(&["export", "s", "c", "/dev/null"]).expect(0);
    place
        .run(&["export", "s", "c", "/dev/full"])
        .expect_saying(8, &["cannot write `/dev/full`", "No space left"]);
}
