//! Reads the log from front to back: checks every frame, finds the end, and tells a torn end from damage.
//!
//! The log ends at the first place that holds no valid frame of the session that is being read. If a valid frame behind it says that the
//! place *was durable* when that frame was written, the place is damaged, and reading is an error that names file and offset.
//! Otherwise what is behind the place was in flight when the power went, and is cut.
//!
//! In an encrypted store each valid frame is opened with its key then. One that does not open was changed by somebody who knew how to make the
//! checksum right: that is an error of its own, and never an end.

use super::frame::{self, FRAME_BYTES_MAX, HEADER_BYTES, Header, Kind, SessionNumber};
use super::seal::{self, Salt, Session};
use super::segment::{Segments, file_name};
use crate::crypt::BadSeal;
use crate::io::IoError;
use crate::lsn::Lsn;
use rayon::prelude::*;

/// How much is read and checked at a time.
const READ_BYTES: u64 = 8 << 20;
/// The same behind a damaged place, at first: the next one may not be far.
const READ_BYTES_FIRST: u64 = 64 << 10;

/// Why a log could not be read.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// A file could not be read.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The bytes at a place that was durable are not what was written there.
    #[error(
        "the log is damaged: `{file}` at byte {offset} (position {position}) holds no valid frame, but later frames \
         prove that it was durable; restore a backup, or copy the directory and ask for help before you change anything"
    )]
    Damaged {
        /// The segment.
        file: String,
        /// Where in it, in bytes.
        offset: u64,
        /// The same place as a position.
        position: Lsn,
    },
    /// A frame whose checksum is right is not what was sealed there with the store's key.
    #[error(
        "the log was changed: the frame at position {position} (`{file}` at byte {offset}) was not written there with a key of \
         this store; restore a backup, and find out who could write to the files"
    )]
    Unauthentic {
        /// The segment.
        file: String,
        /// Where in it, in bytes.
        offset: u64,
        /// The same place as a position.
        position: Lsn,
    },
    /// A frame whose checksum is right says something that no version of this program writes.
    #[error("the log is damaged: the frame at position {position} (`{file}` at byte {offset}) {what}")]
    Senseless {
        /// The segment.
        file: String,
        /// Where in it, in bytes.
        offset: u64,
        /// The same place as a position.
        position: Lsn,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// Some frames, in order, whole and checked.
pub(crate) struct Frames<'a> {
    bytes: &'a [u8],
    start: Lsn,
    pub(crate) headers: &'a [Header],
}

impl<'a> Frames<'a> {
    pub(crate) fn payload(&self, header: &Header) -> &'a [u8] {
        payload(self.bytes, self.start, header)
    }
}

fn payload<'a>(bytes: &'a [u8], start: Lsn, header: &Header) -> &'a [u8] {
    let at = (header.lsn.get() - start.get()) as usize + HEADER_BYTES;
    &bytes[at..at + header.payload_bytes as usize]
}

/// Where the log ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct End {
    pub(crate) lsn: Lsn,
    /// That of the last frame; none in a log that was never opened.
    pub(crate) session: Option<Session>,
    pub(crate) frames: u64,
    /// Everything below was durable when the frames before the end were written; what is above may be in a cache only.
    pub(crate) durable: Lsn,
    /// Everything up to the end was closed properly.
    pub(crate) closed: bool,
    /// From the end on, how far the bytes are not zero: what was in flight when the power went.
    pub(crate) cut_bytes: u64,
    /// The segment that must be there, by what the one before it says, and is not.
    pub(crate) missing_segment: Option<u64>,
}

/// Where reading begins: where a frame does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Start {
    pub(crate) lsn: Lsn,
    /// The session that goes on there; none at the beginning of the log.
    pub(crate) session: Option<Session>,
}

impl Start {
    /// The beginning of a log of which nothing was given up.
    pub(crate) const OF_LOG: Start = Start { lsn: Lsn::ZERO, session: None };

    pub(super) fn end(self) -> End {
        End {
            lsn: self.lsn,
            session: self.session,
            frames: 0,
            durable: self.lsn,
            closed: false,
            cut_bytes: 0,
            missing_segment: None,
        }
    }
}

pub(super) type Visit<'v> = &'v mut dyn FnMut(&Frames<'_>) -> Result<(), LogError>;

/// Reads from `start` to the end, and hands the frames to `visit`. What is behind the end is to be looked at yet.
pub(crate) fn read<'s>(
    segments: &'s Segments,
    start: Start,
    visit: Visit<'_>,
) -> Result<(End, Behind<'s>), LogError> {
    let mut window = Window::new(segments, start.lsn, None);
    let mut end = start.end();
    let next = read_frames(&mut window, &mut end, visit)?;
    end.missing_segment = window.missing_segment(next);
    Ok((end, Behind { window, end }))
}

/// What is behind the end of a log that was read: zeros, what was in flight when the power went, or the proof that the end is damage.
pub(crate) struct Behind<'s> {
    window: Window<'s>,
    end: End,
}

impl Behind<'_> {
    /// How far the bytes are not zero. Reads the files to their end.
    pub(crate) fn cut_bytes(mut self) -> Result<u64, LogError> {
        self.window.look_behind(&self.end)
    }
}

/// Reads from `start` up to `limit`, where a frame ends, of a log that is being written behind that. All of it is durable.
pub(crate) fn read_until(
    segments: &Segments,
    start: Start,
    limit: Lsn,
    visit: Visit<'_>,
) -> Result<(), LogError> {
    let mut window = Window::new(segments, start.lsn, Some(limit));
    let mut end = start.end();
    read_frames(&mut window, &mut end, visit)?;
    if end.lsn == limit { Ok(()) } else { Err(damaged(segments, end.lsn)) }
}

/// Reads frames as long as there are any; what comes behind them is left in the window.
pub(super) fn read_frames(
    window: &mut Window<'_>,
    end: &mut End,
    visit: Visit<'_>,
) -> Result<Next, LogError> {
    loop {
        if let Some(next) = read_more(window, end, visit)? {
            return Ok(next);
        }
    }
}

/// Reads what the next part of the files holds; what comes behind the frames, if nothing more does.
fn read_more(window: &mut Window<'_>, end: &mut End, visit: Visit<'_>) -> Result<Option<Next>, LogError> {
    window.drop_before(end.lsn);
    let more = window.load()?;
    let (mut headers, next) = window.parse(end);
    let (salt, changed) = window.unseal(&mut headers, end.session);
    let frames = Frames { bytes: &window.bytes, start: window.start, headers: &headers };
    if let Some(last) = headers.last() {
        visit(&frames)?;
        end.frames += headers.len() as u64;
        end.lsn = last.end();
        end.session = Some(Session { number: last.session, salt });
        end.durable = headers.iter().map(|header| header.durable).fold(end.durable, Lsn::max);
        end.closed = last.kind == Kind::Close;
    }
    if let Some(changed) = changed {
        return Err(unauthentic(window.segments, changed));
    }
    Ok((next == Next::Ends || !more && headers.is_empty()).then_some(next))
}

/// Reads some frames from `start` on, of a log that is being written behind `limit`, where a frame ends; returns where the next ones begin. Nothing that is
/// read is held for the frames behind.
pub(crate) fn read_some(
    segments: &Segments,
    start: Start,
    limit: Lsn,
    visit: Visit<'_>,
) -> Result<Start, LogError> {
    let (mut window, mut end) = (Window::growing(segments, start.lsn, Some(limit)), start.end());
    while read_more(&mut window, &mut end, visit)?.is_none() && end.frames == 0 {}
    if end.frames == 0 {
        return Err(damaged(segments, end.lsn));
    }
    Ok(Start { lsn: end.lsn, session: end.session })
}

/// Reads the payload of a frame once more, which was whole when the log was read; in a file it may not be by now. `salt` is that of its session.
pub(crate) fn read_payload(
    segments: &Segments,
    salt: Salt,
    lsn: Lsn,
    payload_bytes: u32,
) -> Result<Vec<u8>, LogError> {
    let seal_bytes = segments.keys().map_or(0, |_| seal::SEAL_BYTES);
    let mut bytes = vec![0; HEADER_BYTES + payload_bytes as usize + seal_bytes];
    let geometry = segments.geometry();
    let (mut at, mut rest) = (lsn, &mut bytes[..]);
    while !rest.is_empty() {
        let index = geometry.index_of(at);
        let file = segments.get(index).ok_or_else(|| damaged(segments, at))?;
        let here = rest.len().min((geometry.first(index + 1).get() - at.get()) as usize);
        let (part, behind) = rest.split_at_mut(here);
        file.read_at(geometry.offset_of(at), part)?;
        (at, rest) = (at.plus(here as u64), behind);
    }
    let mut payload = bytes.split_off(HEADER_BYTES);
    let header = Header::decode(&bytes, lsn).filter(|_| frame::is_intact(&bytes, &payload));
    let mut header = header.ok_or_else(|| damaged(segments, lsn))?;
    if let Some(keys) = segments.keys() {
        seal::open(keys, salt, &mut header, &mut payload).map_err(|BadSeal| unauthentic(segments, lsn))?;
    }
    payload.truncate(payload_bytes as usize);
    Ok(payload)
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// A frame may go on behind the window.
    MayFollow,
    /// There is no frame.
    Ends,
}

/// A contiguous part of the log in memory.
pub(super) struct Window<'a> {
    segments: &'a Segments,
    pub(super) start: Lsn,
    bytes: Vec<u8>,
    /// Nothing behind it is looked at.
    limit: Option<Lsn>,
    /// How much to read next, at most.
    read_bytes: u64,
}

impl<'a> Window<'a> {
    pub(super) fn new(segments: &'a Segments, start: Lsn, limit: Option<Lsn>) -> Window<'a> {
        Window { segments, start, bytes: Vec::new(), limit, read_bytes: READ_BYTES }
    }

    /// The same, which reads little at first, then more.
    pub(super) fn growing(segments: &'a Segments, start: Lsn, limit: Option<Lsn>) -> Window<'a> {
        Window { read_bytes: READ_BYTES_FIRST, ..Window::new(segments, start, limit) }
    }

    pub(super) fn end(&self) -> Lsn {
        self.start.plus(self.bytes.len() as u64)
    }

    /// The last place that is not zero.
    pub(super) fn last_byte(&self) -> Option<Lsn> {
        let last = self.bytes.iter().rposition(|&byte| byte != 0)?;
        Some(self.start.plus(last as u64))
    }

    pub(super) fn drop_before(&mut self, lsn: Lsn) {
        self.bytes.drain(..(lsn.get() - self.start.get()) as usize);
        self.start = lsn;
    }

    /// Appends what follows in the files; false at their end.
    pub(super) fn load(&mut self) -> Result<bool, LogError> {
        let geometry = self.segments.geometry();
        let at = self.end();
        let allowed = self.limit.map_or(u64::MAX, |limit| limit.get().saturating_sub(at.get()));
        if allowed == 0 {
            return Ok(false);
        }
        let Some(file) = self.segments.get(geometry.index_of(at)) else {
            return Ok(false);
        };
        let offset = geometry.offset_of(at);
        let len = allowed.min(geometry.segment_bytes - offset).min(self.read_bytes) as usize;
        self.read_bytes = (self.read_bytes * 2).min(READ_BYTES);
        let before = self.bytes.len();
        self.bytes.resize(before + len, 0);
        file.read_at(offset, &mut self.bytes[before..])?;
        Ok(true)
    }

    fn header_at(&self, lsn: Lsn) -> Option<Header> {
        let rest = &self.bytes[(lsn.get() - self.start.get()) as usize..];
        Header::decode(rest.get(..HEADER_BYTES)?, lsn)
            .filter(|header| header.bytes as usize <= FRAME_BYTES_MAX)
    }

    /// Where the frame at this place ends, by what its header says.
    pub(super) fn end_of_frame(&self, lsn: Lsn) -> Option<Lsn> {
        self.header_at(lsn).map(|header| header.end())
    }

    fn is_intact(&self, header: &Header) -> bool {
        let at = (header.lsn.get() - self.start.get()) as usize;
        frame::is_intact(&self.bytes[at..at + HEADER_BYTES], payload(&self.bytes, self.start, header))
    }

    fn holds(&self, header: &Header) -> bool {
        header.end() <= self.end()
    }

    fn holds_payload(&self, header: &Header) -> bool {
        header.lsn.plus(HEADER_BYTES as u64 + u64::from(header.payload_bytes)) <= self.end()
    }

    /// Opens the valid frames at the window's start, in parallel: from then on the window and the headers are as if they had not been sealed.
    /// `session` goes on there. Leaves those that come before one which is not what was sealed there; returns the salt of the last of them, and where
    /// that one is.
    fn unseal(&mut self, headers: &mut Vec<Header>, session: Option<Session>) -> (Salt, Option<Lsn>) {
        let Some(keys) = self.segments.keys() else {
            let sealed = headers.iter().position(|header| header.generation.is_some());
            let changed = sealed.map(|at| headers.drain(at..).next().expect("it is there").lsn);
            return (Salt::NONE, changed);
        };
        let before = session.map_or(Salt::NONE, |session| session.salt);
        let (mut salt, mut salts) = (before, Vec::with_capacity(headers.len()));
        let (mut sealed, mut rest) = (Vec::with_capacity(headers.len()), &mut self.bytes[..]);
        for header in headers.iter_mut() {
            let (frame, behind) = rest.split_at_mut(header.bytes as usize);
            rest = behind;
            let payload = &mut frame[HEADER_BYTES..][..header.payload_bytes as usize];
            if header.kind == Kind::Open {
                salt = Salt::read(payload);
            }
            salts.push(salt);
            sealed.push((salt, header, payload));
        }
        let bad = sealed.into_par_iter().filter_map(|(salt, header, payload)| {
            seal::open(keys, salt, header, payload).err().map(|BadSeal| header.lsn)
        });
        let Some(changed) = bad.min() else { return (salt, None) };
        headers.truncate(headers.partition_point(|header| header.lsn < changed));
        let last = headers.len().checked_sub(1);
        (last.map_or(before, |last| salts[last]), Some(changed))
    }

    /// The run of valid frames at the window's start, and what comes behind it.
    fn parse(&self, end: &End) -> (Vec<Header>, Next) {
        let (mut headers, mut at) = (Vec::new(), self.start);
        let mut session = end.session.map(|session| session.number);
        let mut next = loop {
            if at.plus(HEADER_BYTES as u64) > self.end() {
                break Next::MayFollow;
            }
            let Some(header) = self.header_at(at).filter(|header| follows(session, header)) else {
                break Next::Ends;
            };
            if !self.holds(&header) {
                // A void's checksum covers its header alone (and its tag), so a length that is not true need not be followed.
                let is_known = header.kind == Kind::Void && self.holds_payload(&header);
                break if is_known && !self.is_intact(&header) { Next::Ends } else { Next::MayFollow };
            }
            session = Some(header.session);
            at = header.end();
            headers.push(header);
        };
        if let Some(bad) = headers.par_iter().position_first(|header| !self.is_intact(header)) {
            headers.truncate(bad);
            next = Next::Ends;
        }
        (headers, next)
    }

    /// The segment behind the last one, if this window, which goes from the log's end to the end of the files, proves that it was there.
    ///
    /// It was there before anything was written up to the end of the last one, and before any byte of a frame that goes on behind that
    /// (see `segment`). Of a header that lies across the end its first word is enough: nothing else is written there.
    pub(super) fn missing_segment(&self, next: Next) -> Option<u64> {
        let is_unpublished = self.bytes.first_chunk().is_some_and(|word: &[u8; 8]| *word == [0; 8]);
        let goes_on = next == Next::MayFollow && !is_unpublished;
        goes_on.then(|| self.segments.geometry().index_of(self.end()))
    }

    /// Looks at everything behind the end: damage, or how much is cut.
    fn look_behind(&mut self, end: &End) -> Result<u64, LogError> {
        let mut cut_bytes = 0;
        self.drop_before(end.lsn);
        loop {
            let more = self.load()?;
            if let Some(last) = self.last_byte() {
                cut_bytes = last.get() + 1 - end.lsn.get();
                self.look_for_proof(end)?;
            }
            if !more {
                return Ok(cut_bytes);
            }
            self.keep_tail();
        }
    }

    /// Drops what was looked at, but for what may be the beginning of a frame that ends behind.
    pub(super) fn keep_tail(&mut self) {
        let kept = self.bytes.len().min(FRAME_BYTES_MAX) as u64;
        self.drop_before(Lsn::new(self.end().get() - kept));
    }

    fn look_for_proof(&self, end: &End) -> Result<(), LogError> {
        let last = end.session.map(|session| session.number);
        let proof = self.first_whole(|header| header.durable > end.lsn && is_later(last, header.session));
        proof.map_or(Ok(()), |_| Err(damaged(self.segments, end.lsn)))
    }

    /// The first whole frame in the window, wherever it begins, of those that will do.
    pub(super) fn first_whole(&self, will_do: impl Fn(&Header) -> bool) -> Option<Header> {
        for at in (self.start.get()..self.end().get()).step_by(Lsn::ALIGN as usize) {
            let rest = &self.bytes[(at - self.start.get()) as usize..];
            // The own position is looked at first: it rules out nearly everything.
            if rest.get(8..16).is_none_or(|own| own != at.to_le_bytes()) {
                continue;
            }
            let is_whole = |header: &Header| will_do(header) && self.holds(header) && self.is_intact(header);
            if let Some(header) = self.header_at(Lsn::new(at)).filter(is_whole) {
                return Some(header);
            }
        }
        None
    }
}

/// Whether a frame may come after one of `session`.
fn follows(session: Option<SessionNumber>, header: &Header) -> bool {
    match session {
        None => header.kind == Kind::Open,
        Some(session) if header.kind == Kind::Open => header.session == session.next(),
        Some(session) => header.session == session,
    }
}

/// Whether `other` is not older than `session`; sessions are few between two places of one log.
pub(super) fn is_later(session: Option<SessionNumber>, other: SessionNumber) -> bool {
    session.is_none_or(|session| other.0.wrapping_sub(session.0) < u16::MAX / 2)
}

pub(super) fn damaged(segments: &Segments, position: Lsn) -> LogError {
    let (file, offset) = place(segments, position);
    LogError::Damaged { file, offset, position }
}

fn unauthentic(segments: &Segments, position: Lsn) -> LogError {
    let (file, offset) = place(segments, position);
    LogError::Unauthentic { file, offset, position }
}

pub(crate) fn senseless(segments: &Segments, position: Lsn, what: &'static str) -> LogError {
    let (file, offset) = place(segments, position);
    LogError::Senseless { file, offset, position, what }
}

pub(crate) fn place(segments: &Segments, position: Lsn) -> (String, u64) {
    let geometry = segments.geometry();
    (file_name(geometry.index_of(position)), geometry.offset_of(position))
}
