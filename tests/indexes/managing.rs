//! Names, numbers, progress, and what stays of indexes: after closing, after a checkpoint, in a backup.

use crate::{check, index_error};
use skipstone::bson::doc;
use skipstone::{Collection, Database, Error, Index, IndexError, Until, field, restore, verify};
use std::path::Path;

fn open(path: &Path) -> Database {
    Database::builder().path(path).open().unwrap()
}

fn fill(towns: &Collection, from: i32) {
    let town = |id: i32| doc! { "_id": id, "name": format!("town {id}"), "tags": [id % 3, id % 5, "x"] };
    towns.insert_many((from..from + 300).map(town)).unwrap();
}

fn create_all(towns: &Collection) {
    towns.create_index(Index::on("name").unwrap().unique()).unwrap();
    towns.create_index(Index::on_descending("tags").unwrap().and("name").unwrap()).unwrap();
    let small = Index::on("name").unwrap().sparse().partial(field("_id").lt(50)).unwrap();
    towns.create_index(small.named("small")).unwrap();
}

fn names(towns: &Collection) -> Vec<String> {
    towns.indexes().iter().map(|info| info.index.name()).collect()
}

#[test]
fn information_says_what_was_asked_for_and_how_far_it_is() {
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    assert!(towns.indexes().is_empty());
    fill(&towns, 0);
    create_all(&towns);
    assert_eq!(names(&towns), ["name", "tags_desc_name", "small"]);
    for info in towns.indexes() {
        assert!(info.is_ready && info.can_cover);
        assert_eq!(info.built, 300, "every document is looked at: {}", info.index.name());
    }
    let info = &towns.indexes()[2].index;
    assert!(info.is_sparse() && !info.is_unique());
    let expected = field("_id").lt(50).to_document().unwrap();
    assert_eq!(info.filter().unwrap().to_document().unwrap(), expected);
    // Another collection has its own.
    let other = db.collection("other").unwrap();
    other.create_index(Index::on("name").unwrap()).unwrap();
    assert_eq!((names(&other).len(), names(&towns).len()), (1, 3));
    other.insert(doc! { "name": "twice" }).unwrap();
    other.insert(doc! { "name": "twice" }).unwrap();
    check(&db, &other, 1);
}

#[test]
fn entries_are_counted_one_for_each_value_and_nothing_besides() {
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    towns.create_index(Index::on("tags").unwrap()).unwrap();
    towns.insert_many([doc! { "tags": 1 }, doc! {}]).unwrap();
    assert_eq!(towns.indexes()[0].entries, 2);
    // The index notes that there are several of one document; that is no entry.
    towns.insert(doc! { "tags": [1, 2, 3] }).unwrap();
    assert_eq!(towns.indexes()[0].entries, 5);
    towns.create_index(Index::on("tags").unwrap().and("name").unwrap()).unwrap();
    assert_eq!(towns.indexes()[1].entries, 5);
}

/// What is listed while an index goes: how much of it is gone, and in the end nothing.
#[test]
fn one_that_is_being_dropped_says_how_far_that_is() {
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    (0..200).for_each(|round| fill(&towns, round * 300));
    towns.create_index(Index::on("tags").unwrap().named("tags")).unwrap();
    let entries = towns.indexes()[0].entries;
    assert!(entries > 60_000, "{entries}");
    std::thread::scope(|scope| {
        let dropper = scope.spawn(|| towns.drop_index("tags").unwrap());
        let (mut seen, mut is_gone) = (Vec::new(), false);
        while !dropper.is_finished() {
            let listed = towns.indexes();
            assert!(listed.len() <= 2);
            assert!(!is_gone || listed.is_empty(), "it was not listed, and is again");
            is_gone = listed.is_empty();
            seen.extend(listed.iter().filter_map(|info| info.dropped));
            let is_dropping = listed.iter().any(|info| info.dropped.is_some());
            assert!(!is_dropping || listed.iter().all(|info| !info.is_ready || info.dropped.is_none()));
        }
        assert!(seen.is_sorted() && seen.last().is_some_and(|last| *last <= entries), "{seen:?}");
        assert!(seen.iter().any(|dropped| (1..entries).contains(dropped)), "{seen:?}");
    });
    assert!(towns.indexes().is_empty());
}

#[test]
fn names_are_checked_and_given_anew() {
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    fill(&towns, 0);
    for name in ["", "line\nbreak", &"x".repeat(10_000)] {
        let error = towns.create_index(Index::on("name").unwrap().named(name)).unwrap_err();
        assert!(matches!(error, Error::Name { .. }), "{error}");
    }
    for round in 0..5 {
        let index = Index::on(if round % 2 == 0 { "name" } else { "tags" }).unwrap().named("one");
        towns.create_index(index.clone()).unwrap();
        let exists = index_error(towns.create_index(index).unwrap_err());
        assert!(matches!(exists, IndexError::Exists { .. }), "{exists}");
        check(&db, &towns, 1);
        towns.drop_index("one").unwrap();
        let gone = index_error(towns.drop_index("one").unwrap_err());
        assert!(matches!(gone, IndexError::NotFound { .. }), "{gone}");
        check(&db, &towns, 0);
    }
}

#[test]
fn one_that_could_not_be_made_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir.path().join("store"));
    let towns = db.collection("towns").unwrap();
    fill(&towns, 0);
    towns.insert(doc! { "_id": 1_000, "name": "town 7", "other": [1, 2] }).unwrap();
    for _ in 0..3 {
        let twice = index_error(towns.create_index(Index::on("name").unwrap().unique()).unwrap_err());
        let IndexError::Duplicate { first, second, .. } = &twice else { panic!("{twice}") };
        let mut both = [first.to_string(), second.to_string()];
        both.sort();
        assert_eq!(both, ["1000", "7"]);
        let arrays = Index::on("tags").unwrap().and("other").unwrap();
        let arrays = arrays.partial(field("other").exists()).unwrap();
        towns.insert(doc! { "_id": 1_001, "tags": [1, 2], "other": [1, 2] }).unwrap();
        let arrays = index_error(towns.create_index(arrays).unwrap_err());
        assert!(matches!(arrays, IndexError::Entry { .. }), "{arrays}");
        towns.delete(1_001).unwrap();
        assert!(names(&towns).is_empty());
        check(&db, &towns, 0);
    }
    towns.delete(7).unwrap();
    towns.create_index(Index::on("name").unwrap().unique()).unwrap();
    check(&db, &towns, 1);
}

#[test]
fn they_are_there_after_opening_again_with_and_without_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let db = open(&path);
    let towns = db.collection("towns").unwrap();
    fill(&towns, 0);
    create_all(&towns);
    drop((db, towns));
    for round in 1..5 {
        let db = open(&path);
        let towns = db.collection("towns").unwrap();
        check(&db, &towns, 3);
        assert_eq!(names(&towns), ["name", "small", "tags_desc_name"], "in the order of their names");
        let taken = index_error(towns.insert(doc! { "name": "town 1" }).unwrap_err());
        assert!(matches!(taken, IndexError::Duplicate { .. }));
        fill(&towns, round * 1_000);
        if round % 2 == 0 {
            db.checkpoint().unwrap();
        }
        towns.delete(round * 1_000).unwrap();
        towns.insert(doc! { "_id": -round, "name": format!("behind it {round}") }).unwrap();
        // What the checkpoint has a name for is dropped, and another one takes the name.
        towns.drop_index("small").unwrap();
        check(&db, &towns, 2);
        towns.create_index(Index::on("tags").unwrap().named("small")).unwrap();
        fill(&towns, round * 1_000 + 500);
        check(&db, &towns, 3);
        drop(towns);
        db.close().unwrap();
        let verified = verify(&path).unwrap();
        assert!(verified.is_sound(), "{:#?}", verified.findings);
    }
}

#[test]
fn numbers_of_dropped_ones_are_not_given_away_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    for round in 0..4 {
        let db = open(&path);
        let towns = db.collection("towns").unwrap();
        fill(&towns, round * 1_000);
        towns.create_index(Index::on("tags").unwrap()).unwrap();
        db.checkpoint().unwrap();
        towns.drop_index("tags").unwrap();
        // Their numbers would be the dropped one's, and so would what pages have of it.
        let keyspace = db.keyspace(&format!("keys {round}")).unwrap();
        let other = db.collection(&format!("documents {round}")).unwrap();
        keyspace.put(b"key", b"value").unwrap();
        other.insert(doc! { "_id": 1 }).unwrap();
        drop((db, towns, keyspace, other));
        let db = open(&path);
        let keyspace = db.keyspace(&format!("keys {round}")).unwrap();
        let snapshot = db.snapshot().unwrap();
        assert_eq!(snapshot.keyspace(&keyspace).unwrap().range::<&[u8]>(..).count(), 1);
        assert_eq!(db.collection(&format!("documents {round}")).unwrap().count().unwrap(), 1);
        check(&db, &db.collection("towns").unwrap(), 0);
    }
    let verified = verify(&path).unwrap();
    assert!(verified.is_sound(), "{:#?}", verified.findings);
}

#[test]
fn backups_have_them() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let db = open(&at("store"));
    let towns = db.collection("towns").unwrap();
    fill(&towns, 0);
    create_all(&towns);
    db.back_up(at("full")).unwrap();
    towns.drop_index("small").unwrap();
    fill(&towns, 1_000);
    let middle = db.position();
    towns.create_index(Index::on("tags").unwrap()).unwrap();
    db.back_up_since(at("full"), at("increment")).unwrap();
    for (chain, until, count) in [
        (vec![at("full")], Until::End, 3),
        (vec![at("full"), at("increment")], Until::Position(middle), 2),
        (vec![at("full"), at("increment")], Until::End, 3),
    ] {
        let target = tempfile::tempdir().unwrap();
        restore(&chain, target.path().join("store"), until).unwrap();
        let verified = verify(target.path().join("store")).unwrap();
        assert!(verified.is_sound(), "{:#?}", verified.findings);
        let restored = open(&target.path().join("store"));
        let towns = restored.collection("towns").unwrap();
        check(&restored, &towns, count);
        assert!(towns.insert(doc! { "name": "town 5" }).is_err(), "the unique one is kept");
        fill(&towns, 5_000);
        check(&restored, &towns, count);
    }
}

#[test]
fn a_closed_store_takes_none() {
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    towns.create_index(Index::on("name").unwrap()).unwrap();
    db.close().unwrap();
    assert!(matches!(towns.create_index(Index::on("tags").unwrap()), Err(Error::Closed)));
    assert!(matches!(towns.drop_index("name"), Err(Error::Closed)));
}
