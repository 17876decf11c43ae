//! The stored form of a document: its version (`u64`, little-endian), then its BSON.

use super::{DocumentError, DocumentId, ID_FIELD, Limits, validate};
use bson::RawDocument;

pub(crate) const VERSION_BYTES: usize = 8;

/// What a document of some fields has room in.
const USUAL_BYTES: usize = 128;

/// The longest value of a store, a document with its version or any other: pages say lengths in 31 bits.
pub(crate) const VALUE_BYTES_MAX: usize = i32::MAX as usize;

/// Whatever limits a store was written with, no document is beyond these.
const LIMITS: Limits = Limits { max_document_bytes: Limits::BYTES_CEILING, max_depth: Limits::DEPTH_CEILING };

/// What a store writes, version and BSON joined.
#[cfg(all(test, not(any(loom, shuttle))))]
pub(crate) fn encode(version: u64, raw: &RawDocument) -> Vec<u8> {
    let mut value = Vec::with_capacity(VERSION_BYTES + raw.as_bytes().len());
    value.extend_from_slice(&version.to_le_bytes());
    value.extend_from_slice(raw.as_bytes());
    value
}

/// The beginning of the form, for a document that is none of the store's and has no version.
pub(crate) fn begin_unversioned() -> Vec<u8> {
    let mut value = Vec::with_capacity(USUAL_BYTES);
    value.extend_from_slice(&[0; VERSION_BYTES]);
    value
}

/// The version and the document of a stored value, in place. Looks at the document's length and its end.
pub(crate) fn decode(value: &[u8]) -> Option<(u64, &RawDocument)> {
    let (version, raw) = value.split_first_chunk::<VERSION_BYTES>()?;
    Some((u64::from_le_bytes(*version), RawDocument::from_bytes(raw).ok()?))
}

/// Checks all of a stored value: that it is a document, and the one that belongs under `key`.
pub(crate) fn check(key: &[u8], value: &[u8]) -> Result<(), DocumentError> {
    let Some((version, raw)) = value.split_first_chunk::<VERSION_BYTES>() else {
        return Err(DocumentError::bson(0, "shorter than the version of a document"));
    };
    if u64::from_le_bytes(*version) == 0 {
        return Err(DocumentError::bson(0, "a document of version 0"));
    }
    let raw = validate(raw, &LIMITS)?;
    let id = raw.get(ID_FIELD).map_err(|error| DocumentError::bson(0, error.to_string()))?;
    let id = DocumentId::try_from(id.ok_or(DocumentError::IdType { found: "nothing" })?)?;
    let mut expected = Vec::new();
    id.to_key(&mut expected)?;
    let belongs = expected == key;
    if belongs {
        Ok(())
    } else {
        Err(DocumentError::bson(0, format!("its id {id} belongs under another key")))
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use bson::rawdoc;

    fn key(id: impl Into<DocumentId>) -> Vec<u8> {
        let mut key = Vec::new();
        id.into().to_key(&mut key).unwrap();
        key
    }

    #[test]
    fn what_was_stored_is_read_and_passes() {
        let raw = rawdoc! { "_id": 7, "name": "aachen" };
        let value = encode(3, &raw);
        assert_eq!(decode(&value), Some((3, &*raw)));
        assert_eq!(check(&key(7), &value), Ok(()));
    }

    #[test]
    fn a_document_that_is_none_or_belongs_elsewhere_is_refused() {
        let good = encode(1, &rawdoc! { "_id": 7, "name": "aachen" });
        assert!(check(&key(8), &good).is_err());
        assert!(check(&key(7), &encode(0, &rawdoc! { "_id": 7 })).is_err());
        assert!(check(&key(7), &encode(1, &rawdoc! { "name": "aachen" })).is_err());
        assert!(check(&key(7), &encode(1, &rawdoc! { "_id": 7.5 })).is_err());
        for len in 0..good.len() {
            assert!(check(&key(7), &good[..len]).is_err(), "{len} bytes");
        }
        let mut no_text = good.clone();
        let at = good.windows(6).position(|window| window == b"aachen").unwrap();
        no_text[at] = 0xff;
        assert!(decode(&no_text).is_some(), "a look at both ends does not see it");
        assert!(check(&key(7), &no_text).is_err());
    }
}
