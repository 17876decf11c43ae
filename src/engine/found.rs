//! The files of a store that may be damaged: whatever is there, with what is wrong with it.
//!
//! Where opening stops, this goes on: who the store is can be read from each of its files, an older manifest serves in place of one that is
//! damaged, and a file that is shorter than it should be, or of which the disk does not give all, is read as far as it is there. Nothing is
//! written.

use super::config::Config;
use super::error::OpenError;
use super::finding::{Findings, Lost};
use super::open::{check_segment, missing_segment, open_keys, refuse_orphans};
use super::store_file::{NAME, StoreFile};
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::manifest::{self, Manifest};
use crate::checkpoint::pages::{self, Pages};
use crate::checkpoint::{Binding, PAGE_BYTES};
use crate::crypt;
use crate::io::{BLOCK, BlockFile, Device, Remains};
use crate::log::reader::Start;
use crate::log::resume;
use crate::log::segment::{Geometry, Segments, file_name, parse_file_name, read_header};
use crate::lsn::Lsn;
use crate::sync::Arc;
use std::collections::BTreeMap;
use std::path::Path;

/// See the module.
pub(super) struct Found {
    pub(super) store: StoreFile,
    pub(super) binding: Binding,
    /// What the pages are good for, if a manifest is whole.
    pub(super) manifest: Option<Manifest>,
    /// Those before it that are whole.
    pub(super) older: Vec<Manifest>,
    /// There is a manifest, and none that is whole; or none, and the log begins too late.
    pub(super) has_lost_checkpoint: bool,
    pub(super) segments: Segments,
    remains: Vec<Arc<Remains>>,
}

/// Looks for the files of the store on `device`. An error is one that says nothing about a store, or that there is none.
pub(super) fn find(
    device: &Arc<dyn Device>,
    dir: &Path,
    config: &Config,
    findings: &mut Findings,
) -> Result<Found, OpenError> {
    let names = device.list()?;
    let store = find_store(device, dir, &names, findings)?;
    // Nothing can be read without them.
    let keys = open_keys(device, dir, &store, config)?;
    let binding = Binding::new(store.id, keys.clone());
    let (manifest, is_damaged) = find_manifest(&**device, &binding, findings)?;
    let mut older = Vec::new();
    if let Some(last) = &manifest {
        for read in manifest::before(&**device, last, &binding)? {
            match read {
                Ok(manifest) => older.push(manifest),
                Err(error) => findings.add_error(error.into(), Lost::Nothing)?,
            }
        }
    }
    let first = manifest.as_ref().map(|manifest| store.geometry.index_of(manifest.log_from));
    let (files, remains) = find_segments(device, dir, &store, first, findings)?;
    let begins_late = manifest.is_none() && files.first_key_value().is_some_and(|(index, _)| *index > 0);
    if begins_late && !is_damaged {
        let what = "the manifest is missing, but the log begins behind a checkpoint";
        let error = CheckpointError::Damaged { file: manifest::file_name(1), offset: 0, what };
        findings.add_error(error.into(), Lost::Checkpoint)?;
    }
    let segments = Segments::new(Arc::clone(device), store.id, store.geometry, files, Vec::new());
    let segments = segments.sealed_with(keys);
    Ok(Found {
        store,
        binding,
        manifest,
        older,
        has_lost_checkpoint: is_damaged || begins_late,
        segments,
        remains,
    })
}

/// One segment of a high number may make any number of them missing.
const MISSING_MAX: usize = 1000;

impl Found {
    /// The pages of the checkpoint; none without a manifest.
    pub(super) fn open_pages(
        &self,
        device: &Arc<dyn Device>,
        findings: &mut Findings,
    ) -> Result<Option<Pages>, OpenError> {
        let Some(manifest) = &self.manifest else { return Ok(None) };
        let extents = self.older.iter().fold(manifest.extents, |extents, older| extents.max(older.extents));
        open_extents(device, &self.binding, (manifest.extent_pages, extents), findings).map(Some)
    }

    /// From where on the log is read; nowhere if nothing is left of it.
    pub(super) fn log_start(&self) -> Result<Option<Start>, OpenError> {
        match &self.manifest {
            Some(manifest) => Ok(Some(manifest.log_start())),
            None if self.segments.get(0).is_some() || self.segments.count() == 0 => Ok(Some(Start::OF_LOG)),
            None => Ok(resume::first_frame(&self.segments, &[])?),
        }
    }

    /// From where to where the log cannot be read because no manifest is left: in an encrypted store the frames of a session need what its first one
    /// says, or the manifest.
    pub(super) fn log_without_session(&self) -> Result<Option<(Lsn, Option<Lsn>)>, OpenError> {
        if self.manifest.is_some() || self.segments.keys().is_none() {
            return Ok(None);
        }
        let start = self.log_start()?.map(|start| start.lsn);
        let first = resume::first_whole_frame(&self.segments)?;
        Ok(first.filter(|first| start.is_none_or(|start| *first < start)).map(|first| (first, start)))
    }

    /// Whether the log has everything from its beginning on, so that no checkpoint is needed.
    pub(super) fn has_whole_log(&self) -> Result<bool, OpenError> {
        let Some(start) = self.log_start()?.filter(|start| *start == Start::OF_LOG) else { return Ok(false) };
        let mut is_whole = self.segments.count() > 0;
        resume::read_on(&self.segments, start, None, &mut |_| Ok(()), |_| is_whole = false)?;
        Ok(is_whole)
    }

    /// Notes what the disk refused, and the segments that opening would miss; to be called when the log has been read.
    pub(super) fn finish(&self, dir: &Path, findings: &mut Findings) -> Result<(), OpenError> {
        for error in self.remains.iter().filter_map(|remains| remains.failed()) {
            findings.add_error(error.clone().into(), Lost::Nothing)?;
        }
        let first =
            self.manifest.as_ref().map_or(0, |manifest| self.store.geometry.index_of(manifest.log_from));
        if self.has_lost_checkpoint {
            // From where on the log was needed, nobody knows.
            return Ok(());
        }
        let is_missing = |index: &u64| self.segments.get(*index).is_none();
        let missing = (first..self.segments.last().unwrap_or(first)).filter(is_missing);
        for index in missing.take(MISSING_MAX) {
            let name = file_name(index);
            let is_known = findings.list.iter().any(|finding| finding.file.as_ref() == Some(&name));
            if !is_known {
                findings.add_error(missing_segment(dir, index), Lost::Nothing)?;
            }
        }
        Ok(())
    }
}

/// Opens as many extents as there are, or what is left of them.
pub(super) fn open_extents(
    device: &Arc<dyn Device>,
    binding: &Binding,
    (extent_pages, extents): (u64, u64),
    findings: &mut Findings,
) -> Result<Pages, OpenError> {
    let refused =
        |error: CheckpointError| findings.add_error(error.clone().into(), Lost::Nothing).map_err(|_| error);
    Ok(Pages::open_or(Arc::clone(device), binding.clone(), extent_pages, extents, refused)?)
}

fn find_store(
    device: &Arc<dyn Device>,
    dir: &Path,
    names: &[String],
    findings: &mut Findings,
) -> Result<StoreFile, OpenError> {
    let read = if names.iter().any(|name| name == NAME) {
        StoreFile::read(&**device, dir)
    } else {
        // A log or a checkpoint without it is damage; without those there is no store.
        refuse_orphans(device, dir, names).and(Err(OpenError::Missing { path: dir.to_path_buf() }))
    };
    let error = match read {
        Ok(store) => return Ok(store),
        Err(error) => error,
    };
    match read_elsewhere(&**device, names) {
        Some(store) => {
            findings.add_error(error, Lost::Nothing)?;
            Ok(store)
        }
        None => Err(error),
    }
}

/// Who the store is, by what its other files say.
fn read_elsewhere(device: &dyn Device, names: &[String]) -> Option<StoreFile> {
    let start = |name: &String, bytes: usize| {
        let mut block = vec![0; bytes];
        device.open(name).ok()?.read_at(0, &mut block).ok()?;
        Some(block)
    };
    let segments = || names.iter().filter(|name| parse_file_name(name).is_some());
    // It is written before the store's file, and never removed.
    let is_encrypted = names.iter().any(|name| name == crypt::FILE_NAME);
    let by_segment = segments().find_map(|name| read_header(&start(name, BLOCK)?));
    if let Some((id, _, geometry)) = by_segment {
        return Some(StoreFile { id, geometry, is_encrypted });
    }
    // No header of a segment is whole, if there is a segment at all: its length says how long segments are.
    let is_of_pages = |name: &&String| pages::parse_file_name(name).is_some();
    let by_meta = |name: &String| pages::read_meta(&start(name, PAGE_BYTES)?).map(|(id, ..)| id);
    let id = names.iter().filter(is_of_pages).find_map(by_meta)?;
    let lengths =
        segments().filter_map(|name| Some(Geometry { segment_bytes: device.open(name).ok()?.len() }));
    let geometry = lengths.into_iter().find(|geometry| geometry.is_sound());
    let geometry = geometry.unwrap_or(Geometry { segment_bytes: 1 << 16 });
    Some(StoreFile { id, geometry, is_encrypted })
}

/// The last manifest that is whole, and whether there are such as are not.
fn find_manifest(
    device: &dyn Device,
    binding: &Binding,
    findings: &mut Findings,
) -> Result<(Option<Manifest>, bool), OpenError> {
    let mut damaged = Vec::new();
    let found = match manifest::find_past(device, binding, &mut damaged) {
        Err(error @ CheckpointError::Io(_)) => {
            damaged.push(error);
            None
        }
        found => found?,
    };
    let is_lost = found.is_none() && !damaged.is_empty();
    for error in damaged {
        // An older one is there for as long only as it is good.
        findings.add_error(error.into(), if is_lost { Lost::Checkpoint } else { Lost::Nothing })?;
    }
    Ok((found, is_lost))
}

type Files = BTreeMap<u64, Arc<dyn BlockFile>>;

/// The segments from the first one that is needed on, or all that are there.
fn find_segments(
    device: &Arc<dyn Device>,
    dir: &Path,
    store: &StoreFile,
    first: Option<u64>,
    findings: &mut Findings,
) -> Result<(Files, Vec<Arc<Remains>>), OpenError> {
    let (mut files, mut all) = (Files::new(), Vec::new());
    let indexes = device.list()?;
    let indexes = indexes.iter().filter_map(|name| parse_file_name(name));
    let needed = |index: &u64| first.is_none_or(|first| *index >= first);
    for index in indexes.filter(needed) {
        let name = file_name(index);
        if !store.geometry.may_have(index) {
            let what = "its number is greater than any log reaches";
            findings.add_error(OpenError::Damaged { file: dir.join(name), what }, Lost::Nothing)?;
            continue;
        }
        let file = match device.open(&name) {
            Ok(file) => file,
            Err(error) => {
                findings.add_error(error.into(), Lost::Nothing)?;
                continue;
            }
        };
        let is_foreign = is_foreign(&*file, store);
        if let Err(error) = check_segment(&*file, dir, store, index) {
            findings.add_error(error, Lost::Nothing)?;
        }
        if !is_foreign {
            let remains = Arc::new(Remains::new(&name, Some(file), store.geometry.segment_bytes));
            files.insert(index, Arc::clone(&remains) as Arc<dyn BlockFile>);
            all.push(remains);
        }
    }
    Ok((files, all))
}

/// Whether a whole header says that a segment belongs to another store: what is in it is not ours.
fn is_foreign(file: &dyn BlockFile, store: &StoreFile) -> bool {
    let mut block = vec![0; BLOCK.min(file.len() as usize)];
    let is_read = file.read_at(0, &mut block).is_ok();
    is_read && read_header(&block).is_some_and(|(id, ..)| id != store.id)
}
