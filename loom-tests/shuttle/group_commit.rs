//! Invariants 6 and 7 with more sleepers than loom has room for: durable never passes what is not published, and every waiter wakes.

use super::small_log::{Log, log};
use super::*;
use crate::io::IoError;
use crate::log::{Flusher, Urgency};
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

/// A log whose ring is soon full, and whose sink fails in some schedules, sooner or later.
fn any_log() -> Arc<Log> {
    let mut rng = thread_rng();
    let frames_in_ring = [2, 4][rng.gen_range(0..2)];
    let writes = if rng.gen_bool(0.3) { rng.gen_range(0..6) } else { usize::MAX };
    log(frames_in_ring, writes)
}

/// Three commits, some of which wait for room only.
fn commit_some(log: &Log) -> Result<(), IoError> {
    for _ in 0..3 {
        if thread_rng().gen_bool(0.7) {
            log.commit()?;
        } else {
            log.publish()?;
        }
        log.check_durable();
    }
    Ok(())
}

/// After all are done: everything is durable, or everybody was told why not.
fn check(log: &Log, results: Vec<Result<(), IoError>>) -> bool {
    let last = log.group.wait_durable(log.end.load());
    assert_eq!(last.is_err(), log.group.health().is_poisoned());
    match last {
        Ok(()) => assert_eq!(log.group.durable(), log.end.load()),
        Err(_) => assert!(log.group.durable() < log.end.load(), "failed, and durable all the same"),
    }
    let is_told = results.iter().any(Result::is_err);
    assert!(last.is_err() || !is_told, "told of a failure that did not happen");
    log.check_durable();
    last.is_ok()
}

#[test]
fn four_committers_are_acknowledged_or_told() {
    let outcomes = Outcomes::default();
    let noted = outcomes.clone();
    explore("group commit, four", 40_000, move || {
        let log = any_log();
        let threads = [(); 4].map(|()| {
            let log = Arc::clone(&log);
            thread::spawn(move || commit_some(&log))
        });
        noted.note(check(&log, join(threads)));
    });
    expect_met(&outcomes, &["false", "true"]);
}

/// Waits as a task does, which is woken by its waker alone.
fn commit_as_task(log: &Log, flusher: &Flusher) -> Result<(), IoError> {
    let end = log.publish()?;
    shuttle::future::block_on(poll_fn(|context| {
        if log.group.wake_when_durable(end, context.waker()) {
            return Poll::Ready(());
        }
        assert!(flusher.request(Urgency::Now));
        Poll::Pending
    }));
    log.group.health().check().inspect(|()| {
        assert!(log.group.durable() >= end, "woken before it was durable");
        log.check_written(end);
    })
}

/// As `Log::run_flusher`, without segments.
fn flush_on_request(log: &Log, flusher: &Flusher) {
    loop {
        let goes_on = flusher.wait_for_request(Duration::from_millis(1));
        let flushed = log.group.wait_durable(log.end.load());
        if !goes_on {
            return;
        }
        if let Err(error) = flushed {
            log.group.fail(error);
            return flusher.wait_for_close();
        }
        log.check_durable();
    }
}

#[test]
fn tasks_threads_and_the_flusher_wait_for_each_other() {
    let outcomes = Outcomes::default();
    let noted = outcomes.clone();
    explore("group commit, tasks and a flusher", 20_000, move || {
        let (log, flusher) = (any_log(), Arc::new(Flusher::new()));
        let flushing = {
            let (log, flusher) = (Arc::clone(&log), Arc::clone(&flusher));
            thread::spawn(move || flush_on_request(&log, &flusher))
        };
        let threads = [0, 1, 2].map(|index| {
            let (log, flusher) = (Arc::clone(&log), Arc::clone(&flusher));
            thread::spawn(move || match index {
                0 => (0..2).try_for_each(|_| log.commit()),
                1 => (0..2).try_for_each(|_| commit_as_task(&log, &flusher)),
                _ => (0..2).try_for_each(|_| {
                    log.publish()?;
                    assert!(flusher.request(Urgency::Soon));
                    Ok(())
                }),
            })
        });
        noted.note(check(&log, join(threads)));
        flusher.close();
        flushing.join().unwrap();
    });
    expect_met(&outcomes, &["false", "true"]);
}
