//! Loads the checkpoint and replays the log behind it: entries and frames become versions, in parallel by key.
//!
//! The newest write of each key is all that counts: nobody has a snapshot of a store that is being opened. So each batch of frames is decoded in
//! parallel, its writes are dealt out by key to shards, each shard keeps the newest write per key, and in the end the shards put what
//! they have into the records, after what the checkpoint has under other keys.

use super::checkpointer::Kept;
use super::config::Config;
use super::error::OpenError;
use super::open::{Files, read_log};
use super::rotation::Rotation;
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::loader;
use crate::checkpoint::manifest::Manifest;
use crate::checkpoint::pages::Pages;
use crate::checkpoint::tree::Tree;
use crate::checkpoint::{PAGE_BYTES, PageSet};
use crate::io::Device;
use crate::log::batch::Write;
use crate::log::clock::Marks;
use crate::log::reader::{Frames, LogError, Start};
use crate::log::seal::Session;
use crate::log::segment::Segments;
use crate::log::streams::{self, Stream, Streams};
use crate::log::{self, Log};
use crate::lsn::{LogEnd, Lsn};
use crate::map::Key;
use crate::mvcc::store::{Loading, Store};
use crate::sync::Arc;
use rayon::prelude::*;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::path::Path;
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

/// The newest write of each key, as far as the log has been read: its position, and the value unless it deletes.
type Shard = HashMap<(u32, Key), (Lsn, Option<Box<[u8]>>), foldhash::fast::RandomState>;

struct Replay<'a> {
    segments: &'a Segments,
    shards: Vec<Shard>,
    hasher: foldhash::fast::RandomState,
    streams: Streams<'a>,
    writes: u64,
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
    pub(super) recovery: Recovery,
}

/// Opens the store whose files are in `dir`: loads the checkpoint, replays the log, cuts what was in flight, and goes on with a new session.
pub(super) fn recover(
    device: &Arc<dyn Device>,
    files: Files,
    dir: &Path,
    config: &Config,
) -> Result<Recovered, OpenError> {
    let started = Instant::now();
    let mut replay = Replay::new(&files.segments, files.log_start(), files.manifest.as_ref());
    let (mut end, behind) = read_log(&files, dir, &mut |frames| replay.apply(frames))?;
    let Files { manifest, segments, .. } = &files;
    let log_end = Arc::new(LogEnd::new(end.lsn));
    let store = Store::new(Arc::clone(&log_end), config.retention.bytes);
    // The one waits for the disk, the other builds.
    let (cut_bytes, loaded) =
        rayon::join(|| behind.cut_bytes(), || load(device, &files, config, (&store, &replay)));
    end.cut_bytes = cut_bytes?;
    let (pages, used) = loaded?;
    let (shards, writes) = (replay.shards, replay.writes);
    install(shards, manifest.as_ref().map_or(&[], |manifest| &manifest.trees), &store);
    log::settle(segments, end.durable, end.lsn, end.cut_bytes)?;
    let session = Session::begin(end.session, segments.keys().is_some())?;
    let time = replay.streams.time().max(manifest.as_ref().map(|manifest| manifest.time)).unwrap_or(0);
    let marks = Marks::after(time, config.clock);
    let (sessions, ring_bytes) = ((end.session, session), config.ring_bytes as usize);
    let log = Log::start(Arc::clone(segments), log_end, sessions, marks, ring_bytes)?;
    let recovery = Recovery {
        checkpoint: manifest.as_ref().map_or(Lsn::ZERO, |manifest| manifest.position),
        pages: used.count(),
        entries: manifest.as_ref().map_or(0, Manifest::entries),
        frames: end.frames,
        writes,
        keys: store.record_count() as u64,
        end: end.lsn,
        cut_bytes: end.cut_bytes,
        closed: end.closed,
        time: started.elapsed(),
    };
    let rotation = segments.keys().and_then(|keys| Rotation::unfinished(keys, end.lsn));
    let kept = Kept::new(pages, used, files.manifest, rotation);
    Ok(Recovered { store, log, kept, recovery })
}

/// Loads the checkpoint, but for what the log overrides: its pages, and which of them are in use.
fn load(
    device: &Arc<dyn Device>,
    Files { binding, manifest, .. }: &Files,
    config: &Config,
    (store, replay): (&Store, &Replay<'_>),
) -> Result<(Pages, PageSet), CheckpointError> {
    let Some(manifest) = manifest else {
        make_room(store, &[], 0, &replay.shards);
        let extent_pages = config.extent_bytes / PAGE_BYTES as u64;
        let pages = Pages::open(Arc::clone(device), binding.clone(), extent_pages, 0)?;
        return Ok((pages, PageSet::default()));
    };
    let pages = loader::open(device, binding, manifest)?;
    make_room(store, &manifest.trees, pages.entries_max(), &replay.shards);
    let loading: HashMap<u32, Loading<'_>> =
        manifest.trees.iter().map(|tree| (tree.space, store.space(tree.space).load())).collect();
    let used = loader::load(&pages, manifest, |space, number| {
        let mut run = loading[&space].run(number);
        move |entry| {
            if !replay.overrides(space, entry.key) {
                run.push(entry.key, entry.lsn, entry.value);
            }
        }
    })?;
    Ok((pages, used))
}

/// Makes each keyspace with room for what is coming, as far as the pages can hold it: a directory that grows while it is filled is filled twice.
fn make_room(store: &Store, trees: &[Tree], entries_max: u64, shards: &[Shard]) {
    let mut coming: HashMap<u32, u64> =
        trees.iter().map(|tree| (tree.space, tree.entries.min(entries_max))).collect();
    for (space, _) in shards.iter().flat_map(HashMap::keys) {
        *coming.entry(*space).or_default() += 1;
    }
    for (space, records) in coming {
        store.space_with_room(space, records as usize);
    }
}

impl<'a> Replay<'a> {
    fn new(segments: &'a Segments, start: Start, manifest: Option<&Manifest>) -> Replay<'a> {
        let position = manifest.map_or(Lsn::ZERO, |manifest| manifest.position);
        let shard_count = rayon::current_num_threads() * 4;
        Replay {
            segments,
            shards: (0..shard_count).map(|_| Shard::default()).collect(),
            hasher: foldhash::fast::RandomState::default(),
            streams: Streams::new(segments, start, position),
            writes: 0,
        }
    }
}

impl Replay<'_> {
    fn apply(&mut self, frames: &Frames<'_>) -> Result<(), LogError> {
        let streams = self.streams.read(frames)?;
        let dealt: Result<Vec<Vec<Vec<Dealt<'_>>>>, LogError> =
            streams.par_chunks(64).map(|streams| self.deal(streams)).collect();
        let dealt = dealt?;
        self.writes += dealt.iter().flatten().map(|writes| writes.len() as u64).sum::<u64>();
        self.shards.par_iter_mut().enumerate().for_each(|(index, shard)| {
            for writes in &dealt {
                writes[index].iter().for_each(|dealt| keep_newest(shard, dealt));
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
        self.writes > 0 && self.shards[self.shard_of(space, key)].contains_key(&(space, Key::from(key)))
    }
}

fn keep_newest(shard: &mut Shard, Dealt { lsn, write }: &Dealt<'_>) {
    // The log is read in the order of commits: the later write is the newer one.
    shard.insert((write.space, Key::from(write.key)), (*lsn, write.value.map(Box::from)));
}

/// Puts what the log says into the records. A keyspace that the checkpoint did not fill is filled by this.
fn install(shards: Vec<Shard>, loaded: &[Tree], store: &Store) {
    let mut entries: Vec<_> = shards
        .into_par_iter()
        .flat_map_iter(|shard| {
            shard.into_iter().filter_map(|(key, (lsn, value))| value.map(|value| (key, lsn, value)))
        })
        .collect();
    entries.par_sort_unstable_by(|(a, ..), (b, ..)| a.cmp(b));
    for of_space in entries.chunk_by(|((a, _), ..), ((b, _), ..)| a == b) {
        let id = of_space[0].0.0;
        let space = store.space(id);
        if loaded.iter().any(|tree| tree.space == id) {
            of_space.par_iter().for_each(|((_, key), lsn, value)| space.recover(key, *lsn, value));
            continue;
        }
        let loading = space.load();
        of_space.par_chunks(RUN_ENTRIES).enumerate().for_each(|(number, entries)| {
            let mut run = loading.run(number);
            entries.iter().for_each(|((_, key), lsn, value)| run.push(key, *lsn, value));
        });
    }
}
