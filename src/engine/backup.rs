//! Copies an open store to another directory: the pages of a checkpoint, and the log beside it and behind it.
//!
//! ```text
//!   full backup:           all pages of C₀, log ─────────────► E₀      a store of its own
//!   incremental backup:        pages written after C₀, of C₁, log from E₀ ────────► E₁      with those before it: a chain
//! ```
//!
//! A checkpoint is taken and held fast (`Checkpointer::run_and_pin`); so are the segments. Checkpoints go on beside the copying. When the pages are copied, the log is
//! copied up to where it is durable by then. The file that makes a directory a backup is written when all is there, and last of all the one that makes a full one a
//! store. So a backup is there wholly or not at all.

use super::checkpointer::{Pinned, on_own_threads};
use super::descriptor::Descriptor;
use super::error::{BackupError, ChainError};
use super::open;
use super::store_file::StoreFile;
use crate::checkpoint::manifest::{self, Manifest};
use crate::checkpoint::pages::Pages;
use crate::checkpoint::{PAGE_BYTES, Pace, copier, loader, newer};
use crate::crypt::Keyring;
use crate::io::Device;
use crate::log::copier::{Behind, Part};
use crate::log::reader::{self, Start};
use crate::log::{self, Log};
use crate::lsn::Lsn;
use crate::sync::Arc;
use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

/// What a backup holds.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Backup {
    /// Everything committed below is in it, and nothing else.
    pub position: Lsn,
    /// The position of its checkpoint: it can be restored to any position from here on.
    pub checkpoint: Lsn,
    /// An incremental backup only: the positions between the previous one and this one to which the chain cannot be restored, because the store had given up the log there before.
    pub gap: Option<Range<Lsn>>,
    /// Documents and keys in its checkpoint.
    pub entries: u64,
    /// Bytes of pages that were copied.
    pub bytes: u64,
    /// Bytes of the log that were copied.
    pub log_bytes: u64,
    /// How long it took to copy, the checkpoint before it not counted.
    pub time: Duration,
}

/// Refuses a previous backup that this store does not go on from, as far as can be said before its checkpoint.
pub(super) fn check_previous(
    (path, previous): (&Path, &Descriptor),
    (store_file, keys): (&StoreFile, u32),
    durable: Lsn,
) -> Result<(), ChainError> {
    let path = path.to_path_buf();
    if previous.store != *store_file {
        return Err(ChainError::OtherStore { path });
    }
    if previous.keys != keys {
        return Err(ChainError::OtherKey { path });
    }
    if previous.end > durable {
        return Err(ChainError::Ahead { path, end: previous.end, position: durable });
    }
    Ok(())
}

/// Copies what is `pinned`, and the log, to a directory that is empty.
pub(super) fn make(
    (store_file, log, pinned): (&StoreFile, &Log, &Pinned),
    previous: Option<(&Path, &Descriptor)>,
    target: &Arc<dyn Device>,
    pace: &Pace<'_>,
) -> Result<Backup, BackupError> {
    let started = Instant::now();
    let timeline = pinned.manifest.timeline;
    if let Some((path, _)) = previous.filter(|(_, previous)| previous.timeline != timeline) {
        return Err(ChainError::OtherTimeline { path: path.to_path_buf() }.into());
    }
    // A copy that is opened where it is goes its own way.
    let manifest = Manifest { timeline: manifest::new_timeline(), ..pinned.manifest.clone() };
    let before = previous.map(|(_, previous)| previous);
    let bytes = copy_pages(pinned, before, target, pace)?;
    let log_from = log_start(log, &manifest, before);
    log.mark_time()?;
    // Before the end is taken: what was committed by then is below it.
    let time = log.marks().last();
    let (end, session) = (log.end(), log.session());
    log.wait_durable(end)?;
    let behind = if previous.is_some() { Behind::Anything } else { Behind::Zeros };
    let part = Part { from: log_from.lsn, to: end, behind };
    let log_bytes =
        log::copier::copy(log.segments(), part, (&**target, &store_file.id), &|bytes| pace.wrote(bytes))?;
    check_log((store_file, log.segments().keys()), log_from, end, target)?;
    manifest.write(&**target, pinned.pages.binding())?.publish(&**target)?;
    // They open whatever was copied: none is given up while something is pinned.
    let keys = log.segments().keys().map_or(Ok(0), |keys| keys.copy_to(&**target))?;
    if let Some((path, _)) = previous.filter(|(_, previous)| previous.keys != keys) {
        return Err(ChainError::OtherKey { path: path.to_path_buf() }.into());
    }
    let previous = before;
    let descriptor = Descriptor {
        store: *store_file,
        id: uuid::Uuid::now_v7().into_bytes(),
        previous: previous.map(|previous| previous.id),
        timeline,
        manifest: manifest.number,
        checkpoint: manifest.position,
        log_from,
        end,
        end_session: session,
        keys,
        time,
    };
    descriptor.create(&**target)?;
    if previous.is_none() {
        store_file.create(&**target)?;
    }
    let gap = previous.filter(|previous| !previous.is_continued_by(&descriptor));
    Ok(Backup {
        position: end,
        checkpoint: manifest.position,
        gap: gap.map(|previous| previous.end..manifest.position),
        entries: manifest.entries(),
        bytes,
        log_bytes,
        time: started.elapsed(),
    })
}

/// What tells the data keys of a log from others; zero if it is not encrypted.
pub(super) fn fingerprint(log: &Log) -> u32 {
    log.segments().keys().map_or(0, |keys| keys.fingerprint())
}

/// Copies the pages that the previous backup does not have; returns how many bytes they are.
fn copy_pages(
    pinned: &Pinned,
    previous: Option<&Descriptor>,
    target: &Arc<dyn Device>,
    pace: &Pace<'_>,
) -> Result<u64, BackupError> {
    let Pinned { pages, manifest, .. } = pinned;
    let wanted = match previous {
        Some(previous) => Cow::Owned(newer::written_after(pages, manifest, previous.checkpoint)?),
        None => Cow::Borrowed(&*pinned.used),
    };
    let binding = pages.binding().clone();
    let copies = Pages::make(Arc::clone(target), binding, manifest.extent_pages, manifest.extents)?;
    let copied = copier::copy(pages, (&wanted, manifest.position), &copies, pace)?;
    copies.flush()?;
    if previous.is_none() {
        // A checksum vouches for a page alone, not for what it links to. (An incremental one has the trees walked above.)
        on_own_threads(|| loader::load(&copies, manifest, |_, _| |_| ()))?;
    }
    Ok(copied * PAGE_BYTES as u64)
}

/// From where on the log is copied: where the previous backup ends, if it is still there; else from where the checkpoint needs it.
fn log_start(log: &Log, manifest: &Manifest, previous: Option<&Descriptor>) -> Start {
    let is_there = |lsn| log.segments().get(log.segments().geometry().index_of(lsn)).is_some();
    match previous.filter(|previous| is_there(previous.end)) {
        Some(previous) => Start { lsn: previous.end, session: Some(previous.end_session) },
        None => manifest.log_start(),
    }
}

/// Reads what was copied of the log, frame by frame.
fn check_log(
    (store_file, keys): (&StoreFile, Option<&Arc<Keyring>>),
    from: Start,
    end: Lsn,
    target: &Arc<dyn Device>,
) -> Result<(), BackupError> {
    let geometry = store_file.geometry;
    let indexes = geometry.index_of(from.lsn)..=geometry.index_of(end);
    let segments = open::open_these_segments(target, Path::new("the backup"), store_file, indexes)?
        .sealed_with(keys.cloned());
    Ok(reader::read_until(&segments, from, end, &mut |_| Ok(()))?)
}
