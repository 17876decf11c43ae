//! From a path to the files of a store: what is there, whose it is, and that nobody else has it.

use super::config::Config;
use super::error::OpenError;
use super::store_file::{NAME, StoreFile, UNFINISHED_NAME};
use crate::checkpoint::manifest::{self, Manifest};
use crate::checkpoint::pages;
use crate::io::{BLOCK, BlockFile, Device, DeviceChoice, DirLock, open_device};
use crate::log::reader::{self, End, Frames, LogError, Start};
use crate::log::segment::{self, BadHeader, Geometry, Segments, check_header, file_name, parse_file_name};
use crate::sync::Arc;
use std::collections::BTreeMap;
use std::path::Path;

/// The files of a store.
pub(crate) struct Files {
    pub(crate) store: StoreFile,
    /// What the pages are good for; none before the first checkpoint.
    pub(crate) manifest: Option<Manifest>,
    pub(crate) segments: Arc<Segments>,
}

impl Files {
    /// From where on the log is needed.
    fn log_start(&self) -> Start {
        self.manifest.as_ref().map_or(Start::OF_LOG, Manifest::log_start)
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
        || name == segment::UNFINISHED_NAME
        || name == manifest::UNFINISHED_NAME
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
    let store = if names.iter().any(|name| name == NAME) {
        // What we are about to rely on, whoever made it, and whether or not it came to flushing it.
        device.flush_names()?;
        StoreFile::read(&**device, dir)?
    } else {
        refuse_orphans(device, dir, &names)?;
        if !config.create {
            return Err(OpenError::Missing { path: dir.to_path_buf() });
        }
        create(device, &names, config)?
    };
    let manifest = manifest::find(&**device, &store.id)?;
    let first = manifest.as_ref().map_or(0, |manifest| store.geometry.index_of(manifest.log_from));
    let segments = open_segments(device, dir, &store, first)?;
    Ok(Files { store, manifest, segments })
}

/// The segments from the first one that is needed on. Those before it are there to be used again.
fn open_segments(
    device: &Arc<dyn Device>,
    dir: &Path,
    store: &StoreFile,
    first: u64,
) -> Result<Arc<Segments>, OpenError> {
    let (mut files, mut spare) = (BTreeMap::new(), Vec::new());
    for index in device.list()?.iter().filter_map(|name| parse_file_name(name)) {
        if index < first {
            spare.push(file_name(index));
        } else {
            files.insert(index, open_segment(device, dir, store, index)?);
        }
    }
    let expected = first..first + (files.len() as u64).max(1);
    if let Some(index) = expected.into_iter().find(|index| !files.contains_key(index)) {
        return Err(missing_segment(dir, index));
    }
    Ok(Arc::new(Segments::new(Arc::clone(device), store.id, store.geometry, files, spare)))
}

pub(super) fn missing_segment(dir: &Path, index: u64) -> OpenError {
    OpenError::Damaged { file: dir.join(file_name(index)), what: "the segment is missing" }
}

/// Reads the log behind the checkpoint to its end, and hands its frames to `visit`.
pub(super) fn read_log(
    files: &Files,
    dir: &Path,
    visit: &mut dyn FnMut(&Frames<'_>) -> Result<(), LogError>,
) -> Result<End, OpenError> {
    let end = reader::read(&files.segments, files.log_start(), visit)?;
    if let Some(index) = end.missing_segment {
        return Err(missing_segment(dir, index));
    }
    // It was durable up to there before there was a manifest.
    if files.manifest.as_ref().is_some_and(|manifest| end.lsn < manifest.position) {
        let index = files.store.geometry.index_of(end.lsn);
        let what = "the log ends before the position of the checkpoint";
        return Err(OpenError::Damaged { file: dir.join(file_name(index)), what });
    }
    Ok(end)
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

fn create(device: &Arc<dyn Device>, names: &[String], config: &Config) -> Result<StoreFile, OpenError> {
    // What a creation that was interrupted left behind.
    for name in names.iter().filter(|name| is_ours(name)) {
        device.remove(name)?;
    }
    let geometry = Geometry { segment_bytes: config.segment_bytes };
    let store = StoreFile { id: uuid::Uuid::now_v7().into_bytes(), geometry };
    Segments::new(Arc::clone(device), store.id, geometry, BTreeMap::new(), Vec::new()).prepare(0)?;
    store.create(&**device)?;
    Ok(store)
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

fn open_segment(
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
