//! Makes a store out of backups: the last checkpoint at or below the wanted moment, and the log behind it up to there.
//!
//! Everything that is copied is checked: each page by its own checksum when it is read, and again with all the others when the trees are walked in the end; each frame when the end is looked
//! for, and again where it was copied to. The file that makes a directory a store is written last.

use super::chain::{Base, Chain, unreadable};
use super::config::{Config, Encryption};
use super::error::RestoreError;
use super::open::{self, Opened, open_these_segments};
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::manifest::{self, Manifest};
use crate::checkpoint::pages::Pages;
use crate::checkpoint::{PAGE_BYTES, Pace, PageSet, copier, loader, newer};
use crate::crypt::KeyProvider;
use crate::io::{Device, DeviceChoice};
use crate::log::copier::{Behind, Part};
use crate::log::frame::{FRAME_BYTES_MAX, Kind};
use crate::log::reader::{self, LogError};
use crate::log::segment::Segments;
use crate::log::streams::{self, Streams};
use crate::log::{self, clock};
use crate::lsn::Lsn;
use crate::sync::Arc;
use crate::sync::atomic::AtomicBool;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// How far to restore.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// To the end of the last backup.
    End,
    /// Everything committed below this position. One between two commits, or within a frame of the log, is as good as any.
    Position(Lsn),
    /// Everything that was committed at this time, but for the last second before: once a second, while something is committed, the store notes what time
    /// it is.
    Time(SystemTime),
}

/// What was restored.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Restored {
    /// Where the log of the new store ends: everything committed below is in it.
    pub position: Lsn,
    /// The last time that is known to be covered: everything in it was committed by then, or in the second after.
    pub as_of: SystemTime,
    /// The position of the checkpoint that it begins with.
    pub checkpoint: Lsn,
    /// Documents and keys in the checkpoint.
    pub entries: u64,
    /// Commits behind the checkpoint.
    pub commits: u64,
    /// Bytes of pages that were copied.
    pub bytes: u64,
    /// Bytes of the log that were copied.
    pub log_bytes: u64,
    /// How long it took.
    pub time: Duration,
}

/// Makes an ordinary store at `target`, which is made if it is missing and must be empty, out of a chain of backups: the full one first, then the incremental
/// ones in the order in which they were made.
///
/// Backups behind what is wanted may be left out or not. Every page and every frame that is copied is checked. The store is there wholly or not at all; it is on stable storage on return. It goes its own
/// way from there: the next backup of it is a full one.
///
/// Each backup is locked meanwhile, and its files are opened for writing, though nothing is written to them.
///
/// # Errors
/// [`RestoreError::NotCovered`] says what positions and times there are. [`RestoreError::Chain`] if the backups do not belong together or are damaged.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let at = |name: &str| dir.path().join(name);
/// use skipstone::{Database, Until, bson::doc, restore};
///
/// let db = Database::open(at("store"))?;
/// let towns = db.collection("towns")?;
/// towns.insert(doc! { "_id": "aachen" })?;
/// db.back_up(at("full"))?;
/// towns.insert(doc! { "_id": "bonn" })?;
/// let before_the_mistake = db.position();
/// towns.delete("aachen")?;
/// db.back_up_since(at("full"), at("hour-1"))?;
///
/// restore(&[at("full"), at("hour-1")], at("restored"), Until::Position(before_the_mistake))?;
/// let restored = Database::open(at("restored"))?;
/// assert_eq!(restored.collection("towns")?.count()?, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn restore<P: AsRef<Path>>(
    chain: &[P],
    target: impl AsRef<Path>,
    until: Until,
) -> Result<Restored, RestoreError> {
    restore_with(chain, target.as_ref(), until, None)
}

/// The same for backups of an encrypted store, which need its key. The new store has the same one.
///
/// # Errors
/// As [`restore`]; and if the key is not that of the backups, or they are not encrypted.
pub fn restore_encrypted<P: AsRef<Path>>(
    chain: &[P],
    target: impl AsRef<Path>,
    until: Until,
    provider: impl KeyProvider + 'static,
) -> Result<Restored, RestoreError> {
    restore_with(chain, target.as_ref(), until, Some(Encryption(Arc::new(provider))))
}

fn restore_with<P: AsRef<Path>>(
    chain: &[P],
    target: &Path,
    until: Until,
    encryption: Option<Encryption>,
) -> Result<Restored, RestoreError> {
    let chain: Vec<&Path> = chain.iter().map(AsRef::as_ref).collect();
    let chain = Chain::open(&chain, &Config { encryption, ..Config::default() })?;
    let base = base(&chain, until)?;
    // Locked until the store is whole.
    let Opened { device, lock: _lock } =
        open::open_empty_directory(target, DeviceChoice::Auto).map_err(RestoreError::Target)?;
    restore_from(&chain, &base, until, &device)
}

/// The same, between devices.
#[cfg(all(test, not(any(loom, shuttle))))]
pub(crate) fn restore_on(
    devices: Vec<(std::path::PathBuf, Arc<dyn Device>)>,
    target: &Arc<dyn Device>,
    until: Until,
    config: &Config,
) -> Result<Restored, RestoreError> {
    let chain = Chain::on(devices, config)?;
    let base = base(&chain, until)?;
    restore_from(&chain, &base, until, target)
}

fn base(chain: &Chain, until: Until) -> Result<Base, RestoreError> {
    chain.base(until).ok_or_else(|| RestoreError::NotCovered { wanted: until, covered: chain.covered() })
}

fn restore_from(
    chain: &Chain,
    base: &Base,
    until: Until,
    target: &Arc<dyn Device>,
) -> Result<Restored, RestoreError> {
    let started = Instant::now();
    let member = &chain.members[base.member];
    let store = member.descriptor.store;
    let segments = chain.segments(base)?;
    let end = find_end(&segments, &member.manifest, base.log_to, until)
        .map_err(|error| chain.blame(base, position_of(&error, base.log_to), error))?;
    let bytes = copy_pages(chain, base, target)?;
    let part = Part { from: member.manifest.log_from, to: end, behind: Behind::Zeros };
    let log_bytes = log::copier::copy(&segments, part, (&**target, &store.id), &|_| ())?;
    // From here on it goes its own way.
    let manifest = Manifest { timeline: manifest::new_timeline(), ..member.manifest.clone() };
    let checked = check(&manifest, end, target, chain, base)?;
    manifest.write(&**target, &member.binding())?.publish(&**target)?;
    if let Some(keys) = &member.keys {
        keys.copy_to(&**target)?;
    }
    store.create(&**target)?;
    Ok(Restored {
        position: end,
        as_of: SystemTime::UNIX_EPOCH + Duration::from_millis(checked.time),
        checkpoint: manifest.position,
        entries: manifest.entries(),
        commits: checked.commits,
        bytes,
        log_bytes,
        time: started.elapsed(),
    })
}

/// Where an error in the log is.
fn position_of(error: &LogError, otherwise: Lsn) -> Lsn {
    match error {
        LogError::Damaged { position, .. }
        | LogError::Senseless { position, .. }
        | LogError::Unauthentic { position, .. } => *position,
        LogError::Io(_) => otherwise,
    }
}

/// Where the log is to end: where a frame does. What is wrong behind that is nobody's business.
fn find_end(segments: &Segments, manifest: &Manifest, log_to: Lsn, until: Until) -> Result<Lsn, LogError> {
    let start = manifest.log_start();
    let (mut end, limit) = match until {
        Until::End => (None, log_to),
        // The frame that the position is in is wanted too, whichever that is.
        Until::Position(position) => {
            let limit = log_to.min(Lsn::new(position.get().saturating_add(FRAME_BYTES_MAX as u64)));
            ((start.lsn >= position).then_some(start.lsn), limit)
        }
        Until::Time(_) => (None, log_to),
    };
    let mut last_mark = manifest.position;
    let read = reader::read_until(segments, start, limit, &mut |frames| {
        for header in frames.headers {
            match until {
                Until::End => {}
                Until::Position(position) if end.is_none() && header.end() >= position => {
                    end = Some(header.end());
                }
                Until::Time(time) if end.is_none() && header.kind == Kind::Time => {
                    if streams::read_time(segments, frames, header)? <= clock::millis(time) {
                        last_mark = last_mark.max(header.end());
                    } else {
                        end = Some(last_mark);
                    }
                }
                Until::Position(_) | Until::Time(_) => {}
            }
        }
        Ok(())
    });
    match (end, until) {
        (Some(end), _) => Ok(end),
        (None, Until::Time(_)) => read.map(|()| last_mark),
        (None, _) => read.map(|()| log_to),
    }
}

/// Copies what each backup up to the base holds, the last first, and each page once: what is there twice was written over in between. Returns how many bytes.
fn copy_pages(chain: &Chain, base: &Base, target: &Arc<dyn Device>) -> Result<u64, RestoreError> {
    let member = &chain.members[base.member];
    let (binding, manifest) = (member.binding(), &member.manifest);
    // As many files as the manifest says are there, before as many are made.
    loader::open(&member.device, &binding, manifest).map_err(|error| unreadable(member, error))?;
    let copies = Pages::make(Arc::clone(target), binding, manifest.extent_pages, manifest.extents)?;
    let (hurry, mut copied, mut bytes) = (AtomicBool::new(true), PageSet::default(), 0);
    let pace = Pace::new(None, &hurry);
    for index in (0..=base.member).rev() {
        let member = &chain.members[index];
        let since = index.checked_sub(1).map_or(Lsn::ZERO, |before| chain.members[before].manifest.position);
        let failed = |error| unreadable(member, error);
        let pages = loader::open(&member.device, &member.binding(), &member.manifest).map_err(failed)?;
        let held = newer::written_after(&pages, &member.manifest, since).map_err(failed)?;
        let wanted = held.without(&copied);
        let position = member.manifest.position;
        let count =
            copier::copy(&pages, (&wanted, position), &copies, &pace).map_err(|error| match error {
                // One of either side: it names the file.
                CheckpointError::Io(error) => RestoreError::Io(error),
                error => failed(error).into(),
            })?;
        bytes += count * PAGE_BYTES as u64;
        copied.add_all(&held);
    }
    copies.flush()?;
    Ok(bytes)
}

/// What was found in what was copied.
struct Checked {
    commits: u64,
    time: clock::Millis,
}

/// Reads everything that was copied, as opening the store will.
fn check(
    manifest: &Manifest,
    end: Lsn,
    target: &Arc<dyn Device>,
    chain: &Chain,
    base: &Base,
) -> Result<Checked, RestoreError> {
    let member = &chain.members[base.member];
    let store = member.descriptor.store;
    let pages = loader::open(target, &member.binding(), manifest)?;
    // What is found here that no page says of itself is a page that a backup does not hold.
    loader::load(&pages, manifest, |_, _| |_| {}).map_err(|error| unreadable(member, error))?;
    let geometry = store.geometry;
    let indexes = geometry.index_of(manifest.log_from)..=geometry.index_of(end);
    let segments = open_these_segments(target, Path::new("the target"), &store, indexes)
        .map_err(RestoreError::Target)?
        .sealed_with(member.keys.clone());
    let (mut streams, mut commits) = (Streams::new(&segments, manifest.log_start(), manifest.position), 0);
    let read = reader::read_until(&segments, manifest.log_start(), end, &mut |frames| {
        for (lsn, stream) in streams.read(frames)? {
            commits += 1;
            streams::decode(&segments, lsn, &stream, |_| ())?;
        }
        Ok(())
    });
    read.map_err(|error| chain.blame(base, position_of(&error, end), error))?;
    let time = streams.time().unwrap_or(0).max(manifest.time);
    Ok(Checked { commits, time })
}
