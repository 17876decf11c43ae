//! What cannot be answered is a typed error.

use skipstone::bson::doc;
use skipstone::{Database, Error, Grouping, Index, Query, QueryError, field};

fn query_error<T>(result: Result<T, Error>) -> QueryError {
    match result {
        Err(Error::Query(error)) => error,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was answered"),
    }
}

#[test]
fn mistakes_are_told() {
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    let regex = query_error(towns.find(field("a").regex("(")));
    assert!(matches!(regex, QueryError::Filter(_)), "{regex}");
    assert!(matches!(
        query_error(towns.find(Query::all().sort("a").sort_desc("a"))),
        QueryError::NamedTwice { .. }
    ));
    assert!(matches!(query_error(towns.find(Query::all().sort(""))), QueryError::Path(_)));
    assert!(matches!(query_error(towns.find(Query::all().use_index("none"))), QueryError::CannotUse { .. }));
    towns.create_index(Index::on("a").unwrap().sparse()).unwrap();
    assert!(matches!(query_error(towns.find(Query::all().use_index("a"))), QueryError::CannotUse { .. }));
}

#[test]
fn a_grouping_names_each_field_and_each_result_once_and_so_that_a_path_can() {
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    let group = |grouping: Grouping| query_error(towns.group(&grouping, Query::all()));
    assert!(
        matches!(group(Grouping::by(["a", "b.c", "a"]).count("n")), QueryError::NamedTwice { path, .. } if path == "a")
    );
    assert!(matches!(group(Grouping::by(["a"]).count("n").sum("n", "b")), QueryError::NamedTwice { .. }));
    for bad in ["", "$n", "a.b", "a\0"] {
        for grouping in [Grouping::by([]).count(bad), Grouping::by([]).max(bad, "a")] {
            assert!(matches!(group(grouping), QueryError::ResultName { name, .. } if name == bad), "{bad:?}");
        }
    }
    towns.group(&Grouping::by(["a", "a.b"]).count("n$"), Query::all()).unwrap();
}

#[test]
fn sorting_has_a_limit_and_says_what_helps() {
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    towns.insert_many((0..1000).map(|n| doc! { "_id": n, "a": n % 7, "b": -n })).unwrap();
    let query = Query::all().sort("a").sort_desc("b").sort_bytes_max(20_000);
    let error = query_error(towns.find(query.clone()));
    assert!(error.to_string().contains("an index on `a`, `b` (descending)"), "{error}");
    assert_eq!(towns.find(query.clone().limit(10)).unwrap().len(), 10);
    towns.create_index(Index::on("a").unwrap().and_descending("b").unwrap()).unwrap();
    assert_eq!(towns.find(query).unwrap().len(), 1000);
}

#[test]
fn a_cursor_of_another_query_or_store_is_refused() {
    let (db, other) = (Database::in_memory(), Database::in_memory());
    let towns = db.collection("towns").unwrap();
    towns.insert_many((0..10).map(|n| doc! { "_id": n, "a": n })).unwrap();
    let query = Query::all().sort("a");
    let snapshot = db.snapshot().unwrap();
    let mut matches = snapshot.collection(&towns).unwrap().find(query.clone()).unwrap();
    assert!(matches.cursor().unwrap().is_none());
    matches.next().unwrap().unwrap();
    let cursor = matches.cursor().unwrap().unwrap();
    assert_eq!(towns.find(query.clone().after(cursor.clone())).unwrap().len(), 9);
    for wrong in [Query::all().sort_desc("a"), Query::new(field("a").gt(1)).sort("a"), Query::all()] {
        assert!(matches!(query_error(towns.find(wrong.after(cursor.clone()))), QueryError::Cursor { .. }));
    }
    let elsewhere = other.collection("towns").unwrap();
    assert!(matches!(query_error(elsewhere.find(query.after(cursor))), QueryError::Cursor { .. }));
}
