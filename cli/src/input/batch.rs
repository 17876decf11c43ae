//! What one transaction will write: the JSON text of some records, each with its place in the input.
//!
//! A batch is filled, used and cleared again and again, so that a long import allocates nothing per record.

use super::RecordError;
use std::ops::Range;

/// Some records of the input.
#[derive(Default)]
pub(crate) struct Batch {
    text: Vec<u8>,
    records: Vec<Record>,
}

/// Where a record begins in the input, both from 1; the column in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

struct Record {
    place: Place,
    text: Result<Range<usize>, RecordError>,
}

impl Batch {
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.records.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The JSON text of all records together, in bytes.
    pub(crate) fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// Appends a record of which `write` appends the JSON text, or says why there is none.
    pub(crate) fn push_with(
        &mut self,
        place: Place,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), RecordError>,
    ) {
        let start = self.text.len();
        let written = write(&mut self.text);
        if written.is_err() {
            self.text.truncate(start);
        }
        let text = written.map(|()| start..self.text.len());
        self.records.push(Record { place, text });
    }

    /// Each record: where it began, and its JSON text or why it cannot be used.
    pub(crate) fn records(&self) -> impl Iterator<Item = (Place, Result<&[u8], &RecordError>)> {
        self.records.iter().map(|record| {
            let text = record.text.as_ref().map(|range| &self.text[range.clone()]);
            (record.place, text)
        })
    }
}
