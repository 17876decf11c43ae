//! `stats`: what is known of a store.

use crate::args::StoreArgs;
use crate::error::CliError;
use crate::output::{Output, Style};
use crate::store;
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Map, Value, json};
use skipstone::Database;
use std::fs;
use std::io;
use std::path::Path;

pub(crate) fn run(args: &StoreArgs, style: Style) -> Result<(), CliError> {
    let db = store::open(&args.dir)?;
    let collections = counts(&db)?;
    let keyspaces = db.keyspace_names()?;
    let (stats, recovery) = (db.stats(), db.recovery().clone());
    db.close()?;
    let file_bytes =
        file_bytes(&args.dir).map_err(|error| CliError::file("read the sizes in", &args.dir, error))?;

    let named: Map<String, Value> =
        collections.iter().map(|(name, count)| (name.clone(), json!(count))).collect();
    let json = json!({
        "collections": named,
        "keyspaces": keyspaces,
        "records": stats.records,
        "position": stats.position.get(),
        "log_segments": stats.log_segments,
        "file_bytes": file_bytes,
        "device": stats.device,
        "read_only": stats.read_only.as_ref().map(ToString::to_string),
        "recovery": {
            "frames": recovery.frames,
            "writes": recovery.writes,
            "keys": recovery.keys,
            "end": recovery.end.get(),
            "cut_bytes": recovery.cut_bytes,
            "closed": recovery.closed,
            "seconds": recovery.time.as_secs_f64(),
        },
    });
    let mut lines: Vec<String> = collections
        .iter()
        .map(|(name, count)| format!("{:>14}  documents in `{name}`", HumanCount(*count).to_string()))
        .collect();
    let mut line = |value: String, what: &str| lines.push(format!("{value:>14}  {what}"));
    line(keyspaces.len().to_string(), "keyspaces");
    line(stats.position.to_string(), "position, in bytes of the log");
    line(stats.log_segments.to_string(), "segments of the log");
    line(HumanBytes(file_bytes).to_string(), "in files");
    line(stats.device.to_owned(), "is the device");
    match &stats.read_only {
        Some(failure) => line("read-only".to_owned(), &format!("since this failed: {failure}")),
        None => line("writable".to_owned(), "no write has failed"),
    }
    line(HumanCount(recovery.frames).to_string(), "frames read when opening");
    line(format!("{:.1} ms", recovery.time.as_secs_f64() * 1e3), "to read them");
    line(HumanBytes(recovery.cut_bytes).to_string(), "cut off: in flight when the store was killed");
    let mut output = Output::new(style);
    output.result(&lines.join("\n"), &json)?;
    output.finish()
}

/// The collections with the number of their documents, as of one moment.
fn counts(db: &Database) -> Result<Vec<(String, u64)>, CliError> {
    let snapshot = db.snapshot()?;
    let mut counts = Vec::new();
    for name in db.collection_names()? {
        if let Some(collection) = db.find_collection(&name)? {
            counts.push((name, snapshot.collection(&collection)?.count()));
        }
    }
    Ok(counts)
}

/// How much disk space the store's files take.
fn file_bytes(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}
