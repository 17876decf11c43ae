//! Calls that take several documents: all of them happen, or none.

use crate::{collection, n};
use skipstone::bson::{self, doc};
use skipstone::{Collection, Database, DocumentError, DocumentId, Error, Patch, Result};
use std::cell::Cell;

/// Documents 0 to 4, each at version 1 with its id as `n`.
pub(crate) fn five() -> (Database, Collection) {
    let (db, things) = collection();
    things.insert_many((0..5).map(|id| doc! { "_id": id, "n": id })).unwrap();
    (db, things)
}

/// Every document with its version.
pub(crate) fn state(things: &Collection) -> Vec<(String, u64)> {
    let db = things.database();
    let snapshot = db.snapshot().unwrap();
    let documents = snapshot.collection(things).unwrap().scan();
    documents.map(|d| d.unwrap()).map(|d| (d.to_json().unwrap(), d.version())).collect()
}

pub(crate) fn numbers(things: &Collection, ids: impl IntoIterator<Item = i32>) -> Vec<(i64, u64)> {
    let found = things.get_many(ids).unwrap();
    found.iter().map(|d| d.as_ref().unwrap()).map(|d| (n(d), d.version())).collect()
}

pub(crate) fn add(document: &mut bson::Document, more: i32) {
    let n = document.get_i32("n").unwrap();
    document.insert("n", n + more);
}

pub(crate) fn absent<T: std::fmt::Debug>(result: Result<T>, which: i32) {
    let error = result.unwrap_err();
    assert!(
        matches!(&error, Error::NotFound { collection, id, .. } if collection == "things" && *id == which.into()),
        "{error}"
    );
}

/// What the document layer has against one document of a batch.
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T>, which: i32) -> DocumentError {
    let error = result.unwrap_err();
    let said = error.to_string();
    let Error::RefusedInBatch { collection, id, cause, .. } = error else { panic!("{said}") };
    assert_eq!((&collection[..], id), ("things", which.into()));
    for part in [&format!("document {which} of `things`: {cause}")[..], "nothing of the batch was stored"] {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
    *cause
}

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
fn gets_in_the_order_of_the_ids() {
    let (db, things) = five();
    things.insert(doc! { "_id": "text", "n": 7 }).unwrap();
    things.patch(3, &Patch::new().inc("n", 10)).unwrap();
    let ids: [DocumentId; 6] = [3.into(), "text".into(), 9.into(), 0.into(), 3.into(), "none".into()];
    let found = things.get_many(&ids).unwrap();
    let seen: Vec<_> = found.iter().map(|d| d.as_ref().map(|d| (n(d), d.version()))).collect();
    assert_eq!(seen, [Some((13, 2)), Some((7, 1)), None, Some((0, 1)), Some((13, 2)), None]);
    for (document, id) in found.iter().zip(&ids) {
        if let Some(document) = document {
            assert_eq!(document.id().unwrap(), *id);
            assert_eq!(document.position(), things.get(id).unwrap().unwrap().position());
        }
    }
    things.delete_many(&ids).unwrap();
    db.sweep().unwrap();
    assert_eq!(n(found[0].as_ref().unwrap()), 13, "what was read is the caller's");
    assert_eq!(things.get_many(&ids).unwrap(), [const { None }; 6]);
}

/// The moment of the batch is when its ids are known, not when the call begins.
#[test]
fn gets_what_its_ids_brought_into_being() {
    let (_db, things) = collection();
    let found =
        things.get_many((0..3).map(|k| things.insert(doc! { "_id": 10 + k, "n": k }).unwrap())).unwrap();
    assert_eq!(found.iter().map(|d| n(d.as_ref().unwrap())).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn replacements() {
    let (_db, things) = five();
    assert_eq!(things.replace(2, doc! { "n": 20 }).unwrap(), 2);
    let versions = things.replace_many([2, 0, 4].map(|id| (id, doc! { "n": id + 100 }))).unwrap();
    assert_eq!(versions, [3, 2, 2], "in the order given");
    assert_eq!(numbers(&things, 0..5), [(100, 2), (1, 1), (102, 3), (3, 1), (104, 2)]);
    let versions = things.replace_many([(1, doc! { "n": -1 }), (1, doc! { "n": -2 })]).unwrap();
    assert_eq!((versions, numbers(&things, [1])), (vec![2, 3], vec![(-2, 3)]), "twice in one batch");

    let before = state(&things);
    absent(things.replace_many([0, 9, 1, 8].map(|id| (id, doc! {}))), 9);
    let error = refused(things.replace_many([(0, doc! {}), (1, doc! { "_id": 2 }), (2, doc! {})]), 1);
    assert!(matches!(error, DocumentError::IdChanged { .. }), "{error}");
    let error = refused(things.replace_many([(0, doc! {}), (3, doc! { "a\0": 2 }), (2, doc! {})]), 3);
    assert!(matches!(error, DocumentError::FieldName { .. }), "{error}");
    assert_eq!(state(&things), before, "none of a batch that failed");
}

#[test]
fn updates() {
    let (_db, things) = five();
    let seen = Cell::new(0);
    let versions = things
        .update_many([4, 4, 1], |d| {
            seen.set(seen.get() * 10 + d.get_i32("_id").unwrap());
            add(d, 100);
        })
        .unwrap();
    assert_eq!((seen.get(), versions), (441, vec![2, 3, 2]), "in the order given, the second on the first");
    assert_eq!(numbers(&things, [1, 4]), [(101, 2), (204, 3)]);

    let before = state(&things);
    let calls = Cell::new(0);
    absent(things.update_many([0, 3, 9, 1], |_| calls.set(calls.get() + 1)), 9);
    assert_eq!(calls.get(), 2, "none after the one that failed");
    let error =
        refused(things.update_many([0, 1], |d| drop(d.get_i32("_id").map(|id| d.insert("_id", id * 7)))), 1);
    assert!(
        matches!(&error, DocumentError::IdChanged { stored, given, .. } if *stored == 1.into() && *given == 7.into()),
        "{error}"
    );
    let spoil = |d: &mut bson::Document| {
        add(d, 1);
        if d.get_i32("_id").is_ok_and(|id| id == 3) {
            d.insert("a\0b", 1);
        }
    };
    let error = refused(things.update_many(0..5, spoil), 3);
    assert!(matches!(error, DocumentError::FieldName { .. }), "{error}");
    assert_eq!(state(&things), before, "none of a batch that failed");
}

/// A batch whose closure panics at its third document has changed nothing, and the store goes on.
#[test]
fn an_update_of_several_that_panics_changes_nothing() {
    let (_db, things) = five();
    let before = state(&things);
    let mut calls = 0;
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        things.update_many(0..5, |d| {
            calls += 1;
            add(d, 1);
            assert!(calls < 3, "on purpose");
        })
    }));
    assert!(panicked.is_err());
    assert_eq!((calls, state(&things)), (3, before));
    assert_eq!(things.update_many(0..5, |d| add(d, 1)).unwrap(), [2; 5]);
}

/// The ids are taken from their iterator once, the closure is called for all of them again.
#[test]
fn a_batch_that_conflicts_is_tried_again_whole() {
    let (_db, things) = five();
    let (taken, calls) = (Cell::new(0), Cell::new(0));
    let ids = [0, 1, 2].into_iter().inspect(|_| taken.set(taken.get() + 1));
    let versions = things
        .update_many(ids, |d| {
            calls.set(calls.get() + 1);
            if calls.get() <= 6 {
                things.update(1, |other| add(other, 1_000)).unwrap();
            }
            add(d, 1);
        })
        .unwrap();
    assert_eq!((taken.get(), calls.get(), versions), (3, 9, vec![2, 8, 2]));
    assert_eq!(numbers(&things, 0..3), [(1, 2), (6_002, 8), (3, 2)]);
}

#[test]
fn patches() {
    let (_db, things) = five();
    assert_eq!(things.patch_many(0..5, &Patch::new().inc("n", 100)).unwrap(), [2; 5]);
    absent(things.patch_many([3, 4, 5], &Patch::new().inc("n", 100)), 5);
    things.update(4, |d| drop(d.insert("n", "text"))).unwrap();
    let error = refused(things.patch_many([3, 4], &Patch::new().inc("n", 100)), 4);
    assert!(matches!(&error, DocumentError::Patch { path, .. } if path == "n"), "{error}");
    assert_eq!(
        numbers(&things, 0..4),
        [(100, 2), (101, 2), (102, 2), (103, 2)],
        "none of a batch that failed"
    );
    assert_eq!(things.patch_many([3, 3, 2], &Patch::new().inc("n", 1)).unwrap(), [3, 4, 3]);
    assert_eq!(numbers(&things, [2, 3]), [(103, 3), (105, 4)]);
}

#[test]
fn batches_of_nothing() {
    let (db, things) = five();
    const NONE: [u64; 0] = [];
    let (before, position) = (state(&things), db.position());
    assert_eq!(things.get_many([0; 0]).unwrap().len(), 0);
    assert_eq!(things.replace_many(Vec::<(i32, bson::Document)>::new()).unwrap().len(), 0);
    assert_eq!(things.replace_many_if(Vec::<(i32, u64, bson::Document)>::new()).unwrap().len(), 0);
    assert_eq!(things.update_many([0; 0], |_| panic!("not called")).unwrap(), NONE);
    assert_eq!(things.update_many_if([(0, 0); 0], |_| panic!("not called")).unwrap(), NONE);
    assert_eq!(things.patch_many([0; 0], &Patch::new().set("n", 0)).unwrap(), NONE);
    assert_eq!(things.patch_many_if([(0, 0); 0], &Patch::new().set("n", 0)).unwrap(), NONE);
    assert_eq!(things.delete_many([0; 0]).unwrap(), 0);
    things.delete_many_if([(0, 0); 0]).unwrap();
    assert_eq!((state(&things), db.position()), (before, position), "nothing is committed");
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

/// Each reads and writes all of them in an order of its own.
#[test]
fn batches_of_several_threads_lose_nothing() {
    const ROUNDS: i32 = 100;
    let (_db, things) = five();
    let things = &things;
    std::thread::scope(|scope| {
        for first in 0..4 {
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    things.update_many((0..5).map(|k| (first + k) % 5), |d| add(d, 1)).unwrap();
                }
            });
        }
    });
    let every = i64::from(4 * ROUNDS);
    assert_eq!(numbers(things, 0..5), [0, 1, 2, 3, 4].map(|id| (id + every, every as u64 + 1)));
}

/// All of `get_many` is of one moment, though another thread changes them all the time.
#[test]
fn nobody_reads_half_a_batch() {
    let (_db, things) = collection();
    things.insert_many((0..10).map(|id| doc! { "_id": id, "n": 0 })).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..150 {
                things.replace_many((0..10).rev().map(|id| (id, doc! { "n": round }))).unwrap();
                things.update_many(0..10, |d| add(d, 1)).unwrap();
            }
        });
        while !writer.is_finished() {
            let read = numbers(&things, 0..10);
            assert_eq!(read, vec![read[0]; 10]);
        }
        writer.join().unwrap();
    });
    assert_eq!(numbers(&things, 0..10), [(150, 301); 10]);
}
