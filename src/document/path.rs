//! Naming a field inside a document, and finding it in place.

use std::fmt;
use std::str::FromStr;

use bson::{RawBsonRef, RawDocument};

use super::DocumentError;
use super::codec::Limits;
use super::find_field;
use crate::sync::Arc;

/// The way to a field: names from the outside in, and for elements of arrays their positions from 0.
///
/// As text the segments are joined by dots: `address.lines.0`. A field whose own name contains a dot is reached with
/// [`FieldPath::from_segments`] only. Between two dots there may be nothing: that names the field with the empty name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath {
    /// Shared by the copies, of which plans and filters have many.
    segments: Arc<[String]>,
}

impl FieldPath {
    /// A path of the given names, which may contain dots.
    ///
    /// # Errors
    ///
    /// [`DocumentError::Path`] for no segment at all, for more than any document is deep, and for a NUL in a name.
    pub fn from_segments<S: Into<String>>(
        segments: impl IntoIterator<Item = S>,
    ) -> Result<FieldPath, DocumentError> {
        // One more than allowed is enough to see that there are too many.
        let segments = segments.into_iter().take(Limits::DEPTH_CEILING + 1).map(Into::into).collect();
        let path = FieldPath { segments };
        match path.problem() {
            Some(reason) => Err(DocumentError::Path { path: path.to_string(), reason }),
            None => Ok(path),
        }
    }

    /// The names, from the outside in; at least one.
    pub fn segments(&self) -> &[String] {
        &self.segments
    }

    fn problem(&self) -> Option<&'static str> {
        if self.segments.is_empty() {
            Some("it is empty")
        } else if self.segments.len() > Limits::DEPTH_CEILING {
            Some("it is longer than any document is deep")
        } else if self.segments.iter().any(|segment| segment.contains('\0')) {
            Some("a name in it contains a NUL character, which BSON does not allow")
        } else {
            None
        }
    }
}

impl FromStr for FieldPath {
    type Err = DocumentError;

    /// Reads names joined by dots. The empty text is refused.
    fn from_str(text: &str) -> Result<FieldPath, DocumentError> {
        if text.is_empty() {
            return Err(DocumentError::Path { path: String::new(), reason: "it is empty" });
        }
        FieldPath::from_segments(text.split('.'))
    }
}

impl TryFrom<&str> for FieldPath {
    type Error = DocumentError;

    fn try_from(text: &str) -> Result<FieldPath, DocumentError> {
        text.parse()
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.segments.join("."))
    }
}

/// An array position as a path says it: decimal, without sign and leading zeros.
pub(crate) fn parse_index(segment: &str) -> Option<usize> {
    let canonical = segment == "0" || !segment.starts_with(['0', '+']);
    segment.parse().ok().filter(|_| canonical)
}

/// Finds the value at a path, without copying. Costs a walk over the elements that come before it.
///
/// `None` if a field on the way is missing, or is neither object nor array. An array is not searched: it takes a position.
/// Of several fields of one name the first counts.
pub fn get<'a>(document: &'a RawDocument, path: &FieldPath) -> Option<RawBsonRef<'a>> {
    let mut value = RawBsonRef::Document(document);
    for segment in &*path.segments {
        value = match value {
            RawBsonRef::Document(inner) => find_field(inner, segment)?,
            RawBsonRef::Array(array) => array.get(parse_index(segment)?).ok().flatten()?,
            _ => return None,
        };
    }
    Some(value)
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
