//! Step 2: point reads by id, through one snapshot.

use super::load::COLLECTION;
use super::records;
use super::report::{Report, Step, quantile};
use crate::error::CliError;
use skipstone::Database;
use skipstone::document::ID_FIELD;
use std::time::Instant;

/// Reads are timed in groups, for looking at the clock takes as long as a read.
const GROUPS: u32 = 2_000;
const READS_PER_GROUP: u32 = 100;

pub(super) fn run(db: &Database, report: &mut Report) -> Result<(), CliError> {
    let collection = db.collection(COLLECTION)?;
    let snapshot = db.snapshot()?;
    let documents = snapshot.collection(&collection)?;
    let ids = 1..=records::all().len() as i64;
    let mut random = fastrand::Rng::new();
    let mut found = 0;
    let mut times = Vec::with_capacity(GROUPS as usize);
    for _ in 0..GROUPS {
        let group: [i64; READS_PER_GROUP as usize] = std::array::from_fn(|_| random.i64(ids.clone()));
        let begun = Instant::now();
        for id in group {
            let document = documents.get(id)?;
            let own = document.as_ref().and_then(|document| document.get(ID_FIELD));
            found += u32::from(own.and_then(|id| id.as_i32()).is_some_and(|own| i64::from(own) == id));
        }
        times.push(begun.elapsed() / READS_PER_GROUP);
    }
    times.sort_unstable();

    let reads = GROUPS * READS_PER_GROUP;
    let mut step = Step::new("reads", "Read documents by random ids, one thread, one snapshot");
    step.count("reads", reads.into(), "reads");
    step.time("p50", quantile(&times, 0.5), "a read, in the median of groups of 100");
    step.time("p99", quantile(&times, 0.99), "a read, in the slowest hundredth of the groups");
    step.check("each id led to its own document", found == reads);
    step.check("an id that was never given leads to none", documents.get(0)?.is_none());
    report.add(step)
}
