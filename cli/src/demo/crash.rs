//! Step 4: a process that writes to the store is killed, and the store is opened again.
//!
//! The process is this program: `import --ack` reads records from a pipe without end, and prints each id when its
//! transaction is durable. SIGKILL takes it in the middle, with no chance to tidy up. What it printed was promised.

use super::report::{Report, Step};
use super::{load, records, transfers};
use crate::error::CliError;
use skipstone::Database;
use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::Instant;

const COLLECTION: &str = "under_fire";
const BATCH: usize = 32;
/// The process is killed after so many acknowledgements, or a few more.
const ACKNOWLEDGED_MIN: usize = 10_000;
const ACKNOWLEDGED_MORE: usize = 1_000;

pub(super) fn run(dir: &Path, report: &mut Report) -> Result<(), CliError> {
    let acknowledged = write_until_killed(dir)?;
    let begun = Instant::now();
    let db = Database::open(dir)?;
    let time = begun.elapsed();
    let recovery = db.recovery().clone();
    let found = examine(&db, &acknowledged)?;

    let mut step =
        Step::new("crash", "Kill a process while it writes to the store, and open the store again");
    step.count("acknowledged", acknowledged.len() as u64, "documents were acknowledged when it died");
    step.count("recovered", found.documents, "documents are there: these, and some that were in flight");
    step.count("frames", recovery.frames, "frames of the log were read again");
    step.count("cut_bytes", recovery.cut_bytes, "bytes cut off: half a frame that was in flight");
    step.time("recovery", time, "to open the store");
    step.check("the store was not closed properly, and knows it", !recovery.closed);
    step.check("every acknowledged document is there", found.missing == 0);
    step.check("every document is what was sent", found.altered == 0);
    step.check("every transaction is there wholly or not at all", found.torn == 0);
    step.check("the imported records are as they were", load::all_are_there(&db)?);
    step.check("the accounts still add up", transfers::are_balanced(&db)?);
    db.close()?;
    report.add(step)
}

/// Runs the process until it is killed; returns the ids that it has acknowledged.
fn write_until_killed(dir: &Path) -> Result<HashSet<i64>, CliError> {
    let failed = |error| CliError::Demo(format!("the process to be killed could not be used: {error}"));
    let mut child = spawn(dir).map_err(failed)?;
    let (input, output) = (child.stdin.take(), child.stdout.take());
    let (Some(input), Some(output)) = (input, output) else {
        return Err(failed(io::Error::other("it has no pipes")));
    };
    let feeder = thread::spawn(|| feed(input));
    let enough = ACKNOWLEDGED_MIN + fastrand::usize(..ACKNOWLEDGED_MORE);
    let mut acknowledged = HashSet::new();
    let mut killed = false;
    let mut lines = BufReader::new(output);
    let mut line = String::new();
    // Lines that were in the pipe when it was killed count too; half a line does not.
    while lines.read_line(&mut line).map_err(failed)? > 0 && line.ends_with('\n') {
        let id = line
            .trim_end()
            .parse()
            .map_err(|_| failed(io::Error::other("it printed something else than ids")))?;
        acknowledged.insert(id);
        line.clear();
        if !killed && acknowledged.len() >= enough {
            child.kill().map_err(failed)?;
            killed = true;
        }
    }
    child.wait().map_err(failed)?;
    // The feeder ends with the pipe.
    let _ = feeder.join();
    match killed {
        true => Ok(acknowledged),
        false => Err(failed(io::Error::other("it ended by itself"))),
    }
}

fn spawn(dir: &Path) -> io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .arg("import")
        .arg(dir)
        .args([COLLECTION, "-", "--ack", "--writers", "2", "--batch", &BATCH.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
}

/// Sends records until nobody takes them any more.
fn feed(input: ChildStdin) -> io::Result<()> {
    let records = records::all();
    let mut input = BufWriter::new(input);
    for id in 0.. {
        input.write_all(&sent(id, &records))?;
    }
    Ok(())
}

/// The line that is sent for an id: a record, over and over, with the id in front.
fn sent(id: usize, records: &[&[u8]]) -> Vec<u8> {
    let fields = record(id, records).strip_prefix(b"{").unwrap_or_default();
    [format!("{{\"_id\":{id},").as_bytes(), fields, b"\n"].concat()
}

fn record<'r>(id: usize, records: &[&'r [u8]]) -> &'r [u8] {
    records[id % records.len()]
}

/// What of the killed process is in the store.
struct Found {
    documents: u64,
    missing: usize,
    altered: usize,
    torn: usize,
}

fn examine(db: &Database, acknowledged: &HashSet<i64>) -> Result<Found, CliError> {
    let records = records::all();
    let collection = db.collection(COLLECTION)?;
    let snapshot = db.snapshot()?;
    let mut found = Found { documents: 0, missing: acknowledged.len(), altered: 0, torn: 0 };
    let mut in_batch: Vec<usize> = Vec::new();
    for document in snapshot.collection(&collection)?.scan() {
        let document = document?;
        let id = document.get("_id").and_then(|id| id.as_i32()).unwrap_or(-1);
        let Ok(index) = usize::try_from(id) else {
            found.altered += 1;
            continue;
        };
        found.documents += 1;
        found.missing -= usize::from(acknowledged.contains(&id.into()));
        found.altered += usize::from(!records::is_same(document.raw(), id.into(), record(index, &records)));
        // The input is cut into batches in order, so the id tells the transaction.
        let batch = index / BATCH;
        in_batch.resize(in_batch.len().max(batch + 1), 0);
        in_batch[batch] += 1;
    }
    found.torn = in_batch.iter().filter(|&&documents| documents != 0 && documents != BATCH).count();
    Ok(found)
}
