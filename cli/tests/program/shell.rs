//! `shell`, as a script uses it.

use crate::support::{Ended, Place};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

fn shell(place: &Place, args: &[&str], script: &str) -> Ended {
    place.run_with(&[&["shell", "s"], args].concat(), script)
}

#[test]
fn commands_work_without_the_directory_and_on_one_open_store() {
    let place = Place::with_documents("{\"_id\":1,\"people\":3}\n");
    let script = r#"
put c {"_id": 2,
  "people": 9,
  "name": "} \" {"}
put c {"people": 5} --id 3
put 'other things' {"_id": "x"}
index create c people --desc
index list c
find c {"people": {"$gt": 4}} --sort -people --limit 3
count c
get c 2
update c {"_id": 1} {"$inc": {"people": 1}}
delete c 3
remove c {"people": 9}
scan c
aggregate c --count n
find "other things" --project _id
exit
this is not read any more {
"#;
    let ended = shell(&place, &[], script).expect(0);
    let mut values = ended.values();
    values[3]["seconds"].take();
    assert_eq!(
        json!(values),
        json!([
            {"put": 2},
            {"put": 3},
            {"put": "x"},
            {"collection": "c", "index": "people_desc", "documents": 3, "seconds": null},
            {"index": "people_desc", "fields": ["people:desc"], "unique": false, "sparse": false, "where": null, "ready": true, "entries": 3, "can_cover": true},
            {"_id": 2, "people": 9, "name": "} \" {"},
            {"_id": 3, "people": 5},
            {"collection": "c", "count": 3},
            {"_id": 2, "people": 9, "name": "} \" {"},
            {"collection": "c", "updated": 1},
            {"deleted": 3},
            {"collection": "c", "removed": 1},
            {"_id": 1, "people": 4},
            {"_id": {}, "n": 1},
            {"_id": "x"},
        ])
    );
    assert_eq!(place.run(&["stats", "s"]).expect(0).value()["recovery"]["closed"], true);
}

#[test]
fn a_script_ends_at_the_first_line_that_fails_and_names_it() {
    let place = Place::with_documents("{\"_id\":1}\n");
    for (script, code, says) in [
        ("count c\n\nget c\n  \n", 2, "line 3: the following required arguments were not provided: <ID>"),
        ("count c\nget c {\n}\n", 3, "line 2: `c` has no document"),
        ("count c\nfetch c\n", 2, "line 2: unrecognized subcommand 'fetch'"),
        ("count c\nindex\n", 2, "line 2: the command is not complete"),
        ("count c\nfind c {\"a\":\n\n", 2, "line 2: '{' is not closed"),
        ("count c\nfind c }\n", 2, "line 2: '}' closes nothing"),
        ("count c\nfind c {\"a\": {\"$b\": 1}}", 2, "there is no operator"),
        ("count c\ncount d\n", 3, "line 2: the store `s` has no collection `d`"),
        ("count c\nput c\n{}\n", 2, "line 2: standard input has the commands"),
        ("count c\nput c {\"_id\": 1.5}\n", 7, "line 2: the document given: an id cannot be"),
    ] {
        let ended =
            shell(&place, &[], &format!("{script}\nput c {{\"_id\": 2}}\n")).expect_saying(code, &[says]);
        assert_eq!(ended.out, "{\"collection\":\"c\",\"count\":1}\n", "{script}");
    }
    assert_eq!(place.ids(), [json!(1)], "nothing behind a failure was done");
    place.run_with(&["shell", "nowhere"], "count c\n").expect(3);
    assert_eq!(place.names("."), ["s"]);
}

#[test]
fn people_get_tables_and_help() {
    let place = Place::with_documents("{\"_id\":1,\"name\":\"Aachen\"}\n{\"_id\":2,\"people\":9}\n");
    let ended =
        shell(&place, &["--human"], "find c\ncount c\nget c 2\nfind c --json --limit 1\nindex list c\n")
            .expect(0);
    let lines: Vec<&str> = ended.out.lines().collect();
    assert!(
        lines[1].contains("_id") && lines[1].contains("name") && lines[1].contains("people"),
        "{ended:?}"
    );
    assert!(lines[3].contains('1') && lines[3].contains("Aachen"), "{ended:?}");
    assert!(lines[4].contains('2') && lines[4].contains('9'), "{ended:?}");
    let rest = lines[6..].join("\n");
    let expected = "2 documents in `c`\n{\n  \"_id\": 2,\n  \"people\": 9\n}\n{\"_id\":1,\"name\":\"Aachen\"}\n`c` has no index";
    assert_eq!(rest, expected);

    let help = shell(&place, &[], "help\nhelp find\nindex create --help\n").expect(0).out;
    for words in ["aggregate", "exit", "Usage: find [OPTIONS] <COLLECTION> [FILTER]", "FIELD[:desc]"] {
        assert!(help.contains(words), "{words:?} is not in {help}");
    }
    assert!(!help.contains("<DIR>") && !help.contains("--key-file"), "{help}");
}

#[test]
fn the_past_can_be_read_as_far_as_it_is_kept() {
    let place = Place::with_documents("{\"_id\":1,\"n\":0}\n");
    for (args, is_kept) in
        [(&["--retain-history", "1000000"][..], true), (&[], true), (&["--retain-history", "0"], false)]
    {
        let mut shell = place
            .command(&[&["shell", "s"], args].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = shell.stdin.take().unwrap();
        let mut output = BufReader::new(shell.stdout.take().unwrap()).lines();
        let mut ask = |line: &str| -> Option<Value> {
            writeln!(input, "{line}").unwrap();
            output.next().map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        };
        let before = ask("find c").unwrap();
        let position = ask("stats").unwrap()["position"].clone();
        // Enough for old versions to go, if they are not to be kept.
        for _ in 0..300 {
            assert_eq!(ask(r#"update c - {"$inc": {"n": 1}}"#).unwrap()["updated"], 1);
        }
        assert_eq!(ask("find c").unwrap()["n"].as_i64(), Some(before["n"].as_i64().unwrap() + 300));
        let summed = is_kept.then(|| ask(&format!("aggregate c --sum n=n --at {position}")).unwrap());
        assert!(summed.is_none_or(|summed| summed["n"] == before["n"]));
        let analyzed = ask("aggregate c --count n --analyze").unwrap();
        assert_eq!(
            (&analyzed["plan"]["step"], &analyzed["plan"]["actual_rows"]),
            (&json!("group"), &json!(1))
        );
        let past = ask(&format!("find c --at {position}"));
        drop(input);
        let code = shell.wait().unwrap().code();
        match is_kept {
            true => {
                assert_eq!((past, code), (Some(before.clone()), Some(0)));
                // The past outlives the shell.
                let found = place.run(&["find", "s", "c", "--at", &position.to_string()]).expect(0);
                assert_eq!(found.value(), before);
            }
            false => {
                assert_eq!((past, code), (None, Some(3)));
                let gone = place.run(&["find", "s", "c", "--at", &position.to_string()]).expect(3);
                assert!(gone.err.contains("shell --retain-history"), "{}", gone.err);
            }
        }
    }
}
