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

#[test]
fn filters_alone_are_queries() {
    let db = Database::in_memory();
    let towns = towns(&db);
    let filter: Filter = r#"{"_id": {"$in": [5, 7, 500]}}"#.parse().unwrap();
    assert_eq!(ids(&towns, filter.clone()), [5, 7]);
    assert!(towns.explain(filter).unwrap().to_string().starts_with("scan"));
    assert_eq!(ids(&towns, Query::new(field("_id").gt(95)).sort_desc("_id")), [99, 98, 97, 96]);
}
