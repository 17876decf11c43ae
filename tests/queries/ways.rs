//! The ways that are chosen in larger stores: they are, and they give what a scan gives.

use skipstone::bson::{Bson, DateTime, doc};
use skipstone::{
    Collection, Database, Filter, Grouping, Index, Isolation, Patch, Query, QueryError, Snapshot,
    TransactionOptions, field,
};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const DOCUMENTS: i32 = 6_000;

/// Thousands of documents with indexes that have statistics: `a` of 50 values, `b` of 60, `c` of 70, `tags` with two of 90 values each.
fn store(db: &Database) -> Collection {
    let towns = db.collection("towns").unwrap();
    let document = |n: i32| {
        let (a, b, c) = (n % 50, n / 7 % 60, n / 11 % 70);
        doc! { "_id": n, "a": a, "b": b, "c": c, "tags": [n % 90, n / 3 % 90] }
    };
    towns.insert_many((0..DOCUMENTS).map(document)).unwrap();
    for path in ["a", "b", "c", "tags"] {
        towns.create_index(Index::on(path).unwrap()).unwrap();
    }
    towns
}

/// The steps that answer a query.
fn shown(towns: &Collection, query: &Query) -> String {
    towns.explain(query.clone()).unwrap().to_string()
}

/// The ids by a plan, each once, which a scan gives too, and so does a count.
fn agreed(towns: &Collection, query: Query) -> Vec<i32> {
    let ids = |query: Query| {
        let found = towns.find(query).unwrap();
        let mut ids: Vec<_> = found.iter().map(|found| found.get("_id").unwrap().as_i32().unwrap()).collect();
        ids.sort_unstable();
        ids
    };
    let found = ids(query.clone());
    assert_eq!(found, ids(query.clone().use_scan()), "{}", shown(towns, &query));
    assert_eq!(found.len() as u64, towns.count_matching(query).unwrap());
    found
}

#[test]
fn an_intersection_is_chosen_and_gives_what_a_scan_gives() {
    let db = Database::in_memory();
    let towns = store(&db);
    for filter in [
        field("a").lt(2).and(field("b").lt(4)),
        field("b").lt(3).and(field("c").lt(3)),
        field("tags").in_([3, 4]).and(field("a").in_([3, 4])),
    ] {
        let query = Query::new(filter);
        let steps = shown(&towns, &query);
        assert!(steps.contains("intersection"), "{steps}");
        assert!(!agreed(&towns, query).is_empty());
    }
}

#[test]
fn a_union_is_chosen_and_gives_each_document_once() {
    let db = Database::in_memory();
    let towns = store(&db);
    for filter in [
        field("a").eq(3).or(field("b").eq(5)),
        field("a").eq(3).or(field("a").eq(3).and(field("b").lt(30))).or(field("_id").in_([1, 2, 3])),
        field("tags").eq(7).or(field("tags").eq(8)).or(field("c").eq(1)),
        field("a").eq(3).or(field("b").eq(5)).and(field("c").lt(50)),
    ] {
        for query in [Query::new(filter.clone()), Query::new(filter.clone()).sort("c").sort("_id")] {
            let steps = shown(&towns, &query);
            assert!(steps.contains("union"), "{steps}");
            assert!(!agreed(&towns, query).is_empty());
        }
    }
}

#[test]
fn long_walks_are_divided_and_lose_nothing() {
    const MANY: i32 = 60_000;
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    towns.insert_many((0..MANY).map(|n| doc! { "_id": n, "a": n % 9, "b": [n % 2, 5] })).unwrap();
    towns.create_index(Index::on("a").unwrap()).unwrap();
    towns.create_index(Index::on_descending("b").unwrap()).unwrap();
    let many = MANY as u64;
    let below_three = (0..MANY).filter(|n| n % 9 < 3).count() as u64;
    for (query, count) in [
        (Query::all(), many),
        (Query::all().use_index("a"), many),
        (Query::all().use_index("b_desc"), many),
        (Query::new(field("a").ge(0)).use_index("a"), many),
        (Query::new(field("a").lt(3)).use_scan(), below_three),
        (Query::new(field("b").ge(0)).use_index("b_desc"), many),
        (Query::new(field("_id").ge(10)), many - 10),
        (Query::all().skip(7), many - 7),
        (Query::all().skip(7).limit(100), 100),
        (Query::all().skip(u64::MAX), 0),
    ] {
        assert_eq!(towns.count_matching(query.clone()).unwrap(), count, "{}", shown(&towns, &query));
    }
    let snapshot = db.snapshot().unwrap();
    for (filter, count) in [(Filter::all(), many), (field("a").lt(3), below_three)] {
        let (handed, sum) = (AtomicU64::new(0), AtomicU64::new(0));
        let seen = snapshot.collection(&towns).unwrap();
        seen.par_for_each(Query::new(filter.clone()).use_scan(), |found| {
            let id = found.unwrap().get("_id").unwrap().as_i32().unwrap();
            handed.fetch_add(1, Ordering::Relaxed);
            sum.fetch_add(id as u64, Ordering::Relaxed);
        })
        .unwrap();
        let expected: u64 = seen
            .find(filter.clone())
            .unwrap()
            .map(|f| f.unwrap().get("_id").unwrap().as_i32().unwrap() as u64)
            .sum();
        assert_eq!((handed.into_inner(), sum.into_inner()), (count, expected), "{filter}");
    }
}

/// Groups and values of a long walk are made in parts. Of a sorted one they are not, and it has to give the same.
#[test]
fn groups_and_values_of_long_walks_are_those_of_one_thread() {
    const MANY: i32 = 60_000;
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    let number = |n: i32| match n % 4 {
        0 => Bson::Int32(n),
        1 => Bson::Int64(i64::MAX - i64::from(n)),
        2 => Bson::Double(f64::from(n) * 0.1),
        _ => Bson::Double(1e18 / f64::from(n)),
    };
    let alike = |n: i32| if n % 2 == 0 { Bson::Int32(n % 5) } else { Bson::Double(f64::from(n % 5)) };
    let document =
        |n: i32| doc! { "_id": n, "group": alike(n), "n": number(n), "tags": [alike(n), n % 700], "i": n };
    towns.insert_many((0..MANY).map(document)).unwrap();
    towns.create_index(Index::on("i").unwrap()).unwrap();
    towns.create_index(Index::on("n").unwrap().and("i").unwrap()).unwrap();
    let grouping = Grouping::by(["group"])
        .count("count")
        .sum("sum", "n")
        .sum("integers", "i")
        .avg("avg", "n")
        .min("min", "group")
        .max("max", "n");
    let queries = [
        Query::all(),
        Query::new(field("i").ge(0)).use_index("i"),
        Query::new(field("i").ne(7)).use_index("n_i"),
        Query::all().sort_desc("_id"),
        Query::new(field("i").gt(i64::from(MANY))).use_index("i"),
    ];
    for query in queries {
        // A limit of everything keeps it on one thread, and in its order.
        let one_by_one = query.clone().limit(1 << 40);
        for grouping in [&grouping, &Grouping::by([]).count("n").avg("a", "n")] {
            let (all, one) =
                (towns.group(grouping, query.clone()), towns.group(grouping, one_by_one.clone()));
            assert_eq!(all.unwrap(), one.unwrap(), "{}", shown(&towns, &query));
        }
        for path in ["group", "tags", "n", "missing"] {
            let (all, one) = (towns.distinct(path, query.clone()), towns.distinct(path, one_by_one.clone()));
            assert_eq!(all.unwrap(), one.unwrap(), "{path}, {}", shown(&towns, &query));
        }
    }
}

#[test]
fn what_was_walked_is_told() {
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    towns.create_index(Index::on("a").unwrap()).unwrap();
    towns.insert_many((0..10).map(|n| doc! { "_id": n, "a": n })).unwrap();
    let before = db.snapshot().unwrap();
    for _ in 0..5 {
        towns.patch(3, &Patch::new().inc("b", 1)).unwrap();
    }
    let versions = |snapshot: &Snapshot<'_>, query: Query| {
        let explained = snapshot.collection(&towns).unwrap().explain_analyze(query).unwrap();
        assert_eq!(explained.to_string().matches(" versions").count(), 1 + explained.root.inputs.len());
        let entries = explained.root.inputs.first().map(|entries| entries.versions.unwrap());
        (explained.root.versions.unwrap(), entries)
    };
    let now = db.snapshot().unwrap();
    let all = Query::all().use_scan();
    let by_index = Query::new(field("a").lt(5)).use_index("a");
    assert_eq!(versions(&now, all.clone()), (10, None));
    assert_eq!(versions(&now, by_index.clone()), (5, Some(5)));
    // Those that came later lie above the one that is seen, as far as they are not pruned.
    let walked = versions(&before, all).0;
    assert!((11..=15).contains(&walked), "{walked}");
    assert_eq!(versions(&before, by_index), (walked - 5, Some(5)));
    assert!(!towns.explain(Query::all()).unwrap().to_string().contains("versions"));
}

#[test]
fn long_conditions_and_values_are_shown_in_part() {
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    towns.create_index(Index::on("a").unwrap()).unwrap();
    let text = "ä".repeat(5_000);
    let query = Query::new(field("a").eq(text.clone()).and(field("b").in_((0..10_000).collect::<Vec<_>>())));
    let steps = shown(&towns, &query.use_index("a"));
    assert!(steps.chars().count() < 1_000, "{steps}");
    assert!(steps.contains("characters)") && steps.contains(&text[..40]), "{steps}");
}

#[test]
fn a_range_of_an_index_over_arrays_gives_no_order() {
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    towns.insert_many([doc! { "_id": 1, "a": [0, 9] }, doc! { "_id": 2, "a": 5 }]).unwrap();
    towns.create_index(Index::on("a").unwrap()).unwrap();
    for (query, first) in [
        (Query::new(field("a").ge(5)).sort("a"), 1),
        (Query::new(field("a").le(5)).sort_desc("a"), 1),
        (Query::all().sort("a"), 1),
    ] {
        let found = towns.first(query.use_index("a")).unwrap().unwrap();
        assert_eq!(found.get("_id").unwrap().as_i32(), Some(first));
    }
}

#[test]
fn two_conditions_may_be_met_by_two_entries_of_a_unique_index() {
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    towns.create_index(Index::on("a").unwrap().unique()).unwrap();
    towns.insert(doc! { "_id": 1, "a": [1, 9] }).unwrap();
    assert_eq!(agreed(&towns, Query::new(field("a").eq(1).and(field("a").eq(9)))), [1]);
    assert_eq!(agreed(&towns, Query::new(field("a").eq(1).and(field("a").gt(5)))), [1]);
    assert_eq!(agreed(&towns, Query::new(field("a").eq(1))), [1]);
}

#[test]
fn a_snapshot_older_than_an_index_is_asked_without_it() {
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    towns.insert_many((0..100).map(|n| doc! { "_id": n, "a": n })).unwrap();
    let snapshot = db.snapshot().unwrap();
    towns.patch(5, &Patch::new().set("a", -1)).unwrap();
    towns.create_index(Index::on("a").unwrap()).unwrap();
    let seen = snapshot.collection(&towns).unwrap();
    assert_eq!(seen.count_matching(field("a").eq(5)).unwrap(), 1);
    let hinted = seen.count_matching(Query::new(field("a").eq(5)).use_index("a"));
    assert!(matches!(hinted, Err(skipstone::Error::Query(QueryError::CannotUse { .. }))));
}

#[test]
fn under_read_committed_what_an_entry_promised_is_asked_of_the_document() {
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    towns.insert_many((0..100).map(|n| doc! { "_id": n, "a": n })).unwrap();
    towns.create_index(Index::on("a").unwrap()).unwrap();
    for (isolation, found) in [(Isolation::ReadCommitted, 49), (Isolation::Snapshot, 50)] {
        let mut tx = db.begin_with(TransactionOptions::new().isolation(isolation)).unwrap();
        let within = tx.collection(&towns).unwrap();
        let mut matches = within.find(Query::new(field("a").ge(50)).use_index("a")).unwrap();
        assert!(matches.next().is_some());
        // Its entry is read already, or will be as it was; the document has not been.
        towns.patch(99, &Patch::new().set("a", 1)).unwrap();
        assert_eq!(1 + matches.map(Result::unwrap).count(), found, "{isolation:?}");
        towns.patch(99, &Patch::new().set("a", 99)).unwrap();
    }
}

/// A program that opens a store for one query has no statistics yet: a look at some keys does.
#[test]
fn right_after_an_opening_plans_are_as_good() {
    let place = tempfile::tempdir().unwrap();
    let builder =
        || Database::builder().path(place.path().join("store")).sweep_interval(Duration::from_secs(3_600));
    let db = builder().open().unwrap();
    let towns = store(&db);
    let asked = [
        (Query::new(field("a").eq(3)), "index `a`"),
        (Query::new(field("a").eq(3).and(field("b").lt(50))), "index `a`"),
        (Query::new(field("a").lt(45).and(field("b").eq(7))), "index `b`"),
        (Query::new(field("c").ge(0)), "scan"),
    ];
    let steps: Vec<_> = asked.iter().map(|(query, _)| shown(&towns, query)).collect();
    db.checkpoint().unwrap();
    drop((towns, db));
    let db = builder().open().unwrap();
    let towns = db.find_collection("towns").unwrap().expect("it is there");
    for ((query, way), before) in asked.iter().zip(steps) {
        let (after, estimated) = (shown(&towns, query), towns.explain(query.clone()).unwrap());
        assert!(before.contains(way) && after.contains(way), "{before}{after}");
        let (found, expected) = (agreed(&towns, query.clone()).len() as f64, estimated.root.estimated_rows);
        let expected = expected.expect("it says that") as f64;
        assert!(
            (found / 4.0 - 50.0..found * 4.0 + 50.0).contains(&expected),
            "{expected} of {found}: {after}"
        );
    }
}

/// Keys of such values end in the byte that is the least one when it is inverted.
#[test]
fn a_descending_field_before_others_has_each_value_apart() {
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    let date = |millis: i64| DateTime::from_millis(millis);
    towns.insert_many((-300..300_i64).map(|n| doc! { "at": date(n), "n": n })).unwrap();
    towns.create_index(Index::on_descending("at").unwrap().and("n").unwrap()).unwrap();
    let by_index = |filter: Filter| Query::new(filter).use_index("at_desc_n");
    for n in [-257, -256, -255, -2, -1, 0, 1, 254, 255, 256] {
        let one = || field("at").eq(date(n));
        for filter in [one(), one().and(field("n").eq(n)), field("at").in_([date(n), date(900)])] {
            assert_eq!(towns.count_matching(by_index(filter.clone())).unwrap(), 1, "{n}");
            let found = towns.find(by_index(filter)).unwrap();
            assert_eq!(found[0].get("n").unwrap().as_i64(), Some(n));
        }
        let before = by_index(field("at").lt(date(n)));
        assert_eq!(towns.count_matching(before).unwrap(), (n + 300) as u64, "{n}");
    }
}
