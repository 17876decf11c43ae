//! Checkpoints of documents of 200 bytes: what they cost those who write meanwhile, what they write, how long they take, and what the store
//! takes on the disk. `opening` has what becomes of them.
//!
//! A checkpoint is called full where every document was written since the one before: it writes every page.

use super::Result;
use super::drive::{Run, SAMPLED, drive, drive_during};
use super::opening;
use super::records::{Id, ids, logged_only};
use super::report::{Goal, Report, Row};
use super::series::Series;
use super::settings::Settings;
use super::stored_documents::{DOCUMENT_BYTES, StoredDocuments};
use super::stream::Stream;
use fastrand::Rng;
use serde_json::{Map, Value};
use skipstone::{Checkpoint, Database};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const THREADS: usize = 8;
/// One document of so many changes between a full checkpoint and the next.
const CHANGED: usize = 100;
/// How often each document is written before the disk is looked at: once to be there, and ten times over that.
const WRITES: usize = 11;
/// `st_blocks` counts in these.
const BLOCK_BYTES: u64 = 512;

pub(crate) fn measure(settings: &Settings, report: &mut Report) -> Result<()> {
    let ids = ids(settings.records);
    let folder = settings.folder()?;
    let path = folder.path().join("store");
    let ours = StoredDocuments::open(logged_only(&path))?;
    ours.put_all(&ids)?;
    let first = ours.checkpoint()?;
    report.add(Row::new("first checkpoint", "s", &only(first.time.as_secs_f64())));
    let mut writes = ids.len() as u64;
    writes += measure_beside(settings, report, &ours, &ids)?;
    writes += measure_alone(settings, report, &ours, &ids)?;
    ours.check(&ids, writes)?;
    ours.close()?;
    opening::measure_loading(settings, report, &path, |ours| ours.check(&ids, writes))?;
    drop(folder);
    opening::measure_replay(settings, report, &ids)?;
    measure_disk(settings, report, &ids)
}

/// A series of one.
fn only(value: f64) -> Series {
    let mut series = Series::default();
    series.push(value);
    series
}

/// Updates while a full checkpoint is taken, or not.
#[derive(Default)]
struct Updates {
    rates: Series,
    p99_us: Series,
}

impl Updates {
    fn add(&mut self, run: &Run) {
        self.rates.push(run.per_second());
        self.p99_us.push(run.latency_ns.value_at_quantile(0.99) as f64 / 1000.0);
    }
}

/// Returns how many documents were written.
fn measure_beside(
    settings: &Settings,
    report: &mut Report,
    ours: &StoredDocuments,
    ids: &[Id],
) -> Result<u64> {
    let stream = Stream::uniform(ids, 8);
    let worker = || |id: &Id| ours.put(id);
    let (mut beside, mut undisturbed) = <(Updates, Updates)>::default();
    let (mut seconds, mut writes) = (Series::default(), 0);
    for _ in 0..settings.rounds {
        write_all(ours, ids)?;
        let warm_up = drive(THREADS, settings.time, &stream, SAMPLED, worker);
        let (run, taken) = drive_during(THREADS, &stream, SAMPLED, worker, || full(ours, ids));
        beside.add(&run);
        seconds.push(taken?.time.as_secs_f64());
        let warm_up_again = drive(THREADS, settings.time, &stream, SAMPLED, worker);
        let run_alone = drive(THREADS, run.time, &stream, SAMPLED, worker);
        undisturbed.add(&run_alone);
        let runs = [warm_up, run, warm_up_again, run_alone];
        writes += ids.len() as u64 + runs.iter().map(|run| run.operations).sum::<u64>();
    }
    let name = format!("updates beside a full checkpoint, {THREADS} threads");
    let row = Row::new(&name, "1/s", &beside.rates).against("without", &undisturbed.rates);
    report.add(row.goal(Goal::RatioAtLeast(0.8)));
    let row = Row::new(format!("{name}, p99"), "µs", &beside.p99_us).against("without", &undisturbed.p99_us);
    report.add(row.goal(Goal::RatioAtMost(1.5)));
    report.add(Row::new(format!("full checkpoint beside updates, {THREADS} threads"), "s", &seconds));
    Ok(writes)
}

/// Makes the next checkpoint a full one, with a log behind it that holds each document once.
fn write_all(ours: &StoredDocuments, ids: &[Id]) -> Result<()> {
    ours.checkpoint()?;
    ours.put_all(ids)
}

/// A checkpoint since the last one of which every document was written.
fn full(ours: &StoredDocuments, ids: &[Id]) -> Result<Checkpoint> {
    let taken = ours.checkpoint()?;
    let data_bytes = (ids.len() * DOCUMENT_BYTES) as u64;
    let is_full = taken.changed >= ids.len() as u64 && taken.written_bytes >= data_bytes;
    if is_full { Ok(taken) } else { Err("the checkpoint was not a full one".into()) }
}

/// Checkpoints while nobody writes. Returns how many documents were written.
fn measure_alone(
    settings: &Settings,
    report: &mut Report,
    ours: &StoredDocuments,
    ids: &[Id],
) -> Result<u64> {
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    let changed = (sorted.len() / CHANGED).max(1);
    let mut rng = Rng::with_seed(9);
    let mut taken = <[Vec<Checkpoint>; 3]>::default();
    for _ in 0..settings.rounds {
        write_all(ours, ids)?;
        taken[0].push(full(ours, ids)?);
        let from = rng.usize(..=sorted.len() - changed);
        ours.put_all(&sorted[from..from + changed])?;
        taken[1].push(ours.checkpoint()?);
        taken[2].push(ours.checkpoint()?);
    }
    let found = [1, 2].map(|of| taken[of].iter().map(|taken| taken.changed).collect::<Vec<_>>());
    if found != [vec![changed as u64; settings.rounds], vec![0; settings.rounds]] {
        return Err(format!("{found:?} changes were seen, not {changed} and none").into());
    }
    let seconds = taken.each_ref().map(|taken| series(taken, |taken| taken.time.as_secs_f64()));
    let written = taken.each_ref().map(|taken| series(taken, |taken| taken.written_bytes as f64));
    report.add(Row::new("full checkpoint", "s", &seconds[0]));
    report.add(Row::new("full checkpoint, written", "B", &written[0]));
    let name = "checkpoint of 1 % of the documents, next to each other";
    report.add(Row::new(name, "s", &seconds[1]).against("full", &seconds[0]));
    let row = Row::new(format!("{name}, written"), "B", &written[1]).against("full", &written[0]);
    report.add(row.goal(Goal::RatioAtMost(0.05)));
    let row = Row::new("checkpoint of no change", "s", &seconds[2]).against("full", &seconds[0]);
    report.add(row.detail("written_bytes", written[2].median()));
    Ok(((ids.len() + changed) * settings.rounds) as u64)
}

fn series(taken: &[Checkpoint], figure: impl Fn(&Checkpoint) -> f64) -> Series {
    let mut series = Series::default();
    taken.iter().for_each(|taken| series.push(figure(taken)));
    series
}

/// What a store takes at rest after each document was written over ten times, by its default settings. Once: it comes out the same each time.
fn measure_disk(settings: &Settings, report: &mut Report, ids: &[Id]) -> Result<()> {
    let folder = settings.folder()?;
    let path = folder.path().join("store");
    let ours = StoredDocuments::open(Database::builder().path(&path))?;
    for _ in 0..WRITES {
        ours.put_all(ids)?;
    }
    ours.check(ids, (ids.len() * WRITES) as u64)?;
    ours.close()?;
    let used = Used::of(&path)?;
    let live_bytes = (ids.len() * (size_of::<Id>() + DOCUMENT_BYTES)) as u64;
    let share = only(used.bytes as f64 / live_bytes as f64);
    let row = Row::new("disk at rest after overwriting all ten times, over ids and documents", "x", &share);
    let row = row.goal(Goal::AtMost(2.2)).detail("live_bytes", live_bytes);
    report.add(row.detail("segment_bytes", used.segment_bytes).detail("bytes_by_kind", used.by_kind));
    Ok(())
}

/// Where the space goes.
#[derive(Default)]
struct Used {
    bytes: u64,
    by_kind: Map<String, Value>,
    /// The length of a file of the log.
    segment_bytes: u64,
}

impl Used {
    fn of(path: &Path) -> Result<Used> {
        let mut used = Used::default();
        for entry in path.read_dir()? {
            let entry = entry?;
            let (name, metadata) = (entry.file_name().to_string_lossy().into_owned(), entry.metadata()?);
            let bytes = metadata.blocks() * BLOCK_BYTES;
            let kind = name.split('-').next().unwrap_or(&name);
            if kind == "log" {
                used.segment_bytes = metadata.len();
            }
            let before = used.by_kind.get(kind).and_then(Value::as_u64).unwrap_or(0);
            used.by_kind.insert(kind.to_owned(), (before + bytes).into());
            used.bytes += bytes;
        }
        Ok(used)
    }
}
