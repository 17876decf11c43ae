//! What should come of it: documents by id, and what indexes ask of them, in the simplest terms.

use super::documents::{Doc, Field, Nested, Spec, Value};
use super::operations::Write;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) type Docs = BTreeMap<i32, Doc>;

/// What a call answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    Done,
    /// There was nothing to delete.
    Nothing,
    AlreadyExists,
    NotFound,
    /// By an index.
    Refused,
    Conflict,
}

/// What a document becomes; none if it is deleted.
pub(crate) fn written(before: Option<&Doc>, write: &Write) -> Result<Option<Doc>, Answer> {
    match (write, before) {
        (Write::Insert(_), Some(_)) => Err(Answer::AlreadyExists),
        (Write::Replace(_) | Write::Patch(..), None) => Err(Answer::NotFound),
        (Write::Delete, None) => Err(Answer::Nothing),
        (Write::Delete, Some(_)) => Ok(None),
        (Write::Insert(doc) | Write::Upsert(doc) | Write::Replace(doc), _) => Ok(Some(doc.clone())),
        (Write::Patch(field, value), Some(doc)) => Ok(Some(match field {
            Field::A => Doc { a: value.clone(), ..doc.clone() },
            _ => Doc { b: value.clone(), ..doc.clone() },
        })),
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Part {
    Null,
    Undefined,
    Int(i32),
}

/// The values of a field, and whether none is there.
fn parts(doc: &Doc, field: Field) -> (Vec<Part>, bool) {
    let of = |value: &Value| match value {
        Value::Missing => (vec![Part::Null], true),
        Value::Null => (vec![Part::Null], false),
        Value::Int(n) => (vec![Part::Int(*n)], false),
        Value::List(list) if list.is_empty() => (vec![Part::Undefined], false),
        Value::List(list) => (list.iter().map(|n| Part::Int(*n)).collect(), false),
    };
    match (field, &doc.n) {
        (Field::A, _) => of(&doc.a),
        (Field::B, _) => of(&doc.b),
        (Field::X, Nested::Missing) => of(&Value::Missing),
        (Field::X, Nested::One(value)) => of(value),
        (Field::X, Nested::Several(list)) => {
            let parts = list.iter().map(|n| n.map_or(Part::Null, Part::Int)).collect();
            (parts, list.iter().all(Option::is_none))
        }
    }
}

/// The keys of a document; none if it has no place in the index.
pub(crate) fn keys(spec: &Spec, doc: &Doc) -> Option<BTreeSet<Vec<Part>>> {
    let fields: Vec<_> = spec.fields.iter().map(|(field, _)| parts(doc, *field)).collect();
    let is_left_out = spec.sparse && fields.iter().all(|(_, is_missing)| *is_missing)
        || spec.least.is_some_and(|least| doc.p.is_none_or(|p| p < least));
    if is_left_out {
        return Some(BTreeSet::new());
    }
    if fields.iter().filter(|(parts, _)| parts.len() > 1).count() > 1 {
        return None;
    }
    let mut keys = BTreeSet::from([Vec::new()]);
    for (parts, _) in fields {
        let longer = |key: &Vec<Part>| {
            let key = key.clone();
            parts.iter().map(move |part| [&key[..], &[*part]].concat()).collect::<Vec<_>>()
        };
        keys = keys.iter().flat_map(longer).collect();
    }
    Some(keys)
}

/// Whether the document of this id has a place in an index.
pub(crate) fn has_place(spec: &Spec, docs: &Docs, id: i32) -> bool {
    docs.get(&id).is_none_or(|doc| keys(spec, doc).is_some())
}

/// Whether another document has a value of this one, in a unique index.
pub(crate) fn is_duplicate(spec: &Spec, docs: &Docs, id: i32) -> bool {
    let Some(own) = docs.get(&id).and_then(|doc| keys(spec, doc)).filter(|_| spec.unique) else {
        return false;
    };
    let shares = |doc: &Doc| keys(spec, doc).is_some_and(|keys| !keys.is_disjoint(&own));
    docs.iter().any(|(other, doc)| *other != id && shares(doc))
}

/// Whether an index can be made of these documents.
pub(crate) fn is_possible(spec: &Spec, docs: &Docs) -> bool {
    docs.keys().all(|id| has_place(spec, docs, *id) && !is_duplicate(spec, docs, *id))
}
