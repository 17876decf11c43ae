//! BSON bytes to JSON text: MongoDB's relaxed extended JSON v2, straight from the raw document.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bson::raw::RawBinaryRef;
use bson::spec::BinarySubtype;
use bson::{DateTime, RawBsonRef, RawDocument};
use serde::Serialize;
use uuid::Uuid;

use super::Limits;
use crate::document::DocumentError;
use crate::document::raw::db_pointer_parts;

/// Midnight before the first day of the year 10000 in milliseconds: from here on a date has no four-digit year.
const YEAR_10000_MS: i64 = 253_402_300_800_000;

/// Appends a document as one line of relaxed extended JSON.
///
/// Reading the text gives the same bytes again, except that an Int64 that fits 32 bits comes back as Int32, and a NaN or
/// decimal with unusual bits as the usual ones. An object that itself looks like an extended form (`{"$oid": "…"}` as data) comes
/// back as what it looks like; JSON has no way to say otherwise.
///
/// Costs one pass over the bytes.
///
/// # Errors
///
/// [`DocumentError::MalformedBson`] or [`DocumentError::TooDeep`] for bytes that never passed
/// [`validate`](super::validate); `out` is then as it was.
pub fn raw_to_json(document: &RawDocument, out: &mut Vec<u8>) -> Result<(), DocumentError> {
    let start = out.len();
    let outcome = write_object(document, 1, out);
    if outcome.is_err() {
        out.truncate(start);
    }
    outcome
}

fn unreadable(error: bson::error::Error) -> DocumentError {
    DocumentError::bson(0, error.to_string())
}

fn check_depth(depth: usize) -> Result<(), DocumentError> {
    if depth > Limits::DEPTH_CEILING {
        return Err(DocumentError::TooDeep { limit: Limits::DEPTH_CEILING });
    }
    Ok(())
}

/// Anything that serde_json writes the way JSON wants it: text with escapes, numbers.
fn push<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), DocumentError> {
    serde_json::to_writer(out, value).map_err(|error| DocumentError::Serde { reason: error.to_string() })
}

/// A form with one name and text: `{"$name":"text"}`.
fn push_form(name: &str, text: &str, out: &mut Vec<u8>) -> Result<(), DocumentError> {
    out.extend_from_slice(b"{\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    push(text, out)?;
    out.push(b'}');
    Ok(())
}

fn write_object(document: &RawDocument, depth: usize, out: &mut Vec<u8>) -> Result<(), DocumentError> {
    check_depth(depth)?;
    out.push(b'{');
    for (index, element) in document.iter().enumerate() {
        let (name, value) = element.map_err(unreadable)?;
        if index > 0 {
            out.push(b',');
        }
        push(name.as_str(), out)?;
        out.push(b':');
        write_value(value, depth, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_array(array: &bson::RawArray, depth: usize, out: &mut Vec<u8>) -> Result<(), DocumentError> {
    check_depth(depth)?;
    out.push(b'[');
    for (index, element) in array.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_value(element.map_err(unreadable)?, depth, out)?;
    }
    out.push(b']');
    Ok(())
}

fn write_value(value: RawBsonRef<'_>, depth: usize, out: &mut Vec<u8>) -> Result<(), DocumentError> {
    match value {
        RawBsonRef::Null => out.extend_from_slice(b"null"),
        RawBsonRef::Boolean(boolean) => push(&boolean, out)?,
        RawBsonRef::Int32(integer) => push(&integer, out)?,
        RawBsonRef::Int64(integer) => push(&integer, out)?,
        RawBsonRef::Double(double) => write_double(double, out)?,
        RawBsonRef::String(text) => push(text, out)?,
        RawBsonRef::Document(inner) => write_object(inner, depth + 1, out)?,
        RawBsonRef::Array(inner) => write_array(inner, depth + 1, out)?,
        RawBsonRef::Binary(binary) => write_binary(binary, out)?,
        RawBsonRef::ObjectId(id) => push_form("$oid", &id.to_hex(), out)?,
        RawBsonRef::DateTime(date) => write_date(date, out)?,
        RawBsonRef::Decimal128(decimal) => push_form("$numberDecimal", &decimal.to_string(), out)?,
        RawBsonRef::Symbol(text) => push_form("$symbol", text, out)?,
        RawBsonRef::JavaScriptCode(code) => push_form("$code", code, out)?,
        RawBsonRef::JavaScriptCodeWithScope(code) => {
            out.extend_from_slice(b"{\"$code\":");
            push(code.code, out)?;
            out.extend_from_slice(b",\"$scope\":");
            write_object(code.scope, depth + 1, out)?;
            out.push(b'}');
        }
        RawBsonRef::Timestamp(timestamp) => {
            let text =
                format!("{{\"$timestamp\":{{\"t\":{},\"i\":{}}}}}", timestamp.time, timestamp.increment);
            out.extend_from_slice(text.as_bytes());
        }
        RawBsonRef::RegularExpression(regex) => {
            out.extend_from_slice(b"{\"$regularExpression\":{\"pattern\":");
            push(regex.pattern.as_str(), out)?;
            out.extend_from_slice(b",\"options\":");
            push(regex.options.as_str(), out)?;
            out.extend_from_slice(b"}}");
        }
        RawBsonRef::DbPointer(pointer) => {
            let (namespace, id) = db_pointer_parts(pointer);
            out.extend_from_slice(b"{\"$dbPointer\":{\"$ref\":");
            push(&namespace, out)?;
            out.extend_from_slice(b",\"$id\":");
            push_form("$oid", &bson::oid::ObjectId::from_bytes(id).to_hex(), out)?;
            out.extend_from_slice(b"}}");
        }
        RawBsonRef::Undefined => out.extend_from_slice(b"{\"$undefined\":true}"),
        RawBsonRef::MinKey => out.extend_from_slice(b"{\"$minKey\":1}"),
        RawBsonRef::MaxKey => out.extend_from_slice(b"{\"$maxKey\":1}"),
    }
    Ok(())
}

fn write_double(double: f64, out: &mut Vec<u8>) -> Result<(), DocumentError> {
    if double.is_finite() {
        // Always with a point or an exponent, so that it reads back as a double.
        return push(&double, out);
    }
    let word = if double.is_nan() { "NaN" } else { ["Infinity", "-Infinity"][usize::from(double < 0.0)] };
    push_form("$numberDouble", word, out)
}

fn write_binary(binary: RawBinaryRef<'_>, out: &mut Vec<u8>) -> Result<(), DocumentError> {
    if binary.subtype == BinarySubtype::Uuid
        && let Ok(uuid) = Uuid::from_slice(binary.bytes)
    {
        return push_form("$uuid", &uuid.hyphenated().to_string(), out);
    }
    let (base64, subtype) = (BASE64_STANDARD.encode(binary.bytes), u8::from(binary.subtype));
    let text = format!("{{\"$binary\":{{\"base64\":\"{base64}\",\"subType\":\"{subtype:02x}\"}}}}");
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn write_date(date: DateTime, out: &mut Vec<u8>) -> Result<(), DocumentError> {
    let millis = date.timestamp_millis();
    if (0..YEAR_10000_MS).contains(&millis)
        && let Ok(text) = date.try_to_rfc3339_string()
    {
        return push_form("$date", &text, out);
    }
    out.extend_from_slice(b"{\"$date\":");
    push_form("$numberLong", &millis.to_string(), out)?;
    out.push(b'}');
    Ok(())
}

/// A document as a line of JSON, for people; what is too deep for that is shown all the same.
pub(crate) fn json_line(document: &bson::Document) -> String {
    let mut json = Vec::new();
    let written =
        bson::RawDocumentBuf::try_from(document).is_ok_and(|raw| raw_to_json(&raw, &mut json).is_ok());
    let text = String::from_utf8(json).ok().filter(|_| written);
    text.unwrap_or_else(|| document.to_string())
}
