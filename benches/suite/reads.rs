//! Point reads of present ids through a snapshot, and opening snapshots.

use super::Result;
use super::drive::{UNTIMED, drive};
use super::records::{Id, Ours, ids, is_value_of, value};
use super::report::{Goal, Report, Row};
use super::series::Series;
use super::settings::Settings;
use super::stream::Stream;
use crossbeam_skiplist::SkipMap;
use skipstone::Database;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering, fence};

type Directory = papaya::HashMap<Id, Box<[u8]>, foldhash::fast::RandomState>;

struct Contestants {
    ours: Ours,
    skip_map: SkipMap<Id, Box<[u8]>>,
    papaya: Directory,
}

pub(crate) fn measure(settings: &Settings, report: &mut Report) -> Result<()> {
    let ids = ids(settings.records);
    let contestants = Contestants {
        ours: Ours::load(Database::builder(), &ids)?,
        skip_map: ids.iter().map(|id| (*id, value(id, 0).into())).collect(),
        papaya: ids.iter().map(|id| (*id, value(id, 0).into())).collect(),
    };
    let streams = [("uniform", Stream::uniform(&ids, 1)), ("zipf 0.99", Stream::zipf(&ids, 2))];
    for threads in [1, 2] {
        for (name, stream) in &streams {
            measure_reads(
                settings,
                report,
                &contestants,
                &format!("{name}, {threads} thread(s)"),
                stream,
                threads,
            );
        }
    }
    for threads in [1, 2] {
        measure_opening(settings, report, &contestants.ours.db, &streams[0].1, threads);
    }
    Ok(())
}

fn measure_reads(
    settings: &Settings,
    report: &mut Report,
    contestants: &Contestants,
    name: &str,
    stream: &Stream,
    threads: usize,
) {
    let Contestants { ours, skip_map, papaya } = contestants;
    let (mut our_ns, mut skip_map_ns, mut papaya_ns) = <(Series, Series, Series)>::default();
    for _ in 0..settings.rounds {
        let run = drive(threads, settings.time, stream, UNTIMED, || {
            let snapshot = ours.db.snapshot().expect("the store is open");
            move |id: &Id| {
                let value = snapshot.get(&ours.records, id).expect("the store is open");
                assert!(is_value_of(id, value.expect("every id is there")));
            }
        });
        our_ns.push(run.thread_ns(threads));
        let run = drive(threads, settings.time, stream, UNTIMED, || {
            |id: &Id| {
                let entry = skip_map.get(id).expect("every id is there");
                assert!(is_value_of(id, entry.value()));
            }
        });
        skip_map_ns.push(run.thread_ns(threads));
        let run = drive(threads, settings.time, stream, UNTIMED, || {
            |id: &Id| {
                let guard = papaya.guard();
                assert!(is_value_of(id, papaya.get(id, &guard).expect("every id is there")));
            }
        });
        papaya_ns.push(run.thread_ns(threads));
    }
    let name = format!("snapshot read, {name}");
    // Four times as fast is a quarter of the time.
    let row = Row::new(&name, "ns", &our_ns);
    report.add(row.against("SkipMap::get", &skip_map_ns).goal(Goal::RatioAtMost(0.25)));
    let row = Row::new(&name, "ns", &our_ns);
    report.add(row.against("papaya get", &papaya_ns).goal(Goal::RatioAtMost(3.5)));
}

/// A line of memory that belongs to one thread.
#[repr(align(128))]
struct OwnLine(AtomicU64);

fn measure_opening(settings: &Settings, report: &mut Report, db: &Database, stream: &Stream, threads: usize) {
    let (mut our_ns, mut fence_ns) = <(Series, Series)>::default();
    for _ in 0..settings.rounds {
        let run = drive(threads, settings.time, stream, UNTIMED, || {
            |_: &Id| drop(black_box(db.snapshot().expect("the store is open")))
        });
        our_ns.push(run.thread_ns(threads));
        let run = drive(threads, settings.time, stream, UNTIMED, || {
            let line = Box::new(OwnLine(AtomicU64::new(0)));
            move |id: &Id| {
                line.0.store(u64::from(id[0]), Ordering::Relaxed); // the cost is measured, nobody reads
                fence(Ordering::SeqCst); // as above
                black_box(&line);
            }
        });
        fence_ns.push(run.thread_ns(threads));
    }
    let row = Row::new(format!("open and drop a snapshot, {threads} thread(s)"), "ns", &our_ns);
    report.add(row.against("store, fence", &fence_ns).goal(Goal::AtMost(10.0)));
}
