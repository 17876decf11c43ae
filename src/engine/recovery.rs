//! Loads the checkpoint and replays the log behind it: entries and frames become versions, in parallel by key.
//!
//! The newest write of each key is all that counts, unless the past is kept: nobody has a snapshot of a store that is being opened. So each batch of frames is decoded in
//! parallel, its writes are dealt out by key to shards, each shard keeps the newest write per key, and in the end the shards put what
//! they have into the records, after what the checkpoint has under other keys.
//!
//! With a past to be kept the log is read from the first anchor on, and the shards keep all writes. What was there before the first of them is on pages of
//! the last checkpoint, if it is older than the anchor, or else on such pages of the anchor as the last checkpoint does not share. If any of that is not
//! as it should be, the store is opened without its past: nothing else depends on it.

use super::anchors::{Anchor, Origin, position_of, start_of};
use super::config::Config;
use super::error::OpenError;
use super::history::{self, Past};
use super::kept::Kept;
use super::open::{Files, read_log};
use super::rotation::Rotation;
use super::times::Mark;
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::manifest::Manifest;
use crate::checkpoint::pages::Pages;
use crate::checkpoint::tree::Tree;
use crate::checkpoint::{PAGE_BYTES, PageSet, free_map, loader, walk};
use crate::io::Device;
use crate::log::batch::Write;
use crate::log::clock::{Marks, Millis};
use crate::log::reader::{End, Frames, LogError};
use crate::log::seal::Session;
use crate::log::segment::Segments;
use crate::log::streams::{self, Stream, Streams};
use crate::log::{self, Log};
use crate::lsn::{LogEnd, Lsn};
use crate::map::Key;
use crate::mvcc::store::{Loading, Store};
use crate::sync::{Arc, Mutex, lock};
use rayon::prelude::*;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher;
use std::path::Path;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// What opening a store did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Recovery {
    /// The position of the checkpoint that was loaded; zero if there was none.
    pub checkpoint: Lsn,
    /// Its pages, of 8 KiB each.
    pub pages: u64,
    /// Documents and keys in it.
    pub entries: u64,
    /// From where on the past can be read.
    pub oldest: Lsn,
    /// Why it cannot be read from where the store was to keep it, if something is wrong with that: it is given up.
    pub lost_history: Option<String>,
    /// Frames of the log that were read.
    pub frames: u64,
    /// Writes in them.
    pub writes: u64,
    /// Keys that are there now.
    pub keys: u64,
    /// Where the log ended.
    pub end: Lsn,
    /// Bytes behind the end that were in flight when the store was killed: none of them was ever acknowledged as durable.
    pub cut_bytes: u64,
    /// Whether the store was closed properly before.
    pub closed: bool,
    /// How long it took.
    pub time: Duration,
}

type Newest = HashMap<(u32, Key), (Lsn, Option<Box<[u8]>>), foldhash::fast::RandomState>;

/// What the log says of some of the keys, as far as it has been read.
#[derive(Default)]
struct Shard {
    /// The newest write of each: its position, and the value unless it deletes.
    newest: Newest,
    /// Those before it, if the past is kept.
    older: Vec<Written>,
}

/// What was written under a key once; none if it was deleted.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Written {
    space: u32,
    key: Key,
    lsn: Lsn,
    value: Option<Box<[u8]>>,
}

impl Shard {
    /// The log is read in the order of commits: the later write is the newer one.
    fn keep(&mut self, Dealt { lsn, write }: &Dealt<'_>, keeps_past: bool) {
        let (space, key) = (write.space, Key::from(write.key));
        match self.newest.entry((space, key)) {
            Entry::Vacant(vacant) => {
                vacant.insert((*lsn, write.value.map(Box::from)));
            }
            Entry::Occupied(mut newest) => {
                let (before, value) = newest.insert((*lsn, write.value.map(Box::from)));
                if keeps_past {
                    let key = newest.key().1.clone();
                    self.older.push(Written { space, key, lsn: before, value });
                }
            }
        }
    }

    /// Takes out the keys that were written more than once: all that was written under each of them, the oldest first.
    fn take_chains(&mut self) -> Vec<Written> {
        let mut chains = std::mem::take(&mut self.older);
        for at in 0..chains.len() {
            let (space, key) = (chains[at].space, chains[at].key.clone());
            if let Some((key, (lsn, value))) = self.newest.remove_entry(&(space, key)) {
                chains.push(Written { space, key: key.1, lsn, value });
            }
        }
        chains.sort_unstable();
        chains.dedup_by(|a, b| (a.space, &a.key, a.lsn) == (b.space, &b.key, b.lsn));
        chains
    }
}

struct Replay<'a> {
    segments: &'a Segments,
    shards: Vec<Shard>,
    hasher: foldhash::fast::RandomState,
    streams: Streams<'a>,
    writes: u64,
    /// What the log says of times, if the past is kept.
    marks: Option<Vec<Mark>>,
}

/// So many entries of the log make one run of a keyspace.
const RUN_ENTRIES: usize = 4096;

/// A write on its way to a shard.
struct Dealt<'a> {
    lsn: Lsn,
    write: Write<'a>,
}

/// A store as it was found.
pub(super) struct Recovered {
    pub(super) store: Store,
    pub(super) log: Log,
    pub(super) kept: Kept,
    pub(super) past: Past,
    pub(super) recovery: Recovery,
}

/// What was read of a store, which is as it was.
struct Found {
    store: Store,
    log_end: Arc<LogEnd>,
    end: End,
    pages: Pages,
    used: PageSet,
    anchors: Vec<Anchor>,
    marks: Option<Vec<Mark>>,
    /// What the last mark said.
    time: Option<Millis>,
    writes: u64,
    /// Keys that are there in the past alone.
    deleted: u64,
}

/// Opens the store whose files are in `dir`: loads the checkpoint, replays the log, cuts what was in flight, and goes on with a new session.
pub(super) fn recover(
    device: &Arc<dyn Device>,
    mut files: Files,
    dir: &Path,
    config: &Config,
) -> Result<Recovered, OpenError> {
    let started = Instant::now();
    let mut lost_history = None;
    let found = match read(device, &files, dir, config) {
        Err(error) if !files.anchors.is_empty() => {
            lost_history = Some(error.to_string());
            files.anchors.clear();
            read(device, &files, dir, config)
        }
        read => read,
    };
    let Found { store, log_end, end, pages, used, anchors, marks, time, writes, deleted } = found?;
    let oldest = if files.retention.is_nothing() { end.lsn } else { position_of(files.origin()) };
    store.begin_history(oldest);
    let Files { manifest, segments, .. } = &files;
    log::settle(segments, end.durable, end.lsn, end.cut_bytes)?;
    let session = Session::begin(end.session, segments.keys().is_some())?;
    let time = time.max(manifest.as_ref().map(|manifest| manifest.time)).unwrap_or(0);
    let times = Marks::after(time, config.clock);
    let (sessions, ring_bytes) = ((end.session, session), config.ring_bytes as usize);
    let log = Log::start(Arc::clone(segments), log_end, sessions, times, ring_bytes)?;
    let recovery = Recovery {
        checkpoint: position_of(manifest),
        pages: used.count(),
        entries: manifest.as_ref().map_or(0, Manifest::entries),
        oldest,
        lost_history,
        frames: end.frames,
        writes,
        keys: store.record_count() as u64 - deleted,
        end: end.lsn,
        cut_bytes: end.cut_bytes,
        closed: end.closed,
        time: started.elapsed(),
    };
    let rotation = segments.keys().and_then(|keys| Rotation::unfinished(keys, end.lsn));
    let past = Past { opened_at: end.lsn, marks };
    let kept = Kept::new(pages, (used, files.manifest), anchors, rotation);
    Ok(Recovered { store, log, kept, past, recovery })
}

fn read(device: &Arc<dyn Device>, files: &Files, dir: &Path, config: &Config) -> Result<Found, OpenError> {
    let mut replay = Replay::new(files);
    let (mut end, behind) = read_log(files, dir, &mut |frames| replay.apply(frames))?;
    let log_end = Arc::new(LogEnd::new(end.lsn));
    let store = Store::new(Arc::clone(&log_end), files.retention.bytes);
    // The one waits for the disk, the other builds.
    let (cut_bytes, loaded) =
        rayon::join(|| behind.cut_bytes(), || load(device, files, config, (&store, &replay)));
    end.cut_bytes = cut_bytes?;
    let Loaded { pages, used, anchors, before_log } = loaded?;
    for written in before_log {
        let shard = replay.shard_of(written.space, &written.key);
        replay.shards[shard].older.push(written);
    }
    let (time, writes, marks) = (replay.streams.time(), replay.writes, replay.marks);
    let trees = files.manifest.as_ref().map_or(&[][..], |manifest| &manifest.trees);
    let deleted = install(replay.shards, trees, &store);
    Ok(Found { store, log_end, end, pages, used, anchors, marks, time, writes, deleted })
}

/// What was loaded from pages.
struct Loaded {
    pages: Pages,
    /// Those of the last checkpoint.
    used: PageSet,
    anchors: Vec<Anchor>,
    /// What was there, at the first anchor, under keys that the log says something of.
    before_log: Vec<Written>,
}

/// Loads the checkpoint, but for what the log overrides.
fn load(
    device: &Arc<dyn Device>,
    files: &Files,
    config: &Config,
    (store, replay): (&Store, &Replay<'_>),
) -> Result<Loaded, CheckpointError> {
    let Files { binding, manifest, .. } = files;
    let Some(manifest) = manifest else {
        make_room(store, &[], 0, &replay.shards);
        let extent_pages = config.extent_bytes / PAGE_BYTES as u64;
        let pages = Pages::open(Arc::clone(device), binding.clone(), extent_pages, 0)?;
        let used = PageSet::default();
        return Ok(Loaded { pages, used, anchors: Vec::new(), before_log: Vec::new() });
    };
    let origins = || files.anchors.iter().flatten();
    let extents = origins().fold(manifest.extents, |extents, origin| extents.max(origin.extents));
    let pages = Pages::open(Arc::clone(device), binding.clone(), manifest.extent_pages, extents)?;
    make_room(store, &manifest.trees, pages.entries_max(), &replay.shards);
    let loading: HashMap<u32, Loading<'_>> =
        manifest.trees.iter().map(|tree| (tree.space, store.space(tree.space).load())).collect();
    let (since, before_log) = (position_of(files.origin()), Mutex::new(Vec::new()));
    let keep = |space: u32, entry: &walk::Entry<'_>| {
        let (key, value) = (Key::from(entry.key), Some(Box::from(entry.value)));
        lock(&before_log).push(Written { space, key, lsn: entry.lsn, value });
    };
    let keeps_past = replay.keeps_past();
    let used = loader::load(&pages, manifest, |space, number| {
        let (mut run, keep) = (loading[&space].run(number), &keep);
        move |entry| {
            if !replay.overrides(space, entry.key) {
                run.push(entry.key, entry.lsn, entry.value);
            } else if keeps_past && entry.lsn < since {
                keep(space, &entry);
            }
        }
    })?;
    if let Some(Some(first)) = files.anchors.first() {
        loader::load_apart(&pages, first, &used, |space, _| {
            let keep = &keep;
            move |entry| {
                if replay.overrides(space, entry.key) {
                    keep(space, &entry);
                }
            }
        })?;
    }
    let anchor = |origin: &Origin| {
        let used =
            origin.as_ref().map_or(Ok(PageSet::default()), |manifest| free_map::used(&pages, manifest));
        Ok::<_, CheckpointError>(Anchor { origin: origin.clone(), used: used? })
    };
    let anchors = files.anchors.iter().map(anchor).collect::<Result<_, _>>()?;
    Ok(Loaded {
        pages,
        used,
        anchors,
        before_log: before_log.into_inner().unwrap_or_else(PoisonError::into_inner),
    })
}

/// Makes each keyspace with room for what is coming, as far as the pages can hold it: a directory that grows while it is filled is filled twice.
fn make_room(store: &Store, trees: &[Tree], entries_max: u64, shards: &[Shard]) {
    let mut coming: HashMap<u32, u64> =
        trees.iter().map(|tree| (tree.space, tree.entries.min(entries_max))).collect();
    for (space, _) in shards.iter().flat_map(|shard| shard.newest.keys()) {
        *coming.entry(*space).or_default() += 1;
    }
    for (space, records) in coming {
        store.space_with_room(space, records as usize);
    }
}

impl<'a> Replay<'a> {
    fn new(files: &'a Files) -> Replay<'a> {
        let (start, position) = (start_of(files.origin()), position_of(files.origin()));
        let shard_count = rayon::current_num_threads() * 4;
        Replay {
            segments: &files.segments,
            shards: (0..shard_count).map(|_| Shard::default()).collect(),
            hasher: foldhash::fast::RandomState::default(),
            streams: Streams::new(&files.segments, start, position),
            writes: 0,
            marks: (!files.retention.is_nothing()).then(Vec::new),
        }
    }

    fn keeps_past(&self) -> bool {
        self.marks.is_some()
    }
}

impl Replay<'_> {
    fn apply(&mut self, frames: &Frames<'_>) -> Result<(), LogError> {
        let streams = self.streams.read(frames)?;
        self.marks.iter_mut().for_each(|marks| history::add_marks(frames, marks));
        let dealt: Result<Vec<Vec<Vec<Dealt<'_>>>>, LogError> =
            streams.par_chunks(64).map(|streams| self.deal(streams)).collect();
        let dealt = dealt?;
        self.writes += dealt.iter().flatten().map(|writes| writes.len() as u64).sum::<u64>();
        let keeps_past = self.keeps_past();
        self.shards.par_iter_mut().enumerate().for_each(|(index, shard)| {
            for writes in &dealt {
                writes[index].iter().for_each(|dealt| shard.keep(dealt, keeps_past));
            }
        });
        Ok(())
    }

    fn deal<'s>(&self, streams: &'s [(Lsn, Stream<'_>)]) -> Result<Vec<Vec<Dealt<'s>>>, LogError> {
        let mut dealt: Vec<Vec<Dealt<'s>>> = self.shards.iter().map(|_| Vec::new()).collect();
        for (lsn, stream) in streams {
            streams::decode(self.segments, *lsn, stream, |write| {
                dealt[self.shard_of(write.space, write.key)].push(Dealt { lsn: *lsn, write });
            })?;
        }
        Ok(dealt)
    }

    fn shard_of(&self, space: u32, key: &[u8]) -> usize {
        self.hasher.hash_one((space, key)) as usize % self.shards.len()
    }

    /// Whether the log says what is under a key, whatever the checkpoint says.
    fn overrides(&self, space: u32, key: &[u8]) -> bool {
        self.writes > 0
            && self.shards[self.shard_of(space, key)].newest.contains_key(&(space, Key::from(key)))
    }
}

/// Puts what the log says into the records. A keyspace that the checkpoint did not fill is filled by this. Returns how many keys are there that were deleted.
fn install(mut shards: Vec<Shard>, loaded: &[Tree], store: &Store) -> u64 {
    let chains: Vec<Vec<Written>> = shards.par_iter_mut().map(Shard::take_chains).collect();
    let mut entries: Vec<_> = shards
        .into_par_iter()
        .flat_map_iter(|shard| {
            shard.newest.into_iter().filter_map(|(key, (lsn, value))| value.map(|value| (key, lsn, value)))
        })
        .collect();
    entries.par_sort_unstable_by(|(a, ..), (b, ..)| a.cmp(b));
    for of_space in entries.chunk_by(|((a, _), ..), ((b, _), ..)| a == b) {
        let id = of_space[0].0.0;
        let space = store.space(id);
        if loaded.iter().any(|tree| tree.space == id) {
            of_space.par_iter().for_each(|((_, key), lsn, value)| space.recover(key, *lsn, Some(value)));
            continue;
        }
        let loading = space.load();
        of_space.par_chunks(RUN_ENTRIES).enumerate().for_each(|(number, entries)| {
            let mut run = loading.run(number);
            entries.iter().for_each(|((_, key), lsn, value)| run.push(key, *lsn, value));
        });
    }
    chains.par_iter().map(|chains| install_chains(chains, store)).sum()
}

/// The same of keys with all that was written under them.
fn install_chains(chains: &[Written], store: &Store) -> u64 {
    let mut deleted = 0;
    for of_space in chains.chunk_by(|a, b| a.space == b.space) {
        let space = store.space(of_space[0].space);
        for written in of_space {
            space.recover(&written.key, written.lsn, written.value.as_deref());
        }
        let keys = of_space.chunk_by(|a, b| a.key == b.key);
        deleted +=
            keys.filter(|chain| chain.last().is_some_and(|newest| newest.value.is_none())).count() as u64;
    }
    deleted
}
