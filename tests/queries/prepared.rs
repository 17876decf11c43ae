//! Prepared queries: with whatever values, and whatever comes between, they give what the same query gives that is made anew.

use super::random::{self, document, index, path, put, value};
use proptest::collection::vec;
use proptest::prelude::*;
use skipstone::bson::{Bson, doc};
use skipstone::{
    Collection, Database, Error, Filter, FilterError, Index, Isolation, Operand, Patch, PreparedQuery, Query,
    QueryError, TransactionOptions, element, field, param,
};

/// A filter, once with parameters and once with values in their place.
type Shape = Vec<(&'static str, u8, bool)>;

fn shape() -> impl Strategy<Value = (Shape, bool)> {
    (vec((path(), 0..8_u8, any::<bool>()), 1..4), any::<bool>())
}

fn filter((parts, is_or): &(Shape, bool), operand: impl Fn(usize) -> Operand) -> Filter {
    let part = |(at, (path, kind, negated)): (usize, &(&str, u8, bool))| {
        let (on, operand) = (field(*path), operand(at));
        let test = match kind {
            0 => on.lt(operand),
            1 => on.le(operand),
            2 => on.gt(operand),
            3 => on.ge(operand),
            4 => on.elem_match(element().ge(operand)),
            5 => on.in_([1, 2, 4]),
            _ => on.eq(operand),
        };
        // Seldom, for an index says nothing of it.
        if *negated && kind % 3 == 0 { test.not() } else { test }
    };
    let each = parts.iter().enumerate().map(part);
    each.reduce(|a, b| if *is_or { a.or(b) } else { a.and(b) }).expect("there is one")
}

fn ordered(query: Query, sort: &Option<(&'static str, bool)>, limit: Option<u64>) -> Query {
    let query = match sort {
        Some((path, true)) => query.sort_desc(path),
        Some((path, false)) => query.sort(path),
        None => query,
    };
    // What documents agree in says nothing of which come first, unless their ids do.
    let query = if sort.is_none_or(|(path, _)| path == "_id") { query } else { query.sort("_id") };
    limit.filter(|_| sort.is_some()).map_or(query.clone(), |limit| query.limit(limit))
}

fn ids(found: impl Iterator<Item = skipstone::Result<i32>>, is_ordered: bool) -> skipstone::Result<Vec<i32>> {
    let mut ids = found.collect::<skipstone::Result<Vec<_>>>()?;
    if !is_ordered {
        ids.sort_unstable();
    }
    Ok(ids)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_prepared_query_gives_what_the_query_gives(
        documents in vec(document(), 0..25),
        changed in vec((0..25_i32, document()), 0..5),
        indexes in vec(index(), 0..4),
        later in index(),
        shape in shape(),
        sort in proptest::option::of((path(), any::<bool>())),
        limit in proptest::option::of(0..6_u64),
        values in vec(vec(value(), 3..4), 1..6),
    ) {
        let (db, towns, mut model) = random::store(documents, indexes);
        let open = ordered(Query::new(filter(&shape, param)), &sort, limit);
        let prepared = towns.prepare(open).unwrap();
        let both = |values: &[Bson]| {
            let bound = prepared.bind(values[..prepared.parameters()].iter().cloned()).unwrap();
            let made = Query::new(filter(&shape, |at| values[at].clone().into()));
            (bound, ordered(made, &sort, limit).use_scan())
        };
        let check = |snapshot: &skipstone::Snapshot<'_>| {
            for values in values.iter().chain(&values) {
                let (bound, made) = both(values);
                let seen = snapshot.collection(&towns).unwrap();
                let ask = |query: Query| {
                    let found = seen.find(query.clone())?.map(|found| Ok(found?.get("_id").unwrap().as_i32().unwrap()));
                    Ok::<_, Error>((ids(found, sort.is_some())?, seen.count_matching(query.clone())?, seen.any(query)?))
                };
                let steps = seen.explain(bound.clone()).unwrap().to_string();
                prop_assert_eq!(ask(bound).unwrap(), ask(made).unwrap(), "{}", steps);
            }
            Ok(())
        };
        let before = db.snapshot().unwrap();
        check(&before)?;
        for (id, document) in changed {
            put(&towns, &mut model, id, document);
        }
        let now = db.snapshot().unwrap();
        check(&now)?;
        check(&before)?;
        let _ = towns.create_index(later.named("later"));
        check(&db.snapshot().unwrap())?;
        check(&before)?;
        for isolation in [Isolation::ReadCommitted, Isolation::Snapshot, Isolation::Serializable] {
            let mut tx = db.begin_with(TransactionOptions::new().isolation(isolation)).unwrap();
            let mut within = tx.collection(&towns).unwrap();
            let _ = within.upsert(doc! { "_id": 3, "a": [1, 2], "b": 1 });
            for values in &values {
                let (bound, made) = both(values);
                let ask = |query: Query| {
                    let found = within.find(query)?.map(|found| Ok(found?.get("_id").unwrap().as_i32().unwrap()));
                    ids(found, sort.is_some())
                };
                prop_assert_eq!(ask(bound).unwrap(), ask(made).unwrap());
            }
        }
        let _ = towns.drop_index("later");
        check(&now)?;
    }
}

fn names(towns: &Collection, query: Query) -> Vec<String> {
    let found = towns.find(query).unwrap();
    found.iter().map(|town| town.get("_id").unwrap().as_str().unwrap().to_owned()).collect()
}

fn steps(towns: &Collection, query: &Query) -> String {
    towns.explain(query.clone()).unwrap().to_string()
}

/// Some hundreds of towns, `few` of a country each and `many` of country 0.
fn store(db: &Database) -> (Collection, PreparedQuery) {
    let towns = db.collection("towns").unwrap();
    let country = |n: i32| if n < 600 { 0 } else { n };
    towns
        .insert_many((0..700).map(|n| doc! { "_id": format!("{n:03}"), "country": country(n), "people": n }))
        .unwrap();
    let by_country = towns.prepare(field("country").eq(param(0))).unwrap();
    (towns, by_country)
}

#[test]
fn a_plan_is_chosen_anew_when_indexes_come_and_go() {
    let db = Database::in_memory();
    let (towns, by_country) = store(&db);
    let before = db.snapshot().unwrap();
    let of = |country: i32| by_country.bind([country]).unwrap();
    assert!(steps(&towns, &of(650)).contains("scan"));
    assert_eq!(names(&towns, of(650)), ["650"]);
    towns.create_index(Index::on("country").unwrap()).unwrap();
    assert!(steps(&towns, &of(650)).contains("index `country`"));
    assert_eq!(names(&towns, of(651)), ["651"]);
    // What is older than the index does not use it, however often it is asked in between.
    for _ in 0..3 {
        let old = before.collection(&towns).unwrap();
        assert!(old.explain(of(650)).unwrap().to_string().contains("scan"));
        assert_eq!(old.count_matching(of(650)).unwrap(), 1);
        assert!(steps(&towns, &of(652)).contains("index `country`"));
    }
    towns.drop_index("country").unwrap();
    assert!(steps(&towns, &of(650)).contains("scan"));
    assert_eq!(names(&towns, of(650)), ["650"]);
}

#[test]
fn values_that_many_documents_have_get_a_plan_of_their_own() {
    let db = Database::in_memory();
    let (towns, by_country) = store(&db);
    towns.create_index(Index::on("country").unwrap()).unwrap();
    let of = |country: i32| by_country.bind([country]).unwrap();
    for _ in 0..2 {
        assert!(steps(&towns, &of(650)).contains("index"));
        assert!(steps(&towns, &of(0)).contains("scan"));
        assert_eq!((names(&towns, of(650)).len(), names(&towns, of(0)).len()), (1, 600));
    }
}

#[test]
fn a_document_with_several_entries_is_met_once_by_a_plan_from_before() {
    let db = Database::in_memory();
    let (towns, _) = store(&db);
    towns.create_index(Index::on("people").unwrap()).unwrap();
    let between = towns.prepare(field("people").ge(param(0)).and(field("people").lt(param(1)))).unwrap();
    let of = |low: i32, high: i32| between.bind([low, high]).unwrap();
    assert_eq!(names(&towns, of(10, 12)), ["010", "011"]);
    towns.insert(doc! { "_id": "x", "people": [10, 11, 900] }).unwrap();
    assert_eq!(towns.count_matching(of(10, 12)).unwrap(), 3);
    // One element from here, another one from there: as conditions on arrays are.
    assert_eq!(names(&towns, of(800, 11)), ["x"]);
}

#[test]
fn a_plan_for_nothing_is_none_for_several_values() {
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    towns.create_index(Index::on("a").unwrap().unique()).unwrap();
    towns.insert(doc! { "a": [1, 2] }).unwrap();
    let some = towns.prepare(field("a").in_([1, 2]).and(field("a").ge(param(0)))).unwrap();
    for (from, count) in [(5, 0), (0, 1), (2, 1), (5, 0)] {
        assert_eq!(towns.count_matching(some.bind([from]).unwrap()).unwrap(), count, "from {from}");
    }
}

#[test]
fn values_are_counted_and_a_query_without_them_is_refused() {
    let db = Database::in_memory();
    let (towns, by_country) = store(&db);
    assert_eq!(by_country.parameters(), 1);
    let values = |result: Result<Query, QueryError>| match result {
        Err(QueryError::Filter(FilterError::Values { expected, given, .. })) => (expected, given),
        other => panic!("{other:?}"),
    };
    assert_eq!(values(by_country.bind([0; 0])), (1, 0));
    assert_eq!(values(by_country.bind([1, 2])), (1, 2));
    let unbound = towns.find(&by_country).map(|found| found.len());
    assert!(
        matches!(unbound, Err(Error::Query(QueryError::Filter(FilterError::Values { .. })))),
        "{unbound:?}"
    );
    assert!(towns.find(field("country").eq(param(0))).is_err());
    for wrong in [
        Query::all().sort(""),
        Query::all().sort("a").sort("a"),
        Query::new(field("a").regex("(")),
        Query::new(element().eq(1)),
    ] {
        assert!(towns.prepare(wrong).is_err());
    }
    let all = towns.prepare(Query::all()).unwrap();
    assert_eq!((all.parameters(), towns.count_matching(&all).unwrap()), (0, 700));
}

#[test]
fn a_prepared_query_is_a_query_to_every_call() {
    let db = Database::in_memory();
    let (towns, by_country) = store(&db);
    let other = db.collection("other").unwrap();
    other.create_index(Index::on("country").unwrap()).unwrap();
    other.insert(doc! { "_id": "elsewhere", "country": 650 }).unwrap();
    towns.create_index(Index::on("country").unwrap()).unwrap();
    let of = |country: i32| by_country.bind([country]).unwrap();
    for _ in 0..2 {
        assert_eq!(names(&other, of(650)), ["elsewhere"]);
        assert_eq!(names(&towns, of(650)), ["650"]);
        assert_eq!(towns.first(of(651)).unwrap().unwrap().id().unwrap(), "651".into());
    }
    assert_eq!(names(&towns, of(0).sort_desc("people").limit(2)), ["599", "598"]);
    let mut tx = db.begin().unwrap();
    let mut within = tx.collection(&towns).unwrap();
    within.insert(doc! { "_id": "new", "country": 650 }).unwrap();
    assert_eq!(within.count_matching(of(650)).unwrap(), 2);
    assert_eq!(within.patch_matching(of(650), &Patch::new().set("people", -1)).unwrap(), 2);
    tx.commit().unwrap();
    let cursor = {
        let snapshot = db.snapshot().unwrap();
        let seen = snapshot.collection(&towns).unwrap();
        let mut found = seen.find(of(650)).unwrap();
        assert_eq!(found.next().unwrap().unwrap().id().unwrap(), "650".into());
        found.cursor().unwrap().unwrap()
    };
    assert_eq!(names(&towns, of(650).after(cursor.clone())), ["new"]);
    assert!(towns.find(of(651).after(cursor)).is_err());
    assert_eq!(towns.delete_matching(of(650)).unwrap(), 2);
    assert!(!towns.any(of(650)).unwrap());
}

#[test]
fn threads_share_a_prepared_query_while_indexes_change() {
    let db = Database::in_memory();
    let (towns, by_country) = store(&db);
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for n in 0..3_000 {
                        let country = 600 + n % 100;
                        assert_eq!(towns.count_matching(by_country.bind([country]).unwrap()).unwrap(), 1);
                    }
                })
            })
            .collect();
        while !asking.iter().all(|thread| thread.is_finished()) {
            towns.create_index(Index::on("country").unwrap()).unwrap();
            towns.drop_index("country").unwrap();
        }
    });
}

/// What a plan for one entry of a unique index takes for granted, as for any other: an array may come later.
#[test]
fn a_plan_for_one_entry_is_none_for_a_document_with_several() {
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    towns.create_index(Index::on("a").unwrap().unique()).unwrap();
    towns.insert_many((0..100).map(|n| doc! { "_id": n, "a": n })).unwrap();
    let fixed = towns.prepare(field("a").eq(5).and(field("a").gt(700))).unwrap();
    let open = towns.prepare(field("a").in_([12, 15]).and(field("a").gt(param(0)))).unwrap();
    assert_eq!(towns.count_matching(&fixed).unwrap(), 0);
    assert_eq!(towns.count_matching(open.bind([13]).unwrap()).unwrap(), 1);
    let mut reader = db.begin_with(TransactionOptions::new().isolation(Isolation::Serializable)).unwrap();
    let mut within = reader.collection(&towns).unwrap();
    assert_eq!(within.count_matching(&fixed).unwrap(), 0);
    within.insert(doc! { "_id": "read" }).unwrap();
    towns.delete(5).unwrap();
    towns.insert(doc! { "_id": 5, "a": [5, 9_000] }).unwrap();
    assert!(matches!(reader.commit(), Err(Error::Conflict { .. })));
    towns.delete(12).unwrap();
    towns.insert(doc! { "_id": 12, "a": [12, 6_000] }).unwrap();
    assert_eq!(towns.count_matching(&fixed).unwrap(), 1);
    assert_eq!(towns.count_matching(open.bind([14]).unwrap()).unwrap(), 2);
    assert_eq!(towns.patch_matching(&fixed, &Patch::new().set("b", 1)).unwrap(), 1);
}
