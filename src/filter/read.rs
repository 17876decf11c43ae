//! Reading MongoDB's query syntax. What comes in has passed the check of documents, so its depth is limited.

use bson::raw::{RawBson, RawRegexRef};
use bson::{RawArray, RawBsonRef, RawDocument};

use super::FilterError;
use super::pattern::Pattern;
use super::tree::{Comparison, Operator, Subject, Tree, levels};
use super::types::TypeSet;
use crate::document::{DocumentError, FieldPath, order_key};

const LOGICAL: &str = "$and, $or and $nor, and field paths without $";
const OPERATORS: &str = "$eq, $ne, $lt, $lte, $gt, $gte, $in, $nin, $exists, $type, $regex, $options, $elemMatch, $size, $all and $not";
const ELEMENT_OPERATORS: &str = "$and, $or, $nor, $eq, $ne, $lt, $lte, $gt, $gte, $in, $nin, $exists, $type, $regex, $options, $elemMatch, $size, $all and $not";

/// A whole filter.
pub(super) fn read(document: &RawDocument) -> Result<Tree, FilterError> {
    let mut tree = Tree::all();
    for entry in document {
        let (name, value) = entry.map_err(unreadable)?;
        let next = read_entry(name.as_str(), value).map_err(|error| error.within(name.as_str()))?;
        tree = tree.and(next)?;
    }
    Ok(tree)
}

fn read_entry(name: &str, value: RawBsonRef<'_>) -> Result<Tree, FilterError> {
    if let Some(tree) = read_logical(name, value, read) {
        return tree;
    }
    if name.starts_with('$') {
        return Err(unknown(name, LOGICAL));
    }
    let path = usable_path(name.parse().map_err(FilterError::from_path)?)?;
    match value {
        RawBsonRef::Document(object) if is_operators(object) => read_operators(Some(&path), object),
        RawBsonRef::RegularExpression(regex) => read_expression(Some(&path), regex),
        value => compare(Some(&path), Comparison::Equal, value),
    }
}

/// `$and`, `$or` and `$nor` of what `read` reads; none for another name.
fn read_logical(
    name: &str,
    value: RawBsonRef<'_>,
    read: fn(&RawDocument) -> Result<Tree, FilterError>,
) -> Option<Result<Tree, FilterError>> {
    match name {
        "$and" => Some(read_list(value, read, Tree::and)),
        "$or" => Some(read_list(value, read, Tree::or)),
        "$nor" => Some(read_list(value, read, Tree::or).and_then(Tree::not)),
        _ => None,
    }
}

fn read_list(
    value: RawBsonRef<'_>,
    read: fn(&RawDocument) -> Result<Tree, FilterError>,
    join: fn(Tree, Tree) -> Result<Tree, FilterError>,
) -> Result<Tree, FilterError> {
    const EXPECTED: &str = "a list of one or more filters";
    let mut joined = None;
    for (index, value) in array(value, EXPECTED)?.into_iter().enumerate() {
        let tree = match value.map_err(unreadable)? {
            RawBsonRef::Document(filter) => read(filter),
            other => Err(FilterError::operand("a filter, which is an object", describe(other))),
        };
        let tree = tree.map_err(|error| error.within(&index.to_string()))?;
        joined = Some(match joined {
            Some(others) => join(others, tree)?,
            None => tree,
        });
    }
    joined.ok_or_else(|| FilterError::operand(EXPECTED, "an empty list"))
}

/// The operators on one path; without one, on the element itself.
pub(super) fn read_operators(path: Option<&FieldPath>, operators: &RawDocument) -> Result<Tree, FilterError> {
    let mut tree = Tree::all();
    for entry in operators {
        let (name, operand) = entry.map_err(unreadable)?;
        let name = name.as_str();
        let next = match name {
            // Belongs to $regex, which looks for it.
            "$options" if matches!(operators.get("$regex"), Ok(Some(_))) => continue,
            "$options" => Err(FilterError::operand("a $regex beside it", "none")),
            "$regex" => read_regex(path, operand, operators.get("$options").map_err(unreadable)?),
            _ => read_operator(path, name, operand),
        };
        tree = tree.and(next.map_err(|error| error.within(name))?)?;
    }
    Ok(tree)
}

/// Operators on an element itself.
fn read_element(operators: &RawDocument) -> Result<Tree, FilterError> {
    read_operators(None, operators)
}

fn read_operator(path: Option<&FieldPath>, name: &str, operand: RawBsonRef<'_>) -> Result<Tree, FilterError> {
    match name {
        "$eq" => compare(path, Comparison::Equal, operand),
        "$ne" if matches!(operand, RawBsonRef::RegularExpression(_)) => {
            Err(FilterError::operand("a value ($not takes a regular expression)", describe(operand)))
        }
        "$ne" => compare(path, Comparison::Equal, operand)?.not(),
        "$lt" => compare(path, Comparison::Less, operand),
        "$lte" => compare(path, Comparison::LessOrEqual, operand),
        "$gt" => compare(path, Comparison::Greater, operand),
        "$gte" => compare(path, Comparison::GreaterOrEqual, operand),
        "$in" => read_in(path, operand),
        "$nin" => read_in(path, operand)?.not(),
        "$exists" => read_exists(path, operand),
        "$type" => Tree::test(path, Operator::Type(TypeSet::read(operand)?), 1),
        "$elemMatch" => read_elem_match(path, operand),
        "$size" => read_size(path, operand),
        "$all" => read_all(path, operand),
        "$not" => read_not(path, operand),
        _ if path.is_some() => Err(unknown(name, OPERATORS)),
        _ => {
            read_logical(name, operand, read_element).unwrap_or_else(|| Err(unknown(name, ELEMENT_OPERATORS)))
        }
    }
}

fn compare(
    path: Option<&FieldPath>,
    comparison: Comparison,
    operand: RawBsonRef<'_>,
) -> Result<Tree, FilterError> {
    Tree::test(path, Operator::Compare(comparison, owned(operand)), levels(operand))
}

fn read_pattern(path: Option<&FieldPath>, source: &str, options: &str) -> Result<Tree, FilterError> {
    Tree::test(path, Operator::Regex(Pattern::new(source, options)?), 0)
}

fn read_expression(path: Option<&FieldPath>, regex: RawRegexRef<'_>) -> Result<Tree, FilterError> {
    read_pattern(path, regex.pattern.as_str(), regex.options.as_str())
}

fn read_regex(
    path: Option<&FieldPath>,
    operand: RawBsonRef<'_>,
    options: Option<RawBsonRef<'_>>,
) -> Result<Tree, FilterError> {
    let options = match options {
        None => None,
        Some(RawBsonRef::String(options)) => Some(options),
        Some(other) => {
            return Err(FilterError::operand("options as a string beside it", describe(other)));
        }
    };
    match (operand, options) {
        (RawBsonRef::String(source), options) => read_pattern(path, source, options.unwrap_or_default()),
        (RawBsonRef::RegularExpression(regex), None) => read_expression(path, regex),
        (RawBsonRef::RegularExpression(regex), Some(options)) if regex.options.is_empty() => {
            read_pattern(path, regex.pattern.as_str(), options)
        }
        (RawBsonRef::RegularExpression(_), Some(_)) => {
            Err(FilterError::operand("options in one place", "some in the expression and some in $options"))
        }
        (other, _) => Err(FilterError::operand("a regular expression, or one as a string", describe(other))),
    }
}

fn read_in(path: Option<&FieldPath>, operand: RawBsonRef<'_>) -> Result<Tree, FilterError> {
    let mut values = Vec::new();
    let mut patterns = Vec::new();
    for (index, value) in array(operand, "a list of values")?.into_iter().enumerate() {
        match value.map_err(unreadable)? {
            RawBsonRef::RegularExpression(regex) => {
                let pattern = read_expression(path, regex);
                patterns.push(pattern.map_err(|error| error.within(&index.to_string()))?);
            }
            RawBsonRef::Document(object) if is_operators(object) => {
                let refused = FilterError::operand("values, not operators", "an object of operators");
                return Err(refused.within(&index.to_string()));
            }
            value => values.push(owned(value)),
        }
    }
    values.sort_by(|a, b| order_key::compare(a.as_raw_bson_ref(), b.as_raw_bson_ref()));
    values.dedup_by(|a, b| order_key::compare(a.as_raw_bson_ref(), b.as_raw_bson_ref()).is_eq());
    if values.is_empty()
        && let Some(pattern) = patterns.pop()
    {
        return patterns.into_iter().try_fold(pattern, Tree::or);
    }
    patterns.into_iter().try_fold(Tree::test(path, Operator::In(values), levels(operand))?, Tree::or)
}

/// Each value is a test of its own.
fn read_all(path: Option<&FieldPath>, operand: RawBsonRef<'_>) -> Result<Tree, FilterError> {
    let mut tree = None;
    for (index, value) in array(operand, "a list of values")?.into_iter().enumerate() {
        let next = match value.map_err(unreadable)? {
            RawBsonRef::RegularExpression(regex) => read_expression(path, regex),
            RawBsonRef::Document(object) if first_name(object) == Some("$elemMatch") => {
                read_operators(path, object)
            }
            RawBsonRef::Document(object) if is_operators(object) => {
                Err(FilterError::operand("values, or $elemMatch", "another operator"))
            }
            value => compare(path, Comparison::Equal, value),
        };
        let next = next.map_err(|error| error.within(&index.to_string()))?;
        tree = Some(match tree {
            Some(others) => Tree::and(others, next)?,
            None => next,
        });
    }
    // Nothing has all of nothing: so MongoDB has it. An empty `$in` says the same of this path.
    tree.map_or_else(|| Tree::test(path, Operator::In(Vec::new()), 1), Ok)
}

fn read_exists(path: Option<&FieldPath>, operand: RawBsonRef<'_>) -> Result<Tree, FilterError> {
    let wanted = match operand {
        RawBsonRef::Boolean(wanted) => wanted,
        other => {
            let number = whole_number(other);
            number.ok_or_else(|| FilterError::operand("true or false", describe(other)))? != 0
        }
    };
    let exists = Tree::test(path, Operator::Exists, 0)?;
    if wanted { Ok(exists) } else { exists.not() }
}

fn read_size(path: Option<&FieldPath>, operand: RawBsonRef<'_>) -> Result<Tree, FilterError> {
    let size = whole_number(operand).and_then(|size| u32::try_from(size).ok());
    let size = size.ok_or_else(|| FilterError::operand("a whole number from 0", describe(operand)))?;
    Tree::test(path, Operator::Size(size), 0)
}

fn read_elem_match(path: Option<&FieldPath>, operand: RawBsonRef<'_>) -> Result<Tree, FilterError> {
    let RawBsonRef::Document(condition) = operand else {
        return Err(FilterError::operand("an object of operators or a filter", describe(operand)));
    };
    let element = match subject(condition) {
        Some(Subject::Element) => read_element(condition),
        Some(Subject::Fields) | None => read(condition),
    };
    element?.into_element_of(path)
}

/// What a condition is about, by the first name in it that is not `$and`, `$or` or `$nor`.
fn subject(condition: &RawDocument) -> Option<Subject> {
    condition.iter().map_while(Result::ok).find_map(|(name, value)| match (name.as_str(), value) {
        ("$and" | "$or" | "$nor", RawBsonRef::Array(list)) => {
            list.into_iter().map_while(Result::ok).find_map(|item| subject(item.as_document()?))
        }
        (name, _) if name.starts_with('$') => Some(Subject::Element),
        _ => Some(Subject::Fields),
    })
}

fn read_not(path: Option<&FieldPath>, operand: RawBsonRef<'_>) -> Result<Tree, FilterError> {
    let condition = match operand {
        RawBsonRef::RegularExpression(regex) => read_expression(path, regex)?,
        RawBsonRef::Document(operators) if !operators.is_empty() => read_operators(path, operators)?,
        other => {
            return Err(FilterError::operand(
                "an object of operators, or a regular expression",
                describe(other),
            ));
        }
    };
    condition.not()
}

/// A path that a filter can say as a document.
pub(super) fn usable_path(path: FieldPath) -> Result<FieldPath, FilterError> {
    match why_unusable(&path) {
        Some(reason) => Err(FilterError::Path { path: path.to_string(), reason }),
        None => Ok(path),
    }
}

/// Why no filter can ask for a path, if none can.
pub(crate) fn why_unusable(path: &FieldPath) -> Option<&'static str> {
    if path.segments()[0].starts_with('$') {
        return Some("a name that begins with $ is an operator in a filter");
    }
    let has_dot = path.segments().iter().any(|segment| segment.contains('.'));
    has_dot.then_some("a filter has no way to say a name with a dot in it")
}

impl FilterError {
    pub(super) fn from_path(error: DocumentError) -> FilterError {
        match error {
            DocumentError::Path { path, reason } => FilterError::Path { path, reason },
            other => other.into(),
        }
    }
}

fn unknown(operator: &str, allowed: &'static str) -> FilterError {
    FilterError::Operator { at: String::new(), operator: operator.to_owned(), allowed }
}

fn array<'a>(value: RawBsonRef<'a>, expected: &'static str) -> Result<&'a RawArray, FilterError> {
    value.as_array().ok_or_else(|| FilterError::operand(expected, describe(value)))
}

fn first_name(object: &RawDocument) -> Option<&str> {
    object.iter().next()?.ok().map(|(name, _)| name.as_str())
}

fn is_operators(object: &RawDocument) -> bool {
    first_name(object).is_some_and(|name| name.starts_with('$'))
}

/// A copy; null for undefined.
pub(super) fn owned(value: RawBsonRef<'_>) -> RawBson {
    match value {
        RawBsonRef::Undefined => RawBson::Null,
        value => value.into(),
    }
}

/// A number without a fraction, whatever its type.
pub(super) fn whole_number(value: RawBsonRef<'_>) -> Option<i64> {
    match value {
        RawBsonRef::Int32(integer) => Some(integer.into()),
        RawBsonRef::Int64(integer) => Some(integer),
        // All of these have exact doubles, and more than any operand here can be.
        RawBsonRef::Double(double) if double.trunc() == double && double.abs() < 2f64.powi(53) => {
            Some(double as i64)
        }
        _ => None,
    }
}

/// A value as an error tells of it.
pub(super) fn describe(value: RawBsonRef<'_>) -> String {
    match value {
        RawBsonRef::Int32(number) => number.to_string(),
        RawBsonRef::Int64(number) => number.to_string(),
        RawBsonRef::Double(number) => format!("{number:?}"),
        RawBsonRef::Document(object) if object.is_empty() => "an empty object".to_owned(),
        other => format!("a value of type {}", crate::document::type_name(other.element_type())),
    }
}

pub(super) fn unreadable(error: bson::error::Error) -> FilterError {
    FilterError::Document(DocumentError::bson(0, error.to_string()))
}
