//! What goes in and out, good and bad.

mod bson_bytes;
mod ids_and_types;
mod json_in;
mod json_out;

use bson::RawDocumentBuf;

use super::{Limits, json_to_raw};
use crate::document::DocumentError;

fn read(text: &str) -> Result<RawDocumentBuf, DocumentError> {
    json_to_raw(text.as_bytes(), &Limits::default())
}

fn raw(document: bson::Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).expect("test documents are valid")
}
