//! Transactions that are open while indexes come and go: they commit by the indexes that there are then.

use crate::{check, index_error};
use skipstone::bson::{Document, doc};
use skipstone::{
    Collection, Database, Error, Index, IndexError, Isolation, Patch, Transaction, TransactionOptions,
};

const LEVELS: [Isolation; 3] = [Isolation::ReadCommitted, Isolation::Snapshot, Isolation::Serializable];

fn unique(path: &str) -> Index {
    Index::on(path).unwrap().unique()
}

/// A store with these documents, at each level.
fn at_each_level(documents: &[Document], run: impl Fn(&Database, &Collection, Isolation)) {
    for level in LEVELS {
        let db = Database::in_memory();
        let towns = db.collection("towns").unwrap();
        towns.insert_many(documents.iter().cloned()).unwrap();
        run(&db, &towns, level);
    }
}

fn begin(db: &Database, level: Isolation) -> Transaction<'_> {
    db.begin_with(TransactionOptions::new().isolation(level)).unwrap()
}

/// Ids from the smallest to the greatest and back, for what is written anew is written in the order of ids.
const ORDERS: [[i32; 3]; 2] = [[1, 2, 3], [3, 2, 1]];

#[test]
fn values_that_change_places_are_no_duplicates_when_an_index_comes_between() {
    let documents: Vec<_> = (1..=3).map(|id| doc! { "_id": id, "v": id }).collect();
    for [first, second, third] in ORDERS {
        at_each_level(&documents, |db, towns, level| {
            towns.create_index(unique("v")).unwrap();
            let mut transaction = begin(db, level);
            let mut within = transaction.collection(towns).unwrap();
            // Round: the first gets what the second had, and so on.
            within.patch(first, &Patch::new().set("v", 10)).unwrap();
            within.patch(third, &Patch::new().set("v", first)).unwrap();
            within.patch(second, &Patch::new().set("v", third)).unwrap();
            within.patch(first, &Patch::new().set("v", second)).unwrap();
            // Whatever index it is, all are written anew.
            towns.create_index(Index::on("other").unwrap()).unwrap();
            transaction.commit().unwrap_or_else(|error| panic!("{error}, at {level:?}"));
            assert_eq!(towns.get(first).unwrap().unwrap().get("v").unwrap().as_i32(), Some(second));
            check(db, towns, 2);
        });
    }
}

#[test]
fn a_value_that_was_given_up_before_the_index_came_may_be_taken_after() {
    for [gone, next, _] in ORDERS {
        at_each_level(&[doc! { "_id": gone, "v": "x" }], |db, towns, level| {
            let mut transaction = begin(db, level);
            assert!(transaction.collection(towns).unwrap().delete(gone).unwrap());
            towns.create_index(unique("v")).unwrap();
            let inserted = transaction.collection(towns).unwrap().insert(doc! { "_id": next, "v": "x" });
            inserted.unwrap_or_else(|error| panic!("{error}, at {level:?}"));
            transaction.commit().unwrap_or_else(|error| panic!("{error}, at {level:?}"));
            check(db, towns, 1);
            assert!(towns.insert(doc! { "_id": 9, "v": "x" }).is_err());
        });
    }
}

#[test]
fn duplicates_that_were_none_before_the_index_came_are_refused_at_the_commit() {
    at_each_level(&[doc! { "_id": 1, "v": "x" }], |db, towns, level| {
        let mut transaction = begin(db, level);
        transaction.collection(towns).unwrap().insert(doc! { "_id": 2, "v": "x" }).unwrap();
        towns.create_index(unique("v")).unwrap();
        let error = index_error(transaction.commit().unwrap_err());
        assert!(matches!(error, IndexError::Duplicate { .. }), "{error}, at {level:?}");
        let mut transaction = begin(db, level);
        let mut within = transaction.collection(towns).unwrap();
        within.insert(doc! { "_id": 2, "v": "y" }).unwrap();
        within.insert(doc! { "_id": 3, "w": 1 }).unwrap();
        within.insert(doc! { "_id": 4, "v": "z", "w": 1 }).unwrap();
        towns.create_index(unique("w").sparse()).unwrap();
        let error = index_error(transaction.commit().unwrap_err());
        assert!(matches!(error, IndexError::Duplicate { .. }), "{error}, at {level:?}");
        assert_eq!(towns.count().unwrap(), 1);
        check(db, towns, 2);
    });
}

#[test]
fn what_has_no_place_in_a_new_index_is_refused_at_the_commit_and_may_be_mended_before() {
    let both = || doc! { "_id": 1, "a": [1, 2], "b": [1, 2] };
    at_each_level(&[], |db, towns, level| {
        let mut transaction = begin(db, level);
        transaction.collection(towns).unwrap().insert(both()).unwrap();
        let mut mended = begin(db, level);
        mended.collection(towns).unwrap().insert(both()).unwrap();
        mended.collection(towns).unwrap().insert(doc! { "_id": 2, "a": [1, 2] }).unwrap();
        towns.create_index(Index::on("a").unwrap().and("b").unwrap()).unwrap();
        let error = index_error(transaction.commit().unwrap_err());
        assert!(matches!(error, IndexError::Entry { .. }), "{error}");
        mended.collection(towns).unwrap().patch(1, &Patch::new().set("b", 1)).unwrap();
        mended.commit().unwrap_or_else(|error| panic!("{error}, at {level:?}"));
        check(db, towns, 1);
    });
}

/// Nobody else wrote what they wrote; the build did write to the index.
#[test]
fn those_that_began_before_an_index_commit_after_it_is_ready() {
    let documents: Vec<_> =
        (0..40).map(|id| doc! { "_id": id, "v": id, "tags": [id % 3, "x", id] }).collect();
    at_each_level(&documents, |db, towns, level| {
        let (mut early, mut late) = (begin(db, level), begin(db, level));
        let write = |transaction: &mut Transaction<'_>, from: i32| {
            let mut within = transaction.collection(towns).unwrap();
            within.patch(from, &Patch::new().set("tags", vec![7, from])).unwrap();
            within.delete(from + 1).unwrap();
            within.insert(doc! { "_id": from + 100, "v": from + 1, "tags": ["a", "b"] }).unwrap();
        };
        write(&mut early, 10);
        towns.create_index(unique("v")).unwrap();
        towns.create_index(Index::on("tags").unwrap()).unwrap();
        towns.create_index(Index::on("gone").unwrap()).unwrap();
        towns.drop_index("gone").unwrap();
        write(&mut late, 20);
        late.commit().unwrap_or_else(|error| panic!("{error}, at {level:?}"));
        early.commit().unwrap_or_else(|error| panic!("{error}, at {level:?}"));
        assert_eq!(towns.count().unwrap(), 40);
        check(db, towns, 2);
    });
}

#[test]
fn a_dropped_index_asks_nothing_of_them() {
    at_each_level(&[doc! { "_id": 1, "v": "x" }], |db, towns, level| {
        towns.create_index(unique("v")).unwrap();
        let mut transaction = begin(db, level);
        let mut within = transaction.collection(towns).unwrap();
        within.patch(1, &Patch::new().set("v", "y")).unwrap();
        let error = index_error(within.insert(doc! { "_id": 2, "v": "y" }).unwrap_err());
        assert!(matches!(error, IndexError::Duplicate { .. }));
        towns.drop_index("v").unwrap();
        transaction.collection(towns).unwrap().insert(doc! { "_id": 2, "v": "y" }).unwrap();
        transaction.commit().unwrap();
        check(db, towns, 0);
        // The same name, not unique: nothing of the old one is in it.
        towns.create_index(Index::on("v").unwrap()).unwrap();
        check(db, towns, 1);
    });
}

#[test]
fn a_rolled_back_savepoint_takes_entries_back() {
    at_each_level(&[doc! { "_id": 1, "v": 1 }, doc! { "_id": 2, "v": [1, 5] }], |db, towns, level| {
        for (number, path) in ["v", "w"].into_iter().enumerate() {
            let mut transaction = begin(db, level);
            let mut within = transaction.collection(towns).unwrap();
            within.patch(1, &Patch::new().set("w", [1, 2])).unwrap();
            let savepoint = transaction.savepoint();
            if number == 0 {
                towns.create_index(Index::on(path).unwrap()).unwrap();
            }
            let mut within = transaction.collection(towns).unwrap();
            within.patch(1, &Patch::new().set("v", [8, 9])).unwrap();
            within.delete(2).unwrap();
            if number == 1 {
                towns.create_index(Index::on(path).unwrap()).unwrap();
            }
            transaction.rollback_to(savepoint).unwrap();
            transaction.commit().unwrap();
            assert!(towns.exists(2).unwrap());
            check(db, towns, number + 1);
        }
    });
}

#[test]
fn one_that_lost_to_another_says_so() {
    at_each_level(&[], |db, towns, level| {
        towns.create_index(unique("v")).unwrap();
        let mut transaction = begin(db, level);
        transaction.collection(towns).unwrap().insert(doc! { "_id": 1, "v": "x" }).unwrap();
        towns.insert(doc! { "_id": 2, "v": "x" }).unwrap();
        let error = transaction.commit().unwrap_err();
        assert!(matches!(error, Error::Conflict { .. }), "{error}, at {level:?}");
        check(db, towns, 1);
    });
}
