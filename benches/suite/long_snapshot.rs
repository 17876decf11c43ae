//! Updates with a snapshot open all the time, and without: what it costs, and whether memory stays flat.
//!
//! An open snapshot keeps one more version of each record that is updated. So every record is updated once before anything is
//! measured: from then on nothing more may be kept, however many updates there are.

use super::Result;
use super::drive::{UNTIMED, drive};
use super::memory::watch;
use super::records::{Id, Ours, ids, is_value_of, value};
use super::report::{Goal, Report, Row};
use super::series::Series;
use super::settings::Settings;
use super::stream::Stream;
use skipstone::{Database, Durability};

const THREADS: usize = 2;
/// Measurements of a figure that has to do with time take so many times as long as others.
const LENGTH: u32 = 4;
/// How much the memory may grow while it is watched, as a share of it.
const GROWTH_MAX: f64 = 0.03;

/// One of the two ways.
#[derive(Default)]
struct Way {
    rates: Series,
    slope_mib: Series,
    growth: Series,
}

pub(crate) fn measure(settings: &Settings, report: &mut Report) -> Result<()> {
    let ids = ids(settings.records);
    let stream = Stream::zipf(&ids, 7);
    let ours = Ours::load(Database::builder(), &ids)?;
    let (mut held, mut free) = <(Way, Way)>::default();
    for _ in 0..settings.rounds {
        run(settings, &ours, &ids, &stream, &mut free)?;
        let snapshot = ours.db.snapshot()?;
        run(settings, &ours, &ids, &stream, &mut held)?;
        for id in &ids {
            let value = snapshot.get(&ours.records, id)?;
            if !value.is_some_and(|value| is_value_of(id, value)) {
                return Err("the snapshot lost a record".into());
            }
        }
    }
    ours.check(&ids)?;
    let name = |what: &str| format!("zipfian updates under an open snapshot{what}, {THREADS} threads");
    let row = Row::new(name(""), "1/s", &held.rates).against("none open", &free.rates);
    report.add(row.goal(Goal::RatioAtLeast(0.85)));
    let row = Row::new(name(": memory growth"), "share", &held.growth);
    report.add(row.goal(Goal::AtMost(GROWTH_MAX)).detail("none_open", free.growth.median()));
    let row = Row::new(name(": memory slope"), "MiB/s", &held.slope_mib);
    report.add(row.detail("none_open", free.slope_mib.median()));
    Ok(())
}

fn run(settings: &Settings, ours: &Ours, ids: &[Id], stream: &Stream, way: &mut Way) -> Result<()> {
    let put = |id: &Id| ours.put(id, &value(id, 1), Durability::None);
    ids.iter().for_each(put);
    drive(THREADS, settings.time, stream, UNTIMED, || put);
    let (run, watched) = watch(|| drive(THREADS, settings.time * LENGTH, stream, UNTIMED, || put))?;
    way.rates.push(run.per_second());
    way.slope_mib.push(watched.slope_mib);
    way.growth.push(watched.growth);
    Ok(())
}
