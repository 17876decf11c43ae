//! NDJSON: one record a line. Blank lines are none.

use super::Place;
use super::text::{Cut, Found};

/// Finds the ends of lines.
pub(super) struct Lines {
    /// The line that is being read, from 1.
    line: u64,
}

impl Lines {
    pub(super) fn new() -> Lines {
        Lines { line: 1 }
    }

    /// Looks for the end of the line from `cut.at` on.
    pub(super) fn next(&mut self, window: &[u8], cut: &mut Cut) -> Option<Found> {
        loop {
            let Some(length) = memchr::memchr(b'\n', &window[cut.at..]) else {
                cut.at = window.len();
                return None;
            };
            let end = cut.at + length;
            let found = self.line_to(window, cut, end);
            self.line += 1;
            (cut.start, cut.at) = (end + 1, end + 1);
            if found.is_some() {
                return found;
            }
        }
    }

    /// The last line, if nothing ends it.
    pub(super) fn finish(&mut self, window: &[u8], cut: &mut Cut) -> Option<Found> {
        let found = self.line_to(window, cut, window.len());
        (cut.start, cut.at) = (window.len(), window.len());
        found
    }

    fn line_to(&self, window: &[u8], cut: &mut Cut, end: usize) -> Option<Found> {
        let place = Place { line: self.line, column: 1 };
        let overlong = std::mem::take(&mut cut.overlong);
        let blank = !overlong && window[cut.start..end].trim_ascii().is_empty();
        (!blank).then_some(Found { place, range: cut.start..end, overlong })
    }
}
