//! Fields of a document, made again from its entry: what a query that wants no others is answered by.
//!
//! A key says what its values compare equal to, and not all of what they are: 1 may be an Int32, an Int64 or a double. So an entry has a byte for each
//! of the index's fields, which says the rest:
//!
//! ```text
//!   bits   7         6 5 4    3 2 1 0
//!          more      kind     which of the fields it is, in the document's order
//!          follow
//! ```
//!
//! It has none if that does not do for one of the fields. Then the document has to be fetched.

use super::definition::Index;
use crate::document::order_key::{self, Direction};
use crate::document::{
    FieldPath, ID_FIELD, LENGTH_BYTES, begin_document, begin_element, end_document, push_length, push_string,
};
use bson::spec::{BinarySubtype, ElementType};
use bson::{Bson, RawBsonRef, RawDocument};
use smallvec::SmallVec;

/// What a field is, beyond what its key says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// The document has no such field, and nothing of the way to it that a projection would keep.
    Missing = 1,
    /// What the key decodes to.
    AsDecoded = 2,
    Int32 = 3,
    Double = 4,
}

const MORE: u8 = 0x80;
const KIND_SHIFT: u32 = 4;
const KIND_MASK: u8 = 0x7;
const PLACE_MASK: u8 = 0x0f;
const FIELDS_MAX: usize = PLACE_MASK as usize + 1;
/// The least first byte of codes.
const LEAST: u8 = 1 << KIND_SHIFT;

/// The bytes of an entry that say how its fields are made again; none if they cannot be.
pub(super) type Codes = SmallVec<[u8; 4]>;

impl Kind {
    /// What has to be said of a value; none if the key says too little of it.
    pub(super) fn of(value: RawBsonRef<'_>) -> Option<Kind> {
        Some(match value {
            RawBsonRef::Int32(_) => Kind::Int32,
            // Zero has no sign in a key, and NaN no payload.
            RawBsonRef::Double(double) if double.is_nan() || double == 0.0 && double.is_sign_negative() => {
                return None;
            }
            RawBsonRef::Double(_) => Kind::Double,
            RawBsonRef::Binary(binary) if binary.subtype == BinarySubtype::BinaryOld => return None,
            RawBsonRef::Int64(_)
            | RawBsonRef::String(_)
            | RawBsonRef::Boolean(_)
            | RawBsonRef::ObjectId(_)
            | RawBsonRef::DateTime(_)
            | RawBsonRef::Timestamp(_)
            | RawBsonRef::Binary(_)
            | RawBsonRef::Null => Kind::AsDecoded,
            _ => return None,
        })
    }

    fn from_code(code: u8) -> Option<Kind> {
        let kinds = [Kind::Missing, Kind::AsDecoded, Kind::Int32, Kind::Double];
        kinds.into_iter().find(|kind| *kind as u8 == code >> KIND_SHIFT & KIND_MASK)
    }
}

/// Where a field is in its document, if a path leads to it through no array, and what it is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// At which byte of the document; 0 if it is missing, for no field is there.
    pub(super) at: usize,
    pub(super) kind: Kind,
}

/// The codes of a document with these fields.
pub(super) fn codes(document: &RawDocument, places: &[Option<Place>]) -> Option<Codes> {
    if places.len() > FIELDS_MAX || !is_id_plain(document) {
        return None;
    }
    let mut codes = Codes::new();
    for (nth, place) in places.iter().enumerate() {
        let place = (*place)?;
        let before = places.iter().flatten().filter(|other| other.at < place.at).count() as u8;
        let more = if nth + 1 < places.len() { MORE } else { 0 };
        codes.push(more | (place.kind as u8) << KIND_SHIFT | before);
    }
    Some(codes)
}

/// Whether the id is the document's first field, and what is made of its key: an integer that fits is an Int32.
fn is_id_plain(document: &RawDocument) -> bool {
    let first = document.as_bytes().get(LENGTH_BYTES..).and_then(<[u8]>::split_first);
    match first.and_then(|(kind, named)| Some((*kind, named.strip_prefix(b"_id\0")?))) {
        Some((kind, value)) if kind == ElementType::Int64 as u8 => {
            value.first_chunk().is_some_and(|integer| i32::try_from(i64::from_le_bytes(*integer)).is_err())
        }
        first => first.is_some(),
    }
}

/// How many bytes of an entry's value are codes.
pub(super) fn codes_bytes(value: &[u8]) -> usize {
    match value.first() {
        Some(first) if *first >= LEAST => value.iter().take_while(|code| **code & MORE != 0).count() + 1,
        _ => 0,
    }
}

/// Whether the entries of an index may say what fields of their documents are.
pub(crate) fn can_cover(index: &Index) -> bool {
    index.is_restorable() && index.fields().len() <= FIELDS_MAX
}

/// Whether the entries of an index have these fields of their documents, or the id. If there are none, any index has them.
pub(crate) fn covers<'p>(index: &Index, mut paths: impl Iterator<Item = &'p FieldPath>) -> bool {
    let is_id = |path: &FieldPath| path.segments() == [ID_FIELD];
    let can_cover = can_cover(index);
    paths.all(|path| can_cover && (is_id(path) || index.fields().iter().any(|field| field.path == *path)))
}

/// Appends what an entry has of its document: the id, whose key is `id`, and the fields of the index, in the document's order. None if the entry does not say
/// what they are; then there may be anything behind what was in `out`.
pub(crate) fn restore(
    index: &Index,
    mut key: &[u8],
    value: &[u8],
    id: &[u8],
    out: &mut Vec<u8>,
) -> Option<()> {
    let codes = value.get(..codes_bytes(value)).filter(|codes| codes.len() == index.fields().len())?;
    let mut fields: SmallVec<[Field<'_>; 4]> = SmallVec::new();
    for (field, code) in index.fields().iter().zip(codes) {
        let decoded = order_key::decode(&mut key, field.direction).ok()?;
        let (kind, path) = (Kind::from_code(*code)?, field.path.segments());
        if kind != Kind::Missing && path != [ID_FIELD] {
            fields.push(Field { place: code & PLACE_MASK, path, kind, decoded });
        }
    }
    fields.sort_unstable_by_key(|field| field.place);
    let start = begin_document(out);
    push_id(id, out)?;
    push_fields(&fields, 0, out)?;
    end_document(out, start);
    Some(())
}

struct Field<'r> {
    place: u8,
    path: &'r [String],
    kind: Kind,
    decoded: Bson,
}

/// Appends fields that are next to each other in an object this deep.
fn push_fields(fields: &[Field<'_>], depth: usize, out: &mut Vec<u8>) -> Option<()> {
    let mut rest = fields;
    while let Some(first) = rest.first() {
        let name = &first.path[depth];
        let together = match first.path.len() - depth {
            1 => {
                push_value(name, first.kind, &first.decoded, out)?;
                1
            }
            _ => {
                let together = rest.iter().take_while(|field| field.path[depth] == *name).count();
                begin_element(out, ElementType::EmbeddedDocument as u8, name);
                let start = begin_document(out);
                push_fields(&rest[..together], depth + 1, out)?;
                end_document(out, start);
                together
            }
        };
        rest = &rest[together..];
    }
    Some(())
}

fn push_id(mut id: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let decoded = order_key::decode(&mut id, Direction::Ascending).ok()?;
    let kind = match decoded {
        Bson::Int64(integer) if i32::try_from(integer).is_ok() => Kind::Int32,
        _ => Kind::AsDecoded,
    };
    push_value(ID_FIELD, kind, &decoded, out)
}

/// Appends a field whose value was encoded as `decoded` says.
fn push_value(name: &str, kind: Kind, decoded: &Bson, out: &mut Vec<u8>) -> Option<()> {
    let begin = |out: &mut Vec<u8>, kind: ElementType| begin_element(out, kind as u8, name);
    let mut push = |kind: ElementType, bytes: &[u8]| {
        begin(out, kind);
        out.extend_from_slice(bytes);
    };
    match (kind, decoded) {
        (Kind::Int32, Bson::Int64(integer)) => {
            push(ElementType::Int32, &i32::try_from(*integer).ok()?.to_le_bytes())
        }
        // They compare equal, so it is exact.
        (Kind::Double, Bson::Int64(integer)) => push(ElementType::Double, &(*integer as f64).to_le_bytes()),
        (Kind::Double, Bson::Double(double)) => push(ElementType::Double, &double.to_le_bytes()),
        (Kind::AsDecoded, Bson::Int64(integer)) => push(ElementType::Int64, &integer.to_le_bytes()),
        (Kind::AsDecoded, Bson::Boolean(boolean)) => push(ElementType::Boolean, &[u8::from(*boolean)]),
        (Kind::AsDecoded, Bson::ObjectId(id)) => push(ElementType::ObjectId, &id.bytes()),
        (Kind::AsDecoded, Bson::DateTime(date)) => {
            push(ElementType::DateTime, &date.timestamp_millis().to_le_bytes())
        }
        (Kind::AsDecoded, Bson::Null) => push(ElementType::Null, &[]),
        (Kind::AsDecoded, Bson::Timestamp(timestamp)) => {
            push(ElementType::Timestamp, &timestamp.increment.to_le_bytes());
            out.extend_from_slice(&timestamp.time.to_le_bytes());
        }
        (Kind::AsDecoded, Bson::String(text)) => {
            begin(out, ElementType::String);
            push_string(out, text);
        }
        (Kind::AsDecoded, Bson::Binary(binary)) => {
            begin(out, ElementType::Binary);
            push_length(out, binary.bytes.len());
            out.push(binary.subtype.into());
            out.extend_from_slice(&binary.bytes);
        }
        _ => return None,
    }
    Some(())
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::document::test_values::{db_pointer, decimal, leaf};
    use crate::document::{DocumentId, locate_field};
    use crate::index::entry;
    use bson::{Document, RawDocumentBuf, bson, doc, rawdoc};
    use proptest::prelude::*;
    use proptest::sample::subsequence;

    const PATHS: [&str; 6] = ["a", "b", "c.a", "c.b", "c.d.a", "c.d.b"];

    fn index(paths: &[&str], is_unique: bool) -> Index {
        let descending = |index: Index, path: &str| index.and_descending(path).unwrap();
        let index =
            paths[1..].iter().fold(Index::on(paths[0]).unwrap(), |index, path| descending(index, path));
        if is_unique { index.unique() } else { index }
    }

    #[test]
    fn entries_of_earlier_versions_and_of_many_fields_cover_nothing() {
        let of = |fields: usize| {
            let fields: Vec<String> = (0..fields).map(|n| format!("f{n}")).collect();
            index(&fields.iter().map(String::as_str).collect::<Vec<_>>(), false)
        };
        assert!(can_cover(&of(FIELDS_MAX)) && !can_cover(&of(FIELDS_MAX + 1)));
        assert!(!can_cover(&of(1).of_an_earlier_version()));
    }

    fn raw(document: &Document) -> RawDocumentBuf {
        RawDocumentBuf::try_from(document).unwrap()
    }

    /// The fields of these paths as a reader of the document has them; none if one goes through an array.
    fn projected(document: &Document, paths: &[Vec<&str>]) -> Option<Document> {
        let mut kept = Document::new();
        for (name, value) in document {
            let below: Vec<_> = paths.iter().filter(|path| path[0] == name).collect();
            match value {
                Bson::Array(_) if !below.is_empty() => return None,
                _ if below.is_empty() => {}
                value if below.iter().any(|path| path.len() == 1) => drop(kept.insert(name, value.clone())),
                Bson::Document(inner) => {
                    let deeper: Vec<_> = below.iter().map(|path| path[1..].to_vec()).collect();
                    kept.insert(name, projected(inner, &deeper)?);
                }
                _ => {}
            }
        }
        Some(kept)
    }

    /// What the entry of a document has of it.
    fn restored(index: &Index, document: &RawDocument) -> Option<RawDocumentBuf> {
        let id = locate_field(document, ID_FIELD).map(|(_, id)| DocumentId::try_from(id).unwrap()).unwrap();
        let mut id_key = Vec::new();
        id.to_key(&mut id_key).unwrap();
        let keys = entry::keys(index, document, &id_key).unwrap();
        let value = entry::value(index, &id_key, &keys);
        if index.is_unique() {
            assert_eq!(entry::holder(&value), id_key);
        }
        assert_eq!(entry::is_one_of_several(&value), keys.are_several());
        let [key] = &keys.keys[..] else { return None };
        let mut bytes = Vec::new();
        restore(index, key, &value, &id_key, &mut bytes)?;
        Some(RawDocumentBuf::from_bytes(bytes).unwrap())
    }

    fn document() -> impl Strategy<Value = Document> {
        let object = |fields: Vec<(&'static str, Bson)>| fields.into_iter().map(|(n, v)| (n.to_owned(), v));
        let value = prop_oneof![
            12 => leaf(),
            1 => Just(bson!([])),
            1 => Just(bson!([1])),
            1 => Just(bson!([1, 2])),
            1 => Just(bson!({ "x": 1 })),
        ];
        let named = move |names: &'static [&'static str]| {
            let some = subsequence(names, 0..=names.len()).prop_shuffle();
            (some, proptest::collection::vec(value.clone(), names.len()))
                .prop_map(|(names, values)| names.into_iter().zip(values).collect::<Vec<_>>())
        };
        let id = prop_oneof![
            any::<i32>().prop_map(Bson::Int32),
            any::<i64>().prop_map(Bson::Int64),
            "x".prop_map(Bson::String)
        ];
        (id, named(&["a", "b", "x"]), named(&["a", "b", "x"]), named(&["a", "b"]), 0..4_usize, 0..4_usize)
            .prop_map(move |(id, top, middle, bottom, at, deeper_at)| {
                let mut middle = middle;
                middle.insert(deeper_at.min(middle.len()), ("d", Bson::Document(object(bottom).collect())));
                let mut top = top;
                top.insert(at.min(top.len()), ("c", Bson::Document(object(middle).collect())));
                top.insert(0, ("_id", id));
                object(top).collect()
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn what_is_restored_is_what_the_document_has(
            document in document(),
            paths in subsequence(&PATHS, 1..=4).prop_shuffle(),
            is_unique in any::<bool>(),
        ) {
            let index = index(&paths, is_unique);
            let raw_document = raw(&document);
            let Ok(keys) = entry::keys(&index, &raw_document, b"") else { return Ok(()) };
            prop_assume!(!keys.are_several());
            if let Some(restored) = restored(&index, &raw_document) {
                let wanted: Vec<Vec<&str>> =
                    std::iter::once("_id").chain(paths).map(|path| path.split('.').collect()).collect();
                let expected = projected(&document, &wanted).map(|expected| raw(&expected));
                prop_assert_eq!(expected.as_ref().map(|raw| raw.as_bytes()), Some(restored.as_bytes()));
            }
        }

        #[test]
        fn malformed_entries_do_no_harm(
            key in proptest::collection::vec(any::<u8>(), 0..24),
            value in proptest::collection::vec(any::<u8>(), 0..6),
        ) {
            for index in [index(&["a", "c.b"], true), index(&["a", "c.b"], false)] {
                let id = entry::document_key(&index, &key, &value);
                let _ = restore(&index, &key, &value, id, &mut Vec::new());
            }
        }
    }

    #[test]
    fn the_usual_documents_need_not_be_fetched() {
        let document = rawdoc! {
            "_id": 7, "c": { "b": 1.5, "d": { "a": "text", "b": true }, "a": 3_i64 }, "b": bson::DateTime::from_millis(5),
        };
        let index = index(&["a", "c.d.b", "b", "c.a", "c.b", "c.d.a"], false);
        assert_eq!(restored(&index, &document), Some(document));
    }

    #[test]
    fn what_a_key_says_too_little_of_is_fetched() {
        let index = index(&["a"], false);
        let is_restored = |document: &Document| restored(&index, &raw(document)).is_some();
        for value in [
            bson!(-0.0),
            bson!(f64::NAN),
            decimal("1.0"),
            Bson::Symbol("s".into()),
            Bson::Undefined,
            bson!({ "x": 1 }),
            bson!([1]),
            bson!([]),
            db_pointer("n", [1; 12]),
        ] {
            assert!(!is_restored(&doc! { "_id": 1, "a": value.clone() }), "{value:?}");
        }
        // The id: not in front, or of a type that ids of its value are not read as.
        assert!(!is_restored(&doc! { "a": 1, "_id": 1 }));
        assert!(!is_restored(&doc! { "_id": 1_i64, "a": 1 }));
        assert!(is_restored(&doc! { "_id": 1_i64 << 40, "a": 1 }));
        assert!(is_restored(&doc! { "_id": 1 }));
    }

    #[test]
    fn an_index_covers_its_own_fields_only() {
        let nested = index(&["c.a", "b"], false);
        for (path, is_covered) in
            [("c.a", true), ("b", true), ("_id", true), ("c", false), ("b.x", false), ("a", false)]
        {
            assert_eq!(covers(&nested, [path.parse().unwrap()].iter()), is_covered, "{path}");
        }
        let many = (0..17).fold(Index::on("a").unwrap(), |index, n| index.and(&format!("f{n}")).unwrap());
        assert!(
            restored(&many, &rawdoc! { "_id": 1, "a": 1 }).is_none(),
            "more fields than there are places"
        );
    }
}
