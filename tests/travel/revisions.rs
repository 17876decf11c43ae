//! The revisions of a document, against what the store held at each position.

use crate::model::{Past, Step, n, seen, steps};
use proptest::prelude::*;
use skipstone::bson::doc;
use skipstone::{Builder, Collection, Lsn, Retention, Revision};

fn said(history: &[Revision]) -> Vec<Option<(u64, i32)>> {
    let document = |revision: &Revision| revision.document.as_ref().map(|found| (found.version(), n(found)));
    history.iter().map(document).collect()
}

/// What a document became from one state on, the newest first; what was there at that state is the last, unless it was nothing.
fn expected(past: &Past, from: usize, id: i32) -> Vec<Option<(u64, i32)>> {
    let mut became: Vec<_> = past.states[from..].iter().map(|(_, state)| state.get(&id).copied()).collect();
    became.dedup();
    if became.first() == Some(&None) {
        became.remove(0);
    }
    became.reverse();
    became
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn all_that_is_kept_is_there_and_nothing_else(steps in steps(), more in steps(), kept in 0..4_000_u64) {
        let mut past = Past::run(Builder::new().retain_history_bytes(u64::MAX), &steps);
        for id in 0..5 {
            let history = past.things.history(id).unwrap();
            prop_assert_eq!(said(&history), expected(&past, 0, id));
            prop_assert!(history.is_sorted_by(|a, b| a.position > b.position));
            for revision in &history {
                // What `at` shows right behind it, and no more right before.
                let then = past.db.at(Lsn::new(revision.position.get() + 8)).unwrap();
                let found = then.collection(&past.things).unwrap().get(id).unwrap();
                prop_assert_eq!(found.as_ref().and_then(|found| found.position()), revision.document.as_ref().map(|_| revision.position));
                prop_assert_eq!(found.as_ref(), revision.document.as_ref());
            }
        }
        // A snapshot in the middle keeps what it sees, and what it sees of the past is its own.
        let middle = past.states.len() / 2;
        let db = past.db.clone();
        let held = db.at(past.states[middle].0).unwrap();
        past.db.set_retention(Retention::new().bytes(kept)).unwrap();
        more.iter().for_each(|step| past.step(step));
        past.db.sweep().unwrap();
        let oldest = past.db.oldest_position();
        // A commit is where the one before ended; the oldest position may lie in the midst of it.
        let from = past.states.partition_point(|(position, _)| *position < oldest).min(past.states.len() - 1);
        for id in 0..5 {
            let history = past.things.history(id).unwrap();
            prop_assert_eq!(said(&history), expected(&past, from, id), "document {} from state {}", id, from);
            let at_held = held.collection(&past.things).unwrap().history(id).unwrap();
            let now = past.states[middle].1.get(&id).copied();
            prop_assert_eq!(said(&at_held).first().copied().flatten(), now);
        }
        for (position, state) in &past.states {
            match past.db.at(*position) {
                Ok(then) => prop_assert_eq!(&seen(&then, &past.things), state),
                Err(error) => prop_assert!(*position < past.db.oldest_position(), "{}", error),
            }
        }
        prop_assert!(past.db.verify().unwrap().is_sound());
    }
}

#[test]
fn a_document_that_never_was_has_no_history() {
    let past = Past::run(Builder::new(), &[Step::Put(1, 1)]);
    assert_eq!(past.things.history(2).unwrap(), []);
    assert_eq!(past.things.history("").unwrap(), []);
    assert!(past.things.history("x".repeat(2_000)).is_err());
    past.db.clone().close().unwrap();
    assert!(matches!(past.things.history(1), Err(skipstone::Error::Closed)));
}

fn check(history: &[Revision]) {
    assert!(history.is_sorted_by(|a, b| a.position > b.position), "{history:?}");
    for pair in history.windows(2) {
        let expected = match (pair[1].version(), pair[0].version()) {
            // Inserted anew, or deleted: only what was there is deleted.
            (None, later) => later == Some(1),
            (Some(_), None) => true,
            (Some(earlier), Some(later)) => later == earlier + 1,
        };
        assert!(expected, "a revision is missing: {history:?}");
    }
}

fn disturb(things: &Collection, stop: &std::sync::atomic::AtomicBool) {
    // Relaxed: it says when.
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        let id = fastrand::i32(0..2);
        if fastrand::u8(..) < 40 {
            things.delete(id).unwrap();
        } else {
            things.upsert(doc! { "_id": id, "n": 1 }).unwrap();
        }
    }
}

/// Bytes of history that are kept whatever the retention is just now.
const LEAST_KEPT: u64 = 2_000;

#[test]
fn no_revision_is_missing_while_others_write_and_prune() {
    let db = Builder::new().retain_history_bytes(20_000).open().unwrap();
    let things = db.collection("things").unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        (0..2).for_each(|_| drop(scope.spawn(|| disturb(&things, &stop))));
        scope.spawn(|| {
            for round in 0..300 {
                let bytes = if round % 2 == 0 { 20_000 } else { LEAST_KEPT };
                db.set_retention(Retention::new().bytes(bytes)).unwrap();
                db.sweep().unwrap();
            }
        });
        // Three thousand looks may be over before the threads have run at all: there has to be as much as is always kept.
        let begun = db.position().get();
        while db.position().get() < begun + LEAST_KEPT {
            std::thread::yield_now();
        }
        let mut longest = 0;
        for _ in 0..3_000 {
            let before = db.oldest_position();
            let history = things.history(fastrand::i32(0..2)).unwrap();
            check(&history);
            longest = longest.max(history.len());
            // All but the last one are of the range that could be read when it was asked.
            assert!(
                history.iter().rev().skip(1).all(|revision| revision.position >= before),
                "{before} {history:?}"
            );
        }
        // Relaxed: it says when.
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(longest > 3, "there was history to look at: {longest}");
    });
}
