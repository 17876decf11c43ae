//! The store's own threads: one flushes for those who do not wait, one takes checkpoints, one notes the time and puts it into the log, one sweeps up what no
//! writer came by to prune, one counts what is in indexes.

use super::Disk;
use super::config::Config;
use super::history::History;
use super::indexing;
use crate::log::{Log, Urgency};
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
    pub(super) fn start(
        config: &Config,
        (store, history): (&Arc<Store>, &Arc<History>),
        disk: Option<&Disk>,
    ) -> Maintenance {
        let stop = Arc::new(Stop::default());
        let mut threads = Vec::new();
        if let Some(disk) = disk {
            let (log, interval) = (Arc::clone(&disk.log), config.buffered_interval);
            threads.push(spawn("skipstone-flush", move || log.run_flusher(interval)));
            let (disk, stopping) = (disk.clone(), Arc::clone(&stop));
            let (store, history) = (Arc::clone(store), Arc::clone(history));
            let when = When { log_bytes: config.checkpoint_log_bytes, interval: config.checkpoint_interval };
            threads.push(spawn("skipstone-checkpoint", move || {
                checkpoint_when_due(&disk, (&store, &history), when, &stopping)
            }));
        }
        let (log, history) = (disk.map(|disk| Arc::clone(&disk.log)), Arc::clone(history));
        let (interval, stopping) = (config.time_interval, Arc::clone(&stop));
        threads.push(spawn("skipstone-clock", move || {
            while !stopping.sleep(interval) {
                log.iter().for_each(|log| mark_time(log));
                history.tick();
            }
        }));
        let (counted, interval, stopping) = (Arc::clone(store), config.sweep_interval, Arc::clone(&stop));
        threads.push(spawn("skipstone-statistics", move || {
            while !stopping.sleep(interval) {
                indexing::refresh_statistics(&counted, || !stopping.sleep(Duration::ZERO));
            }
        }));
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

/// When a checkpoint is due.
struct When {
    /// When the log has grown by so much,
    log_bytes: u64,
    /// or after so long, if it has grown at all.
    interval: Duration,
}

/// How often to look whether a checkpoint is due.
const CHECKPOINT_POLL: Duration = Duration::from_millis(50);
/// After a checkpoint that failed the next one is tried so much later, and each time twice as late,
const CHECKPOINT_RETRY: Duration = Duration::from_secs(1);
/// up to this.
const CHECKPOINT_RETRY_MAX: Duration = Duration::from_secs(60);

fn checkpoint_when_due(disk: &Disk, (store, history): (&Store, &History), when: When, stop: &Stop) {
    let (mut tried, mut retry) = (Instant::now(), CHECKPOINT_RETRY);
    while !stop.sleep(CHECKPOINT_POLL) {
        let grown = disk.checkpointer.log_grown(store.end());
        let is_due = grown > 0 && (grown >= when.log_bytes || tried.elapsed() >= when.interval);
        // A log that failed takes nothing any more.
        if !is_due || disk.log.check().is_err() {
            continue;
        }
        tried = Instant::now();
        // A failure is kept for `Database::stats`.
        if disk.checkpointer.run((store, history), &disk.log).is_ok() {
            retry = CHECKPOINT_RETRY;
        } else if stop.sleep(retry) {
            return;
        } else {
            retry = (retry * 2).min(CHECKPOINT_RETRY_MAX);
        }
    }
}

fn mark_time(log: &Log) {
    // A failure poisons the log, and everybody who waits is told by that.
    if log.mark_time().is_ok() && log.durable() < log.end() {
        let _ = log.flush_in_time(log.end(), Urgency::Soon);
    }
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
