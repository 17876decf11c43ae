//! From the text of a record to a document with its id.

use crate::input::{Place, RecordError};
use skipstone::bson::RawDocumentBuf;
use skipstone::document::{self, DocumentError, ID_FIELD};
use skipstone::{DocumentId, IntoDocument, Limits};

/// A document that is ready to be written, and the place of its record.
pub(super) struct Prepared {
    pub(super) place: Place,
    pub(super) id: DocumentId,
    raw: RawDocumentBuf,
}

/// Parses and checks a record. Its id comes from `id_field`, else from `_id`, else it is new.
pub(super) fn prepare(place: Place, text: &[u8], id_field: Option<&str>) -> Result<Prepared, RecordError> {
    let limits = Limits::default();
    let raw = document::json_to_raw(text, &limits)?;
    let (id, raw) = match id_field {
        None => document::take_or_generate_id(raw, &limits)?,
        Some(field) => {
            let id = id_of(&raw, field)?;
            let raw = document::with_id(raw, &id, &limits)?;
            (id, raw)
        }
    };
    id.to_key(&mut Vec::new())?;
    Ok(Prepared { place, id, raw })
}

fn id_of(raw: &RawDocumentBuf, field: &str) -> Result<DocumentId, RecordError> {
    let value = |name| raw.get(name).ok().flatten();
    let found = value(field).ok_or_else(|| RecordError::NoIdField { field: field.to_owned() })?;
    let id = DocumentId::try_from(found)?;
    match value(ID_FIELD).map(DocumentId::try_from).transpose()? {
        Some(own) if own != id => Err(RecordError::OtherId { field: field.to_owned(), own: own.to_string() }),
        _ => Ok(id),
    }
}

impl IntoDocument for &Prepared {
    /// Was checked when it was prepared.
    fn into_document(self, _: &Limits) -> Result<RawDocumentBuf, DocumentError> {
        Ok(self.raw.clone())
    }
}
