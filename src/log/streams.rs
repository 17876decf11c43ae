//! The writes of each commit, as one stream of bytes: read from its frame, and from the chunks that it leads to.

use super::batch::{Write, decode_writes};
use super::chunks::{ChunkMissing, Chunks, decode_link};
use super::clock::{self, Millis};
use super::frame::{Header, Kind};
use super::reader::{Frames, LogError, Start, read_payload, senseless};
use super::seal::Salt;
use super::segment::Segments;
use crate::lsn::Lsn;

/// Puts the streams together while the log is read from front to back.
pub(crate) struct Streams<'a> {
    segments: &'a Segments,
    so_far: SoFar,
}

/// What was read so far, and is not whole yet.
pub(crate) struct SoFar {
    /// Commits below are passed over; their chunks may not be there any more.
    from: Lsn,
    /// That of the session that is being read.
    salt: Salt,
    chunks: Chunks,
    time: Option<Millis>,
}

impl SoFar {
    /// Of a log that is read from `start` on; of the commits those from `from` on count.
    pub(crate) fn nothing(start: Start, from: Lsn) -> SoFar {
        let salt = start.session.map_or(Salt::NONE, |session| session.salt);
        SoFar { from, salt, chunks: Chunks::default(), time: None }
    }

    /// The first chunk that no commit has led to yet.
    pub(crate) fn first_chunk(&self) -> Option<Lsn> {
        self.chunks.first()
    }
}

/// The writes of one commit.
pub(crate) enum Stream<'f> {
    Whole(&'f [u8]),
    Joined(Vec<u8>),
}

/// Calls `visit` with each write of the commit at `lsn`.
pub(crate) fn decode<'s>(
    segments: &Segments,
    lsn: Lsn,
    stream: &'s Stream<'_>,
    visit: impl FnMut(Write<'s>),
) -> Result<(), LogError> {
    let bytes = match stream {
        Stream::Whole(bytes) => bytes,
        Stream::Joined(bytes) => &bytes[..],
    };
    if decode_writes(bytes, visit) { Ok(()) } else { Err(senseless(segments, lsn, "does not hold writes")) }
}

/// What a mark says.
pub(crate) fn read_time(
    segments: &Segments,
    frames: &Frames<'_>,
    header: &Header,
) -> Result<Millis, LogError> {
    clock::decode(frames.payload(header))
        .ok_or_else(|| senseless(segments, header.lsn, "does not say what time it was"))
}

const NO_LINK: &str = "does not say which chunk is before it";

impl<'a> Streams<'a> {
    /// For a log that is read from `start` on; of the commits those from `from` on count.
    pub(crate) fn new(segments: &'a Segments, start: Start, from: Lsn) -> Streams<'a> {
        Streams::resume(segments, SoFar::nothing(start, from))
    }

    /// Goes on where reading was left off.
    pub(crate) fn resume(segments: &'a Segments, so_far: SoFar) -> Streams<'a> {
        Streams { segments, so_far }
    }

    /// Leaves off.
    pub(crate) fn suspend(self) -> SoFar {
        self.so_far
    }

    /// Takes the next frames of the log; returns the commits among them from `from` on, in order.
    pub(crate) fn read<'f>(&mut self, frames: &Frames<'f>) -> Result<Vec<(Lsn, Stream<'f>)>, LogError> {
        self.read_each(frames).into_iter().map(|(lsn, stream)| Ok((lsn, stream?))).collect()
    }

    /// The same, with what is wrong with some of them, or with a chunk, in its place.
    pub(crate) fn read_each<'f>(&mut self, frames: &Frames<'f>) -> Vec<(Lsn, Result<Stream<'f>, LogError>)> {
        let mut streams = Vec::with_capacity(frames.headers.len());
        for header in frames.headers {
            match header.kind {
                Kind::Chunk if self.so_far.chunks.keep(header.lsn, frames.payload(header)) => {}
                Kind::Chunk => {
                    streams.push((header.lsn, Err(senseless(self.segments, header.lsn, NO_LINK))));
                }
                Kind::Commit if header.lsn >= self.so_far.from => {
                    streams.push((header.lsn, self.stream(frames, header)));
                }
                // A commit that was under way when the store was closed may come behind that.
                Kind::Commit | Kind::Void | Kind::Close => {}
                Kind::Open => {
                    self.so_far.chunks.end_session();
                    self.so_far.salt = Salt::read(frames.payload(header));
                }
                Kind::Time => match read_time(self.segments, frames, header) {
                    Ok(time) => self.so_far.time = Some(time),
                    Err(error) => streams.push((header.lsn, Err(error))),
                },
            }
        }
        streams
    }

    /// What the last mark said that was read.
    pub(crate) fn time(&self) -> Option<Millis> {
        self.so_far.time
    }

    fn stream<'f>(&mut self, frames: &Frames<'f>, header: &Header) -> Result<Stream<'f>, LogError> {
        let bad = |what| senseless(self.segments, header.lsn, what);
        let (last, rest) = decode_link(frames.payload(header)).ok_or_else(|| bad(NO_LINK))?;
        let Some(last) = last else {
            return Ok(Stream::Whole(rest));
        };
        let chain = self.so_far.chunks.take_chain(last);
        let chain = chain.map_err(|ChunkMissing| bad("leads to a chunk that is not there"))?;
        let mut stream = Vec::new();
        for chunk in chain {
            let payload = read_payload(self.segments, self.so_far.salt, chunk.lsn, chunk.payload_bytes)?;
            let (_, part) =
                decode_link(&payload).ok_or_else(|| senseless(self.segments, chunk.lsn, NO_LINK))?;
            stream.extend_from_slice(part);
        }
        stream.extend_from_slice(rest);
        Ok(Stream::Joined(stream))
    }
}
