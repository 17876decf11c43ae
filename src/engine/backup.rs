//! Copies an open store to another directory: a checkpoint is taken, and its pages are copied before the next one is.
//!
//! The copy is a store of its own, whose log begins at the checkpoint's position and is empty. The file that makes a directory a store is
//! written last, so a backup is there wholly or not at all.

use super::checkpointer::Kept;
use super::error::{BackupError, OpenError};
use super::store_file::StoreFile;
use crate::checkpoint::copier;
use crate::checkpoint::manifest::Manifest;
use crate::checkpoint::{PAGE_BYTES, Pace};
use crate::crypt::Keyring;
use crate::io::Device;
use crate::log::segment::Segments;
use crate::lsn::Lsn;
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
    /// How long it took to copy, the checkpoint before it not counted.
    pub time: Duration,
}

/// Copies the pages of a checkpoint to a directory that is empty, and makes it a store.
pub(super) fn copy(
    (store_file, keys): (&StoreFile, Option<&Keyring>),
    (kept, manifest): (&Kept, &Manifest),
    target: &Arc<dyn Device>,
    pace: &Pace<'_>,
) -> Result<Backup, BackupError> {
    let started = Instant::now();
    let id = &store_file.id;
    copier::copy(&kept.pages, (&kept.used, manifest.extents, manifest.position), target, pace)?;
    let segments = Segments::new(Arc::clone(target), *id, store_file.geometry, BTreeMap::new(), Vec::new());
    let io = |error| BackupError::Target(OpenError::Io(error));
    segments.prepare(store_file.geometry.index_of(manifest.position)).map_err(io)?;
    // What commits later is not in the copy, nor is what it needs.
    let manifest = Manifest { log_from: manifest.position, ..manifest.clone() };
    manifest.write(&**target, kept.pages.binding())?.publish(&**target)?;
    // They open whatever was copied: none is given up before a later checkpoint.
    keys.map_or(Ok(()), |keys| keys.copy_to(&**target)).map_err(io)?;
    store_file.create(&**target).map_err(io)?;
    let bytes = kept.used.count() * PAGE_BYTES as u64;
    Ok(Backup { position: manifest.position, entries: manifest.entries(), bytes, time: started.elapsed() })
}
