//! The log: durable order of commits.
//!
//! - `frame`, `chunks`, `batch`: what is written. `ring`: where committers put it, in parallel. `group_commit`: who writes it to disk.
//! - `segment`: the files. `reader`, `streams`: reading them back; `resume`: behind a damaged place too. `flusher`: who bounds the wait of those who do not wait.
//! - `clock`: what time it was. `copier`: a part of the log, to another directory. `splice`: a segment out of several such copies.
//! - `unfinished`: which part of the log is needed by transactions that have not committed yet. `seal`: encryption of frames.
//!
//! A commit prepares its frame's payload and checksum first, takes its position, and publishes; so the time between position and
//! publishing, which holds up durable acknowledgements behind it, is one copy. In an encrypted store it is encryption and checksum too, for the
//! position is a part of the nonce: it grows with the payload, of which there is 1 MiB at most.

pub(crate) mod batch;
pub(crate) mod chunks;
pub(crate) mod clock;
pub(crate) mod copier;
mod flusher;
pub(crate) mod frame;
pub(crate) mod group_commit;
pub(crate) mod reader;
pub(crate) mod resume;
pub(crate) mod ring;
pub(crate) mod seal;
pub(crate) mod segment;
pub(crate) mod splice;
pub(crate) mod streams;
pub(crate) mod unfinished;

use crate::crypt::Generation;
use crate::io::{AlignedBuf, BLOCK, IoError};
use crate::lsn::{LogEnd, Lsn};
use crate::sync::Arc;
use batch::Write;
use clock::{MARK_BYTES, Marks};
use frame::{FRAME_BYTES_MAX, HEADER_BYTES, Header, Kind, frame_bytes};
use group_commit::{GroupCommit, LogSink};
use reader::{LogError, Start};
use ring::{Ring, block_floor};
use seal::{SEAL_BYTES, Sealer, Session};
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
    /// The one before, if there was one.
    previous: Option<Session>,
    /// None in a store that is not encrypted.
    sealer: Option<Sealer>,
    flusher: Flusher,
    unfinished: Unfinished,
    marks: Marks,
    /// A payload beyond this many bytes is cut into chunks. So a frame always fits the ring, beside the block that is written in part.
    chunk_bytes: usize,
}

/// No payload is longer, however large the ring.
const CHUNK_BYTES_MAX: usize = 1 << 20;
const _: () = assert!(frame_bytes(CHUNK_BYTES_MAX + SEAL_BYTES) <= FRAME_BYTES_MAX as u64);

/// A commit frame without its position.
pub(crate) struct Prepared<'l> {
    payload: Vec<u8>,
    crc: u32,
    bytes: u64,
    /// That there are chunks of it in the log, which are needed until it is published.
    _chunks: Option<Announced<'l>>,
}

impl Prepared<'_> {
    /// What to reserve for it.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Log {
    /// Goes on at the log's end with a new session, whose first frame is durable on return.
    pub(crate) fn start(
        segments: Arc<Segments>,
        log_end: Arc<LogEnd>,
        (previous, session): (Option<Session>, Session),
        marks: Marks,
        ring_bytes: usize,
    ) -> Result<Log, IoError> {
        let end = log_end.load();
        let partial = read_partial_block(&segments, end)?;
        let ring = Ring::new(ring_bytes, end, &partial);
        let sealer = segments.keys().map(|keys| Sealer::new(Arc::clone(keys), session.salt));
        let log = Log {
            end: log_end,
            group: GroupCommit::new(ring, end, SegmentWriter::new(Arc::clone(&segments))),
            segments,
            session,
            previous,
            sealer,
            flusher: Flusher::new(),
            unfinished: Unfinished::new(),
            marks,
            chunk_bytes: (ring_bytes / 8).min(CHUNK_BYTES_MAX),
        };
        log.append(Kind::Open, &mut log.session.salt.payload())?;
        // For what the last session had no time to mark.
        log.mark_time()?;
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
                let publish = |chunk: &mut Vec<u8>| self.reserve_and_publish(Kind::Chunk, chunk);
                payload = chunks::cut(&payload, self.chunk_bytes, publish)?;
            }
        }
        payload.reserve(self.seal_bytes());
        let (crc, bytes) = (self.checksum(&payload), self.frame_bytes(&payload));
        Ok(Prepared { payload, crc, bytes, _chunks: announced })
    }

    /// Publishes a commit frame at the position that was reserved for it.
    pub(crate) fn publish(&self, lsn: Lsn, mut prepared: Prepared<'_>) -> Result<(), IoError> {
        self.publish_frame(Kind::Commit, lsn, prepared.bytes, &mut prepared.payload, prepared.crc)
    }

    /// Publishes that a reservation, which was made for a commit, is not used.
    pub(crate) fn void(&self, lsn: Lsn, bytes: u64) -> Result<(), IoError> {
        debug_assert!(bytes >= self.frame_bytes(&[]));
        self.publish_frame(Kind::Void, lsn, bytes, &mut Vec::new(), self.checksum(&[]))
    }

    /// Seals with this data key from now on. Every frame at or behind the position that is returned is sealed with it.
    pub(crate) fn switch_to(&self, generation: Generation) -> Result<Lsn, IoError> {
        let sealer = self.sealer.as_ref().expect("only an encrypted log changes its key");
        let bytes = self.frame_bytes(&[]);
        let lsn = sealer.switch_to(generation, &self.end, bytes);
        self.void(lsn, bytes).map(|()| lsn)
    }

    /// Leaves the payload as it is on the disk.
    fn reserve_and_publish(&self, kind: Kind, payload: &mut Vec<u8>) -> Result<Lsn, IoError> {
        let (bytes, crc) = (self.frame_bytes(payload), self.checksum(payload));
        let lsn = self.end.reserve(bytes);
        self.publish_frame(kind, lsn, bytes, payload, crc)?;
        Ok(lsn)
    }

    /// What each frame is longer by than its payload says.
    fn seal_bytes(&self) -> usize {
        if self.sealer.is_some() { SEAL_BYTES } else { 0 }
    }

    fn frame_bytes(&self, payload: &[u8]) -> u64 {
        frame_bytes(payload.len() + self.seal_bytes())
    }

    /// The checksum of a payload before its position is known; when it is sealed, that is of no use.
    fn checksum(&self, payload: &[u8]) -> u32 {
        if self.sealer.is_some() { 0 } else { crc32c::crc32c(payload) }
    }

    #[inline]
    fn publish_frame(
        &self,
        kind: Kind,
        lsn: Lsn,
        bytes: u64,
        payload: &mut Vec<u8>,
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
            generation: None,
            session: self.session.number,
            lsn,
            bytes: u32::try_from(bytes).expect("frames are cut far below 4 GiB"),
            durable,
            payload_bytes: u32::try_from(payload.len()).expect("frames are cut far below 4 GiB"),
        };
        let header = match &self.sealer {
            None => header.encode(crc),
            Some(sealer) => sealer.seal(header, payload),
        };
        // SAFETY: the range was reserved for this frame alone, it has room, and this is the only publishing of it.
        unsafe { ring.publish(lsn, &header, payload) };
        if end.get() - durable.get() > ring.capacity() / 4 {
            // After a close it is left to whoever needs it flushed.
            let _ = self.flusher.request(Urgency::Now);
        }
        Ok(())
    }

    /// Puts the time into the log, if that has grown since this was done last. The mark becomes durable with what comes next.
    pub(crate) fn mark_time(&self) -> Result<(), IoError> {
        self.check()?;
        self.marks.make(self.end.load(), |time| {
            let bytes = frame_bytes(MARK_BYTES + self.seal_bytes());
            let lsn = self.end.reserve(bytes);
            let mut payload = clock::encode(time()).to_vec();
            let crc = self.checksum(&payload);
            self.publish_frame(Kind::Time, lsn, bytes, &mut payload, crc)?;
            Ok(lsn.plus(bytes))
        })
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
        let marked = self.mark_time();
        self.marks.close();
        // The frame that closes the log says that everything before it is durable, the mark too.
        let flushed = marked.and_then(|()| self.wait_durable(self.end.load()));
        let flushed = flushed.and_then(|()| self.append(Kind::Close, &mut Vec::new()));
        self.flusher.close();
        flushed
    }

    fn append(&self, kind: Kind, payload: &mut Vec<u8>) -> Result<(), IoError> {
        let lsn = self.reserve_and_publish(kind, payload)?;
        self.wait_durable(lsn.plus(HEADER_BYTES as u64))
    }

    pub(crate) fn segments(&self) -> &Arc<Segments> {
        &self.segments
    }

    /// See [`Marks`].
    pub(crate) fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Everything reserved so far is below.
    pub(crate) fn end(&self) -> Lsn {
        self.end.load()
    }

    /// See [`Unfinished`].
    pub(crate) fn unfinished(&self) -> &Unfinished {
        &self.unfinished
    }

    pub(crate) fn session(&self) -> Session {
        self.session
    }

    /// Where what is there of it begins: at the first whole frame; of an encrypted log at the first one of this session, of the one before, or of one
    /// that begins there.
    pub(crate) fn first_frame(&self) -> Result<Option<Start>, LogError> {
        let known: Vec<Session> = self.previous.into_iter().chain([self.session]).collect();
        resume::first_frame(&self.segments, &known)
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
