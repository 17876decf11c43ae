//! Finding one field of an object, in place.
//!
//! What comes before it is skipped by its length alone: neither names nor values are checked or decoded. That is what a scan with a filter spends its time on.

use bson::oid::ObjectId;
use bson::{DateTime, RawBsonRef, RawDocument};

use super::raw::LENGTH_BYTES;

const OBJECT_ID_BYTES: usize = 12;
const DECIMAL_BYTES: usize = 16;

/// The first field of this name. Of a malformed document, what cannot be read is not there, nor what comes after it.
pub(crate) fn find_field<'a>(object: &'a RawDocument, name: &str) -> Option<RawBsonRef<'a>> {
    locate_field(object, name).map(|(_, value)| value)
}

/// The same, and at which byte of the object the value begins.
#[inline]
pub(crate) fn locate_field<'a>(object: &'a RawDocument, name: &str) -> Option<(usize, RawBsonRef<'a>)> {
    let bytes = object.as_bytes();
    let mut rest = bytes.get(LENGTH_BYTES..)?;
    loop {
        let (&kind, behind) = rest.split_first().filter(|(kind, _)| **kind != 0)?;
        // The end of the name first: most names differ in their length, and the comparison is a call.
        let is_it = behind.get(name.len()) == Some(&0) && behind.starts_with(name.as_bytes());
        let name_bytes = if is_it { name.len() + 1 } else { c_string_bytes(behind)? };
        let value = &behind[name_bytes..];
        if is_it {
            let found = read_common(kind, value).or_else(|| read_any(object, name))?;
            return Some((bytes.len() - value.len(), found));
        }
        rest = value.get(value_bytes(kind, value)?..)?;
    }
}

/// A value of one of the usual types, at the beginning of `value`; none for others and for malformed ones.
fn read_common(kind: u8, value: &[u8]) -> Option<RawBsonRef<'_>> {
    Some(match kind {
        0x01 => RawBsonRef::Double(f64::from_le_bytes(*value.first_chunk()?)),
        0x02 => {
            let text = value.get(LENGTH_BYTES..LENGTH_BYTES + length(value)?)?.strip_suffix(&[0])?;
            RawBsonRef::String(std::str::from_utf8(text).ok()?)
        }
        0x03 => RawBsonRef::Document(RawDocument::from_bytes(value.get(..length(value)?)?).ok()?),
        0x07 => RawBsonRef::ObjectId(ObjectId::from_bytes(*value.first_chunk::<OBJECT_ID_BYTES>()?)),
        0x08 => RawBsonRef::Boolean(*value.first().filter(|byte| **byte <= 1)? == 1),
        0x09 => RawBsonRef::DateTime(DateTime::from_millis(i64::from_le_bytes(*value.first_chunk()?))),
        0x0a => RawBsonRef::Null,
        0x10 => RawBsonRef::Int32(i32::from_le_bytes(*value.first_chunk()?)),
        0x12 => RawBsonRef::Int64(i64::from_le_bytes(*value.first_chunk()?)),
        _ => return None,
    })
}

/// The same for all types, by the `bson` crate's own reader, which starts from the beginning.
fn read_any<'a>(object: &'a RawDocument, name: &str) -> Option<RawBsonRef<'a>> {
    let mut elements = object.iter_elements().map_while(Result::ok);
    elements.find(|element| element.key().as_str() == name)?.value().ok()
}

/// How long the value at the beginning of `value` is, if its type is known.
fn value_bytes(kind: u8, value: &[u8]) -> Option<usize> {
    Some(match kind {
        0x06 | 0x0a | 0x7f | 0xff => 0,
        0x08 => 1,
        0x10 => 4,
        0x01 | 0x09 | 0x11 | 0x12 => 8,
        0x07 => OBJECT_ID_BYTES,
        0x13 => DECIMAL_BYTES,
        0x02 | 0x0d | 0x0e => LENGTH_BYTES + length(value)?,
        0x03 | 0x04 | 0x0f => length(value)?,
        0x05 => LENGTH_BYTES + 1 + length(value)?,
        0x0b => {
            let pattern = c_string_bytes(value)?;
            pattern + c_string_bytes(&value[pattern..])?
        }
        0x0c => LENGTH_BYTES + length(value)? + OBJECT_ID_BYTES,
        _ => return None,
    })
}

/// The length that a value begins with.
fn length(value: &[u8]) -> Option<usize> {
    usize::try_from(i32::from_le_bytes(*value.first_chunk()?)).ok()
}

/// The length of text that a zero byte ends, with that byte.
fn c_string_bytes(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|&byte| byte == 0).map(|at| at + 1)
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use bson::RawDocumentBuf;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::document::test_values::{document, name, value};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn a_field_is_found_as_the_bson_crate_finds_it(document in document(value()), name in name()) {
            let document = RawDocumentBuf::try_from(&document).expect("a document");
            // As text, in which NaN is NaN.
            let same = |found: Option<RawBsonRef<'_>>, expected: Option<RawBsonRef<'_>>| format!("{found:?}") == format!("{expected:?}");
            prop_assert!(same(find_field(&document, &name), document.get(&name).expect("well formed")));
            for field in document.iter_elements() {
                let field = field.expect("well formed");
                let (name, value) = (field.key().as_str(), field.value().expect("well formed"));
                let (at, found) = locate_field(&document, name).expect("it is there");
                prop_assert!(same(Some(found), Some(value)), "{name:?}");
                let before = &document.as_bytes()[..at];
                prop_assert!(before.strip_suffix(b"\0").is_some_and(|before| before.ends_with(name.as_bytes())));
            }
        }

        #[test]
        fn malformed_bytes_do_no_harm(
            document in document(value()),
            damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            name in name(),
        ) {
            let mut bytes = RawDocumentBuf::try_from(&document).expect("a document").into_bytes();
            // Length and end are what makes bytes a document.
            let inner = LENGTH_BYTES..bytes.len() - 1;
            for (at, byte) in damage.into_iter().filter(|_| !inner.is_empty()) {
                bytes[inner.start + at.index(inner.len())] = byte;
            }
            let damaged = RawDocument::from_bytes(&bytes).expect("length and end are right");
            // Whatever is read of it is in it.
            if let Some(RawBsonRef::String(text)) = find_field(damaged, &name) {
                prop_assert!(bytes.as_ptr_range().contains(&text.as_ptr()));
            }
        }
    }

    #[test]
    fn of_two_fields_of_one_name_the_first_counts() {
        let twice =
            RawDocument::from_bytes(b"\x13\0\0\0\x10a\0\x01\0\0\0\x10a\0\x02\0\0\0\0").expect("shape");
        assert_eq!(find_field(twice, "a"), Some(RawBsonRef::Int32(1)));
        assert_eq!(find_field(twice, ""), None);
    }
}
