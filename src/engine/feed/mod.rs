//! What is committed, in the order of commits, from a position on.
//!
//! A store on a disk has it in its log: what is durable is read back, as a checkpoint reads it. So a feed costs commits nothing, holds nobody up however slow
//! it is, and goes on after the store was opened again. What checkpoints gave up of the log is gone. A store in memory keeps entries for whoever asks
//! (`mvcc::changes`).
//!
//! - `from_log`: commits of a log. `images`: what was there before each of them.

mod from_log;
mod images;

use super::Engine;
use crate::io::IoError;
use crate::log::batch::decode_writes;
use crate::log::reader::{LogError, Start};
use crate::lsn::Lsn;
use crate::mvcc::changes::Next;
use crate::mvcc::snapshot::Snapshot;
use crate::mvcc::store::Store;
use crate::sync::wakers::Sleeper;
use from_log::FromLog;
use images::Images;
use std::task::Waker;

pub(crate) use images::Before;

/// Where a feed begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum From {
    Now,
    /// With the first commit at or above.
    Position(Lsn),
    Place(Place),
}

impl From {
    /// Below, nothing is told; none for now.
    pub(crate) fn at(&self) -> Option<Lsn> {
        match self {
            From::Now => None,
            From::Position(at) => Some(*at),
            From::Place(place) => Some(place.at),
        }
    }
}

/// A place to go on from, also after the store was opened again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// Commits below are over,
    pub(crate) at: Lsn,
    /// and of the one there so many writes.
    pub(crate) taken: u32,
    /// Where in the log to read from; none in memory.
    pub(crate) reading: Option<Reading>,
}

/// Where the log is read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reading {
    pub(crate) start: Start,
    /// Where the first chunk lies of a transaction that may commit behind that.
    pub(crate) first_chunk: Option<Lsn>,
}

/// Why a feed ends.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum FeedError {
    #[error("what was committed at {position} is gone; the oldest position that is left is {oldest}")]
    Gone { position: Lsn, oldest: Lsn },
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Io(#[from] IoError),
}

/// A write of a commit, with what it replaced.
pub(crate) struct Changed {
    /// Which of its commit's writes it is.
    pub(crate) index: u32,
    pub(crate) space: u32,
    pub(crate) key: Vec<u8>,
    pub(crate) before: Before,
    /// None deletes.
    pub(crate) after: Option<Vec<u8>>,
}

/// See the module.
pub(crate) struct Feed {
    source: Source,
    images: Images,
    /// Where the last commit was handed out, or the first will be at the earliest.
    at: Lsn,
    /// So many writes of the first commit, if it is at `at`, were taken before.
    skipped: u32,
}

enum Source {
    Log(FromLog),
    Memory {
        next: Lsn,
        /// Commits below are passed over.
        from: Lsn,
        sleeper: Sleeper,
    },
}

impl Feed {
    /// `seen` is what is seen where it begins, if somebody holds that.
    pub(crate) fn open(engine: &Engine, from: From, seen: Option<Snapshot>) -> Result<Feed, FeedError> {
        let (snapshot, source) = match engine.log() {
            Some(log) => FromLog::open(engine, log, from)?,
            None => open_memory(engine.store(), from.at())?,
        };
        let skipped = if let From::Place(place) = from { place.taken } else { 0 };
        let at = from.at().unwrap_or(snapshot.position());
        let images = Images::from(engine.store(), at, seen, snapshot);
        Ok(Feed { source, images, at, skipped })
    }

    /// As of where it begins; what is seen there comes before everything that the feed says.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        self.images.newest()
    }

    /// The next commit's writes of spaces that `wants` says; none if there is none yet.
    pub(crate) fn next(
        &mut self,
        engine: &Engine,
        mut wants: impl FnMut(u32) -> bool,
    ) -> Result<Option<(Lsn, Vec<Changed>)>, FeedError> {
        let Some((lsn, writes)) = self.next_commit(engine)? else { return Ok(None) };
        let skipped = if lsn == self.at { std::mem::take(&mut self.skipped) } else { 0 };
        self.at = lsn;
        self.images.move_to(engine.store(), lsn);
        let (mut changed, mut index) = (Vec::new(), 0);
        // It was committed, or read from a log that was checked.
        let _ = decode_writes(&writes, |write| {
            index += 1;
            if wants(write.space) {
                let after = write.value.map(<[u8]>::to_vec);
                let before = self.images.replace(engine.store(), (write.space, write.key), after.clone());
                let key = write.key.to_vec();
                changed.push(Changed { index, space: write.space, key, before, after });
            }
        });
        changed.retain(|changed| changed.index > skipped);
        Ok(Some((lsn, changed)))
    }

    fn next_commit(&mut self, engine: &Engine) -> Result<Option<(Lsn, Vec<u8>)>, FeedError> {
        let (next, from) = match &mut self.source {
            Source::Log(log) => return log.next(engine),
            Source::Memory { next, from, .. } => (next, *from),
        };
        loop {
            let at = *next;
            match engine.store().changes().next(at) {
                Next::NotYet => return Ok(None),
                Next::Gone(oldest) => return Err(FeedError::Gone { position: at, oldest }),
                Next::Void(end) => *next = end,
                Next::Commit(_, end) if at < from => *next = end,
                Next::Commit(writes, end) => {
                    *next = end;
                    return Ok(Some((at, writes.to_vec())));
                }
            }
        }
    }

    /// Where to go on from, with so many writes of the last commit taken; or behind it, if all are.
    pub(crate) fn place(&self, taken: Option<u32>) -> Place {
        match (&self.source, taken) {
            (Source::Memory { .. }, Some(taken)) => Place { at: self.at, taken, reading: None },
            (Source::Memory { next, from, .. }, None) => {
                Place { at: *next.max(from), taken: 0, reading: None }
            }
            (Source::Log(log), Some(taken)) => Place { at: self.at, taken, reading: Some(log.reading()) },
            (Source::Log(log), None) => Place { at: log.behind(), taken: 0, reading: Some(log.reading_on()) },
        }
    }

    /// Has `waker` woken when there is more; true if there may be already.
    pub(crate) fn wait(&mut self, engine: &Engine, waker: &Waker) -> Result<bool, FeedError> {
        match &mut self.source {
            Source::Log(log) => log.wait(engine, waker),
            Source::Memory { next, sleeper, .. } => {
                engine.store().changes().wait(sleeper, waker);
                Ok(!matches!(engine.store().changes().next(*next), Next::NotYet))
            }
        }
    }
}

/// With a snapshot that is not older than where it begins, and right there if that is now.
fn open_memory(store: &Store, at: Option<Lsn>) -> Result<(Snapshot, Source), FeedError> {
    let oldest = store.changes().keep(store.end());
    let snapshot = store.snapshot();
    let from = at.unwrap_or(snapshot.position());
    if from < oldest {
        return Err(FeedError::Gone { position: from, oldest });
    }
    let next = store.changes().beginning(from);
    Ok((snapshot, Source::Memory { next, from, sleeper: Sleeper::new() }))
}
