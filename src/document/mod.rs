//! Documents: schemaless maps of fields, kept as raw BSON and read in place.
//!
//! | module | job |
//! | --- | --- |
//! | `codec` | bytes in and out: limits, validation, JSON, serde, the `_id` field |
//! | `find` | one field of an object |
//! | `id` | what identifies a document, and its key |
//! | [`order_key`] | the order of values, and keys whose byte order is that order |
//! | `path` | naming a field inside a document, finding it in place |
//! | `patch` | changes to single fields |
//! | `stored` | a document as a value of the store, with its version |
//!
//! Everything here is a pure function of its arguments: no threads, no I/O, no store. Nothing that comes from outside
//! reaches the rest of the store before [`validate`] or a writer of this module has vouched for it.

mod codec;
mod error;
mod find;
mod id;
pub mod order_key;
mod patch;
mod path;
mod raw;
pub(crate) mod stored;
#[cfg(all(test, not(any(loom, shuttle))))]
pub(crate) mod test_values;

pub(crate) use codec::json_line;
pub use codec::{
    ID_FIELD, IntoDocument, Json, Limits, Serde, from_serde, json_to_raw, raw_to_json, take_or_generate_id,
    to_serde, validate, with_id,
};
pub use error::DocumentError;
pub(crate) use find::{find_field, locate_field};
pub use id::{DocumentId, MAX_KEY_BYTES};
pub(crate) use patch::Increments;
pub use patch::Patch;
pub(crate) use path::parse_index;
pub use path::{FieldPath, get};
pub(crate) use raw::{
    LENGTH_BYTES, begin_document, begin_element, end_document, push_length, push_string, type_name,
};
