//! Documents as callers hold them: borrowed from a snapshot or transaction, or their own.

use super::{Error, Result};
use crate::document::stored::decode;
use crate::document::{self, DocumentError, DocumentId, ID_FIELD};
use crate::lsn::Lsn;
use crate::txn::Change;
use bson::{RawDocument, RawDocumentBuf};
use serde::Deserialize;
use std::borrow::Cow;

/// The stored form of a document.
pub(super) fn encode<'d>(version: u64, raw: impl Into<Cow<'d, RawDocument>>) -> Change<'d> {
    let body = match raw.into() {
        Cow::Borrowed(raw) => Cow::Borrowed(raw.as_bytes()),
        Cow::Owned(raw) => Cow::Owned(raw.into_bytes()),
    };
    Change::Put { head: version.to_le_bytes(), body, patch: None }
}

/// Fails for a stored value that is not one.
pub(super) fn check(value: &[u8], collection: &str, key: &[u8]) -> Result<()> {
    let not_one = || Error::NotADocument { collection: collection.to_owned(), key: key.to_vec() };
    decode(value).map(drop).ok_or_else(not_one)
}

/// A document, read in place: it borrows from the snapshot or transaction it was read through.
#[derive(Clone, Debug)]
pub struct DocRef<'a> {
    /// Checked by [`check`] when it was made.
    value: Cow<'a, [u8]>,
    lsn: Option<Lsn>,
}

/// A document of its own.
pub type Document = DocRef<'static>;

impl<'a> DocRef<'a> {
    pub(super) fn new(
        value: Cow<'a, [u8]>,
        lsn: Option<Lsn>,
        collection: &str,
        key: &[u8],
    ) -> Result<DocRef<'a>> {
        check(&value, collection, key)?;
        Ok(DocRef { value, lsn })
    }

    /// The document's fields, `_id` first. No copy, no decoding.
    pub fn raw(&self) -> &RawDocument {
        let (_, raw) = decode(&self.value).expect("checked when it was made");
        raw
    }

    /// How often it was written: 1 when it was inserted, and 1 more with each update.
    pub fn version(&self) -> u64 {
        let (version, _) = decode(&self.value).expect("checked when it was made");
        version
    }

    /// Where it was committed; none if this transaction wrote it and has not committed yet.
    pub fn position(&self) -> Option<Lsn> {
        self.lsn
    }

    /// Its id.
    ///
    /// # Errors
    /// If the document was damaged before it was stored, which verification reports.
    pub fn id(&self) -> Result<DocumentId> {
        let id = self.raw().get(ID_FIELD).ok().flatten();
        let id = id.ok_or(DocumentError::IdType { found: "nothing" })?;
        Ok(DocumentId::try_from(id)?)
    }

    /// A field's value in place, if it is there; of several fields with one name, the first.
    pub fn get(&self, field: &str) -> Option<bson::RawBsonRef<'_>> {
        self.raw().get(field).ok().flatten()
    }

    /// Decodes it into any type that serde can make of it.
    ///
    /// # Errors
    /// If the type asks for what the document does not have.
    pub fn to<'de, T: Deserialize<'de>>(&'de self) -> Result<T> {
        Ok(document::to_serde(self.raw())?)
    }

    /// Its JSON, as relaxed extended JSON.
    ///
    /// # Errors
    /// If a value in it has no JSON form.
    pub fn to_json(&self) -> Result<String> {
        let mut out = Vec::new();
        document::raw_to_json(self.raw(), &mut out)?;
        Ok(String::from_utf8(out).expect("the writer writes UTF-8"))
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> Document {
        DocRef { value: Cow::Owned(self.value.into_owned()), lsn: self.lsn }
    }

    /// A copy of the fields.
    pub fn to_raw_buf(&self) -> RawDocumentBuf {
        self.raw().to_owned()
    }
}

impl PartialEq for DocRef<'_> {
    /// The same version with the same fields.
    fn eq(&self, other: &DocRef<'_>) -> bool {
        self.value == other.value
    }
}
