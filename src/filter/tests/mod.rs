//! Filters: each operator, the documented table, a model, round trips, and what is refused.

mod model;
mod operators;
mod order;
mod properties;
mod refused;
mod table;

use bson::{Document, RawDocumentBuf};

use super::{Filter, LIMITS};
use crate::document::IntoDocument;

fn raw(document: &Document) -> RawDocumentBuf {
    document.into_document(&LIMITS).expect("a document")
}

fn read(filter: &Document) -> Filter {
    Filter::from_document(filter).unwrap_or_else(|error| panic!("{filter}: {error}"))
}

fn written(filter: &Filter) -> Document {
    filter.to_document().expect("no mistake in it")
}
