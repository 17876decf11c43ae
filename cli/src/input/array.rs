//! A JSON array: cuts it into its elements without parsing them.
//!
//! Only strings and brackets are followed, which suffices to find the commas between the elements. What an element
//! holds is for the parser to judge; text that is no JSON ends up in some element, and is refused there.

use super::text::{Cut, Found};
use super::{InputError, Place};

/// Finds the ends of elements.
pub(super) struct Array {
    state: State,
    /// How many brackets are open inside the element.
    depth: u64,
    in_string: bool,
    /// The byte before was a backslash in a string.
    escaped: bool,
    elements: u64,
    lines: LineCount,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    BeforeArray,
    /// Between the elements: blanks before the next.
    BeforeElement,
    InElement(Place),
    AfterArray,
}

/// Which line a byte is on.
struct LineCount {
    line: u64,
    /// Where the line begins, from the start of the input.
    line_start: u64,
}

impl LineCount {
    fn newline(&mut self, behind: u64) {
        self.line += 1;
        self.line_start = behind;
    }

    fn place(&self, offset: u64) -> Place {
        Place { line: self.line, column: offset - self.line_start + 1 }
    }
}

impl Array {
    pub(super) fn new() -> Array {
        Array {
            state: State::BeforeArray,
            depth: 0,
            in_string: false,
            escaped: false,
            elements: 0,
            lines: LineCount { line: 1, line_start: 0 },
        }
    }

    /// Looks for the end of the element from `cut.at` on.
    pub(super) fn next(
        &mut self,
        name: &str,
        window: &[u8],
        cut: &mut Cut,
    ) -> Result<Option<Found>, InputError> {
        while cut.at < window.len() {
            let found = match self.state {
                State::InElement(place) => self.element(window, cut, place),
                _ => self.around(name, window[cut.at], cut)?,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Nothing may be open at the end of the input. Empty input is an empty array.
    pub(super) fn finish(&self, name: &str) -> Result<(), InputError> {
        match self.state {
            State::AfterArray | State::BeforeArray => Ok(()),
            _ => Err(InputError::ArrayNotClosed { name: name.to_owned(), line: self.lines.line }),
        }
    }

    /// One byte before, between or behind the elements.
    fn around(&mut self, name: &str, byte: u8, cut: &mut Cut) -> Result<Option<Found>, InputError> {
        let offset = cut.offset();
        let mut found = None;
        match (byte, self.state) {
            (b'\n', _) => self.lines.newline(offset + 1),
            (byte, _) if byte.is_ascii_whitespace() => {}
            (b'[', State::BeforeArray) => self.state = State::BeforeElement,
            (other, State::BeforeArray) => {
                return Err(InputError::NotAnArray { name: name.to_owned(), found: other.into() });
            }
            (_, State::AfterArray) => {
                return Err(InputError::BehindArray { name: name.to_owned(), line: self.lines.line });
            }
            (b']', State::BeforeElement) if self.elements == 0 => self.state = State::AfterArray,
            (b',' | b']', State::BeforeElement) => {
                found = Some(self.end(byte, cut, self.lines.place(offset)))
            }
            (_, State::BeforeElement | State::InElement(_)) => {
                cut.start = cut.at;
                self.state = State::InElement(self.lines.place(offset));
                return Ok(None);
            }
        }
        cut.at += 1;
        cut.start = cut.at;
        Ok(found)
    }

    /// On to the end of the element, or of the window.
    fn element(&mut self, window: &[u8], cut: &mut Cut, place: Place) -> Option<Found> {
        while let Some(&byte) = window.get(cut.at) {
            if self.in_string {
                self.string(window, cut);
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'\n' => self.lines.newline(cut.offset() + 1),
                b',' | b']' if self.depth == 0 => {
                    let found = self.end(byte, cut, place);
                    cut.at += 1;
                    cut.start = cut.at;
                    return Some(found);
                }
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            cut.at += 1;
        }
        None
    }

    /// On to the byte behind the string's end, or to the end of the window.
    fn string(&mut self, window: &[u8], cut: &mut Cut) {
        if std::mem::take(&mut self.escaped) {
            cut.at += 1;
            return;
        }
        match memchr::memchr3(b'"', b'\\', b'\n', &window[cut.at..]) {
            None => cut.at = window.len(),
            Some(length) => {
                cut.at += length;
                match window[cut.at] {
                    b'"' => self.in_string = false,
                    b'\\' => self.escaped = true,
                    _ => self.lines.newline(cut.offset() + 1),
                }
                cut.at += 1;
            }
        }
    }

    /// The element ends before `byte`, which is at `cut.at`.
    fn end(&mut self, byte: u8, cut: &mut Cut, place: Place) -> Found {
        self.elements += 1;
        self.state = match byte {
            b']' => State::AfterArray,
            _ => State::BeforeElement,
        };
        Found { place, range: cut.start..cut.at, overlong: std::mem::take(&mut cut.overlong) }
    }
}
