//! Takes checkpoints: the log says which keys changed, a snapshot what is under them now, and pages get it.
//!
//! ```text
//!   snapshot at C ─► wait until the log is durable up to C ─► keys that the log names from the last checkpoint to C
//!       ─► trees: the pages that hold such keys, written anew ─► flush ─► manifest ─► give up the log before C, and old pages
//! ```
//!
//! Writers go on all the while: a snapshot keeps nobody from anything. Whatever fails, the checkpoint before and the log since then are as they
//! were: nothing that they need is given up or written over before the new manifest has been read back.
//!
//! A change of the data key (`rotation`) is a checkpoint for which every key counts as changed.

use super::anchors::{self, ANCHORS_MAX, Anchor, position_of};
use super::config::Config;
use super::error::RotateKeyError;
use super::history::History;
use super::kept::Kept;
use super::rotation::Rotation;
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::manifest::{self, Manifest};
use crate::checkpoint::pages::Pages;
use crate::checkpoint::tree::{Tree, Update};
use crate::checkpoint::writer::{Writing, Written};
use crate::checkpoint::{PAGE_BYTES, Pace, PageSet};
use crate::crypt::KeyProvider;
use crate::io::{Device, lower_priority};
use crate::log::Log;
use crate::log::batch::Write;
use crate::log::reader::{self, Start};
use crate::log::streams::{self, Streams};
use crate::lsn::{LogEnd, Lsn};
use crate::map::{Key, Towards};
use crate::mvcc::snapshot::Snapshot;
use crate::mvcc::store::Store;
use crate::options::Compression;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, JoinedPool, Mutex, lock, thread};
use rayon::prelude::*;
use std::ops::Bound;
use std::time::{Duration, Instant};

/// What a checkpoint did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Everything committed below is in it.
    pub position: Lsn,
    /// Documents and keys in it.
    pub entries: u64,
    /// Keys that were written, deleted ones included, since the checkpoint before.
    pub changed: u64,
    /// Pages in use, of 8 KiB each.
    pub pages: u64,
    /// Bytes of pages that were written: what changed, and the branches above.
    pub written_bytes: u64,
    /// How long it took.
    pub time: Duration,
}

/// A checkpoint, and the log beside it and behind it: they stay as they are as long as this is there, whatever checkpoints are taken meanwhile.
pub(super) struct Pinned {
    pub(super) pages: Arc<Pages>,
    pub(super) used: Arc<PageSet>,
    pub(super) manifest: Manifest,
    _log: Arc<Lsn>,
}

/// See the module.
pub(super) struct Checkpointer {
    device: Arc<dyn Device>,
    log_bytes: u64,
    bytes_per_second: Option<u64>,
    /// None: as the last checkpoint was.
    compression: Option<Compression>,
    /// So much of the log before the last checkpoint is kept for backups to come.
    backup_log_bytes: u64,
    /// Set when the store is being closed.
    hurry: AtomicBool,
    /// Held by whoever takes one.
    kept: Mutex<Kept>,
    last: Mutex<Last>,
}

/// What is known without waiting for a checkpoint under way.
#[derive(Clone, Default)]
struct Last {
    position: Lsn,
    taken: Option<Checkpoint>,
    failed: Option<CheckpointError>,
}

/// How often to choose another position, before much more of the log is kept than may be needed.
const POSITIONS_MAX: usize = 8;

impl Checkpointer {
    pub(super) fn new(device: Arc<dyn Device>, config: &Config, kept: Kept) -> Checkpointer {
        let last = Last { position: kept.position(), ..Last::default() };
        Checkpointer {
            device,
            log_bytes: config.checkpoint_log_bytes,
            bytes_per_second: config.checkpoint_bytes_per_second,
            compression: config.checkpoint_compression,
            backup_log_bytes: config.backup_log_bytes,
            hurry: AtomicBool::new(false),
            kept: Mutex::new(kept),
            last: Mutex::new(last),
        }
    }

    /// The position of the last checkpoint; zero before the first.
    pub(super) fn position(&self) -> Lsn {
        lock(&self.last).position
    }

    /// How far the log has grown since the last checkpoint.
    pub(super) fn log_grown(&self, log_end: &LogEnd) -> u64 {
        // In this order: the end only grows, so no checkpoint that somebody else takes meanwhile is beyond it.
        let position = self.position();
        log_end.load().get() - position.get()
    }

    /// Whether another setting holds than the last checkpoint has, which is where the next opening knows it from.
    pub(super) fn are_settings_new(&self, history: &History) -> bool {
        let kept = lock(&self.kept);
        let last = kept.manifest.as_ref().map(|last| (last.compression, last.retention));
        let (compression, retention) = last.unwrap_or_default();
        self.compression.is_some_and(|wanted| wanted != compression) || history.retention() != retention
    }

    /// The last checkpoint that this process took, and why the last attempt failed, if it did.
    pub(super) fn last(&self) -> (Option<Checkpoint>, Option<CheckpointError>) {
        let last = lock(&self.last);
        (last.taken.clone(), last.failed.clone())
    }

    /// From now on checkpoints, one that is under way too, write as fast as the disk takes it.
    pub(super) fn hurry(&self) {
        // Relaxed: it says when, and nothing else.
        self.hurry.store(true, Ordering::Relaxed);
    }

    /// Takes a checkpoint of everything that is committed by now.
    pub(super) fn run(&self, store: (&Store, &History), log: &Log) -> Result<Checkpoint, CheckpointError> {
        self.run_on(&mut lock(&self.kept), store, log)
    }

    /// Takes a checkpoint and holds it fast, with the log from `log_from` on, as far as that is still there, or from where the checkpoint needs it.
    pub(super) fn run_and_pin(
        &self,
        store: (&Store, &History),
        log: &Log,
        log_from: Option<Lsn>,
    ) -> Result<Pinned, CheckpointError> {
        let mut kept = lock(&self.kept);
        // No checkpoint to come needs the log from before where the last one does.
        let needed = kept.start().lsn;
        let pin = Arc::new(log_from.map_or(needed, |from| from.min(needed)));
        kept.log_pins.push(Arc::clone(&pin));
        self.run_on(&mut kept, store, log)?;
        let used = Arc::new(kept.used.clone());
        kept.page_pins.push(Arc::clone(&used));
        let manifest = kept.manifest.clone().expect("there is one after a checkpoint");
        Ok(Pinned { pages: Arc::clone(&kept.pages), used, manifest, _log: pin })
    }

    /// How fast files are written beside the log.
    pub(super) fn pace(&self) -> Pace<'_> {
        Pace::new(self.bytes_per_second, &self.hurry)
    }

    /// Makes the provider's key the store's: a new data key, which the log goes on with, and a checkpoint in which every page is new. Other
    /// checkpoints and backups wait.
    pub(super) fn rotate_key(
        &self,
        store: (&Store, &History),
        log: &Log,
        provider: &dyn KeyProvider,
    ) -> Result<Checkpoint, RotateKeyError> {
        let keys = log.segments().keys().ok_or(RotateKeyError::NotEncrypted)?;
        let master = provider.key()?;
        let mut kept = lock(&self.kept);
        let added = keys.add_generation(&*self.device, &master).map_err(RotateKeyError::Io)?;
        let generation = added.ok_or(RotateKeyError::NoneLeft)?;
        drop(master);
        let from = log.switch_to(generation).map_err(RotateKeyError::Io)?;
        kept.rotation = Some(Rotation::new(generation, from));
        Ok(self.run_on(&mut kept, store, log)?)
    }

    /// Hands the last checkpoint to `look`: as long as that runs, its pages and the log behind them stay as they are.
    pub(super) fn with_kept<T>(&self, look: impl FnOnce(&Arc<dyn Device>, &Kept) -> T) -> T {
        look(&self.device, &lock(&self.kept))
    }

    fn run_on(
        &self,
        kept: &mut Kept,
        (store, history): (&Store, &History),
        log: &Log,
    ) -> Result<Checkpoint, CheckpointError> {
        let taken = self.take(kept, (store, history), log);
        // Whether it was taken or not: what is not needed leaves its room to the log. What cannot be given up now is the next time.
        let given_up = self.give_up(kept, history, log);
        let mut last = lock(&self.last);
        last.position = kept.position();
        last.failed = taken.as_ref().err().cloned().or(given_up.err());
        last.taken = taken.as_ref().ok().cloned().or(last.taken.take());
        taken
    }

    fn take(
        &self,
        kept: &mut Kept,
        (store, history): (&Store, &History),
        log: &Log,
    ) -> Result<Checkpoint, CheckpointError> {
        let started = Instant::now();
        kept.remove_leftovers(&*self.device)?;
        let (snapshot, log_start) = choose_position(store, log, kept.start());
        let position = snapshot.position();
        log.wait_durable(position)?;
        // After the position, so that nothing below it was committed later.
        let time = log.marks().now();
        let held = kept.held();
        let pages = Arc::clone(&kept.pages);
        let before = kept.manifest.as_ref().map(|last| last.compression);
        let compression = self.compression.or(before).unwrap_or_default();
        let writing = Writing::new(&pages, (&kept.used, &held), position, compression, self.pace())?;
        let rewrites_all = kept.rotation.as_ref().is_some_and(Rotation::wants_pages);
        let (changed, trees) = on_own_threads(|| {
            let mut changed = changed_keys(log, kept, position)?;
            if rewrites_all {
                add_all_keys(store, &snapshot, &mut changed);
            }
            let trees = write_trees(&writing, kept, store, &snapshot, &changed)?;
            Ok((changed.len() as u64, trees))
        })?;
        let written = writing.finish(kept.manifest.as_ref())?;
        drop(snapshot);
        let manifest = Manifest {
            number: kept.next_number,
            position,
            log_from: log_start.lsn,
            session: log_start.session.unwrap_or(log.session()),
            time,
            timeline: kept.manifest.as_ref().map_or_else(manifest::new_timeline, |last| last.timeline),
            extent_pages: kept.pages.extent_pages(),
            extents: kept.pages.extents_of(&written.used),
            compression,
            retention: history.retention(),
            map: written.map,
            trees,
        };
        let report = Checkpoint {
            position,
            entries: manifest.entries(),
            changed,
            pages: written.used.count(),
            written_bytes: written.written_pages * PAGE_BYTES as u64,
            time: started.elapsed(),
        };
        self.publish(kept, written, manifest)?;
        if rewrites_all {
            kept.rotation.iter_mut().for_each(Rotation::pages_written);
        }
        Ok(Checkpoint { time: started.elapsed(), ..report })
    }

    /// Makes what was written the store's checkpoint.
    fn publish(&self, kept: &mut Kept, written: Written, manifest: Manifest) -> Result<(), CheckpointError> {
        let unpublished = manifest.write(&*self.device, kept.pages.binding())?;
        kept.next_number += 1;
        if let Err(error) = unpublished.publish(&*self.device) {
            for page in written.used.iter() {
                kept.doubtful.insert(page);
            }
            return Err(error);
        }
        kept.grown = manifest.position.get() - kept.position().get();
        kept.doubtful = PageSet::default();
        let used = std::mem::replace(&mut kept.used, written.used);
        let origin = kept.manifest.replace(manifest);
        kept.anchors.push(Anchor { origin, used });
        Ok(())
    }

    /// Gives up what neither the last checkpoint needs nor the past that is kept: older manifests, pages, log and data keys.
    fn give_up(&self, kept: &mut Kept, history: &History, log: &Log) -> Result<(), CheckpointError> {
        let kept_from = history.log_kept_from(log);
        let (last, position) = (kept.position(), |anchor: &Anchor| position_of(&anchor.origin));
        anchors::give_up(&mut kept.anchors, position, last, kept_from);
        kept.anchors.truncate(ANCHORS_MAX);
        kept.remove_leftovers(&*self.device)?;
        let segments = log.segments();
        let readable_from = kept.log_held().min(kept_from);
        let for_backups = kept.position().get().saturating_sub(self.backup_log_bytes);
        segments.recycle_before(readable_from.min(Lsn::new(for_backups)), self.spare_segments(kept, log))?;
        // What is kept of the log for backups to come needs no old key: a change of the key asks for a full one. Those under way do need it.
        let is_over = |rotation: &Rotation| kept.page_pins.is_empty() && rotation.is_over(readable_from);
        if let Some(rotation) = kept.rotation.filter(is_over) {
            // Without the key nobody reads what is before, nor what is left of it in spare segments.
            segments.recycle_before(readable_from, 0)?;
            let keys = segments.keys().expect("only an encrypted store changes its key");
            keys.retire_before(&*self.device, rotation.generation())?;
            kept.rotation = None;
        }
        Ok(())
    }

    /// Gives back all room that a store at rest does not need. Nobody may commit any more.
    pub(super) fn give_room_back(&self, log: &Log, end: Lsn) -> Result<(), CheckpointError> {
        let mut kept = lock(&self.kept);
        kept.remove_leftovers(&*self.device)?;
        log.segments().remove_unused(end)?;
        kept.discard_free_pages()
    }

    /// As many as the log filled from one checkpoint to the next, and is to fill.
    fn spare_segments(&self, kept: &Kept, log: &Log) -> usize {
        let spares = kept.grown.min(self.log_bytes).div_ceil(log.segments().geometry().data_bytes());
        usize::try_from(spares).unwrap_or(usize::MAX)
    }
}

/// Does the work of a checkpoint, or of looking at one, on threads of its own: those of the program have other work.
pub(super) fn on_own_threads<T: Send>(
    work: impl FnOnce() -> Result<T, CheckpointError> + Send,
) -> Result<T, CheckpointError> {
    let count = (rayon::current_num_threads() / 4).max(1);
    let pool = JoinedPool::new(count, "skipstone-pages", lower_priority);
    let pool = pool.map_err(|error| CheckpointError::Threads { what: error.to_string() })?;
    // The caller may be a thread of another pool. It must sleep: it holds the lock, and would run jobs that ask for it.
    thread::scope(|scope| scope.spawn(|| pool.install(work)).join()).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("for no known reason");
        Err(CheckpointError::Threads { what: format!("one of them panicked: {said}") })
    })
}

/// A snapshot of what is committed by now, and from where on the log is needed by what commits later: nowhere before `last`, from where the last
/// checkpoint needs it, for whatever that did not know of began behind it.
fn choose_position(store: &Store, log: &Log, last: Start) -> (Snapshot, Start) {
    let unfinished = log.unfinished();
    for _ in 0..POSITIONS_MAX {
        let over = unfinished.over();
        let snapshot = store.snapshot();
        match unfinished.needed_from(snapshot.position(), over) {
            Some(lsn) if lsn > last.lsn => return (snapshot, Start { lsn, session: Some(log.session()) }),
            Some(_) => return (snapshot, last),
            None => {}
        }
    }
    (store.snapshot(), last)
}

/// The keys that were committed from the last checkpoint up to `position`, in order, by keyspace.
fn changed_keys(log: &Log, kept: &Kept, position: Lsn) -> Result<Vec<(u32, Key)>, CheckpointError> {
    let segments = log.segments();
    let (mut commits, mut changed) = (Streams::new(segments, kept.start(), kept.position()), Vec::new());
    reader::read_until(segments, kept.start(), position, &mut |frames| {
        for (lsn, stream) in commits.read(frames)? {
            let key = |write: Write<'_>| changed.push((write.space, Key::from(write.key)));
            streams::decode(segments, lsn, &stream, key)?;
        }
        Ok(())
    })?;
    changed.par_sort_unstable();
    changed.dedup();
    Ok(changed)
}

/// Adds every key that is there, so that every page is written anew.
fn add_all_keys(store: &Store, snapshot: &Snapshot, changed: &mut Vec<(u32, Key)>) {
    for space in store.spaces() {
        let all = snapshot.scan(space, (Bound::Unbounded, Bound::Unbounded), Towards::Greater);
        changed.extend(all.map(|(key, _)| (space.id(), Key::from(key))));
    }
    changed.par_sort_unstable();
    changed.dedup();
}

/// The trees after the changes: those without any are taken over.
fn write_trees(
    writing: &Writing<'_>,
    kept: &Kept,
    store: &Store,
    snapshot: &Snapshot,
    changed: &[(u32, Key)],
) -> Result<Vec<Tree>, CheckpointError> {
    let mut trees = kept.manifest.as_ref().map_or(Vec::new(), |manifest| manifest.trees.clone());
    for of_space in changed.chunk_by(|(a, _), (b, _)| a == b) {
        let id = of_space[0].0;
        let index = trees.binary_search_by_key(&id, |tree| tree.space).unwrap_or_else(|index| {
            trees.insert(index, Tree::empty(id));
            index
        });
        let space = store.space(id);
        let value_of = |key: &[u8]| snapshot.get(space, key).map(|seen| (seen.lsn, seen.value));
        let keys: Vec<&[u8]> = of_space.iter().map(|(_, key)| &**key).collect();
        trees[index] = Update::new(writing, id, value_of).run(&trees[index], &keys)?;
    }
    Ok(trees)
}
