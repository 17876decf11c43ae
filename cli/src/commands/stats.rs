//! `stats`: what is known of a store.

use crate::error::CliError;
use crate::output::{Output, Style};
use crate::store::Access;
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Map, Value, json};
use skipstone::{Database, Lsn, Recovery, Stats};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// In what the system counts the space that a file takes, whatever the file system's own blocks are.
const STAT_BLOCK_BYTES: u64 = 512;

/// What is shown.
struct Figures {
    collections: Vec<(String, u64)>,
    keyspaces: Vec<String>,
    stats: Stats,
    recovery: Recovery,
    disk_bytes: u64,
}

pub(crate) fn run(store: Access<'_>, style: Style) -> Result<(), CliError> {
    let db = store.open()?;
    let (collections, keyspaces) = (counts(&db)?, db.keyspace_names()?);
    let (stats, recovery) = (db.stats(), db.recovery().clone());
    db.close()?;
    let disk_bytes =
        disk_bytes(store.dir()).map_err(|error| CliError::file("read the sizes in", store.dir(), error))?;
    let figures = Figures { collections, keyspaces, stats, recovery, disk_bytes };
    Output::report(style, &figures.lines().join("\n"), &figures.json())
}

impl Figures {
    fn checkpoint_position(&self) -> Lsn {
        self.stats.checkpoint_position.unwrap_or(Lsn::ZERO)
    }

    /// How far the log has grown since the last checkpoint.
    fn log_bytes(&self) -> u64 {
        self.stats.position.get() - self.checkpoint_position().get()
    }

    fn json(&self) -> Value {
        let Figures { collections, stats, recovery, .. } = self;
        let named: Map<String, Value> =
            collections.iter().map(|(name, count)| (name.clone(), json!(count))).collect();
        json!({
            "collections": named,
            "keyspaces": self.keyspaces,
            "records": stats.records,
            "position": stats.position.get(),
            "oldest_position": stats.oldest_position.get(),
            "log_segments": stats.log_segments,
            "disk_bytes": self.disk_bytes,
            "device": stats.device,
            "read_only": stats.read_only.as_ref().map(ToString::to_string),
            "checkpoint": {
                "position": self.checkpoint_position().get(),
                "log_bytes": self.log_bytes(),
                "failure": stats.checkpoint_failure.as_ref().map(ToString::to_string),
            },
            "recovery": {
                "checkpoint": recovery.checkpoint.get(),
                "pages": recovery.pages,
                "entries": recovery.entries,
                "frames": recovery.frames,
                "writes": recovery.writes,
                "keys": recovery.keys,
                "end": recovery.end.get(),
                "cut_bytes": recovery.cut_bytes,
                "closed": recovery.closed,
                "lost_history": recovery.lost_history,
                "seconds": recovery.time.as_secs_f64(),
            },
        })
    }

    fn lines(&self) -> Vec<String> {
        let Figures { collections, stats, recovery, .. } = self;
        let mut lines = Vec::new();
        let mut line = |value: String, what: &str| lines.push(format!("{value:>14}  {what}"));
        for (name, count) in collections {
            line(HumanCount(*count).to_string(), &format!("documents in `{name}`"));
        }
        line(self.keyspaces.len().to_string(), "keyspaces");
        line(stats.position.to_string(), "position, in bytes of the log");
        line(stats.oldest_position.to_string(), "oldest position that can be read");
        line(stats.log_segments.to_string(), "segments of the log that are needed");
        line(HumanBytes(self.disk_bytes).to_string(), "on the disk");
        line(stats.device.to_owned(), "is the device");
        match &stats.read_only {
            Some(failure) => line("read-only".to_owned(), &format!("since this failed: {failure}")),
            None => line("writable".to_owned(), "no write has failed"),
        }
        match self.checkpoint_position() {
            Lsn::ZERO => line("none".to_owned(), "is the checkpoint; the log has everything"),
            position => line(position.to_string(), "position of the checkpoint"),
        }
        line(HumanBytes(self.log_bytes()).to_string(), "of the log since then");
        if let Some(failure) = &stats.checkpoint_failure {
            line("failed".to_owned(), &format!("the last checkpoint, which will be tried again: {failure}"));
        }
        line(HumanCount(recovery.entries).to_string(), "keys loaded from the checkpoint when opening");
        line(HumanCount(recovery.pages).to_string(), "pages that they were in");
        line(HumanCount(recovery.frames).to_string(), "frames of the log read behind it");
        line(HumanCount(recovery.writes).to_string(), "writes in them");
        line(format!("{:.1} ms", recovery.time.as_secs_f64() * 1e3), "to load and read all that");
        line(HumanBytes(recovery.cut_bytes).to_string(), "cut off: in flight when the store was killed");
        if let Some(why) = &recovery.lost_history {
            line("lost".to_owned(), &format!("the past from before this opening: {why}"));
        }
        lines
    }
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

/// How much disk space the store's files take. Those that hold pages are longer than that: they fill as pages are written.
fn disk_bytes(dir: &Path) -> io::Result<u64> {
    let mut blocks = 0;
    for entry in fs::read_dir(dir)? {
        blocks += entry?.metadata()?.blocks();
    }
    Ok(blocks * STAT_BLOCK_BYTES)
}
