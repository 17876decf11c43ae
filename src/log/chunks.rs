//! Transactions larger than a frame: cut into chunks when they are written, found again when they are read.
//!
//! ```text
//!   payload of a chunk, of a commit:  link (varint: position of the chunk before, 0 for none), a part of the stream of writes
//!
//!   chunk ◄─── chunk ◄─── chunk ◄─── commit
//! ```
//!
//! The stream is cut anywhere. Each chunk names the one before it and the commit the last one, so what a frame holds beside its part does
//! not grow with the transaction. The first frame of a log begins a session: no chunk has position 0. A chunk that the chain of no commit
//! leads to counts for nothing: its transaction conflicted, or the power went.

use crate::format::{Cursor, put_varint};
use crate::lsn::Lsn;
use std::collections::HashMap;

/// The longest link in bytes.
const LINK_BYTES_MAX: usize = 10;

pub(crate) fn encode_link(before: Option<Lsn>, out: &mut Vec<u8>) {
    put_varint(before.map_or(0, Lsn::get), out);
}

/// Splits the payload of a chunk or commit into the chunk before it, if there is one, and its part of the stream.
pub(crate) fn decode_link(payload: &[u8]) -> Option<(Option<Lsn>, &[u8])> {
    let mut cursor = Cursor::new(payload);
    let before = cursor.varint()?;
    Some(((before != 0).then_some(Lsn::new(before)), cursor.rest()))
}

/// Cuts what is before the end of a payload into chunks of `chunk_bytes`, each of which goes to `publish` for a position, and is left in whatever
/// state that likes; returns the rest, linked to the last of them. It is not empty, and no longer than a chunk.
pub(crate) fn cut<E>(
    payload: &[u8],
    chunk_bytes: usize,
    mut publish: impl FnMut(&mut Vec<u8>) -> Result<Lsn, E>,
) -> Result<Vec<u8>, E> {
    debug_assert!(chunk_bytes > LINK_BYTES_MAX);
    // The payload begins with a link already.
    let (mut chunk, mut rest) = (Vec::with_capacity(chunk_bytes), payload);
    loop {
        let (part, behind) = rest.split_at(rest.len().min(chunk_bytes - chunk.len()));
        chunk.extend_from_slice(part);
        rest = behind;
        if rest.is_empty() {
            return Ok(chunk);
        }
        let lsn = publish(&mut chunk)?;
        chunk.clear();
        encode_link(Some(lsn), &mut chunk);
    }
}

/// A link leads to no chunk of the session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ChunkMissing;

/// A chunk, as much of it as is kept in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Chunk {
    pub(crate) lsn: Lsn,
    pub(crate) payload_bytes: u32,
    before: Option<Lsn>,
}

/// Where the chunks of one session are that no commit has led to yet. Their parts stay in the log: of those that no commit will
/// ever lead to there may be any number.
#[derive(Default)]
pub(crate) struct Chunks(HashMap<Lsn, Chunk>);

impl Chunks {
    /// Keeps the place of the chunk at `lsn`; false if its payload is none.
    #[must_use]
    pub(crate) fn keep(&mut self, lsn: Lsn, payload: &[u8]) -> bool {
        let (Some((before, _)), Ok(payload_bytes)) = (decode_link(payload), u32::try_from(payload.len()))
        else {
            return false;
        };
        self.0.insert(lsn, Chunk { lsn, payload_bytes, before });
        true
    }

    /// The first of them.
    pub(crate) fn first(&self) -> Option<Lsn> {
        self.0.keys().min().copied()
    }

    /// Lets go of all: a transaction does not outlive its session.
    pub(crate) fn end_session(&mut self) {
        self.0.clear();
    }

    /// Takes the chain that ends with `last`, the first of it first.
    pub(crate) fn take_chain(&mut self, last: Lsn) -> Result<Vec<Chunk>, ChunkMissing> {
        let (mut chain, mut next) = (Vec::new(), Some(last));
        while let Some(lsn) = next {
            // Taken, so a chain that leads to itself ends here too.
            let chunk = self.0.remove(&lsn).ok_or(ChunkMissing)?;
            next = chunk.before;
            chain.push(chunk);
        }
        chain.reverse();
        Ok(chain)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::convert::Infallible;

    /// What a reader has: the places of the chunks, and the log with their payloads.
    #[derive(Default)]
    struct Reader {
        chunks: Chunks,
        log: HashMap<Lsn, Vec<u8>>,
    }

    /// Cuts a stream that comes in `pieces`, as a transaction's writes do, and keeps the chunks; returns the commit's payload.
    fn write(pieces: &[Vec<u8>], chunk_bytes: usize, first: u64, reader: &mut Reader) -> (Vec<u8>, usize) {
        let (mut payload, mut next, mut count) = (Vec::new(), first, 0);
        encode_link(None, &mut payload);
        for piece in pieces {
            payload.extend_from_slice(piece);
            let published = cut(&payload, chunk_bytes, |chunk| {
                assert_eq!(chunk.len(), chunk_bytes);
                let lsn = Lsn::new(next);
                assert!(reader.chunks.keep(lsn, chunk));
                reader.log.insert(lsn, chunk.to_vec());
                next += 16;
                count += 1;
                Ok::<_, Infallible>(lsn)
            });
            let Ok(rest) = published;
            assert!(rest.len() <= chunk_bytes);
            payload = rest;
        }
        (payload, count)
    }

    fn read(payload: &[u8], reader: &mut Reader) -> Result<Vec<u8>, ChunkMissing> {
        let (last, rest) = decode_link(payload).expect("a payload");
        let mut stream = Vec::new();
        for chunk in last.map_or(Ok(Vec::new()), |last| reader.chunks.take_chain(last))? {
            let payload = &reader.log[&chunk.lsn];
            assert_eq!(payload.len(), chunk.payload_bytes as usize);
            stream.extend_from_slice(decode_link(payload).expect("a chunk").1);
        }
        stream.extend_from_slice(rest);
        Ok(stream)
    }

    proptest! {
        #[test]
        fn a_stream_survives_cutting(
            streams: Vec<Vec<Vec<u8>>>,
            chunk_bytes in LINK_BYTES_MAX + 1..60,
            first in (1_u64..1 << 60).prop_map(|n| n * 8),
        ) {
            // The chunks of all lie between each other's, as far as the reader knows.
            let mut reader = Reader::default();
            let mut written = Vec::new();
            for (stream, index) in streams.iter().zip(0..) {
                let whole = stream.concat();
                let (payload, count) = write(stream, chunk_bytes, first + (index << 32), &mut reader);
                prop_assert_eq!(count > 0, whole.len() >= chunk_bytes);
                written.push((payload, whole));
            }
            for (payload, whole) in written.iter().rev() {
                prop_assert_eq!(&read(payload, &mut reader).unwrap(), whole);
            }
            prop_assert!(reader.chunks.0.is_empty(), "each belongs to one transaction");
        }

        #[test]
        fn garbage_is_refused_without_a_panic(payloads: Vec<(u64, Vec<u8>)>) {
            let mut chunks = Chunks::default();
            for (lsn, payload) in &payloads {
                let _ = chunks.keep(Lsn::new(*lsn), payload);
            }
            for (_, payload) in &payloads {
                if let Some((Some(last), _)) = decode_link(payload) {
                    let _ = chunks.take_chain(last);
                }
            }
        }
    }

    #[test]
    fn a_link_of_either_length() {
        for before in [None, Some(Lsn::new(8)), Some(Lsn::new(!7))] {
            let mut payload = Vec::new();
            encode_link(before, &mut payload);
            assert!(payload.len() <= LINK_BYTES_MAX);
            payload.push(7);
            assert_eq!(decode_link(&payload), Some((before, &[7][..])));
        }
        assert_eq!(decode_link(&[]), None);
    }

    #[test]
    fn a_chain_that_is_broken_or_leads_to_itself_is_refused() {
        let chunk = |before: u64| {
            let mut payload = Vec::new();
            encode_link(Some(Lsn::new(before)), &mut payload);
            payload
        };
        let mut chunks = Chunks::default();
        assert!(chunks.keep(Lsn::new(8), &chunk(16)) && chunks.keep(Lsn::new(16), &chunk(8)));
        assert!(chunks.keep(Lsn::new(32), &chunk(24)));
        assert_eq!(chunks.take_chain(Lsn::new(16)), Err(ChunkMissing));
        assert_eq!(chunks.take_chain(Lsn::new(32)), Err(ChunkMissing));
    }

    #[test]
    fn nothing_outlives_its_session() {
        let mut chunks = Chunks::default();
        assert!(chunks.keep(Lsn::new(8), &[0, 1]));
        chunks.end_session();
        assert_eq!(chunks.take_chain(Lsn::new(8)), Err(ChunkMissing));
    }
}
