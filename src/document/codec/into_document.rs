//! What callers may hand over where a document is wanted.

use bson::{Document, RawDocument, RawDocumentBuf};
use serde::Serialize;

use super::{Limits, from_serde, json_to_raw, json_value_to_raw, refuse_bson, validate};
use crate::document::DocumentError;

/// Something that can become a document.
///
/// ```
/// use skipstone::document::{IntoDocument, Json, Limits, Serde};
///
/// #[derive(serde::Serialize)]
/// struct Town { name: &'static str, people: i32 }
///
/// let limits = Limits::default();
/// let from_text = Json(r#"{"name": "Aachen", "people": 249070}"#).into_document(&limits)?;
/// let from_type = Serde(Town { name: "Aachen", people: 249_070 }).into_document(&limits)?;
/// let from_bson = bson::doc! { "name": "Aachen", "people": 249_070 }.into_document(&limits)?;
/// assert_eq!(from_text, from_type);
/// assert_eq!(from_type, from_bson);
/// # Ok::<(), skipstone::document::DocumentError>(())
/// ```
pub trait IntoDocument {
    /// The checked document. What is raw already is checked in place; a borrowed one is then copied.
    ///
    /// # Errors
    ///
    /// Every reason to refuse a document that [`DocumentError`] names.
    fn into_document(self, limits: &Limits) -> Result<RawDocumentBuf, DocumentError>;
}

/// JSON text, as `&str`, `String` or bytes; see [`json_to_raw`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// Any type that serialises as a map or struct, or a reference to one; see [`from_serde`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serde<T>(pub T);

impl<T: AsRef<[u8]>> IntoDocument for Json<T> {
    fn into_document(self, limits: &Limits) -> Result<RawDocumentBuf, DocumentError> {
        json_to_raw(self.0.as_ref(), limits)
    }
}

impl<T: Serialize> IntoDocument for Serde<T> {
    fn into_document(self, limits: &Limits) -> Result<RawDocumentBuf, DocumentError> {
        from_serde(&self.0, limits)
    }
}

impl IntoDocument for RawDocumentBuf {
    fn into_document(self, limits: &Limits) -> Result<RawDocumentBuf, DocumentError> {
        validate(self.as_bytes(), limits)?;
        Ok(self)
    }
}

impl IntoDocument for &RawDocumentBuf {
    fn into_document(self, limits: &Limits) -> Result<RawDocumentBuf, DocumentError> {
        let raw: &RawDocument = self;
        raw.into_document(limits)
    }
}

impl IntoDocument for &RawDocument {
    fn into_document(self, limits: &Limits) -> Result<RawDocumentBuf, DocumentError> {
        Ok(validate(self.as_bytes(), limits)?.to_owned())
    }
}

impl IntoDocument for Document {
    fn into_document(self, limits: &Limits) -> Result<RawDocumentBuf, DocumentError> {
        (&self).into_document(limits)
    }
}

impl IntoDocument for &Document {
    fn into_document(self, limits: &Limits) -> Result<RawDocumentBuf, DocumentError> {
        RawDocumentBuf::try_from(self).map_err(refuse_bson)?.into_document(limits)
    }
}

impl IntoDocument for serde_json::Value {
    fn into_document(self, limits: &Limits) -> Result<RawDocumentBuf, DocumentError> {
        json_value_to_raw(&self, limits)
    }
}

impl IntoDocument for &serde_json::Value {
    fn into_document(self, limits: &Limits) -> Result<RawDocumentBuf, DocumentError> {
        json_value_to_raw(self, limits)
    }
}
