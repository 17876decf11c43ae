//! MongoDB's extended JSON v2, reading: which objects stand for a value of another type, and for which.
//!
//! An object is a form only if it has exactly the names of the form, with values of the right type; anything else
//! stays an ordinary object. Inner forms are replaced before outer ones, so `{"$date": {"$numberLong": "5"}}` arrives here as
//! `{"$date": 5}`. Forms of version 1 are not read.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bson::oid::ObjectId;
use bson::raw::{CStr, RawBinaryRef, RawJavaScriptCodeWithScopeRef, RawRegexRef};
use bson::spec::BinarySubtype;
use bson::{DateTime, Decimal128, RawBsonRef, RawDocument, Timestamp};
use uuid::Uuid;

use crate::document::raw::{RawValue, push_string};

/// A number as serde_json hands it over if any crate in the build turns its `arbitrary_precision` on.
const UNPARSED_NUMBER: &str = "$serde_json::private::Number";

type Form = Result<Option<RawValue>, String>;

/// The value that an object of BSON bytes stands for, if it is a form; the reason if its contents are impossible.
pub(super) fn read(object: &[u8]) -> Form {
    let object = RawDocument::from_bytes(object).map_err(|error| error.to_string())?;
    let mut fields = object.iter().map_while(Result::ok).map(|(name, value)| (name.as_str(), value));
    match (fields.next(), fields.next(), fields.next()) {
        (Some((name, value)), None, None) => match value {
            RawBsonRef::String(text) => read_text_form(name, text),
            RawBsonRef::Document(body) => read_object_form(name, body),
            value => read_other_form(name, value),
        },
        (Some(_), Some(_), None) => read_code_with_scope(object),
        _ => Ok(None),
    }
}

fn found(value: RawBsonRef<'_>) -> Form {
    Ok(Some(RawValue::new(value)))
}

fn impossible(name: &str, wanted: &str) -> Form {
    Err(format!("{name} must be {wanted}"))
}

/// Forms of one name and a string.
fn read_text_form(name: &str, text: &str) -> Form {
    match name {
        "$oid" => match ObjectId::parse_str(text) {
            Ok(id) => found(RawBsonRef::ObjectId(id)),
            Err(_) => impossible(name, "24 hexadecimal digits"),
        },
        "$uuid" => match Uuid::try_parse(text) {
            Ok(uuid) if text.len() == uuid::fmt::Hyphenated::LENGTH => {
                found(RawBsonRef::Binary(RawBinaryRef {
                    subtype: BinarySubtype::Uuid,
                    bytes: uuid.as_bytes(),
                }))
            }
            _ => impossible(name, "a UUID with hyphens"),
        },
        "$date" => match DateTime::parse_rfc3339_str(text) {
            Ok(date) => found(RawBsonRef::DateTime(date)),
            Err(_) => impossible(name, "a time by RFC 3339, or milliseconds as a 64-bit integer"),
        },
        "$numberInt" => match text.parse() {
            Ok(integer) => found(RawBsonRef::Int32(integer)),
            Err(_) => impossible(name, "an integer of 32 bits"),
        },
        "$numberLong" => match text.parse() {
            Ok(integer) => found(RawBsonRef::Int64(integer)),
            Err(_) => impossible(name, "an integer of 64 bits"),
        },
        "$numberDouble" => match parse_double(text) {
            Some(double) => found(RawBsonRef::Double(double)),
            None => impossible(name, "a number that a double can hold, Infinity, -Infinity or NaN"),
        },
        "$numberDecimal" => match text.parse::<Decimal128>() {
            Ok(decimal) => found(RawBsonRef::Decimal128(decimal)),
            Err(_) => impossible(name, "a number of up to 34 digits that a decimal can hold"),
        },
        "$symbol" => found(RawBsonRef::Symbol(text)),
        "$code" => found(RawBsonRef::JavaScriptCode(text)),
        UNPARSED_NUMBER => read_unparsed_number(text),
        _ => Ok(None),
    }
}

fn parse_double(text: &str) -> Option<f64> {
    match text {
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        // Rust would read other words for these, and numbers too large, as infinite.
        _ => text.parse().ok().filter(|double: &f64| double.is_finite()),
    }
}

fn read_unparsed_number(text: &str) -> Form {
    if let Ok(integer) = text.parse::<i64>() {
        // "-0" is the double, like everywhere in JSON here.
        return match i32::try_from(integer) {
            Ok(0) if text.starts_with('-') => found(RawBsonRef::Double(-0.0)),
            Ok(small) => found(RawBsonRef::Int32(small)),
            Err(_) => found(RawBsonRef::Int64(integer)),
        };
    }
    match parse_double(text) {
        Some(double) => found(RawBsonRef::Double(double)),
        None => Err("number out of range".to_owned()),
    }
}

/// Forms of one name and an object.
fn read_object_form(name: &str, body: &RawDocument) -> Form {
    let pair = |first: &str, second: &str| {
        let two = body.iter_elements().count() == 2;
        Some((body.get(first).ok()??, body.get(second).ok()??)).filter(|_| two)
    };
    match name {
        "$binary" => match pair("base64", "subType") {
            Some((RawBsonRef::String(base64), RawBsonRef::String(subtype))) => read_binary(base64, subtype),
            _ => Ok(None),
        },
        "$timestamp" => match pair("t", "i").and_then(|(t, i)| Some((integer(t)?, integer(i)?))) {
            Some((time, increment)) => match (u32::try_from(time), u32::try_from(increment)) {
                (Ok(time), Ok(increment)) => found(RawBsonRef::Timestamp(Timestamp { time, increment })),
                _ => impossible(name, "two unsigned integers of 32 bits"),
            },
            None => Ok(None),
        },
        "$regularExpression" => match pair("pattern", "options") {
            Some((RawBsonRef::String(pattern), RawBsonRef::String(options))) => read_regex(pattern, options),
            _ => Ok(None),
        },
        "$dbPointer" => match pair("$ref", "$id") {
            Some((RawBsonRef::String(namespace), RawBsonRef::ObjectId(id))) => {
                let mut bytes = Vec::new();
                push_string(&mut bytes, namespace);
                bytes.extend_from_slice(&id.bytes());
                Ok(Some(RawValue { kind: 0x0c, bytes }))
            }
            _ => Ok(None),
        },
        _ => Ok(None),
    }
}

fn read_binary(base64: &str, subtype: &str) -> Form {
    let Ok(bytes) = BASE64_STANDARD.decode(base64) else {
        return impossible("$binary", "base64 with padding");
    };
    let digits = matches!(subtype.len(), 1 | 2) && subtype.bytes().all(|byte| byte.is_ascii_hexdigit());
    match u8::from_str_radix(subtype, 16) {
        Ok(subtype) if digits => {
            found(RawBsonRef::Binary(RawBinaryRef { subtype: subtype.into(), bytes: &bytes }))
        }
        _ => Err("subType must be one or two hexadecimal digits".to_owned()),
    }
}

fn read_regex(pattern: &str, options: &str) -> Form {
    match (<&CStr>::try_from(pattern), <&CStr>::try_from(options)) {
        (Ok(pattern), Ok(options)) => found(RawBsonRef::RegularExpression(RawRegexRef { pattern, options })),
        _ => impossible("$regularExpression", "text without a NUL character"),
    }
}

/// Forms of one name and a value that is neither string nor object.
fn read_other_form(name: &str, value: RawBsonRef<'_>) -> Form {
    match (name, value) {
        ("$date", value) => match integer(value) {
            Some(millis) => found(RawBsonRef::DateTime(DateTime::from_millis(millis))),
            None => Ok(None),
        },
        ("$undefined", RawBsonRef::Boolean(true)) => found(RawBsonRef::Undefined),
        ("$minKey", RawBsonRef::Int32(1)) => found(RawBsonRef::MinKey),
        ("$maxKey", RawBsonRef::Int32(1)) => found(RawBsonRef::MaxKey),
        _ => Ok(None),
    }
}

fn integer(value: RawBsonRef<'_>) -> Option<i64> {
    match value {
        RawBsonRef::Int32(integer) => Some(integer.into()),
        RawBsonRef::Int64(integer) => Some(integer),
        _ => None,
    }
}

fn read_code_with_scope(object: &RawDocument) -> Form {
    match (object.get("$code"), object.get("$scope")) {
        (Ok(Some(RawBsonRef::String(code))), Ok(Some(RawBsonRef::Document(scope)))) => {
            found(RawBsonRef::JavaScriptCodeWithScope(RawJavaScriptCodeWithScopeRef { code, scope }))
        }
        _ => Ok(None),
    }
}
