//! What identifies a document within its collection.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bson::raw::RawBinaryRef;
use bson::spec::BinarySubtype;
use bson::{Bson, RawBsonRef};
use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;
use uuid::timestamp::context::ContextV7;

use super::DocumentError;
use super::order_key::{self, Direction};
use super::raw::type_name;

/// The longest key, in bytes as encoded.
pub const MAX_KEY_BYTES: usize = 1024;

/// The id of a document: a UUID unless the caller brings a string, an integer or bytes.
///
/// Ids order like their keys: integers, then strings by their UTF-8 bytes, then bytes and UUIDs (by length, bytes
/// before UUIDs of the same length).
///
/// In a document the id is the field `_id`: a UUID is binary of subtype 4, bytes are binary of subtype 0, an integer is
/// Int32 where it fits and Int64 else. Serde sees the same in BSON; in formats for people a UUID is
/// `{"$uuid": "…"}` and bytes are `{"$binary": …}`, so that an id reads back as what it was.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DocumentId {
    /// A UUID, version 7 when generated here.
    Uuid(Uuid),
    /// Text; an empty one is allowed.
    String(String),
    /// A signed integer.
    Int(i64),
    /// Bytes; none is allowed.
    Bytes(Vec<u8>),
}

thread_local! {
    /// Counts within a millisecond, so that ids made by one thread ascend. One per thread, so that threads share nothing.
    static SEQUENCE: ContextV7 = const { ContextV7::new() };
}

impl DocumentId {
    /// A new UUID of version 7: 48 bits of milliseconds, a counter, and random bits.
    ///
    /// Ids made by one thread ascend as long as the clock does not go back by more than the generator smooths over; those of
    /// several threads ascend from millisecond to millisecond.
    pub fn generate() -> DocumentId {
        DocumentId::Uuid(SEQUENCE.with(|sequence| Uuid::new_v7(uuid::Timestamp::now(sequence))))
    }

    /// Appends the key of this id: its [`order_key`] encoding, ascending. A UUID takes 22 bytes, an integer at most 21.
    ///
    /// # Errors
    ///
    /// [`DocumentError::KeyTooLong`] above [`MAX_KEY_BYTES`]; `out` is then as it was.
    pub fn to_key(&self, out: &mut Vec<u8>) -> Result<(), DocumentError> {
        let start = out.len();
        order_key::encode(self.to_raw(), Direction::Ascending, out);
        let length_bytes = out.len() - start;
        if length_bytes > MAX_KEY_BYTES {
            out.truncate(start);
            return Err(DocumentError::KeyTooLong { length_bytes, limit_bytes: MAX_KEY_BYTES });
        }
        Ok(())
    }

    /// Reads an id back from its whole key.
    ///
    /// # Errors
    ///
    /// [`DocumentError::MalformedBson`] if the bytes are not a key, or go on behind it; [`DocumentError::IdType`] if
    /// it is the key of something else.
    pub fn from_key(key: &[u8]) -> Result<DocumentId, DocumentError> {
        let mut rest = key;
        let value = order_key::decode(&mut rest, Direction::Ascending)?;
        if !rest.is_empty() {
            return Err(DocumentError::bson(key.len() - rest.len(), "not a key: bytes behind the id"));
        }
        DocumentId::try_from(value)
    }

    /// The id as a BSON value, without copying.
    pub fn to_raw(&self) -> RawBsonRef<'_> {
        match self {
            DocumentId::Uuid(uuid) => binary(BinarySubtype::Uuid, uuid.as_bytes()),
            DocumentId::Bytes(bytes) => binary(BinarySubtype::Generic, bytes),
            DocumentId::String(text) => RawBsonRef::String(text),
            DocumentId::Int(integer) => match i32::try_from(*integer) {
                Ok(small) => RawBsonRef::Int32(small),
                Err(_) => RawBsonRef::Int64(*integer),
            },
        }
    }

    /// Where the kind of id stands in the order of keys.
    fn rank(&self) -> u8 {
        match self {
            DocumentId::Int(_) => 0,
            DocumentId::String(_) => 1,
            DocumentId::Bytes(_) | DocumentId::Uuid(_) => 2,
        }
    }

    /// The bytes of a binary id.
    fn bytes(&self) -> &[u8] {
        match self {
            DocumentId::Bytes(bytes) => bytes,
            DocumentId::Uuid(uuid) => uuid.as_bytes(),
            DocumentId::String(_) | DocumentId::Int(_) => &[],
        }
    }
}

fn binary(subtype: BinarySubtype, bytes: &[u8]) -> RawBsonRef<'_> {
    RawBsonRef::Binary(RawBinaryRef { subtype, bytes })
}

impl Ord for DocumentId {
    fn cmp(&self, other: &DocumentId) -> Ordering {
        match (self, other) {
            (DocumentId::Int(a), DocumentId::Int(b)) => a.cmp(b),
            (DocumentId::String(a), DocumentId::String(b)) => a.cmp(b),
            (a, b) => {
                let is_uuid = |id: &DocumentId| matches!(id, DocumentId::Uuid(_));
                (a.rank(), a.bytes().len(), is_uuid(a), a.bytes()).cmp(&(
                    b.rank(),
                    b.bytes().len(),
                    is_uuid(b),
                    b.bytes(),
                ))
            }
        }
    }
}

impl PartialOrd for DocumentId {
    fn partial_cmp(&self, other: &DocumentId) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A UUID with hyphens, a string as it is, an integer in decimal, bytes in hexadecimal behind `0x`.
impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DocumentId::Uuid(uuid) => uuid.hyphenated().fmt(f),
            DocumentId::String(text) => text.fmt(f),
            DocumentId::Int(integer) => integer.fmt(f),
            DocumentId::Bytes(bytes) => {
                f.write_str("0x")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

impl<'a> TryFrom<RawBsonRef<'a>> for DocumentId {
    type Error = DocumentError;

    /// Takes a value of a type that can be an id.
    fn try_from(value: RawBsonRef<'a>) -> Result<DocumentId, DocumentError> {
        let unfit = DocumentError::IdType { found: type_name(value.element_type()) };
        match value {
            RawBsonRef::Int32(integer) => Ok(DocumentId::Int(integer.into())),
            RawBsonRef::Int64(integer) => Ok(DocumentId::Int(integer)),
            RawBsonRef::String(text) => Ok(DocumentId::String(text.to_owned())),
            RawBsonRef::Binary(binary) => match binary.subtype {
                BinarySubtype::Generic => Ok(DocumentId::Bytes(binary.bytes.to_vec())),
                BinarySubtype::Uuid => match Uuid::from_slice(binary.bytes) {
                    Ok(uuid) => Ok(DocumentId::Uuid(uuid)),
                    Err(_) => Err(DocumentError::IdType { found: "UUID of other than 16 bytes" }),
                },
                _ => Err(DocumentError::IdType { found: "binary of a subtype other than 0 and 4" }),
            },
            _ => Err(unfit),
        }
    }
}

impl TryFrom<Bson> for DocumentId {
    type Error = DocumentError;

    /// Takes a value of a type that can be an id.
    fn try_from(value: Bson) -> Result<DocumentId, DocumentError> {
        match value {
            Bson::Int32(integer) => Ok(DocumentId::Int(integer.into())),
            Bson::Int64(integer) => Ok(DocumentId::Int(integer)),
            Bson::String(text) => Ok(DocumentId::String(text)),
            Bson::Binary(value) => DocumentId::try_from(binary(value.subtype, &value.bytes)),
            other => Err(DocumentError::IdType { found: type_name(other.element_type()) }),
        }
    }
}

impl From<Uuid> for DocumentId {
    fn from(uuid: Uuid) -> DocumentId {
        DocumentId::Uuid(uuid)
    }
}

impl From<String> for DocumentId {
    fn from(text: String) -> DocumentId {
        DocumentId::String(text)
    }
}

impl From<&str> for DocumentId {
    fn from(text: &str) -> DocumentId {
        DocumentId::String(text.to_owned())
    }
}

impl From<i64> for DocumentId {
    fn from(integer: i64) -> DocumentId {
        DocumentId::Int(integer)
    }
}

impl From<i32> for DocumentId {
    fn from(integer: i32) -> DocumentId {
        DocumentId::Int(integer.into())
    }
}

impl From<u32> for DocumentId {
    fn from(integer: u32) -> DocumentId {
        DocumentId::Int(integer.into())
    }
}

impl From<Vec<u8>> for DocumentId {
    fn from(bytes: Vec<u8>) -> DocumentId {
        DocumentId::Bytes(bytes)
    }
}

impl From<&[u8]> for DocumentId {
    fn from(bytes: &[u8]) -> DocumentId {
        DocumentId::Bytes(bytes.to_vec())
    }
}

impl From<&DocumentId> for DocumentId {
    fn from(id: &DocumentId) -> DocumentId {
        id.clone()
    }
}

impl Serialize for DocumentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            DocumentId::String(text) => serializer.serialize_str(text),
            DocumentId::Int(integer) => serializer.serialize_i64(*integer),
            DocumentId::Uuid(uuid) if serializer.is_human_readable() => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("$uuid", &uuid.hyphenated().to_string())?;
                map.end()
            }
            DocumentId::Uuid(uuid) => bson::Uuid::from_bytes(*uuid.as_bytes()).serialize(serializer),
            DocumentId::Bytes(bytes) if serializer.is_human_readable() => {
                let body =
                    BTreeMap::from([("base64", BASE64_STANDARD.encode(bytes)), ("subType", "00".to_owned())]);
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("$binary", &body)?;
                map.end()
            }
            DocumentId::Bytes(bytes) => serializer.serialize_bytes(bytes),
        }
    }
}

impl<'de> Deserialize<'de> for DocumentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DocumentId, D::Error> {
        DocumentId::try_from(Bson::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
