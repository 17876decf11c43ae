//! JSON text to BSON bytes, without a tree in between.
//!
//! serde_json drives a visitor that appends BSON to one buffer: a value's type byte is left open until the value has
//! been seen, a container's length until its end. The names of the open objects are kept as positions in that buffer,
//! to find a name that comes twice.
//!
//! MongoDB's extended JSON needs no lookahead: an object whose first name starts with `$` is written like any other,
//! then inspected, and replaced if it is such a form (see `extended_json`).

use std::fmt;

use bson::RawDocumentBuf;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{Limits, extended_json};
use crate::document::DocumentError;
use crate::document::raw::{EMPTY_DOCUMENT, begin_document, end_document, push_string};

const DOUBLE: u8 = 0x01;
const STRING: u8 = 0x02;
const OBJECT: u8 = 0x03;
const ARRAY: u8 = 0x04;
const BOOLEAN: u8 = 0x08;
const NULL: u8 = 0x0a;
const INT32: u8 = 0x10;
const INT64: u8 = 0x12;

/// Up to this many names are compared each with each; more are sorted.
const NAMES_COMPARED_PAIRWISE_MAX: usize = 16;

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

/// Why the writer stopped. The parser knows where.
enum Refusal {
    /// Says everything already.
    Whole(DocumentError),
    /// Malformed at the place where the parser stands.
    Here(String),
    /// The object that the parser has just left names this twice.
    Duplicate(String),
}

/// The document so far. `names` are the positions of the names in the open objects, innermost last.
struct Writer<'l> {
    out: Vec<u8>,
    names: Vec<(usize, usize)>,
    depth: usize,
    limits: &'l Limits,
    refusal: Option<Refusal>,
}

impl Writer<'_> {
    fn new(limits: &Limits, text_bytes: usize) -> Writer<'_> {
        let capacity = text_bytes.min(limits.bytes_max()) + EMPTY_DOCUMENT.len();
        Writer { out: Vec::with_capacity(capacity), names: Vec::new(), depth: 0, limits, refusal: None }
    }

    fn finish(self, outcome: Result<(), serde_json::Error>) -> Result<RawDocumentBuf, DocumentError> {
        if let Err(error) = outcome {
            let (line, column) = (error.line(), error.column());
            return Err(match self.refusal {
                Some(Refusal::Whole(error)) => error,
                Some(Refusal::Here(reason)) => DocumentError::MalformedJson { line, column, reason },
                Some(Refusal::Duplicate(name)) => DocumentError::DuplicateField { name, line, column },
                None => DocumentError::MalformedJson { line, column, reason: without_position(&error) },
            });
        }
        self.limits.check_bytes(self.out.len())?;
        RawDocumentBuf::from_bytes(self.out).map_err(|error| DocumentError::bson(0, error.to_string()))
    }

    /// Keeps the reason, and gives the parser something to stop with.
    fn refuse<T, E: serde::de::Error>(&mut self, refusal: Refusal) -> Result<T, E> {
        self.refusal = Some(refusal);
        Err(E::custom("refused"))
    }

    fn enter<E: serde::de::Error>(&mut self) -> Result<usize, E> {
        self.depth += 1;
        match self.limits.check_depth(self.depth) {
            Ok(()) => Ok(begin_document(&mut self.out)),
            Err(error) => self.refuse(Refusal::Whole(error)),
        }
    }

    fn leave(&mut self, start: usize) {
        end_document(&mut self.out, start);
        self.depth -= 1;
    }

    fn element_end<E: serde::de::Error>(&mut self, kind_at: usize, kind: u8) -> Result<(), E> {
        self.out[kind_at] = kind;
        // An extended form takes more room until it is replaced by its value, but less than twice as much where
        // limits matter. The exact check is at the end.
        if self.out.len() / 2 > self.limits.bytes_max() {
            let size_bytes = self.out.len();
            let limit_bytes = self.limits.bytes_max();
            return self.refuse(Refusal::Whole(DocumentError::TooLarge { size_bytes, limit_bytes }));
        }
        Ok(())
    }

    fn name_at(&self, (start, end): (usize, usize)) -> &[u8] {
        &self.out[start..end]
    }

    /// A name that occurs twice among those from `first` on, which it forgets.
    fn take_duplicate(&mut self, first: usize) -> Option<String> {
        let mut names = self.names.split_off(first);
        let twice = if names.len() <= NAMES_COMPARED_PAIRWISE_MAX {
            let earlier =
                |index: usize| names[..index].iter().any(|&e| self.name_at(e) == self.name_at(names[index]));
            (1..names.len()).find(|&index| earlier(index)).map(|index| names[index])
        } else {
            names.sort_unstable_by_key(|&name| self.name_at(name));
            names.windows(2).find(|pair| self.name_at(pair[0]) == self.name_at(pair[1])).map(|pair| pair[0])
        };
        twice.map(|name| String::from_utf8_lossy(self.name_at(name)).into_owned())
    }

    /// Replaces the object at `start` by the value that it stands for, if it is an extended form.
    fn replace_extended<E: serde::de::Error>(&mut self, start: usize) -> Result<u8, E> {
        match extended_json::read(&self.out[start..]) {
            Ok(None) => Ok(OBJECT),
            Ok(Some(value)) => {
                self.out.truncate(start);
                self.out.extend_from_slice(&value.bytes);
                Ok(value.kind)
            }
            Err(reason) => self.refuse(Refusal::Here(reason)),
        }
    }
}

/// The parser's message without the position, which the error has in fields of its own.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
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
        let writer = self.0;
        if name.as_bytes().contains(&0) {
            return writer.refuse(Refusal::Whole(DocumentError::FieldName { name: name.to_owned() }));
        }
        let start = writer.out.len();
        writer.out.extend_from_slice(name.as_bytes());
        writer.names.push((start, writer.out.len()));
        writer.out.push(0);
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
    let first_name = writer.names.len();
    let mut first_is_special = false;
    loop {
        let kind_at = writer.out.len();
        writer.out.push(0);
        let Some(special) = map.next_key_seed(Name(writer))? else {
            writer.out.truncate(kind_at);
            break;
        };
        first_is_special |= special && writer.names.len() == first_name + 1;
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

/// The name of an array's element: its position in decimal, terminated.
fn push_index(out: &mut Vec<u8>, index: usize) {
    match index {
        0..10 => out.push(b'0' + index as u8),
        _ => out.extend_from_slice(index.to_string().as_bytes()),
    }
    out.push(0);
}
