//! Durable commits of 100 bytes by more and more threads, each against a probe of the disk right before it.

use super::Result;
use super::drive::{Run, drive, histogram};
use super::probe::Probe;
use super::records::{Id, Ours, ids, logged_only, unlogged, value};
use super::report::{Goal, Report, Row};
use super::series::Series;
use super::settings::Settings;
use super::stream::Stream;
use skipstone::{CommitHandle, Database, Durability};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Threads, and how many times the probe's rate they have to reach.
const GOALS: [(usize, Option<f64>); 5] =
    [(1, Some(0.9)), (4, None), (16, Some(8.0)), (64, Some(20.0)), (256, Some(30.0))];
/// The number of threads whose median latency counts, and how many times the probe's it may take.
const LATENCY_GOAL: (usize, f64) = (16, 2.0);
/// Asynchronous commits under way at a time.
const IN_FLIGHT_MAX: usize = 1024;

/// What one way to commit reached, round by round, and the probes beside it.
#[derive(Default)]
struct Durable {
    rates: Series,
    probe_rates: Series,
    p50_us: Series,
    p99_us: Series,
    probe_p50_us: Series,
}

impl Durable {
    fn add(
        &mut self,
        settings: &Settings,
        probe: &mut Probe,
        run: impl FnOnce() -> Result<Run>,
    ) -> Result<()> {
        let probed = probe.run(settings.time / 2)?;
        self.probe_rates.push(probed.per_second);
        self.probe_p50_us.push(probed.latency_ns.value_at_quantile(0.5) as f64 / 1000.0);
        let run = run()?;
        self.rates.push(run.per_second());
        self.p50_us.push(run.latency_ns.value_at_quantile(0.5) as f64 / 1000.0);
        self.p99_us.push(run.latency_ns.value_at_quantile(0.99) as f64 / 1000.0);
        Ok(())
    }

    fn row(&self, name: &str) -> Row {
        Row::new(name, "1/s", &self.rates)
            .against("4 KiB write", &self.probe_rates)
            .detail("p50_us", self.p50_us.median())
            .detail("p99_us", self.p99_us.median())
            .detail("probe_p50_us", self.probe_p50_us.median())
    }

    fn latency_row(&self, name: &str) -> Row {
        Row::new(format!("{name}, p50"), "µs", &self.p50_us).against("4 KiB write, p50", &self.probe_p50_us)
    }
}

pub(crate) fn measure(settings: &Settings, report: &mut Report) -> Result<()> {
    let ids = ids(settings.records.min(100_000));
    let stream = Stream::uniform(&ids, 5);
    let folder = settings.folder()?;
    let mut probe = Probe::new(&folder.path().join("probe"))?;
    let path = folder.path().join("store");
    let ours = Ours::load(logged_only(&path), &ids)?;
    let mut waiting = GOALS.map(|_| Durable::default());
    let mut asynchronous = Durable::default();
    for _ in 0..settings.rounds {
        for ((threads, _), durable) in GOALS.iter().zip(&mut waiting) {
            durable.add(settings, &mut probe, || {
                Ok(drive(*threads, settings.time, &stream, 1, || {
                    |id: &Id| ours.put(id, &value(id, 1), Durability::Sync)
                }))
            })?;
        }
        asynchronous.add(settings, &mut probe, || commit_asynchronously(&ours, &stream, settings.time))?;
    }
    for ((threads, goal), durable) in GOALS.iter().zip(&waiting) {
        let name = format!("durable commits, {threads} thread(s)");
        report.add(durable.row(&name).goal(goal.map(Goal::RatioAtLeast)));
        let goal = (*threads == LATENCY_GOAL.0).then_some(Goal::RatioAtMost(LATENCY_GOAL.1));
        report.add(durable.latency_row(&name).goal(goal));
    }
    let name = format!("asynchronous commits, 1 thread, {IN_FLIGHT_MAX} in flight");
    report.add(asynchronous.row(&name));
    report.add(asynchronous.latency_row(&name));
    check_reopened(&path, ours, &ids)
}

/// One thread that commits ahead, and waits for the oldest commit when there are many.
fn commit_asynchronously(ours: &Ours, stream: &Stream, time: Duration) -> Result<Run> {
    let mut ids = stream.of_thread(0, 1);
    let mut in_flight: VecDeque<(Instant, CommitHandle)> = VecDeque::new();
    let mut run = Run { operations: 0, time, latency_ns: histogram() };
    let began = Instant::now();
    while began.elapsed() < time || !in_flight.is_empty() {
        if began.elapsed() < time && in_flight.len() < IN_FLIGHT_MAX {
            let (id, committed) = (ids.next(), Instant::now());
            let mut tx = ours.db.begin_with(unlogged())?;
            tx.keyspace(&ours.records)?.put(id, &value(id, 1))?;
            in_flight.push_back((committed, tx.commit_async()?));
        } else if let Some((committed, handle)) = in_flight.pop_front() {
            handle.wait()?;
            run.latency_ns.saturating_record(committed.elapsed().as_nanos() as u64);
            run.operations += 1;
        }
    }
    run.time = began.elapsed();
    Ok(run)
}

/// What was acknowledged is there after the store is opened again.
fn check_reopened(path: &std::path::Path, ours: Ours, ids: &[Id]) -> Result<()> {
    let before = ours.check(ids)?;
    drop(ours);
    let db = Database::open(path)?;
    let records = db.keyspace("records")?;
    let after = Ours { db, records }.check(ids)?;
    if before == after { Ok(()) } else { Err("a durable commit is missing".into()) }
}
