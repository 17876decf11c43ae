//! Takes checkpoints: the log says which keys changed, a snapshot what is under them now, and pages get it.
//!
//! ```text
//!   snapshot at C ─► wait until the log is durable up to C ─► keys that the log names from the last checkpoint to C
//!       ─► trees: the pages that hold such keys, written anew ─► flush ─► manifest ─► give up the log before C, and old pages
//! ```
//!
//! Writers go on all the while: a snapshot keeps nobody from anything. Whatever fails, the checkpoint before and the log since then are as they
//! were: nothing that they need is given up or written over before the new manifest has been read back.

use super::config::Config;
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::manifest::{self, Manifest};
use crate::checkpoint::pages::{Pages, StoreId};
use crate::checkpoint::tree::{Tree, Update};
use crate::checkpoint::writer::{Writing, Written};
use crate::checkpoint::{PAGE_BYTES, Pace, PageSet};
use crate::io::Device;
use crate::log::Log;
use crate::log::reader::{self, Start};
use crate::log::streams::{self, Streams};
use crate::lsn::Lsn;
use crate::map::Key;
use crate::mvcc::snapshot::Snapshot;
use crate::mvcc::store::Store;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Mutex, lock};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::time::{Duration, Instant, SystemTime};

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

/// A store's pages, as the last checkpoint left them.
pub(super) struct Kept {
    pub(super) pages: Pages,
    pub(super) used: PageSet,
    /// None before the first one.
    pub(super) manifest: Option<Manifest>,
}

impl Kept {
    fn start(&self) -> Start {
        self.manifest.as_ref().map_or(Start::OF_LOG, Manifest::log_start)
    }

    fn position(&self) -> Lsn {
        self.manifest.as_ref().map_or(Lsn::ZERO, |manifest| manifest.position)
    }

    /// Removes what an attempt that failed left behind; after that the pages that are not in use may be written over.
    fn remove_leftovers(&self, device: &dyn Device) -> Result<(), CheckpointError> {
        manifest::remove_others(device, self.manifest.as_ref().map(|manifest| manifest.number))?;
        let extents = self.manifest.as_ref().map_or(0, |manifest| manifest.extents);
        Ok(self.pages.remove_extents_from(extents)?)
    }
}

/// See the module.
pub(super) struct Checkpointer {
    device: Arc<dyn Device>,
    store_id: StoreId,
    log_bytes: u64,
    bytes_per_second: Option<u64>,
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
    pub(super) fn new(
        device: Arc<dyn Device>,
        store_id: StoreId,
        config: &Config,
        kept: Kept,
    ) -> Checkpointer {
        let last = Last { position: kept.position(), ..Last::default() };
        Checkpointer {
            device,
            store_id,
            log_bytes: config.checkpoint_log_bytes,
            bytes_per_second: config.checkpoint_bytes_per_second,
            hurry: AtomicBool::new(false),
            kept: Mutex::new(kept),
            last: Mutex::new(last),
        }
    }

    /// The position of the last checkpoint; zero before the first.
    pub(super) fn position(&self) -> Lsn {
        lock(&self.last).position
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
    pub(super) fn run(&self, store: &Store, log: &Log) -> Result<Checkpoint, CheckpointError> {
        self.run_on(&mut lock(&self.kept), store, log)
    }

    /// Takes a checkpoint, and hands its pages to `copy`: as long as that runs they stay as they are.
    pub(super) fn run_and_copy<T, E: From<CheckpointError>>(
        &self,
        store: &Store,
        log: &Log,
        copy: impl FnOnce(&Kept, &Manifest, &Pace<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut kept = lock(&self.kept);
        self.run_on(&mut kept, store, log)?;
        let manifest = kept.manifest.as_ref().expect("there is one after a checkpoint");
        copy(&kept, manifest, &Pace::new(self.bytes_per_second, &self.hurry))
    }

    fn run_on(&self, kept: &mut Kept, store: &Store, log: &Log) -> Result<Checkpoint, CheckpointError> {
        let taken = self.take(kept, store, log);
        let mut last = lock(&self.last);
        last.position = kept.position();
        last.failed = taken.as_ref().err().cloned();
        last.taken = taken.as_ref().ok().cloned().or(last.taken.take());
        taken
    }

    fn take(&self, kept: &mut Kept, store: &Store, log: &Log) -> Result<Checkpoint, CheckpointError> {
        let started = Instant::now();
        kept.remove_leftovers(&*self.device)?;
        let (snapshot, log_from) = choose_position(store, log);
        let position = snapshot.position();
        log.wait_durable(position)?;
        let pool = pool()?;
        let changed = pool.install(|| changed_keys(log, kept, position))?;
        let pace = Pace::new(self.bytes_per_second, &self.hurry);
        let writing = Writing::new(&kept.pages, &kept.used, position, pace);
        let trees = pool.install(|| write_trees(&writing, kept, store, &snapshot, &changed))?;
        let written = writing.finish()?;
        drop(snapshot);
        let report = Checkpoint {
            position,
            entries: trees.iter().map(|tree| tree.entries).sum(),
            changed: changed.len() as u64,
            pages: written.used.count(),
            written_bytes: written.written_pages * PAGE_BYTES as u64,
            time: started.elapsed(),
        };
        self.publish(kept, written, trees, position, (log_from, log))?;
        Ok(Checkpoint { time: started.elapsed(), ..report })
    }

    /// Makes what was written the store's checkpoint, and gives up what only the one before needed.
    fn publish(
        &self,
        kept: &mut Kept,
        written: Written,
        trees: Vec<Tree>,
        position: Lsn,
        (log_from, log): (Lsn, &Log),
    ) -> Result<(), CheckpointError> {
        let extent_pages = kept.pages.extent_pages();
        let manifest = Manifest {
            number: kept.manifest.as_ref().map_or(1, |before| before.number + 1),
            position,
            log_from,
            session: log.session(),
            written: SystemTime::now(),
            extent_pages,
            extents: written.used.last().map_or(0, |page| page.0 / extent_pages + 1),
            trees,
        };
        manifest.publish(&*self.device, &self.store_id)?;
        kept.used = written.used;
        kept.manifest = Some(manifest);
        kept.remove_leftovers(&*self.device)?;
        Ok(log.segments().recycle_before(log_from, self.spare_segments(log))?)
    }

    /// As many as the log fills from one checkpoint to the next.
    fn spare_segments(&self, log: &Log) -> usize {
        let spares = self.log_bytes.div_ceil(log.segments().geometry().data_bytes());
        usize::try_from(spares).unwrap_or(usize::MAX)
    }
}

/// The threads that a checkpoint runs on, of its own: those of the program have other work.
fn pool() -> Result<ThreadPool, CheckpointError> {
    let cores = rayon::current_num_threads();
    let pool =
        ThreadPoolBuilder::new().num_threads((cores / 4).max(1)).thread_name(|_| "skipstone-pages".into());
    pool.build().map_err(|error| CheckpointError::Threads { what: error.to_string() })
}

/// A snapshot of what is committed by now, and from where on the log is needed by what commits later.
fn choose_position(store: &Store, log: &Log) -> (Snapshot, Lsn) {
    let unfinished = log.unfinished();
    for _ in 0..POSITIONS_MAX {
        let over = unfinished.over();
        let snapshot = store.snapshot();
        if let Some(from) = unfinished.needed_from(snapshot.position(), over) {
            return (snapshot, from);
        }
    }
    (store.snapshot(), log.began())
}

/// The keys that were committed from the last checkpoint up to `position`, in order, by keyspace.
fn changed_keys(log: &Log, kept: &Kept, position: Lsn) -> Result<Vec<(u32, Key)>, CheckpointError> {
    let segments = log.segments();
    let (mut commits, mut changed) = (Streams::new(segments), Vec::new());
    reader::read_until(segments, kept.start(), position, &mut |frames| {
        for (lsn, stream) in commits.read(frames)? {
            if lsn >= kept.position() {
                streams::decode(segments, lsn, &stream, |write| {
                    changed.push((write.space, Key::from(write.key)))
                })?;
            }
        }
        Ok(())
    })?;
    changed.par_sort_unstable();
    changed.dedup();
    Ok(changed)
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
