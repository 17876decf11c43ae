//! `salvage`: what is left of a damaged store.

use crate::support::Place;
use serde_json::json;
use std::fs;
use std::os::unix::fs::FileExt;

fn lines(count: usize) -> String {
    (0..count).map(|n| format!("{{\"_id\":{n},\"text\":\"{n:0200}\"}}\n")).collect()
}

#[test]
fn a_sound_store_comes_over_whole() {
    let place = Place::new();
    place.run_with(&["import", "s", "c", "-"], lines(100)).expect(0);
    let before = place.contents("s");
    let made = place.run(&["salvage", "s", "new"]).expect(0).value();
    assert_eq!((&made["complete"], &made["findings"]), (&json!(true), &json!([])));
    let keyspace = json!({ "name": "c", "is_collection": true, "entries": 100, "uncertain": 0 });
    assert_eq!(made["keyspaces"], json!([keyspace]));
    assert_eq!(place.contents("s"), before);
    assert_eq!(place.run(&["count", "new", "c"]).expect(0).value()["count"], 100);
    place.run(&["salvage", "s", "new"]).expect_saying(4, &["`new` is not empty"]);
    place.run(&["salvage", "nowhere", "new2"]).expect_saying(3, &["there is no store at `nowhere`"]);
    let human = place.run(&["salvage", "s", "people", "--human"]).expect(0).out;
    assert!(human.contains("c: 100 documents") && human.ends_with("nothing was lost\n"), "{human}");
}

#[test]
fn what_is_lost_is_listed_and_the_exit_code_says_so() {
    let place = Place::new();
    place.run_with(&["import", "s", "c", "-"], lines(200)).expect(0);
    place.run(&["checkpoint", "s"]).expect(0);
    let file = place.path("s/pages-000000000000");
    let bytes = fs::read(&file).unwrap();
    let leaf = bytes.chunks(8_192).position(|page| page[4] == 3 && page[28] == 1).unwrap();
    fs::File::options().write(true).open(&file).unwrap().write_all_at(b"x", leaf as u64 * 8_192 + 9).unwrap();
    place.run(&["count", "s", "c"]).expect_saying(5, &["the checkpoint is damaged"]);
    let made =
        place.run(&["salvage", "s", "new"]).expect_saying(5, &["not everything of `s`", "1 places"]).value();
    assert_eq!((&made["complete"], &made["findings"][0]["lost"]["collection"]), (&json!(false), &json!("c")));
    let left = made["keyspaces"][0]["entries"].as_u64().unwrap();
    assert!((100..200).contains(&left), "{made}");
    assert_eq!(place.run(&["count", "new", "c"]).expect(0).value()["count"], left);
    assert_eq!(place.run(&["verify", "new"]).expect(0).value()["sound"], true);
    let human = place.run(&["salvage", "s", "people", "--human"]).expect(5).out;
    assert!(human.contains("lost: documents of `c`"), "{human}");
}
