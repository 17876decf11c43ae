//! Stores that cannot be opened, and systems that refuse: each with its message and exit code.

use crate::support::{PROGRAM, Place, run};
use serde_json::json;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The length of a page of a checkpoint.
const PAGE_BYTES: usize = 8_192;

/// Somebody without privileges.
const NOBODY: u32 = 65_534;

/// Commands that open a store which must be there.
const READERS: &[&[&str]] = &[
    &["get", "s", "c", "1"],
    &["delete", "s", "c", "1"],
    &["scan", "s", "c"],
    &["count", "s", "c"],
    &["export", "s", "c"],
    &["stats", "s"],
    &["checkpoint", "s"],
    &["verify", "s"],
];

/// Commands that make the store if it is missing.
const WRITERS: &[&[&str]] = &[&["import", "s", "c", "-"], &["put", "s", "c"]];

/// Those that open the store, and end with the first thing that is wrong.
fn openers() -> impl Iterator<Item = &'static [&'static str]> {
    everybody().filter(|args| args[0] != "verify")
}

fn everybody() -> impl Iterator<Item = &'static [&'static str]> {
    READERS.iter().chain(WRITERS).copied()
}

#[test]
fn a_store_that_is_missing_is_not_made_by_reading() {
    let place = Place::new();
    for args in READERS {
        place.run(args).expect_saying(3, &["there is no store at `s`"]);
        assert_eq!(place.names("."), [""; 0], "{args:?}");
    }
}

#[test]
fn an_empty_directory_is_no_store_to_read_and_stays_empty() {
    let place = Place::new();
    fs::create_dir(place.path("s")).unwrap();
    for args in READERS {
        place.run(args).expect_saying(3, &["`s`"]);
        assert_eq!(place.names("s"), [""; 0], "{args:?}");
    }
}

#[test]
fn a_file_is_no_store() {
    let place = Place::new();
    place.write("s", "a file");
    for args in everybody() {
        place.run_with(args, "{}").expect_saying(3, &["`s` is not a directory"]);
    }
    assert_eq!(fs::read(place.path("s")).unwrap(), b"a file");
}

#[test]
fn a_directory_of_other_things_is_no_store_and_stays_as_it_is() {
    let place = Place::new();
    fs::create_dir(place.path("s")).unwrap();
    place.write("s/letter.txt", "dear reader");
    for args in everybody() {
        place.run_with(args, "{}").expect_saying(3, &["`s` is not a store", "`letter.txt`"]);
        assert_eq!(place.names("s"), ["letter.txt"], "{args:?}");
    }
}

#[test]
fn a_collection_that_is_missing_is_not_made_by_reading() {
    let place = Place::with_documents("{}\n");
    for args in READERS.iter().filter(|args| args.len() > 2) {
        let args: Vec<&str> = args.iter().map(|&arg| if arg == "c" { "other" } else { arg }).collect();
        place.run(&args).expect_saying(3, &["the store `s` has no collection `other`; it has c"]);
    }
    assert_eq!(place.run(&["stats", "s"]).value()["collections"].as_object().unwrap().len(), 1);
}

#[test]
fn a_store_in_use_names_its_user() {
    let place = Place::new();
    let import = &mut place.command(&["import", "s", "c", "-", "--ack", "--batch", "1"]);
    let mut holder =
        import.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut input = holder.stdin.take().unwrap();
    input.write_all(b"{\"_id\":1}\n").unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "1\n", "the first commit is acknowledged while the input is still open");
    let pid = format!("process {} ", holder.id());
    for args in everybody() {
        place.run_with(args, "{}").expect_saying(6, &["the store in `s` is in use by", &pid, "skipstone"]);
    }
    drop(input);
    assert!(holder.wait().unwrap().success());
    assert_eq!(place.run(&["count", "s", "c"]).expect(0).value()["count"], 1);
}

#[test]
fn damage_is_told_with_file_and_offset() {
    let place = Place::new();
    let lines: String = (0..100).map(|n| format!("{{\"_id\":{n},\"text\":\"find me {n}!\"}}\n")).collect();
    place.run_with(&["import", "s", "c", "-", "--batch", "10"], lines).expect(0);
    let (file, bytes) = place.contents("s").into_iter().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    let needle = b"find me 15!";
    let offset = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
    let handle = fs::File::options().write(true).open(&file).unwrap();
    handle.write_all_at(b"F", offset as u64).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    for args in openers() {
        place.run_with(args, "{}").expect_saying(5, &["the log is damaged", name, "at byte"]);
    }
    let found = place.run(&["verify", "s"]).expect_saying(5, &["is damaged", name, "at byte"]).value();
    assert_eq!((&found["sound"], &found["findings"][0]["kind"]), (&json!(false), &json!("frame")), "{found}");
    assert!(found["findings"][0]["lost"]["from_position"].as_u64() > Some(0), "{found}");
    assert!(found["commits"].as_u64() > Some(7), "what is behind is checked too: {found}");
    handle.write_all_at(b"f", offset as u64).unwrap();
    assert_eq!(place.run(&["count", "s", "c"]).expect(0).value()["count"], 100, "nothing was cut meanwhile");
}

#[test]
fn damage_in_a_checkpoint_is_told_with_file_and_offset() {
    let place = Place::with_documents("{\"_id\":1,\"text\":\"find me!\"}\n");
    place.run(&["checkpoint", "s"]).expect(0);
    let is_of_pages = |(file, _): &(PathBuf, Vec<u8>)| file.ends_with("pages-000000000000");
    let (file, bytes) = place.contents("s").into_iter().find(is_of_pages).unwrap();
    let offset = bytes.windows(8).position(|window| window == b"find me!").unwrap();
    let handle = fs::File::options().write(true).open(&file).unwrap();
    handle.write_all_at(b"F", offset as u64).unwrap();
    let page = format!("`pages-000000000000` holds at byte {}", offset / PAGE_BYTES * PAGE_BYTES);
    for args in openers() {
        place.run_with(args, "{}").expect_saying(5, &["the checkpoint is damaged", &page, "checksum"]);
    }
    let human = place.run(&["verify", "s", "--human"]).expect_saying(5, &["is damaged"]).out;
    let line = "page in `pages-000000000000` at byte ";
    assert!(human.starts_with("the store is damaged at one place") && human.contains(line), "{human}");
    assert!(human.contains("lost: documents of `c`"), "{human}");
    handle.write_all_at(b"f", offset as u64).unwrap();
    assert_eq!(place.run(&["count", "s", "c"]).expect(0).value()["count"], 1);
}

/// Runs the program without privileges. An administrator's test gives them up for it, and needs a copy of the program in a
/// place that others can reach.
fn run_unprivileged(place: &Place, args: &[&str], input: &str) -> crate::support::Ended {
    if fs::metadata(place.path(".")).unwrap().uid() != 0 {
        return place.run_with(args, input);
    }
    let copy = place.path("program");
    if !copy.exists() {
        fs::copy(PROGRAM, &copy).unwrap();
    }
    run(Command::new(copy).args(args).current_dir(place.path(".")).uid(NOBODY).gid(NOBODY), input.as_bytes())
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_directory_without_permission_is_refused_by_the_system() {
    let place = Place::with_documents("{}\n");
    let before = place.contents("s");
    set_mode(&place.path("."), 0o555);
    set_mode(&place.path("s"), 0o555);
    for (name, _) in &before {
        set_mode(name, 0o444);
    }
    // The copy of the program must go in first.
    set_mode(&place.path("."), 0o755);
    run_unprivileged(&place, &["--version"], "");
    set_mode(&place.path("."), 0o555);
    for args in everybody() {
        run_unprivileged(&place, args, "{}").expect_saying(8, &["ermission"]);
    }
    run_unprivileged(&place, &["import", "new", "c", "-"], "{}").expect_saying(8, &["`new`", "ermission"]);
    set_mode(&place.path("."), 0o755);
    assert_eq!(place.contents("s"), before);
}

/// Runs the program with a limit on the size of files, which the shell sets: it is met like the end of the disk.
fn run_on_a_full_disk(place: &Place, args: &[&str], input: &str) -> crate::support::Ended {
    let script = "trap '' XFSZ; ulimit -f 100; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    run(command.args(["-c", script, PROGRAM]).args(args).current_dir(place.path(".")), input.as_bytes())
}

#[test]
fn a_disk_that_takes_no_more_is_refused_by_the_system() {
    let place = Place::new();
    run_on_a_full_disk(&place, &["import", "s", "c", "-"], "{}\n")
        .expect_saying(8, &["cannot write `s/", "too large"]);
    place.run_with(&["import", "s", "c", "-"], "{}\n").expect(0);
}

#[test]
fn a_disk_without_room_for_a_checkpoint_loses_nothing() {
    let place = Place::with_documents("{\"_id\":1}\n");
    run_on_a_full_disk(&place, &["checkpoint", "s"], "")
        .expect_saying(8, &["the checkpoint failed", "`s/pages-000000000000`", "too large"]);
    assert_eq!(place.ids(), [1]);
    assert_eq!(place.run(&["verify", "s"]).expect(0).value()["checkpoint"], 0);
    assert!(place.run(&["checkpoint", "s"]).expect(0).value()["position"].as_u64() > Some(0));
    assert_eq!(place.ids(), [1]);
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let place = Place::with_documents("{}\n");
    for args in [&["count", "s", "c"][..], &["scan", "s", "c"], &["export", "s", "c"], &["stats", "s"]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = place.command(args).stdout(full).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(8), "{args:?}: {said}");
        assert!(said.starts_with("skipstone: cannot write to standard output: No space left"), "{said}");
    }
}
