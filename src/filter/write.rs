//! Writing a filter in MongoDB's query syntax.
//!
//! What is written reads back as the same tree: entries of one object are joined by `and` in their order, so conditions share an object only where that keeps their order.

use bson::raw::RawBson;
use bson::{Bson, Document, doc};

use super::tree::{Comparison, Node, Operator, Test};

pub(crate) fn write(node: &Node) -> Document {
    match node {
        Node::And(nodes) => write_and(nodes),
        Node::Or(nodes) => doc! { "$or": write_list(nodes) },
        Node::Not(inner) => write_not(inner),
        Node::Test(test) => write_test(test),
    }
}

fn write_list(nodes: &[Node]) -> Vec<Document> {
    nodes.iter().map(write).collect()
}

/// All in one object, if each path is spoken of in one place only; else a list.
fn write_and(nodes: &[Node]) -> Document {
    // Once: each level that wrote what is within it twice would double the work.
    let parts = write_list(nodes);
    let mut joined = Document::new();
    for (name, value) in parts.iter().flatten() {
        if !merge(&mut joined, name, value) {
            return doc! { "$and": parts };
        }
    }
    joined
}

/// Adds an entry behind the others, or its operators to those of the last one if that is about the same path.
fn merge(joined: &mut Document, name: &str, value: &Bson) -> bool {
    if !joined.contains_key(name) {
        joined.insert(name, value.clone());
        return true;
    }
    let is_last_path = !name.starts_with('$') && joined.keys().last().is_some_and(|last| last == name);
    // An object at a path is one of operators: an object as a value is written with `$eq`.
    match (joined.get_mut(name), value) {
        (Some(Bson::Document(operators)), Bson::Document(more)) if is_last_path => {
            let fits = more.keys().all(|operator| !operators.contains_key(operator));
            if fits {
                operators.extend(more.clone());
            }
            fits
        }
        _ => false,
    }
}

fn write_not(inner: &Node) -> Document {
    match inner {
        Node::Test(test) => at_path(test, write_negation(&test.operator)),
        Node::Or(nodes) => doc! { "$nor": write_list(nodes) },
        other => doc! { "$nor": [write(other)] },
    }
}

fn write_test(test: &Test) -> Document {
    match (&test.path, &test.operator) {
        (Some(path), Operator::Compare(Comparison::Equal, value)) if speaks_for_itself(value) => {
            doc! { path.to_string(): decoded(value) }
        }
        _ => at_path(test, write_operator(&test.operator)),
    }
}

fn at_path(test: &Test, operators: Document) -> Document {
    match &test.path {
        Some(path) => doc! { path.to_string(): operators },
        None => operators,
    }
}

/// Whether a value in the place of operators is taken for the value.
fn speaks_for_itself(value: &RawBson) -> bool {
    !matches!(value, RawBson::Document(_) | RawBson::RegularExpression(_))
}

fn write_operator(operator: &Operator) -> Document {
    match operator {
        Operator::Compare(comparison, value) => doc! { name_of(*comparison): decoded(value) },
        Operator::Parameter(comparison, position) => {
            debug_assert!(false, "a filter with values that are not given is not written");
            doc! { name_of(*comparison): { "$param": *position as i64 } }
        }
        Operator::In(values) => doc! { "$in": decoded_list(values) },
        Operator::Exists => doc! { "$exists": true },
        Operator::Type(types) => doc! { "$type": types.write() },
        Operator::Regex(pattern) => pattern.write(),
        Operator::Size(size) => doc! { "$size": Bson::from(*size) },
        Operator::ElemMatch(_, node) => doc! { "$elemMatch": write(node) },
    }
}

fn name_of(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "$eq",
        Comparison::Less => "$lt",
        Comparison::LessOrEqual => "$lte",
        Comparison::Greater => "$gt",
        Comparison::GreaterOrEqual => "$gte",
    }
}

fn write_negation(operator: &Operator) -> Document {
    match operator {
        Operator::Compare(Comparison::Equal, value) if !matches!(value, RawBson::RegularExpression(_)) => {
            doc! { "$ne": decoded(value) }
        }
        Operator::In(values) => doc! { "$nin": decoded_list(values) },
        Operator::Exists => doc! { "$exists": false },
        other => doc! { "$not": write_operator(other) },
    }
}

fn decoded_list(values: &[RawBson]) -> Bson {
    Bson::Array(values.iter().map(decoded).collect())
}

fn decoded(value: &RawBson) -> Bson {
    Bson::try_from(value.clone()).expect("it was checked when the filter was made")
}
