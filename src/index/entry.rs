//! From a document to its keys in an index: pure.
//!
//! Every value that a filter could find at a path, as an element of an array too, has a key; of the array itself none is made. A document in which a path leads to no value
//! has a key all the same, so that an index that leaves nothing out holds every document.

use super::definition::{Index, IndexField};
use super::restore::{self, Codes, Kind, Place};
use crate::document::order_key::{self, Direction};
use crate::document::{FieldPath, MAX_KEY_BYTES, json_line, locate_field};
use crate::filter::walk::{LeafArrays, Walk};
use bson::{RawBsonRef, RawDocument, doc};
use smallvec::{SmallVec, smallvec};
use std::cell::RefCell;

/// Why a document has no place in an index.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexEntryError {
    /// Two fields of the index lead through arrays.
    #[error(
        "both `{first}` and `{second}` lead to several values, and an index takes one such field only; index them apart"
    )]
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

/// What an index has under this key once a document had several entries, and for good: no encoded value begins with this byte.
pub(crate) const SEVERAL_KEY: &[u8] = &[0];

/// The keys of a document.
#[derive(Default)]
pub(crate) struct Keys {
    /// In order, each once.
    pub(crate) keys: SmallVec<[Vec<u8>; 1]>,
    /// How the fields are made again from the only one.
    codes: Codes,
}

impl Keys {
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        self.keys.binary_search_by(|known| (**known).cmp(key)).is_ok()
    }

    pub(crate) fn are_several(&self) -> bool {
        self.keys.len() > 1
    }

    /// Whether the same is stored with the keys that both have.
    pub(crate) fn says_the_same(&self, other: &Keys) -> bool {
        self.are_several() == other.are_several() && self.codes == other.codes
    }
}

/// The keys of a document in an index. `id` is its own key.
pub(crate) fn keys(index: &Index, document: &RawDocument, id: &[u8]) -> Result<Keys, IndexEntryError> {
    if index.filter().is_some_and(|filter| !filter.matches(document)) {
        return Ok(Keys::default());
    }
    let id = if index.is_unique() { &[][..] } else { id };
    match only_key(index, document, id) {
        Some(keys) => keys,
        None => each_key(index, document, id),
    }
}

/// The keys of a document where each field has one value, or none: for most documents all there is to be done. None if there are arrays.
fn only_key(index: &Index, document: &RawDocument, id: &[u8]) -> Option<Result<Keys, IndexEntryError>> {
    let mut key = Vec::with_capacity(USUAL_BYTES + id.len());
    let mut places: SmallVec<[Option<Place>; 4]> = SmallVec::new();
    let mut are_missing = true;
    for field in index.fields() {
        let (value, place) = only_value(document, field.path.segments())?;
        are_missing &= value.is_none();
        order_key::encode(shown(value), field.direction, &mut key);
        places.push(place);
    }
    if index.is_sparse() && are_missing {
        return Some(Ok(Keys::default()));
    }
    key.extend_from_slice(id);
    let codes = index.is_restorable().then(|| restore::codes(document, &places)).flatten();
    let keys = Keys { keys: smallvec![key], codes: codes.unwrap_or_default() };
    Some(check_length(keys.keys[0].len()).map(|()| keys))
}

/// The same of any document.
fn each_key(index: &Index, document: &RawDocument, id: &[u8]) -> Result<Keys, IndexEntryError> {
    let fields: SmallVec<[Values; 4]> =
        index.fields().iter().map(|field| values(document, &field.path, field.direction)).collect();
    if index.is_sparse() && fields.iter().all(|values| values.are_missing) {
        return Ok(Keys::default());
    }
    let mut several = index.fields().iter().zip(&fields).filter(|(_, values)| values.count() > 1);
    if let (Some((first, _)), Some((second, _))) = (several.next(), several.next()) {
        return Err(IndexEntryError::TwoArrays {
            first: first.path.to_string(),
            second: second.path.to_string(),
        });
    }
    let count = fields.iter().map(Values::count).max().unwrap_or(0);
    let key = |nth: usize| {
        let length_bytes = fields.iter().map(|values| values.encoded(nth).len()).sum::<usize>() + id.len();
        check_length(length_bytes)?;
        let mut key = Vec::with_capacity(length_bytes);
        fields.iter().for_each(|values| key.extend_from_slice(values.encoded(nth)));
        key.extend_from_slice(id);
        Ok(key)
    };
    let mut keys = (0..count).map(key).collect::<Result<SmallVec<_>, _>>()?;
    keys.sort_unstable();
    keys.dedup();
    Ok(Keys { keys, codes: Codes::new() })
}

fn check_length(length_bytes: usize) -> Result<(), IndexEntryError> {
    match length_bytes {
        0..=MAX_KEY_BYTES => Ok(()),
        _ => Err(IndexEntryError::KeyTooLong { length_bytes, limit_bytes: MAX_KEY_BYTES }),
    }
}

/// Of a document that has several entries in the index.
const SEVERAL: u8 = 1;

/// What is stored under each of the keys of a document.
pub(crate) fn value(index: &Index, id: &[u8], keys: &Keys) -> SmallVec<[u8; 24]> {
    let mut value = SmallVec::new();
    if keys.are_several() {
        value.push(SEVERAL);
    } else if !keys.codes.is_empty() {
        value.extend_from_slice(&keys.codes);
    } else if index.is_unique() {
        value.push(0);
    }
    if index.is_unique() {
        value.extend_from_slice(id);
    }
    value
}

/// The key of the document that an entry of a unique index belongs to.
pub(crate) fn holder(value: &[u8]) -> &[u8] {
    value.get(restore::codes_bytes(value).max(1)..).unwrap_or(&[])
}

/// The key of the document that an entry of any index belongs to.
pub(crate) fn document_key<'e>(index: &Index, key: &'e [u8], value: &'e [u8]) -> &'e [u8] {
    if index.is_unique() {
        return holder(value);
    }
    &key[fields_bytes(index.fields(), key)..]
}

/// How many bytes of a key its fields take; all of them, if it is no key.
pub(crate) fn fields_bytes(fields: &[IndexField], key: &[u8]) -> usize {
    fields.iter().fold(0, |end, field| {
        order_key::encoded_bytes(&key[end..], field.direction).map_or(key.len(), |bytes| end + bytes)
    })
}

/// The values of a key, for people.
pub(crate) fn values_shown(fields: &[IndexField], mut key: &[u8]) -> String {
    let value = |field: &IndexField| value_shown(&mut key, field.direction).unwrap_or_else(|| "?".to_owned());
    fields.iter().map(value).collect::<Vec<_>>().join(", ")
}

/// The value at the front of a key, for people; moves `key` behind it.
pub(crate) fn value_shown(key: &mut &[u8], direction: Direction) -> Option<String> {
    let value = order_key::decode(key, direction).ok()?;
    // As a field, for JSON is written of documents.
    let json = json_line(&doc! { "": value });
    Some(json.strip_prefix("{\"\":")?.strip_suffix('}')?.to_owned())
}

/// Whether a key is made of all fields and nothing else.
pub(crate) fn is_of_fields(fields: &[IndexField], key: &[u8]) -> bool {
    let rest = fields.iter().try_fold(key, |rest, field| {
        order_key::encoded_bytes(rest, field.direction).map(|bytes| &rest[bytes..])
    });
    rest == Some(&[])
}

/// Whether the document of an entry has others.
pub(crate) fn is_one_of_several(value: &[u8]) -> bool {
    value.first() == Some(&SEVERAL)
}

/// What most values have room in.
const USUAL_BYTES: usize = 32;

/// What a path leads to, as parts of keys: at least one value.
struct Values {
    /// One behind the other.
    bytes: Vec<u8>,
    ends: SmallVec<[usize; 2]>,
    are_missing: bool,
}

impl Values {
    fn count(&self) -> usize {
        self.ends.len()
    }

    /// A value; the only one, if there is no other.
    fn encoded(&self, nth: usize) -> &[u8] {
        let nth = if self.count() == 1 { 0 } else { nth };
        let start = nth.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[nth]]
    }

    fn add(&mut self, value: RawBsonRef<'_>, direction: Direction) {
        order_key::encode(value, direction, &mut self.bytes);
        self.ends.push(self.bytes.len());
    }
}

/// Adds the part of the key that comes first of those that a path leads to.
pub(crate) fn push_first(document: &RawDocument, path: &FieldPath, direction: Direction, out: &mut Vec<u8>) {
    if let Some((value, _)) = only_value(document, path.segments()) {
        return order_key::encode(shown(value), direction, out);
    }
    let values = values(document, path, direction);
    let each = (0..values.count()).map(|nth| values.encoded(nth));
    out.extend_from_slice(each.min().expect("there is one at least"));
}

/// The value that a path leads to, if it is there, and its place. None if there is an array on the way, or at its end.
fn only_value<'d>(
    document: &'d RawDocument,
    path: &[String],
) -> Option<(Option<RawBsonRef<'d>>, Option<Place>)> {
    let (last, way) = path.split_last().expect("a path has a segment at least");
    let (mut object, mut start) = (document, 0);
    let missing = |place| Some((None, place));
    for name in way {
        match locate_field(object, name) {
            Some((_, RawBsonRef::Array(_))) => return None,
            Some((at, RawBsonRef::Document(inner))) => (object, start) = (inner, start + at),
            // Of an object on the way a projection would keep something.
            _ => return missing((start == 0).then_some(Place { at: 0, kind: Kind::Missing })),
        }
    }
    match locate_field(object, last) {
        Some((_, RawBsonRef::Array(_))) => None,
        Some((at, value)) => {
            let place = Kind::of(value).map(|kind| Place { at: start + at, kind });
            Some((Some(value), place))
        }
        None => missing((start == 0).then_some(Place { at: 0, kind: Kind::Missing })),
    }
}

fn values(document: &RawDocument, path: &FieldPath, direction: Direction) -> Values {
    let found = RefCell::new(Values {
        bytes: Vec::with_capacity(USUAL_BYTES),
        ends: SmallVec::new(),
        are_missing: true,
    });
    let add = |value: Option<RawBsonRef<'_>>| {
        let mut found = found.borrow_mut();
        found.are_missing &= value.is_none();
        found.add(shown(value), direction);
        false
    };
    Walk::new(LeafArrays::OnlyElements, add).start(RawBsonRef::Document(document), path.segments());
    let mut found = found.into_inner();
    if found.count() == 0 {
        found.add(NOTHING, direction);
    }
    found
}

/// Where a path ends in an array without elements, or goes on behind an array that has nothing to go on in.
const NOTHING: RawBsonRef<'static> = RawBsonRef::Undefined;

/// The value that an index has for one. To filters undefined, null and what is not there are the same.
fn shown(value: Option<RawBsonRef<'_>>) -> RawBsonRef<'_> {
    match value {
        None | Some(RawBsonRef::Undefined) => RawBsonRef::Null,
        Some(RawBsonRef::Array(array)) if array.is_empty() => NOTHING,
        Some(value) => value,
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use bson::{Bson, RawDocumentBuf, doc, rawdoc};

    const ID: &[u8] = b"id";

    fn decoded(index: &Index, document: &RawDocumentBuf) -> Vec<Bson> {
        let keys = keys(index, document, ID).unwrap().keys;
        keys.iter().map(|key| order_key::decode(&mut &key[..], Direction::Ascending).unwrap()).collect()
    }

    #[test]
    fn each_value_at_a_path_has_a_key() {
        let index = Index::on("a.b").unwrap();
        let undefined = RawDocumentBuf::try_from(&doc! { "a": { "b": Bson::Undefined } }).unwrap();
        for (document, expected) in [
            (undefined, vec![Bson::Null]),
            (rawdoc! { "a": { "b": 1 } }, vec![Bson::Int64(1)]),
            (rawdoc! { "a": { "b": [2, 1, 2] } }, vec![Bson::Int64(1), Bson::Int64(2)]),
            (rawdoc! { "a": [{ "b": 1 }, { "b": [2, 3] }, 4] }, (1..=3).map(Bson::Int64).collect()),
            (rawdoc! { "a": [{ "b": 1 }, { "c": 1 }] }, vec![Bson::Null, Bson::Int64(1)]),
            (rawdoc! { "c": 1 }, vec![Bson::Null]),
            (rawdoc! { "a": { "b": [] } }, vec![Bson::Undefined]),
            (rawdoc! { "a": [1, 2] }, vec![Bson::Undefined]),
            (rawdoc! { "a": { "b": [[1, 2]] } }, vec![Bson::Array(vec![Bson::Int64(1), Bson::Int64(2)])]),
        ] {
            assert_eq!(decoded(&index, &document), expected, "{document:?}");
        }
    }

    #[test]
    fn sparse_and_partial_indexes_leave_documents_out() {
        let sparse = Index::on("a").unwrap().and("b").unwrap().sparse();
        let partial = Index::on("a").unwrap().partial(crate::filter::field("b").gt(1)).unwrap();
        for (document, in_sparse, in_partial) in [
            (rawdoc! { "c": 2 }, false, false),
            (rawdoc! { "b": 2 }, true, true),
            (rawdoc! { "a": [], "b": 1 }, true, false),
            (rawdoc! { "a": null }, true, false),
        ] {
            let has = |index| !keys(index, &document, ID).unwrap().keys.is_empty();
            assert_eq!((has(&sparse), has(&partial)), (in_sparse, in_partial), "{document:?}");
        }
    }

    #[test]
    fn keys_end_with_the_id_unless_they_are_unique() {
        let index = Index::on("a").unwrap();
        let of = |index| keys(&index, &rawdoc! { "a": 1 }, ID).unwrap().keys[0].clone();
        assert_eq!(of(index.clone()), [of(index.unique()), ID.to_vec()].concat());
    }

    #[test]
    fn two_arrays_and_long_values_are_refused() {
        let index = Index::on("a").unwrap().and_descending("b").unwrap();
        let document = RawDocumentBuf::try_from(&doc! { "a": [1, 2], "b": [3, 4] }).unwrap();
        assert!(matches!(keys(&index, &document, ID), Err(IndexEntryError::TwoArrays { .. })));
        let document = RawDocumentBuf::try_from(&doc! { "a": [1, 2], "b": [3] }).unwrap();
        assert_eq!(keys(&index, &document, ID).unwrap().keys.len(), 2);
        let document = rawdoc! { "a": "x".repeat(MAX_KEY_BYTES) };
        assert!(matches!(keys(&index, &document, ID), Err(IndexEntryError::KeyTooLong { .. })));
    }
}
