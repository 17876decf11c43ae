//! The store's own threads: one flushes for those who do not wait, one sweeps up what no writer came by to prune.

use super::config::Config;
use crate::log::Log;
use crate::mvcc::store::Store;
use crate::sync::epoch;
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Arc, Condvar, Mutex, lock};
use std::time::{Duration, Instant};

/// The sweep takes no more than this share of one core.
const SWEEP_SHARE: u32 = 10;
/// A sweep that unlinks less than one version in so many records makes the next pause twice as long,
const SWEEP_WORTH: u64 = 16;
/// up to so many intervals.
const SWEEP_PAUSE_MAX: u32 = 64;

/// Handles to the threads.
pub(super) struct Maintenance {
    stop: Arc<Stop>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Sleeps; true if it is time to stop.
    fn sleep(&self, time: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(stopped, time, |stopped| !*stopped);
        *waited.unwrap_or_else(std::sync::PoisonError::into_inner).0
    }
}

impl Maintenance {
    pub(super) fn start(config: &Config, store: &Arc<Store>, log: Option<&Arc<Log>>) -> Maintenance {
        let stop = Arc::new(Stop::default());
        let mut threads = Vec::new();
        if let Some(log) = log {
            let (log, interval) = (Arc::clone(log), config.buffered_interval);
            threads.push(spawn("skipstone-flush", move || log.run_flusher(interval)));
        }
        let (store, interval, stopping) = (Arc::clone(store), config.sweep_interval, Arc::clone(&stop));
        threads.push(spawn("skipstone-sweep", move || sweep_now_and_then(&store, interval, &stopping)));
        Maintenance { stop, threads: Mutex::new(threads) }
    }

    pub(super) fn stop(&self) {
        *lock(&self.stop.stopped) = true;
        self.stop.changed.notify_all();
        for thread in lock(&self.threads).drain(..) {
            // A panic of the thread was printed when it happened, and there is nothing to add.
            let _ = thread.join();
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let thread = thread::Builder::new().name(name.into()).spawn(run);
    thread.expect("the system has room for one more thread")
}

/// Sweeps when something was committed or a snapshot dropped since the last sweep, the less often the less there is to find.
fn sweep_now_and_then(store: &Store, interval: Duration, stop: &Stop) {
    let generation = || store.advance_horizon(&epoch::pin()).generation();
    let mut swept_at = generation();
    let mut pause = interval;
    while !stop.sleep(pause) {
        let sweeping_at = generation();
        if sweeping_at == swept_at {
            continue;
        }
        let mut batch_began = Instant::now();
        let swept = store.sweep(|| {
            let go_on = !stop.sleep(batch_began.elapsed() * (SWEEP_SHARE - 1));
            batch_began = Instant::now();
            go_on
        });
        swept_at = sweeping_at;
        let found_much = swept.versions + swept.died > swept.records / SWEEP_WORTH;
        pause = if found_much { interval } else { (pause * 2).min(interval * SWEEP_PAUSE_MAX) };
    }
}
