//! Blind updates, one transaction each, that wait for no disk: in memory, and with a log behind.

use super::Result;
use super::drive::{UNTIMED, drive};
use super::records::{Id, Ours, ids, logged_only, tree, value};
use super::report::{Goal, Report, Row};
use super::series::Series;
use super::settings::Settings;
use super::stream::Stream;
use skipstone::{Database, Durability};

/// One thread, per second, whatever the allocator.
const GOAL_PER_SECOND: f64 = 2.5e6;
/// Two threads on two cores over one.
const GOAL_SCALING: f64 = 1.5;

pub(crate) fn measure(settings: &Settings, report: &mut Report) -> Result<()> {
    let ids = ids(settings.records);
    let stream = Stream::uniform(&ids, 3);
    let in_memory = Ours::load(Database::builder(), &ids)?;
    measure_store(settings, report, "in memory", &in_memory, &ids, &stream)?;
    drop(in_memory);
    let folder = settings.folder()?;
    let on_disk = Ours::load(logged_only(&folder.path().join("store")), &ids)?;
    measure_store(settings, report, "on disk", &on_disk, &ids, &stream)
}

fn measure_store(
    settings: &Settings,
    report: &mut Report,
    place: &str,
    ours: &Ours,
    ids: &[Id],
    stream: &Stream,
) -> Result<()> {
    let tree = tree(ids);
    let mut our_rates = <[Series; 2]>::default();
    let mut tree_rates = <[Series; 2]>::default();
    for _ in 0..settings.rounds {
        for threads in [1, 2] {
            let run = drive(threads, settings.time, stream, UNTIMED, || {
                |id: &Id| ours.put(id, &value(id, 1), Durability::None)
            });
            our_rates[threads - 1].push(run.per_second());
            let run = drive(threads, settings.time, stream, UNTIMED, || {
                |id: &Id| {
                    let new = value(id, 1).to_vec();
                    tree.write().expect("no writer panics").insert(*id, new);
                }
            });
            tree_rates[threads - 1].push(run.per_second());
        }
    }
    ours.check(ids)?;
    let goals = [Some(Goal::AtLeast(GOAL_PER_SECOND)), None];
    for ((threads, goal), (ours, tree)) in (1..).zip(goals).zip(our_rates.iter().zip(&tree_rates)) {
        let row = Row::new(format!("blind update {place}, {threads} thread(s)"), "1/s", ours);
        report.add(row.against("RwLock<BTreeMap>", tree).goal(goal));
    }
    let row = Row::new(format!("blind update {place}, 2 threads"), "1/s", &our_rates[1]);
    report.add(row.against("ours, 1 thread", &our_rates[0]).goal(Goal::RatioAtLeast(GOAL_SCALING)));
    Ok(())
}
