//! Figures of an open store.

use crate::checkpoint::error::CheckpointError;
use crate::engine::Engine;
use crate::engine::checkpointer::Checkpoint;
use crate::io::IoError;
use crate::lsn::Lsn;

/// Figures of one moment; each is read by itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// The log's end.
    pub position: Lsn,
    /// Everything below is on stable storage.
    pub durable_position: Lsn,
    /// Keys in all collections and keyspaces, deleted ones that are not swept up yet included.
    pub records: u64,
    /// Open snapshots and transactions.
    pub snapshots_open: u64,
    /// The position of the oldest of them.
    pub oldest_snapshot: Option<Lsn>,
    /// The oldest position that [`Database::at`](crate::Database::at) can read.
    pub oldest_position: Lsn,
    /// Everything committed below is in the checkpoint: zero before the first one, none in memory.
    pub checkpoint_position: Option<Lsn>,
    /// The last checkpoint since the store was opened.
    pub checkpoint: Option<Checkpoint>,
    /// Why the last attempt at a checkpoint failed, if it did; it is tried again.
    pub checkpoint_failure: Option<CheckpointError>,
    /// Files that hold the log: what is needed, and what is kept as history and for backups.
    pub log_segments: u64,
    /// The oldest position that the log still holds; none in memory.
    pub oldest_log_position: Option<Lsn>,
    /// How the files are reached: `io_uring`, `portable`; `none` in memory.
    pub device: &'static str,
    /// The failure since which the store takes no more writes, until it is opened again; none as long as it takes them.
    pub read_only: Option<IoError>,
}

impl Stats {
    pub(super) fn of(engine: &Engine) -> Stats {
        let store = engine.store();
        let (snapshots_open, oldest_snapshot) = store.active().open();
        let (checkpoint, checkpoint_failure) = engine.last_checkpoint();
        // Before the log's end, which only grows: so it is not beyond that.
        let checkpoint_position = engine.checkpoint_position();
        Stats {
            position: store.end().load(),
            durable_position: engine.durable_position(),
            records: store.record_count() as u64,
            snapshots_open: snapshots_open as u64,
            oldest_snapshot,
            oldest_position: store.active().oldest(),
            checkpoint_position,
            checkpoint,
            checkpoint_failure,
            log_segments: engine.log().map_or(0, |log| log.segments().count()),
            oldest_log_position: engine.log().map(|log| log.segments().oldest()),
            device: engine.device_name(),
            read_only: engine.failure(),
        }
    }
}
