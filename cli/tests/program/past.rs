//! `history` and `diff`: what the log says of the past, over several openings; `find --at` with a time.

use crate::support::Place;
use serde_json::{Value, json};

/// A document that is put, changed, deleted and put again, each time by a process of its own; and one that is put once.
fn place() -> Place {
    let place = Place::new();
    place.run(&["put", "s", "c", r#"{"_id": 1, "n": 1}"#]).expect(0);
    place.run(&["put", "s", "c", r#"{"_id": 1, "n": 2}"#]).expect(0);
    place.run(&["put", "s", "c", r#"{"_id": "other", "n": 7}"#]).expect(0);
    place.run(&["delete", "s", "c", "1"]).expect(0);
    place.run(&["put", "s", "c", r#"{"_id": 1, "n": 3}"#]).expect(0);
    place
}

fn history(place: &Place, id: &str) -> Vec<Value> {
    place.run(&["history", "s", "c", id]).expect(0).values()
}

fn diff(place: &Place, moments: &[&str]) -> Vec<Value> {
    place.run(&[&["diff", "s", "c"], moments].concat()).expect(0).values()
}

#[test]
fn each_revision_is_printed_whoever_wrote_it() {
    let place = place();
    let found = history(&place, "1");
    let said: Vec<Value> =
        found.iter().map(|line| json!([line["version"], line["deleted"], line["document"]["n"]])).collect();
    let expected =
        [json!([1, false, 1]), json!([2, false, 2]), json!([null, true, null]), json!([1, false, 3])];
    assert_eq!(said, expected);
    let positions: Vec<u64> = found.iter().map(|line| line["position"].as_u64().unwrap()).collect();
    assert!(positions.is_sorted_by(|a, b| a < b), "{positions:?}");
    assert!(
        found.iter().all(|line| line["noted"].as_str().is_some_and(|time| time.ends_with('Z'))),
        "{found:?}"
    );
    let told = place.run(&["history", "s", "c", "1", "--json"]).expect(0);
    assert!(told.err.contains(r#"{"log_from":0}"#), "{}", told.err);
    let nothing = place.run(&["history", "s", "c", "nobody"]).expect(3);
    assert!(
        nothing.err.contains("says nothing of the id nobody of `c`: it goes back to position 0"),
        "{}",
        nothing.err
    );
}

#[test]
fn what_changed_is_printed_between_positions_and_times() {
    let place = place();
    let positions: Vec<String> =
        history(&place, "1").iter().map(|line| line["position"].to_string()).collect();
    let one = |n: i32| json!({"_id": 1, "n": n});
    // From before the second revision to before the fourth.
    let expected = [
        json!({"_id": 1, "before": one(1), "after": null}),
        json!({"_id": "other", "before": null, "after": {"_id": "other", "n": 7}}),
    ];
    assert_eq!(diff(&place, &[&positions[1], &positions[3]]), expected);
    place
        .run(&["diff", "s", "c", &positions[3], &positions[1]])
        .expect_saying(2, &["swap the two", &positions[3]]);
    assert!(diff(&place, &[&positions[1], &positions[1]]).is_empty());
    assert_eq!(diff(&place, &[&positions[3]]), [json!({"_id": 1, "before": null, "after": one(3)})]);
    let beyond = place.run(&["diff", "s", "c", "99999999"]).expect(3);
    assert!(beyond.err.contains("not reached"), "{}", beyond.err);
    let before = place.run(&["diff", "s", "c", "2001-01-01T00:00:00Z"]).expect(3);
    assert!(before.err.contains("is gone"), "{}", before.err);
    assert_eq!(place.run(&["diff", "s", "c", "yesterday"]).code, 2);
}

/// A checkpoint gives the log up, and other commands do not.
#[test]
fn what_the_log_does_not_hold_is_said_to_be_missing() {
    let place = Place::new();
    let lines: String =
        (0..60_000).map(|n| format!("{{\"_id\":{n},\"text\":\"{}\"}}\n", "x".repeat(1_200))).collect();
    place.write("many.json", &lines);
    place.run(&["import", "s", "c", "many.json", "--batch", "1000", "--durability", "none"]).expect(0);
    place.run(&["put", "s", "c", r#"{"_id": 1, "n": 1}"#]).expect(0);
    place.run(&["checkpoint", "s"]).expect(0);
    place.run(&["put", "s", "c", r#"{"_id": 2, "n": 2}"#]).expect(0);
    place.run(&["get", "s", "c", "1"]).expect(0);
    place.run(&["history", "s", "c", "59"]).expect(3);
    let found = history(&place, "2");
    assert_eq!(found.iter().map(|line| &line["version"]).collect::<Vec<_>>(), [&json!(2)]);
    let position = found[0]["position"].to_string();
    let changed = diff(&place, &[&position]);
    assert_eq!(
        changed,
        [json!({"_id": 2, "after": {"_id": 2, "n": 2}})],
        "what was there before is not known"
    );
    let gone = place.run(&["diff", "s", "c", "8"]).expect(3);
    assert!(gone.err.contains("is gone"), "{}", gone.err);
}

#[test]
fn a_shell_reads_the_past_by_time_and_by_position() {
    let place = place();
    let script = "find c --at 2001-01-01T00:00:00Z\n";
    let failed = place.run_with(&["shell", "s"], script);
    assert!(failed.err.contains("is gone"), "{}", failed.err);
    let script = "put c '{\"_id\": 9}'\nhistory c 9\nfind c '{\"_id\": 9}' --count\n";
    let done = place.run_with(&["shell", "s", "--retain-history", "100000"], script).expect(0);
    assert!(done.out.contains(r#""version":1"#), "{}", done.out);
}
