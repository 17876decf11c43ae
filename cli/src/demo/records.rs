//! The demo's input: real public records. `data/README.md` has their origin and licence.

use skipstone::bson::RawDocument;
use skipstone::document::{self, ID_FIELD};

/// What the records are, in a line.
pub(super) const ORIGIN: &str =
    "changes of the clocks all over the world, 2009 to 2024, from the tz database 2025b (public domain)";
/// What messages call the file.
pub(super) const NAME: &str = "clock-changes.ndjson";
/// One JSON object a line.
pub(super) const TEXT: &[u8] = include_bytes!("../../data/clock-changes.ndjson");

/// The records, each as the text of an object.
pub(super) fn all() -> Vec<&'static [u8]> {
    TEXT.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).collect()
}

/// Whether a stored document is this record with an id.
pub(super) fn is_same(stored: &RawDocument, id: i64, record: &[u8]) -> bool {
    let mut json = Vec::new();
    let (Ok(()), Ok(serde_json::Value::Object(mut expected))) =
        (document::raw_to_json(stored, &mut json), serde_json::from_slice(record))
    else {
        return false;
    };
    expected.insert(ID_FIELD.to_owned(), id.into());
    serde_json::from_slice(&json).is_ok_and(|found: serde_json::Map<_, _>| found == expected)
}
