//! Version numbers, the calls that count them, and their conditional forms.

use crate::{collection, n};
use skipstone::bson::{self, doc};
use skipstone::{Error, Patch, Result};

#[test]
fn every_successful_change_counts_one() {
    let (db, things) = collection();
    let id = things.insert(doc! { "_id": "a", "n": 1 }).unwrap();
    let version = || things.get(&id).unwrap().unwrap().version();
    assert_eq!(version(), 1);
    assert_eq!(things.update(&id, |d| drop(d.insert("n", 2))).unwrap(), 2);
    assert_eq!(things.replace(&id, doc! { "n": 3 }).unwrap(), 3);
    assert_eq!(things.patch(&id, &Patch::new().inc("n", 1)).unwrap(), 4);
    things.upsert(doc! { "_id": "a", "n": 5 }).unwrap();
    assert_eq!((version(), n(&things.get(&id).unwrap().unwrap())), (5, 5));

    let mut transaction = db.begin().unwrap();
    let mut within = transaction.collection(&things).unwrap();
    assert_eq!(within.update(&id, |d| drop(d.insert("n", 6))).unwrap(), 6);
    assert_eq!(within.patch(&id, &Patch::new().inc("n", 1)).unwrap(), 7);
    transaction.rollback();
    assert_eq!(version(), 5, "what is rolled back does not count");
}

#[test]
fn a_document_that_is_deleted_and_inserted_again_begins_at_one() {
    let (_db, things) = collection();
    things.insert(doc! { "_id": 1 }).unwrap();
    things.update(1, |_| {}).unwrap();
    assert!(things.delete(1).unwrap());
    assert!(!things.delete(1).unwrap());
    things.insert(doc! { "_id": 1 }).unwrap();
    assert_eq!(things.get(1).unwrap().unwrap().version(), 1);
}

#[test]
fn a_hundred_threads_with_a_hundred_updates_each_lose_nothing() {
    let (_db, things) = collection();
    things.insert(doc! { "_id": "hot", "n": 0 }).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                for _ in 0..100 {
                    things
                        .update("hot", |d| {
                            let n = d.get_i32("n").unwrap();
                            d.insert("n", n + 1);
                        })
                        .unwrap();
                }
            });
        }
    });
    let hot = things.get("hot").unwrap().unwrap();
    assert_eq!((hot.version(), n(&hot)), (10_001, 10_000));
}

#[test]
fn positions_grow_with_versions() {
    let (db, things) = collection();
    things.insert(doc! { "_id": 1 }).unwrap();
    let first = things.get(1).unwrap().unwrap().position().unwrap();
    let between = db.position();
    things.update(1, |_| {}).unwrap();
    let second = things.get(1).unwrap().unwrap().position().unwrap();
    assert!(first < between && between <= second && second < db.position());
}

fn mismatch(result: Result<u64>, wanted: u64, is: u64) {
    match result.unwrap_err() {
        Error::VersionMismatch { collection, id, expected, found, .. } => {
            assert_eq!((&collection[..], id, expected, found), ("things", "a".into(), wanted, is));
        }
        other => panic!("{other}"),
    }
}

#[test]
fn conditional_forms_change_only_the_version_they_name() {
    let (db, things) = collection();
    things.insert(doc! { "_id": "a", "n": 1 }).unwrap();
    for wrong in [0, 2, u64::MAX] {
        mismatch(things.replace_if("a", wrong, doc! { "n": 9 }), wrong, 1);
        mismatch(things.update_if("a", wrong, |_| panic!("not called")), wrong, 1);
        mismatch(things.patch_if("a", wrong, &Patch::new().set("n", 9)), wrong, 1);
        mismatch(things.delete_if("a", wrong).map(|()| 0), wrong, 1);
        let mut transaction = db.begin().unwrap();
        let mut within = transaction.collection(&things).unwrap();
        mismatch(within.replace_if("a", wrong, doc! { "n": 9 }), wrong, 1);
        mismatch(within.update_if("a", wrong, |_| panic!("not called")), wrong, 1);
        mismatch(within.patch_if("a", wrong, &Patch::new().set("n", 9)), wrong, 1);
        mismatch(within.delete_if("a", wrong).map(|()| 0), wrong, 1);
        transaction.commit().unwrap();
    }
    assert_eq!(
        things.get("a").unwrap().unwrap().to::<bson::Document>().unwrap(),
        doc! { "_id": "a", "n": 1 }
    );

    assert_eq!(things.replace_if("a", 1, doc! { "n": 2 }).unwrap(), 2);
    assert_eq!(things.update_if("a", 2, |d| drop(d.insert("n", 3))).unwrap(), 3);
    assert_eq!(things.patch_if("a", 3, &Patch::new().inc("n", 1)).unwrap(), 4);
    assert_eq!(n(&things.get("a").unwrap().unwrap()), 4);
    things.delete_if("a", 4).unwrap();
    assert!(things.get("a").unwrap().is_none());
}

#[test]
fn what_is_not_there_has_no_version() {
    let (_db, things) = collection();
    let absent = |result: Result<u64>| {
        let error = result.unwrap_err();
        assert!(
            matches!(&error, Error::NotFound { collection, id, .. } if collection == "things" && *id == 7.into()),
            "{error}"
        );
        assert!(error.to_string().contains("`things` has no document with id 7"), "{error}");
    };
    absent(things.replace(7, doc! {}));
    absent(things.replace_if(7, 1, doc! {}));
    absent(things.update(7, |_| panic!("not called")));
    absent(things.update_if(7, 1, |_| panic!("not called")));
    absent(things.patch(7, &Patch::new()));
    absent(things.patch_if(7, 1, &Patch::new()));
    absent(things.delete_if(7, 1).map(|()| 0));
    assert_eq!(things.count().unwrap(), 0);
}

/// Of several writers who all read the same version exactly one wins.
#[test]
fn one_of_many_conditional_writers_wins() {
    let (_db, things) = collection();
    things.insert(doc! { "_id": "a", "n": 0 }).unwrap();
    let things = &things;
    let won = std::thread::scope(|scope| {
        let write = |n: i32| scope.spawn(move || things.replace_if("a", 1, doc! { "n": n }));
        let writers: Vec<_> = (0..16).map(write).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).filter(Result::is_ok).count()
    });
    assert_eq!((won, things.get("a").unwrap().unwrap().version()), (1, 2));
}
