//! One process, one opener: whoever comes second is told who is there.

use crate::Place;
use skipstone::{Database, Error, LockError, OpenError};

fn held(result: Result<Database, Error>) -> (skipstone::LockHolder, String) {
    let error = result.err().expect("somebody has it open");
    let text = error.to_string();
    match error {
        Error::Open(OpenError::Locked(LockError::Held { holder, .. })) => (holder, text),
        other => panic!("{other}"),
    }
}

#[test]
fn the_second_opener_is_told_who_the_first_is() {
    let place = Place::new();
    let db = place.open();
    crate::fill(&db, 20);
    let expected = crate::contents(&db);
    let (holder, text) = held(place.builder().open());
    assert_eq!(holder.pid, Some(std::process::id()));
    for part in
        [place.store.to_str().unwrap(), &std::process::id().to_string(), &holder.command, "close it there"]
    {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    let error = skipstone::verify(&place.store).unwrap_err();
    assert!(matches!(error, OpenError::Locked(LockError::Held { .. })), "{error}");
    assert_eq!(crate::contents(&db), expected, "the first goes on");
    let clone = db.clone();
    db.close().unwrap();
    held(place.builder().open());
    drop(clone);
    assert_eq!(crate::contents(&place.open()), expected);
}

/// In a child process: the store to open, until its input ends.
const CHILD_STORE: &str = "SKIPSTONE_TEST_STORE";

/// The child of the test below; run as an ordinary test it opens a store of its own.
#[test]
fn opens_a_store_when_told_to() {
    let own = Place::new();
    let told = std::env::var_os(CHILD_STORE);
    let db = Database::open(told.as_deref().map_or(own.store.as_path(), std::path::Path::new)).unwrap();
    db.collection("of the child").unwrap();
    println!("\nopened");
    if told.is_some() {
        std::io::Read::read_to_end(&mut std::io::stdin(), &mut Vec::new()).unwrap();
    }
}

#[test]
fn another_process_is_named_until_it_is_gone() {
    use std::io::BufRead;
    let place = Place::new();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "second_opener::opens_a_store_when_told_to", "--nocapture"])
        .env(CHILD_STORE, &place.store)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("opened")), "the child ended early");
    let (holder, text) = held(place.builder().open());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(holder.pid, Some(child.id()));
    assert!(text.contains(&format!("process {}", child.id())), "{text}");
    let db = place.open();
    assert_eq!(db.collection_names().unwrap(), ["of the child"], "what it had made durable");
    assert!(!db.recovery().closed, "it was killed");
}
