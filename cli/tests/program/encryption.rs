//! Encrypted stores from the command line: made and used with a key, told apart without, and given another key.

use crate::support::Place;
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const OTHER: &str = "f00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// The encrypted store `s` with a document in it, and two key files.
fn place() -> Place {
    let place = Place::new();
    place.write("key", format!("{KEY}\n"));
    place.write("other", OTHER);
    place.run_with(&["put", "s", "c", "--key-file", "key"], r#"{"_id": 1, "secret": "sesame"}"#).expect(0);
    place
}

#[test]
fn each_command_takes_the_key_from_a_file_or_the_environment() {
    let place = place();
    let readers: [&[&str]; 8] = [
        &["get", "s", "c", "1"],
        &["scan", "s", "c"],
        &["count", "s", "c"],
        &["export", "s", "c"],
        &["stats", "s"],
        &["checkpoint", "s"],
        &["verify", "s"],
        &["backup", "s", "copy"],
    ];
    for args in readers {
        place.run(&[args, &["--key-file", "key"]].concat()).expect(0);
    }
    for args in &readers[..7] {
        let mut command = place.command(&[args, &["--key-env", "STORE_KEY"][..]].concat());
        let ended = command.env("STORE_KEY", KEY).output().unwrap();
        assert!(ended.status.success(), "{args:?}: {ended:?}");
    }
    let copy = place.run(&["get", "copy", "c", "1", "--key-file", "key"]).expect(0);
    assert!(copy.out.contains("sesame"));
    place.run_with(&["import", "s", "c", "-", "--key-file", "key"], r#"{"_id": 2}"#).expect(0);
    place.run(&["delete", "s", "c", "2", "--key-file", "key"]).expect(0);
}

#[test]
fn a_key_that_is_missing_wrong_or_not_wanted_has_a_code_of_its_own() {
    let place = place();
    let commands = [
        &["get", "s", "c", "1"][..],
        &["verify", "s"],
        &["stats", "s"],
        &["count", "s", "c"],
        &["salvage", "s", "new"],
    ];
    for args in commands {
        place.run(args).expect_saying(9, &["the store at `s` is encrypted", "key"]);
        let wrong = [args, &["--key-file", "other"]].concat();
        place.run(&wrong).expect_saying(9, &["the key is not the one of this store", "s/keys"]);
        let missing = [args, &["--key-file", "missing"]].concat();
        place.run(&missing).expect_saying(9, &["the key file `missing` cannot be read"]);
        let none = [args, &["--key-file", "s/store"]].concat();
        place.run(&none).expect_saying(9, &["the key file `s/store` holds no key"]);
        let unset = [args, &["--key-env", "NO_SUCH_KEY"]].concat();
        place.run(&unset).expect_saying(9, &["the environment variable `NO_SUCH_KEY` is not set"]);
        let both = place.run(&[args, &["--key-env", "A", "--key-file", "key"]].concat());
        assert!(both.code == 2 && both.err.contains("cannot be used with"), "{both:?}");
    }
    place.run_with(&["put", "s", "c"], r#"{"_id": 3}"#).expect_saying(9, &["the store at `s` is encrypted"]);
    place.run_with(&["put", "plain", "c"], r#"{"_id": 1}"#).expect(0);
    let unwanted = place.run(&["get", "plain", "c", "1", "--key-file", "key"]);
    unwanted.expect_saying(9, &["the store at `plain` is not encrypted"]);
}

#[test]
fn rotating_the_key_leaves_the_old_one_useless() {
    let place = place();
    let without = place.run(&["rotate-key", "s", "--key-file", "key"]);
    assert!(without.code == 2 && without.err.contains("--new-key-file"), "{without:?}");
    let rotated = place.run(&["rotate-key", "s", "--key-file", "key", "--new-key-file", "other"]).expect(0);
    assert!(rotated.values()[0]["entries"].as_u64() >= Some(2), "{rotated:?}");
    place.run(&["get", "s", "c", "1", "--key-file", "key"]).expect_saying(9, &["s/keys"]);
    assert!(place.run(&["get", "s", "c", "1", "--key-file", "other"]).expect(0).out.contains("sesame"));
    let missing = place.run(&["rotate-key", "s", "--key-file", "other", "--new-key-file", "missing"]);
    missing.expect_saying(9, &["`missing`"]);
    place.run_with(&["put", "plain", "c"], r#"{"_id": 1}"#).expect(0);
    place.run(&["rotate-key", "plain", "--new-key-file", "key"]).expect_saying(9, &["not encrypted"]);
}

#[test]
fn damage_is_not_taken_for_a_wrong_key() {
    let place = place();
    let mut keys = fs::read(place.path("s/keys")).unwrap();
    keys[50] ^= 1;
    place.write("s/keys", &keys);
    place.run(&["get", "s", "c", "1", "--key-file", "key"]).expect_saying(5, &["s/keys", "checksum"]);
    fs::remove_file(place.path("s/keys")).unwrap();
    place.run(&["get", "s", "c", "1", "--key-file", "key"]).expect_saying(5, &["s/keys", "missing"]);
}

#[test]
fn a_chain_of_backups_is_restored_with_the_key() {
    let place = place();
    let run = |args: &[&str]| place.run(&[args, &["--key-file", "key"]].concat());
    run(&["backup", "s", "full"]).expect(0);
    let position = run(&["stats", "s"]).expect(0).value()["position"].to_string();
    place.run_with(&["put", "s", "c", "--key-file", "key"], r#"{"_id": 2, "secret": "thyme"}"#).expect(0);
    run(&["backup", "s", "more", "--since", "full"]).expect(0);
    run(&["restore", "full", "more", "end"]).expect(0);
    run(&["restore", "full", "more", "at", "--to-position", &position]).expect(0);
    assert_eq!(run(&["count", "end", "c"]).expect(0).value()["count"], 2);
    assert_eq!(run(&["count", "at", "c"]).expect(0).value()["count"], 1);
    // The time is noted once a second, and when a store is closed.
    std::thread::sleep(Duration::from_millis(50));
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().to_string();
    // What comes next is later than that, by the log's clock too.
    std::thread::sleep(Duration::from_millis(50));
    run(&["delete", "s", "c", "1"]).expect(0);
    run(&["backup", "s", "last", "--since", "more"]).expect(0);
    let chain = ["restore", "full", "more", "last"];
    let then = [&chain[..], &["then", "--to-time", &time, "--key-env", "STORE_KEY"]].concat();
    let then = place.command(&then).env("STORE_KEY", KEY).output().unwrap();
    assert!(then.status.success(), "{then:?}");
    assert_eq!(run(&["count", "then", "c"]).expect(0).value()["count"], 2);
    run(&[&chain[..], &["now"]].concat()).expect(0);
    assert_eq!(run(&["count", "now", "c"]).expect(0).value()["count"], 1);
    for restored in ["end", "at", "then", "now"] {
        assert_eq!(run(&["verify", restored]).expect(0).value()["sound"], true, "{restored}");
        place.run(&["count", restored, "c"]).expect_saying(9, &["is encrypted"]);
        let wrong = place.run(&["count", restored, "c", "--key-file", "other"]);
        wrong.expect_saying(9, &["the key is not the one", &format!("{restored}/keys")]);
    }
    place.run(&["restore", "full", "more", "x"]).expect_saying(9, &["encrypted"]);
    let wrong = place.run(&["restore", "full", "more", "x", "--key-file", "other"]);
    wrong.expect_saying(9, &["the key is not the one"]);
    assert!(!place.path("x").exists());
}

#[test]
fn after_a_change_of_the_key_a_full_backup_comes_first() {
    let place = place();
    let with = |key: &str, args: &[&str]| place.run(&[args, &["--key-file", key]].concat());
    with("key", &["backup", "s", "full"]).expect(0);
    place.run_with(&["put", "s", "c", "--key-file", "key"], r#"{"_id": 2}"#).expect(0);
    with("key", &["backup", "s", "more", "--since", "full"]).expect(0);
    with("key", &["rotate-key", "s", "--new-key-file", "other"]).expect(0);
    place.run_with(&["put", "s", "c", "--key-file", "other"], r#"{"_id": 3}"#).expect(0);
    let since = with("other", &["backup", "s", "next", "--since", "more"]);
    since.expect_saying(4, &["no backup was made", "the key", "`more`", "take a full backup"]);
    with("other", &["backup", "s", "next"]).expect(0);
    place.run_with(&["put", "s", "c", "--key-file", "other"], r#"{"_id": 4}"#).expect(0);
    with("other", &["backup", "s", "after", "--since", "next"]).expect(0);
    with("key", &["restore", "full", "more", "old"]).expect(0);
    with("other", &["restore", "next", "after", "new"]).expect(0);
    assert_eq!(with("key", &["count", "old", "c"]).expect(0).value()["count"], 2);
    assert_eq!(with("other", &["count", "new", "c"]).expect(0).value()["count"], 4);
    with("other", &["restore", "full", "more", "x"])
        .expect_saying(9, &["the key is not the one", "full/keys"]);
    with("key", &["restore", "next", "x"]).expect_saying(9, &["the key is not the one", "next/keys"]);
    let mixed = with("key", &["restore", "full", "after", "x"]);
    mixed.expect_saying(4, &["the key of the store was changed since `full` was backed up"]);
}

#[test]
fn a_damaged_store_is_verified_and_salvaged_with_the_key() {
    let place = place();
    let run = |args: &[&str]| place.run(&[args, &["--key-file", "key"]].concat());
    run(&["checkpoint", "s"]).expect(0);
    assert_eq!(run(&["salvage", "s", "whole"]).expect(0).value()["complete"], true);
    assert!(run(&["get", "whole", "c", "1"]).expect(0).out.contains("sesame"));
    place.run(&["get", "whole", "c", "1"]).expect_saying(9, &["encrypted"]);
    let mut pages = fs::read(place.path("s/pages-000000000000")).unwrap();
    let leaf = pages.chunks(8_192).position(|page| page[4] == 3 && page[28] == 1).unwrap();
    pages[leaf * 8_192 + 100] ^= 1;
    place.write("s/pages-000000000000", &pages);
    run(&["verify", "s"]).expect_saying(5, &["pages-000000000000"]);
    run(&["salvage", "s", "new"]).expect_saying(5, &["not everything of `s`"]);
}

/// What rotating writes anew is compressed as it was, without being told.
#[test]
fn compression_lasts() {
    let place = place();
    let run = |args: &[&str]| place.run(&[args, &["--key-file", "key"]].concat());
    let lines: String =
        (10..2_000).map(|n| format!("{{\"_id\":{n},\"text\":\"{}\"}}\n", "abc ".repeat(50))).collect();
    place.run_with(&["import", "s", "c", "-", "--key-file", "key"], lines).expect(0);
    let before = run(&["checkpoint", "s", "--compression", "lz4"]).expect(0).value()["pages"].as_u64();
    let rotated = run(&["rotate-key", "s", "--new-key-file", "other"]).expect(0).value();
    assert!(rotated["pages"].as_u64() <= before.map(|pages| pages + 5), "{rotated} {before:?}");
    let plain = ["rotate-key", "s", "--key-file", "other", "--new-key-file", "key", "--compression", "none"];
    let plain = place.run(&plain).expect(0).value();
    assert!(plain["pages"].as_u64() > before.map(|pages| pages * 3), "{plain} {before:?}");
}
