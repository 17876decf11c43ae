//! A place in the results of a query, to go on from later.
//!
//! ```text
//!   version (1) | fingerprint of the query (8) | order: count (4), (direction (1), path)… | direction of ids (1) | key | CRC-32C of all before (4)
//! ```

use super::order::Order;
use super::request::QueryError;
use crate::document::FieldPath;
use crate::document::order_key::Direction;
use crate::format::{append_crc, without_crc};
use crate::index::definition::IndexField;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use std::fmt;
use std::str::FromStr;

const VERSION: u8 = 1;
const FINGERPRINT_BYTES: usize = 8;

/// A place in the results of a query: behind the last document that was taken.
///
/// It is text for whoever keeps it, and goes on at whatever state of the store the query is asked again, with the documents that come behind that place in the
/// order that the query had. It is bound to the store, the collection, the filter and the order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cursor {
    pub(super) fingerprint: u64,
    pub(super) order: Order,
    /// By `order`.
    pub(super) key: Vec<u8>,
}

impl Cursor {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.fingerprint.to_le_bytes());
        // No document has as many fields, and no key as many parts.
        bytes.extend_from_slice(&(self.order.fields.len() as u32).to_le_bytes());
        for field in &*self.order.fields {
            bytes.push(byte_of(field.direction));
            bytes.push(field.path.segments().len() as u8);
            for segment in field.path.segments() {
                bytes.extend_from_slice(segment.as_bytes());
                bytes.push(0);
            }
        }
        bytes.push(byte_of(self.order.ids));
        bytes.extend_from_slice(&self.key);
        append_crc(&mut bytes);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Cursor> {
        let (version, rest) = without_crc(bytes)?.split_first()?;
        let (fingerprint, rest) = rest.split_first_chunk::<FINGERPRINT_BYTES>()?;
        let (count, mut rest) = rest.split_first_chunk()?;
        let mut fields = Vec::new();
        for _ in 0..u32::from_le_bytes(*count) {
            let (head, mut behind) = rest.split_first_chunk::<2>()?;
            let mut segments = Vec::new();
            for _ in 0..head[1] {
                let end = behind.iter().position(|byte| *byte == 0)?;
                segments.push(std::str::from_utf8(&behind[..end]).ok()?);
                behind = &behind[end + 1..];
            }
            let path = FieldPath::from_segments(segments).ok()?;
            fields.push(IndexField { path, direction: direction_of(head[0])? });
            rest = behind;
        }
        let (ids, key) = rest.split_first()?;
        let order = Order { fields: fields.into(), ids: direction_of(*ids)? };
        let fingerprint = u64::from_le_bytes(*fingerprint);
        (*version == VERSION).then(|| Cursor { fingerprint, order, key: key.to_vec() })
    }
}

fn byte_of(direction: Direction) -> u8 {
    u8::from(direction == Direction::Descending)
}

fn direction_of(byte: u8) -> Option<Direction> {
    match byte {
        0 => Some(Direction::Ascending),
        1 => Some(Direction::Descending),
        _ => None,
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(self.to_bytes()))
    }
}

impl FromStr for Cursor {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Cursor, QueryError> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        bytes.and_then(|bytes| Cursor::from_bytes(&bytes)).ok_or(QueryError::Cursor { reason: "it is none" })
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is_one() {
        let field = |path: &str, direction| IndexField { path: path.parse().unwrap(), direction };
        let fields = vec![field("a.b", Direction::Descending), field("c", Direction::Ascending)];
        let order = Order { fields: fields.into(), ids: Direction::Descending };
        let cursor = Cursor { fingerprint: 7, order, key: vec![1, 2, 0, 255] };
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        let bytes = cursor.to_bytes();
        for len in 0..bytes.len() {
            assert_eq!(Cursor::from_bytes(&bytes[..len]), None, "{len}");
            let mut changed = bytes.clone();
            changed[len] ^= 1;
            assert_eq!(Cursor::from_bytes(&changed), None, "{len}");
        }
        for text in ["", "x", "äöü", "AAAA"] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }
}
