//! What each operation makes of one value. Knows nothing of documents and paths.

use bson::raw::RawBson;
use bson::{Bson, RawArray, RawBsonRef};

use crate::document::DocumentError;
use crate::document::codec::refuse_bson;
use crate::document::order_key::compare;
use crate::document::raw::{RawValue, begin_document, begin_element, end_document, type_name};

const ARRAY: u8 = 0x04;

#[derive(Debug, Clone)]
pub(super) enum Action {
    Set(RawValue),
    Unset,
    Inc(Number),
    Push(RawBson),
    AddToSet(RawBson),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Integer(i64),
    Double(f64),
}

/// What becomes of the value.
pub(super) enum Change {
    Keep,
    Remove,
    Put(RawValue),
}

fn raw(value: Bson) -> Result<RawBson, DocumentError> {
    RawBson::try_from(value).map_err(refuse_bson)
}

impl Action {
    pub(super) fn set(value: Bson) -> Result<Action, DocumentError> {
        Ok(Action::Set(RawValue::new(raw(value)?.as_raw_bson_ref())))
    }

    pub(super) fn push(value: Bson) -> Result<Action, DocumentError> {
        raw(value).map(Action::Push)
    }

    pub(super) fn add_to_set(value: Bson) -> Result<Action, DocumentError> {
        raw(value).map(Action::AddToSet)
    }

    pub(super) fn inc(by: Bson) -> Result<Action, DocumentError> {
        match by {
            Bson::Int32(integer) => Ok(Action::Inc(Number::Integer(integer.into()))),
            Bson::Int64(integer) => Ok(Action::Inc(Number::Integer(integer))),
            Bson::Double(double) => Ok(Action::Inc(Number::Double(double))),
            other => {
                let kind = type_name(other.element_type());
                Err(DocumentError::patch(
                    "",
                    format!("inc adds an integer or a double, not a value of type {kind}"),
                ))
            }
        }
    }

    /// Whether the operation makes a field that is not there.
    pub(super) fn creates(&self) -> bool {
        !matches!(self, Action::Unset)
    }

    /// What becomes of the value at the path, `None` if there is none; or why that is impossible.
    pub(super) fn change(&self, current: Option<RawBsonRef<'_>>) -> Result<Change, String> {
        match self {
            Action::Set(value) => Ok(Change::Put(value.clone())),
            Action::Unset => Ok(Change::Remove),
            Action::Inc(by) => add(current, *by).map(Change::Put),
            Action::Push(value) => {
                Ok(Change::Put(appended(array("push", current)?, value.as_raw_bson_ref())))
            }
            Action::AddToSet(value) => {
                let (array, value) = (array("add_to_set", current)?, value.as_raw_bson_ref());
                if array.into_iter().flatten().flatten().any(|element| compare(element, value).is_eq()) {
                    return Ok(Change::Keep);
                }
                Ok(Change::Put(appended(array, value)))
            }
        }
    }
}

/// The array to append to, if there is a value.
fn array<'a>(action: &str, current: Option<RawBsonRef<'a>>) -> Result<Option<&'a RawArray>, String> {
    match current {
        None => Ok(None),
        Some(RawBsonRef::Array(array)) => Ok(Some(array)),
        Some(other) => {
            Err(format!("{action} needs an array, the field is of type {}", type_name(other.element_type())))
        }
    }
}

fn appended(array: Option<&RawArray>, value: RawBsonRef<'_>) -> RawValue {
    let value = RawValue::new(value);
    let mut bytes = Vec::new();
    let start = begin_document(&mut bytes);
    let mut count = 0;
    if let Some(array) = array {
        let elements = array.as_bytes();
        bytes.extend_from_slice(&elements[4..elements.len() - 1]);
        count = array.into_iter().count();
    }
    begin_element(&mut bytes, value.kind, &count.to_string());
    bytes.extend_from_slice(&value.bytes);
    end_document(&mut bytes, start);
    RawValue { kind: ARRAY, bytes }
}

fn add(current: Option<RawBsonRef<'_>>, by: Number) -> Result<RawValue, String> {
    let (value, narrow) = match current {
        None => (Number::Integer(0), true),
        Some(RawBsonRef::Int32(integer)) => (Number::Integer(integer.into()), true),
        Some(RawBsonRef::Int64(integer)) => (Number::Integer(integer), false),
        Some(RawBsonRef::Double(double)) => (Number::Double(double), false),
        Some(other) => {
            let kind = type_name(other.element_type());
            return Err(format!("inc needs an integer or a double, the field is of type {kind}"));
        }
    };
    let sum = match (value, by) {
        (Number::Integer(a), Number::Integer(b)) => {
            let sum = a.checked_add(b).ok_or_else(|| format!("{a} + {b} does not fit a 64-bit integer"))?;
            match i32::try_from(sum) {
                Ok(small) if narrow => RawBsonRef::Int32(small),
                _ => RawBsonRef::Int64(sum),
            }
        }
        (a, b) => RawBsonRef::Double(a.to_double() + b.to_double()),
    };
    Ok(RawValue::new(sum))
}

impl Number {
    fn to_double(self) -> f64 {
        match self {
            Number::Integer(integer) => integer as f64,
            Number::Double(double) => double,
        }
    }
}
