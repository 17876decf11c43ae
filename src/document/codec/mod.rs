//! Bytes in and out: whatever a caller has becomes checked BSON, and BSON becomes whatever a caller wants.

mod extended_json;
mod id_field;
mod into_document;
mod json_reader;
mod json_writer;
mod limits;
mod raw_writer;
mod serde_codec;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
mod validate;

pub use id_field::{ID_FIELD, take_or_generate_id, with_id};
pub use into_document::{IntoDocument, Json, Serde};
pub use json_reader::json_to_raw;
use json_reader::json_value_to_raw;
pub(crate) use json_writer::json_line;
pub use json_writer::raw_to_json;
pub use limits::Limits;
pub(super) use serde_codec::refuse as refuse_bson;
pub use serde_codec::{from_serde, to_serde};
pub use validate::validate;
