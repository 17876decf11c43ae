//! A place in a feed of changes, to go on from later.
//!
//! ```text
//!   version (1) | store (8) | position (8) | writes taken there (4)
//!   of a log:   | read from (8) | session (2) | is there a session (1) | its salt (16) | first chunk, 0 for none (8)
//!   CRC-32C of all that (4)
//! ```
//!
//! Numbers are little-endian. `docs/queries.md` says what it means.

use super::{Error, Result};
use crate::engine::feed::{Place, Reading};
use crate::format::{Cursor, append_crc, without_crc};
use crate::log::frame::SessionNumber;
use crate::log::reader::Start;
use crate::log::seal::{Salt, Session};
use crate::lsn::Lsn;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use std::fmt;
use std::str::FromStr;

const VERSION: u8 = 1;

/// A place in a feed of changes: behind the last one that was taken.
///
/// It is text for whoever keeps it, and bound to its store. What it holds of an encrypted store is no secret: without the store's key it opens nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FeedCursor {
    pub(super) store: u64,
    pub(super) place: Place,
}

impl FeedCursor {
    /// Everything below was told, and at this position perhaps a part.
    pub fn position(&self) -> Lsn {
        self.place.at
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.store.to_le_bytes());
        bytes.extend_from_slice(&self.place.at.get().to_le_bytes());
        bytes.extend_from_slice(&self.place.taken.to_le_bytes());
        if let Some(Reading { start: Start { lsn, session }, first_chunk }) = self.place.reading {
            bytes.extend_from_slice(&lsn.get().to_le_bytes());
            bytes.extend_from_slice(&session.map_or(0, |session| session.number.0).to_le_bytes());
            bytes.push(u8::from(session.is_some()));
            bytes.extend_from_slice(&session.map_or(Salt::NONE, |session| session.salt).0);
            bytes.extend_from_slice(&first_chunk.map_or(0, Lsn::get).to_le_bytes());
        }
        append_crc(&mut bytes);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<FeedCursor> {
        let (version, rest) = without_crc(bytes)?.split_first()?;
        let mut fields = Cursor::new(rest);
        let (store, at, taken) = (fields.u64()?, Lsn::read(fields.u64()?)?, fields.u32()?);
        let reading = if fields.is_empty() { None } else { Some(read_reading(&mut fields)?) };
        let is_one = *version == VERSION && fields.is_empty();
        is_one.then_some(FeedCursor { store, place: Place { at, taken, reading } })
    }
}

fn read_reading(fields: &mut Cursor<'_>) -> Option<Reading> {
    let lsn = Lsn::read(fields.u64()?)?;
    let number = u16::from_le_bytes(fields.take(2)?.try_into().ok()?);
    let has_session = fields.u8()? == 1;
    let salt = Salt(fields.take(size_of::<Salt>())?.try_into().ok()?);
    let session = has_session.then_some(Session { number: SessionNumber(number), salt });
    let first_chunk = Lsn::read(fields.u64()?)?;
    let first_chunk = Some(first_chunk).filter(|chunk| *chunk > Lsn::ZERO);
    Some(Reading { start: Start { lsn, session }, first_chunk })
}

impl fmt::Display for FeedCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(self.to_bytes()))
    }
}

impl FromStr for FeedCursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<FeedCursor> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        bytes.and_then(|bytes| FeedCursor::from_bytes(&bytes)).ok_or(Error::NoFeedCursor)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is_one() {
        let session = Some(Session { number: SessionNumber(7), salt: Salt([9; size_of::<Salt>()]) });
        let reading =
            |session, first_chunk| Some(Reading { start: Start { lsn: Lsn::new(64), session }, first_chunk });
        for reading in
            [None, reading(None, None), reading(session, None), reading(session, Some(Lsn::new(8)))]
        {
            let place = Place { at: Lsn::new(80), taken: 3, reading };
            let cursor = FeedCursor { store: 5, place };
            assert_eq!(cursor.to_string().parse::<FeedCursor>().unwrap(), cursor);
            let bytes = cursor.to_bytes();
            for len in 0..bytes.len() {
                assert_eq!(FeedCursor::from_bytes(&bytes[..len]), None, "{len}");
            }
            for at in 0..bytes.len() {
                let mut other = bytes.clone();
                other[at] ^= 1;
                assert_eq!(FeedCursor::from_bytes(&other), None, "{at}");
            }
        }
        for text in ["", "x", "äöü", "AAAA"] {
            assert!(matches!(text.parse::<FeedCursor>(), Err(Error::NoFeedCursor)), "{text}");
        }
    }
}
