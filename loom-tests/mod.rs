//! Loom models of every protocol, on the code itself.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --profile checked --lib loom_tests`. Two preemptions are explored unless
//! `LOOM_MAX_PREEMPTIONS` says otherwise. Each model prints how many executions it explored: one that explores a handful has been
//! blinded by something. `docs/loom-mutations.md` names, for each, a one-line mutation of the code under which it fails.

mod active;
mod blocks;
mod changes;
mod commit;
mod common;
mod conflict;
mod dead;
mod directory;
mod era;
mod flusher;
mod group_commit;
mod key_switch;
mod loaded;
mod map;
mod patches;
mod prune;

mod serializable;
mod small_log;
mod unfinished;

use crate::lsn::{LogEnd, Lsn};
use crate::mvcc::store::Store;
use crate::options::Isolation;
use crate::sync::{Arc, Canary, epoch};
use common::*;
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
