//! Pages: one behind the other by cursors, they give what the whole gives, by every plan, and whatever becomes of the store meanwhile.

use proptest::prelude::*;
use skipstone::bson::doc;
use skipstone::{Collection, Cursor, Database, Filter, Index, Query, field};

/// What of a document makes its place.
type Place = (i32, i32, i32);

/// A page, and the cursor behind it.
fn page(db: &Database, towns: &Collection, query: Query) -> (Vec<Place>, Option<Cursor>) {
    let snapshot = db.snapshot().unwrap();
    let mut matches = snapshot.collection(towns).unwrap().find(query).unwrap();
    let place = |found: skipstone::DocRef<'_>| {
        let of = |name: &str| found.get(name).unwrap().as_i32().unwrap();
        (of("a"), of("b"), of("_id"))
    };
    let found = matches.by_ref().map(|found| place(found.unwrap())).collect();
    let cursor = matches.cursor().unwrap();
    // As text and back, as whoever keeps it does.
    (found, cursor.map(|cursor| cursor.to_string().parse().unwrap()))
}

/// All pages, with something done between them.
fn pages(db: &Database, towns: &Collection, query: &Query, mut between: impl FnMut(&[Place])) -> Vec<Place> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let next = cursor.map_or(query.clone(), |cursor| query.clone().after(cursor));
        let (found, behind) = page(db, towns, next);
        let Some(behind) = behind else { return all };
        all.extend(found);
        assert!(all.len() < 1_000, "the pages have no end");
        between(&all);
        cursor = Some(behind);
    }
}

fn filters() -> impl Strategy<Value = Filter> {
    prop_oneof![
        Just(Filter::all()),
        (0..5).prop_map(|n| field("a").eq(n)),
        (0..5).prop_map(|n| field("a").ge(n)),
        (0..5, 0..5).prop_map(|(a, b)| field("a").eq(a).and(field("b").le(b))),
        (0..5, 0..5).prop_map(|(a, b)| field("a").in_([a, b])),
        (0..5, 0..5).prop_map(|(a, b)| field("a").eq(a).or(field("b").eq(b))),
        (0..60).prop_map(|n| field("_id").lt(n)),
    ]
}

fn indexes() -> [Index; 6] {
    [
        Index::on("a").unwrap(),
        Index::on_descending("a").unwrap().and("b").unwrap(),
        Index::on("a").unwrap().and("b").unwrap().named("both"),
        Index::on_descending("b").unwrap(),
        Index::on("a").unwrap().and("_id").unwrap().unique().named("unique"),
        Index::on_descending("_id").unwrap().named("ids"),
    ]
}

const SORTS: [&[(&str, bool)]; 8] = [
    &[("a", false)],
    &[("a", true)],
    &[("a", false), ("b", false)],
    &[("a", true), ("b", false)],
    &[("b", false), ("a", true)],
    &[("a", false), ("_id", true)],
    &[("_id", true)],
    &[("b", true), ("_id", true), ("a", false)],
];

/// What an order asks of a document.
fn asked_of((a, b, id): Place, sort: &[(&str, bool)]) -> Vec<i32> {
    let of = |path: &str| match path {
        "a" => a,
        "b" => b,
        _ => id,
    };
    sort.iter().map(|(path, _)| of(path)).collect()
}

/// All of them, in an order of their own.
fn each(places: &[Place]) -> Vec<Place> {
    let mut places = places.to_vec();
    places.sort_unstable();
    places
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn pages_give_the_whole_by_every_plan(
        filter in filters(),
        sort in proptest::sample::select(&SORTS[..]),
        limit in 1..9_u64,
        skip in 0..2_u64,
        values in proptest::collection::vec((0..5_i32, 0..5_i32), 0..50),
    ) {
        let db = Database::in_memory();
        let towns = db.collection("towns").unwrap();
        for (id, (a, b)) in (0..).zip(&values) {
            towns.insert(doc! { "_id": id, "a": a, "b": b }).unwrap();
        }
        let names: Vec<_> = indexes().into_iter().map(|index| {
            let name = index.name();
            towns.create_index(index).unwrap();
            name
        }).collect();
        let sorted = |query: Query| sort.iter().fold(query, |query, (path, descending)| match descending {
            true => query.sort_desc(path),
            false => query.sort(path),
        });
        let plain = sorted(Query::new(filter.clone()));
        let mut ways = vec![plain.clone(), plain.clone().use_scan()];
        ways.extend(names.iter().map(|name| plain.clone().use_index(name.clone())));
        for query in ways {
            let (whole, _) = page(&db, &towns, query.clone());
            // What was given already goes, what lies before comes, what is to come is written anew.
            let mut written = 0;
            let found = pages(&db, &towns, &query.clone().limit(limit), |before| {
                written += 1;
                let last = before.last().unwrap().2;
                let document = |id: i32| doc! { "_id": id, "a": values[id as usize].0, "b": values[id as usize].1, "n": written };
                for (_, _, id) in &whole {
                    towns.upsert(document(*id)).unwrap();
                }
                towns.delete(last).unwrap();
            });
            // Of what is equal by the order, plans may differ in the order of the ids.
            let by_order = |places: &[Place]| places.iter().map(|place| asked_of(*place, sort)).collect::<Vec<_>>();
            prop_assert_eq!(by_order(&found), by_order(&whole), "{}", towns.explain(query.clone()).unwrap());
            prop_assert_eq!(each(&found), each(&whole), "{}", towns.explain(query.clone()).unwrap());
            for (id, (a, b)) in (0..).zip(&values) {
                towns.upsert(doc! { "_id": id, "a": a, "b": b }).unwrap();
            }
            // A cursor of one plan goes on by another one.
            let (first, cursor) = page(&db, &towns, query.clone().limit(limit));
            if let Some(cursor) = cursor {
                let (rest, _) = page(&db, &towns, plain.clone().use_scan().after(cursor.clone()));
                prop_assert_eq!(each(&[first, rest.clone()].concat()), each(&whole));
                let rest = &rest[rest.len().min(skip as usize)..];
                for other in names.iter().map(|name| plain.clone().use_index(name.clone())).chain([plain.clone()]) {
                    let other = other.skip(skip).after(cursor.clone());
                    prop_assert_eq!(towns.count_matching(other.clone()).unwrap(), rest.len() as u64);
                    prop_assert_eq!(&page(&db, &towns, other).0[..], rest);
                }
            }
        }
    }
}

#[test]
fn what_holds_a_unique_key_now_comes_if_it_lies_behind() {
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    towns.create_index(Index::on("a").unwrap().unique()).unwrap();
    for descending in [false, true] {
        let query = if descending { Query::all().sort_desc("a") } else { Query::all().sort("a") };
        let query = query.use_index("a");
        for (first, second) in [(10, 20), (20, 10)] {
            towns.delete_matching(Query::all()).unwrap();
            towns.insert(doc! { "_id": first, "a": 1, "b": 0 }).unwrap();
            let (_, cursor) = page(&db, &towns, query.clone());
            towns.delete(first).unwrap();
            towns.insert(doc! { "_id": second, "a": 1, "b": 0 }).unwrap();
            let (behind, _) = page(&db, &towns, query.clone().after(cursor.unwrap()));
            assert_eq!(
                behind.len(),
                usize::from((second > first) != descending),
                "{first} {second} {descending}"
            );
        }
    }
}

#[test]
fn what_goes_to_several_threads_lies_behind_the_cursor_too() {
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    towns.insert_many((0..10).map(|n| doc! { "_id": n, "a": n % 5, "b": n })).unwrap();
    let query = || Query::all().sort("a").sort_desc("b");
    let (first, cursor) = page(&db, &towns, query().limit(7));
    for by_index in [false, true] {
        let snapshot = db.snapshot().unwrap();
        let seen = snapshot.collection(&towns).unwrap();
        let met = std::sync::Mutex::new(Vec::new());
        let query = query().after(cursor.clone().unwrap());
        seen.par_for_each(query, |town| {
            let of = |name: &str| town.as_ref().unwrap().get(name).unwrap().as_i32().unwrap();
            met.lock().unwrap().push((of("a"), of("b"), of("_id")));
        })
        .unwrap();
        let met = met.into_inner().unwrap();
        assert_eq!(met.len(), 3, "by an index: {by_index}");
        assert!(!met.iter().any(|place| first.contains(place)));
        if !by_index {
            towns.create_index(Index::on("a").unwrap().and_descending("b").unwrap()).unwrap();
        }
    }
}
