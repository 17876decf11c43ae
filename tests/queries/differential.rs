//! Random documents, indexes, filters, orders and limits: every plan gives what asking each document gives.

use proptest::collection::vec;
use proptest::prelude::*;
use skipstone::bson::{Bson, Document, doc};
use skipstone::{
    Builder, Collection, Database, Filter, Index, Isolation, Patch, Query, TransactionOptions, element, field,
};
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
    ]
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

fn test() -> impl Strategy<Value = Filter> {
    prop_oneof![
        4 => (path(), scalar()).prop_map(|(path, value)| field(path).eq(value)),
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

fn filter() -> impl Strategy<Value = Filter> {
    let leaf = prop_oneof![8 => test(), 1 => Just(Filter::all())];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| a.and(b)),
            2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| a.or(b)),
            1 => inner.prop_map(Filter::not),
        ]
    })
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

#[derive(Debug, Clone)]
struct Asked {
    filter: Filter,
    sort: Vec<(&'static str, bool)>,
    skip: u64,
    limit: Option<u64>,
}

impl Asked {
    fn query(&self) -> Query {
        let mut query = Query::new(self.filter.clone()).skip(self.skip);
        for (path, descending) in &self.sort {
            query = if *descending { query.sort_desc(path) } else { query.sort(path) };
        }
        self.limit.map_or(query.clone(), |limit| query.limit(limit))
    }
}

fn asked() -> impl Strategy<Value = Asked> {
    let sort = vec((path(), any::<bool>()), 0..3).prop_map(|mut sort| {
        sort.dedup_by_key(|(path, _)| *path);
        if sort.len() == 2 && sort[0].0 == sort[1].0 {
            sort.pop();
        }
        sort
    });
    (filter(), sort, 0..3_u64, proptest::option::of(0..8_u64)).prop_map(|(filter, sort, skip, limit)| Asked {
        filter,
        sort,
        skip,
        limit,
    })
}

fn id(document: &skipstone::DocRef<'_>) -> i32 {
    document.get("_id").unwrap().as_i32().unwrap()
}

/// All queries that force a way, with what forces it.
fn ways(towns: &Collection, query: &Query) -> Vec<(String, Query)> {
    let names = towns.indexes().into_iter().map(|info| info.index.name());
    let mut ways: Vec<_> = names.map(|name| (name.clone(), query.clone().use_index(name))).collect();
    ways.push(("scan".into(), query.clone().use_scan()));
    ways.push(("planned".into(), query.clone()));
    ways
}

/// The ways, each as a prepared query too, asked twice: when it is planned, and by the plan that it keeps.
fn prepared_too(towns: &Collection, ways: Vec<(String, Query)>) -> Vec<(String, Query)> {
    let mut all = Vec::new();
    for (way, query) in ways {
        if let Ok(prepared) = towns.prepare(query.clone()) {
            all.extend((0..2).map(|time| (format!("{way}, prepared, time {time}"), Query::from(&prepared))));
        }
        all.push((way, query));
    }
    all
}

/// What a query gives, and what counting it gives.
type Answer = (Vec<i32>, u64);

/// Asks by each way; all have to give the same as asking each document.
fn check(
    ask: impl Fn(Query) -> skipstone::Result<Answer>,
    towns: &Collection,
    asked: &Asked,
    documents: &BTreeMap<i32, Document>,
) -> Result<(), TestCaseError> {
    let matches = |document: &Document| {
        asked.filter.matches(&skipstone::bson::RawDocumentBuf::try_from(document).unwrap())
    };
    let all: Vec<i32> =
        documents.iter().filter(|(_, document)| matches(document)).map(|(id, _)| *id).collect();
    let unlimited = Asked { skip: 0, limit: None, ..asked.clone() };
    let whole = ask(unlimited.query().use_scan()).unwrap().0;
    let taken = (all.len() as u64).saturating_sub(asked.skip).min(asked.limit.unwrap_or(u64::MAX)) as usize;
    for (way, query) in prepared_too(towns, ways(towns, &unlimited.query())) {
        let (found, counted) = match ask(query) {
            Ok(answer) => answer,
            Err(skipstone::Error::Query(skipstone::QueryError::CannotUse { .. })) => continue,
            Err(error) => return Err(TestCaseError::fail(format!("{way}: {error}"))),
        };
        let mut sorted = found.clone();
        sorted.sort_unstable();
        prop_assert_eq!(&sorted, &all, "by {}", way);
        prop_assert_eq!(counted, all.len() as u64, "counted by {}", way);
        if !asked.sort.is_empty() {
            let keys =
                |ids: &[i32]| ids.iter().map(|id| keys(&documents[id], &asked.sort)).collect::<Vec<_>>();
            prop_assert_eq!(keys(&found), keys(&whole), "order by {}", way);
        }
    }
    for (way, query) in prepared_too(towns, ways(towns, &asked.query())) {
        let Ok((found, counted)) = ask(query) else { continue };
        prop_assert_eq!((found.len(), counted), (taken, taken as u64), "limited by {}", way);
        prop_assert!(found.iter().all(|id| all.contains(id)), "limited by {}", way);
        if !asked.sort.is_empty() {
            let keys =
                |ids: &[i32]| ids.iter().map(|id| keys(&documents[id], &asked.sort)).collect::<Vec<_>>();
            let skip = (asked.skip as usize).min(whole.len());
            prop_assert_eq!(keys(&found), keys(&whole[skip..skip + taken]), "limited order by {}", way);
        }
    }
    Ok(())
}

/// By what a document is ordered: of several values the one that comes first.
fn keys(document: &Document, sort: &[(&str, bool)]) -> Vec<Vec<u8>> {
    use skipstone::document::order_key::{Direction, encode};
    fn collect(value: &Bson, segments: &[&str], found: &mut Vec<Option<Bson>>) {
        let Some((first, rest)) = segments.split_first() else {
            match value {
                Bson::Array(elements) if !elements.is_empty() => {
                    found.extend(elements.iter().cloned().map(Some))
                }
                value => found.push(Some(value.clone())),
            }
            return;
        };
        match value {
            Bson::Document(inner) => match inner.get(*first) {
                Some(value) => collect(value, rest, found),
                None => found.push(None),
            },
            Bson::Array(elements) => {
                for (at, element) in elements.iter().enumerate() {
                    if matches!(element, Bson::Document(_)) {
                        collect(element, segments, found);
                    }
                    // No longer path goes through a position.
                    if *first == at.to_string() {
                        found.push(Some(element.clone()));
                    }
                }
            }
            _ => found.push(None),
        }
    }
    let key = |(path, descending): &(&str, bool)| {
        let segments: Vec<_> = path.split('.').collect();
        let mut found = Vec::new();
        collect(&Bson::Document(document.clone()), &segments, &mut found);
        let encoded = found.into_iter().map(|value| {
            let value = match value {
                None | Some(Bson::Undefined) => Bson::Null,
                Some(Bson::Array(elements)) if elements.is_empty() => Bson::Undefined,
                Some(value) => value,
            };
            let raw = skipstone::bson::RawDocumentBuf::try_from(&doc! { "v": value }).unwrap();
            let mut key = Vec::new();
            let direction = if *descending { Direction::Descending } else { Direction::Ascending };
            encode(raw.get("v").unwrap().unwrap(), direction, &mut key);
            key
        });
        let nothing = || vec![if *descending { !0x10 } else { 0x10 }];
        encoded.min().unwrap_or_else(nothing)
    };
    sort.iter().map(key).collect()
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn every_plan_gives_the_same(
        documents in vec(document(), 0..30),
        changed in vec((0..30_i32, document()), 0..6),
        indexes in vec(index(), 0..4),
        queries in vec(asked(), 1..6),
    ) {
        let (db, towns, mut model) = store(documents, indexes);
        let (before, old) = (db.snapshot().unwrap(), model.clone());
        let mut between = Vec::new();
        for (id, document) in changed.clone() {
            put(&towns, &mut model, id, document);
            between.push((db.position(), model.clone()));
        }
        let now = db.snapshot().unwrap();
        for ((position, then), asked) in between.iter().zip(queries.iter().cycle()) {
            let snapshot = db.at(*position).unwrap();
            let seen = snapshot.collection(&towns).unwrap();
            let ask = |query: Query| -> skipstone::Result<Answer> {
                let found = seen.find(query.clone())?.map(|found| Ok(id(&found?)));
                Ok((found.collect::<skipstone::Result<_>>()?, seen.count_matching(query)?))
            };
            check(ask, &towns, asked, then)?;
        }
        let past = db.at(before.position()).unwrap();
        for asked in &queries {
            for (snapshot, model) in [(&before, &old), (&now, &model), (&past, &old)] {
                let ask = |query: Query| -> skipstone::Result<Answer> {
                    let seen = snapshot.collection(&towns).unwrap();
                    seen.explain(query.clone())?.to_string();
                    let found = seen.find(query.clone())?.map(|found| Ok(id(&found?)));
                    Ok((found.collect::<skipstone::Result<_>>()?, seen.count_matching(query)?))
                };
                check(ask, &towns, asked, model)?;
            }
        }
        for isolation in [Isolation::ReadCommitted, Isolation::Snapshot, Isolation::Serializable] {
            let mut tx = db.begin_with(TransactionOptions::new().isolation(isolation)).unwrap();
            let mut own = model.clone();
            let mut within = tx.collection(&towns).unwrap();
            for (id, document) in changed.iter().take(3) {
                let mut document = document.clone();
                document.insert("_id", *id + 2);
                if within.upsert(document.clone()).is_ok() {
                    own.insert(*id + 2, document);
                }
            }
            for asked in &queries {
                let ask = |query: Query| -> skipstone::Result<Answer> {
                    let found = within.find(query.clone())?.map(|found| Ok(id(&found?)));
                    Ok((found.collect::<skipstone::Result<_>>()?, within.count_matching(query)?))
                };
                check(ask, &towns, asked, &own)?;
            }
        }
        prop_assert!(db.verify().unwrap().is_sound());
    }
}

/// Puts a document, unless it has no place in an index.
pub(super) fn put(towns: &Collection, model: &mut BTreeMap<i32, Document>, id: i32, mut document: Document) {
    document.insert("_id", id);
    if towns.upsert(document.clone()).is_ok() {
        model.insert(id, document);
    }
}

#[test]
fn a_snapshot_gives_the_same_while_others_write() {
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    towns.create_index(Index::on("a").unwrap()).unwrap();
    towns.insert_many((0..2_000).map(|n| doc! { "_id": n, "a": n % 100 })).unwrap();
    let snapshot = db.snapshot().unwrap();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..3_000 {
                        let id = fastrand::i32(0..2_000);
                        towns.patch(id, &Patch::new().set("a", fastrand::i32(0..100))).unwrap();
                    }
                })
            })
            .collect();
        while !writers.iter().all(|writer| writer.is_finished()) {
            let query = Query::new(field("a").lt(10)).use_index("a");
            let seen = snapshot.collection(&towns).unwrap();
            assert_eq!(seen.count_matching(query.clone()).unwrap(), 200);
            assert!(
                seen.find(query)
                    .unwrap()
                    .all(|found| found.unwrap().get("a").unwrap().as_i32().unwrap() < 10)
            );
            let sum = |query: Query| {
                let now = db.snapshot().unwrap();
                now.collection(&towns).unwrap().count_matching(query).unwrap()
            };
            assert_eq!(sum(Query::new(field("a").ge(0)).use_index("a")), 2_000);
        }
    });
    assert!(db.verify().unwrap().is_sound());
}
