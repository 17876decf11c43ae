//! Entries come and go with the documents that they belong to.

use crate::{check, index_error};
use skipstone::bson::doc;
use skipstone::{Database, Index, IndexEntryError, IndexError, Patch, field};

#[test]
fn all_kinds_of_indexes_hold_what_the_documents_say() {
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    for n in 0..100 {
        towns
            .insert(doc! { "_id": n, "name": format!("town {n}"), "people": n % 7, "tags": [n % 3, "x"] })
            .unwrap();
    }
    let indexes = [
        Index::on("name").unwrap().unique(),
        Index::on("people").unwrap().and_descending("name").unwrap(),
        Index::on("tags").unwrap(),
        Index::on("mayor.since").unwrap().sparse(),
        Index::on("name").unwrap().partial(field("people").lt(3)).unwrap().named("small"),
    ];
    let count = indexes.len();
    for index in indexes {
        towns.create_index(index).unwrap();
    }
    check(&db, &towns, count);
    for n in (0..150).step_by(3) {
        towns
            .upsert(doc! { "_id": n, "name": format!("new {n}"), "people": n, "mayor": { "since": n } })
            .unwrap();
        towns.delete(n + 1).unwrap();
        if n + 2 < 100 {
            towns.patch(n + 2, &Patch::new().set("tags", n)).unwrap();
        }
    }
    check(&db, &towns, count);
    towns.drop_index("tags").unwrap();
    towns.drop_index("small").unwrap();
    check(&db, &towns, count - 2);
}

#[test]
fn what_has_no_place_in_an_index_is_refused_and_nothing_is_changed() {
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    towns.create_index(Index::on("name").unwrap().unique()).unwrap();
    towns.create_index(Index::on("a").unwrap().and("b").unwrap()).unwrap();
    towns.insert(doc! { "_id": 1, "name": "Aachen" }).unwrap();
    let twice = index_error(towns.insert(doc! { "_id": 2, "name": "Aachen" }).unwrap_err());
    assert!(
        matches!(&twice, IndexError::Duplicate { index, key, first, second, .. } if index == "name" && *key == "\"Aachen\"" && *first == 2.into() && *second == 1.into()),
        "{twice}"
    );
    let long = index_error(towns.insert(doc! { "_id": 2, "name": "x".repeat(10_000) }).unwrap_err());
    assert!(matches!(long, IndexError::Entry { cause: IndexEntryError::KeyTooLong { .. }, .. }), "{long}");
    let arrays = towns.insert(doc! { "_id": 2, "name": "B", "a": [1, 2], "b": [1, 2] }).unwrap_err();
    assert!(matches!(
        index_error(arrays),
        IndexError::Entry { cause: IndexEntryError::TwoArrays { .. }, .. }
    ));
    let taken = index_error(towns.create_index(Index::on("name").unwrap()).unwrap_err());
    assert!(matches!(taken, IndexError::Exists { name, .. } if name == "name"));
    assert!(matches!(index_error(towns.drop_index("x").unwrap_err()), IndexError::NotFound { .. }));
    towns.insert(doc! { "_id": 3, "name": "B", "twice": 1 }).unwrap();
    towns.insert(doc! { "_id": 4, "name": "C", "twice": 1 }).unwrap();
    let built = index_error(towns.create_index(Index::on("twice").unwrap().unique()).unwrap_err());
    assert!(matches!(built, IndexError::Duplicate { .. }), "{built}");
    assert_eq!(towns.count().unwrap(), 3);
    check(&db, &towns, 2);
}
