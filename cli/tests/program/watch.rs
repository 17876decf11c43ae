//! `watch`: what was changed, for whoever was not there.

use crate::support::{Ended, Place};
use serde_json::{Value, json};

/// Five commits: three documents in one, two of them changed in the next, one deleted, one in another collection, and one replaced.
fn changed() -> Place {
    let place = Place::with_documents("{\"_id\":1,\"n\":1}\n{\"_id\":2,\"n\":2}\n{\"_id\":3,\"n\":3}\n");
    place.run(&["update", "s", "c", r#"{"n": {"$gt": 1}}"#, r#"{"$inc": {"n": 10}}"#]).expect(0);
    place.run(&["delete", "s", "c", "1"]).expect(0);
    place.run(&["put", "s", "d", r#"{"_id": "x", "at": {"$date": "2026-01-01T00:00:00Z"}}"#]).expect(0);
    place.run(&["put", "s", "c", r#"{"_id": 3, "n": "three"}"#]).expect(0);
    place
}

fn watch(place: &Place, args: &[&str]) -> Ended {
    place.run(&[&["watch", "s"], args].concat())
}

fn watched(place: &Place, args: &[&str]) -> Vec<Value> {
    watch(place, args).expect(0).values()
}

/// What it is besides where it stands.
fn what(change: &Value) -> Value {
    let mut what = change.clone();
    for name in ["position", "cursor"] {
        assert!(what.as_object_mut().unwrap().remove(name).is_some(), "no {name} in {change}");
    }
    what
}

fn whats(changes: &[Value]) -> Vec<Value> {
    changes.iter().map(what).collect()
}

/// Where a run said that it ended.
#[track_caller]
fn told(ended: &Ended) -> String {
    let told: Value = serde_json::from_str(&ended.err).unwrap_or_else(|_| panic!("{ended:?}"));
    told["cursor"].as_str().unwrap().to_owned()
}

#[test]
fn everything_is_told_in_the_order_of_commits_with_what_was_there_before() {
    let place = changed();
    let changes = watched(&place, &["--from", "0"]);
    let expected = [
        json!({"collection": "c", "kind": "inserted", "id": 1, "after": {"_id": 1, "n": 1}}),
        json!({"collection": "c", "kind": "inserted", "id": 2, "after": {"_id": 2, "n": 2}}),
        json!({"collection": "c", "kind": "inserted", "id": 3, "after": {"_id": 3, "n": 3}}),
        json!({"collection": "c", "kind": "updated", "id": 2, "before": {"_id": 2, "n": 2}, "after": {"_id": 2, "n": 12}}),
        json!({"collection": "c", "kind": "updated", "id": 3, "before": {"_id": 3, "n": 3}, "after": {"_id": 3, "n": 13}}),
        json!({"collection": "c", "kind": "deleted", "id": 1, "before": {"_id": 1, "n": 1}}),
        json!({"collection": "d", "kind": "inserted", "id": "x", "after": {"_id": "x", "at": {"$date": "2026-01-01T00:00:00Z"}}}),
        json!({"collection": "c", "kind": "updated", "id": 3, "before": {"_id": 3, "n": 13}, "after": {"_id": 3, "n": "three"}}),
    ];
    assert_eq!(whats(&changes), expected);
    let positions: Vec<u64> = changes.iter().map(|change| change["position"].as_u64().unwrap()).collect();
    let [inserted, updated, ..] = [positions[0], positions[3]];
    assert_eq!(positions[..5], [inserted, inserted, inserted, updated, updated]);
    assert!(inserted < updated && positions[4..].is_sorted_by(|a, b| a < b), "{positions:?}");

    // Of one collection; from a position; without what was before.
    assert_eq!(whats(&watched(&place, &["d", "--from", "0"])), expected[6..7]);
    let from = updated.to_string();
    let later = watched(&place, &["--from", &from, "--no-before"]);
    let mut without = expected[3..].to_vec();
    without.iter_mut().for_each(|change| drop(change.as_object_mut().unwrap().remove("before")));
    assert_eq!(whats(&later), without);
    assert_eq!(watched(&place, &["--from", &(updated + 1).to_string()]).len(), 3);
    // In the middle of what is known: what was before the first change of each is not.
    let later = whats(&watched(&place, &["c", "--from", &from]));
    assert_eq!((&later[1]["before"], &later[3]["before"]), (&Value::Null, &json!({"_id": 3, "n": 13})));
    assert_eq!(later[2], json!({"collection": "c", "kind": "deleted", "id": 1}));
}

#[test]
fn every_cursor_goes_on_behind_its_change_also_within_a_transaction() {
    let place = changed();
    let all = watched(&place, &["--from", "0"]);
    for (index, change) in all.iter().enumerate() {
        let rest = watched(&place, &["--after", change["cursor"].as_str().unwrap(), "--no-before"]);
        let ids = |changes: &[Value]| -> Vec<Value> {
            changes.iter().map(|change| json!([change["position"], change["id"], change["after"]])).collect()
        };
        assert_eq!(ids(&rest), ids(&all[index + 1..]), "behind {change}");
    }
    // A page at a time, each in a process of its own, while the store goes on.
    let (mut pages, mut args) = (Vec::new(), vec!["--from".to_owned(), "0".to_owned()]);
    for n in 0.. {
        let refs: Vec<&str> = args.iter().map(String::as_str).collect();
        let ended = watch(&place, &[&refs[..], &["--limit", "2", "--cursor"]].concat()).expect(0);
        let page = ended.values();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 2, "{ended:?}");
        assert_eq!(page.last().unwrap()["cursor"], told(&ended));
        if n < 3 {
            place.run(&["put", "s", "d", &json!({ "_id": n }).to_string()]).expect(0);
        }
        pages.extend(page);
        args = vec!["--after".to_owned(), told(&ended)];
    }
    let ids: Vec<&Value> = pages.iter().map(|change| &change["id"]).collect();
    assert_eq!(json!(ids), json!([1, 2, 3, 2, 3, 1, "x", 3, 0, 1, 2]));
}

#[test]
fn a_cursor_of_now_leads_to_what_comes_later() {
    let place = changed();
    let ended = watch(&place, &["--cursor"]).expect(0);
    assert_eq!(ended.out, "");
    let cursor = told(&ended);
    place.run(&["remove", "s", "c", "-"]).expect(0);
    let changes = whats(&watched(&place, &["--after", &cursor]));
    let deleted = |id| json!({"collection": "c", "kind": "deleted", "id": id});
    assert_eq!(changes, [deleted(2), deleted(3)]);
    // Where nothing is wanted, the cursor moves on all the same.
    let moved = told(&watch(&place, &["d", "--after", &cursor, "--cursor"]).expect(0));
    assert_eq!(watch(&place, &["--after", &moved]).expect(0).out, "");
    let human = watch(&place, &["--after", &cursor, "--human", "--cursor", "--for", "0.01"]).expect(0);
    assert!(human.err.starts_with("go on with --after "), "{human:?}");
}

#[test]
fn a_filter_takes_what_matches_before_or_after() {
    let place = changed();
    let of = |filter: &str, args: &[&str]| -> Value {
        let changes = watched(&place, &[&["--filter", filter, "--from"], args].concat());
        changes.iter().map(|change| json!([change["kind"], change["id"]])).collect()
    };
    // What was there before the first change of each document is not known after an opening: those are told.
    let first = [json!(["inserted", 1]), json!(["inserted", 2]), json!(["inserted", 3])];
    let told = |behind: &[Value]| Value::Array([&first[..], behind].concat());
    let of_d = json!(["inserted", "x"]);
    assert_eq!(of(r#"{"n": 1}"#, &["0"]), told(&[json!(["deleted", 1]), of_d.clone()]));
    assert_eq!(
        of(r#"{"n": 13}"#, &["0"]),
        told(&[json!(["updated", 3]), of_d.clone(), json!(["updated", 3])])
    );
    assert_eq!(of(r#"{"n": 13}"#, &["0", "--limit", "1"]), json!([["inserted", 1]]));
    assert_eq!(of(r#"{"n": 12}"#, &["0", "d"]), Value::Array(vec![of_d.clone()]));
    // The deletion may have been of one that matched.
    let deletion = watched(&place, &["--from", "0"])[5]["position"].to_string();
    assert_eq!(of(r#"{"n": 4711}"#, &[&deletion]), json!([["deleted", 1], of_d, ["updated", 3]]));
}

#[test]
fn people_see_what_was_and_what_is() {
    let place = changed();
    let ended = watch(&place, &["--from", "0", "--human"]).expect(0);
    let lines: Vec<&str> = ended.out.lines().collect();
    let headless: Vec<&str> = lines
        .iter()
        .map(|line| line.trim_start_matches(|c: char| c.is_ascii_digit()))
        .filter(|line| !line.contains("inserted c"))
        .collect();
    let expected = [
        r#"  + {"_id":1,"n":1}"#,
        r#"  + {"_id":2,"n":2}"#,
        r#"  + {"_id":3,"n":3}"#,
        " updated c 2",
        r#"  - {"_id":2,"n":2}"#,
        r#"  + {"_id":2,"n":12}"#,
        " updated c 3",
        r#"  - {"_id":3,"n":3}"#,
        r#"  + {"_id":3,"n":13}"#,
        " deleted c 1",
        r#"  - {"_id":1,"n":1}"#,
        r#" inserted d "x""#,
    ];
    assert_eq!(headless[..expected.len()], expected, "{ended:?}");
}

#[test]
fn a_checkpoint_leaves_what_its_segment_holds_to_positions_and_cursors() {
    let place = changed();
    let all = watched(&place, &["--from", "0"]);
    let checkpoint = place.run(&["checkpoint", "s"]).expect(0).value()["position"].to_string();
    assert_eq!(whats(&watched(&place, &["--from", "0"])), whats(&all));
    place.run(&["put", "s", "c", r#"{"_id": 4}"#]).expect(0);
    let later = whats(&watched(&place, &["--from", &checkpoint]));
    assert_eq!(later, [json!({"collection": "c", "kind": "inserted", "id": 4, "after": {"_id": 4}})]);
    // The log before is still there, as long as its file is not used again.
    let rest = watched(&place, &["--after", all[1]["cursor"].as_str().unwrap()]);
    assert_eq!(rest.len(), all.len() - 2 + 1);
}

#[test]
fn of_an_encrypted_store_it_is_the_same() {
    let place = Place::new();
    place.write("key", "a1".repeat(32));
    let with_key = |args: &[&str]| place.run(&[args, &["--key-file", "key"]].concat()).expect(0);
    for id in 0..3 {
        with_key(&["put", "s", "c", &json!({ "_id": id }).to_string()]);
    }
    let first = with_key(&["watch", "s", "--from", "0", "--limit", "1"]).value();
    let rest = with_key(&["watch", "s", "--after", first["cursor"].as_str().unwrap()]).values();
    assert_eq!(rest.iter().map(|change| &change["id"]).collect::<Vec<_>>(), [1, 2]);
    watch(&place, &["--from", "0"]).expect(9);
}

#[test]
fn the_shell_tells_what_it_did() {
    let place = changed();
    let script = "put c {\"_id\": 9}\nwatch d --cursor\nupdate c {\"_id\": 9} {\"$set\": {\"a\": 1}}\n";
    let ended = place.run_with(&["shell", "s"], script).expect(0);
    let script = format!("watch c --after {} --filter {{\"a\": 1}}\n", told(&ended));
    let changes = place.run_with(&["shell", "s"], script).expect(0).values();
    let expected = json!({"collection": "c", "kind": "updated", "id": 9, "after": {"_id": 9, "a": 1}});
    assert_eq!(whats(&changes), [expected]);
    // In one process it is known what was there.
    let position = changes[0]["position"].as_u64().unwrap();
    let script = format!("update c {{\"_id\": 9}} {{\"$inc\": {{\"a\": 1}}}}\nwatch --from {position}\n");
    let values = place.run_with(&["shell", "s"], script).expect(0).values();
    assert_eq!(what(&values[2])["before"], json!({"_id": 9, "a": 1}), "{values:?}");
}

#[test]
fn mistakes_are_told_and_touch_nothing() {
    let place = changed();
    let before = place.contents("s");
    for (args, says) in [
        (&["--after", "zzz"][..], "this is no cursor of a feed"),
        (&["--after", ""], "this is no cursor of a feed"),
        (&["--from", "yesterday"], "give `now`, or a position"),
        (&["--from", "0", "--after", "zzz"], "--after"),
        (&["--limit", "0"], "--limit"),
        (&["--for=-1"], "give a number of seconds"),
        (&["--for", "inf"], "give a number of seconds"),
        (&["--filter", r#"{"a": {"$above": 1}}"#], "there is no operator \"$above\" here"),
    ] {
        let ended = watch(&place, args);
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{ended:?}");
        assert!(ended.err.contains(says), "{says:?} is not in {ended:?}");
    }
    assert_eq!(place.contents("s"), before);
    watch(&place, &["nothing", "--from", "0"]).expect_saying(3, &["no collection `nothing`", "it has c, d"]);
    watch(&place, &["--from", "99999999"]).expect_saying(3, &["is not reached yet"]);
    watch(&place, &["--from", &u64::MAX.to_string()]).expect_saying(3, &["is not reached yet"]);

    let other = changed();
    let cursor = told(&watch(&other, &["--cursor"]).expect(0));
    watch(&place, &["--after", &cursor]).expect_saying(2, &["belongs to another store"]);
    place.run(&["watch", "nowhere"]).expect(3);
    assert_eq!(place.names("."), ["s"]);
}
