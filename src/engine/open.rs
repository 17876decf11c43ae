//! From a path to the files of a store: what is there, whose it is, and that nobody else has it.

use super::anchors::{self, Origin, position_of, start_of};
use super::config::Config;
use super::descriptor;
use super::error::OpenError;
use super::store_file::{NAME, StoreFile, UNFINISHED_NAME};
use crate::checkpoint::Binding;
use crate::checkpoint::manifest::{self, Manifest};
use crate::checkpoint::pages;
use crate::crypt::{self, Keyring, KeysError};
use crate::io::{BLOCK, BlockFile, Device, DeviceChoice, DirLock, open_device};
use crate::log::reader::{self, Behind, End, Frames, LogError};
use crate::log::segment::{self, BadHeader, Geometry, Segments, check_header, file_name, parse_file_name};
use crate::lsn::Lsn;
use crate::options::Retention;
use crate::sync::Arc;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// The files of a store.
pub(crate) struct Files {
    pub(crate) store: StoreFile,
    /// What binds pages and manifests to it.
    pub(crate) binding: Binding,
    /// What the pages are good for; none before the first checkpoint.
    pub(crate) manifest: Option<Manifest>,
    /// Those from before it that the past can be read from, the oldest first: the log behind them is there.
    pub(super) anchors: Vec<Origin>,
    pub(crate) retention: Retention,
    pub(crate) segments: Arc<Segments>,
}

impl Files {
    /// What the log is read on from: the first anchor, or the last checkpoint.
    pub(super) fn origin(&self) -> &Origin {
        self.anchors.first().unwrap_or(&self.manifest)
    }
}

/// A store's directory, locked for this process.
pub(crate) struct Opened {
    pub(crate) lock: DirLock,
    pub(crate) device: Arc<dyn Device>,
}

/// Takes the directory of `config`, creating it if that was asked for.
pub(crate) fn open_directory(path: &Path, config: &Config) -> Result<Opened, OpenError> {
    let path_buf = || path.to_path_buf();
    match std::fs::metadata(path) {
        Ok(found) if !found.is_dir() => return Err(OpenError::NotADirectory { path: path_buf() }),
        Ok(_) if is_store(path, config)? => {}
        // The directory itself may be new: made by a process that was killed, or by somebody who does not flush.
        Ok(_) => crate::io::flush_entry(path)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && config.create => {
            crate::io::create_directory(path)?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(OpenError::Missing { path: path_buf() });
        }
        Err(error) => return Err(crate::io::IoError::new(crate::io::IoOperation::Open, path, error).into()),
    }
    let lock = DirLock::acquire(path)?;
    Ok(Opened { lock, device: Arc::from(open_device(path, config.device)?) })
}

/// Takes a directory that is to become a store, and has nothing in it yet.
pub(crate) fn open_empty_directory(path: &Path, device: DeviceChoice) -> Result<Opened, OpenError> {
    let config = Config { device, ..Config::default() };
    let opened = open_directory(path, &config)?;
    match opened.device.list()?.into_iter().next() {
        Some(found) => Err(OpenError::NotEmpty { path: path.to_path_buf(), found }),
        None => Ok(opened),
    }
}

/// Whether the directory is a store already. One that is none and is not to become one is refused before anything is written to it,
/// the lock file included. One with segments is looked at under the lock: it may be a store that lost its file.
fn is_store(path: &Path, config: &Config) -> Result<bool, OpenError> {
    let entries = std::fs::read_dir(path)
        .map_err(|error| crate::io::IoError::new(crate::io::IoOperation::List, path, error))?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    if names.iter().any(|name| name == NAME) {
        return Ok(true);
    }
    if names.iter().any(|name| name == descriptor::NAME) {
        return Err(OpenError::IsBackup { path: path.to_path_buf() });
    }
    match names.iter().find(|name| !is_ours(name)) {
        Some(found) => Err(OpenError::Foreign { path: path.to_path_buf(), found: found.clone() }),
        None if !config.create && !names.iter().any(|name| is_numbered(name)) => {
            Err(OpenError::Missing { path: path.to_path_buf() })
        }
        None => Ok(false),
    }
}

fn is_ours(name: &str) -> bool {
    name == NAME
        || name == UNFINISHED_NAME
        || name == descriptor::UNFINISHED_NAME
        || name == segment::UNFINISHED_NAME
        || name == manifest::UNFINISHED_NAME
        || name == crypt::FILE_NAME
        || name == crypt::UNFINISHED_NAME
        || is_numbered(name)
        || crate::io::is_reserved_name(name)
}

/// Whether it is one of the files of which a store has many.
fn is_numbered(name: &str) -> bool {
    parse_file_name(name).is_some()
        || pages::parse_file_name(name).is_some()
        || manifest::parse_file_name(name).is_some()
}

/// The files of the store on `device`, which is created if there is none.
pub(crate) fn open_files(device: &Arc<dyn Device>, dir: &Path, config: &Config) -> Result<Files, OpenError> {
    let names = device.list()?;
    let (store, keys) = if names.iter().any(|name| name == NAME) {
        // What we are about to rely on, whoever made it, and whether or not it came to flushing it.
        device.flush_names()?;
        let store = StoreFile::read(&**device, dir)?;
        let keys = open_keys(device, dir, &store, config)?;
        (store, keys)
    } else if names.iter().any(|name| name == descriptor::NAME) {
        return Err(OpenError::IsBackup { path: dir.to_path_buf() });
    } else {
        refuse_orphans(device, dir, &names)?;
        if !config.create {
            return Err(OpenError::Missing { path: dir.to_path_buf() });
        }
        create(device, &names, config)?
    };
    let binding = Binding::new(store.id, keys.clone());
    let manifest = manifest::find(&**device, &binding)?;
    let last = manifest.as_ref().map(|manifest| manifest.retention);
    let retention = config.retention.or(last).unwrap_or_default();
    let kept_from = kept_from(manifest.as_ref(), retention, config.backup_log_bytes);
    // All that is there, to choose from.
    let wanted_from = if retention.is_nothing() { kept_from } else { Lsn::ZERO };
    let segments = open_segments(device, dir, &store, manifest.as_ref(), wanted_from)?;
    let anchors = match &manifest {
        Some(last) if !retention.is_nothing() => {
            find_anchors(&**device, (last, &binding), &segments, kept_from)?
        }
        _ => Vec::new(),
    };
    let starts = anchors.iter().chain([&manifest]).map(|origin| start_of(origin).lsn);
    segments.recycle_before(starts.fold(kept_from, Lsn::min), usize::MAX)?;
    let segments = Arc::new(segments.sealed_with(keys));
    Ok(Files { store, binding, manifest, anchors, retention, segments })
}

/// The log and the anchors that the past is read from which a store keeps by its own setting; none if it keeps none.
pub(super) fn find_past(
    device: &Arc<dyn Device>,
    dir: &Path,
    (store, binding): (&StoreFile, &Binding),
    last: Option<&Manifest>,
) -> Result<Option<(Segments, Vec<Origin>)>, OpenError> {
    let Some(last) = last.filter(|last| !last.retention.is_nothing()) else { return Ok(None) };
    let segments = open_segments(device, dir, store, Some(last), Lsn::ZERO)?;
    let kept_from = kept_from(Some(last), last.retention, 0);
    let anchors = find_anchors(&**device, (last, binding), &segments, kept_from)?;
    Ok(Some((segments, anchors)))
}

/// The anchors that are there, if everything from `kept_from` on is to be kept. A manifest that cannot be read is as good as gone.
fn find_anchors(
    device: &dyn Device,
    (last, binding): (&Manifest, &Binding),
    segments: &Segments,
    kept_from: Lsn,
) -> Result<Vec<Origin>, OpenError> {
    let older = manifest::before(device, last, binding)?.into_iter().flatten().map(Some);
    let is_there = |anchor: &Origin| !segments.is_blank_at(start_of(anchor).lsn);
    let mut anchors: Vec<Origin> = std::iter::once(None).chain(older).filter(is_there).collect();
    anchors::give_up(&mut anchors, position_of, last.position, kept_from);
    Ok(anchors)
}

/// From where on the log is wanted before a checkpoint, whatever that needs: for the past and for backups.
fn kept_from(manifest: Option<&Manifest>, retention: Retention, backup_log_bytes: u64) -> Lsn {
    let bytes = match retention {
        Retention { bytes, time: Duration::ZERO } => bytes.max(backup_log_bytes),
        // How old it is is seen when a checkpoint would give it up.
        _ => u64::MAX,
    };
    Lsn::new(manifest.map_or(0, |manifest| manifest.position.get().saturating_sub(bytes)))
}

/// The data keys of a store that is encrypted, which needs the right key to be given; none of one that is not.
pub(super) fn open_keys(
    device: &Arc<dyn Device>,
    dir: &Path,
    store: &StoreFile,
    config: &Config,
) -> Result<Option<Arc<Keyring>>, OpenError> {
    let path = || dir.to_path_buf();
    let provider = match (&config.encryption, store.is_encrypted) {
        (None, false) => return Ok(None),
        (None, true) => return Err(OpenError::KeyNeeded { path: path() }),
        (Some(_), false) => return Err(OpenError::NotEncrypted { path: path() }),
        (Some(encryption), true) => &encryption.0,
    };
    let keyring = Keyring::open(&**device, &store.id, &provider.key()?);
    Ok(Some(Arc::new(keyring.map_err(|error| of_keys(dir, error))?)))
}

/// What is wrong with the file of the data keys, in a caller's terms.
pub(super) fn of_keys(dir: &Path, error: KeysError) -> OpenError {
    let file = dir.join(crypt::FILE_NAME);
    match error {
        KeysError::Io(error) => OpenError::Io(error),
        KeysError::Damaged(what) => OpenError::Damaged { file, what },
        KeysError::Newer(found) => OpenError::Newer { file, found, supported: crypt::VERSION },
        KeysError::WrongKey => OpenError::WrongKey { file },
    }
}

/// The segments from the first one that is needed on, and those right before it from `wanted_from` on. The others are there to be used again.
fn open_segments(
    device: &Arc<dyn Device>,
    dir: &Path,
    store: &StoreFile,
    manifest: Option<&Manifest>,
    wanted_from: Lsn,
) -> Result<Segments, OpenError> {
    let first = manifest.map_or(0, |manifest| store.geometry.index_of(manifest.log_from));
    let (mut files, mut before) = (BTreeMap::new(), Vec::new());
    for index in device.list()?.iter().filter_map(|name| parse_file_name(name)) {
        if index < first {
            before.push(index);
        } else {
            files.insert(index, open_segment(device, dir, store, index)?);
        }
    }
    let expected = first..first + (files.len() as u64).max(1);
    if let Some(index) = expected.into_iter().find(|index| !files.contains_key(index)) {
        return Err(missing_segment(dir, index));
    }
    let wanted_from = store.geometry.index_of(wanted_from);
    // One that is kept has its name from when it was filled; one that was used again has another by now.
    while let Some(index) = before.pop_if(|last| *last >= wanted_from && files.contains_key(&(*last + 1))) {
        // Nothing that is in use needs it: one that is damaged is as good as gone.
        let Ok(file) = open_segment(device, dir, store, index) else {
            before.push(index);
            break;
        };
        files.insert(index, file);
    }
    let spare = before.into_iter().map(file_name).collect();
    Ok(Segments::new(Arc::clone(device), store.id, store.geometry, files, spare))
}

/// These segments of a store, which must all be there.
pub(super) fn open_these_segments(
    device: &Arc<dyn Device>,
    dir: &Path,
    store: &StoreFile,
    indexes: impl Iterator<Item = u64>,
) -> Result<Segments, OpenError> {
    let files: Result<BTreeMap<_, _>, OpenError> =
        indexes.map(|index| Ok((index, open_segment(device, dir, store, index)?))).collect();
    Ok(Segments::new(Arc::clone(device), store.id, store.geometry, files?, Vec::new()))
}

pub(super) fn missing_segment(dir: &Path, index: u64) -> OpenError {
    OpenError::Damaged { file: dir.join(file_name(index)), what: "the segment is missing" }
}

/// Reads the log behind the first anchor, or the last checkpoint, to its end, and hands its frames to `visit`. What is behind the end is to be looked
/// at yet.
pub(super) fn read_log<'f>(
    files: &'f Files,
    dir: &Path,
    visit: &mut dyn FnMut(&Frames<'_>) -> Result<(), LogError>,
) -> Result<(End, Behind<'f>), OpenError> {
    let (end, behind) = reader::read(&files.segments, start_of(files.origin()), visit)?;
    if let Some(index) = end.missing_segment {
        // What proves that the end is damage says more.
        behind.cut_bytes()?;
        return Err(missing_segment(dir, index));
    }
    // It was durable up to there before there was a manifest.
    if files.manifest.as_ref().is_some_and(|manifest| end.lsn < manifest.position) {
        let index = files.store.geometry.index_of(end.lsn);
        let what = "the log ends before the position of the checkpoint";
        return Err(OpenError::Damaged { file: dir.join(file_name(index)), what });
    }
    Ok((end, behind))
}

/// A log or a checkpoint without its store file is damage, and never overwritten.
pub(super) fn refuse_orphans(
    device: &Arc<dyn Device>,
    dir: &Path,
    names: &[String],
) -> Result<(), OpenError> {
    if names.iter().any(|name| manifest::parse_file_name(name).is_some()) {
        return Err(OpenError::Damaged {
            file: dir.join(NAME),
            what: "it is missing, but a checkpoint is there",
        });
    }
    for name in names.iter().filter(|name| parse_file_name(name).is_some()) {
        if has_frames(device, name)? {
            let what = "it is missing, but the log is there";
            return Err(OpenError::Damaged { file: dir.join(NAME), what });
        }
    }
    Ok(())
}

fn create(
    device: &Arc<dyn Device>,
    names: &[String],
    config: &Config,
) -> Result<(StoreFile, Option<Arc<Keyring>>), OpenError> {
    // Asked for first: without it nothing is to be touched.
    let master = config.encryption.as_ref().map(|encryption| encryption.0.key()).transpose()?;
    // What a creation that was interrupted left behind.
    for name in names.iter().filter(|name| is_ours(name)) {
        device.remove(name)?;
    }
    let geometry = Geometry { segment_bytes: config.segment_bytes };
    let id = uuid::Uuid::now_v7().into_bytes();
    let store = StoreFile { id, geometry, is_encrypted: master.is_some() };
    Segments::new(Arc::clone(device), store.id, geometry, BTreeMap::new(), Vec::new()).prepare(0)?;
    let keys = master.map(|master| Keyring::create(&**device, &id, &master)).transpose()?;
    store.create(&**device)?;
    Ok((store, keys.map(Arc::new)))
}

fn has_frames(device: &Arc<dyn Device>, name: &str) -> Result<bool, OpenError> {
    let file = device.open(name)?;
    let mut block = vec![0; BLOCK];
    if file.len() < 2 * BLOCK as u64 {
        return Ok(false);
    }
    file.read_at(BLOCK as u64, &mut block)?;
    Ok(block.iter().any(|&byte| byte != 0))
}

pub(super) fn open_segment(
    device: &Arc<dyn Device>,
    dir: &Path,
    store: &StoreFile,
    index: u64,
) -> Result<Arc<dyn BlockFile>, OpenError> {
    let file = device.open(&file_name(index))?;
    check_segment(&*file, dir, store, index)?;
    Ok(Arc::from(file))
}

/// Whether a file is segment `index` of the store, as far as its length and its header say.
pub(super) fn check_segment(
    file: &dyn BlockFile,
    dir: &Path,
    store: &StoreFile,
    index: u64,
) -> Result<(), OpenError> {
    let damaged = |what| OpenError::Damaged { file: dir.join(file_name(index)), what };
    if file.len() != store.geometry.segment_bytes {
        return Err(damaged("it has not the length of a segment of this store"));
    }
    let mut block = vec![0; BLOCK];
    file.read_at(0, &mut block)?;
    match check_header(&block, &store.id, index, store.geometry) {
        Ok(()) => Ok(()),
        Err(BadHeader::Newer(found)) => {
            Err(OpenError::Newer { file: dir.join(file_name(index)), found, supported: segment::VERSION })
        }
        Err(BadHeader::Damaged) => Err(damaged("its header is not that of a segment of this store")),
    }
}
