//! Calls that take several documents: all of them happen, or none.

use crate::{collection, n};
use skipstone::bson::{self, doc};
use skipstone::{DocumentError, Error, Patch};

#[test]
fn inserts() {
    let (_db, things) = collection();
    let ids = things
        .insert_many([doc! { "_id": 1, "n": 1 }, doc! { "n": 2 }, doc! { "_id": "c", "n": 3 }])
        .unwrap();
    assert_eq!((ids.len(), &ids[0], &ids[2]), (3, &1.into(), &"c".into()));
    for (id, expected) in ids.iter().zip(1..) {
        let found = things.get(id).unwrap().unwrap();
        assert_eq!((n(&found), found.version()), (expected, 1));
    }

    let error = things.insert_many([doc! { "_id": 2 }, doc! { "_id": 1 }, doc! { "_id": 3 }]).unwrap_err();
    assert!(matches!(&error, Error::AlreadyExists { id, .. } if *id == 1.into()), "{error}");
    let error = things.insert_many([doc! { "_id": 2 }, doc! { "_id": 2 }]).unwrap_err();
    assert!(
        matches!(&error, Error::AlreadyExists { id, .. } if *id == 2.into()),
        "twice in one batch: {error}"
    );
    let error = things.insert_many([doc! { "_id": 2 }, doc! { "_id": 1.5 }]).unwrap_err();
    assert!(matches!(error, Error::Document(DocumentError::IdType { .. })), "{error}");
    assert_eq!(things.count().unwrap(), 3, "none of a batch that failed");
    assert_eq!(things.insert_many(Vec::<bson::Document>::new()).unwrap(), []);
}

#[test]
fn upserts() {
    let (_db, things) = collection();
    things.insert(doc! { "_id": 1, "n": 1 }).unwrap();
    things
        .upsert_many([doc! { "_id": 1, "n": 10 }, doc! { "_id": 2, "n": 20 }, doc! { "_id": 2, "n": 21 }])
        .unwrap();
    let (first, second) = (things.get(1).unwrap().unwrap(), things.get(2).unwrap().unwrap());
    assert_eq!((n(&first), first.version(), n(&second), second.version()), (10, 2, 21, 2));
    let error = things.upsert_many([doc! { "_id": 1, "n": 0 }, doc! { "_id": true }]).unwrap_err();
    assert!(matches!(error, Error::Document(DocumentError::IdType { found: "boolean", .. })), "{error}");
    assert_eq!(n(&things.get(1).unwrap().unwrap()), 10);
}

#[test]
fn patches() {
    let (_db, things) = collection();
    things.insert_many((0..5).map(|id| doc! { "_id": id, "n": id })).unwrap();
    things.patch_many(0..5, &Patch::new().inc("n", 100)).unwrap();
    let error = things.patch_many([3, 4, 5], &Patch::new().inc("n", 100)).unwrap_err();
    assert!(matches!(&error, Error::NotFound { id, .. } if *id == 5.into()), "{error}");
    things.update(4, |d| drop(d.insert("n", "text"))).unwrap();
    let error = things.patch_many([3, 4], &Patch::new().inc("n", 100)).unwrap_err();
    assert!(matches!(&error, Error::Document(DocumentError::Patch { path, .. }) if path == "n"), "{error}");
    let now: Vec<_> = (0..4).map(|id| n(&things.get(id).unwrap().unwrap())).collect();
    assert_eq!(now, [100, 101, 102, 103], "none of a batch that failed");
    assert_eq!(things.get(3).unwrap().unwrap().version(), 2);
}

#[test]
fn deletions() {
    let (_db, things) = collection();
    things.insert_many((0..5).map(|id| doc! { "_id": id })).unwrap();
    assert_eq!(things.delete_many([1, 3, 3, 9]).unwrap(), 2);
    let left: Vec<_> = things
        .database()
        .snapshot()
        .unwrap()
        .collection(&things)
        .unwrap()
        .scan()
        .map(|d| d.unwrap().id().unwrap())
        .collect();
    assert_eq!(left, [0.into(), 2.into(), 4.into()]);
}

/// Another thread sees a batch whole, whenever it looks.
#[test]
fn nobody_sees_half_a_batch() {
    let (db, things) = collection();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..200 {
                things.insert_many((0..10).map(|k| doc! { "_id": round * 10 + k })).unwrap();
            }
        });
        while !writer.is_finished() {
            let count = db.snapshot().unwrap().collection(&things).unwrap().count();
            assert_eq!(count % 10, 0);
        }
        writer.join().unwrap();
    });
    assert_eq!(things.count().unwrap(), 2_000);
}
