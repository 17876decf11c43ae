//! The commits of a log that is being written.
//!
//! Only what is durable is read: what a feed has said lasts. What nobody waits for is flushed for the feed's sake.

use super::{FeedError, From, Place, Reading, Source};
use crate::engine::Engine;
use crate::log::reader::{self, LogError, Start};
use crate::log::streams::{SoFar, Stream, Streams};
use crate::log::{Log, Urgency};
use crate::lsn::Lsn;
use crate::mvcc::snapshot::Snapshot;
use std::collections::VecDeque;
use std::task::Waker;

/// See the module.
pub(super) struct FromLog {
    /// Where the commits that are ready were read from.
    read_from: Reading,
    next: Start,
    /// None after a failure.
    so_far: Option<SoFar>,
    ready: VecDeque<(Lsn, Vec<u8>)>,
    from: Lsn,
}

impl FromLog {
    /// With a snapshot that is not older than where it begins, and right there if that is now.
    pub(super) fn open(engine: &Engine, log: &Log, from: From) -> Result<(Snapshot, Source), FeedError> {
        let (snapshot, start, from) = match from {
            From::Now => {
                let (snapshot, start) = now(engine, log);
                let from = snapshot.position();
                (snapshot, start, from)
            }
            From::Position(from) => (engine.store().snapshot(), start_before(engine, log, from)?, from),
            From::Place(place) => (engine.store().snapshot(), start_of(engine, log, place)?, place.at),
        };
        let read_from = Reading { start, first_chunk: None };
        let (so_far, ready) = (Some(SoFar::nothing(start, from)), VecDeque::new());
        Ok((snapshot, Source::Log(FromLog { read_from, next: start, so_far, ready, from })))
    }

    /// The next commit, if one is durable.
    pub(super) fn next(&mut self, engine: &Engine) -> Result<Option<(Lsn, Vec<u8>)>, FeedError> {
        let log = log_of(engine);
        while self.ready.is_empty() {
            if self.next.lsn >= log.durable() {
                log.check()?;
                return Ok(None);
            }
            self.read(engine, log)?;
        }
        Ok(self.ready.pop_front())
    }

    fn read(&mut self, engine: &Engine, log: &Log) -> Result<(), FeedError> {
        let segments = log.segments();
        let too_late = || gone(engine, log, self.next.lsn, self.from);
        let so_far = self.so_far.take().ok_or_else(&too_late)?;
        self.read_from = Reading { start: self.next, first_chunk: so_far.first_chunk() };
        let (mut streams, ready, mut cut_off) = (Streams::resume(segments, so_far), &mut self.ready, None);
        let read = reader::read_some(segments, self.next, log.durable(), &mut |frames| {
            for (lsn, stream) in streams.read_each(frames) {
                match stream {
                    Ok(Stream::Whole(writes)) => ready.push_back((lsn, writes.to_vec())),
                    Ok(Stream::Joined(writes)) => ready.push_back((lsn, writes)),
                    // Behind the last checkpoint everything is there that belongs to a commit.
                    Err(LogError::Senseless { .. }) if Some(lsn) < engine.checkpoint_position() => {
                        cut_off = Some(lsn);
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        });
        if let Some(lsn) = cut_off {
            return Err(gone(engine, log, lsn, lsn));
        }
        match read {
            Ok(next) => {
                (self.next, self.so_far) = (next, Some(streams.suspend()));
                Ok(())
            }
            // What checkpoints give up may be written over while it is read.
            Err(error) => Err(if is_gone(log, self.next.lsn) { too_late() } else { error.into() }),
        }
    }

    /// Where to read from for the last commit that was handed out.
    pub(super) fn reading(&self) -> Reading {
        self.read_from
    }

    /// Where to read from for what comes behind it.
    pub(super) fn reading_on(&self) -> Reading {
        let first_chunk = self.so_far.as_ref().and_then(SoFar::first_chunk);
        if self.ready.is_empty() { Reading { start: self.next, first_chunk } } else { self.read_from }
    }

    /// Everything below was handed out.
    pub(super) fn behind(&self) -> Lsn {
        self.ready.front().map_or(self.next.lsn.max(self.from), |(lsn, _)| *lsn)
    }

    pub(super) fn wait(&self, engine: &Engine, waker: &Waker) -> Result<bool, FeedError> {
        let log = log_of(engine);
        if !self.ready.is_empty() || log.poll_durable(self.next.lsn.plus(Lsn::ALIGN), waker) {
            return Ok(true);
        }
        if log.end() > log.durable() {
            log.flush_in_time(log.end(), Urgency::Soon)?;
        }
        Ok(false)
    }
}

fn log_of(engine: &Engine) -> &Log {
    engine.log().expect("a feed of a log has one")
}

/// A snapshot, and where the log must be read from for everything that is committed behind it.
fn now(engine: &Engine, log: &Log) -> (Snapshot, Start) {
    let unfinished = log.unfinished();
    loop {
        let over = unfinished.over();
        let snapshot = engine.store().snapshot();
        if let Some(lsn) = unfinished.needed_from(snapshot.position(), over) {
            return (snapshot, Start { lsn, session: Some(log.session()) });
        }
        // More large transactions than can say where they began: one of them ends soon.
        crate::sync::thread::yield_now();
    }
}

/// The position from which on everything that was committed is in the log, and where to read it from. Reads what is kept of the log from before the last checkpoint.
fn kept(engine: &Engine, log: &Log) -> Result<(Lsn, Start), LogError> {
    let disk = engine.disk.as_ref().expect("only a store on a disk has a log");
    disk.checkpointer.with_kept(|_, kept| match log.first_frame()? {
        Some(first) if first.lsn < kept.start().lsn => Ok((first_whole(log, first, kept.position())?, first)),
        _ => Ok((kept.position(), kept.start())),
    })
}

/// The position behind the last commit, of those from `first` up to `limit`, that began in log which is gone.
fn first_whole(log: &Log, first: Start, limit: Lsn) -> Result<Lsn, LogError> {
    let (mut streams, mut whole_from) = (Streams::new(log.segments(), first, first.lsn), first.lsn);
    reader::read_until(log.segments(), first, limit, &mut |frames| {
        for (lsn, stream) in streams.read_each(frames) {
            match stream {
                Ok(_) => {}
                Err(LogError::Senseless { .. }) => whole_from = lsn.plus(Lsn::ALIGN),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    })?;
    Ok(whole_from)
}

/// From where to read for everything that was committed at or above a position.
fn start_before(engine: &Engine, log: &Log, from: Lsn) -> Result<Start, FeedError> {
    let (position, start) = kept(engine, log)?;
    if from < position {
        return Err(FeedError::Gone { position: from, oldest: position });
    }
    Ok(start)
}

fn start_of(engine: &Engine, log: &Log, place: Place) -> Result<Start, FeedError> {
    let Some(reading) = place.reading else { return start_before(engine, log, place.at) };
    // A transaction that never committed may have left chunks, of which nothing is missed.
    let start = reading.start;
    let with_chunks = reading.first_chunk.map_or(start.lsn, |first| first.min(start.lsn));
    let there = [with_chunks, start.lsn].into_iter().find(|lsn| !is_gone(log, *lsn));
    match there {
        Some(lsn) => Ok(Start { lsn, ..start }),
        // It was read together with what came before, and is there perhaps.
        None => start_before(engine, log, place.at),
    }
}

/// Whether a place lies before the first segment that is there.
fn is_gone(log: &Log, lsn: Lsn) -> bool {
    lsn < log.segments().oldest()
}

fn gone(engine: &Engine, log: &Log, lsn: Lsn, from: Lsn) -> FeedError {
    match kept(engine, log) {
        Ok((oldest, _)) => FeedError::Gone { position: lsn.max(from).min(log.end()), oldest },
        Err(error) => error.into(),
    }
}
