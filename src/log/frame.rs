//! Frames: what one reservation of the log holds. `docs/formats.md` has every byte.
//!
//! ```text
//!   0        4    5    6        8                16              24         28        32
//!   ┌────────┬────┬────┬────────┬────────────────┬───────────────┬──────────┬─────────┬───────────┐
//!   │ length │kind│ key│ session│ own position   │ durable then  │ payload  │ CRC-32C │ payload … │
//!   └────────┴────┴────┴────────┴────────────────┴───────────────┴──────────┴─────────┴───────────┘
//! ```
//!
//! - The first word is stored last and at once (`ring`): a frame whose length is zero is not published.
//! - A frame carries its own position, so stale bytes of a recycled segment are never taken for a frame.
//! - It carries its session, which grows by one with each opening of the store. What a crash left behind the cut of one
//!   session is not taken for frames of the next.
//! - It carries how much of the log was durable when it was written. A valid frame behind an invalid place that *was durable by then*
//!   proves damage; without such a frame the place is the torn end of the log.
//! - In an encrypted store it says with which data key it is sealed (`seal`); the checksum is over what is on the disk, so a torn end is told
//!   without the key.

use crate::crypt::{Generation, TAG_BYTES};
use crate::format::Cursor;
use crate::lsn::Lsn;

pub(crate) const HEADER_BYTES: usize = 32;
/// No frame is longer.
pub(crate) const FRAME_BYTES_MAX: usize = 2 << 20;
const CRC_AT: usize = 28;

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A transaction's writes, all of them or the last part.
    Commit = 1,
    /// A part of a transaction too large for one frame; good only if the chain of a later `Commit` leads to it.
    Chunk = 2,
    /// A range that was reserved and not used; only its header is written.
    Void = 3,
    /// The store was opened: the session of all frames up to the next one.
    Open = 4,
    /// The store was closed: everything before was durable.
    Close = 5,
    /// What time it was: everything before was committed by then.
    Time = 6,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        [Kind::Commit, Kind::Chunk, Kind::Void, Kind::Open, Kind::Close, Kind::Time]
            .into_iter()
            .find(|&kind| kind as u8 == byte)
    }
}

/// A session's number, modulo 2^16: only neighbours are ever compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SessionNumber(pub(crate) u16);

impl SessionNumber {
    pub(crate) fn next(self) -> SessionNumber {
        SessionNumber(self.0.wrapping_add(1))
    }
}

/// What the payload of an `Open` frame begins with in an encrypted store, and all that is not encrypted of it.
pub(super) const SALT_BYTES: usize = 16;

/// How long a frame with this payload is: the positions after it stay multiples of 8.
pub(crate) const fn frame_bytes(payload: usize) -> u64 {
    (HEADER_BYTES + payload).next_multiple_of(Lsn::ALIGN as usize) as u64
}

/// Everything in a header but its checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// The data key with which it is sealed; none in a store that is not encrypted.
    pub(crate) generation: Option<Generation>,
    pub(crate) session: SessionNumber,
    pub(crate) lsn: Lsn,
    /// The whole reservation in bytes.
    pub(crate) bytes: u32,
    pub(crate) durable: Lsn,
    pub(crate) payload_bytes: u32,
}

impl Header {
    /// Where the next frame begins.
    pub(crate) fn end(&self) -> Lsn {
        self.lsn.plus(u64::from(self.bytes))
    }

    /// The header's bytes without the checksum.
    pub(super) fn fields(&self) -> [u8; CRC_AT] {
        let mut out = [0; CRC_AT];
        out[0..4].copy_from_slice(&self.bytes.to_le_bytes());
        out[4] = self.kind as u8;
        out[5] = self.generation.map_or(0, Generation::get);
        out[6..8].copy_from_slice(&self.session.0.to_le_bytes());
        out[8..16].copy_from_slice(&self.lsn.get().to_le_bytes());
        out[16..24].copy_from_slice(&self.durable.get().to_le_bytes());
        out[24..28].copy_from_slice(&self.payload_bytes.to_le_bytes());
        out
    }

    /// The header's bytes, for a payload with this checksum. The payload's own checksum may be known before the position is.
    #[inline]
    pub(crate) fn encode(&self, payload_crc: u32) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..CRC_AT].copy_from_slice(&self.fields());
        let crc = crc32c::crc32c_append(payload_crc, &out[..CRC_AT]);
        out[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The header at `lsn`, if it could be one: the checksum is looked at by [`is_intact`].
    pub(crate) fn decode(bytes: &[u8], lsn: Lsn) -> Option<Header> {
        let mut cursor = Cursor::new(bytes);
        let length = cursor.u32()?;
        let kind = Kind::from_byte(cursor.u8()?)?;
        let generation = Generation::new(cursor.u8()?);
        let session = SessionNumber(cursor.u16()?);
        let own = Lsn::new(cursor.u64()?);
        let durable = Lsn::new(cursor.u64()?);
        let payload_bytes = cursor.u32()?;
        let header = Header { kind, generation, session, lsn: own, bytes: length, durable, payload_bytes };
        let seal_bytes = header.seal_bytes();
        let (length, payload_bytes) = (length as usize, payload_bytes as usize);
        let long_enough = match kind {
            Kind::Void => payload_bytes == seal_bytes && length >= HEADER_BYTES + seal_bytes,
            _ => length as u64 == frame_bytes(payload_bytes) && payload_bytes >= seal_bytes,
        };
        let plausible = own == lsn && durable <= lsn && long_enough;
        (plausible && (length as u64).is_multiple_of(Lsn::ALIGN)).then_some(header)
    }

    /// How much of the payload is there for the seal's sake.
    fn seal_bytes(&self) -> usize {
        match (self.generation, self.kind) {
            (None, _) => 0,
            (Some(_), Kind::Open) => SALT_BYTES + TAG_BYTES,
            (Some(_), _) => TAG_BYTES,
        }
    }
}

/// Whether the checksum of a frame agrees, given the bytes of its header and its payload.
pub(crate) fn is_intact(header: &[u8], payload: &[u8]) -> bool {
    let stored = header[CRC_AT..HEADER_BYTES].try_into().map(u32::from_le_bytes).expect("four bytes");
    cfg!(fuzzing) || crc32c::crc32c_append(crc32c::crc32c(payload), &header[..CRC_AT]) == stored
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    fn sample() -> (Header, Vec<u8>) {
        let payload = b"thirteen byte".to_vec();
        let header = Header {
            kind: Kind::Commit,
            generation: None,
            session: SessionNumber(7),
            lsn: Lsn::new(4096),
            bytes: frame_bytes(payload.len()) as u32,
            durable: Lsn::new(4088),
            payload_bytes: payload.len() as u32,
        };
        (header, payload)
    }

    #[test]
    fn a_header_survives_its_bytes() {
        let (header, payload) = sample();
        let bytes = header.encode(crc32c::crc32c(&payload));
        assert_eq!(Header::decode(&bytes, header.lsn), Some(header));
        assert!(is_intact(&bytes, &payload));
        assert_eq!(Header::decode(&bytes, Lsn::new(8)), None, "a frame of another place");
    }

    #[test]
    fn a_flipped_bit_in_any_field_is_found() {
        let (header, payload) = sample();
        let good = header.encode(crc32c::crc32c(&payload));
        for bit in 0..HEADER_BYTES * 8 {
            let mut bytes = good;
            bytes[bit / 8] ^= 1 << (bit % 8);
            let found = Header::decode(&bytes, header.lsn).is_none() || !is_intact(&bytes, &payload);
            assert!(found, "bit {bit}");
        }
        for bit in 0..payload.len() * 8 {
            let mut payload = payload.clone();
            payload[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_intact(&good, &payload), "payload bit {bit}");
        }
    }
}
