//! A crash and a failing disk while indexes are created and dropped: each is whole afterwards, or not there at all.

use super::harness::{Opened, REPEATS, config, copy, open_with, outcomes};
use super::verifying::verify;
use crate::engine::config::Config;
use crate::io::{CrashOutcome, Fault, SimulatedDisk};
use crate::{Collection, Error, Index, IndexError};
use bson::doc;
use std::collections::BTreeSet;

const DOCUMENTS: i32 = 200;

#[derive(Clone, Copy)]
enum Step {
    Create(&'static str),
    /// Of which there are two alike.
    CannotCreate,
    Drop(&'static str),
    Write(i32),
    Checkpoint,
}

const STEPS: [Step; 11] = [
    Step::Create("v"),
    Step::Write(1_000),
    Step::Checkpoint,
    Step::Create("tags"),
    Step::CannotCreate,
    Step::Drop("v"),
    Step::Write(2_000),
    Step::Checkpoint,
    Step::Create("v"),
    Step::Drop("tags"),
    Step::Write(3_000),
];

/// What there is after the first `steps`: indexes and documents.
fn after(steps: usize) -> (BTreeSet<String>, u64) {
    let (mut names, mut documents) = (BTreeSet::new(), DOCUMENTS as u64);
    for step in &STEPS[..steps.min(STEPS.len())] {
        match step {
            Step::Create(name) => drop(names.insert((*name).to_owned())),
            Step::Drop(name) => drop(names.remove(*name)),
            Step::Write(_) => documents += 10,
            Step::CannotCreate | Step::Checkpoint => {}
        }
    }
    (names, documents)
}

fn index(name: &str) -> Index {
    let index = Index::on(name).unwrap();
    if name == "v" { index.unique() } else { index }
}

fn fill(documents: &Collection, ids: std::ops::Range<i32>) -> Result<(), Error> {
    let document = |id: i32| doc! { "_id": id, "v": id, "tags": [id % 3, "x"], "same": id / 2 };
    documents.insert_many(ids.map(document)).map(drop)
}

/// So that entries come to the disk while they are made.
fn small_ring() -> Config {
    Config { ring_bytes: 1 << 13, ..config() }
}

fn open(disk: &SimulatedDisk) -> Opened {
    open_with(disk, small_ring()).unwrap()
}

fn documents(opened: &Opened) -> Collection {
    opened.db.collection("documents").unwrap()
}

fn store() -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    let opened = open(&disk);
    fill(&documents(&opened), 0..DOCUMENTS).unwrap();
    opened.db.clone().close().unwrap();
    drop(opened);
    copy(&disk)
}

fn run_step(opened: &Opened, step: Step) -> Result<(), Error> {
    let documents = documents(opened);
    match step {
        Step::Create(name) => documents.create_index(index(name)),
        Step::CannotCreate => match documents.create_index(Index::on("same").unwrap().unique()) {
            Err(Error::Index { cause, .. }) if matches!(*cause, IndexError::Duplicate { .. }) => Ok(()),
            Ok(()) => panic!("two documents are alike"),
            Err(error) => Err(error),
        },
        Step::Drop(name) => documents.drop_index(name),
        Step::Write(from) => fill(&documents, from..from + 10),
        Step::Checkpoint => opened.db.checkpoint().map(drop),
    }
}

/// Runs the steps up to the first error; returns how many were acknowledged.
fn run(opened: &Opened) -> (usize, Option<Error>) {
    for (done, step) in STEPS.into_iter().enumerate() {
        if let Err(error) = run_step(opened, step) {
            return (done, Some(error));
        }
    }
    (STEPS.len(), None)
}

fn assert_sound(opened: &Opened, context: &str) {
    let verified = opened.db.verify().unwrap();
    assert!(verified.is_sound(), "{:#?}: {context}", verified.findings);
}

fn assert_sound_disk(disk: &SimulatedDisk, context: &str) {
    let verified = verify(disk);
    assert!(verified.is_sound(), "{:#?}: {context}", verified.findings);
}

/// What `done` steps left is there, or what one more did; all of it is whole, and goes on.
fn assert_whole(disk: &SimulatedDisk, done: usize, context: &str, goes_on: bool) {
    assert_sound_disk(disk, context);
    let opened = open(disk);
    let documents = documents(&opened);
    assert!(documents.indexes().iter().all(|info| info.is_ready), "{context}");
    let names: BTreeSet<_> = documents.indexes().iter().map(|info| info.index.name()).collect();
    let found = (names.clone(), documents.count().unwrap());
    assert!(found == after(done) || found == after(done + 1), "{found:?} after {done} steps: {context}");
    assert_sound(&opened, context);
    if goes_on {
        fill(&documents, 9_000..9_010).unwrap();
        for name in ["v", "tags"] {
            if !names.contains(name) {
                documents.create_index(index(name)).unwrap_or_else(|error| panic!("{error}: {context}"));
            }
        }
        assert!(documents.insert(doc! { "v": 5 }).is_err(), "the unique one is kept: {context}");
        assert_sound(&opened, context);
        documents.drop_index("tags").unwrap();
        drop((documents, opened));
        assert_sound_disk(disk, context);
        assert_sound(&open(disk), context);
    }
}

#[test]
fn a_crash_leaves_indexes_whole_or_not_there() {
    // In the large one, what is not flushed does not come to the disk by itself.
    for config in [small_ring(), config()] {
        crash_everywhere(&config);
    }
}

fn crash_everywhere(config: &Config) {
    let before = store();
    let (mut at, mut crashed) = (0, true);
    while crashed {
        let disk = copy(&before);
        let opened = open_with(&disk, config.clone()).unwrap();
        disk.crash_after(at);
        let (done, error) = run(&opened);
        crashed = disk.has_crashed();
        assert!(crashed || error.is_none(), "nothing fails but by the crash: {error:?}");
        for (number, outcome) in outcomes(&disk, at, false, 3).into_iter().enumerate() {
            let context = format!("crash at {at}, {outcome:?}");
            assert_whole(&disk.after_crash(outcome), done, &context, (at + number as u64).is_multiple_of(5));
        }
        at += 1;
    }
    assert!(at > 30, "{at} operations");
}

/// A store that crashed in the middle of creating an index, as late as possible.
fn half_made() -> SimulatedDisk {
    let (before, mut last) = (store(), None);
    for at in 0.. {
        let disk = copy(&before);
        let opened = open(&disk);
        disk.crash_after(at);
        if run_step(&opened, Step::Create("tags")).is_ok() {
            break;
        }
        let disk = disk.after_crash(CrashOutcome::KeepAll);
        // The next opening leaves the number that was given away.
        let opened = open(&copy(&disk));
        let snapshot = opened.engine.store().snapshot();
        if snapshot.get(opened.engine.store().space(0), b"r").is_some() {
            last = Some(disk);
        }
    }
    last.expect("it came to the disk before it was ready")
}

/// The next opening takes away what the crashed one left half made: a crash then, too.
#[test]
fn so_does_one_while_what_is_half_made_is_taken_away() {
    let before = half_made();
    let (mut at, mut crashed) = (0, true);
    while crashed {
        let disk = copy(&before);
        disk.crash_after(at);
        drop(open_with(&disk, small_ring()));
        crashed = disk.has_crashed();
        for outcome in outcomes(&disk, at, false, 3) {
            let context = format!("crash at {at} of the opening, {outcome:?}");
            assert_whole(&disk.after_crash(outcome), 0, &context, true);
        }
        at += 1;
    }
    assert!(at > 2, "the opening writes: {at} operations");
}

#[test]
fn a_failing_disk_gives_an_error_and_leaves_them_whole() {
    let before = store();
    for fault in [Fault::WriteEio, Fault::FlushEio, Fault::NoSpace] {
        for repeat in REPEATS {
            let (mut at, mut struck) = (0, true);
            while struck {
                let disk = copy(&before);
                let opened = open(&disk);
                disk.fail(at, fault, repeat);
                let (done, error) = run(&opened);
                struck = disk.faults_struck() > 0;
                let context = format!("{fault:?} {repeat:?} from operation {at}");
                let is_told = match &error {
                    // What failed may have been work for later.
                    None => true,
                    Some(Error::ReadOnly { .. } | Error::Checkpoint { .. }) => struck,
                    Some(_) => false,
                };
                assert!(is_told, "{error:?}: {context}");
                let closed = opened.db.clone().close();
                assert!(closed.is_err() || !matches!(error, Some(Error::ReadOnly { .. })), "{context}");
                drop(opened);
                disk.mend();
                assert_whole(&copy(&disk), done, &context, at.is_multiple_of(8));
                at += 1;
            }
        }
    }
}
