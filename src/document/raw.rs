//! Small readers and writers of raw BSON that the `bson` crate keeps to itself.

use bson::raw::{RawDbPointerRef, RawElement, cstr};
use bson::spec::ElementType;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf};

use super::DocumentError;

/// The bytes of a document without elements.
pub(crate) const EMPTY_DOCUMENT: [u8; 5] = [5, 0, 0, 0, 0];
/// The length field in front of a document's elements.
pub(crate) const LENGTH_BYTES: usize = 4;

/// One value as it stands in a document, without its name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RawValue {
    /// The BSON type byte.
    pub(crate) kind: u8,
    /// What follows the name.
    pub(crate) bytes: Vec<u8>,
}

impl RawValue {
    /// Copies a value out of its document. Costs an allocation.
    pub(crate) fn new(value: RawBsonRef<'_>) -> RawValue {
        let mut holder = RawDocumentBuf::new();
        holder.append(cstr!(""), value);
        let holder = holder.into_bytes();
        // Length field, type, the empty name's terminator, the value, the document's terminator.
        RawValue { kind: holder[LENGTH_BYTES], bytes: holder[LENGTH_BYTES + 2..holder.len() - 1].to_vec() }
    }
}

/// The namespace and the id inside a DBPointer.
pub(crate) fn db_pointer_parts(pointer: RawDbPointerRef<'_>) -> (String, [u8; 12]) {
    let value = RawValue::new(RawBsonRef::DbPointer(pointer)).bytes;
    let (text, id) = value.split_last_chunk::<12>().expect("a DBPointer ends in an object id");
    let namespace = &text[LENGTH_BYTES..text.len() - 1];
    (String::from_utf8_lossy(namespace).into_owned(), *id)
}

/// Starts a document at the end of `out`, and returns where.
pub(crate) fn begin_document(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    start
}

/// Ends the document that began at `start`.
pub(crate) fn end_document(out: &mut Vec<u8>, start: usize) {
    out.push(0);
    set_length(out, start);
}

/// Says how long the document is that goes from `start` to the end of `out`.
pub(crate) fn set_length(out: &mut [u8], start: usize) {
    // Sizes are checked against limits of 2 GiB − 1 at most before a document leaves this layer.
    let length = (out.len() - start) as u32;
    out[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
}

/// Appends a type byte and a name, in front of a value. The name must not contain a NUL.
pub(crate) fn begin_element(out: &mut Vec<u8>, kind: u8, name: &str) {
    out.push(kind);
    out.extend_from_slice(name.as_bytes());
    out.push(0);
}

/// Appends a value's length in bytes, as BSON's strings and binaries have it in front.
pub(crate) fn push_length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&(length as u32).to_le_bytes());
}

/// Appends a BSON string value.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    push_length(out, text.len() + 1);
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

/// The elements of a document, each with the range of bytes that it takes: type, name and value.
pub(crate) fn elements_with_bytes<'a>(
    document: &'a RawDocument,
) -> impl Iterator<Item = Result<(RawElement<'a>, &'a [u8]), DocumentError>> {
    let mut start = LENGTH_BYTES;
    document.iter_elements().map(move |element| {
        let element = element.map_err(|error| DocumentError::bson(start, error.to_string()))?;
        let end = start + 1 + element.key().len() + 1 + element.size();
        let bytes = &document.as_bytes()[start..end];
        start = end;
        Ok((element, bytes))
    })
}

/// The name of a type for error messages.
pub(crate) fn type_name(kind: ElementType) -> &'static str {
    match kind {
        ElementType::Double => "double",
        ElementType::String => "string",
        ElementType::EmbeddedDocument => "object",
        ElementType::Array => "array",
        ElementType::Binary => "binary",
        ElementType::Undefined => "undefined",
        ElementType::ObjectId => "object id",
        ElementType::Boolean => "boolean",
        ElementType::DateTime => "date",
        ElementType::Null => "null",
        ElementType::RegularExpression => "regular expression",
        ElementType::DbPointer => "DBPointer",
        ElementType::JavaScriptCode => "JavaScript code",
        ElementType::Symbol => "symbol",
        ElementType::JavaScriptCodeWithScope => "JavaScript code with scope",
        ElementType::Int32 => "32-bit integer",
        ElementType::Timestamp => "timestamp",
        ElementType::Int64 => "64-bit integer",
        ElementType::Decimal128 => "decimal",
        ElementType::MaxKey => "MaxKey",
        ElementType::MinKey => "MinKey",
    }
}
