//! How much of the log a checkpoint must leave: no chunk is given up that a commit behind the checkpoint's position needs.

use super::*;
use crate::log::unfinished::Unfinished;
use loom::thread;

const FRAME: u64 = 8;

/// A transaction with one chunk: where it is, and where the commit.
fn large(end: &LogEnd, unfinished: &Unfinished) -> (Lsn, Lsn) {
    let announced = unfinished.announce(end);
    let chunk = end.reserve(FRAME);
    let commit = end.reserve(FRAME);
    drop(announced);
    (chunk, commit)
}

/// The position of a checkpoint, and from where on it leaves the log.
fn ask(end: &LogEnd, unfinished: &Unfinished) -> (Lsn, Option<Lsn>) {
    let over = unfinished.over();
    let position = end.load();
    (position, unfinished.needed_from(position, over))
}

fn check((position, from): (Lsn, Option<Lsn>), transactions: &[(Lsn, Lsn)]) {
    for &(chunk, commit) in transactions {
        let needs = chunk < position && commit >= position;
        assert!(!needs || from.is_none_or(|from| from <= chunk), "{chunk} is given up, {commit} needs it");
    }
    assert!(from.is_none_or(|from| from <= position));
}

#[test]
fn a_chunk_stays_as_long_as_its_commit_may_come() {
    explore("unfinished: one transaction after the other", || {
        let shared = Arc::new((LogEnd::new(Lsn::new(FRAME)), Unfinished::new()));
        let (end, unfinished) = &*shared;
        let theirs = Arc::clone(&shared);
        let thread = thread::spawn(move || [large(&theirs.0, &theirs.1), large(&theirs.0, &theirs.1)]);
        let asked = ask(end, unfinished);
        let transactions = thread.join().unwrap();
        check(asked, &transactions);
        let (position, from) = ask(end, unfinished);
        assert_eq!(from, Some(position), "nothing is needed when all are over");
    });
}

#[test]
fn a_chunk_stays_when_there_is_no_place_to_announce_it() {
    explore("unfinished: two transactions, one place", || {
        let shared = Arc::new((LogEnd::new(Lsn::new(FRAME)), Unfinished::new()));
        let threads = [(); 2].map(|()| {
            let theirs = Arc::clone(&shared);
            thread::spawn(move || large(&theirs.0, &theirs.1))
        });
        // On a thread of its own: main waits, so it costs no preemption that the asker comes last.
        let theirs = Arc::clone(&shared);
        let asker = thread::spawn(move || ask(&theirs.0, &theirs.1));
        let transactions = threads.map(|thread| thread.join().unwrap());
        check(asker.join().unwrap(), &transactions);
        let (position, from) = ask(&shared.0, &shared.1);
        assert_eq!(from, Some(position), "nothing is needed when all are over");
    });
}
