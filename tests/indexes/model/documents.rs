//! Documents of a few fields with few values, and indexes on them.

use proptest::prelude::*;
use skipstone::bson::{Bson, Document, doc};
use skipstone::{Index, Patch, field};

/// What is under a name.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value {
    Missing,
    Null,
    Int(i32),
    List(Vec<i32>),
}

/// What is under `n`, where an index looks for `n.x`.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Nested {
    Missing,
    One(Value),
    Several(Vec<Option<i32>>),
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Doc {
    pub(crate) a: Value,
    pub(crate) b: Value,
    pub(crate) n: Nested,
    pub(crate) p: Option<i32>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Field {
    A,
    B,
    X,
}

#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) name: u8,
    /// With whether they are descending; each once.
    pub(crate) fields: Vec<(Field, bool)>,
    pub(crate) unique: bool,
    pub(crate) sparse: bool,
    /// Documents in which `p` is less are left out.
    pub(crate) least: Option<i32>,
}

impl Value {
    pub(crate) fn bson(&self) -> Option<Bson> {
        match self {
            Value::Missing => None,
            Value::Null => Some(Bson::Null),
            Value::Int(n) => Some(Bson::Int32(*n)),
            Value::List(list) => Some(list.clone().into()),
        }
    }
}

impl Doc {
    pub(crate) fn bson(&self, id: i32) -> Document {
        let mut document = doc! { "_id": id };
        let x = |value: Option<Bson>| Document::from_iter(value.map(|value| ("x".to_owned(), value)));
        let n: Option<Bson> = match &self.n {
            Nested::Missing => None,
            Nested::One(value) => Some(x(value.bson()).into()),
            Nested::Several(list) => {
                Some(list.iter().map(|n| x(n.map(Bson::Int32))).collect::<Vec<_>>().into())
            }
        };
        let fields = [("a", self.a.bson()), ("b", self.b.bson()), ("n", n), ("p", self.p.map(Bson::Int32))];
        document.extend(fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        document
    }
}

impl Spec {
    pub(crate) fn name(&self) -> String {
        format!("index {}", self.name)
    }

    pub(crate) fn index(&self) -> Index {
        let path = |field: Field| match field {
            Field::A => "a",
            Field::B => "b",
            Field::X => "n.x",
        };
        let mut fields = self.fields.iter().map(|(field, descending)| (path(*field), *descending));
        let mut index = match fields.next().expect("there is one") {
            (path, false) => Index::on(path).unwrap(),
            (path, true) => Index::on_descending(path).unwrap(),
        };
        for (path, descending) in fields {
            index = if descending { index.and_descending(path) } else { index.and(path) }.unwrap();
        }
        index = if self.unique { index.unique() } else { index };
        index = if self.sparse { index.sparse() } else { index };
        if let Some(least) = self.least {
            index = index.partial(field("p").ge(least)).unwrap();
        }
        index.named(self.name())
    }
}

/// A change of one field, as a patch; missing takes it out.
pub(crate) fn patch(field: Field, value: &Value) -> Patch {
    let path = if field == Field::A { "a" } else { "b" };
    match value.bson() {
        Some(value) => Patch::new().set(path, value),
        None => Patch::new().unset(path),
    }
}

/// Many enough that a unique index is mostly possible, few enough that it often is not.
fn int() -> impl Strategy<Value = i32> {
    0..16
}

pub(crate) fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => Just(Value::Missing),
        1 => Just(Value::Null),
        8 => int().prop_map(Value::Int),
        3 => prop::collection::vec(int(), 0..4).prop_map(Value::List),
    ]
}

fn nested() -> impl Strategy<Value = Nested> {
    prop_oneof![
        2 => Just(Nested::Missing),
        2 => value().prop_map(Nested::One),
        1 => prop::collection::vec(prop::option::of(int()), 1..4).prop_map(Nested::Several),
    ]
}

pub(crate) fn document() -> impl Strategy<Value = Doc> {
    (value(), value(), nested(), prop::option::of(0..3)).prop_map(|(a, b, n, p)| Doc { a, b, n, p })
}

pub(crate) fn spec() -> impl Strategy<Value = Spec> {
    let fields = Just(vec![Field::A, Field::B, Field::X]).prop_shuffle();
    let fields = (fields, 1..=3_usize, any::<[bool; 3]>());
    let kind = (any::<bool>(), any::<bool>(), prop::option::weighted(0.3, 0..3));
    (0..4_u8, fields, kind).prop_map(|(name, (fields, count, descending), (unique, sparse, least))| Spec {
        name,
        fields: fields.into_iter().zip(descending).take(count).collect(),
        unique,
        sparse,
        least,
    })
}
