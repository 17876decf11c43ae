//! What a store's files hold, without opening it for use: every header and every frame is checked.

use super::config::Config;
use super::error::OpenError;
use super::open;
use crate::log::streams::{self, Streams};
use crate::lsn::Lsn;
use std::path::Path;

/// What was found in a store's files.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Verified {
    /// Segments of the log.
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

/// Checks every header and frame of the store at `path`, which nobody may have open.
///
/// Reads the whole log; changes nothing but the lock file.
///
/// # Errors
/// The first thing that is wrong, with file and offset; [`OpenError::Locked`] if somebody has the store open.
pub fn verify(path: impl AsRef<Path>) -> Result<Verified, OpenError> {
    let path = path.as_ref();
    let config = Config { create: false, ..Config::default() };
    let opened = open::open_directory(path, &config)?;
    let segments = open::open_segments(&opened.device, path, &config)?;
    let mut commits = Streams::new(&segments);
    let mut found = Verified { segments: segments.count(), ..Verified::default() };
    let end = open::read_log(&segments, path, &mut |frames| {
        for (lsn, stream) in commits.read(frames)? {
            found.commits += 1;
            streams::decode(&segments, lsn, &stream, |_| found.writes += 1)?;
        }
        Ok(())
    })?;
    Ok(Verified { frames: end.frames, end: end.lsn, cut_bytes: end.cut_bytes, closed: end.closed, ..found })
}
