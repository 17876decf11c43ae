//! What can be wrong with the input as a whole, and with one record of it.

use super::Place;
use skipstone::document::DocumentError;
use std::io;

/// The input cannot be read any further.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error("cannot read {name}: {source}")]
    Io { name: String, source: io::Error },
    #[error("{name}: not a JSON array: it begins with {found:?}; `--format` says what it is")]
    NotAnArray { name: String, found: char },
    #[error("{name}, line {line}: the JSON array is not closed; the input seems to be cut short")]
    ArrayNotClosed { name: String, line: u64 },
    #[error("{name}, line {line}: there is more behind the end of the JSON array; one array is read")]
    BehindArray { name: String, line: u64 },
    #[error(
        "{name}, line 1: the header row names the column {column:?} twice; give each column a name of its own"
    )]
    DuplicateColumn { name: String, column: String },
    #[error("{name}, line 1: the header row is not UTF-8; convert the file to UTF-8")]
    HeaderNotUtf8 { name: String },
    #[error("{name}: no header row; the first line of CSV names the columns")]
    NoHeader { name: String },
}

/// One record cannot be imported; those behind it can.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error("the document has no field {field:?} to take its id from")]
    NoIdField { field: String },
    #[error("the document has the `_id` {own} already, which is not what its field {field:?} says")]
    OtherId { field: String, own: String },
    #[error("a document with the id {id} exists already in the collection")]
    Exists { id: String },
    #[error("the record is longer than {} MiB", limit_bytes >> 20)]
    TooLong { limit_bytes: usize },
    #[error("an element is missing: there is a comma too many")]
    NoElement,
    #[error("the row has {found} cells, the header row has {expected}")]
    Ragged { expected: usize, found: usize },
    #[error("the cell in column {column:?} is not UTF-8")]
    CellNotUtf8 { column: String },
}

/// Says what is wrong with a record, and where in the input.
///
/// A place inside the record, as the parser of its text reports it, becomes a place in the input.
pub(crate) fn located(name: &str, place: Place, error: &RecordError) -> String {
    match error {
        RecordError::Document(DocumentError::MalformedJson { line, column, reason, .. }) if *line > 0 => {
            let (line, column) = inside(place, *line, *column);
            format!("{name}, line {line}, column {column}: malformed JSON: {reason}")
        }
        RecordError::Document(DocumentError::DuplicateField { name: field, line, column, .. })
            if *line > 0 =>
        {
            let (line, column) = inside(place, *line, *column);
            format!(
                "{name}, line {line}, column {column}: the object that ends here has two fields {field:?}"
            )
        }
        other => format!("{name}, line {}: {other}", place.line),
    }
}

/// The place in the input of a place in a record; lines and columns count from 1.
fn inside(record: Place, line: usize, column: usize) -> (u64, u64) {
    let (line, column) = (line as u64, column as u64);
    let column = if line == 1 { record.column + column.saturating_sub(1) } else { column };
    (record.line + line - 1, column)
}
