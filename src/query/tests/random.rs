//! Random documents, filters and indexes, and stores of them: for the tests of queries in the crate, and for those outside.

use proptest::collection::vec;
use proptest::prelude::*;
use skipstone::bson::oid::ObjectId;
use skipstone::bson::spec::BinarySubtype;
use skipstone::bson::{Binary, Bson, DateTime, Document, Timestamp, doc};
use skipstone::{Builder, Collection, Database, Filter, Index, element, field};
use std::collections::BTreeMap;

const FIELDS: [&str; 6] = ["a", "b", "c.d", "c.e", "a.0", "_id"];

fn scalar() -> impl Strategy<Value = Bson> {
    prop_oneof![
        4 => (0..6_i32).prop_map(Bson::Int32),
        1 => (0..6_i64).prop_map(Bson::Int64),
        1 => prop_oneof![Just(0.5), Just(2.0), Just(f64::NAN), Just(-1.0)].prop_map(Bson::Double),
        2 => "[a-c]{0,2}".prop_map(Bson::String),
        1 => Just(Bson::Null),
        1 => any::<bool>().prop_map(Bson::Boolean),
        1 => (0..3_i32).prop_map(|n| Bson::Document(doc! { "x": n })),
        1 => prop_oneof![Just(Bson::MinKey), Just(Bson::MaxKey), Just(Bson::Undefined)],
        1 => at_an_edge(),
    ]
}

/// Values whose keys end in the greatest bytes that there are, or the least.
fn at_an_edge() -> impl Strategy<Value = Bson> {
    (0..4).prop_flat_map(at_an_edge_of)
}

/// The same of one kind.
pub(super) fn at_an_edge_of(kind: i32) -> impl Strategy<Value = Bson> {
    let byte = proptest::sample::select(vec![0, 1, 0xfe, 0xff_u8]);
    byte.prop_map(move |byte| match kind {
        0 => Bson::DateTime(DateTime::from_millis(i64::from(byte as i8))),
        1 => Bson::ObjectId(ObjectId::from_bytes([byte; 12])),
        2 => Bson::Timestamp(Timestamp { time: 1, increment: byte.into() }),
        _ => Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: vec![byte; 2] }),
    })
}

pub(super) fn value() -> impl Strategy<Value = Bson> {
    let element = prop_oneof![5 => scalar(), 1 => vec(scalar(), 0..3).prop_map(Bson::Array)];
    prop_oneof![6 => scalar(), 1 => vec(element, 0..3).prop_map(Bson::Array)]
}

pub(super) fn document() -> impl Strategy<Value = Document> {
    let inner = (proptest::option::of(value()), proptest::option::of(scalar())).prop_map(|(d, e)| {
        let fields = [("d", d), ("e", e)];
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<Document>()
    });
    let inner = inner.boxed();
    let c = prop_oneof![
        4 => inner.clone().prop_map(Bson::Document),
        1 => vec(inner.prop_map(Bson::Document), 0..3).prop_map(Bson::Array),
        1 => scalar(),
    ];
    (proptest::option::of(value()), proptest::option::of(scalar()), proptest::option::of(c)).prop_map(
        |(a, b, c)| {
            let fields = [("a", a), ("b", b), ("c", c)];
            fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
        },
    )
}

pub(super) fn path() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&FIELDS[..])
}

pub(super) fn test() -> impl Strategy<Value = Filter> {
    prop_oneof![
        4 => (path(), scalar()).prop_map(|(path, value)| field(path).eq(value)),
        1 => (path(), at_an_edge()).prop_map(|(path, value)| field(path).eq(value)),
        2 => (path(), scalar(), 0..4).prop_map(|(path, value, kind)| match kind {
            0 => field(path).lt(value),
            1 => field(path).le(value),
            2 => field(path).gt(value),
            _ => field(path).ge(value),
        }),
        1 => (path(), scalar()).prop_map(|(path, value)| field(path).ne(value)),
        1 => (path(), vec(scalar(), 0..4)).prop_map(|(path, values)| field(path).in_(values)),
        1 => path().prop_map(|path| field(path).exists()),
        1 => (path(), "[a-c]{0,1}").prop_map(|(path, prefix)| field(path).starts_with(&prefix)),
        1 => (path(), 0..4).prop_map(|(path, low)| field(path).elem_match(element().ge(low).and(element().lt(low + 2)))),
        1 => (path(), 0..4).prop_map(|(path, low)| field(path).elem_match(element().elem_match(element().ge(low)))),
        1 => (path(), 0..3_u32).prop_map(|(path, size)| field(path).size(size)),
        1 => (path(), vec(scalar(), 0..3)).prop_map(|(path, values)| field(path).eq(Bson::Array(values))),
    ]
}

pub(super) fn index() -> impl Strategy<Value = Index> {
    let fields = vec((path(), any::<bool>()), 1..3);
    let partial = proptest::option::weighted(0.2, test());
    let unique = proptest::bool::weighted(0.2);
    (fields, any::<bool>(), unique, partial).prop_map(|(fields, sparse, unique, partial)| {
        let mut each = fields.into_iter();
        let (path, descending) = each.next().unwrap();
        let mut index = if descending { Index::on_descending(path) } else { Index::on(path) }.unwrap();
        for (path, descending) in each {
            let next = if descending { index.clone().and_descending(path) } else { index.clone().and(path) };
            index = next.unwrap_or(index);
        }
        let index = if sparse { index.sparse() } else { index };
        let index = if unique { index.unique() } else { index };
        match partial {
            Some(filter) => index.clone().partial(filter).unwrap(),
            None => index,
        }
    })
}

/// A store that keeps some history, with documents under the ids from 0 on, and what it holds of them.
pub(super) fn store(
    documents: Vec<Document>,
    indexes: Vec<Index>,
) -> (Database, Collection, BTreeMap<i32, Document>) {
    let db = Builder::new().retain_history_bytes(1 << 20).open().unwrap();
    let towns = db.collection("towns").unwrap();
    for (number, index) in indexes.into_iter().enumerate() {
        towns.create_index(index.named(format!("index {number}"))).unwrap();
    }
    let mut model = BTreeMap::new();
    for (id, document) in (0..).zip(documents) {
        put(&towns, &mut model, id, document);
    }
    (db, towns, model)
}

/// Puts a document, unless it has no place in an index.
pub(super) fn put(towns: &Collection, model: &mut BTreeMap<i32, Document>, id: i32, mut document: Document) {
    document.insert("_id", id);
    if towns.upsert(document.clone()).is_ok() {
        model.insert(id, document);
    }
}
