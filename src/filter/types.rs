//! Sets of BSON types, by the names and numbers that MongoDB gives them.

use bson::spec::ElementType;
use bson::{Bson, RawBsonRef};

use super::FilterError;
use super::read::whole_number;

/// What `$type` takes.
const EXPECTED: &str = "a type or a list of types, each by name (double, string, object, array, binData, undefined, objectId, bool, date, null, regex, dbPointer, \
                        javascript, symbol, javascriptWithScope, int, timestamp, long, decimal, minKey, maxKey, number) or by number (1 to 19, -1, 127)";

/// Any of the four types of numbers.
const NUMBER: &str = "number";

const NAMES: [(&str, ElementType); 21] = [
    ("double", ElementType::Double),
    ("string", ElementType::String),
    ("object", ElementType::EmbeddedDocument),
    ("array", ElementType::Array),
    ("binData", ElementType::Binary),
    ("undefined", ElementType::Undefined),
    ("objectId", ElementType::ObjectId),
    ("bool", ElementType::Boolean),
    ("date", ElementType::DateTime),
    ("null", ElementType::Null),
    ("regex", ElementType::RegularExpression),
    ("dbPointer", ElementType::DbPointer),
    ("javascript", ElementType::JavaScriptCode),
    ("symbol", ElementType::Symbol),
    ("javascriptWithScope", ElementType::JavaScriptCodeWithScope),
    ("int", ElementType::Int32),
    ("timestamp", ElementType::Timestamp),
    ("long", ElementType::Int64),
    ("decimal", ElementType::Decimal128),
    ("minKey", ElementType::MinKey),
    ("maxKey", ElementType::MaxKey),
];

/// A bit for each type, at the position of its type byte; MinKey's, which is beyond, at 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TypeSet(u128);

impl TypeSet {
    fn of(kind: ElementType) -> TypeSet {
        TypeSet(if kind == ElementType::MinKey { 1 } else { 1 << (kind as u8) })
    }

    fn numbers() -> TypeSet {
        [ElementType::Int32, ElementType::Int64, ElementType::Double, ElementType::Decimal128]
            .into_iter()
            .fold(TypeSet(0), |set, kind| TypeSet(set.0 | TypeSet::of(kind).0))
    }

    pub(super) fn contains(self, kind: ElementType) -> bool {
        self.0 & TypeSet::of(kind).0 != 0
    }

    /// A name, a number, or a list of them.
    pub(super) fn read(operand: RawBsonRef<'_>) -> Result<TypeSet, FilterError> {
        let RawBsonRef::Array(list) = operand else { return read_one(operand) };
        let mut set = TypeSet(0);
        for (index, kind) in list.into_iter().enumerate() {
            let kind = read_one(kind.map_err(super::read::unreadable)?);
            set.0 |= kind.map_err(|error| error.within(&index.to_string()))?.0;
        }
        if set.0 == 0 {
            return Err(FilterError::operand(EXPECTED, "an empty list"));
        }
        Ok(set)
    }

    /// A name, or a list of names.
    pub(super) fn write(self) -> Bson {
        if self == TypeSet::numbers() {
            return NUMBER.into();
        }
        let mut names: Vec<Bson> =
            NAMES.iter().filter(|(_, kind)| self.contains(*kind)).map(|(name, _)| (*name).into()).collect();
        if names.len() == 1 { names.swap_remove(0) } else { Bson::Array(names) }
    }
}

fn read_one(operand: RawBsonRef<'_>) -> Result<TypeSet, FilterError> {
    let refuse = |found: String| Err(FilterError::operand(EXPECTED, found));
    if let RawBsonRef::String(name) = operand {
        return match NAMES.iter().find(|(known, _)| *known == name) {
            Some((_, kind)) => Ok(TypeSet::of(*kind)),
            None if name == NUMBER => Ok(TypeSet::numbers()),
            None => refuse(format!("{name:?}")),
        };
    }
    match whole_number(operand) {
        Some(-1) => Ok(TypeSet::of(ElementType::MinKey)),
        Some(number) => {
            let kind = u8::try_from(number).ok().and_then(ElementType::from);
            // MinKey's byte read as a number without a sign.
            match kind.filter(|kind| *kind != ElementType::MinKey) {
                Some(kind) => Ok(TypeSet::of(kind)),
                None => refuse(number.to_string()),
            }
        }
        None => refuse(super::read::describe(operand)),
    }
}
