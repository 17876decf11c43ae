//! `import`: formats, ids, batches, acknowledgements, what happens at a bad record.

use crate::support::{Place, records};
use serde_json::{Value, json};
use std::fs;

#[test]
fn the_three_formats_give_the_same_documents() {
    let expected = [
        json!({"_id": 1, "name": "Aachen", "people": 249_070, "old": true}),
        json!({"_id": 2, "name": "Köln, \"Cologne\"", "people": null, "old": false}),
    ];
    let lines = "{\"_id\":1,\"name\":\"Aachen\",\"people\":249070,\"old\":true}\n\n\
                 {\"_id\":2,\"name\":\"Köln, \\\"Cologne\\\"\",\"people\":null,\"old\":false}";
    let array = format!("[\n{}\n]\n", lines.replace("\n\n", ",\n"));
    let table = "_id,name,people,old\r\n1,Aachen,249070,true\r\n2,\"Köln, \"\"Cologne\"\"\",,false\r\n";
    for (name, text, format) in [
        ("towns.ndjson", lines, "ndjson"),
        ("towns.json", &array, "json"),
        ("towns.csv", table, "csv"),
        ("towns.CSV", table, "csv"),
    ] {
        let place = Place::new();
        place.write(name, text);
        let summary = place.run(&["import", "s", "c", name]).expect(0).value();
        assert_eq!(summary["imported"], 2, "{name}");
        assert_eq!(summary["skipped"], 0);
        assert_eq!(summary["collection"], "c");
        assert_eq!(summary["bytes"], text.len());
        assert_eq!(place.documents(), expected, "{name}");
        place.run_with(&["import", "s", "d", "-", "--format", format], text).expect(0);
        assert_eq!(place.run(&["scan", "s", "d"]).values(), expected, "{format} from standard input");
    }
}

#[test]
fn the_id_comes_from_a_field_which_stays() {
    let place = Place::new();
    let lines = "{\"n\":7,\"a\":1}\n{\"n\":\"x\",\"_id\":\"x\"}\n";
    place.run_with(&["import", "s", "c", "-", "--id", "n"], lines).expect(0);
    assert_eq!(place.documents(), [json!({"_id": 7, "n": 7, "a": 1}), json!({"_id": "x", "n": "x"})]);

    let bad = "{\"a\":1}\n{\"n\":null}\n{\"n\":1.5}\n{\"n\":8,\"_id\":9}\n{\"n\":9}\n";
    let ended = place.run_with(&["import", "s", "c", "-", "--id", "n", "--on-error", "skip"], bad).expect(0);
    assert_eq!(ended.value()["skipped"], 4);
    for (line, words) in
        [(1, "no field \"n\""), (2, "of type null"), (3, "of type double"), (4, "the `_id` 9 already")]
    {
        let said = ended.err.lines().find(|said| said.contains(&format!("line {line}:"))).unwrap();
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(place.ids(), [json!(7), json!(9), json!("x")]);
}

#[test]
fn a_document_without_an_id_gets_a_uuid() {
    let place = Place::with_documents("{\"a\":1}\n{\"a\":2}\n");
    let documents = place.documents();
    assert_eq!(
        documents.iter().map(|document| &document["a"]).collect::<Vec<_>>(),
        [1, 2],
        "in the order of input"
    );
    let uuid = documents[0]["_id"]["$uuid"].as_str().unwrap();
    assert_eq!(place.run(&["get", "s", "c", uuid]).expect(0).value(), documents[0]);
}

#[test]
fn ids_are_acknowledged_alone_on_standard_output() {
    for durability in ["sync", "buffered", "none"] {
        let place = Place::new();
        let lines: String = (0..1000).map(|n| format!("{{\"_id\":{n}}}\n")).collect();
        let args = ["import", "s", "c", "-", "--ack", "--batch", "7", "--durability", durability];
        let ended = place.run_with(&args, lines).expect(0);
        let ids: Vec<Value> = (0..1000).map(Value::from).collect();
        assert_eq!(ended.values(), ids);
        let summary: Value = serde_json::from_str(&ended.err).unwrap();
        assert_eq!(summary["imported"], 1000);
        assert_eq!(place.ids(), ids);
        assert_eq!(place.run(&["verify", "s"]).value()["closed"], true);
    }
}

#[test]
fn every_kind_of_id_is_acknowledged_as_json() {
    let uuid = "0190163d-8694-739b-aea5-966c26f8ad91";
    let lines = format!(
        "{{\"_id\":\"a\\nb\"}}\n{{\"_id\":-1}}\n{{\"_id\":{{\"$uuid\":\"{uuid}\"}}}}\n\
         {{\"_id\":{{\"$binary\":{{\"base64\":\"AP8=\",\"subType\":\"00\"}}}}}}\n"
    );
    let ended = Place::new().run_with(&["import", "s", "c", "-", "--ack"], lines).expect(0);
    let bytes = json!({"$binary": {"base64": "AP8=", "subType": "00"}});
    assert_eq!(ended.values(), [json!("a\nb"), json!(-1), json!({"$uuid": uuid}), bytes]);
}

#[test]
fn several_writers_import_everything_once() {
    let place = Place::new();
    let file = records();
    let file = file.to_str().unwrap();
    let args = ["import", "s", "c", file, "--id", "id", "--writers", "3", "--batch", "10"];
    let ended = place.run(&args).expect(0);
    assert_eq!(ended.value()["imported"], 4229);
    let text = fs::read_to_string(file).unwrap();
    let expected: Vec<Value> = text
        .lines()
        .map(|line| {
            let mut record: Value = serde_json::from_str(line).unwrap();
            record["_id"] = record["id"].clone();
            record
        })
        .collect();
    assert_eq!(place.documents(), expected);
}

#[test]
fn stopping_leaves_out_the_batch_and_keeps_those_before() {
    let place = Place::new();
    let lines: String = (1..=9).map(|n| format!("{{\"_id\":{n}}}\n")).collect();
    let lines = format!("{lines}{{\"_id\":10,}}\n{{\"_id\":11}}\n");
    place
        .run_with(&["import", "s", "c", "-", "--batch", "4"], &lines)
        .expect_saying(7, &["standard input, line 10, column 11: ", "after 8 documents", "--on-error skip"]);
    assert_eq!(place.ids(), (1..=8).map(Value::from).collect::<Vec<_>>());

    let ended =
        place.run_with(&["import", "s", "c", "-", "--batch", "4", "--on-error", "skip"], &lines).expect(0);
    assert_eq!(ended.err.lines().count(), 9, "{ended:?}");
    let (mut said, mut expected): (Vec<&str>, Vec<String>) = (ended.err.lines().collect(), Vec::new());
    expected.extend((1..=8).map(|n| format!("line {n}: a document with the id {n} exists already")));
    expected.push("line 10, column 11".to_owned());
    said.sort_by_key(|line| line.contains("line 10"));
    for (said, expected) in said.iter().zip(&expected) {
        assert!(said.starts_with("skipped: standard input, ") && said.contains(expected), "{said}");
    }
    let summary = ended.value();
    assert_eq!((&summary["imported"], &summary["skipped"]), (&json!(2), &json!(9)));
    assert_eq!(place.ids(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 11].map(Value::from));
}

#[test]
fn an_id_that_is_taken_is_a_conflict() {
    let place = Place::with_documents("{\"_id\":1,\"a\":1}\n");
    for lines in ["{\"_id\":2}\n{\"_id\":1,\"a\":2}\n", "{\"_id\":2}\n{\"_id\":2}\n"] {
        place
            .run_with(&["import", "s", "c", "-"], lines)
            .expect_saying(4, &["line 2: a document with the id", "exists already", "after 0 documents"]);
        assert_eq!(place.documents(), [json!({"_id": 1, "a": 1})]);
    }
    let twice = "{\"_id\":2,\"a\":1}\n{\"_id\":2,\"a\":2}\n";
    place.run_with(&["import", "s", "c", "-", "--on-error", "skip"], twice).expect(0);
    assert_eq!(place.documents()[1], json!({"_id": 2, "a": 1}), "the first of a batch wins");
}

#[test]
fn nothing_is_a_fine_import() {
    let place = Place::with_documents("");
    assert_eq!(place.run(&["count", "s", "c"]).expect(0).value()["count"], 0);
}

#[test]
fn compressed_pages_hold_the_same_in_less() {
    let lines: String = (0..3_000)
        .map(|n| format!("{{\"_id\":{n},\"text\":\"{}\"}}\n", "a harbour town ".repeat(20)))
        .collect();
    let pages = ["none", "lz4"].map(|compression| {
        let place = Place::new();
        place.write("towns.ndjson", &lines);
        place.run(&["import", "s", "c", "towns.ndjson", "--compression", compression]).expect(0);
        let taken = place.run(&["checkpoint", "s", "--compression", compression]).expect(0).value();
        assert_eq!(place.documents().len(), 3_000);
        assert_eq!(place.run(&["verify", "s"]).expect(0).value()["pages"], taken["pages"]);
        taken["pages"].as_u64().expect("a number")
    });
    assert!(pages[1] * 3 < pages[0], "{pages:?}");
}
