//! The log: durable order of commits.
//!
//! - `frame`, `chunks`, `batch`: what is written. `ring`: where committers put it, in parallel. `group_commit`: who writes it to disk.
//! - `segment`: the files. `reader`, `streams`: reading them back; `resume`: behind a damaged place too. `flusher`: who bounds the wait of those who do not wait.
//! - `unfinished`: which part of the log is needed by transactions that have not committed yet.
//!
//! A commit prepares its frame's payload and checksum first, takes its position, and publishes; so the time between position and
//! publishing, which holds up durable acknowledgements behind it, is one copy.

pub(crate) mod batch;
pub(crate) mod chunks;
mod flusher;
pub(crate) mod frame;
pub(crate) mod group_commit;
pub(crate) mod reader;
pub(crate) mod resume;
pub(crate) mod ring;
pub(crate) mod segment;
pub(crate) mod streams;
pub(crate) mod unfinished;

use crate::io::{AlignedBuf, BLOCK, IoError};
use crate::lsn::{LogEnd, Lsn};
use crate::sync::Arc;
use batch::Write;
use frame::{FRAME_BYTES_MAX, HEADER_BYTES, Header, Kind, Session, frame_bytes};
use group_commit::{GroupCommit, LogSink};
use ring::{Ring, block_floor};
use segment::{SegmentWriter, Segments};
use std::task::Waker;
use unfinished::{Announced, Unfinished};

pub(crate) use flusher::{Flusher, Urgency};

/// The log of an open store.
pub(crate) struct Log {
    end: Arc<LogEnd>,
    group: GroupCommit<SegmentWriter>,
    segments: Arc<Segments>,
    session: Session,
    flusher: Flusher,
    unfinished: Unfinished,
    /// A payload beyond this many bytes is cut into chunks. So a frame always fits the ring, beside the block that is written in part.
    chunk_bytes: usize,
}

/// No payload is longer, however large the ring.
const CHUNK_BYTES_MAX: usize = 1 << 20;
const _: () = assert!(frame_bytes(CHUNK_BYTES_MAX) <= FRAME_BYTES_MAX as u64);

/// A commit frame without its position.
pub(crate) struct Prepared<'l> {
    payload: Vec<u8>,
    crc: u32,
    /// That there are chunks of it in the log, which are needed until it is published.
    _chunks: Option<Announced<'l>>,
}

impl Prepared<'_> {
    /// What to reserve for it.
    pub(crate) fn bytes(&self) -> u64 {
        frame_bytes(self.payload.len())
    }
}

impl Log {
    /// Goes on at the log's end with a new session, whose first frame is durable on return.
    pub(crate) fn start(
        segments: Arc<Segments>,
        log_end: Arc<LogEnd>,
        session: Session,
        ring_bytes: usize,
    ) -> Result<Log, IoError> {
        let end = log_end.load();
        let partial = read_partial_block(&segments, end)?;
        let ring = Ring::new(ring_bytes, end, &partial);
        let log = Log {
            end: log_end,
            group: GroupCommit::new(ring, end, SegmentWriter::new(Arc::clone(&segments))),
            segments,
            session,
            flusher: Flusher::new(),
            unfinished: Unfinished::new(),
            chunk_bytes: (ring_bytes / 8).min(CHUNK_BYTES_MAX),
        };
        log.append(Kind::Open)?;
        Ok(log)
    }

    /// Everything below is on stable storage.
    pub(crate) fn durable(&self) -> Lsn {
        self.group.durable()
    }

    /// Fails with the first write or flush that failed, if one did: then nothing is written any more.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), IoError> {
        self.group.health().check()
    }

    /// Encodes a transaction's writes. What is too large for one frame goes into the log at once, as chunks that count for nothing
    /// until the commit frame names the last of them.
    pub(crate) fn prepare<'a>(
        &self,
        writes: impl Iterator<Item = Write<'a>>,
    ) -> Result<Prepared<'_>, IoError> {
        let mut announced = None;
        let mut payload = Vec::with_capacity(256);
        chunks::encode_link(None, &mut payload);
        for write in writes {
            batch::encode_write(write, &mut payload);
            if payload.len() > self.chunk_bytes {
                announced.get_or_insert_with(|| self.unfinished.announce(&self.end));
                let publish = |chunk: &[u8]| self.reserve_and_publish(Kind::Chunk, chunk);
                payload = chunks::cut(&payload, self.chunk_bytes, publish)?;
            }
        }
        Ok(Prepared { crc: crc32c::crc32c(&payload), payload, _chunks: announced })
    }

    /// Publishes a commit frame at the position that was reserved for it.
    pub(crate) fn publish(&self, lsn: Lsn, prepared: &Prepared<'_>) -> Result<(), IoError> {
        self.publish_frame(Kind::Commit, lsn, prepared.bytes(), &prepared.payload, prepared.crc)
    }

    /// Publishes that a reservation is not used.
    pub(crate) fn void(&self, lsn: Lsn, bytes: u64) -> Result<(), IoError> {
        self.publish_frame(Kind::Void, lsn, bytes, &[], crc32c::crc32c(&[]))
    }

    fn reserve_and_publish(&self, kind: Kind, payload: &[u8]) -> Result<Lsn, IoError> {
        let bytes = frame_bytes(payload.len());
        let lsn = self.end.reserve(bytes);
        self.publish_frame(kind, lsn, bytes, payload, crc32c::crc32c(payload))?;
        Ok(lsn)
    }

    #[inline]
    fn publish_frame(
        &self,
        kind: Kind,
        lsn: Lsn,
        bytes: u64,
        payload: &[u8],
        crc: u32,
    ) -> Result<(), IoError> {
        let end = lsn.plus(bytes);
        let ring = self.group.ring();
        if !ring.has_room(end) {
            self.group.wait_room(end)?;
        }
        let durable = self.durable();
        let header = Header {
            kind,
            session: self.session,
            lsn,
            bytes: u32::try_from(bytes).expect("frames are cut far below 4 GiB"),
            durable,
            payload_bytes: u32::try_from(payload.len()).expect("frames are cut far below 4 GiB"),
        };
        // SAFETY: the range was reserved for this frame alone, it has room, and this is the only publishing of it.
        unsafe { ring.publish(lsn, &header.encode(crc), payload) };
        if end.get() - durable.get() > ring.capacity() / 4 {
            // After a close it is left to whoever needs it flushed.
            let _ = self.flusher.request(Urgency::Now);
        }
        Ok(())
    }

    /// Returns once everything below `end` is on stable storage.
    pub(crate) fn wait_durable(&self, end: Lsn) -> Result<(), IoError> {
        self.group.wait_durable(end)
    }

    /// True if everything below `end` is durable or never will be; else `waker` is woken when that is so. Asks for no flush.
    pub(crate) fn poll_durable(&self, end: Lsn, waker: &Waker) -> bool {
        self.group.wake_when_durable(end, waker)
    }

    /// Sees to it that everything below `end`, which is published, becomes durable. Leaves it to the flusher; waits for it after a close.
    #[inline]
    pub(crate) fn flush_in_time(&self, end: Lsn, urgency: Urgency) -> Result<(), IoError> {
        if self.flusher.request(urgency) { Ok(()) } else { self.wait_durable(end) }
    }

    /// The flusher's thread: returns when the log is closed, and everything that it was asked for is durable.
    pub(crate) fn run_flusher(&self, interval: std::time::Duration) {
        loop {
            let goes_on = self.flusher.wait_for_request(interval);
            // A failure poisons the log, and everybody who waits is told by that.
            let flushed = self.wait_durable(self.end.load());
            if !goes_on {
                return;
            }
            if let Err(error) = flushed.and_then(|()| self.prepare_next_segment()) {
                self.group.fail(error);
                return self.flusher.wait_for_close();
            }
        }
    }

    /// Makes the next segment ready when the current one is half full, so that no leader has to.
    fn prepare_next_segment(&self) -> Result<(), IoError> {
        let geometry = self.segments.geometry();
        let soon = self.end.load().plus(geometry.data_bytes() / 2);
        self.segments.prepare(geometry.index_of(soon)).map(drop)
    }

    /// Makes everything durable, says so in the log, and lets the flusher go. What is committed meanwhile may come behind that.
    pub(crate) fn close(&self) -> Result<(), IoError> {
        let flushed = self.wait_durable(self.end.load()).and_then(|()| self.append(Kind::Close));
        self.flusher.close();
        flushed
    }

    fn append(&self, kind: Kind) -> Result<(), IoError> {
        let lsn = self.reserve_and_publish(kind, &[])?;
        self.wait_durable(lsn.plus(HEADER_BYTES as u64))
    }

    pub(crate) fn segments(&self) -> &Arc<Segments> {
        &self.segments
    }

    /// See [`Unfinished`].
    pub(crate) fn unfinished(&self) -> &Unfinished {
        &self.unfinished
    }

    pub(crate) fn session(&self) -> Session {
        self.session
    }
}

/// What the block of `end` holds before it.
fn read_partial_block(segments: &Segments, end: Lsn) -> Result<Vec<u8>, IoError> {
    let floor = block_floor(end);
    let mut partial = vec![0; (end.get() - floor.get()) as usize];
    if !partial.is_empty() {
        let geometry = segments.geometry();
        segments.prepare(geometry.index_of(floor))?.read_at(geometry.offset_of(floor), &mut partial)?;
    }
    Ok(partial)
}

/// How much is written at a time when the log's end is settled.
const SETTLE_BYTES: u64 = 1 << 20;

/// Makes the log on the disk what was read: everything up to `end` durable, and zeros behind it.
///
/// After a flush that failed a cache shows what the disk does not have, as if it had. So what is not known to be `durable` is written once
/// more. What a crash left behind the end, `cut_bytes` of it, is zeroed, so that it is not met again. Whatever another crash leaves of
/// this is settled the next time, at the same place.
pub(crate) fn settle(
    segments: &Arc<Segments>,
    durable: Lsn,
    end: Lsn,
    cut_bytes: u64,
) -> Result<(), IoError> {
    let geometry = segments.geometry();
    let mut writer = SegmentWriter::new(Arc::clone(segments));
    let block_ceil = |lsn: Lsn| block_floor(lsn.plus(BLOCK as u64 - 1));
    let to = block_ceil(end.plus(cut_bytes));
    let mut at = block_floor(durable);
    while at < to {
        let index = geometry.index_of(at);
        let next = [to, at.plus(SETTLE_BYTES), geometry.first(index + 1)].into_iter().fold(to, Lsn::min);
        let mut bytes = AlignedBuf::zeroed((next.get() - at.get()) as usize);
        let kept = end.get().saturating_sub(at.get()).min(bytes.len() as u64) as usize;
        segments.prepare(index)?.read_at(geometry.offset_of(at), &mut bytes[..kept])?;
        writer.write_durable(at, &[&bytes])?;
        at = next;
    }
    Ok(())
}
