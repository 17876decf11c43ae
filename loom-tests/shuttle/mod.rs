//! Shuttle's models: the code that loom checks in miniature, with more threads and longer transactions, under schedules drawn at random.
//!
//! Run with `RUSTFLAGS="--cfg shuttle" cargo test --profile checked --lib shuttle_tests`. Each run draws other schedules: half of them switch
//! anywhere (random), half run the thread of the highest priority and change priorities in few places (PCT).
//! `SKIPSTONE_SHUTTLE_SCHEDULES` says how many each model draws instead of its own number.
//!
//! A model that fails prints its schedule. `SKIPSTONE_SHUTTLE_REPLAY=FILE`, a file with what was printed between the quotes, and the name of
//! the test run just that one again.
//!
//! What is not found here, because shuttle takes each ordering for SeqCst: an ordering that is too weak, a fence that is missing.

mod blocks;
mod churn;
#[path = "../common.rs"]
mod common;
mod group_commit;
mod history;
mod map;
mod registry;
mod serializable;
#[path = "../small_log.rs"]
mod small_log;
mod snapshots;
mod transfers;

use crate::lsn::Lsn;
use crate::mvcc::store::Store;
use crate::options::Isolation;
use crate::sync::{Arc, Canary, epoch};
use common::{Outcomes, begin, space, store};
use history::{History, KEYS, Tracked};
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use shuttle::thread::{self, JoinHandle};
use shuttle::{Config, MaxSteps, Runner};
use std::env;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bound of PCT: a failure that needs this many ordered events is found with a probability known beforehand.
const DEPTH: usize = 3;
const REPLAY: &str = "SKIPSTONE_SHUTTLE_REPLAY";
const SCHEDULES: &str = "SKIPSTONE_SHUTTLE_SCHEDULES";
/// What the scans of a store need.
const STACK_BYTES: usize = 256 * 1024;
/// Many times what a model takes: beyond it threads run in circles.
const STEPS_MAX: usize = 100_000;

/// Runs `body` under this many schedules, or under the one that is to be replayed.
fn explore(name: &str, schedules: usize, body: impl Fn() + Send + Sync + 'static) {
    let count = Count { name, schedules: Arc::default() };
    let schedules_begun = Arc::clone(&count.schedules);
    let body = Arc::new(move || {
        epoch::reset();
        Canary::reset();
        schedules_begun.fetch_add(1, Ordering::Relaxed); // a figure
        body();
    });
    let run = |scheduler: Box<dyn Scheduler + Send>| {
        let body = Arc::clone(&body);
        Runner::new(scheduler, config()).run(move || body())
    };
    if let Ok(file) = env::var(REPLAY) {
        run(Box::new(ReplayScheduler::new_from_file(file).expect("a file with a schedule")));
        return;
    }
    let schedules =
        env::var(SCHEDULES).map_or(schedules, |count| count.parse().expect("a number of schedules"));
    let random = run(Box::new(RandomScheduler::new(schedules.div_ceil(2))));
    let pct = run(Box::new(PctScheduler::new(DEPTH, schedules / 2)));
    println!("{name}: {random} random schedules, {pct} with priorities");
}

/// How many schedules of a model were begun; said when one fails.
struct Count<'n> {
    name: &'n str,
    schedules: Arc<AtomicUsize>,
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let schedules = self.schedules.load(Ordering::Relaxed); // a figure
            eprintln!("{}: failed in schedule number {schedules}", self.name);
        }
    }
}

/// The schedules came to these outcomes, and perhaps to others; one that is replayed comes to one.
fn expect_met(outcomes: &Outcomes, expected: &[&str]) {
    let met = outcomes.met();
    let all_met = expected.iter().all(|&outcome| met.contains(outcome));
    assert!(all_met || env::var(REPLAY).is_ok(), "the schedules came to {met:?}");
}

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    // A schedule that is replayed ends with the first failure.
    config.ungraceful_shutdown_config.immediately_return_on_panic = true;
    // About orderings and statics: known, and said above.
    config.silence_warnings = true;
    config
}

/// A thread with the store.
fn run<T: Send + 'static>(
    store: &Arc<Store>,
    operate: impl FnOnce(&Store) -> T + Send + 'static,
) -> JoinHandle<T> {
    let store = Arc::clone(store);
    thread::spawn(move || operate(&store))
}

fn join<T>(threads: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

/// Sweeps again and again; sometimes the log's end moves on in between, as by a commit elsewhere.
fn sweep(store: &Store, times: usize) {
    for _ in 0..times {
        if thread_rng().gen_bool(0.5) {
            store.end().reserve(8);
        }
        store.sweep(|| true);
    }
}

/// Nobody is left: everything that cannot be reached is freed, and what can be is not.
fn check_freed(store: &Store) {
    store.end().reserve(8);
    store.sweep(|| true);
    drop(epoch::pin());
    let snapshot = store.snapshot();
    let keys = KEYS.iter().filter(|key| snapshot.get(space(store), key).is_some()).count();
    assert_eq!(Canary::alive(), 2 * keys, "the node of each key, and its newest version");
}
