//! `stats`, `verify`, and the program's own words.

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
    let on_disk: usize = place.contents("s").iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(stats["file_bytes"], on_disk);
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
