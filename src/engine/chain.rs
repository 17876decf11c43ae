//! Backups that go on from each other: a full one, and incremental ones in the order in which they were made.
//!
//! ```text
//!   positions ─────────────────────────────────────────────────────────────────────────────►
//!   full           C₀ ·········· E₀
//!   incremental         C₁ ····· E₀ ─────────── E₁             its log goes on where the one before ends
//!   incremental                      (gap)          C₂ ─── E₂  the store had given up a part of its log
//!   restorable     [C₀ ........................ E₁] [C₂ .. E₂]
//! ```

use super::config::Config;
use super::descriptor::{self, Descriptor};
use super::error::{ChainError, Covered, OpenError};
use super::open::{open_keys, open_segment};
use super::restore::Until;
use crate::checkpoint::Binding;
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::manifest::{self, Manifest};
use crate::crypt::Keyring;
use crate::io::{BlockFile, Device, DeviceChoice, DirLock, open_device};
use crate::log::clock::{self, system_time};
use crate::log::segment::Segments;
use crate::log::splice::Splice;
use crate::lsn::Lsn;
use crate::sync::Arc;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One backup of a chain.
pub(super) struct Member {
    pub(super) dir: PathBuf,
    pub(super) device: Arc<dyn Device>,
    pub(super) descriptor: Descriptor,
    pub(super) manifest: Manifest,
    /// Of an encrypted store.
    pub(super) keys: Option<Arc<Keyring>>,
    /// So that nobody opens it as a store meanwhile. None in tests.
    _lock: Option<DirLock>,
}

/// See the module.
pub(super) struct Chain {
    pub(super) members: Vec<Member>,
}

/// Backups next to each other between which there is no gap.
struct Stretch {
    members: Range<usize>,
    covered: Covered,
}

/// Where a restore begins.
pub(super) struct Base {
    /// The backup whose checkpoint it is.
    pub(super) member: usize,
    /// Those that have the log beside it and behind it,
    stretch: Range<usize>,
    /// up to there.
    pub(super) log_to: Lsn,
}

/// The backup at `path`, without its contents.
pub(super) fn read_descriptor(path: &Path) -> Result<Descriptor, ChainError> {
    Descriptor::read(&*open_backup(path)?, path)
}

/// Looks before it touches anything whether there may be a backup.
fn open_backup(path: &Path) -> Result<Box<dyn Device>, ChainError> {
    match std::fs::metadata(path) {
        Ok(found) if !found.is_dir() => {
            return Err(OpenError::NotADirectory { path: path.to_path_buf() }.into());
        }
        Ok(_) if !path.join(descriptor::NAME).exists() => {
            return Err(ChainError::NotABackup { path: path.to_path_buf() });
        }
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(OpenError::Missing { path: path.to_path_buf() }.into());
        }
        Err(error) => {
            let error = crate::io::IoError::new(crate::io::IoOperation::Open, path, error);
            return Err(OpenError::Io(error).into());
        }
    }
    Ok(open_device(path, DeviceChoice::Auto).map_err(OpenError::Io)?)
}

impl Chain {
    /// The backups at `paths`, locked.
    pub(super) fn open(paths: &[&Path], config: &Config) -> Result<Chain, ChainError> {
        let mut devices = Vec::with_capacity(paths.len());
        for path in paths {
            devices.push((path.to_path_buf(), Arc::from(open_backup(path)?)));
        }
        let mut chain = Chain::on(devices, config)?;
        for member in &mut chain.members {
            member._lock = Some(DirLock::acquire(&member.dir).map_err(OpenError::Locked)?);
        }
        Ok(chain)
    }

    /// The backups on `devices`, with what messages call them.
    pub(super) fn on(devices: Vec<(PathBuf, Arc<dyn Device>)>, config: &Config) -> Result<Chain, ChainError> {
        let mut described = Vec::with_capacity(devices.len());
        for (dir, device) in devices {
            let descriptor = Descriptor::read(&*device, &dir)?;
            described.push((dir, device, descriptor));
        }
        check(&described.iter().map(|(dir, _, descriptor)| (&**dir, descriptor)).collect::<Vec<_>>())?;
        let mut members = Vec::with_capacity(described.len());
        for (dir, device, descriptor) in described {
            let keys = open_keys(&device, &dir, &descriptor.store, config)?;
            let manifest = read_manifest(&dir, &*device, &descriptor, keys.clone())?;
            members.push(Member { dir, device, descriptor, manifest, keys, _lock: None });
        }
        let extent_pages = members[0].manifest.extent_pages;
        if let Some(other) = members.iter().find(|member| member.manifest.extent_pages != extent_pages) {
            return Err(ChainError::OtherStore { path: other.dir.clone() });
        }
        Ok(Chain { members })
    }

    fn stretches(&self) -> Vec<Stretch> {
        let mut stretches: Vec<Stretch> = Vec::new();
        for (index, Member { descriptor, manifest, .. }) in self.members.iter().enumerate() {
            let (to, to_time) = (descriptor.end, system_time(descriptor.time));
            let goes_on = index > 0 && self.members[index - 1].descriptor.is_continued_by(descriptor);
            match stretches.last_mut().filter(|_| goes_on) {
                Some(last) => {
                    last.members.end = index + 1;
                    (last.covered.to, last.covered.to_time) = (to, to_time);
                }
                None => stretches.push(Stretch {
                    members: index..index + 1,
                    covered: Covered {
                        from: descriptor.checkpoint,
                        to,
                        from_time: system_time(manifest.time),
                        to_time,
                    },
                }),
            }
        }
        stretches
    }

    /// What the chain can be restored to.
    pub(super) fn covered(&self) -> Vec<Covered> {
        self.stretches().into_iter().map(|stretch| stretch.covered).collect()
    }

    /// The last checkpoint from which `until` is reached; none if there is none.
    pub(super) fn base(&self, until: Until) -> Option<Base> {
        let begins_below = |member: &Member| match until {
            Until::End => true,
            Until::Position(position) => member.manifest.position <= position,
            Until::Time(time) => member.manifest.time <= clock::millis(time),
        };
        let member = self.members.iter().rposition(begins_below)?;
        let stretch = self.stretches().into_iter().find(|stretch| stretch.members.contains(&member))?;
        let reaches = match until {
            Until::End => true,
            Until::Position(position) => position <= stretch.covered.to,
            Until::Time(time) => time <= stretch.covered.to_time,
        };
        reaches.then_some(Base { member, stretch: stretch.members, log_to: stretch.covered.to })
    }

    /// The log from where the checkpoint of `base` needs it, out of the backups that have it.
    pub(super) fn segments(&self, base: &Base) -> Result<Segments, ChainError> {
        let Member { device, descriptor, manifest, keys, .. } = &self.members[base.member];
        let (store, geometry) = (&descriptor.store, descriptor.store.geometry);
        let mut files: BTreeMap<u64, Arc<dyn BlockFile>> = BTreeMap::new();
        if manifest.log_from < self.members[base.stretch.start].descriptor.log_from.lsn {
            let file = self.members[base.member].dir.join(manifest::file_name(manifest.number));
            let what = "it needs log that the backups do not hold";
            return Err(unreadable(&self.members[base.member], OpenError::Damaged { file, what }));
        }
        for index in geometry.index_of(manifest.log_from)..=geometry.index_of(base.log_to) {
            let (first, behind) = (geometry.first(index), geometry.first(index + 1));
            let mut parts = Vec::new();
            for member in &self.members[base.stretch.clone()] {
                let Descriptor { log_from, end, .. } = &member.descriptor;
                if log_from.lsn < behind && *end > first {
                    let file = open_segment(&member.device, &member.dir, store, index)
                        .map_err(|cause| unreadable(member, cause))?;
                    parts.push((geometry.offset_of(log_from.lsn.max(first)), file));
                }
            }
            files.extend(Splice::of(parts).map(|splice| (index, Arc::new(splice) as Arc<dyn BlockFile>)));
        }
        let segments = Segments::new(Arc::clone(device), store.id, geometry, files, Vec::new());
        Ok(segments.sealed_with(keys.clone()))
    }

    /// An error about a place in the log, with the backup it was read from.
    pub(super) fn blame(&self, base: &Base, position: Lsn, cause: impl Into<OpenError>) -> ChainError {
        let members = &self.members[base.stretch.clone()];
        let holder = members.iter().rfind(|member| member.descriptor.log_from.lsn <= position);
        unreadable(holder.unwrap_or(&self.members[base.member]), cause)
    }
}

impl Member {
    /// To what its pages and its manifest are bound.
    pub(super) fn binding(&self) -> Binding {
        Binding::new(self.descriptor.store.id, self.keys.clone())
    }
}

/// An error in one of the backups.
pub(super) fn unreadable(member: &Member, cause: impl Into<OpenError>) -> ChainError {
    ChainError::Unreadable { path: member.dir.clone(), cause: Box::new(cause.into()) }
}

/// Whether the backups belong together, in this order.
fn check(members: &[(&Path, &Descriptor)]) -> Result<(), ChainError> {
    let Some((path, first)) = members.first() else { return Err(ChainError::Empty) };
    if first.previous.is_some() {
        return Err(ChainError::NotFull { path: path.to_path_buf() });
    }
    for pair in members.windows(2) {
        let ((before_path, before), (path, next)) = (pair[0], pair[1]);
        let path = path.to_path_buf();
        if next.store != before.store {
            return Err(ChainError::OtherStore { path });
        }
        if next.keys != before.keys {
            return Err(ChainError::OtherKey { path: before_path.to_path_buf() });
        }
        if next.timeline != before.timeline {
            return Err(ChainError::OtherTimeline { path });
        }
        let is_next = next.previous == Some(before.id);
        if !is_next || next.checkpoint < before.checkpoint || next.end < before.end {
            return Err(ChainError::NotNext { path, before: before_path.to_path_buf() });
        }
    }
    Ok(())
}

fn read_manifest(
    dir: &Path,
    device: &dyn Device,
    descriptor: &Descriptor,
    keys: Option<Arc<Keyring>>,
) -> Result<Manifest, ChainError> {
    let changed = || ChainError::Changed { path: dir.to_path_buf() };
    match manifest::read(device, descriptor.manifest, &Binding::new(descriptor.store.id, keys)) {
        Ok(manifest) if manifest.position == descriptor.checkpoint => Ok(manifest),
        Ok(_) => Err(changed()),
        Err(CheckpointError::Io(error)) if error.kind() == ErrorKind::NotFound => Err(changed()),
        Err(error) => Err(ChainError::Unreadable { path: dir.to_path_buf(), cause: Box::new(error.into()) }),
    }
}
