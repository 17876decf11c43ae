//! The order-preserving key encoding: unsigned byte order of keys is the order of the values.
//!
//! Ids and index entries are encoded with it. A composite key is the concatenation of its fields, each ascending or
//! descending: an encoded value ends by itself, and is never the start of another value's encoding.
//!
//! ```text
//!   value      rank (1) | body
//!   body of    number      see `number`
//!              text        bytes, 00 as 00 ff | 00 00           string, symbol, code
//!              object      (rank | name | 00 | body)… | 00
//!              array       (rank | body)… | 00
//!              binary      length (4) | subtype (1) | bytes
//!              object id   12 bytes        date       8 bytes, sign flipped
//!              boolean     1 byte          timestamp  seconds (4) | increment (4)
//!              regex       pattern | 00 | options | 00
//!              DBPointer   length (4) | namespace | 12 bytes
//!              code with scope   text | object
//!              null, undefined, MinKey, MaxKey   nothing
//! ```
//!
//! All integers are big-endian. Ranks start above 0, so 00 ends a container before any further element. Descending
//! inverts every byte.
//!
//! # The order
//!
//! MongoDB's: MinKey, undefined, null, numbers, strings and symbols, objects, arrays, binary, object ids, booleans,
//! dates, timestamps, regular expressions, DBPointers, code, code with scope, MaxKey. Numbers of all four types
//! compare by exact value; −0 equals 0, NaN equals NaN and is below every other number. Text compares by its
//! UTF-8 bytes. Objects compare field by field: rank of the value, then name, then value; arrays element by element;
//! the shorter of two that agree is first. Binary compares by length, subtype, bytes.
//!
//! # What decoding keeps
//!
//! Decoding gives a value that compares equal. It does not keep what the order ignores: the type of a number (an
//! integral value comes back as Int64, whatever it was), the trailing zeros of a decimal, the sign of zero, and
//! whether text was a string or a symbol.
//!
//! # What it does not do
//!
//! No collation, and no limit on the length: who stores keys checks it. [`encode`] and [`compare`] want values of documents
//! that passed [`validate`](crate::document::validate); in others they take an unreadable container as ending there.

mod compare;
mod decimal;
mod decode;
mod number;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

use bson::{RawBsonRef, RawDocument};

pub use compare::compare;
pub use decode::decode;
pub(crate) use decode::encoded_bytes;

use super::raw::db_pointer_parts;

/// In which direction a field of a key is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// Smallest first.
    #[default]
    Ascending,
    /// Largest first.
    Descending,
}

/// Ends an object or array; below every rank.
const END: u8 = 0;
/// A zero byte inside text is followed by this.
const ESCAPED: u8 = 0xff;

/// The order of types. Types of one rank compare with each other by value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Rank {
    MinKey = 0x08,
    Undefined = 0x10,
    Null = 0x18,
    Number = 0x20,
    Text = 0x28,
    Object = 0x30,
    Array = 0x38,
    Binary = 0x40,
    ObjectId = 0x48,
    Boolean = 0x50,
    Date = 0x58,
    Timestamp = 0x60,
    Regex = 0x68,
    DbPointer = 0x70,
    Code = 0x78,
    CodeWithScope = 0x80,
    MaxKey = 0x88,
}

impl Rank {
    const ALL: [Rank; 17] = [
        Rank::MinKey,
        Rank::Undefined,
        Rank::Null,
        Rank::Number,
        Rank::Text,
        Rank::Object,
        Rank::Array,
        Rank::Binary,
        Rank::ObjectId,
        Rank::Boolean,
        Rank::Date,
        Rank::Timestamp,
        Rank::Regex,
        Rank::DbPointer,
        Rank::Code,
        Rank::CodeWithScope,
        Rank::MaxKey,
    ];

    fn of(value: RawBsonRef<'_>) -> Rank {
        match value {
            RawBsonRef::MinKey => Rank::MinKey,
            RawBsonRef::Undefined => Rank::Undefined,
            RawBsonRef::Null => Rank::Null,
            RawBsonRef::Int32(_)
            | RawBsonRef::Int64(_)
            | RawBsonRef::Double(_)
            | RawBsonRef::Decimal128(_) => Rank::Number,
            RawBsonRef::String(_) | RawBsonRef::Symbol(_) => Rank::Text,
            RawBsonRef::Document(_) => Rank::Object,
            RawBsonRef::Array(_) => Rank::Array,
            RawBsonRef::Binary(_) => Rank::Binary,
            RawBsonRef::ObjectId(_) => Rank::ObjectId,
            RawBsonRef::Boolean(_) => Rank::Boolean,
            RawBsonRef::DateTime(_) => Rank::Date,
            RawBsonRef::Timestamp(_) => Rank::Timestamp,
            RawBsonRef::RegularExpression(_) => Rank::Regex,
            RawBsonRef::DbPointer(_) => Rank::DbPointer,
            RawBsonRef::JavaScriptCode(_) => Rank::Code,
            RawBsonRef::JavaScriptCodeWithScope(_) => Rank::CodeWithScope,
            RawBsonRef::MaxKey => Rank::MaxKey,
        }
    }

    fn from_byte(byte: u8) -> Option<Rank> {
        Rank::ALL.into_iter().find(|&rank| rank as u8 == byte)
    }
}

/// The first byte of all keys of a value's type, ascending.
pub(crate) fn rank_byte(value: RawBsonRef<'_>) -> u8 {
    Rank::of(value) as u8
}

/// Whether two values are of one type as the order sees it: numbers of all types are, strings and symbols too.
pub(crate) fn same_rank(a: RawBsonRef<'_>, b: RawBsonRef<'_>) -> bool {
    Rank::of(a) == Rank::of(b)
}

/// Appends the key of a value. Calls one after the other make a composite key.
///
/// Costs the bytes written; a decimal that is not a small integer some microseconds more.
pub fn encode(value: RawBsonRef<'_>, direction: Direction, out: &mut Vec<u8>) {
    let start = out.len();
    out.push(Rank::of(value) as u8);
    encode_body(value, out);
    if direction == Direction::Descending {
        invert(&mut out[start..]);
    }
}

fn invert(bytes: &mut [u8]) {
    for byte in bytes {
        *byte = !*byte;
    }
}

fn encode_body(value: RawBsonRef<'_>, out: &mut Vec<u8>) {
    match value {
        RawBsonRef::MinKey | RawBsonRef::MaxKey | RawBsonRef::Null | RawBsonRef::Undefined => {}
        RawBsonRef::Int32(integer) => number::encode_integer(integer.into(), out),
        RawBsonRef::Int64(integer) => number::encode_integer(integer, out),
        RawBsonRef::Double(double) => number::encode_double(double, out),
        RawBsonRef::Decimal128(decimal) => number::encode_decimal(decimal, out),
        RawBsonRef::String(text) | RawBsonRef::Symbol(text) | RawBsonRef::JavaScriptCode(text) => {
            encode_text(text, out);
        }
        RawBsonRef::Document(document) => encode_object(document, out),
        RawBsonRef::Array(array) => {
            for element in array.into_iter().map_while(Result::ok) {
                out.push(Rank::of(element) as u8);
                encode_body(element, out);
            }
            out.push(END);
        }
        RawBsonRef::Binary(binary) => {
            out.extend_from_slice(&(binary.bytes.len() as u32).to_be_bytes());
            out.push(binary.subtype.into());
            out.extend_from_slice(binary.bytes);
        }
        RawBsonRef::ObjectId(id) => out.extend_from_slice(&id.bytes()),
        RawBsonRef::Boolean(boolean) => out.push(boolean.into()),
        RawBsonRef::DateTime(date) => {
            out.extend_from_slice(&((date.timestamp_millis() as u64) ^ (1 << 63)).to_be_bytes());
        }
        RawBsonRef::Timestamp(timestamp) => {
            out.extend_from_slice(&timestamp.time.to_be_bytes());
            out.extend_from_slice(&timestamp.increment.to_be_bytes());
        }
        RawBsonRef::RegularExpression(regex) => {
            encode_name(regex.pattern.as_str(), out);
            encode_name(regex.options.as_str(), out);
        }
        RawBsonRef::DbPointer(pointer) => {
            let (namespace, id) = db_pointer_parts(pointer);
            out.extend_from_slice(&(namespace.len() as u32).to_be_bytes());
            out.extend_from_slice(namespace.as_bytes());
            out.extend_from_slice(&id);
        }
        RawBsonRef::JavaScriptCodeWithScope(code) => {
            encode_text(code.code, out);
            encode_object(code.scope, out);
        }
    }
}

fn encode_object(document: &RawDocument, out: &mut Vec<u8>) {
    for (name, value) in document.iter().map_while(Result::ok) {
        out.push(Rank::of(value) as u8);
        encode_name(name.as_str(), out);
        encode_body(value, out);
    }
    out.push(END);
}

/// Text that may contain zero bytes.
fn encode_text(text: &str, out: &mut Vec<u8>) {
    for (index, part) in text.as_bytes().split(|&byte| byte == 0).enumerate() {
        if index > 0 {
            out.extend_from_slice(&[0, ESCAPED]);
        }
        out.extend_from_slice(part);
    }
    out.extend_from_slice(&[0, 0]);
}

/// Text that BSON terminates with a zero byte itself.
fn encode_name(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.push(0);
}
