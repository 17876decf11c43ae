//! A committer parked at each step of its commit, in memory: nobody waits for it.

use super::harness::{Store, while_parked};
use crate::sync::Step;
use crate::{Error, Isolation, TransactionOptions};

fn isolation(step: Step) -> TransactionOptions {
    let serializable = step == Step::Validating;
    let isolation = if serializable { Isolation::Serializable } else { Isolation::Snapshot };
    TransactionOptions::new().isolation(isolation)
}

/// Others read the contested record, which shows `expected`, and use other records; returns what became of the commit.
fn with_readers(step: Step, expected: &[u8]) -> Result<(), Error> {
    let store = Store::in_memory();
    let parked = || store.write_contested(isolation(step));
    let (committed, ()) = while_parked(step, parked, || {
        std::thread::scope(|scope| {
            scope.spawn(|| store.use_others());
            store.read_contested(expected);
        });
    });
    committed
}

/// Others write the contested record too.
fn with_writers(step: Step) -> Result<(), Error> {
    let store = Store::in_memory();
    let parked = || store.write_contested(isolation(step));
    let (committed, ()) = while_parked(step, parked, || {
        std::thread::scope(|scope| {
            scope.spawn(|| store.use_others());
            store.overwrite_contested();
        });
    });
    let last = (super::harness::OPERATIONS - 1).to_string();
    let found = store.keyspace.get(super::harness::CONTESTED).unwrap();
    assert_eq!(found.as_deref(), Some(last.as_bytes()), "what was written last stays");
    committed
}

fn undecided(step: Step) {
    with_readers(step, b"old").expect("readers take its position away at most: it takes another");
    let error = with_writers(step).expect_err("a writer in its way makes it give up");
    assert!(error.is_conflict(), "{error}");
}

fn decided(step: Step) {
    with_readers(step, b"parked").expect("it is committed");
    with_writers(step).expect("it is committed, and superseded");
}

#[test]
fn installed() {
    undecided(Step::Installed);
}

#[test]
fn positioning() {
    undecided(Step::Positioning);
}

#[test]
fn positioned() {
    undecided(Step::Positioned);
}

#[test]
fn validating() {
    undecided(Step::Validating);
}

#[test]
fn committed() {
    decided(Step::Committed);
}

#[test]
fn published() {
    decided(Step::Published);
}

#[test]
fn stamped() {
    decided(Step::Stamped);
}
