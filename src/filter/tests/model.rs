//! A filter evaluated the slow way: straight from its document, on decoded values, by listing all that a path leads to.
//!
//! It shares nothing with the evaluation but the keys' order of values, and the regex crate.

use bson::{Bson, Document};

use crate::document::order_key::{Direction, encode};
use crate::document::test_values::decimal;
use crate::filter::tests::raw;

/// A value, or a field that is not there.
type Found = Option<Bson>;

pub(super) fn matches(filter: &Document, document: &Document) -> bool {
    filter.iter().all(|(name, condition)| {
        let list =
            || condition.as_array().expect("a list").iter().map(|one| one.as_document().expect("a filter"));
        match name.as_str() {
            "$and" => list().all(|one| matches(one, document)),
            "$or" => list().any(|one| matches(one, document)),
            "$nor" => !list().any(|one| matches(one, document)),
            path => at_path(condition, document, path),
        }
    })
}

fn at_path(condition: &Bson, document: &Document, path: &str) -> bool {
    let path: Vec<&str> = path.split('.').collect();
    let mut leaves = Vec::new();
    collect(document.get(path[0]), &path[1..], &mut leaves);
    // As many leaves as the elements of arrays, and the arrays.
    let values: Vec<Found> = leaves.iter().flat_map(|(leaf, expand)| expanded(leaf, *expand)).collect();
    let arrays: Vec<Found> = leaves.into_iter().map(|(leaf, _)| leaf).collect();
    holds(condition, &|test: &dyn Fn(&Found) -> bool| values.iter().any(test), &|test: &dyn Fn(
        &Found,
    )
        -> bool| {
        arrays.iter().any(test)
    })
}

fn expanded(leaf: &Found, expand: bool) -> Vec<Found> {
    match leaf {
        Some(Bson::Array(elements)) if expand => {
            elements.iter().cloned().map(Some).chain([leaf.clone()]).collect()
        }
        _ => vec![leaf.clone()],
    }
}

/// Whether some value passes a test.
type Any<'a> = &'a dyn Fn(&dyn Fn(&Found) -> bool) -> bool;

/// A condition on one path; `arrays` are its values with arrays as a whole.
fn holds(condition: &Bson, values: Any<'_>, arrays: Any<'_>) -> bool {
    match condition {
        Bson::Document(operators) if operators.keys().next().is_some_and(|name| name.starts_with('$')) => {
            operators.iter().all(|(name, operand)| operator(name, operand, operators, values, arrays))
        }
        Bson::RegularExpression(regex) => {
            values(&|value| text_matches(value, regex.pattern.as_str(), regex.options.as_str()))
        }
        value => values(&|found| equal(found, value)),
    }
}

fn operator(name: &str, operand: &Bson, all: &Document, values: Any<'_>, arrays: Any<'_>) -> bool {
    let list = || operand.as_array().expect("a list").iter();
    match name {
        "$eq" => values(&|value| equal(value, operand)),
        "$ne" => !values(&|value| equal(value, operand)),
        "$lt" | "$lte" | "$gt" | "$gte" => values(&|value| in_range(name, value, operand)),
        "$in" => list().any(|one| holds_value(one, values)),
        "$nin" => !list().any(|one| holds_value(one, values)),
        "$exists" => values(&|value| value.is_some()) == operand.as_bool().expect("true or false"),
        "$type" => values(&|value| value.as_ref().is_some_and(|value| is_type(value, operand))),
        "$regex" => {
            let options = all.get_str("$options").unwrap_or("");
            values(&|value| text_matches(value, operand.as_str().expect("a pattern"), options))
        }
        "$options" => true,
        "$size" => {
            let size = operand.as_i32().expect("a size") as usize;
            arrays(&|value| matches!(value, Some(Bson::Array(elements)) if elements.len() == size))
        }
        "$all" => list().len() > 0 && list().all(|one| holds_in_all(one, values, arrays)),
        "$not" => !holds(operand, values, arrays),
        "$elemMatch" => {
            let condition = operand.as_document().expect("a condition");
            arrays(
                &|value| matches!(value, Some(Bson::Array(elements)) if elements.iter().any(|element| element_matches(condition, element))),
            )
        }
        other => panic!("the model does not know {other}"),
    }
}

/// A value of `$in`.
fn holds_value(one: &Bson, values: Any<'_>) -> bool {
    match one {
        Bson::RegularExpression(regex) => {
            values(&|value| text_matches(value, regex.pattern.as_str(), regex.options.as_str()))
        }
        one => values(&|value| equal(value, one)),
    }
}

fn holds_in_all(one: &Bson, values: Any<'_>, arrays: Any<'_>) -> bool {
    match one {
        Bson::Document(object) if object.contains_key("$elemMatch") => {
            operator("$elemMatch", &object["$elemMatch"], object, values, arrays)
        }
        one => holds_value(one, values),
    }
}

fn element_matches(condition: &Document, element: &Bson) -> bool {
    if condition.keys().next().is_some_and(|name| name.starts_with('$') && !LOGICAL.contains(&name.as_str()))
    {
        let itself = Some(element.clone());
        let any: Any<'_> = &|test| test(&itself);
        return condition.iter().all(|(name, operand)| operator(name, operand, condition, any, any));
    }
    match element {
        Bson::Document(object) => matches(condition, object),
        Bson::Array(elements) => {
            let by_position = elements.iter().enumerate().map(|(at, one)| (at.to_string(), one.clone()));
            matches(condition, &by_position.collect())
        }
        _ => false,
    }
}

const LOGICAL: [&str; 3] = ["$and", "$or", "$nor"];

/// What is at the end of `path` from `value`: whether a leaf that is an array stands for its elements too.
fn collect(value: Option<&Bson>, path: &[&str], leaves: &mut Vec<(Found, bool)>) {
    match (value, path) {
        (value, []) => leaves.push((value.cloned(), true)),
        (Some(Bson::Document(object)), [name, rest @ ..]) => collect(object.get(name), rest, leaves),
        (Some(Bson::Array(elements)), path) => collect_from_array(elements, path, leaves),
        _ => leaves.push((None, true)),
    }
}

fn collect_from_array(elements: &[Bson], path: &[&str], leaves: &mut Vec<(Found, bool)>) {
    for element in elements {
        if let Bson::Document(object) = element {
            collect(object.get(path[0]), &path[1..], leaves);
        }
    }
    let named = (0..elements.len()).find(|at| at.to_string() == path[0]).map(|at| &elements[at]);
    match (named, &path[1..]) {
        (Some(element), []) => leaves.push((Some(element.clone()), false)),
        (Some(Bson::Document(object)), rest) => collect(object.get(rest[0]), &rest[1..], leaves),
        (Some(Bson::Array(inner)), rest) => collect_from_array(inner, rest, leaves),
        _ => {}
    }
}

fn key(value: &Bson) -> Vec<u8> {
    let holder = raw(&bson::doc! { "v": if *value == Bson::Undefined { Bson::Null } else { value.clone() } });
    let mut key = Vec::new();
    encode(holder.get("v").expect("readable").expect("there"), Direction::Ascending, &mut key);
    key
}

fn equal(value: &Found, operand: &Bson) -> bool {
    key(value.as_ref().unwrap_or(&Bson::Null)) == key(operand)
}

fn in_range(name: &str, value: &Found, operand: &Bson) -> bool {
    let (value, operand) = (key(value.as_ref().unwrap_or(&Bson::Null)), key(operand));
    let nan = key(&decimal("NaN"));
    let all_types = [key(&Bson::MinKey), key(&Bson::MaxKey)].contains(&operand);
    if !all_types && (value[0] != operand[0] || (value == nan) != (operand == nan)) {
        return false;
    }
    match name {
        "$lt" => value < operand,
        "$lte" => value <= operand,
        "$gt" => value > operand,
        _ => value >= operand,
    }
}

fn is_type(value: &Bson, operand: &Bson) -> bool {
    match operand {
        Bson::Array(list) => list.iter().any(|one| is_type(value, one)),
        Bson::String(name) => matches!(
            (name.as_str(), value),
            ("string", Bson::String(_))
                | ("object", Bson::Document(_))
                | ("array", Bson::Array(_))
                | ("null", Bson::Null)
                | ("bool", Bson::Boolean(_))
                | ("int", Bson::Int32(_))
                | ("minKey", Bson::MinKey)
                | ("maxKey", Bson::MaxKey)
                | ("number", Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_))
        ),
        other => panic!("the model does not know the type {other}"),
    }
}

fn text_matches(value: &Found, pattern: &str, options: &str) -> bool {
    match value {
        Some(Bson::String(text) | Bson::Symbol(text)) => {
            let flags = if options.is_empty() { String::new() } else { format!("(?{options})") };
            regex::Regex::new(&format!("{flags}{pattern}")).expect("a pattern").is_match(text)
        }
        Some(Bson::RegularExpression(stored)) => {
            (stored.pattern.as_str(), stored.options.as_str()) == (pattern, options)
        }
        _ => false,
    }
}
