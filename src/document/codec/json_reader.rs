//! JSON text to BSON bytes, without a tree in between.
//!
//! serde_json drives a visitor that appends BSON to one buffer (see `raw_writer`).
//!
//! MongoDB's extended JSON needs no lookahead: an object whose first name starts with `$` is written like any other,
//! then inspected, and replaced if it is such a form (see `extended_json`).

use std::fmt;

use bson::RawDocumentBuf;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::Limits;
use super::raw_writer::{Refusal, Writer, push_index};
use crate::document::DocumentError;
use crate::document::raw::push_string;

const DOUBLE: u8 = 0x01;
const STRING: u8 = 0x02;
const OBJECT: u8 = 0x03;
const ARRAY: u8 = 0x04;
const BOOLEAN: u8 = 0x08;
const NULL: u8 = 0x0a;
const INT32: u8 = 0x10;
const INT64: u8 = 0x12;

/// Turns one JSON object into a document.
///
/// Integers become Int32 where they fit, else Int64; an integer beyond 64 bits, and every number with a point or an exponent,
/// becomes Double (write `{"$numberDecimal": "…"}` for exact ones). MongoDB's extended JSON v2 is understood in
/// canonical and relaxed form, also `$uuid`, below the outermost object and only where an object has exactly that shape; a form
/// with the right shape and impossible contents (`{"$oid": "?"}`) is an error.
///
/// Costs one pass over the text and one allocation for the bytes.
///
/// # Errors
///
/// [`DocumentError::NotUtf8`], [`DocumentError::MalformedJson`], [`DocumentError::DuplicateField`],
/// [`DocumentError::NotAnObject`], [`DocumentError::FieldName`], [`DocumentError::TooLarge`], [`DocumentError::TooDeep`].
pub fn json_to_raw(text: &[u8], limits: &Limits) -> Result<RawDocumentBuf, DocumentError> {
    let text =
        std::str::from_utf8(text).map_err(|error| DocumentError::NotUtf8 { offset: error.valid_up_to() })?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut writer = Writer::new(limits, text.len());
    let outcome = Root(&mut writer).deserialize(&mut deserializer).and_then(|()| deserializer.end());
    writer.finish(outcome)
}

/// Turns a parsed JSON object into a document, by the same rules.
pub(super) fn json_value_to_raw(
    value: &serde_json::Value,
    limits: &Limits,
) -> Result<RawDocumentBuf, DocumentError> {
    let mut writer = Writer::new(limits, 0);
    let outcome = Root(&mut writer).deserialize(value);
    writer.finish(outcome)
}

/// The whole document: an object, never an extended form.
struct Root<'w, 'l>(&'w mut Writer<'l>);

impl<'de> DeserializeSeed<'de> for Root<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Root<'_, '_> {
    fn refuse<E: serde::de::Error>(self, found: &str) -> Result<(), E> {
        self.0.refuse(Refusal::Whole(DocumentError::NotAnObject { found: found.to_owned() }))
    }
}

impl<'de> Visitor<'de> for Root<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        write_object(self.0, map).map(drop)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.refuse("array")
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        self.refuse("string")
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.refuse("boolean")
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.refuse("number")
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        self.refuse("number")
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        self.refuse("number")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.refuse("null")
    }
}

/// Appends a name with its terminator; answers whether it starts with `$`.
struct Name<'w, 'l>(&'w mut Writer<'l>);

impl<'de> DeserializeSeed<'de> for Name<'_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<bool, E> {
        self.0.push_name(name)?;
        Ok(name.starts_with('$'))
    }
}

/// Appends a value; answers its type.
struct Value<'w, 'l>(&'w mut Writer<'l>);

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = u8;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u8, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = u8;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<u8, E> {
        Ok(NULL)
    }

    fn visit_bool<E: serde::de::Error>(self, boolean: bool) -> Result<u8, E> {
        self.0.out.push(boolean.into());
        Ok(BOOLEAN)
    }

    fn visit_i64<E: serde::de::Error>(self, integer: i64) -> Result<u8, E> {
        match i32::try_from(integer) {
            Ok(small) => {
                self.0.out.extend_from_slice(&small.to_le_bytes());
                Ok(INT32)
            }
            Err(_) => {
                self.0.out.extend_from_slice(&integer.to_le_bytes());
                Ok(INT64)
            }
        }
    }

    fn visit_u64<E: serde::de::Error>(self, integer: u64) -> Result<u8, E> {
        match i64::try_from(integer) {
            Ok(integer) => self.visit_i64(integer),
            Err(_) => self.visit_f64(integer as f64),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, double: f64) -> Result<u8, E> {
        self.0.out.extend_from_slice(&double.to_le_bytes());
        Ok(DOUBLE)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<u8, E> {
        push_string(&mut self.0.out, text);
        Ok(STRING)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<u8, A::Error> {
        write_array(self.0, elements)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<u8, A::Error> {
        let start = self.0.out.len();
        match write_object(self.0, map)? {
            true => self.0.replace_extended(start),
            false => Ok(OBJECT),
        }
    }
}

/// Appends an object; answers whether its first name starts with `$`.
fn write_object<'de, A: MapAccess<'de>>(writer: &mut Writer<'_>, mut map: A) -> Result<bool, A::Error> {
    let start = writer.enter()?;
    let first_name = writer.name_count();
    let mut first_is_special = false;
    loop {
        let kind_at = writer.out.len();
        writer.out.push(0);
        let Some(special) = map.next_key_seed(Name(writer))? else {
            writer.out.truncate(kind_at);
            break;
        };
        first_is_special |= special && writer.name_count() == first_name + 1;
        let kind = map.next_value_seed(Value(writer))?;
        writer.element_end(kind_at, kind)?;
    }
    if let Some(name) = writer.take_duplicate(first_name) {
        return writer.refuse(Refusal::Duplicate(name));
    }
    writer.leave(start);
    Ok(first_is_special)
}

fn write_array<'de, A: SeqAccess<'de>>(writer: &mut Writer<'_>, mut elements: A) -> Result<u8, A::Error> {
    let start = writer.enter()?;
    for index in 0usize.. {
        let kind_at = writer.out.len();
        writer.out.push(0);
        push_index(&mut writer.out, index);
        let Some(kind) = elements.next_element_seed(Value(writer))? else {
            writer.out.truncate(kind_at);
            break;
        };
        writer.element_end(kind_at, kind)?;
    }
    writer.leave(start);
    Ok(ARRAY)
}
