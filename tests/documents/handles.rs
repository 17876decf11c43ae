//! Handles: of another store, of a store that was closed, by name.

use crate::collection;
use skipstone::bson::doc;
use skipstone::{Database, DocumentId, Error, Patch, Result};

fn foreign<T>(result: Result<T>) {
    match result.err().expect("a handle of another store") {
        Error::ForeignHandle { name, .. } => assert_eq!(name, "things"),
        other => panic!("{other}"),
    }
}

#[test]
fn a_handle_of_another_store_is_refused() {
    let ((db, things), (other, _)) = (collection(), collection());
    let bytes = db.keyspace("things").unwrap();
    foreign(other.begin().unwrap().collection(&things).map(drop));
    foreign(other.begin().unwrap().keyspace(&bytes).map(drop));
    let snapshot = other.snapshot().unwrap();
    foreign(snapshot.collection(&things).map(drop));
    foreign(snapshot.keyspace(&bytes).map(drop));
    foreign(snapshot.get(&bytes, b"x"));
    let error = snapshot.get(&bytes, b"x").unwrap_err().to_string();
    assert!(
        error.contains("`things` belongs to another store") && error.contains("take the handle"),
        "{error}"
    );
    db.begin().unwrap().collection(&db.clone().collection("things").unwrap()).unwrap();
}

fn closed<T>(result: Result<T>) {
    match result.err().expect("the store is closed") {
        Error::Closed => {}
        other => panic!("{other}"),
    }
}

#[test]
fn after_closing_nothing_begins_and_nothing_commits() {
    let (db, things) = collection();
    let bytes = db.keyspace("bytes").unwrap();
    things.insert(doc! { "_id": 1 }).unwrap();
    let (mut began, wrote) = (db.begin().unwrap(), {
        let mut wrote = db.begin().unwrap();
        wrote.collection(&things).unwrap().insert(doc! { "_id": 2 }).unwrap();
        wrote
    });
    let snapshot = db.snapshot().unwrap();
    db.clone().close().unwrap();
    closed(db.collection("things").map(drop));
    closed(db.keyspace("bytes").map(drop));
    closed(db.find_collection("things").map(drop));
    closed(db.find_keyspace("bytes").map(drop));
    closed(db.collection_names());
    closed(db.keyspace_names());
    closed(db.begin().map(drop));
    closed(db.snapshot().map(drop));
    closed(db.at(db.position()).map(drop));
    closed(db.sweep());
    closed(db.transact(|_| Ok(())));
    closed(things.insert(doc! {}));
    closed(things.insert_many([doc! {}]));
    closed(things.upsert(doc! {}));
    closed(things.get(1));
    closed(things.exists(1));
    closed(things.replace(1, doc! {}));
    closed(things.update(1, |_| {}));
    closed(things.patch(1, &Patch::new()));
    closed(things.delete(1));
    closed(things.get_many([1]));
    closed(things.get_many([0; 0]));
    closed(things.replace_many([(1, doc! {})]));
    closed(things.update_many([1], |_| panic!("not called")));
    closed(things.update_many([0; 0], |_| {}));
    closed(things.patch_many_if([(1, 1)], &Patch::new()));
    closed(things.delete_many([1]));
    closed(things.delete_many_if([(1, 1)]));
    closed(things.count());
    closed(bytes.get(b"x"));
    closed(bytes.put(b"x", b""));
    closed(bytes.delete(b"x"));
    closed(began.collection(&things).map(drop));
    closed(began.commit());
    closed(wrote.commit());
    closed(snapshot.collection(&things).map(drop));
    closed(snapshot.get(&bytes, b"x"));
    db.clone().close().unwrap();
}

/// Views that were taken before show what they showed, in every way of reading.
#[test]
fn what_was_open_before_the_store_was_closed_is_read_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path().join("store")).unwrap();
    let things = db.collection("things").unwrap();
    let bytes = db.keyspace("bytes").unwrap();
    things.insert_many([doc! { "_id": 1 }, doc! { "_id": 2 }]).unwrap();
    bytes.put(b"a", b"1").unwrap();
    bytes.put(b"b", b"2").unwrap();
    let snapshot = db.snapshot().unwrap();
    let (documents, entries) = (snapshot.collection(&things).unwrap(), snapshot.keyspace(&bytes).unwrap());
    let mut scan = documents.scan();
    assert_eq!(scan.next().unwrap().unwrap().id().unwrap(), 1.into());
    let mut transaction = db.begin().unwrap();
    let mut within = transaction.collection(&things).unwrap();
    within.insert(doc! { "_id": 3 }).unwrap();

    db.clone().close().unwrap();
    assert_eq!(scan.next().unwrap().unwrap().id().unwrap(), 2.into());
    assert!(scan.next().is_none());
    assert!(documents.get(1).unwrap().is_some());
    assert_eq!((documents.count(), documents.range(DocumentId::from(2)..).unwrap().count()), (2, 1));
    assert_eq!((entries.get(b"a"), entries.prefix(b"b").count()), (Some(&b"1"[..]), 1));
    assert_eq!((within.scan().count(), within.get(3).unwrap().is_some()), (3, true));
    closed(transaction.commit());
    db.wait_durable(snapshot.position()).unwrap();
    assert!(db.durable_position() >= snapshot.position() && db.stats().position == db.position());
}

#[test]
fn names_stand_for_one_thing_each() {
    let (db, things) = collection();
    assert_eq!(things.name(), "things");
    things.insert(doc! { "_id": 1 }).unwrap();
    assert!(db.collection("things").unwrap().exists(1).unwrap(), "the same collection");
    assert!(db.find_collection("things").unwrap().unwrap().exists(1).unwrap());
    assert!(db.find_collection("other").unwrap().is_none() && db.find_keyspace("things").unwrap().is_none());
    db.keyspace("things").unwrap().put(b"1", b"2").unwrap();
    db.collection("Ärger/mit: names").unwrap();
    db.collection(&"x".repeat(255)).unwrap();
    assert_eq!(db.collection_names().unwrap(), ["things", &"x".repeat(255), "Ärger/mit: names"]);
    assert_eq!(db.keyspace_names().unwrap(), ["things"]);
    assert_eq!(things.count().unwrap(), 1);
}

/// Many threads ask for the same new names at once: each name is made once.
#[test]
fn names_made_by_many_threads() {
    let db = Database::in_memory();
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let db = &db;
            scope.spawn(move || {
                for name in 0..20 {
                    db.collection(&format!("c{name:02}")).unwrap().insert(doc! { "_id": thread }).unwrap();
                }
            });
        }
    });
    let names = db.collection_names().unwrap();
    assert_eq!(names, (0..20).map(|name| format!("c{name:02}")).collect::<Vec<_>>());
    for name in names {
        assert_eq!(db.collection(&name).unwrap().count().unwrap(), 16, "in {name}");
    }
}

/// The past within the retained history, and what lies beyond.
#[test]
fn a_snapshot_of_the_past() {
    let db = Database::builder().retain_history_bytes(1 << 20).open().unwrap();
    let things = db.collection("things").unwrap();
    let mut positions = Vec::new();
    for n in 0..50 {
        things.upsert(doc! { "_id": 1, "n": n }).unwrap();
        positions.push(db.position());
    }
    db.sweep().unwrap();
    for (expected, position) in (0..).zip(&positions) {
        let then = db.at(*position).unwrap();
        assert_eq!(then.position(), *position);
        assert_eq!(crate::n(&then.collection(&things).unwrap().get(1).unwrap().unwrap()), expected);
    }
    let beyond = skipstone::Lsn::new(db.position().get() + 8);
    assert!(matches!(db.at(beyond), Err(Error::NotReached { position, .. }) if position == beyond));
    assert!(matches!(db.wait_durable(beyond), Err(Error::NotReached { .. })));
    let forgetful = Database::in_memory();
    let things = forgetful.collection("things").unwrap();
    let early = forgetful.position();
    for n in 0..500 {
        things.upsert(doc! { "_id": 1, "n": n }).unwrap();
    }
    forgetful.sweep().unwrap();
    match forgetful.at(early).err().expect("history is gone") {
        Error::HistoryGone { asked, oldest, .. } => assert!(asked == early.into() && oldest > early),
        other => panic!("{other}"),
    }
}
