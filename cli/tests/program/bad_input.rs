//! Input that cannot be imported: each kind has its message and exit code, and leaves the collection as it was.

use crate::support::Place;
use serde_json::json;

/// A file's name and contents, and what is said of it.
type Case = (&'static str, Vec<u8>, &'static [&'static str]);

fn cases() -> Vec<Case> {
    let text = |text: &str| text.as_bytes().to_vec();
    let nested =
        |depth: usize| format!("{{\"a\":{}{}}}\n", "[".repeat(depth), "]".repeat(depth)).into_bytes();
    vec![
        (
            "cut.ndjson",
            text("{\"a\":1}\n\n{\"a\":"),
            &["cut.ndjson, line 3, column 5: malformed JSON", "EOF"],
        ),
        ("word.ndjson", text("{\"a\":1}\nhello\n"), &["line 2, column 1: malformed JSON"]),
        ("number.ndjson", text("17\n"), &["line 1: a document must be an object, found number"]),
        ("two.ndjson", text("{} {}\n"), &["line 1, column 4: malformed JSON: trailing characters"]),
        ("twice.ndjson", text("{}\n{\"a\":1,\"a\":2}\n"), &["line 2, column 13", "two fields \"a\""]),
        ("utf8.ndjson", b"{\"a\":1}\n{\"b\":\"\xff\"}\n".to_vec(), &["line 2: invalid UTF-8 at byte 6"]),
        ("nul.ndjson", text("{\"a\\u0000b\":1}\n"), &["line 1: field name", "NUL"]),
        ("oid.ndjson", text("{\"a\":{\"$oid\":\"?\"}}\n"), &["line 1, column", "malformed JSON"]),
        ("deep.ndjson", nested(200), &["line 1", "nested more than 100 levels deep"]),
        ("id.ndjson", text("{\"_id\":1.5}\n"), &["line 1: an id cannot be of type double", "use a UUID"]),
        ("null.ndjson", text("{\"_id\":null}\n"), &["line 1: an id cannot be of type null"]),
        (
            "longid.ndjson",
            format!("{{\"_id\":\"{}\"}}\n", "x".repeat(2000)).into_bytes(),
            &["line 1: the key takes", "the limit is 1024"],
        ),
        (
            "large.ndjson",
            format!("{{\"a\":\"{}\"}}\n", "x".repeat(17 << 20)).into_bytes(),
            &["line 1: the document takes", "the limit is 16777216"],
        ),
        (
            "lines.json",
            text("[\n{\"a\":1},\n{\"a\" 1}\n]"),
            &["lines.json, line 3, column 6: malformed JSON"],
        ),
        ("open.json", text("[{\"a\":1},\n{\"a\":2}"), &["line 2: the JSON array is not closed"]),
        ("more.json", text("[{}]\n[{}]"), &["line 2: there is more behind the end"]),
        ("comma.json", text("[{},\n,{}]"), &["line 2: an element is missing"]),
        (
            "ragged.csv",
            text("a,b\n1,2\n3\n"),
            &["ragged.csv, line 3: the row has 1 cells, the header row has 2"],
        ),
        ("crlf.csv", text("a,b\r\n1,2\r\n\r\n3\r\n"), &["crlf.csv, line 4: the row has 1 cells"]),
        ("latin1.csv", b"a,b\n1,\xe4\n".to_vec(), &["line 2: the cell in column \"b\" is not UTF-8"]),
        ("header.csv", text("a,b,a\n1,2,3\n"), &["line 1: the header row names the column \"a\" twice"]),
        ("empty.csv", text(""), &["no header row"]),
    ]
}

#[test]
fn each_is_refused_with_its_place_and_leaves_the_collection_as_it_was() {
    let place = Place::with_documents("{\"_id\":1,\"a\":1}\n");
    for (name, bytes, words) in cases() {
        place.write(name, bytes);
        let ended = place.run(&["import", "s", "c", name]).expect_saying(7, words);
        assert!(ended.err.contains("the import stopped") || name.ends_with("csv"), "{ended:?}");
        assert_eq!(ended.out, "");
        assert_eq!(place.documents(), [json!({"_id": 1, "a": 1})], "{name}");
    }
}

#[test]
fn a_broken_array_ends_the_import_even_if_errors_are_skipped() {
    let place = Place::new();
    let args = ["import", "s", "c", "-", "--on-error", "skip", "--batch", "1"];
    place
        .run_with(&args, "[{\"_id\":1},{\"_id\":2},\n")
        .expect_saying(7, &["line 2: the JSON array is not closed", "stopped after 2 documents"]);
    assert_eq!(place.ids(), [json!(1), json!(2)]);
}

#[test]
fn a_file_that_is_missing_makes_no_store() {
    let place = Place::new();
    place.run(&["import", "s", "c", "missing.ndjson"]).expect_saying(3, &["cannot read missing.ndjson"]);
    place.run(&["put", "s", "c", "missing.json"]).expect_saying(3, &["cannot read `missing.json`"]);
    place.run(&["import", "s", "c", "."]).expect_saying(8, &["cannot read .: Is a directory"]);
    assert_eq!(place.names("."), [""; 0]);
}

#[test]
fn a_document_that_cannot_be_put_makes_no_store() {
    let place = Place::new();
    for (text, words) in [
        ("{\"a\":\n}", &["standard input: malformed JSON at line 2, column 1"][..]),
        ("[]", &["a document must be an object, found array"]),
        ("", &["malformed JSON", "EOF"]),
        ("{\"_id\":[]}", &["an id cannot be of type array"]),
    ] {
        place.run_with(&["put", "s", "c"], text).expect_saying(7, words);
    }
    let long = "x".repeat(2000);
    place.run_with(&["put", "s", "c", "--id", &long], "{}").expect_saying(7, &["the limit is 1024"]);
    assert_eq!(place.names("."), [""; 0]);
}

#[test]
fn a_collections_name_has_its_rules() {
    let place = Place::with_documents("{}\n");
    let long = "x".repeat(10_000);
    for name in ["", "a\nb", &long] {
        place.run_with(&["import", "s", name, "-"], "{}\n").expect_saying(2, &["the name", "cannot be used"]);
    }
    assert_eq!(place.run(&["stats", "s"]).value()["collections"], json!({"c": 1}));
}
