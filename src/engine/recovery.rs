//! Replays the log: frames become versions, in parallel by key.
//!
//! The newest write of each key is all that counts: nobody has a snapshot of a store that is being opened. So each batch of frames is decoded in
//! parallel, its writes are dealt out by key to shards, each shard keeps the newest write per key, and in the end the shards put what
//! they have into the records.

use super::error::OpenError;
use super::open::read_log;
use crate::log::batch::Write;
use crate::log::frame::Session;
use crate::log::reader::{End, Frames, LogError};
use crate::log::segment::Segments;
use crate::log::streams::{self, Stream, Streams};
use crate::log::{self, Log};
use crate::lsn::Lsn;
use crate::map::Key;
use crate::mvcc::store::Store;
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
    /// Frames that were read.
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

/// A write on its way to a shard.
struct Dealt<'a> {
    lsn: Lsn,
    write: Write<'a>,
}

/// Opens the log of `segments`, the files in `dir`: replays it, cuts what was in flight, and goes on with a new session.
pub(super) fn recover(
    segments: Arc<Segments>,
    dir: &Path,
    ring_bytes: usize,
    retained_bytes: u64,
) -> Result<(Store, Log, Recovery), OpenError> {
    let started = Instant::now();
    let shard_count = rayon::current_num_threads() * 4;
    let mut replay = Replay {
        segments: &segments,
        shards: (0..shard_count).map(|_| Shard::default()).collect(),
        hasher: foldhash::fast::RandomState::default(),
        streams: Streams::new(&segments),
        writes: 0,
    };
    let end = read_log(&segments, dir, &mut |frames| replay.apply(frames))?;
    let (shards, writes) = (replay.shards, replay.writes);
    log::settle(&segments, end.durable, end.lsn, end.cut_bytes)?;
    let log = Log::start(Arc::clone(&segments), end.lsn, next_session(&end), ring_bytes)?;
    let store = Store::new(Arc::clone(log.end()), retained_bytes);
    let keys = shards.into_par_iter().map(|shard| install(shard, &store)).sum();
    let recovery = Recovery {
        frames: end.frames,
        writes,
        keys,
        end: end.lsn,
        cut_bytes: end.cut_bytes,
        closed: end.closed,
        time: started.elapsed(),
    };
    Ok((store, log, recovery))
}

fn next_session(end: &End) -> Session {
    end.session.map_or(Session(1), Session::next)
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
                let shard = self.hasher.hash_one((write.space, write.key)) as usize % dealt.len();
                dealt[shard].push(Dealt { lsn: *lsn, write });
            })?;
        }
        Ok(dealt)
    }
}

fn keep_newest(shard: &mut Shard, Dealt { lsn, write }: &Dealt<'_>) {
    // The log is read in the order of commits: the later write is the newer one.
    shard.insert((write.space, Key::from(write.key)), (*lsn, write.value.map(Box::from)));
}

/// In the order of keys, which a skiplist takes several times faster than any other. Returns how many there are.
fn install(shard: Shard, store: &Store) -> u64 {
    let mut entries: Vec<_> =
        shard.into_iter().filter_map(|(key, (lsn, value))| value.map(|value| (key, lsn, value))).collect();
    entries.par_sort_unstable_by(|(a, ..), (b, ..)| a.cmp(b));
    for run in entries.chunk_by(|((a, _), ..), ((b, _), ..)| a == b) {
        let space = store.space(run[0].0.0);
        for ((_, key), lsn, value) in run {
            space.recover(key, *lsn, value);
        }
    }
    entries.len() as u64
}
