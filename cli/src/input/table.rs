//! CSV with a header row: each row becomes the JSON text of an object.
//!
//! Cells have no types. A cell becomes a number only where nothing is lost by it: an integer that is written the usual way
//! and fits 64 bits, or a decimal of up to 15 digits. `01234`, `+1` and `1e3` stay text. `true` and `false` become
//! booleans, an empty cell becomes null.

use super::{Batch, InputError, Place, RecordError};
use crate::args::Cells;
use std::io::{self, Read};

/// A double holds every decimal of this many digits so that it reads back the same.
const DECIMAL_DIGITS_MAX: usize = 15;

/// Records from CSV.
pub(super) struct TableRecords<R> {
    reader: csv::Reader<io::Chain<R, &'static [u8]>>,
    row: csv::ByteRecord,
    columns: Vec<Column>,
    cells: Cells,
    /// The line feed behind the end was read too.
    ended: bool,
}

struct Column {
    name: String,
    /// The name as JSON, with the colon.
    json: Vec<u8>,
}

impl<R: Read> TableRecords<R> {
    /// Reads the header row.
    pub(super) fn new(name: &str, source: R, cells: Cells) -> Result<TableRecords<R>, InputError> {
        // Rows end with a line feed, always, for then the reader's line counts tell where each began. The carriage return
        // that may stand before it is taken off here.
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .has_headers(false)
            .terminator(csv::Terminator::Any(b'\n'))
            .buffer_capacity(256 << 10)
            .from_reader(source.chain(&b"\n"[..]));
        let mut header = csv::ByteRecord::new();
        reader.read_byte_record(&mut header).map_err(|error| unreadable(name, error))?;
        drop_carriage_return(&mut header);
        if header.is_empty() {
            return Err(InputError::NoHeader { name: name.to_owned() });
        }
        let mut columns: Vec<Column> = Vec::with_capacity(header.len());
        for cell in &header {
            let column =
                std::str::from_utf8(cell).map_err(|_| InputError::HeaderNotUtf8 { name: name.to_owned() })?;
            if columns.iter().any(|earlier| earlier.name == column) {
                return Err(InputError::DuplicateColumn { name: name.to_owned(), column: column.to_owned() });
            }
            let mut json = Vec::new();
            push_text(column, &mut json);
            json.push(b':');
            columns.push(Column { name: column.to_owned(), json });
        }
        Ok(TableRecords { reader, row: csv::ByteRecord::new(), columns, cells, ended: false })
    }

    pub(super) fn bytes_read(&self) -> u64 {
        self.reader.position().byte() - u64::from(self.ended)
    }

    /// Puts the next row into `batch`, unless it is blank; false when none is left.
    pub(super) fn advance(&mut self, name: &str, batch: &mut Batch) -> Result<bool, InputError> {
        if !self.reader.read_byte_record(&mut self.row).map_err(|error| unreadable(name, error))? {
            self.ended = true;
            return Ok(false);
        }
        let lines = memchr::memchr_iter(b'\n', self.row.as_slice()).count() as u64;
        let line = self.reader.position().line() - 1 - lines;
        drop_carriage_return(&mut self.row);
        if !self.row.is_empty() {
            batch.push_with(Place { line, column: 1 }, |out| self.push_object(out));
        }
        Ok(true)
    }

    fn push_object(&self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        if self.row.len() != self.columns.len() {
            return Err(RecordError::Ragged { expected: self.columns.len(), found: self.row.len() });
        }
        out.push(b'{');
        for (index, (column, cell)) in self.columns.iter().zip(&self.row).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&column.json);
            match std::str::from_utf8(cell) {
                Ok(text) => push_cell(text, self.cells, out),
                Err(_) => return Err(RecordError::CellNotUtf8 { column: column.name.clone() }),
            }
        }
        out.push(b'}');
        Ok(())
    }
}

/// Takes off the carriage return at a row's end; a row of nothing else is left without cells.
fn drop_carriage_return(row: &mut csv::ByteRecord) {
    let Some(last) = row.iter().next_back().and_then(|cell| cell.strip_suffix(b"\r")) else { return };
    let last = last.to_vec();
    row.truncate(row.len() - 1);
    if !(row.is_empty() && last.is_empty()) {
        row.push_field(&last);
    }
}

fn unreadable(name: &str, error: csv::Error) -> InputError {
    InputError::Io { name: name.to_owned(), source: error.into() }
}

fn push_cell(cell: &str, cells: Cells, out: &mut Vec<u8>) {
    match cell {
        _ if cells == Cells::Text => push_text(cell, out),
        "" => out.extend_from_slice(b"null"),
        "true" | "false" => out.extend_from_slice(cell.as_bytes()),
        _ if is_integer(cell) || is_decimal(cell) => out.extend_from_slice(cell.as_bytes()),
        _ => push_text(cell, out),
    }
}

fn push_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("text can always be written to memory as JSON");
}

/// Whether the cell is an integer of 64 bits as it would be written again.
fn is_integer(cell: &str) -> bool {
    is_written_as_number(cell.strip_prefix('-').unwrap_or(cell))
        && cell != "-0"
        && cell.parse::<i64>().is_ok()
}

/// Whether the cell is a decimal with a point that a double holds.
fn is_decimal(cell: &str) -> bool {
    let Some((whole, fraction)) = cell.strip_prefix('-').unwrap_or(cell).split_once('.') else {
        return false;
    };
    is_written_as_number(whole)
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
        && whole.len() + fraction.len() <= DECIMAL_DIGITS_MAX
}

/// Digits only, and no zero in front of others.
fn is_written_as_number(digits: &str) -> bool {
    let only_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    only_digits && (digits == "0" || !digits.starts_with('0'))
}
