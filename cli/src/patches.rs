//! Patches as arguments: MongoDB's update syntax, as far as the store has it.

use serde_json::Value;
use skipstone::bson::{Bson, Document, RawDocumentBuf};
use skipstone::document::{self, DocumentError};
use skipstone::{Limits, Patch};

/// Why an argument is no patch.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PatchError {
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error("it changes nothing: give operators with fields, as in {{\"$set\": {{\"name\": \"Aachen\"}}}}")]
    Empty,
    #[error("there is no operator {operator:?}; there are {OPERATORS}")]
    Operator { operator: String },
    #[error(
        "{field:?} stands where an operator should: write {{\"$set\": {{{}: …}}}} to give a field a value",
        quoted(field)
    )]
    Field { field: String },
    #[error("{operator} takes an object of fields, found {found}")]
    Operand { operator: String, found: String },
    #[error(
        "{operator} of {field:?}: there is no modifier {modifier:?}; there is $each alone, with an array"
    )]
    Modifier { operator: String, field: String, modifier: String },
}

const OPERATORS: &str = "$set, $unset, $inc, $push, $addToSet";

/// What one operator does to one field.
type Step = fn(Patch, &str, Bson) -> Patch;

/// Reads a patch. Operators apply in the order in which they are written.
pub(crate) fn read(json: &str) -> Result<Patch, PatchError> {
    let raw = document::json_to_raw(json.as_bytes(), &Limits::default())?;
    let operators = Document::try_from(&*raw).expect("what was read from JSON is well formed");
    let mut steps = Vec::new();
    for (operator, fields) in operators {
        let step = step(&operator)?;
        let Bson::Document(fields) = fields else {
            return Err(PatchError::Operand { operator, found: fields.to_string() });
        };
        for (field, value) in fields {
            let values = values(&operator, &field, value)?;
            steps.extend(values.into_iter().map(|value| (step, field.clone(), value)));
        }
    }
    if steps.is_empty() {
        return Err(PatchError::Empty);
    }
    steps.into_iter().try_fold(Patch::new(), |patch, (step, field, value)| {
        // Alone, and of a document without fields, it fails only if it fails of every document: its path is none, for example.
        step(Patch::new(), &field, value.clone()).apply(&RawDocumentBuf::new(), &Limits::default())?;
        Ok(step(patch, &field, value))
    })
}

fn step(operator: &str) -> Result<Step, PatchError> {
    Ok(match operator {
        "$set" => |patch, field, value| patch.set(field, value),
        "$unset" => |patch, field, _| patch.unset(field),
        "$inc" => |patch, field, by| patch.inc(field, by),
        "$push" => |patch, field, value| patch.push(field, value),
        "$addToSet" => |patch, field, value| patch.add_to_set(field, value),
        other if other.starts_with('$') => {
            return Err(PatchError::Operator { operator: other.to_owned() });
        }
        other => return Err(PatchError::Field { field: other.to_owned() }),
    })
}

/// What an operator is to be done with: the value, or for those that append what `$each` lists.
fn values(operator: &str, field: &str, value: Bson) -> Result<Vec<Bson>, PatchError> {
    let Bson::Document(mut inner) = value else { return Ok(vec![value]) };
    let appends = matches!(operator, "$push" | "$addToSet");
    let Some(modifier) = inner.keys().find(|name| appends && name.starts_with('$')).cloned() else {
        return Ok(vec![Bson::Document(inner)]);
    };
    match inner.remove("$each") {
        Some(Bson::Array(values)) if inner.is_empty() => Ok(values),
        _ => {
            let modifier = inner.keys().find(|name| name.starts_with('$')).cloned().unwrap_or(modifier);
            Err(PatchError::Modifier { operator: operator.to_owned(), field: field.to_owned(), modifier })
        }
    }
}

fn quoted(text: &str) -> Value {
    Value::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skipstone::bson::rawdoc;

    #[test]
    fn operators_do_what_they_are_named_in_their_order() {
        let document = rawdoc! { "a": 1, "b": [1], "c": { "d": 2 } };
        let json = r#"{"$inc": {"a": 2, "n": 1}, "$push": {"b": 2, "c.e": {"$each": [1, 1]}}, "$unset": {"c.d": ""},
                       "$addToSet": {"c.f": {"$each": [1, 1.0, 2]}}, "$set": {"g": {"h": null}}}"#;
        let patched = read(json).unwrap().apply(&document, &Limits::default()).unwrap();
        let expected =
            rawdoc! { "a": 3, "b": [1, 2], "c": { "e": [1, 1], "f": [1, 2] }, "n": 1, "g": { "h": null } };
        assert_eq!(patched, expected);
    }

    #[test]
    fn what_is_no_patch_is_refused_with_its_place() {
        for (json, says) in [
            ("{", "malformed JSON at line 1"),
            ("[]", "must be an object"),
            ("{}", "it changes nothing"),
            (r#"{"$set": {}}"#, "it changes nothing"),
            (r#"{"name": 1}"#, r#"write {"$set": {"name": …}}"#),
            (r#"{"$rename": {"a": "b"}}"#, r#"no operator "$rename"; there are $set"#),
            (r#"{"$set": 1}"#, "$set takes an object of fields, found 1"),
            (r#"{"$set": {"_id": 1}}"#, r#"cannot patch "_id""#),
            (r#"{"$set": {"": 1}}"#, "it is empty"),
            (r#"{"$inc": {"a": "x"}}"#, r#"cannot patch "a": inc adds"#),
            (
                r#"{"$push": {"a": {"$each": [1], "$slice": 2}}}"#,
                r#"$push of "a": there is no modifier "$slice""#,
            ),
            (
                r#"{"$push": {"a": {"$each": 1}}}"#,
                r#"no modifier "$each"; there is $each alone, with an array"#,
            ),
        ] {
            let message = read(json).unwrap_err().to_string();
            assert!(message.contains(says), "{json}: {message}");
        }
    }
}
