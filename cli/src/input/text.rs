//! Text in chunks, cut into records.
//!
//! The window holds the unfinished record and what was read behind it. A record is copied into the batch when its end is
//! found; the window is moved up before each read, by what is left of it, which is less than a record.

use super::array::Array;
use super::lines::Lines;
use super::{Batch, InputError, Place, RECORD_BYTES_MAX, RecordError};
use std::io::{self, Read};
use std::ops::Range;

/// How much is read at a time.
const CHUNK_BYTES: usize = 256 << 10;

/// Records from text.
pub(super) struct TextRecords<R> {
    source: R,
    window: Vec<u8>,
    cut: Cut,
    form: Form,
    ended: bool,
}

/// How records are told apart.
enum Form {
    Lines(Lines),
    Array(Array),
}

/// How far the window was looked at.
#[derive(Default)]
pub(super) struct Cut {
    /// Where the unfinished record begins in the window.
    pub(super) start: usize,
    /// Up to where the window was looked at.
    pub(super) at: usize,
    /// The unfinished record is too long: its beginning is forgotten.
    pub(super) overlong: bool,
    /// Where the window begins in the input.
    window_offset: u64,
}

impl Cut {
    /// Where in the input the next byte is.
    pub(super) fn offset(&self) -> u64 {
        self.window_offset + self.at as u64
    }
}

/// A record in the window.
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) range: Range<usize>,
    pub(super) overlong: bool,
}

impl<R: Read> TextRecords<R> {
    pub(super) fn new(source: R, is_array: bool) -> TextRecords<R> {
        let form = if is_array { Form::Array(Array::new()) } else { Form::Lines(Lines::new()) };
        TextRecords { source, window: Vec::new(), cut: Cut::default(), form, ended: false }
    }

    pub(super) fn bytes_read(&self) -> u64 {
        self.cut.window_offset + self.window.len() as u64
    }

    /// Puts the next record into `batch`, or reads more of it; false when none is left.
    pub(super) fn advance(&mut self, name: &str, batch: &mut Batch) -> Result<bool, InputError> {
        match self.next(name)? {
            Some(found) => self.push(found, batch),
            None if self.ended => return Ok(false),
            None => self.read().map_err(|source| InputError::Io { name: name.to_owned(), source })?,
        }
        Ok(true)
    }

    /// The next record; without one, more has to be read, or nothing is left.
    fn next(&mut self, name: &str) -> Result<Option<Found>, InputError> {
        let (window, cut) = (&self.window[..], &mut self.cut);
        match &mut self.form {
            Form::Lines(lines) => Ok(match lines.next(window, cut) {
                None if self.ended => lines.finish(window, cut),
                found => found,
            }),
            Form::Array(array) => match array.next(name, window, cut)? {
                None if self.ended => array.finish(name).map(|()| None),
                found => Ok(found),
            },
        }
    }

    fn push(&self, found: Found, batch: &mut Batch) {
        let text = &self.window[found.range];
        let is_element = matches!(self.form, Form::Array(_));
        batch.push_with(found.place, |out| {
            if found.overlong || text.len() > RECORD_BYTES_MAX {
                return Err(RecordError::TooLong { limit_bytes: RECORD_BYTES_MAX });
            }
            if is_element && text.is_empty() {
                return Err(RecordError::NoElement);
            }
            out.extend_from_slice(text);
            Ok(())
        });
    }

    /// Forgets what is done with, and reads one chunk, or less if that is all there is for now.
    fn read(&mut self) -> io::Result<()> {
        self.cut.overlong |= self.window.len() - self.cut.start > RECORD_BYTES_MAX;
        if self.cut.overlong {
            self.cut.start = self.cut.at;
        }
        let done = self.cut.start;
        self.window.drain(..done);
        self.cut.window_offset += done as u64;
        self.cut.at -= done;
        self.cut.start = 0;
        let kept = self.window.len();
        self.window.resize(kept + CHUNK_BYTES, 0);
        let read = loop {
            match self.source.read(&mut self.window[kept..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.window.truncate(kept + *read.as_ref().unwrap_or(&0));
        self.ended = read? == 0;
        Ok(())
    }
}
