//! What each step of a plan came to: the rows that it gave, the versions that it walked by, and time.

use skipstone::bson::doc;
use skipstone::{
    Builder, Collection, Database, ExplainedStep, Grouping, Index, Isolation, Patch, Projection, Query,
    Snapshot, TransactionOptions, field,
};

const DOCUMENTS: i32 = 6_000;

/// Documents with an index on each of three fields: `a` of 50 values, `b` of 60, `c` of 6,000.
fn store() -> (Database, Collection) {
    let db = Builder::new().retain_history_bytes(64 << 20).open().unwrap();
    let towns = db.collection("towns").unwrap();
    towns
        .insert_many((0..DOCUMENTS).map(|n| doc! { "_id": n, "a": n % 50, "b": n / 7 % 60, "c": n }))
        .unwrap();
    for path in ["a", "b", "c"] {
        towns.create_index(Index::on(path).unwrap()).unwrap();
    }
    (db, towns)
}

/// How many documents of the store are such.
fn count(is_such: impl Fn(i32, i32, i32) -> bool) -> u64 {
    (0..DOCUMENTS).filter(|n| is_such(n % 50, n / 7 % 60, *n)).count() as u64
}

fn analyzed(snapshot: &Snapshot<'_>, towns: &Collection, query: Query) -> ExplainedStep {
    snapshot.collection(towns).unwrap().explain_analyze(query).unwrap().root
}

/// The steps in the order in which they are shown, each with its rows and versions.
fn steps(root: &ExplainedStep) -> Vec<(&'static str, u64, Option<u64>)> {
    assert!(root.time_ns.is_some(), "{root:?}");
    let own = (root.name, root.actual_rows.expect("it was carried out"), root.versions);
    std::iter::once(own).chain(root.inputs.iter().flat_map(steps)).collect()
}

/// What a step takes, with those before it, is no less than what those take.
fn check_times(root: &ExplainedStep) {
    let before: u64 = root.inputs.iter().filter_map(|input| input.time_ns).sum();
    assert!(Some(before) <= root.time_ns, "{root:?}");
    root.inputs.iter().for_each(check_times);
}

#[test]
fn each_input_of_a_union_tells_its_own() {
    let (db, towns) = store();
    let now = db.snapshot().unwrap();
    let either = || field("a").eq(6).or(field("b").eq(5));
    let (of_a, of_b) = (count(|a, _, _| a == 6), count(|_, b, _| b == 5));
    let all = count(|a, b, _| a == 6 || b == 5);
    assert!(all < of_a + of_b && of_a != of_b, "some are both");
    let union = [
        ("filter", all, None),
        ("union", all, None),
        ("fetch", of_a, Some(of_a)),
        ("index", of_a, Some(of_a)),
        ("fetch", of_b, Some(of_b)),
        ("index", of_b, Some(of_b)),
    ];
    let root = analyzed(&now, &towns, either().into());
    assert_eq!(steps(&root), union);
    check_times(&root);
    // Whatever comes behind it leaves it as it is.
    let (few, with_both) =
        (count(|a, b, c| (a == 6 || b == 5) && c >= 100), Query::new(either().and(field("c").ge(100))));
    assert!(few < all);
    let sorted = analyzed(&now, &towns, with_both.sort("n").limit(7));
    assert_eq!(steps(&sorted)[..2], [("slice", 7, None), ("top", 7, None)]);
    assert_eq!(steps(&sorted)[2..], [&[("filter", few, None)], &union[1..]].concat());
    check_times(&sorted);
    // The same index twice, and ids.
    let twice = field("c").lt(10).or(field("b").eq(5)).or(field("_id").in_([3, 5_000]).and(field("a").ge(0)));
    let root = analyzed(&now, &towns, twice.into()).inputs.remove(0);
    let rows: Vec<_> = root.inputs.iter().map(|input| (input.name, input.actual_rows.unwrap())).collect();
    assert_eq!(rows, [("fetch", 10), ("fetch", of_b), ("scan", 2)], "{root:?}");
    assert_eq!(root.actual_rows, Some(count(|_, b, c| c < 10 || b == 5 || c == 5_000)));
}

#[test]
fn each_input_of_an_intersection_tells_its_own() {
    let (db, towns) = store();
    let now = db.snapshot().unwrap();
    let (of_a, of_b) = (count(|a, _, _| a < 2), count(|_, b, _| b < 4));
    let both = count(|a, b, _| a < 2 && b < 4);
    let root = analyzed(&now, &towns, field("a").lt(2).and(field("b").lt(4)).into()).inputs.remove(0);
    let shown = steps(&root);
    assert_eq!(shown[..2], [("fetch", both, Some(both)), ("intersection", both, None)], "{root:?}");
    let mut inputs = shown[2..].to_vec();
    inputs.sort_unstable();
    let mut expected = [("index", of_a, Some(of_a)), ("index", of_b, Some(of_b))];
    expected.sort_unstable();
    assert_eq!(inputs, expected, "{root:?}");
    check_times(&root);
}

#[test]
fn ranges_of_one_index_are_one_step_which_may_be_all() {
    let (db, towns) = store();
    let now = db.snapshot().unwrap();
    let some = || Query::new(field("a").in_([1, 4, 9]));
    let of_some = count(|a, _, _| [1, 4, 9].contains(&a));
    let read = [("fetch", of_some, Some(of_some)), ("index", of_some, Some(of_some))];
    assert_eq!(steps(&analyzed(&now, &towns, some())), read);
    let seen = now.collection(&towns).unwrap();
    let of_index = [("index", of_some, Some(of_some))];
    let wanted = Projection::include(["a"]).unwrap();
    for covered in [seen.explain_analyze_count(some()), seen.explain_analyze_projected(some(), &wanted)] {
        assert_eq!(steps(&covered.unwrap().root), of_index);
    }
    // A document that has to be fetched all the same is its index's.
    towns.patch(1, &Patch::new().set("a", -0.0)).unwrap();
    let now = db.snapshot().unwrap();
    let seen = now.collection(&towns).unwrap();
    let of_zero = count(|a, _, _| a == 0);
    let covered = seen.explain_analyze_projected(field("a").eq(0), &wanted).unwrap().root;
    assert!(covered.detail.contains("covering but for 1 documents"), "{covered:?}");
    assert_eq!(covered.actual_rows, Some(of_zero + 1));
    assert!(covered.versions.unwrap() >= of_zero + 2, "{covered:?}");
}

#[test]
fn versions_of_the_past_are_told_where_they_are_walked_by() {
    let (db, towns) = store();
    let before = db.position();
    for _ in 0..5 {
        towns.patch(6, &Patch::new().inc("n", 1)).unwrap();
    }
    let past = db.at(before).unwrap();
    let root = analyzed(&past, &towns, field("a").eq(6).or(field("b").eq(5)).into());
    let (of_a, of_b) = (count(|a, _, _| a == 6), count(|_, b, _| b == 5));
    let shown = steps(&root);
    // Document 6 is in the first index, and not in the second one.
    assert_eq!(shown[2], ("fetch", of_a, Some(of_a + 5)), "{root:?}");
    assert_eq!(
        shown[3..],
        [("index", of_a, Some(of_a)), ("fetch", of_b, Some(of_b)), ("index", of_b, Some(of_b))]
    );
}

#[test]
fn groups_and_values_are_made_of_a_plan() {
    let (db, towns) = store();
    let before = db.position();
    let grouping = Grouping::by(["a"]).count("n").max("greatest", "b");
    let below = || Query::new(field("a").lt(7)).use_index("a");
    let of_below = count(|a, _, _| a < 7);
    towns.delete_matching(field("a").eq(6)).unwrap();
    let (now, past) = (db.snapshot().unwrap(), db.at(before).unwrap());
    for (snapshot, groups, rows) in [(&past, 7, of_below), (&now, 6, count(|a, _, _| a < 6))] {
        let seen = snapshot.collection(&towns).unwrap();
        let made = seen.explain_analyze_group(&grouping, below()).unwrap().root;
        assert_eq!(seen.group(&grouping, below()).unwrap().len() as u64, groups);
        let versions = if groups == 7 { of_below } else { rows };
        let shown = steps(&made);
        assert_eq!((shown[0], shown.len()), (("group", groups, None), 3), "{made:?}");
        assert_eq!((shown[1].0, shown[1].1, shown[2].0), ("fetch", rows, "index"), "{made:?}");
        assert!(shown[1].2 >= Some(versions));
        assert_eq!(made.detail, "by a: n = count, greatest = max(b)");
        check_times(&made);
        // What the index has needs no document.
        let counted = Grouping::by(["a"]).count("n");
        for covered in [
            seen.explain_analyze_group(&counted, below()).unwrap().root,
            seen.explain_analyze_distinct("a", below()).unwrap().root,
        ] {
            assert_eq!((covered.actual_rows, covered.inputs.len()), (Some(groups), 1), "{covered:?}");
            let index = &covered.inputs[0];
            assert_eq!((index.name, index.actual_rows), ("index", Some(rows)), "{covered:?}");
            assert!(index.detail.contains("covering"), "{covered:?}");
            check_times(&covered);
        }
    }
    // Offset and limit come first.
    let few = towns.explain_analyze_distinct("b", Query::all().sort("_id").skip(3).limit(20)).unwrap().root;
    let shown = steps(&few);
    assert_eq!(shown[..2], [("distinct", 4, None), ("slice", 20, None)], "{few:?}");
    assert_eq!(few.detail, "values of b");
    let all = towns.explain_analyze_group(&Grouping::by([]).avg("mean", "c"), field("a").eq(-1)).unwrap();
    assert_eq!((all.root.actual_rows, all.root.inputs[0].actual_rows), (Some(1), Some(0)), "{all}");
    assert_eq!(all.root.detail, "all together: mean = avg(c)");
}

#[test]
fn explaining_groups_and_values_makes_none_and_tells_mistakes() {
    let (_db, towns) = store();
    let by_a = Grouping::by(["a"]).count("n");
    let explained = [towns.explain_group(&by_a, Query::all()), towns.explain_distinct("a", Query::all())];
    for explained in explained.map(Result::unwrap) {
        let shown = explained.to_string();
        assert!(!shown.contains(" rows") && explained.root.time_ns.is_none(), "{shown}");
        assert!(["group", "distinct"].contains(&explained.root.name), "{shown}");
        assert!(
            explained.root.inputs[0].estimated_rows.is_some() && explained.estimated_cost > 0.0,
            "{shown}"
        );
    }
    assert!(towns.explain_group(&Grouping::by(["a", "a"]), Query::all()).is_err());
    assert!(towns.explain_analyze_group(&Grouping::by([]).count("$n"), Query::all()).is_err());
    assert!(towns.explain_distinct("", Query::all()).is_err());
    assert!(towns.explain_analyze_distinct("a", field("b").regex("(")).is_err());
}

/// A snapshot beside a transaction sees nothing of it, and says nothing of it but what it walks by.
#[test]
fn writes_that_are_not_committed_are_no_rows() {
    let (db, towns) = store();
    let mut tx = db.begin_with(TransactionOptions::new().isolation(Isolation::Serializable)).unwrap();
    let mut within = tx.collection(&towns).unwrap();
    within.upsert(doc! { "_id": 3, "a": 6, "b": 5, "c": 3 }).unwrap();
    within.insert(doc! { "_id": -1, "a": 6, "b": 5, "c": -1 }).unwrap();
    let either = || field("a").eq(6).or(field("b").eq(5));
    let all = count(|a, b, _| a == 6 || b == 5);
    assert_eq!(within.count_matching(either()).unwrap(), all + 2);
    assert_eq!(towns.explain_analyze(either()).unwrap().root.actual_rows, Some(all));
    tx.commit().unwrap();
    assert_eq!(towns.explain_analyze(either()).unwrap().root.actual_rows, Some(all + 2));
}
