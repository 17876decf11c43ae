//! Copies an open store to another directory: a checkpoint is taken, and its pages are copied before the next one is.
//!
//! The copy is a store of its own, whose log begins at the checkpoint's position and is empty. The file that makes a directory a store is
//! written last, so a backup is there wholly or not at all.

use super::Disk;
use super::checkpointer::Kept;
use super::error::{BackupError, OpenError};
use super::store_file::StoreFile;
use crate::checkpoint::copier;
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::manifest::Manifest;
use crate::checkpoint::{PAGE_BYTES, Pace};
use crate::io::Device;
use crate::log::segment::Segments;
use crate::lsn::Lsn;
use crate::mvcc::store::Store;
use crate::sync::Arc;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What a backup holds.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Backup {
    /// Everything committed below is in it, and nothing else.
    pub position: Lsn,
    /// Documents and keys in it.
    pub entries: u64,
    /// Bytes of its pages.
    pub bytes: u64,
    /// How long it took.
    pub time: Duration,
}

/// Copies the store to a directory that is empty.
pub(super) fn back_up(disk: &Disk, store: &Store, target: &Arc<dyn Device>) -> Result<Backup, BackupError> {
    let started = Instant::now();
    disk.checkpointer.run_and_copy(store, &disk.log, |kept, manifest, pace| {
        copy(&disk.store_file, (kept, manifest), target, pace)?;
        let bytes = kept.used.count() * PAGE_BYTES as u64;
        let (position, entries) = (manifest.position, manifest.entries());
        Ok(Backup { position, entries, bytes, time: started.elapsed() })
    })
}

fn copy(
    store_file: &StoreFile,
    (kept, manifest): (&Kept, &Manifest),
    target: &Arc<dyn Device>,
    pace: &Pace<'_>,
) -> Result<(), BackupError> {
    let failed = |error: CheckpointError| BackupError::from(error);
    let id = &store_file.id;
    copier::copy(&kept.pages, (&kept.used, manifest.extents), (target, id), pace).map_err(failed)?;
    let segments = Segments::new(Arc::clone(target), *id, store_file.geometry, BTreeMap::new(), Vec::new());
    let io = |error| BackupError::Target(OpenError::Io(error));
    segments.prepare(store_file.geometry.index_of(manifest.position)).map_err(io)?;
    // What commits later is not in the copy, nor is what it needs.
    let manifest = Manifest { log_from: manifest.position, ..manifest.clone() };
    manifest.publish(&**target, id).map_err(failed)?;
    store_file.create(&**target).map_err(io)
}
