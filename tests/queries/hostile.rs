//! Questions that nobody asks in good faith, and values at the edges: right answers, in time.

use skipstone::bson::{Bson, Document, doc};
use skipstone::{Collection, Cursor, Database, Filter, Index, Query, element, field};
use std::time::{Duration, Instant};

fn store(
    documents: impl IntoIterator<Item = Document>,
    indexes: impl IntoIterator<Item = Index>,
) -> (Database, Collection) {
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    towns.insert_many(documents).unwrap();
    for index in indexes {
        towns.create_index(index).unwrap();
    }
    (db, towns)
}

/// What a query gives by an index is what it gives by a scan.
fn agree(towns: &Collection, filter: &Filter, index: &str) -> usize {
    let found = towns.find(Query::new(filter.clone()).use_index(index)).unwrap().len();
    assert_eq!(found, towns.find(Query::new(filter.clone()).use_scan()).unwrap().len(), "{filter}");
    assert_eq!(found, towns.find(filter.clone()).unwrap().len(), "{filter}");
    found
}

/// Far more than it takes, and far less than a square of it would.
fn in_time<T>(what: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let given = what();
    assert!(began.elapsed() < Duration::from_secs(20), "it took {:?}", began.elapsed());
    given
}

#[test]
fn elements_of_elements_and_of_positions_are_not_looked_up_as_values() {
    let documents = [doc! { "a": [[9]] }, doc! { "a": [9] }, doc! { "a": 9 }, doc! { "a": [[[9]]] }];
    let (_db, towns) = store(documents, [Index::on("a").unwrap(), Index::on("a.0").unwrap()]);
    assert_eq!(agree(&towns, &field("a").elem_match(element().elem_match(element().gt(5))), "a"), 1);
    assert_eq!(agree(&towns, &field("a").elem_match(element().gt(5)), "a"), 1);
    assert_eq!(agree(&towns, &field("a.0").elem_match(element().gt(5)), "a.0"), 1);
    assert_eq!(agree(&towns, &field("a.0").gt(5), "a.0"), 1);
}

#[test]
fn a_limit_of_none_gives_none() {
    let (_db, towns) = store((0..5).map(|n| doc! { "_id": n, "a": n }), [Index::on("a").unwrap()]);
    let none = Query::new(field("a").ge(0)).limit(0);
    for query in [none.clone(), none.clone().use_index("a"), none.clone().use_scan(), none.sort_desc("a")] {
        assert!(towns.find(query.clone()).unwrap().is_empty());
        assert!(towns.first(query.clone()).unwrap().is_none());
        assert!(!towns.any(query.clone()).unwrap());
        assert_eq!(towns.count_matching(query).unwrap(), 0);
    }
    let huge = Query::all().limit(u64::MAX).sort("a");
    assert_eq!(towns.find(huge.clone()).unwrap().len(), 5);
    assert_eq!(towns.find(huge.clone().skip(3)).unwrap().len(), 2);
    assert!(towns.find(huge.clone().skip(u64::MAX)).unwrap().is_empty());
    assert_eq!(towns.count_matching(huge.skip(u64::MAX)).unwrap(), 0);
}

#[test]
fn long_lists_are_looked_up() {
    let (_db, towns) = store((0..100_000).map(|n| doc! { "_id": n, "a": n }), [Index::on("a").unwrap()]);
    for path in ["a", "_id"] {
        let list = field(path).in_((0..5_000).map(|n| n * 20));
        let way = towns.explain(list.clone()).unwrap().to_string();
        assert!(way.contains("ranges more") && !way.contains("filter"), "by {path}");
        assert_eq!(towns.count_matching(list).unwrap(), 5_000);
    }
}

#[test]
fn long_filters_take_no_square_of_time() {
    const MANY: i32 = 100_000;
    let indexes = || {
        let partial = Index::on("b").unwrap().partial(field("a").in_(0..MANY)).unwrap();
        [Index::on("a").unwrap(), Index::on_descending("a").unwrap().sparse(), partial]
    };
    let (_db, towns) = store((0..100).map(|n| doc! { "_id": n, "a": [n, n + 1], "b": n }), indexes());
    let list = |from: i32| field("a").in_(from..from + MANY);
    assert_eq!(in_time(|| towns.count_matching(list(50).and(list(60))).unwrap()), 41);
    assert_eq!(in_time(|| towns.count_matching(list(50).and(field("b").ge(0))).unwrap()), 51);
    let (_db, single) = store((0..100).map(|n| doc! { "_id": n, "a": n, "b": n }), indexes());
    assert_eq!(in_time(|| single.count_matching(list(50).and(list(60))).unwrap()), 40);
    let alternatives: Vec<_> = (0..20_000).map(|n| doc! { "a": n }).collect();
    let one_field = Filter::from_document(
        skipstone::bson::RawDocumentBuf::try_from(&doc! { "$or": alternatives }).unwrap(),
    )
    .unwrap();
    assert_eq!(in_time(|| single.count_matching(one_field).unwrap()), 100);
    let alternatives: Vec<_> = (0..20_000)
        .map(|n| {
            if n % 2 == 0 {
                doc! { "a": n }
            } else {
                doc! { "b": { "$gte": 0 }, "a": n }
            }
        })
        .collect();
    let two_fields = Filter::from_document(
        skipstone::bson::RawDocumentBuf::try_from(&doc! { "$or": alternatives }).unwrap(),
    )
    .unwrap();
    assert_eq!(in_time(|| single.count_matching(two_fields).unwrap()), 100);
}

#[test]
fn a_path_of_positions_is_not_followed_by_ways_without_number() {
    let deep =
        (0..45).fold(Bson::Int32(1), |inner, _| Bson::Array(vec![Bson::Document(doc! { "0": inner })]));
    let (_db, towns) = store([doc! { "a": deep }], []);
    let path = |segments: usize| format!("a{}", ".0".repeat(segments));
    assert_eq!(in_time(|| towns.count_matching(field(path(90).as_str()).eq(1)).unwrap()), 1);
    assert_eq!(in_time(|| towns.count_matching(field(path(65).as_str()).eq(2)).unwrap()), 0);
    in_time(|| towns.create_index(Index::on(&path(70)).unwrap()).map(drop)).ok();
}

#[test]
fn values_at_the_edges_are_found_by_indexes() {
    let values = [
        Bson::MinKey,
        Bson::MaxKey,
        Bson::Null,
        Bson::Undefined,
        Bson::Double(f64::NAN),
        Bson::Double(f64::INFINITY),
        Bson::Double(f64::NEG_INFINITY),
        Bson::Double(-0.0),
        Bson::Int32(0),
        Bson::Int64(i64::MAX),
        Bson::Int64(i64::MIN),
        Bson::Double(i64::MAX as f64),
        Bson::Decimal128("1E-6176".parse().unwrap()),
        Bson::Decimal128("NaN".parse().unwrap()),
        Bson::Boolean(false),
        Bson::Boolean(true),
        Bson::String(String::new()),
        Bson::String("\0".into()),
        Bson::Symbol("a".into()),
        Bson::Array(vec![]),
        Bson::Array(vec![Bson::Array(vec![])]),
        Bson::Array(vec![Bson::Null]),
        Bson::Document(doc! {}),
        Bson::DateTime(skipstone::bson::DateTime::MIN),
        Bson::DateTime(skipstone::bson::DateTime::MAX),
        Bson::Timestamp(skipstone::bson::Timestamp { time: u32::MAX, increment: u32::MAX }),
        Bson::Binary(skipstone::bson::Binary {
            subtype: skipstone::bson::spec::BinarySubtype::Generic,
            bytes: vec![255; 9],
        }),
        Bson::JavaScriptCode("x".into()),
        Bson::ObjectId(skipstone::bson::oid::ObjectId::from_bytes([255; 12])),
        Bson::RegularExpression(skipstone::bson::Regex {
            pattern: "a".try_into().unwrap(),
            options: "im".try_into().unwrap(),
        }),
    ];
    let documents = values.iter().map(|value| doc! { "a": value.clone() }).chain([doc! {}]);
    let indexes = [Index::on("a").unwrap(), Index::on_descending("a").unwrap()];
    let (_db, towns) = store(documents, indexes);
    let mut found = 0;
    for value in &values {
        let value = || value.clone();
        let a = || field("a");
        for filter in [
            a().eq(value()),
            a().lt(value()),
            a().le(value()),
            a().gt(value()),
            a().ge(value()),
            a().in_([value(), Bson::Null]),
        ] {
            for filter in [filter.clone(), filter.clone().or(a().gt(3)), filter.not()] {
                found += agree(&towns, &filter, "a");
                agree(&towns, &filter, "a_desc");
                towns.explain(Query::new(filter.clone()).use_index("a_desc")).unwrap().to_string();
            }
        }
    }
    assert!(found > 0);
    for pattern in ["^", "^a", "a"] {
        agree(&towns, &field("a").regex(pattern), "a_desc");
    }
}

#[test]
fn a_cursor_of_an_order_of_many_fields_is_read_back_and_others_are_refused() {
    let (db, towns) = store((0..9).map(|n| doc! { "_id": n, "f0": 1 }), []);
    let query = (0..300).fold(Query::all(), |query, n| query.sort(&format!("f{n}")));
    let snapshot = db.snapshot().unwrap();
    let mut matches = snapshot.collection(&towns).unwrap().find(query.clone()).unwrap();
    matches.by_ref().take(3).for_each(|found| drop(found.unwrap()));
    let text = matches.cursor().unwrap().unwrap().to_string();
    let cursor: Cursor = text.parse().unwrap();
    assert_eq!(towns.find(query.clone().after(cursor)).unwrap().len(), 6);
    // Cut and changed, it is refused or goes on somewhere, and nothing worse.
    for end in 0..text.len() {
        if let Ok(cursor) = text[..end].parse::<Cursor>() {
            towns.find(query.clone().after(cursor)).ok();
        }
    }
}

#[test]
fn cursors_with_any_key_do_no_harm() {
    let unique = Index::on("a").unwrap().and_descending("b").unwrap().unique();
    let (db, towns) =
        store((0..9).map(|n| doc! { "_id": n, "a": n, "b": n }), [unique, Index::on("b").unwrap()]);
    let base = "_-9";
    for query in [
        Query::all().sort("a").sort_desc("b"),
        Query::all().sort_desc("a").sort("b"),
        Query::all().sort("b"),
        Query::all().sort_desc("b"),
        Query::all().sort_desc("_id"),
    ] {
        let snapshot = db.snapshot().unwrap();
        let mut matches = snapshot.collection(&towns).unwrap().find(query.clone()).unwrap();
        matches.next().unwrap().unwrap();
        let text = matches.cursor().unwrap().unwrap().to_string();
        for at in 0..text.len() {
            for with in base.chars() {
                let mut changed = text.clone();
                changed.replace_range(at..=at, &with.to_string());
                for changed in
                    [changed.clone(), text[..at].to_owned(), format!("{changed}{}", "_".repeat(4_000))]
                {
                    if let Ok(cursor) = changed.parse::<Cursor>() {
                        towns.find(query.clone().after(cursor.clone())).ok();
                        towns.count_matching(query.clone().after(cursor)).ok();
                    }
                }
            }
        }
    }
}
