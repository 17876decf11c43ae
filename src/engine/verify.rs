//! What a store's files hold, without opening it for use: every header, every page of the checkpoint and every frame behind it is checked.

use super::config::Config;
use super::error::OpenError;
use super::open;
use crate::checkpoint::loader;
use crate::log::streams::{self, Streams};
use crate::lsn::Lsn;
use std::path::Path;

/// What was found in a store's files.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Verified {
    /// The position of the checkpoint: everything committed below is in its pages. Zero if there is none.
    pub checkpoint: Lsn,
    /// Documents and keys in the checkpoint.
    pub entries: u64,
    /// Pages of the checkpoint.
    pub pages: u64,
    /// Pages that are not in use.
    pub free_pages: u64,
    /// Segments of the log that are needed.
    pub segments: u64,
    /// Valid frames.
    pub frames: u64,
    /// Commits among them.
    pub commits: u64,
    /// Writes in the commits.
    pub writes: u64,
    /// Where the log ends.
    pub end: Lsn,
    /// Bytes behind the end that were in flight when the store was killed; opening it will cut them.
    pub cut_bytes: u64,
    /// Whether the store was closed properly.
    pub closed: bool,
}

/// Checks every header of the store at `path`, which nobody may have open, every page of its checkpoint, and every frame that is needed beside it.
///
/// Reads all of them; changes nothing but the lock file.
///
/// # Errors
/// The first thing that is wrong, with file and offset; [`OpenError::Locked`] if somebody has the store open.
pub fn verify(path: impl AsRef<Path>) -> Result<Verified, OpenError> {
    let path = path.as_ref();
    let config = Config { create: false, ..Config::default() };
    let opened = open::open_directory(path, &config)?;
    let files = open::open_files(&opened.device, path, &config)?;
    let segments = &files.segments;
    let mut found = Verified { segments: segments.count(), ..Verified::default() };
    if let Some(manifest) = &files.manifest {
        let pages = loader::open(&opened.device, &files.store.id, manifest)?;
        let used = loader::load(&pages, manifest, |_, _| |_| {})?;
        (found.pages, found.entries) = (used.count(), manifest.entries());
        (found.checkpoint, found.free_pages) = (manifest.position, pages.usable_count() - used.count());
    }
    let mut commits = Streams::new(segments, found.checkpoint);
    let end = open::read_log(&files, path, &mut |frames| {
        for (lsn, stream) in commits.read(frames)? {
            found.commits += 1;
            streams::decode(segments, lsn, &stream, |_| found.writes += 1)?;
        }
        Ok(())
    })?;
    Ok(Verified { frames: end.frames, end: end.lsn, cut_bytes: end.cut_bytes, closed: end.closed, ..found })
}
