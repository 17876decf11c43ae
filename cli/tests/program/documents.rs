//! `get`, `put`, `delete`, `scan`, `count`.

use crate::support::Place;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

const UUID: &str = "0190163d-8694-739b-aea5-966c26f8ad91";

#[test]
fn a_document_is_put_got_replaced_and_deleted() {
    let place = Place::new();
    let put = place.run_with(&["put", "s", "c"], "{\n \"_id\": 5,\n \"a\": [1, 2.5]\n}\n").expect(0);
    assert_eq!(put.value(), json!({"put": 5}));
    assert_eq!(place.run(&["get", "s", "c", "5"]).expect(0).out, "{\"_id\":5,\"a\":[1,2.5]}\n");

    place.write("new.json", "{\"a\":3}");
    place.run(&["put", "s", "c", "new.json", "--id", "5"]).expect(0);
    assert_eq!(place.documents(), [json!({"_id": 5, "a": 3})]);
    place.run(&["put", "s", "c", "new.json", "--id", "-5"]).expect(0);
    assert_eq!(place.ids(), [json!(-5), json!(5)]);

    assert_eq!(place.run(&["delete", "s", "c", "5"]).expect(0).value(), json!({"deleted": 5}));
    assert_eq!(place.ids(), [json!(-5)]);
    place.run(&["get", "s", "c", "5"]).expect_saying(3, &["`c` has no document with the integer id 5"]);
    place.run(&["delete", "s", "c", "5"]).expect_saying(3, &["`c` has no document with the integer id 5"]);
}

#[test]
fn an_id_is_what_it_looks_like_unless_its_type_is_given() {
    let place = Place::with_documents(&format!(
        "{{\"_id\":17,\"is\":\"int\"}}\n{{\"_id\":\"17\",\"is\":\"string\"}}\n\
         {{\"_id\":{{\"$uuid\":\"{UUID}\"}},\"is\":\"uuid\"}}\n{{\"_id\":\"{UUID}\",\"is\":\"text\"}}\n\
         {{\"_id\":{{\"$binary\":{{\"base64\":\"AP8=\",\"subType\":\"00\"}}}},\"is\":\"bytes\"}}\n"
    ));
    for (args, is) in [
        (&["17"][..], "int"),
        (&["17", "--id-type", "int"], "int"),
        (&["17", "--id-type", "string"], "string"),
        (&[UUID], "uuid"),
        (&[UUID, "--id-type", "uuid"], "uuid"),
        (&[UUID, "--id-type", "string"], "text"),
        (&["0x00ff", "--id-type", "bytes"], "bytes"),
        (&["00FF", "--id-type", "bytes"], "bytes"),
    ] {
        let ended = place.run(&[&["get", "s", "c"], args].concat()).expect(0);
        assert_eq!(ended.value()["is"], is, "{args:?}");
    }
    let hint = "`--id-type string` looks for text";
    place.run(&["get", "s", "c", "18"]).expect_saying(3, &["integer id 18", hint]);
    let other = UUID.replace("91", "92");
    place.run(&["get", "s", "c", &other]).expect_saying(3, &["UUID id", &other, hint]);
    place.run(&["get", "s", "c", "0x00ff"]).expect_saying(3, &["string id 0x00ff"]);
    place
        .run(&["get", "s", "c", "x", "--id-type", "int"])
        .expect_saying(2, &["\"x\" is not a 64-bit integer"]);
}

#[test]
fn a_scan_is_in_order_within_its_bounds() {
    let place =
        Place::with_documents("{\"_id\":\"b\"}\n{\"_id\":3}\n{\"_id\":-1}\n{\"_id\":\"a\"}\n{\"_id\":20}\n");
    let all = [json!(-1), json!(3), json!(20), json!("a"), json!("b")];
    for (args, expected) in [
        (&[][..], &all[..]),
        (&["--limit", "2"], &all[..2]),
        (&["--limit", "99"], &all),
        (&["--from", "3"], &all[1..]),
        (&["--from", "4", "--to", "a"], &all[2..3]),
        (&["--to", "-1"], &[]),
        (&["--from", "a", "--to", "3"], &[]),
        (&["--from", "3", "--to", "b", "--limit", "1"], &all[1..2]),
    ] {
        let ids = |more: &[&str]| -> Vec<Value> {
            let ended = place.run(&[&["scan", "s", "c"], args, more].concat()).expect(0);
            ended.values().into_iter().map(|mut document| document["_id"].take()).collect()
        };
        assert_eq!(ids(&[]), expected, "{args:?}");
        if !args.contains(&"--limit") {
            let reversed: Vec<Value> = expected.iter().rev().cloned().collect();
            assert_eq!(ids(&["--reverse"]), reversed, "{args:?}");
        }
    }
    let last = place.run(&["scan", "s", "c", "--reverse", "--limit", "1"]).value();
    assert_eq!(last, json!({"_id": "b"}));
    assert_eq!(place.run(&["count", "s", "c"]).value(), json!({"collection": "c", "count": 5}));
}

#[test]
fn people_get_sentences_and_indents_if_they_ask() {
    let place = Place::with_documents("{\"_id\":1,\"a\":{\"b\":[]}}\n");
    let indented = "{\n  \"_id\": 1,\n  \"a\": {\n    \"b\": []\n  }\n}\n";
    assert_eq!(place.run(&["get", "s", "c", "1", "--human"]).expect(0).out, indented);
    assert_eq!(place.run(&["--human", "count", "s", "c"]).expect(0).out, "1 documents in `c`\n");
    let put = place.run_with(&["put", "s", "c", "--human"], "{\"_id\":\"x\"}").expect(0);
    assert_eq!(put.out, "x put into `c`\n");
    assert_eq!(place.run(&["delete", "s", "c", "x", "--human"]).expect(0).out, "x deleted from `c`\n");
    let ended = place.run_with(&["import", "s", "c", "-", "--human"], "{}\n").expect(0);
    assert!(ended.out.starts_with("1 documents imported into `c`, 0 records skipped; "), "{ended:?}");
}

#[test]
fn whoever_stops_reading_ends_the_program_quietly() {
    let text = "x".repeat(1000);
    let lines: String = (0..5000).map(|n| format!("{{\"_id\":{n},\"text\":\"{text}\"}}\n")).collect();
    let place = Place::with_documents(&lines);
    for command in ["scan", "find", "export"] {
        let mut child = place
            .command(&[command, "s", "c"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("{\"_id\":0,"), "{line}");
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(141), ""), "{command}");
    }
}
