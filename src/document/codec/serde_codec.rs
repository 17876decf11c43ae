//! Any serde type to a document, and back.

use bson::error::{Error, ErrorKind};
use bson::{RawDocument, RawDocumentBuf};
use serde::{Deserialize, Serialize};

use super::{Limits, validate};
use crate::document::DocumentError;

/// Turns a value that serialises as a map or struct into a document.
///
/// Signed integers up to 32 bits become Int32, the others Int64. Formats that BSON has types for are taken from the types of the
/// `bson` crate: `bson::DateTime`, `bson::Uuid` and so on (a plain `uuid::Uuid` serialises as bytes).
///
/// Costs one pass to write and one to check.
///
/// # Errors
///
/// [`DocumentError::NotAnObject`], [`DocumentError::NumberRange`] for an unsigned integer above `i64::MAX`,
/// [`DocumentError::FieldName`], [`DocumentError::Serde`] for what the type itself reports, and those of
/// [`validate`](super::validate).
pub fn from_serde<T: Serialize + ?Sized>(
    value: &T,
    limits: &Limits,
) -> Result<RawDocumentBuf, DocumentError> {
    let bytes = bson::serialize_to_vec(&value).map_err(refuse)?;
    // Raw documents inside the value are copied as they are, so nothing vouches for the whole yet.
    validate(&bytes, limits)?;
    RawDocumentBuf::from_bytes(bytes).map_err(refuse)
}

/// Reads a document as any type that deserialises, which may borrow text and bytes from it.
///
/// # Errors
///
/// [`DocumentError::Serde`] if the document is not of that shape.
pub fn to_serde<'de, T: Deserialize<'de>>(document: &'de RawDocument) -> Result<T, DocumentError> {
    bson::deserialize_from_slice(document.as_bytes())
        .map_err(|error| DocumentError::Serde { reason: error.to_string() })
}

/// The typed form of what the `bson` crate reports when it writes.
pub(crate) fn refuse(error: Error) -> DocumentError {
    const NOT_A_DOCUMENT: &str = "attempted to encode a non-document type at the top level: ";
    const NUL_IN_NAME: &str = "cstring with interior null: ";
    let message = error.message.as_deref().unwrap_or_default();
    if let ErrorKind::TooLargeUnsignedInteger { n, .. } = error.kind {
        return DocumentError::NumberRange { number: n.to_string(), target: "a 64-bit signed integer" };
    }
    if let Some(kind) = message.strip_prefix(NOT_A_DOCUMENT) {
        return DocumentError::NotAnObject { found: kind.to_lowercase() };
    }
    match message.strip_prefix(NUL_IN_NAME) {
        // The name is there in its escaped form.
        Some(name) => DocumentError::FieldName { name: name.trim_matches('"').replace("\\0", "\0") },
        None => DocumentError::Serde { reason: error.to_string() },
    }
}
