//! The buffer that a document is transcoded into: BSON bytes so far, and what the parser must be told.
//!
//! A value's type byte is left open until the value has been seen, a container's length until its end. The names of the
//! open objects are kept as positions in the bytes, to find one that comes twice. It knows nothing of JSON's grammar.

use bson::RawDocumentBuf;

use super::{Limits, extended_json};
use crate::document::DocumentError;
use crate::document::raw::{EMPTY_DOCUMENT, begin_document, end_document};

const OBJECT: u8 = 0x03;

/// Up to this many names are compared each with each; more are sorted.
const NAMES_COMPARED_PAIRWISE_MAX: usize = 16;

/// Why the writer stopped. The parser knows where.
pub(super) enum Refusal {
    /// Says everything already.
    Whole(DocumentError),
    /// Malformed at the place where the parser stands.
    Here(String),
    /// The object that the parser has just left names this twice.
    Duplicate(String),
}

/// The document so far. `names` are the positions of the names in the open objects, innermost last.
pub(super) struct Writer<'l> {
    pub(super) out: Vec<u8>,
    names: Vec<(usize, usize)>,
    depth: usize,
    limits: &'l Limits,
    refusal: Option<Refusal>,
}

impl Writer<'_> {
    pub(super) fn new(limits: &Limits, text_bytes: usize) -> Writer<'_> {
        let capacity = text_bytes.min(limits.bytes_max()) + EMPTY_DOCUMENT.len();
        Writer { out: Vec::with_capacity(capacity), names: Vec::new(), depth: 0, limits, refusal: None }
    }

    pub(super) fn finish(
        self,
        outcome: Result<(), serde_json::Error>,
    ) -> Result<RawDocumentBuf, DocumentError> {
        if let Err(error) = outcome {
            let (line, column) = (error.line(), error.column());
            return Err(match self.refusal {
                Some(Refusal::Whole(error)) => error,
                Some(Refusal::Here(reason)) => DocumentError::MalformedJson { line, column, reason },
                Some(Refusal::Duplicate(name)) => DocumentError::DuplicateField { name, line, column },
                None => DocumentError::MalformedJson { line, column, reason: without_position(&error) },
            });
        }
        self.limits.check_bytes(self.out.len())?;
        RawDocumentBuf::from_bytes(self.out).map_err(|error| DocumentError::bson(0, error.to_string()))
    }

    /// Keeps the reason, and gives the parser something to stop with.
    pub(super) fn refuse<T, E: serde::de::Error>(&mut self, refusal: Refusal) -> Result<T, E> {
        self.refusal = Some(refusal);
        Err(E::custom("refused"))
    }

    pub(super) fn enter<E: serde::de::Error>(&mut self) -> Result<usize, E> {
        self.depth += 1;
        match self.limits.check_depth(self.depth) {
            Ok(()) => Ok(begin_document(&mut self.out)),
            Err(error) => self.refuse(Refusal::Whole(error)),
        }
    }

    pub(super) fn leave(&mut self, start: usize) {
        end_document(&mut self.out, start);
        self.depth -= 1;
    }

    pub(super) fn element_end<E: serde::de::Error>(&mut self, kind_at: usize, kind: u8) -> Result<(), E> {
        self.out[kind_at] = kind;
        // An extended form takes more room until it is replaced by its value, but less than twice as much where
        // limits matter. The exact check is at the end.
        if self.out.len() / 2 > self.limits.bytes_max() {
            let size_bytes = self.out.len();
            let limit_bytes = self.limits.bytes_max();
            return self.refuse(Refusal::Whole(DocumentError::TooLarge { size_bytes, limit_bytes }));
        }
        Ok(())
    }

    /// Appends a name with its terminator.
    pub(super) fn push_name<E: serde::de::Error>(&mut self, name: &str) -> Result<(), E> {
        if name.as_bytes().contains(&0) {
            return self.refuse(Refusal::Whole(DocumentError::FieldName { name: name.to_owned() }));
        }
        let start = self.out.len();
        self.out.extend_from_slice(name.as_bytes());
        self.names.push((start, self.out.len()));
        self.out.push(0);
        Ok(())
    }

    /// How many names are kept; what comes next goes behind them.
    pub(super) fn name_count(&self) -> usize {
        self.names.len()
    }

    /// A name that occurs twice among those from `first` on, which it forgets.
    pub(super) fn take_duplicate(&mut self, first: usize) -> Option<String> {
        let out = &self.out;
        let text = |&(start, end): &(usize, usize)| &out[start..end];
        let names = &mut self.names[first..];
        let twice = if names.len() <= NAMES_COMPARED_PAIRWISE_MAX {
            let seen = |index: usize| names[..index].iter().any(|name| text(name) == text(&names[index]));
            (1..names.len()).find(|&index| seen(index)).map(|index| names[index])
        } else {
            names.sort_unstable_by_key(text);
            names.windows(2).find(|pair| text(&pair[0]) == text(&pair[1])).map(|pair| pair[0])
        };
        let duplicate = twice.map(|name| String::from_utf8_lossy(text(&name)).into_owned());
        self.names.truncate(first);
        duplicate
    }

    /// Replaces the object at `start` by the value that it stands for, if it is an extended form.
    pub(super) fn replace_extended<E: serde::de::Error>(&mut self, start: usize) -> Result<u8, E> {
        match extended_json::read(&self.out[start..]) {
            Ok(None) => Ok(OBJECT),
            Ok(Some(value)) => {
                self.out.truncate(start);
                self.out.extend_from_slice(&value.bytes);
                Ok(value.kind)
            }
            Err(reason) => self.refuse(Refusal::Here(reason)),
        }
    }
}

/// The parser's message without the position, which the error has in fields of its own.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}

/// The name of an array's element: its position in decimal, terminated.
pub(super) fn push_index(out: &mut Vec<u8>, index: usize) {
    // From the right: the terminator, then digits. A usize has 20 at most.
    let mut text = [0; 21];
    let mut start = text.len() - 1;
    let mut rest = index;
    loop {
        start -= 1;
        text[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[start..]);
}
