//! Threads that do the same thing over and over for a while.

use super::records::Id;
use super::stream::{Cursor, Stream};
use hdrhistogram::Histogram;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Never timed: reads are as short as looking at the clock.
pub(crate) const UNTIMED: u64 = u64::MAX;
/// One operation of so many is timed: a prime, so that nothing that is done once in a power of two is timed always or never.
pub(crate) const SAMPLED: u64 = 31;

/// What the threads did together.
pub(crate) struct Run {
    pub(crate) operations: u64,
    pub(crate) time: Duration,
    pub(crate) latency_ns: Histogram<u64>,
}

impl Run {
    pub(crate) fn per_second(&self) -> f64 {
        self.operations as f64 / self.time.as_secs_f64()
    }

    /// Time for one operation on one of the threads.
    pub(crate) fn thread_ns(&self, threads: usize) -> f64 {
        self.time.as_secs_f64() * 1e9 * threads as f64 / self.operations as f64
    }
}

/// Latencies in ns up to a minute, to two digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(60_000_000_000, 2).expect("the bounds are sound")
}

/// Lets each thread call its worker with the ids of a stream until the time is over; one call of `every` is timed.
pub(crate) fn drive<W: FnMut(&Id)>(
    threads: usize,
    time: Duration,
    stream: &Stream,
    every: u64,
    worker: impl Fn() -> W + Sync,
) -> Run {
    // The threads measure; this one says for how long.
    let (run, ()) = drive_during(threads, stream, every, worker, || std::thread::sleep(time));
    run
}

/// The same for as long as `work` takes, which runs beside them.
pub(crate) fn drive_during<W: FnMut(&Id), T>(
    threads: usize,
    stream: &Stream,
    every: u64,
    worker: impl Fn() -> W + Sync,
    work: impl FnOnce() -> T,
) -> (Run, T) {
    let (start, stop) = (Barrier::new(threads + 1), AtomicBool::new(false));
    let run_thread = |thread| {
        let (worker, cursor) = (worker(), stream.of_thread(thread, threads));
        start.wait();
        repeat(worker, cursor, every, &stop)
    };
    std::thread::scope(|scope| {
        let run_thread = &run_thread;
        // Named, so that a profiler tells them from the thread that loads the stores.
        let spawn = |thread| {
            let builder = std::thread::Builder::new().name("worker".into());
            builder.spawn_scoped(scope, move || run_thread(thread)).expect("there is room for a thread")
        };
        let handles: Vec<_> = (0..threads).map(spawn).collect();
        start.wait();
        let began = Instant::now();
        let result = work();
        stop.store(true, Ordering::Relaxed); // no data depends on it
        let done: Vec<_> =
            handles.into_iter().map(|handle| handle.join().expect("a worker failed")).collect();
        let mut run = Run { operations: 0, time: began.elapsed(), latency_ns: histogram() };
        for (operations, latency_ns) in done {
            run.operations += operations;
            run.latency_ns += latency_ns;
        }
        (run, result)
    })
}

fn repeat(
    mut worker: impl FnMut(&Id),
    mut cursor: Cursor<'_>,
    every: u64,
    stop: &AtomicBool,
) -> (u64, Histogram<u64>) {
    let (mut operations, mut latency_ns, mut until_timed) = (0, histogram(), every);
    // Relaxed: it says when, and nothing else.
    while !stop.load(Ordering::Relaxed) {
        operations += 1;
        until_timed -= 1;
        if until_timed > 0 {
            worker(cursor.next());
            continue;
        }
        until_timed = every;
        let began = Instant::now();
        worker(cursor.next());
        latency_ns.saturating_record(began.elapsed().as_nanos() as u64);
    }
    (operations, latency_ns)
}
