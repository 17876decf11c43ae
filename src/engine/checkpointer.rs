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
use crate::checkpoint::pages::Pages;
use crate::checkpoint::tree::{Tree, Update};
use crate::checkpoint::writer::{Writing, Written};
use crate::checkpoint::{PAGE_BYTES, Pace, PageId, PageSet};
use crate::io::{Device, lower_priority};
use crate::log::Log;
use crate::log::batch::Write;
use crate::log::reader::{self, Start};
use crate::log::segment::StoreId;
use crate::log::streams::{self, Streams};
use crate::lsn::{LogEnd, Lsn};
use crate::map::Key;
use crate::mvcc::snapshot::Snapshot;
use crate::mvcc::store::Store;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Mutex, lock, thread};
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
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
    /// The pages of an attempt whose manifest may be on the disk, whatever the directory shows: its naming failed, or reading it back. They are left
    /// alone until a later manifest is there for certain.
    doubtful: PageSet,
    /// That of the next manifest: none is used twice.
    next_number: u64,
    /// How much the log grew from the checkpoint before to the last one.
    grown: u64,
}

impl Kept {
    pub(super) fn new(pages: Pages, used: PageSet, manifest: Option<Manifest>) -> Kept {
        let next_number = manifest.as_ref().map_or(1, |manifest| manifest.number + 1);
        Kept { pages, used, manifest, doubtful: PageSet::default(), next_number, grown: 0 }
    }

    pub(super) fn start(&self) -> Start {
        self.manifest.as_ref().map_or(Start::OF_LOG, Manifest::log_start)
    }

    pub(super) fn position(&self) -> Lsn {
        self.manifest.as_ref().map_or(Lsn::ZERO, |manifest| manifest.position)
    }

    /// How many extents begin with these pages.
    fn extents(&self, pages: &PageSet) -> u64 {
        pages.last().map_or(0, |page| page.0 / self.pages.extent_pages() + 1)
    }

    /// Removes manifests and extents that are no longer needed, and what an attempt that failed left behind; after that the pages that are
    /// neither in use nor doubtful may be written over.
    fn remove_leftovers(&self, device: &dyn Device) -> Result<(), CheckpointError> {
        manifest::remove_others(device, self.manifest.as_ref().map(|manifest| manifest.number))?;
        let extents = self.extents(&self.used).max(self.extents(&self.doubtful));
        Ok(self.pages.remove_extents_from(extents)?)
    }

    /// Gives back the room of pages that are free for certain.
    fn discard_free_pages(&self) -> Result<(), CheckpointError> {
        for extent in 0..self.pages.extents() {
            let usable = self.pages.usable(extent);
            let mut from = usable.start;
            while let Some(run) = self.used.free_run(from..usable.end, u64::MAX) {
                from = run.end;
                let is_worth_it = run.end - run.start >= DISCARDED_PAGES_MIN;
                if is_worth_it && !run.clone().any(|page| self.doubtful.contains(PageId(page))) {
                    self.pages.discard(run)?;
                }
            }
        }
        Ok(())
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

/// Fewer free pages next to each other are not worth a hole in a file.
const DISCARDED_PAGES_MIN: u64 = 8;
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

    /// How far the log has grown since the last checkpoint.
    pub(super) fn log_grown(&self, log_end: &LogEnd) -> u64 {
        // In this order: the end only grows, so no checkpoint that somebody else takes meanwhile is beyond it.
        let position = self.position();
        log_end.load().get() - position.get()
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

    /// Hands the last checkpoint to `look`: as long as that runs, its pages and the log behind them stay as they are.
    pub(super) fn with_kept<T>(&self, look: impl FnOnce(&Arc<dyn Device>, &Kept) -> T) -> T {
        look(&self.device, &lock(&self.kept))
    }

    fn run_on(&self, kept: &mut Kept, store: &Store, log: &Log) -> Result<Checkpoint, CheckpointError> {
        let taken = self.take(kept, store, log);
        // Whether it was taken or not: what is not needed leaves its room to the log. What cannot be given up now is the next time.
        let given_up = self.give_up(kept, log);
        let mut last = lock(&self.last);
        last.position = kept.position();
        last.failed = taken.as_ref().err().cloned().or(given_up.err());
        last.taken = taken.as_ref().ok().cloned().or(last.taken.take());
        taken
    }

    fn take(&self, kept: &mut Kept, store: &Store, log: &Log) -> Result<Checkpoint, CheckpointError> {
        let started = Instant::now();
        kept.remove_leftovers(&*self.device)?;
        let (snapshot, log_start) = choose_position(store, log, kept.start());
        let position = snapshot.position();
        log.wait_durable(position)?;
        let pace = Pace::new(self.bytes_per_second, &self.hurry);
        let writing = Writing::new(&kept.pages, (&kept.used, &kept.doubtful), position, pace);
        let (changed, trees) = on_own_threads(|| {
            let changed = changed_keys(log, kept, position)?;
            let trees = write_trees(&writing, kept, store, &snapshot, &changed)?;
            Ok((changed.len() as u64, trees))
        })?;
        let written = writing.finish()?;
        drop(snapshot);
        let manifest = Manifest {
            number: kept.next_number,
            position,
            log_from: log_start.lsn,
            session: log_start.session.unwrap_or(log.session()),
            written: SystemTime::now(),
            extent_pages: kept.pages.extent_pages(),
            extents: kept.extents(&written.used),
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
        Ok(Checkpoint { time: started.elapsed(), ..report })
    }

    /// Makes what was written the store's checkpoint.
    fn publish(&self, kept: &mut Kept, written: Written, manifest: Manifest) -> Result<(), CheckpointError> {
        manifest.write(&*self.device, &self.store_id)?;
        kept.next_number += 1;
        if let Err(error) = manifest.publish(&*self.device, &self.store_id) {
            for page in written.used.iter() {
                kept.doubtful.insert(page);
            }
            return Err(error);
        }
        kept.grown = manifest.position.get() - kept.position().get();
        (kept.used, kept.manifest, kept.doubtful) = (written.used, Some(manifest), PageSet::default());
        Ok(())
    }

    /// Gives up what the last checkpoint does not need: older manifests, pages and log.
    fn give_up(&self, kept: &Kept, log: &Log) -> Result<(), CheckpointError> {
        kept.remove_leftovers(&*self.device)?;
        Ok(log.segments().recycle_before(kept.start().lsn, self.spare_segments(kept, log))?)
    }

    /// Gives back all room that a store at rest does not need. Nobody may commit any more.
    pub(super) fn give_room_back(&self, log: &Log, end: Lsn) -> Result<(), CheckpointError> {
        let kept = lock(&self.kept);
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
    let pool = ThreadPoolBuilder::new().num_threads(count).thread_name(|_| "skipstone-pages".into());
    let pool = pool.start_handler(|_| lower_priority()).build();
    let pool = pool.map_err(|error| CheckpointError::Threads { what: error.to_string() })?;
    // The caller may be a thread of another pool. It must sleep: it holds the lock, and would run jobs that ask for it.
    thread::scope(|scope| scope.spawn(|| pool.install(work)).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
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
    let (mut commits, mut changed) = (Streams::new(segments, kept.position()), Vec::new());
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
