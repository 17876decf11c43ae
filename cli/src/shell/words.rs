//! A line cut into words.
//!
//! Words stand between blanks. Within braces and brackets everything is one word as it stands, so that JSON needs no quotes. Elsewhere quotes hold a word together and are not
//! part of it, as in a system's shell: between `'` nothing is special, between `"` a backslash before `"` or `\` is.

use crate::error::CliError;

/// Words as they are read, piece by piece.
#[derive(Default)]
pub(super) struct Words {
    words: Vec<String>,
    /// The word that is being read, and where it begins.
    word: Option<(usize, String)>,
    /// The braces and brackets that are open in it.
    open: Vec<char>,
    quotes: Option<Quotes>,
    /// How much was read, in bytes.
    read: usize,
    unopened: Option<char>,
}

/// Quotes that are open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Quotes {
    kind: Kind,
    is_escaped: bool,
    /// What is in them begins here.
    start: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Single,
    Double,
    /// Of a string in JSON: they stay.
    Json,
}

/// Why a line is none.
#[derive(PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum WordsError {
    #[error("{0:?} closes nothing")]
    Unopened(char),
    #[error("{0:?} is not closed")]
    Unclosed(char),
}

impl From<WordsError> for CliError {
    fn from(error: WordsError) -> CliError {
        CliError::Command { problem: error.to_string() }
    }
}

/// What stands unfinished at the end.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Tail {
    /// A word, or none yet, which begins here.
    Word(usize),
    /// A string in JSON, of which what is in the quotes begins here.
    Json(usize),
    /// What nothing is known of.
    Other,
}

impl Words {
    pub(super) fn read(&mut self, text: &str) {
        for c in text.chars() {
            let at = self.read;
            self.read += c.len_utf8();
            match self.quotes {
                Some(quotes) => self.quoted(c, quotes),
                None => self.plain(c, at),
            }
        }
    }

    fn plain(&mut self, c: char, at: usize) {
        if c.is_whitespace() && self.open.is_empty() {
            self.words.extend(self.word.take().map(|(_, word)| word));
            return;
        }
        let (_, word) = self.word.get_or_insert_with(|| (at, String::new()));
        let quotes = |kind| Some(Quotes { kind, is_escaped: false, start: at + 1 });
        match c {
            '\'' if self.open.is_empty() => {
                self.quotes = quotes(Kind::Single);
                return;
            }
            '"' if self.open.is_empty() => {
                self.quotes = quotes(Kind::Double);
                return;
            }
            '"' => self.quotes = quotes(Kind::Json),
            '{' | '[' => self.open.push(c),
            '}' | ']' => {
                let opened = if c == '}' { '{' } else { '[' };
                if self.open.pop() != Some(opened) {
                    self.unopened = self.unopened.or(Some(c));
                }
            }
            _ => {}
        }
        word.push(c);
    }

    fn quoted(&mut self, c: char, quotes: Quotes) {
        let (_, word) = self.word.as_mut().expect("quotes stand in a word");
        let escaped = |is_escaped| Some(Quotes { is_escaped, ..quotes });
        match (quotes.kind, c) {
            (Kind::Json, c) => {
                word.push(c);
                match c {
                    '"' if !quotes.is_escaped => self.quotes = None,
                    _ => self.quotes = escaped(c == '\\' && !quotes.is_escaped),
                }
            }
            (Kind::Single, '\'') => self.quotes = None,
            (Kind::Double, '"') if !quotes.is_escaped => self.quotes = None,
            (Kind::Double, '\\') if !quotes.is_escaped => self.quotes = escaped(true),
            (_, c) => {
                if quotes.is_escaped && !matches!(c, '"' | '\\') {
                    word.push('\\');
                }
                word.push(c);
                self.quotes = escaped(false);
            }
        }
    }

    /// Whether more has to come.
    pub(super) fn are_unfinished(&self) -> bool {
        self.unopened.is_none() && (self.quotes.is_some() || !self.open.is_empty())
    }

    /// All words.
    pub(super) fn finish(mut self) -> Result<Vec<String>, WordsError> {
        if let Some(unopened) = self.unopened {
            return Err(WordsError::Unopened(unopened));
        }
        match (self.quotes, self.open.first()) {
            (Some(Quotes { kind: Kind::Single, .. }), _) => Err(WordsError::Unclosed('\'')),
            (Some(Quotes { kind: Kind::Double, .. }), _) => Err(WordsError::Unclosed('"')),
            (_, Some(opened)) => Err(WordsError::Unclosed(*opened)),
            (_, None) => {
                self.words.extend(self.word.map(|(_, word)| word));
                Ok(self.words)
            }
        }
    }

    /// The words that are finished, and what is not.
    pub(super) fn so_far(&self) -> (&[String], Tail) {
        let tail = match (self.quotes, &self.word) {
            (Some(Quotes { kind: Kind::Json, start, .. }), _) => Tail::Json(start),
            (None, _) if !self.open.is_empty() => Tail::Other,
            (None, Some((start, _))) => Tail::Word(*start),
            (None, None) => Tail::Word(self.read),
            (Some(_), _) => Tail::Other,
        };
        (&self.words, tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Vec<String>, WordsError> {
        let mut words = Words::default();
        words.read(text);
        words.finish()
    }

    #[test]
    fn json_is_one_word_and_quotes_hold_one_together() {
        for (text, expected) in [
            ("", &[][..]),
            (" \t\n", &[]),
            ("find  towns\n", &["find", "towns"]),
            (
                r#"find towns {"a b": [1, "]}\" \\"]} --limit 3"#,
                &["find", "towns", r#"{"a b": [1, "]}\" \\"]}"#, "--limit", "3"],
            ),
            ("put c {\n \"a\": 1\n}", &["put", "c", "{\n \"a\": 1\n}"]),
            (r#"--where={"a": "'"}"#, &[r#"--where={"a": "'"}"#]),
            (r#"get 'my towns' '{"a" \'"#, &["get", "my towns", r#"{"a" \"#]),
            (r#"get "a \"b\" \\ \n" x"y z""#, &["get", r#"a "b" \ \n"#, "xy z"]),
            ("get c ''", &["get", "c", ""]),
        ] {
            assert_eq!(words(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_open_goes_on_and_what_closes_nothing_is_an_error() {
        for (text, unclosed) in [
            ("find c {", '{'),
            ("find c {\"a\": \"}", '{'),
            ("x [{}", '['),
            ("x 'y", '\''),
            ("x \"y\\\"", '"'),
        ] {
            let mut read = Words::default();
            text.split_inclusive(' ').for_each(|piece| read.read(piece));
            assert!(read.are_unfinished(), "{text}");
            assert_eq!(read.finish().unwrap_err(), WordsError::Unclosed(unclosed), "{text}");
        }
        for (text, unopened) in [("find c }", '}'), ("{ ] {", ']'), ("{[}]", '}')] {
            let mut read = Words::default();
            read.read(text);
            assert!(!read.are_unfinished(), "{text}: more does not mend it");
            assert_eq!(read.finish().unwrap_err(), WordsError::Unopened(unopened), "{text}");
        }
    }

    #[test]
    fn what_is_unfinished_is_found() {
        for (text, finished, tail) in [
            ("", 0, Tail::Word(0)),
            ("fin", 0, Tail::Word(0)),
            ("find ä to", 2, Tail::Word(8)),
            ("find towns ", 2, Tail::Word(11)),
            ("find towns {\"pe", 2, Tail::Json(13)),
            ("find towns {\"pe\": ", 2, Tail::Other),
            ("find 'to", 1, Tail::Other),
        ] {
            let mut read = Words::default();
            read.read(text);
            let (words, found) = read.so_far();
            assert_eq!((words.len(), found), (finished, tail), "{text}");
        }
    }
}
