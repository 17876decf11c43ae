//! From a document to its keys in an index: pure.
//!
//! Every value that a filter could find at a path has a key, and some more: a plan looks at the document again.

use super::definition::Index;
use crate::document::order_key;
use crate::document::{FieldPath, MAX_KEY_BYTES};
use bson::{RawBsonRef, RawDocument};
use smallvec::SmallVec;

/// Why a document has no place in an index.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexEntryError {
    /// Two fields of the index lead through arrays.
    #[error("both `{first}` and `{second}` are arrays, and an index takes one only; index them apart")]
    #[non_exhaustive]
    TwoArrays {
        /// The first of the fields.
        first: String,
        /// The second one.
        second: String,
    },
    /// The values are too long together, with the id.
    #[error("its key has {length_bytes} bytes, and {limit_bytes} are allowed; index a shorter field")]
    #[non_exhaustive]
    KeyTooLong {
        /// Length of the key in bytes.
        length_bytes: usize,
        /// The longest key that is allowed.
        limit_bytes: usize,
    },
}

/// What a path leads to.
struct Values<'d> {
    values: SmallVec<[RawBsonRef<'d>; 2]>,
    /// There was an array on the way, or at its end.
    is_array: bool,
    is_missing: bool,
}

/// The keys of a document, in order, each once. `id` is its own key.
pub(crate) fn keys(
    index: &Index,
    document: &RawDocument,
    id: &[u8],
) -> Result<Vec<Vec<u8>>, IndexEntryError> {
    let fields: SmallVec<[Values<'_>; 4]> =
        index.fields().iter().map(|field| values(document, &field.path)).collect();
    if index.is_sparse() && fields.iter().all(|field| field.is_missing) {
        return Ok(Vec::new());
    }
    let mut arrays = index.fields().iter().zip(&fields).filter(|(_, values)| values.is_array);
    if let (Some((first, _)), Some((second, _))) = (arrays.next(), arrays.next()) {
        return Err(IndexEntryError::TwoArrays {
            first: first.path.to_string(),
            second: second.path.to_string(),
        });
    }
    // One field at most has several values.
    let count = fields.iter().map(|field| field.values.len()).max().unwrap_or(0);
    let key = |nth: usize| {
        let mut key = Vec::new();
        for (field, values) in index.fields().iter().zip(&fields) {
            let value = values.values.get(nth).unwrap_or(&values.values[0]);
            order_key::encode(*value, field.direction, &mut key);
        }
        if !index.is_unique() {
            key.extend_from_slice(id);
        }
        let length_bytes = key.len();
        let fits = length_bytes <= MAX_KEY_BYTES;
        fits.then_some(key).ok_or(IndexEntryError::KeyTooLong { length_bytes, limit_bytes: MAX_KEY_BYTES })
    };
    let mut keys = (0..count).map(key).collect::<Result<Vec<_>, _>>()?;
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}

/// What is stored under a key of a document.
pub(crate) fn value<'i>(index: &Index, id: &'i [u8]) -> &'i [u8] {
    if index.is_unique() { id } else { &[] }
}

fn values<'d>(document: &'d RawDocument, path: &FieldPath) -> Values<'d> {
    let mut found = Values { values: SmallVec::new(), is_array: false, is_missing: false };
    collect(RawBsonRef::Document(document), path.segments(), &mut found);
    if found.values.is_empty() {
        found.is_missing = true;
        found.values.push(RawBsonRef::Null);
    }
    found
}

fn collect<'d>(value: RawBsonRef<'d>, segments: &[String], found: &mut Values<'d>) {
    let Some((segment, behind)) = segments.split_first() else {
        return collect_leaf(value, found);
    };
    match value {
        RawBsonRef::Document(inner) => match inner.get(segment).ok().flatten() {
            Some(value) => collect(value, behind, found),
            // Within an array others may have it.
            None if found.is_array => found.values.push(RawBsonRef::Null),
            None => {}
        },
        RawBsonRef::Array(array) => {
            found.is_array = true;
            if let Some(value) = index_of(segment).and_then(|at| array.get(at).ok().flatten()) {
                collect(value, behind, found);
            }
            for element in array.into_iter().map_while(Result::ok) {
                if matches!(element, RawBsonRef::Document(_)) {
                    collect(element, segments, found);
                }
            }
        }
        _ => {}
    }
}

/// An array at the end of a path stands for its elements.
fn collect_leaf<'d>(value: RawBsonRef<'d>, found: &mut Values<'d>) {
    let RawBsonRef::Array(array) = value else {
        return found.values.push(value);
    };
    found.is_array = true;
    let before = found.values.len();
    found.values.extend(array.into_iter().map_while(Result::ok));
    if found.values.len() == before {
        found.values.push(RawBsonRef::Undefined);
    }
}

fn index_of(segment: &str) -> Option<usize> {
    crate::document::parse_index(segment)
}
