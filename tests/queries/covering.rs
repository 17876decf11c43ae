//! Some fields of documents, from an index that has them.

use skipstone::bson::{Bson, Document, RawDocumentBuf, bson, doc, rawdoc};
use skipstone::{
    Builder, Collection, Database, Error, Explanation, Grouping, Index, Isolation, Projection, Query,
    TransactionCollection, TransactionOptions, field,
};

/// Towns with an index on their country and their name, and one that is unique on their code.
fn towns() -> (Database, Collection) {
    let db = Builder::new().retain_history_bytes(1 << 20).open().unwrap();
    let towns = db.collection("towns").unwrap();
    let town = |n: i32| {
        let country = ["DE", "KE", "JP"][n as usize % 3];
        doc! { "_id": n, "name": format!("town {n:03}"), "people": n, "place": { "code": n * 2 }, "country": country }
    };
    towns.insert_many((0..300).map(town)).unwrap();
    // Behind the documents, for what is known of an index is gathered when it is complete.
    towns.create_index(Index::on("country").unwrap().and("name").unwrap()).unwrap();
    towns.create_index(Index::on("place.code").unwrap().unique().sparse()).unwrap();
    (db, towns)
}

fn names() -> Projection {
    Projection::include(["name", "country"]).unwrap()
}

fn is_covered(explained: &Explanation) -> bool {
    let shown = explained.to_string();
    assert_eq!(
        shown.contains("covering"),
        !shown.contains("fetch documents") && !shown.contains("scan"),
        "{shown}"
    );
    shown.contains("covering")
}

/// What is made of the documents themselves.
fn of_documents(towns: &Collection, query: Query, wanted: &Projection) -> Vec<RawDocumentBuf> {
    towns.find(query).unwrap().iter().map(|town| wanted.apply(town.raw()).unwrap()).collect()
}

#[test]
fn what_an_index_has_is_read_from_it() {
    let (_db, towns) = towns();
    let of_country = || Query::new(field("country").eq("KE"));
    let code = || Projection::include(["place.code"]).unwrap();
    for (query, wanted, covered) in [
        (of_country(), names(), true),
        (of_country().sort_desc("name").skip(3).limit(5), names().without_id(), true),
        (of_country().limit(4), Projection::include([]).unwrap(), true),
        (Query::new(field("country").in_(["DE", "JP"])).sort("country").sort("name"), names(), true),
        (Query::new(field("place.code").eq(20)), code(), true),
        (Query::new(field("place.code").ge(20).and(field("place.code").lt(60))), code(), true),
        // Conditions and an order that the ranges do not see to, and entries do.
        (Query::new(field("country").eq("KE").and(field("name").regex("[05]$").not())), names(), true),
        (Query::new(field("country").gt("JP")).sort("name").limit(9), names(), true),
        // A field that the index does not have; one of which it has a part; a condition or an order by one; all but something.
        (of_country(), Projection::include(["name", "people"]).unwrap(), false),
        (Query::new(field("place.code").eq(20)), Projection::include(["place"]).unwrap(), false),
        (Query::new(field("country").eq("KE").and(field("people").gt(50))), names(), false),
        (of_country().sort("people"), names(), false),
        (of_country(), Projection::exclude(["people", "place"]).unwrap(), false),
    ] {
        let expected = of_documents(&towns, query.clone(), &wanted);
        assert_eq!(towns.find_projected(query.clone(), &wanted).unwrap(), expected, "{query:?}");
        assert!(!expected.is_empty());
        let explained = towns.explain_projected(query.clone(), &wanted).unwrap();
        assert_eq!(is_covered(&explained), covered, "{explained}");
        let analyzed = towns.explain_analyze_projected(query.clone(), &wanted).unwrap();
        assert_eq!(
            (is_covered(&analyzed), analyzed.root.actual_rows),
            (covered, Some(expected.len() as u64))
        );
        assert!(!is_covered(&towns.explain(query).unwrap()), "who wants documents gets them");
    }
    let counted = || Query::new(field("country").eq("KE").and(field("name").regex("7$")));
    assert_eq!(towns.count_matching(counted()).unwrap(), 10);
    let explained = towns.explain_analyze_count(counted()).unwrap();
    assert!(is_covered(&explained) && explained.root.name == "filter", "{explained}");
    let code = towns.find_projected(field("place.code").eq(20), &code()).unwrap();
    assert_eq!(code, [rawdoc! { "_id": 10, "place": { "code": 20 } }]);
}

#[test]
fn what_an_entry_says_too_little_of_is_fetched() {
    let (_db, towns) = towns();
    for (id, name) in
        [(1000, bson!(-0.0)), (1001, bson!(f64::NAN)), (1002, bson!({ "x": 1 })), (1003, bson!(["one"]))]
    {
        towns.insert(doc! { "_id": id, "country": "SM", "name": name }).unwrap();
    }
    towns.insert(doc! { "name": "Serravalle", "country": "SM", "_id": 1004 }).unwrap();
    let query = || Query::new(field("country").eq("SM"));
    let expected = of_documents(&towns, query(), &names());
    let made = towns.find_projected(query(), &names()).unwrap();
    // As text, in which NaN is NaN.
    assert_eq!(format!("{made:?}"), format!("{expected:?}"));
    let analyzed = towns.explain_analyze_projected(query(), &names()).unwrap();
    assert!(analyzed.root.detail.contains("covering but for 4 documents, which are fetched"), "{analyzed}");
    // One that has several entries: then no entry says whether it is the first.
    towns.insert(doc! { "_id": 1005, "country": "SM", "name": ["one", "two"] }).unwrap();
    assert!(!is_covered(&towns.explain_projected(query(), &names()).unwrap()));
    assert_eq!(towns.find_projected(query(), &names()).unwrap().len(), 6);
}

#[test]
fn an_index_whose_entries_say_too_little_mostly_does_not_cover() {
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    let with_id = |n: i64| doc! { "_id": n, "name": format!("town {n}"), "people": n };
    towns.insert_many((0..300).map(with_id)).unwrap();
    towns.create_index(Index::on("people").unwrap()).unwrap();
    let wanted = Projection::include(["people"]).unwrap();
    let query = || Query::new(field("people").lt(20));
    // The ids are Int64 and would fit an Int32, which no key says.
    assert!(!is_covered(&towns.explain_projected(query(), &wanted).unwrap()));
    assert_eq!(towns.find_projected(query(), &wanted).unwrap(), of_documents(&towns, query(), &wanted));
    assert!(is_covered(&towns.explain_count(query()).unwrap()));
}

#[test]
fn a_change_of_a_type_or_of_the_order_of_fields_alone_is_seen() {
    let (db, towns) = towns();
    let query = || Query::new(field("country").eq("SM"));
    let replace = |document: Document| {
        towns.upsert(document.clone()).unwrap();
        let found = towns.find_projected(query(), &names()).unwrap();
        assert_eq!(found, [RawDocumentBuf::try_from(&document).unwrap()]);
        assert!(is_covered(&towns.explain_analyze_projected(query(), &names()).unwrap()));
    };
    let mut positions = Vec::new();
    let values: [Bson; 4] = [bson!(1), bson!(1_i64), bson!(1.0), bson!(1)];
    for name in values.clone() {
        replace(doc! { "_id": 7000, "name": name.clone(), "country": "SM" });
        replace(doc! { "_id": 7000, "country": "SM", "name": name });
        positions.push(db.position());
    }
    for (position, name) in positions.into_iter().zip(values) {
        let past = db.at(position).unwrap();
        let found = past.collection(&towns).unwrap().find_projected(query(), &names()).unwrap();
        let found: Vec<_> = found.collect::<Result<_, _>>().unwrap();
        let expected = doc! { "_id": 7000, "country": "SM", "name": name };
        assert_eq!(found, [RawDocumentBuf::try_from(&expected).unwrap()]);
    }
    assert!(db.verify().unwrap().is_sound());
}

#[test]
fn it_goes_on_behind_a_cursor() {
    let (db, towns) = towns();
    let query = || Query::new(field("country").eq("JP")).sort_desc("name");
    let all = of_documents(&towns, query(), &names());
    let snapshot = db.snapshot().unwrap();
    let seen = snapshot.collection(&towns).unwrap();
    let (mut pages, mut cursor) = (Vec::new(), None);
    loop {
        let page = query().limit(7);
        let page = match &cursor {
            Some(cursor) => page.after(Clone::clone(cursor)),
            None => page,
        };
        assert!(is_covered(&seen.explain_projected(page.clone(), &names()).unwrap()));
        let mut found = seen.find_projected(page, &names()).unwrap();
        let before = pages.len();
        pages.extend((&mut found).map(Result::unwrap));
        if pages.len() == before {
            break;
        }
        cursor = found.cursor().unwrap();
    }
    assert_eq!(pages, all);
}

#[test]
fn groups_and_values_come_from_entries_too() {
    let (_db, towns) = towns();
    let query = || Query::new(field("country").ge("E"));
    let by_country = || Grouping::by(["country"]).count("towns").min("first", "name").max("last", "name");
    let (groups, values) =
        (towns.group(&by_country(), query()).unwrap(), towns.distinct("name", query()).unwrap());
    assert_eq!(groups, towns.group(&by_country(), query().use_scan()).unwrap());
    assert_eq!(values, towns.distinct("name", query().use_scan()).unwrap());
    assert_eq!((groups.len(), values.len()), (2, 200));
    assert_eq!(groups[0].get_str("last").unwrap(), "town 299");
}

#[test]
fn a_prepared_query_keeps_a_plan_for_each_use() {
    let (_db, towns) = towns();
    let of_country = towns.prepare(field("country").eq(skipstone::param(0))).unwrap();
    for country in ["DE", "KE", "JP", "DE"] {
        let query = || of_country.bind([country]).unwrap();
        let expected = of_documents(&towns, query(), &names());
        assert_eq!(towns.find_projected(query(), &names()).unwrap(), expected);
        assert_eq!(towns.find(query()).unwrap().len(), expected.len());
        assert_eq!(towns.count_matching(query()).unwrap(), expected.len() as u64);
        let people = Projection::include(["people"]).unwrap();
        assert_eq!(towns.find_projected(query(), &people).unwrap(), of_documents(&towns, query(), &people));
        assert!(is_covered(&towns.explain_projected(query(), &names()).unwrap()));
        assert!(is_covered(&towns.explain_count(query()).unwrap()));
        assert!(!is_covered(&towns.explain(query()).unwrap()));
    }
}

#[test]
fn transactions_see_their_own_writes_and_read_committed_reads_documents() {
    let (db, towns) = towns();
    for isolation in [Isolation::ReadCommitted, Isolation::Snapshot, Isolation::Serializable] {
        let mut tx = db.begin_with(TransactionOptions::new().isolation(isolation)).unwrap();
        let mut within = tx.collection(&towns).unwrap();
        within.upsert(doc! { "_id": 5, "country": "SM", "name": 1.0 }).unwrap();
        within.upsert(doc! { "_id": 6, "country": "SM", "name": "Serravalle" }).unwrap();
        within.delete(1).unwrap();
        let found = |filter: skipstone::Filter| {
            within.find_projected(filter, &names()).unwrap().collect::<Result<Vec<_>, _>>().unwrap()
        };
        let expected = [
            rawdoc! { "_id": 5, "country": "SM", "name": 1.0 },
            rawdoc! { "_id": 6, "country": "SM", "name": "Serravalle" },
        ];
        assert_eq!(found(field("country").eq("SM")), expected, "{isolation:?}");
        assert_eq!(found(field("country").eq("KE")).len(), 99, "{isolation:?}");
    }
}

/// A transaction that has read some fields from an index conflicts with who changes them, be it their type alone, and with nobody else.
#[test]
fn serializable_transactions_conflict_over_the_fields_that_they_read() {
    let set = |path: &str, value: Bson| skipstone::Patch::new().set(path, value);
    for (patch, conflicts) in [
        (set("people", bson!(-1)), false),
        (set("name", bson!("other")), true),
        (set("country", bson!("DE")), true),
        (set("extra", bson!(1)), false),
    ] {
        let (db, towns) = towns();
        let mut tx = db.begin_with(TransactionOptions::new().isolation(Isolation::Serializable)).unwrap();
        let mut within = tx.collection(&towns).unwrap();
        let read = within.find_projected(field("country").eq("KE"), &names()).unwrap().count();
        assert_eq!(read, 100);
        within.insert(doc! { "_id": 9999, "country": "PE", "name": read as i64 }).unwrap();
        towns.patch(100, &patch).unwrap();
        let committed = tx.commit();
        assert_eq!(matches!(committed, Err(Error::Conflict { .. })), conflicts, "{patch:?}: {committed:?}");
    }
    let (db, towns) = towns();
    towns.upsert(doc! { "_id": 7000, "country": "SM", "name": 1 }).unwrap();
    let mut tx = db.begin_with(TransactionOptions::new().isolation(Isolation::Serializable)).unwrap();
    let mut within = tx.collection(&towns).unwrap();
    assert_eq!(within.find_projected(field("country").eq("SM"), &names()).unwrap().count(), 1);
    within.insert(doc! { "_id": 9999, "country": "PE" }).unwrap();
    towns.upsert(doc! { "_id": 7000, "country": "SM", "name": 1.0 }).unwrap();
    assert!(matches!(tx.commit(), Err(Error::Conflict { .. })));
}

/// So it does with groups and distinct values, which see the transaction's own writes.
#[test]
fn serializable_transactions_sum_up_and_conflict_over_it() {
    type Read = fn(&TransactionCollection<'_, '_>) -> usize;
    let reads: [(Read, usize); 3] = [
        (|towns| towns.distinct("name", field("country").eq("KE")).unwrap().len(), 101),
        (
            |towns| towns.group(&Grouping::by(["name"]).count("n"), field("country").eq("KE")).unwrap().len(),
            101,
        ),
        (|towns| towns.any(field("country").eq("KE").and(field("name").eq("none"))).unwrap().into(), 0),
    ];
    for (read, expected) in reads {
        for (country, conflicts) in [("KE", true), ("DE", false)] {
            let (db, towns) = towns();
            let mut tx = db.begin_with(TransactionOptions::new().isolation(Isolation::Serializable)).unwrap();
            let mut within = tx.collection(&towns).unwrap();
            within.insert(doc! { "_id": 9999, "country": "KE", "name": "own" }).unwrap();
            assert_eq!(read(&within), expected);
            towns.insert(doc! { "_id": 7000, "country": country, "name": "none" }).unwrap();
            let committed = tx.commit();
            assert_eq!(
                matches!(committed, Err(Error::Conflict { .. })),
                conflicts,
                "{country}: {committed:?}"
            );
        }
    }
}
