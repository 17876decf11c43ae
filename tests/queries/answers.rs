//! What calls give, and how that is explained.

use skipstone::bson::{Bson, doc};
use skipstone::{
    Collection, Database, Error, Filter, Grouping, Index, Isolation, Patch, Query, TransactionOptions,
    element, field,
};

/// A hundred towns: `people` from 0 to 9, `country` one of four, `tags` with two of them.
fn towns(db: &Database) -> Collection {
    let towns = db.collection("towns").unwrap();
    let countries = ["DE", "KE", "JP", "PE"];
    towns
        .insert_many((0..100).map(|n| {
            let tags = [n % 5, n % 3 + 10];
            doc! { "_id": n, "people": n % 10, "country": countries[n as usize % 4], "name": format!("town {n:02}"), "tags": tags.to_vec() }
        }))
        .unwrap();
    towns
}

fn ids(towns: &Collection, query: impl Into<Query>) -> Vec<i64> {
    let found = towns.find(query).unwrap();
    found.iter().map(|town| town.get("_id").unwrap().as_i32().unwrap().into()).collect()
}

#[test]
fn indexes_are_used_where_they_help() {
    let db = Database::in_memory();
    let towns = towns(&db);
    towns.create_index(Index::on("country").unwrap().and("people").unwrap().named("by_country")).unwrap();
    towns.create_index(Index::on("name").unwrap().unique()).unwrap();
    let shown = |query: Query| towns.explain(query).unwrap().to_string();
    assert!(shown(Query::new(field("name").eq("town 07"))).contains("`name`"));
    assert!(shown(Query::new(field("country").eq("KE").and(field("people").gt(5)))).contains("`by_country`"));
    assert!(shown(Query::new(field("people").gt(5))).contains("scan"));
    assert!(shown(Query::all().sort("country").sort("people").limit(3)).contains("`by_country`"));
    let analyzed =
        towns.explain_analyze(Query::new(field("country").eq("KE")).use_index("by_country")).unwrap();
    assert_eq!(analyzed.root.actual_rows, Some(25));
    let document = analyzed.to_document();
    let fetch = document.get_document("plan").unwrap();
    assert_eq!((fetch.get_str("step").unwrap(), fetch.get_i64("actual_rows").unwrap()), ("fetch", 25));
}

#[test]
fn how_results_are_counted_is_explained() {
    let db = Database::in_memory();
    let towns = towns(&db);
    towns.create_index(Index::on("people").unwrap().and("country").unwrap()).unwrap();
    towns.create_index(Index::on("tags").unwrap()).unwrap();
    let query = || Query::new(field("people").ge(5)).use_index("people_country");
    let begun = db.snapshot().unwrap();
    let mut page = begun.collection(&towns).unwrap().find(query().sort("people").limit(7)).unwrap();
    page.by_ref().for_each(|town| drop(town.unwrap()));
    let place = page.cursor().unwrap().expect("the results are in order");
    let cases = [
        // What is asked, whether an index alone says it, and the steps that must not be there.
        (query(), true, &["fetch documents", "filter", "slice"][..]),
        (query().sort("name").skip(3).limit(20), true, &["fetch documents", "sort", "top"]),
        (query().skip(90), true, &["fetch documents"]),
        (Query::new(field("people").ge(5).and(field("name").gt("town 5"))), false, &["covering"]),
        (Query::new(field("tags").ge(11)).use_index("tags"), false, &["covering"]),
        (query().sort("people").after(place), false, &["covering"]),
        (query().use_scan(), false, &["covering", "index", "fetch documents"]),
    ];
    let old = db.snapshot().unwrap();
    towns.delete_matching(field("people").eq(7)).unwrap();
    let (old, now) = (old.collection(&towns).unwrap(), db.snapshot().unwrap());
    let now = now.collection(&towns).unwrap();
    for (query, is_covered, missing) in cases {
        for seen in [&old, &now] {
            let count = seen.count_matching(query.clone()).unwrap();
            assert_eq!(count, seen.find(query.clone()).unwrap().count() as u64);
            let (before, after) = (
                seen.explain_count(query.clone()).unwrap(),
                seen.explain_analyze_count(query.clone()).unwrap(),
            );
            assert_eq!(after.root.actual_rows, Some(count), "{after}");
            for shown in [&before, &after].map(ToString::to_string) {
                assert_eq!(shown.contains("covering"), is_covered, "{shown}");
                assert!(!missing.iter().any(|step| shown.contains(step)), "{missing:?}: {shown}");
            }
            assert!(before.root.actual_rows.is_none() && before.root.time_ns.is_none(), "{before}");
        }
    }
    // Without a count nothing is covered.
    assert!(!towns.explain(query()).unwrap().to_string().contains("covering"));
    let (explained, counted) = (towns.explain_count(query()), towns.explain_analyze_count(query()));
    assert!(explained.unwrap().to_string().contains("covering"));
    assert_eq!(counted.unwrap().root.actual_rows, Some(towns.count_matching(query()).unwrap()));
}

#[test]
fn a_document_with_several_entries_comes_once() {
    let db = Database::in_memory();
    let towns = towns(&db);
    towns.create_index(Index::on("tags").unwrap()).unwrap();
    let both = Query::new(field("tags").ge(3).and(field("tags").lt(12)));
    assert_eq!(
        ids(&towns, both.clone().use_index("tags").sort("_id")),
        ids(&towns, both.use_scan().sort("_id"))
    );
    let one = Query::new(field("tags").elem_match(element().gt(0).and(element().lt(3))));
    assert_eq!(
        ids(&towns, one.clone().use_index("tags").sort("_id")),
        ids(&towns, one.use_scan().sort("_id"))
    );
}

#[test]
fn pages_follow_each_other_by_cursors() {
    let db = Database::in_memory();
    let towns = towns(&db);
    let query = Query::all().sort_desc("people").sort("country").limit(7);
    for index in [None, Some(Index::on_descending("people").unwrap().and("country").unwrap())] {
        if let Some(index) = index {
            towns.create_index(index).unwrap();
        }
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let page = match cursor.take() {
                Some(cursor) => query.clone().after(cursor),
                None => query.clone(),
            };
            let snapshot = db.snapshot().unwrap();
            let mut matches = snapshot.collection(&towns).unwrap().find(page).unwrap();
            let before = all.len();
            all.extend(matches.by_ref().map(|town| town.unwrap().get("_id").unwrap().as_i32().unwrap()));
            if all.len() == before {
                break;
            }
            assert!(before < 1_000, "the pages have no end");
            let text = matches.cursor().unwrap().unwrap().to_string();
            cursor = Some(text.parse().unwrap());
        }
        let mut once = all.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!((all.len(), once.len()), (100, 100));
        let whole = ids(&towns, Query::all().sort_desc("people").sort("country"));
        let key = |id: &i64| (id % 10, id % 4);
        assert!(all.iter().map(|id| key(&i64::from(*id))).eq(whole.iter().map(key)));
    }
}

#[test]
fn counting_grouping_and_values() {
    let db = Database::in_memory();
    let towns = towns(&db);
    towns.create_index(Index::on("people").unwrap()).unwrap();
    assert_eq!(towns.count_matching(field("people").lt(4)).unwrap(), 40);
    assert_eq!(towns.count_matching(Query::new(field("people").lt(4)).skip(5).limit(10)).unwrap(), 10);
    assert_eq!(towns.count_matching(Query::new(field("people").lt(4)).skip(35).limit(10)).unwrap(), 5);
    assert!(towns.any(field("people").eq(9)).unwrap() && !towns.any(field("people").eq(10)).unwrap());
    assert_eq!(
        towns.first(Query::all().sort_desc("name")).unwrap().unwrap().get("_id").unwrap().as_i32(),
        Some(99)
    );
    let values = towns.distinct("tags", field("people").eq(0)).unwrap();
    assert_eq!(values, [0, 10, 11, 12].map(Bson::Int32));
    let grouping = Grouping::by(["country"])
        .count("n")
        .sum("sum", "people")
        .avg("avg", "people")
        .min("min", "name")
        .max("max", "people");
    let groups = towns.group(&grouping, field("people").lt(2)).unwrap();
    let expected =
        doc! { "_id": { "country": "DE" }, "n": 5_i64, "sum": 0_i64, "avg": 0.0, "min": "town 00", "max": 0 };
    assert_eq!((groups.len(), &groups[0]), (4, &expected));
    let all = towns.group(&Grouping::by([]).count("n"), field("people").gt(99)).unwrap();
    assert_eq!(all, [doc! { "_id": {}, "n": 0_i64 }]);
}

#[test]
fn what_matches_is_changed_in_one_transaction() {
    let db = Database::in_memory();
    let towns = towns(&db);
    towns.create_index(Index::on("people").unwrap()).unwrap();
    // Each would match again after its change.
    assert_eq!(towns.patch_matching(field("people").ge(5), &Patch::new().inc("people", 1)).unwrap(), 50);
    assert_eq!(towns.count_matching(field("people").eq(10)).unwrap(), 10);
    assert_eq!(towns.delete_matching(field("people").lt(3)).unwrap(), 30);
    assert_eq!(towns.count().unwrap(), 70);
    db.transact(|tx| {
        let mut towns = tx.collection(&towns)?;
        towns.insert(doc! { "_id": 1000, "people": 77 })?;
        assert_eq!(towns.count_matching(field("people").gt(70))?, 1);
        assert_eq!(towns.patch_matching(field("people").gt(9), &Patch::new().set("people", -1))?, 11);
        assert_eq!(towns.count_matching(field("people").lt(0))?, 11);
        Ok(())
    })
    .unwrap();
    assert!(db.verify().unwrap().is_sound());
}

#[test]
fn a_serializable_query_conflicts_with_what_comes_into_its_range_and_nothing_else() {
    for isolation in [Isolation::Snapshot, Isolation::Serializable] {
        for (people, conflicts) in [(3, true), (7, false)] {
            let db = Database::in_memory();
            let towns = towns(&db);
            towns.create_index(Index::on("people").unwrap()).unwrap();
            let mut reader = db.begin_with(TransactionOptions::new().isolation(isolation)).unwrap();
            let mut in_reader = reader.collection(&towns).unwrap();
            let query = Query::new(field("people").lt(5)).use_index("people");
            assert_eq!(in_reader.count_matching(query).unwrap(), 50);
            in_reader.insert(doc! { "_id": "sum", "of": 50 }).unwrap();
            towns.insert(doc! { "_id": "phantom", "people": people }).unwrap();
            let is_refused = matches!(reader.commit(), Err(Error::Conflict { .. }));
            assert_eq!(
                is_refused,
                conflicts && isolation == Isolation::Serializable,
                "{isolation:?} {people}"
            );
        }
    }
}

/// Runs a query in a serializable transaction that writes elsewhere, and something else meanwhile; whether the transaction conflicts.
fn conflicts(towns: &Collection, db: &Database, query: Query, meanwhile: impl FnOnce()) -> bool {
    let elsewhere = db.collection("elsewhere").unwrap();
    let mut reader = db.begin_with(TransactionOptions::new().isolation(Isolation::Serializable)).unwrap();
    let within = reader.collection(towns).unwrap();
    within.find(query).unwrap().for_each(|town| drop(town.unwrap()));
    reader.collection(&elsewhere).unwrap().insert(doc! { "n": 1 }).unwrap();
    meanwhile();
    match reader.commit() {
        Ok(_) => false,
        Err(Error::Conflict { keyspace, .. }) => {
            assert!(keyspace.starts_with("numbered"), "{keyspace}");
            true
        }
        Err(other) => panic!("{other}"),
    }
}

fn numbered(db: &Database) -> Collection {
    let towns = db.collection("numbered").unwrap();
    for path in ["a", "b", "tags"] {
        towns.create_index(Index::on(path).unwrap()).unwrap();
    }
    towns.insert_many((0..50).map(|n| doc! { "_id": n, "a": n, "b": n })).unwrap();
    towns
}

#[test]
fn the_first_array_of_an_index_conflicts_only_with_what_takes_for_granted_that_there_is_none() {
    let queries: [(fn() -> Query, bool); 4] = [
        (|| Query::new(field("a").eq(1).and(field("b").ge(0))), false),
        (|| Query::new(field("a").lt(5)).use_index("a"), false),
        (|| Query::new(field("b").ge(3).and(field("b").lt(5))).use_index("b"), true),
        (|| Query::all().use_scan(), true),
    ];
    for (query, is_conflict) in queries {
        let db = Database::in_memory();
        let towns = numbered(&db);
        let array =
            || drop(towns.insert(doc! { "_id": 500, "a": 5_000, "b": [1, 9], "tags": [1, 2] }).unwrap());
        assert_eq!(conflicts(&towns, &db, query(), array), is_conflict, "{:?}", query());
    }
}

#[test]
fn a_serializable_query_reads_no_further_than_its_limit() {
    let first = || Query::new(field("a").ge(0)).sort("a").limit(1);
    for (behind, is_conflict) in [(-0.5, false), (0.0, true), (0.5, false), (1.5, false)] {
        let db = Database::in_memory();
        let towns = numbered(&db);
        towns.delete(0).unwrap();
        towns.insert(doc! { "_id": 0, "a": 0.25, "b": 0 }).unwrap();
        let insert = || drop(towns.insert(doc! { "_id": "new", "a": behind }).unwrap());
        assert_eq!(conflicts(&towns, &db, first(), insert), is_conflict, "{behind}");
        let change = || assert_eq!(towns.patch(1, &Patch::new().set("c", 1)).unwrap(), 2);
        assert!(!conflicts(&towns, &db, first(), change));
    }
}

#[test]
fn filters_alone_are_queries() {
    let db = Database::in_memory();
    let towns = towns(&db);
    let filter: Filter = r#"{"_id": {"$in": [5, 7, 500]}}"#.parse().unwrap();
    assert_eq!(ids(&towns, filter.clone()), [5, 7]);
    assert!(towns.explain(filter).unwrap().to_string().starts_with("scan"));
    assert_eq!(ids(&towns, Query::new(field("_id").gt(95)).sort_desc("_id")), [99, 98, 97, 96]);
}
