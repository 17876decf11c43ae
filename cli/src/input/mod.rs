//! Records from files and pipes: NDJSON, a JSON array, or CSV with a header row.
//!
//! | module | job |
//! | --- | --- |
//! | `batch` | some records with their places, as JSON text |
//! | `lines`, `array` | where in the text the next record ends |
//! | `text` | reads text in chunks, and cuts it by `lines` or `array` |
//! | `table` | CSV rows as JSON text |
//! | `error` | what can be wrong with the input, and with one record of it |
//!
//! Nothing here holds more than one batch and one chunk in memory, however long the input is. Whether a record is a
//! document is not decided here: that is the library's.

mod array;
mod batch;
mod error;
mod lines;
mod table;
mod text;

pub(crate) use batch::{Batch, Place};
pub(crate) use error::{InputError, RecordError, located};

use crate::args::{Cells, InputFormat};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use table::TableRecords;
use text::TextRecords;

/// A batch ends with the record that fills it up to this many bytes of text, so that many large documents do not
/// become one enormous transaction.
const BATCH_BYTES_MAX: usize = 16 << 20;
/// The longest text of one record. A document has 16 MiB at most as BSON; the rest is room for JSON's longer forms.
const RECORD_BYTES_MAX: usize = 64 << 20;
/// How much of the start is looked at to tell an array from lines.
const SNIFFED_BYTES_MAX: usize = 64 << 10;

type Source = Box<dyn Read + Send>;
/// A source of which the beginning was read already.
type Rewound = io::Chain<io::Cursor<Vec<u8>>, Source>;

/// An open input.
pub(crate) struct Input {
    name: String,
    bytes_total: Option<u64>,
    records: Records,
}

enum Records {
    Text(TextRecords<Rewound>),
    Table(TableRecords<Rewound>),
}

impl Input {
    /// Opens a file, or standard input for `-`.
    pub(crate) fn open(path: &Path, format: Option<InputFormat>, cells: Cells) -> Result<Input, InputError> {
        if path.as_os_str() == "-" {
            return Input::new("standard input".to_owned(), None, Box::new(io::stdin()), format, cells);
        }
        let name = path.display().to_string();
        let failed = |source| InputError::Io { name: name.clone(), source };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let bytes_total = metadata.is_file().then_some(metadata.len());
        let by_name = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        let format = format.or(by_name.then_some(InputFormat::Csv));
        Input::new(name, bytes_total, Box::new(file), format, cells)
    }

    /// Input from anywhere; `name` is for messages. Without a format the first byte tells an array from lines.
    pub(crate) fn new(
        name: String,
        bytes_total: Option<u64>,
        mut source: Source,
        format: Option<InputFormat>,
        cells: Cells,
    ) -> Result<Input, InputError> {
        let start = sniff(&mut source).map_err(|source| InputError::Io { name: name.clone(), source })?;
        if format == Some(InputFormat::Csv) {
            let table = TableRecords::new(&name, io::Cursor::new(start).chain(source), cells)?;
            return Ok(Input { name, bytes_total, records: Records::Table(table) });
        }
        let starts_array = start.trim_ascii_start().first() == Some(&b'[');
        let is_array = format == Some(InputFormat::Json) || format.is_none() && starts_array;
        let text = TextRecords::new(io::Cursor::new(start).chain(source), is_array);
        Ok(Input { name, bytes_total, records: Records::Text(text) })
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its size in bytes, where that is known before it is read.
    pub(crate) fn bytes_total(&self) -> Option<u64> {
        self.bytes_total
    }

    /// How many bytes were read from it.
    pub(crate) fn bytes_read(&self) -> u64 {
        match &self.records {
            Records::Text(text) => text.bytes_read(),
            Records::Table(table) => table.bytes_read(),
        }
    }

    /// Puts the next records into `batch`, `records_max` at most; none are left when it stays empty.
    pub(crate) fn fill(&mut self, batch: &mut Batch, records_max: usize) -> Result<(), InputError> {
        batch.clear();
        let mut goes_on = true;
        while goes_on && batch.len() < records_max && batch.text_bytes() < BATCH_BYTES_MAX {
            goes_on = match &mut self.records {
                Records::Text(text) => text.advance(&self.name, batch)?,
                Records::Table(table) => table.advance(&self.name, batch)?,
            };
        }
        Ok(())
    }
}

/// Reads up to the first byte that is not blank; a byte order mark is left out.
fn sniff(source: &mut Source) -> io::Result<Vec<u8>> {
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    let mut start = Vec::new();
    while start.len() < BYTE_ORDER_MARK.len()
        || start.trim_ascii_start().is_empty() && start.len() < SNIFFED_BYTES_MAX
    {
        let mut chunk = [0; 4096];
        match source.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => start.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if start.starts_with(BYTE_ORDER_MARK) {
        start.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(start)
}

#[cfg(test)]
mod tests;
