//! Loom models of every protocol, on the code itself.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --profile loom --lib loom_tests`. Two preemptions are explored unless
//! `LOOM_MAX_PREEMPTIONS` says otherwise. Each model prints how many executions it explored: one that explores a handful has been
//! blinded by something. `docs/concurrency.md` names, for each, a one-line mutation of the code under which it fails.

mod active;
mod commit;
mod conflict;
mod dead;
mod flusher;
mod group_commit;
mod map;
mod prune;
mod serializable;

use crate::lsn::{LogEnd, Lsn};
use crate::mvcc::store::{Space, Store};
use crate::options::Isolation;
use crate::sync::{Arc, Canary, epoch};
use crate::txn::commit::{Committed, Failed, Ground};
use crate::txn::{Found, Txn};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Explores `body` with two preemptions, or as many as `LOOM_MAX_PREEMPTIONS` says.
fn explore(name: &str, body: impl Fn() + Send + Sync + 'static) {
    explore_within(usize::MAX, name, body);
}

/// As [`explore`], with this many preemptions at most: for models whose executions multiply beyond what ends in minutes.
fn explore_within(preemptions_max: usize, name: &str, body: impl Fn() + Send + Sync + 'static) {
    let count: &'static AtomicUsize = Box::leak(Box::new(AtomicUsize::new(0)));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(builder.preemption_bound.unwrap_or(2).min(preemptions_max));
    builder.max_branches = 100_000;
    builder.check(move || {
        epoch::reset();
        Canary::reset();
        count.fetch_add(1, Ordering::Relaxed); // a figure
        body();
    });
    let executions = count.load(Ordering::Relaxed); // a figure
    println!("{name}: {executions} executions");
    assert!(executions > 10, "{name} explores next to nothing");
}

/// What executions of one model came to, to see that the interesting ones were met.
#[derive(Clone, Default)]
struct Outcomes(std::sync::Arc<Mutex<BTreeSet<String>>>);

impl Outcomes {
    fn note(&self, outcome: impl std::fmt::Debug) {
        self.0.lock().unwrap().insert(format!("{outcome:?}"));
    }

    fn expect(&self, outcomes: &[&str]) {
        let met = self.0.lock().unwrap();
        let expected: BTreeSet<String> = outcomes.iter().map(|&outcome| outcome.to_owned()).collect();
        assert_eq!(*met, expected, "the executions came to these outcomes");
    }
}

/// A store in memory with one keyspace.
fn store() -> Arc<Store> {
    Arc::new(Store::new(Arc::new(LogEnd::new(Lsn::new(8))), 0))
}

fn space(store: &Store) -> &Space {
    store.space(1)
}

fn begin(store: &Store, isolation: Isolation) -> Txn<'_> {
    Txn::begin(Ground { store, log: None }, isolation)
}

/// Commits these writes, in one transaction at snapshot isolation.
fn put<'s>(store: &'s Store, writes: &[(&[u8], Option<u8>)]) -> Result<Committed, Failed<'s>> {
    let mut txn = begin(store, Isolation::Snapshot);
    for (key, value) in writes {
        txn.put(space(store), key, value.as_ref().map(std::slice::from_ref));
    }
    txn.commit()
}

fn value(found: Option<Found<'_>>) -> Option<u8> {
    found.map(|found| found.value[0])
}

/// What a new snapshot sees under a key.
fn read(store: &Store, key: &[u8]) -> Option<u8> {
    store.snapshot().get(space(store), key).map(|seen| seen.value[0])
}
