//! Encrypted and compressed stores in which a byte of one file is another: what `verify` and `salvage` say of each, with the key, without, and with another.

use crate::support::{Ended, Place};
use serde_json::json;
use std::fs;

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const OTHER: &str = "f00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const BLOCK: usize = 4_096;
const PAGE_BYTES: usize = 8_192;

fn lines(ids: std::ops::Range<u32>) -> String {
    ids.map(|n| format!("{{\"_id\":{n},\"text\":\"{}\"}}\n", format!("town {n} ").repeat(20))).collect()
}

/// The store `s`, compressed, with 600 documents in its checkpoint and 200 behind it; what is said besides to use it.
fn place(is_encrypted: bool) -> (Place, &'static [&'static str]) {
    let place = Place::new();
    place.write("key", KEY);
    place.write("other", OTHER);
    let key: &[&str] = if is_encrypted { &["--key-file", "key"] } else { &[] };
    let import = |text: String| {
        let args = [&["import", "s", "c", "-", "--batch", "10", "--compression", "lz4"], key].concat();
        place.run_with(&args, text).expect(0);
    };
    import(lines(0..600));
    place.run(&[&["checkpoint", "s"], key].concat()).expect(0);
    import(lines(600..800));
    (place, key)
}

/// Where a flipped bit is found: kind, file, offset of the bit, and of what is said to be wrong.
fn places(place: &Place, is_encrypted: bool) -> Vec<(&'static str, String, usize, usize)> {
    let pages = fs::read(place.path("s/pages-000000000000")).unwrap();
    let leaf = pages.chunks(PAGE_BYTES).position(|page| page[4] == 3 && page[28] == 1).unwrap() * PAGE_BYTES;
    assert_eq!(pages[leaf + 5], 1, "it is compressed");
    let log = fs::read(place.path("s/log-000000000000")).unwrap();
    let is_commit =
        |at: &usize| log[*at + 8..*at + 16] == (*at as u64 - BLOCK as u64).to_le_bytes() && log[*at + 4] == 1;
    let commits: Vec<usize> = (BLOCK..200_000).step_by(8).filter(is_commit).collect();
    let commit = commits[commits.len() - 10];
    let manifest = place.names("s").into_iter().find(|name| name.starts_with("manifest-")).unwrap();
    let mut all = vec![
        ("page", "pages-000000000000".to_owned(), leaf + 500, leaf),
        ("frame", "log-000000000000".to_owned(), commit + 50, commit),
        ("manifest", manifest, 90, 0),
    ];
    if is_encrypted {
        all.push(("store", "keys".to_owned(), 70, 0));
    }
    all
}

#[test]
fn each_file_in_turn() {
    for is_encrypted in [true, false] {
        let (place, key) = place(is_encrypted);
        let run = |args: &[&str]| place.run(&[args, key].concat());
        assert_eq!(run(&["verify", "s"]).expect(0).value()["sound"], true);
        assert_eq!(run(&["salvage", "s", "whole"]).expect(0).value()["complete"], true);
        assert_eq!(run(&["count", "whole", "c"]).expect(0).value()["count"], 800);
        for (kind, file, at, wrong) in places(&place, is_encrypted) {
            let path = format!("s/{file}");
            let before = fs::read(place.path(&path)).unwrap();
            let mut flipped = before.clone();
            flipped[at] ^= 4;
            place.write(&path, &flipped);
            let new = format!("new-{kind}");
            if kind == "store" {
                // Nothing can be said of anything without the data keys.
                for args in [&["verify", "s"][..], &["salvage", "s", &new], &["count", "s", "c"]] {
                    run(args).expect_saying(5, &["s/keys` is damaged", "checksum"]);
                }
                assert!(!place.path(&new).exists());
            } else {
                run(&["count", "s", "c"]).expect_saying(5, &["damaged", &file]);
                let found = run(&["verify", "s"]).expect_saying(5, &["`s` is damaged", &file]).value();
                assert_eq!(found["findings"].as_array().unwrap().len(), 1, "{found}");
                let finding = &found["findings"][0];
                let expected = (&json!(kind), &json!(file), &json!(wrong));
                assert_eq!((&finding["kind"], &finding["file"], &finding["offset"]), expected, "{finding}");
                refused_without_the_key(&place, is_encrypted);
                assert_salvaged(&run(&["salvage", "s", &new]), kind);
                assert_eq!(run(&["verify", &new]).expect(0).value()["sound"], true);
                let left = run(&["count", &new, "c"]).expect(0).value()["count"].as_u64();
                let expected = if kind == "manifest" { 800..=800 } else { 400..=795 };
                assert!(left.is_some_and(|left| expected.contains(&left)), "{kind}: {left:?}");
            }
            place.write(&path, &before);
        }
        assert_eq!(run(&["count", "s", "c"]).expect(0).value()["count"], 800, "all is put back");
    }
}

/// A wrong key is told as such, damage or not, and nothing is made.
fn refused_without_the_key(place: &Place, is_encrypted: bool) {
    for args in [&["verify", "s"][..], &["salvage", "s", "refused"]] {
        let other = place.run(&[args, &["--key-file", "other"]].concat());
        if is_encrypted {
            other.expect_saying(9, &["the key is not the one of this store", "s/keys"]);
            place.run(args).expect_saying(9, &["the store at `s` is encrypted"]);
        } else {
            other.expect_saying(9, &["the store at `s` is not encrypted"]);
        }
    }
    assert!(!place.path("refused").exists());
}

fn assert_salvaged(ended: &Ended, kind: &str) {
    assert_eq!(ended.code, 5, "{ended:?}");
    assert!(ended.err.contains("not everything of `s`"), "{ended:?}");
    let made = ended.value();
    assert_eq!((&made["complete"], &made["findings"][0]["kind"]), (&json!(false), &json!(kind)), "{made}");
}

/// Somebody who has no key changed a commit, and made its checksum right.
#[test]
fn a_commit_that_somebody_changed() {
    let (place, key) = place(true);
    let run = |args: &[&str]| place.run(&[args, key].concat());
    let (_, file, _, at) = places(&place, true).swap_remove(1);
    let path = format!("s/{file}");
    let mut log = fs::read(place.path(&path)).unwrap();
    let payload_bytes = u32::from_le_bytes(log[at + 24..at + 28].try_into().unwrap()) as usize;
    log[at + 40] ^= 1;
    let payload = crc32c::crc32c(&log[at + 32..at + 32 + payload_bytes]);
    let crc = crc32c::crc32c_append(payload, &log[at..at + 28]);
    log[at + 28..at + 32].copy_from_slice(&crc.to_le_bytes());
    place.write(&path, &log);
    let place_of = format!("`{file}` at byte {at}");
    run(&["count", "s", "c"]).expect_saying(5, &["the log was changed", &place_of]);
    let found = run(&["verify", "s"]).expect_saying(5, &[&place_of, "was changed"]).value();
    assert_eq!(found["findings"].as_array().unwrap().len(), 1, "{found}");
    assert!(found["findings"][0]["lost"]["to_position"].as_u64() > Some(at as u64 - 4_096), "{found}");
    assert_salvaged(&run(&["salvage", "s", "new"]), "frame");
    assert_eq!(run(&["count", "new", "c"]).expect(0).value()["count"], 790, "one batch of ten is lost");
}
