//! `stats`, `checkpoint`, `verify`, and the program's own words.

use crate::support::Place;
use serde_json::json;

#[test]
fn statistics_tell_what_is_in_a_store() {
    let place = Place::with_documents("{\"_id\":1}\n{\"_id\":2}\n");
    place.run_with(&["put", "s", "d"], "{}").expect(0);
    let stats = place.run(&["stats", "s"]).expect(0).value();
    assert_eq!(stats["collections"], json!({"c": 2, "d": 1}));
    assert_eq!(stats["keyspaces"], json!([]));
    assert_eq!(stats.get("read_only"), Some(&json!(null)));
    assert_eq!(stats["recovery"]["closed"], true);
    assert_eq!(stats["recovery"]["cut_bytes"], 0);
    assert_eq!(stats["disk_bytes"], place.disk_bytes("s"));
    let human = place.run(&["stats", "s", "--human"]).expect(0).out;
    assert!(human.contains("      writable  no write has failed\n"), "{human}");
    assert!(human.contains("2  documents in `c`\n") && human.contains("1  documents in `d`\n"), "{human}");
}

#[test]
fn verification_counts_what_it_checked_and_changes_nothing() {
    let place = Place::new();
    let lines: String = (0..10).map(|n| format!("{{\"_id\":{n}}}\n")).collect();
    place.run_with(&["import", "s", "c", "-", "--batch", "5"], lines).expect(0);
    let before = place.contents("s");
    let found = place.run(&["verify", "s", "--json"]).expect(0).value();
    assert_eq!(found["sound"], true);
    assert_eq!(found["closed"], true);
    assert!(found["commits"].as_u64().unwrap() >= 2 && found["writes"].as_u64().unwrap() >= 10, "{found}");
    assert!(place.run(&["verify", "s", "--human"]).expect(0).out.starts_with("the store is sound: "));
    assert_eq!(place.contents("s"), before);
}

#[test]
fn a_checkpoint_is_taken_told_of_and_what_the_next_opening_loads() {
    let place = Place::new();
    let lines: String = (0..500).map(|n| format!("{{\"_id\":{n},\"text\":\"{n:0200}\"}}\n")).collect();
    place.run_with(&["import", "s", "c", "-"], &lines).expect(0);
    let before = place.run(&["stats", "s"]).expect(0).value();
    assert_eq!(
        (&before["checkpoint"]["position"], &before["recovery"]["checkpoint"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(before["checkpoint"]["log_bytes"], before["position"]);
    assert!(place.run(&["verify", "s", "--human"]).expect(0).out.contains("no checkpoint yet"));

    let taken = place.run(&["checkpoint", "s"]).expect(0).value();
    // The collection's name is a key too.
    assert_eq!((&taken["entries"], &taken["changed"]), (&json!(501), &json!(501)));
    let pages = taken["pages"].as_u64().unwrap();
    assert!(pages > 500 * 200 / 8_192 && taken["written_bytes"] == pages * 8_192, "{taken}");
    assert!(taken["position"].as_u64() >= before["position"].as_u64(), "{taken} after {before}");
    assert!(taken["seconds"].as_f64() > Some(0.0), "{taken}");

    let verified = place.run(&["verify", "s"]).expect(0).value();
    let stats = place.run(&["stats", "s"]).expect(0).value();
    for (key, value) in
        [("checkpoint", &taken["position"]), ("entries", &json!(501)), ("pages", &json!(pages))]
    {
        assert_eq!((&verified[key], &stats["recovery"][key]), (value, value), "{key}");
    }
    assert!(verified["free_pages"].as_u64() > Some(0) && verified["writes"] == 0, "{verified}");
    assert!(stats["recovery"]["writes"] == 0 && stats["recovery"]["keys"] == 501, "{stats}");
    assert_eq!(stats["checkpoint"]["position"], taken["position"]);
    assert_eq!(stats["checkpoint"].get("failure"), Some(&json!(null)));
    assert!(stats["checkpoint"]["log_bytes"].as_u64().unwrap() < 1_000, "{stats}");
    assert_eq!(place.documents().len(), 500);
}

#[test]
fn a_backup_is_a_store_with_the_same_documents() {
    let place = Place::new();
    let lines: String = (0..300).map(|n| format!("{{\"_id\":{n},\"text\":\"{n:0200}\"}}\n")).collect();
    place.run_with(&["import", "s", "c", "-"], &lines).expect(0);
    let made = place.run(&["backup", "s", "copy"]).expect(0).value();
    assert_eq!(made["entries"], 301);
    let (original, copy) = (place.run(&["export", "s", "c"]), place.run(&["export", "copy", "c"]));
    assert_eq!(copy.expect(0).out, original.expect(0).out);
    assert_eq!(place.run(&["verify", "copy"]).expect(0).value()["checkpoint"], made["checkpoint"]);
    place.run(&["backup", "s", "copy"]).expect_saying(4, &["no backup was made", "not empty"]);
    let human = place.run(&["backup", "s", "another", "--human"]).expect(0).out;
    assert!(human.contains("301 keys as of position") && human.contains("`another`"), "{human}");
    place.run(&["backup", "nowhere", "third"]).expect(3);
}

#[test]
fn a_second_checkpoint_writes_what_changed() {
    let place = Place::new();
    let lines: String = (0..5_000).map(|n| format!("{{\"_id\":{n},\"text\":\"{n:0200}\"}}\n")).collect();
    place.run_with(&["import", "s", "c", "-"], &lines).expect(0);
    let first = place.run(&["checkpoint", "s"]).expect(0).value();
    place.run(&["delete", "s", "c", "7"]).expect(0);
    let second = place.run(&["checkpoint", "s", "--json"]).expect(0).value();
    assert_eq!((&second["entries"], &second["changed"]), (&json!(5_000), &json!(1)), "of {first}");
    assert!(second["written_bytes"].as_u64().unwrap() * 20 < first["written_bytes"].as_u64().unwrap());
    let third = place.run(&["checkpoint", "s", "--human"]).expect(0).out;
    assert!(
        third.contains("5,000 keys in") && third.contains("0 had changed") && third.contains("0 B written")
    );
    let human = place.run(&["verify", "s", "--human"]).expect(0).out;
    assert!(human.contains("a checkpoint at position") && human.contains("5,000 keys in"), "{human}");
    let human = place.run(&["stats", "s", "--human"]).expect(0).out;
    assert!(human.contains("5,000  keys loaded from the checkpoint when opening\n"), "{human}");
}

#[test]
fn help_lists_the_exit_codes_and_wrong_usage_is_one() {
    let place = Place::new();
    let help = place.run(&["--help"]);
    assert_eq!(help.code, 0);
    for code in [0, 1, 2, 3, 4, 5, 6, 7, 8, 141] {
        let listed = help.out.lines().any(|line| line.trim_start().starts_with(&format!("{code}  ")));
        assert!(listed, "{code} is not in {}", help.out);
    }
    for args in [
        &[][..],
        &["fetch"],
        &["import", "s"],
        &["import", "s", "c", "-", "--batch", "0"],
        &["import", "s", "c", "-", "--durability", "maybe"],
        &["count", "s", "c", "--json", "--human"],
    ] {
        let ended = place.run(args);
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.err.contains("--help") && ended.out.is_empty(), "{ended:?}");
    }
    assert_eq!(place.names("."), [""; 0], "wrong usage touches nothing");
}
