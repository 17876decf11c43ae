//! Regular expressions, compiled once.
//!
//! The `regex` crate's syntax: it has no backreferences and no look-around, and in return the time for a match grows with the text alone. Text is Unicode:
//! `.` is a character, `(?i)` folds all alphabets, `\w`, `\d`, `\s` and `\b` are Unicode's, `\p{…}` knows general categories and scripts.
//! The tables of other properties are not asked for: they are there if another part of the program asks.

use bson::Bson;
use bson::RawBsonRef;
use regex::{Regex, RegexBuilder};

use super::FilterError;

/// The longest pattern, in bytes. MongoDB's is about the same.
const PATTERN_BYTES_MAX: usize = 32 << 10;
/// The most memory that a compiled expression may take, in bytes; repetitions of repetitions grow fast.
const PROGRAM_BYTES_MAX: usize = 10 << 20;
/// The most memory for the states that matching remembers, in bytes.
const STATES_BYTES_MAX: usize = 1 << 20;
/// The deepest nesting of groups.
const GROUPS_DEPTH_MAX: u32 = 64;

const OPTIONS: &str = "no options but i, m, s and x";

/// A regular expression as it was written, and as it is matched.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(super) source: String,
    /// In order, each once: as stored regular expressions have them.
    pub(super) options: String,
    matcher: Matcher,
}

#[derive(Debug, Clone)]
enum Matcher {
    /// The text begins so.
    Prefix(String),
    Regex(Regex),
}

impl Pattern {
    pub(super) fn new(source: &str, options: &str) -> Result<Pattern, FilterError> {
        let options = read_options(options)?;
        let literal = source.strip_prefix('^').filter(|_| options.is_empty()).and_then(literal_text);
        let matcher = match literal {
            Some(prefix) => Matcher::Prefix(prefix),
            None => Matcher::Regex(compile(source, &options)?),
        };
        Ok(Pattern { source: source.to_owned(), options, matcher })
    }

    /// Text that it matches; or a regular expression that is the same.
    pub(super) fn matches(&self, value: RawBsonRef<'_>) -> bool {
        match value {
            RawBsonRef::String(text) | RawBsonRef::Symbol(text) => match &self.matcher {
                Matcher::Prefix(prefix) => text.starts_with(prefix),
                Matcher::Regex(regex) => regex.is_match(text),
            },
            RawBsonRef::RegularExpression(stored) => {
                stored.pattern.as_str() == self.source && stored.options.as_str() == self.options
            }
            _ => false,
        }
    }

    /// What all text that matches begins with, if that is all there is to it.
    pub(crate) fn prefix(&self) -> Option<&str> {
        match &self.matcher {
            Matcher::Prefix(prefix) => Some(prefix),
            Matcher::Regex(_) => None,
        }
    }

    /// The stored regular expression that it matches.
    pub(crate) fn to_bson(&self) -> Option<bson::Regex> {
        Some(bson::Regex {
            pattern: self.source.clone().try_into().ok()?,
            options: self.options.clone().try_into().ok()?,
        })
    }

    /// `{"$regex": …}`, with `$options` if there are any.
    pub(super) fn write(&self) -> bson::Document {
        let mut document = bson::doc! { "$regex": &self.source };
        if !self.options.is_empty() {
            document.insert("$options", Bson::String(self.options.clone()));
        }
        document
    }
}

/// The pattern for text that begins with this.
pub(super) fn prefix_pattern(text: &str) -> String {
    format!("^{}", regex::escape(text))
}

/// The pattern for text that has this anywhere.
pub(super) fn substring_pattern(text: &str) -> String {
    regex::escape(text)
}

fn read_options(options: &str) -> Result<String, FilterError> {
    let mut sorted: Vec<char> = options.chars().collect();
    sorted.sort_unstable();
    sorted.dedup();
    match sorted.iter().find(|option| !"imsx".contains(**option)) {
        Some(unknown) => Err(FilterError::operand(OPTIONS, format!("{unknown:?}"))),
        None => Ok(sorted.into_iter().collect()),
    }
}

fn compile(source: &str, options: &str) -> Result<Regex, FilterError> {
    let refuse = |reason: String| FilterError::Regex {
        at: String::new(),
        pattern: source.chars().take(100).collect(),
        reason,
    };
    if source.len() > PATTERN_BYTES_MAX {
        return Err(refuse(format!("it has {} bytes, {PATTERN_BYTES_MAX} are allowed", source.len())));
    }
    RegexBuilder::new(source)
        .case_insensitive(options.contains('i'))
        .multi_line(options.contains('m'))
        .dot_matches_new_line(options.contains('s'))
        .ignore_whitespace(options.contains('x'))
        .size_limit(PROGRAM_BYTES_MAX)
        .dfa_size_limit(STATES_BYTES_MAX)
        .nest_limit(GROUPS_DEPTH_MAX)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(limit) => {
                refuse(format!("it would take more than {limit} bytes when compiled"))
            }
            // The parser draws its message over several lines; the last one says what is wrong.
            other => refuse(other.to_string().lines().last().unwrap_or_default().replace("error: ", "")),
        })
}

/// The text that a pattern matches literally, if it is such a pattern.
fn literal_text(pattern: &str) -> Option<String> {
    let mut text = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => text.push(chars.next().filter(char::is_ascii_punctuation)?),
            '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$' => return None,
            char => text.push(char),
        }
    }
    Some(text)
}
