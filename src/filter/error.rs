//! What can be wrong with a filter.

use crate::document::DocumentError;

/// Why a filter was refused.
///
/// `at` is the place in the filter as a document: names and positions in lists, joined by dots, for example `$or.0.age.$gt`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// It is no document, or a value in it can be in no document.
    #[error("not a filter: {0}")]
    Document(#[from] DocumentError),

    /// An operator that does not exist, or not at this place.
    #[error("filter{}: there is no operator {operator:?} here; there are {allowed}", place(at))]
    #[non_exhaustive]
    Operator {
        /// Where it stands.
        at: String,
        /// The name.
        operator: String,
        /// Those that may stand there.
        allowed: &'static str,
    },

    /// An operator was given what it cannot work with.
    #[error("filter{}: it takes {expected}, found {found}", place(at))]
    #[non_exhaustive]
    Operand {
        /// Where it stands.
        at: String,
        /// What would be accepted.
        expected: &'static str,
        /// What was found.
        found: String,
    },

    /// A path that cannot be used.
    #[error("filter: field path {path:?}: {reason}")]
    #[non_exhaustive]
    Path {
        /// The path as given.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// A regular expression that does not compile, or would grow too large.
    #[error("filter{}: the regular expression {pattern:?} cannot be used: {reason}", place(at))]
    #[non_exhaustive]
    Regex {
        /// Where it stands.
        at: String,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },

    /// Conditions, or values in them, are nested too deep.
    #[error("the filter is nested too deep: as a document it may have {limit} levels")]
    #[non_exhaustive]
    TooDeep {
        /// The most levels of objects and arrays that the filter may have as a document.
        limit: usize,
    },

    /// Values are given to a prepared query, and they are too few or too many; or a filter with parameters is used without.
    #[error("the filter takes {expected} values, and {given} were given: prepare the query, and bind them")]
    #[non_exhaustive]
    Values {
        /// How many it takes.
        expected: usize,
        /// How many there were.
        given: usize,
    },

    /// A position of a parameter that no list of values has.
    #[error(
        "a filter has {limit} parameters at most, and their positions are counted from 0; {position} is none"
    )]
    #[non_exhaustive]
    Parameter {
        /// The position that was asked for.
        position: usize,
        /// How many there may be.
        limit: usize,
    },

    /// Conditions on an element itself ([`element`](crate::element)) are not where they belong.
    #[error(
        "a condition on an element itself belongs into elem_match, apart from conditions on fields: {reason}"
    )]
    #[non_exhaustive]
    Element {
        /// Where it is instead.
        reason: &'static str,
    },
}

/// A place for messages; nothing for the whole filter.
fn place(at: &str) -> String {
    if at.is_empty() { String::new() } else { format!(" at {at:?}") }
}

impl FilterError {
    pub(super) fn operand(expected: &'static str, found: impl Into<String>) -> FilterError {
        FilterError::Operand { at: String::new(), expected, found: found.into() }
    }

    /// The same, seen from one level further out.
    pub(super) fn within(mut self, outer: &str) -> FilterError {
        let at = match &mut self {
            FilterError::Operator { at, .. }
            | FilterError::Operand { at, .. }
            | FilterError::Regex { at, .. } => at,
            _ => return self,
        };
        *at = if at.is_empty() { outer.to_owned() } else { format!("{outer}.{at}") };
        self
    }
}
