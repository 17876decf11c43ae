//! The field `_id`: read from a document, or put into it, always as the first.

use bson::{RawDocument, RawDocumentBuf};

use super::Limits;
use crate::document::raw::{
    LENGTH_BYTES, RawValue, begin_document, begin_element, elements_with_bytes, end_document, set_length,
};
use crate::document::{DocumentError, DocumentId};

/// The field that holds a document's id.
pub const ID_FIELD: &str = "_id";

/// The document with this id, as its first field, in place of any other.
///
/// Returned as it is if it begins with that id already; else its bytes are moved or copied once.
///
/// # Errors
///
/// [`DocumentError::TooLarge`] if it is too large with the id, [`DocumentError::MalformedBson`] if it never was checked.
pub fn with_id(
    document: RawDocumentBuf,
    id: &DocumentId,
    limits: &Limits,
) -> Result<RawDocumentBuf, DocumentError> {
    if begins_with_id(&document, id) {
        return Ok(document);
    }
    let has_id = !matches!(document.get(ID_FIELD), Ok(None));
    put_in_front(document, id, has_id, limits)
}

/// The id of a document, from its field `_id`, else a new UUID; and the document with the id as its first field.
///
/// # Errors
///
/// [`DocumentError::IdType`] if `_id` is there with a type that cannot be an id, and those of [`with_id`].
pub fn take_or_generate_id(
    document: RawDocumentBuf,
    limits: &Limits,
) -> Result<(DocumentId, RawDocumentBuf), DocumentError> {
    match document.get(ID_FIELD).map_err(|error| DocumentError::bson(0, error.to_string()))? {
        Some(value) => {
            let id = DocumentId::try_from(value)?;
            let document = with_id(document, &id, limits)?;
            Ok((id, document))
        }
        None => {
            let id = DocumentId::generate();
            let document = put_in_front(document, &id, false, limits)?;
            Ok((id, document))
        }
    }
}

fn put_in_front(
    document: RawDocumentBuf,
    id: &DocumentId,
    has_id: bool,
    limits: &Limits,
) -> Result<RawDocumentBuf, DocumentError> {
    let value = RawValue::new(id.to_raw());
    let mut element = Vec::with_capacity(value.bytes.len() + ID_FIELD.len() + 2);
    begin_element(&mut element, value.kind, ID_FIELD);
    element.extend_from_slice(&value.bytes);
    let mut out = if has_id { without_id(&document)? } else { document.into_bytes() };
    out.splice(LENGTH_BYTES..LENGTH_BYTES, element);
    limits.check_bytes(out.len())?;
    set_length(&mut out, 0);
    RawDocumentBuf::from_bytes(out).map_err(|error| DocumentError::bson(0, error.to_string()))
}

fn begins_with_id(document: &RawDocument, id: &DocumentId) -> bool {
    match document.iter().next() {
        Some(Ok((name, value))) => {
            name.as_str() == ID_FIELD && DocumentId::try_from(value).is_ok_and(|found| found == *id)
        }
        _ => false,
    }
}

fn without_id(document: &RawDocument) -> Result<Vec<u8>, DocumentError> {
    let mut out = Vec::with_capacity(document.as_bytes().len());
    let start = begin_document(&mut out);
    for element in elements_with_bytes(document) {
        let (element, bytes) = element?;
        if element.key().as_str() != ID_FIELD {
            out.extend_from_slice(bytes);
        }
    }
    end_document(&mut out, start);
    Ok(out)
}
