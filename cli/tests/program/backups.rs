//! `backup` and `restore`: chains of backups, and what they are restored to.

use crate::support::Place;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The ids in a restored store.
fn ids(place: &Place, store: &str) -> Vec<Value> {
    let found = place.run(&["scan", store, "c"]).expect(0).values();
    found.into_iter().map(|mut document| document["_id"].take()).collect()
}

/// `full` with 1 and 2; `more`, before which 3 came and 1 went; `last`, before which 4 came. Also a position and a time, in milliseconds, before 1 went.
fn chain() -> (Place, String, String) {
    let place = Place::with_documents("{\"_id\":1}\n{\"_id\":2}\n");
    place.run(&["backup", "s", "full"]).expect(0);
    place.run_with(&["put", "s", "c"], "{\"_id\":3}").expect(0);
    let position = place.run(&["stats", "s"]).expect(0).value()["position"].to_string();
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().to_string();
    // What comes next is to be later, by the log's clock of milliseconds too.
    std::thread::sleep(Duration::from_millis(50));
    place.run(&["delete", "s", "c", "1"]).expect(0);
    let more = place.run(&["backup", "s", "more", "--since", "full"]).expect(0).value();
    assert_eq!(more.get("gap"), Some(&json!(null)));
    assert!(more["position"].as_u64() >= more["checkpoint"].as_u64(), "{more}");
    place.run_with(&["put", "s", "c"], "{\"_id\":4}").expect(0);
    let last = place.run(&["backup", "s", "last", "--since", "more", "--human"]).expect(0).out;
    assert!(last.contains("4 keys as of position") && last.contains("in `last`"), "{last}");
    (place, position, time)
}

#[test]
fn to_the_end_to_a_position_and_to_a_time() {
    let (place, position, time) = chain();
    let backups: Vec<_> = ["full", "more", "last"].map(|name| place.contents(name)).into();
    let end = place.run(&["restore", "full", "more", "last", "end"]).expect(0).value();
    assert_eq!(ids(&place, "end"), [json!(2), json!(3), json!(4)]);
    assert!(end["commits"] == 0 && end["bytes"].as_u64() > Some(0), "{end}");
    let at = place.run(&["restore", "full", "more", "at", "--to-position", &position]).expect(0).value();
    assert_eq!((ids(&place, "at"), at["commits"].as_u64()), (vec![json!(1), json!(2), json!(3)], Some(1)));
    let then = place.run(&["restore", "full", "more", "last", "then", "--to-time", &time]).expect(0).value();
    assert_eq!(ids(&place, "then"), [json!(1), json!(2), json!(3)]);
    assert!(then["as_of"].as_str().unwrap().starts_with("20"), "{then}");
    let human = place.run(&["restore", "full", "first", "--human"]).expect(0).out;
    assert!(human.contains("3 keys as of position") && human.contains("in `first`"), "{human}");
    assert_eq!(ids(&place, "first"), [json!(1), json!(2)]);
    place.run_with(&["put", "then", "c"], "{\"_id\":9}").expect(0);
    assert_eq!(place.run(&["verify", "then"]).expect(0).value()["sound"], true);
    let after: Vec<_> = ["full", "more", "last"].map(|name| place.contents(name)).into();
    assert!(backups == after, "the backups are as they were");
}

#[test]
fn what_cannot_be_restored_is_told_apart() {
    let (place, ..) = chain();
    place.run(&["restore", "more", "full", "x"]).expect_saying(4, &["`more`", "incremental"]);
    place.run(&["restore", "full", "last", "x"]).expect_saying(4, &["`last` does not go on from `full`"]);
    place.run(&["restore", "full", "s", "x"]).expect_saying(3, &["`s` is no backup"]);
    place.run(&["restore", "nowhere", "x"]).expect_saying(3, &["nowhere"]);
    let future = ["restore", "full", "x", "--to-time", "2999-01-01T00:00:00Z"];
    place.run(&future).expect_saying(3, &["do not cover the time 2999", "positions ", " to "]);
    place.run(&["restore", "full", "x", "--to-position", "8"]).expect_saying(3, &["do not cover position 8"]);
    place.run(&["restore", "full", "s"]).expect_saying(4, &["not empty"]);
    for args in [
        &["restore", "full"][..],
        &["restore", "full", "x", "--to-time", "yesterday"],
        &["restore", "full", "x", "--to-time", "1", "--to-position", "8"],
    ] {
        assert_eq!(place.run(args).code, 2, "{args:?}");
    }
    assert!(!place.path("x").exists());
    place.run(&["count", "more", "c"]).expect_saying(3, &["is a backup, not a store", "skipstone restore"]);
    place.run(&["backup", "s", "x", "--since", "s"]).expect_saying(3, &["`s` is no backup"]);
    place.run(&["restore", "full", "more", "last", "restored"]).expect(0);
    let refused = place.run(&["backup", "restored", "x", "--since", "last"]);
    refused.expect_saying(4, &["no backup was made", "another timeline", "take a full backup"]);
    let mut bytes = std::fs::read(place.path("more/backup")).unwrap();
    bytes[40] ^= 1;
    place.write("more/backup", bytes);
    place.run(&["restore", "full", "more", "y"]).expect_saying(5, &["more/backup` is damaged"]);
}
