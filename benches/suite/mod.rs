//! The figures to reach: each against a raw baseline, in the same process and run.
//!
//! ```text
//!   cargo bench --bench figures                          all figures, the system's allocator
//!   cargo bench --bench figures_mimalloc -- updates      some of them, with mimalloc
//! ```
//!
//! The contestants of a figure take turns, round by round, so that what else the machine does hits them alike. A rate is the median of the
//! rounds; a ratio is the median of the ratios within each round. What was read and written is checked: a figure of
//! wrong answers is no figure, and the run ends.
//!
//! | variable | meaning | default |
//! | --- | --- | --- |
//! | `SKIPSTONE_BENCH_RECORDS` | records, or documents, in each store | 1,000,000 |
//! | `SKIPSTONE_BENCH_DOCUMENTS` | documents to import | 100,000 |
//! | `SKIPSTONE_BENCH_ROUNDS` | rounds | 5 |
//! | `SKIPSTONE_BENCH_MILLIS` | length of one measurement of one contestant | 1000 |
//! | `SKIPSTONE_BENCH_DIR` | where stores on disk go; not a memory file system | the build folder |
//! | `SKIPSTONE_BENCH_JSON` | a file that the JSON lines are added to | standard output |
//!
//! - `settings`, `environment`, `machine`, `report`: what is asked, on what, and what came out. `series`: medians.
//! - `records`, `documents`, `stored_documents`, `towns`, `stream`, `drive`: the data, the order in which it is asked for, and the threads that ask.
//! - `reads`, `updates`, `convoys`, `durable`, `import`, `long_snapshot`, `checkpoints` with `opening`, `compression`, `queries`: one figure, or one family of them, each.

mod checkpoints;
mod compression;
mod convoys;
mod documents;
mod drive;
mod durable;
mod environment;
mod import;
mod long_snapshot;
mod machine;
mod memory;
mod opening;
mod probe;
mod queries;
mod reads;
mod records;
mod report;
mod series;
mod settings;
mod stored_documents;
mod stream;
mod towns;
mod updates;

use report::Report;
use settings::Settings;

/// Whatever ends a run.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

type Measure = fn(&Settings, &mut Report) -> Result<()>;

/// What can be chosen on the command line.
const FIGURES: &[(&str, Measure)] = &[
    ("reads", reads::measure),
    ("updates", updates::measure),
    ("convoys", convoys::measure),
    ("durable", durable::measure),
    ("import", import::measure),
    ("long-snapshot", long_snapshot::measure),
    ("checkpoints", checkpoints::measure),
    ("compression", compression::measure),
    ("queries", queries::measure),
];

/// Measures the chosen figures, all if none is chosen; prints a table and JSON lines.
pub(crate) fn run(target: &str, allocator: &str) -> Result<()> {
    let names: Vec<&str> = FIGURES.iter().map(|(name, _)| *name).collect();
    let settings = Settings::from_environment(&names)?;
    let mut report = Report::new(machine::describe(target, allocator, &settings)?);
    for (name, measure) in FIGURES.iter().filter(|(name, _)| settings.is_chosen(name)) {
        report.begin(name);
        measure(&settings, &mut report)?;
    }
    report.finish(settings.json.as_deref())
}
