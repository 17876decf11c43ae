//! A log of a few frames over a sink in memory, for the models of group commit.

use crate::io::{IoError, IoOperation};
use crate::log::frame::{HEADER_BYTES, Header, Kind, SessionNumber};
use crate::log::group_commit::{GroupCommit, LogSink};
use crate::log::ring::Ring;
use crate::lsn::{LogEnd, Lsn};
use crate::sync::Arc;
use crate::sync::atomic::{AtomicU64, Ordering};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

/// Remembers up to where it was written, or fails. Relaxed throughout: it is the log that has to order.
pub(super) struct Sink {
    written_to: Arc<AtomicU64>,
    /// How many writes succeed; all from then on fail.
    writes_left: usize,
}

impl LogSink for Sink {
    fn write_durable(&mut self, from: Lsn, pieces: &[&[u8]]) -> Result<(), IoError> {
        if self.writes_left == 0 {
            return Err(IoError::new(IoOperation::Write, Path::new("log"), std::io::Error::other("planted")));
        }
        self.writes_left -= 1;
        assert!(from.get() <= self.written_to.load(Ordering::Relaxed), "a gap in what is written");
        let len: usize = pieces.iter().map(|piece| piece.len()).sum();
        // The last block is padded: what counts is that nothing before is missing.
        self.written_to.store(from.get() + len as u64, Ordering::Relaxed);
        Ok(())
    }
}

pub(super) struct Log {
    pub(super) end: LogEnd,
    pub(super) group: GroupCommit<Sink>,
    written_to: Arc<AtomicU64>,
    /// Where the frames begin that are published, or just about to be. Book-keeping, unseen by the checker.
    published: Mutex<BTreeSet<Lsn>>,
}

pub(super) const FRAME_BYTES: u64 = HEADER_BYTES as u64;

/// A log whose ring holds this many frames, and whose sink fails after this many writes.
pub(super) fn log(frames_in_ring: usize, writes: usize) -> Arc<Log> {
    let written_to = Arc::new(AtomicU64::new(0));
    let sink = Sink { written_to: written_to.clone(), writes_left: writes };
    let ring = Ring::new(frames_in_ring * HEADER_BYTES, Lsn::ZERO, &[]);
    let group = GroupCommit::new(ring, Lsn::ZERO, sink);
    Arc::new(Log { end: LogEnd::new(Lsn::ZERO), group, written_to, published: Mutex::default() })
}

impl Log {
    /// Reserves, waits for room, publishes; returns the frame's end.
    pub(super) fn publish(&self) -> Result<Lsn, IoError> {
        let lsn = self.end.reserve(FRAME_BYTES);
        let end = lsn.plus(FRAME_BYTES);
        if !self.group.ring().has_room(end) {
            self.group.wait_room(end)?;
        }
        let header = Header {
            kind: Kind::Void,
            generation: None,
            session: SessionNumber(1),
            lsn,
            bytes: FRAME_BYTES as u32,
            durable: Lsn::ZERO,
            payload_bytes: 0,
        };
        self.published.lock().unwrap().insert(lsn);
        // SAFETY: reserved for this frame alone, with room, published once.
        unsafe { self.group.ring().publish(lsn, &header.encode(0), &[]) };
        Ok(end)
    }

    /// Publishes, and waits until that is durable.
    pub(super) fn commit(&self) -> Result<(), IoError> {
        let end = self.publish()?;
        self.group.wait_durable(end)?;
        assert!(self.group.durable() >= end, "acknowledged before it was durable");
        self.check_written(end);
        self.check_durable();
        Ok(())
    }

    /// Fails the model if a frame counts as durable that is not published.
    pub(super) fn check_durable(&self) {
        let durable = self.group.durable();
        let published = self.published.lock().unwrap().range(..durable).count();
        assert_eq!(published as u64 * FRAME_BYTES, durable.get(), "durable and not published");
    }

    /// Fails the model if what is acknowledged up to `end` is not written.
    pub(super) fn check_written(&self, end: Lsn) {
        assert!(self.written_to.load(Ordering::Relaxed) >= end.get(), "acknowledged before it was written");
    }
}
