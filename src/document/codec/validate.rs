//! The full check of BSON bytes that nobody vouches for.
//!
//! One pass over the bytes with the open containers on a small stack of its own, so that the depth of the input
//! never becomes depth of the call stack. After it has passed, every reader of the document may rely on: correct
//! lengths and terminators, UTF-8 text and names, known types, booleans of 0 or 1, and the limits.
//!
//! It does not refuse two fields of one name, and does not care what the elements of an array are called: readers
//! take the first field of a name, and an array's elements by position.

use bson::RawDocument;

use super::Limits;
use crate::document::DocumentError;

/// The smallest document: a length and a terminator.
const DOCUMENT_BYTES_MIN: usize = 5;
const OBJECT_ID_BYTES: usize = 12;
const BINARY_OLD_SUBTYPE: u8 = 2;

/// Checks BSON bytes completely and returns them as a document, without copying.
///
/// Costs one pass over the bytes; allocates nothing.
///
/// # Errors
///
/// [`DocumentError::MalformedBson`] and [`DocumentError::NotUtf8`] with the offset, [`DocumentError::TooLarge`],
/// [`DocumentError::TooDeep`].
pub fn validate<'a>(bytes: &'a [u8], limits: &Limits) -> Result<&'a RawDocument, DocumentError> {
    limits.check_bytes(bytes.len())?;
    let mut scan = Scan { bytes, position: 0, ends: [0; Limits::DEPTH_CEILING], depth: 0, limits };
    scan.open(bytes.len())?;
    if scan.end() != bytes.len() {
        return Err(DocumentError::bson(0, format!("length says {}, got {} bytes", scan.end(), bytes.len())));
    }
    while scan.depth > 0 {
        if scan.position == scan.end() - 1 {
            scan.close()?;
        } else {
            scan.element()?;
        }
    }
    RawDocument::from_bytes(bytes).map_err(|error| DocumentError::bson(0, error.to_string()))
}

/// Where the check stands. `ends[..depth]` are the ends of the open containers, outermost first; `position` is at
/// most one below the innermost.
struct Scan<'a> {
    bytes: &'a [u8],
    position: usize,
    ends: [usize; Limits::DEPTH_CEILING],
    depth: usize,
    limits: &'a Limits,
}

impl<'a> Scan<'a> {
    fn fail<T>(&self, reason: &str) -> Result<T, DocumentError> {
        Err(DocumentError::bson(self.position, reason))
    }

    /// The end of the innermost open container.
    fn end(&self) -> usize {
        self.ends[self.depth - 1]
    }

    /// Takes bytes that must lie before `end`.
    fn take(&mut self, length: usize, end: usize) -> Result<&'a [u8], DocumentError> {
        if length > end - self.position {
            return self.fail("a value runs past the end of its document");
        }
        let taken = &self.bytes[self.position..self.position + length];
        self.position += length;
        Ok(taken)
    }

    fn take_length(&mut self, end: usize) -> Result<usize, DocumentError> {
        let start = self.position;
        let field: [u8; 4] = self.take(4, end)?.try_into().expect("four bytes were taken");
        usize::try_from(i32::from_le_bytes(field)).map_err(|_| DocumentError::bson(start, "negative length"))
    }

    /// Enters a container that begins here and must end at or before `outer_end`.
    fn open(&mut self, outer_end: usize) -> Result<(), DocumentError> {
        self.limits.check_depth(self.depth + 1)?;
        let start = self.position;
        let length = self.take_length(outer_end)?;
        if length < DOCUMENT_BYTES_MIN || length > outer_end - start {
            return Err(DocumentError::bson(start, format!("impossible document length {length}")));
        }
        self.ends[self.depth] = start + length;
        self.depth += 1;
        Ok(())
    }

    fn close(&mut self) -> Result<(), DocumentError> {
        if self.bytes[self.position] != 0 {
            return self.fail("a document is not terminated");
        }
        self.position += 1;
        self.depth -= 1;
        Ok(())
    }

    fn element(&mut self) -> Result<(), DocumentError> {
        let kind = self.bytes[self.position];
        if kind == 0 {
            return self.fail("a document is terminated before its end");
        }
        let kind_at = self.position;
        self.position += 1;
        let end = self.end() - 1;
        self.c_string(end)?;
        match kind {
            0x06 | 0x0a | 0x7f | 0xff => Ok(()),
            0x08 => self.boolean(end),
            0x10 => self.take(4, end).map(drop),
            0x01 | 0x09 | 0x11 | 0x12 => self.take(8, end).map(drop),
            0x07 => self.take(OBJECT_ID_BYTES, end).map(drop),
            0x13 => self.take(16, end).map(drop),
            0x02 | 0x0d | 0x0e => self.string(end),
            0x03 | 0x04 => self.open(end),
            0x05 => self.binary(end),
            0x0b => self.c_string(end).and_then(|()| self.c_string(end)),
            0x0c => self.string(end).and_then(|()| self.take(OBJECT_ID_BYTES, end).map(drop)),
            0x0f => self.code_with_scope(end),
            other => Err(DocumentError::bson(kind_at, format!("unknown type 0x{other:02x}"))),
        }
    }

    fn boolean(&mut self, end: usize) -> Result<(), DocumentError> {
        if self.take(1, end)?[0] > 1 {
            self.position -= 1;
            return self.fail("a boolean is neither 0 nor 1");
        }
        Ok(())
    }

    fn text(&self, start: usize, text: &[u8]) -> Result<(), DocumentError> {
        match std::str::from_utf8(text) {
            Ok(_) => Ok(()),
            Err(error) => Err(DocumentError::NotUtf8 { offset: start + error.valid_up_to() }),
        }
    }

    fn c_string(&mut self, end: usize) -> Result<(), DocumentError> {
        let start = self.position;
        let Some(length) = self.bytes[start..end].iter().position(|&byte| byte == 0) else {
            return self.fail("a name or pattern is not terminated");
        };
        self.position += length + 1;
        self.text(start, &self.bytes[start..start + length])
    }

    fn string(&mut self, end: usize) -> Result<(), DocumentError> {
        let length = self.take_length(end)?;
        let start = self.position;
        match self.take(length, end)?.split_last() {
            Some((0, text)) => self.text(start, text),
            _ => Err(DocumentError::bson(start, "a string is not terminated")),
        }
    }

    fn binary(&mut self, end: usize) -> Result<(), DocumentError> {
        let length = self.take_length(end)?;
        let subtype = self.take(1, end)?[0];
        let start = self.position;
        let data = self.take(length, end)?;
        if subtype == BINARY_OLD_SUBTYPE {
            let inner = data.split_first_chunk::<4>();
            let fits =
                inner.is_some_and(|(field, rest)| i32::from_le_bytes(*field) as i64 == rest.len() as i64);
            if !fits {
                return Err(DocumentError::bson(start, "old binary value with a wrong inner length"));
            }
        }
        Ok(())
    }

    /// Checks the code and opens the scope, which must fill the value to its end.
    fn code_with_scope(&mut self, end: usize) -> Result<(), DocumentError> {
        let start = self.position;
        let length = self.take_length(end)?;
        if length > end - start || length < 4 {
            return Err(DocumentError::bson(start, "impossible length of code with scope"));
        }
        let value_end = start + length;
        self.string(value_end)?;
        self.open(value_end)?;
        if self.end() != value_end {
            return Err(DocumentError::bson(start, "a scope ends before its code with scope"));
        }
        Ok(())
    }
}
