//! Savepoints: places in a transaction to go back to, one inside the other.

use crate::{collection, n};
use skipstone::bson::doc;
use skipstone::{Collection, Error, Savepoint, Transaction};

fn write(transaction: &mut Transaction<'_>, things: &Collection, value: i32) {
    transaction.collection(things).unwrap().upsert(doc! { "_id": 1, "n": value }).unwrap();
}

fn value(transaction: &mut Transaction<'_>, things: &Collection) -> i64 {
    transaction.collection(things).unwrap().get(1).unwrap().map_or(0, |found| n(&found))
}

fn closed(transaction: &mut Transaction<'_>, savepoint: Savepoint) {
    assert!(matches!(transaction.rollback_to(savepoint), Err(Error::SavepointClosed)));
    let error = transaction.release(savepoint).unwrap_err();
    assert!(matches!(error, Error::SavepointClosed), "{error}");
}

#[test]
fn they_nest_and_each_takes_back_what_came_after_it() {
    let (db, things) = collection();
    let mut transaction = db.begin().unwrap();
    write(&mut transaction, &things, 1);
    let first = transaction.savepoint();
    write(&mut transaction, &things, 2);
    let second = transaction.savepoint();
    write(&mut transaction, &things, 3);
    transaction.collection(&things).unwrap().insert(doc! { "_id": 2 }).unwrap();
    let third = transaction.savepoint();
    transaction.collection(&things).unwrap().delete(1).unwrap();
    assert_eq!(value(&mut transaction, &things), 0);

    transaction.rollback_to(third).unwrap();
    assert_eq!(value(&mut transaction, &things), 3);
    closed(&mut transaction, third);
    transaction.rollback_to(second).unwrap();
    assert_eq!(value(&mut transaction, &things), 2);
    assert!(transaction.collection(&things).unwrap().get(2).unwrap().is_none());
    write(&mut transaction, &things, 4);
    transaction.rollback_to(first).unwrap();
    assert_eq!(value(&mut transaction, &things), 1);
    write(&mut transaction, &things, 5);
    transaction.commit().unwrap();
    assert_eq!((n(&things.get(1).unwrap().unwrap()), things.count().unwrap()), (5, 1));
}

#[test]
fn going_back_to_an_outer_one_closes_the_inner_ones() {
    let (db, things) = collection();
    let mut transaction = db.begin().unwrap();
    let outer = transaction.savepoint();
    write(&mut transaction, &things, 1);
    let inner = transaction.savepoint();
    transaction.rollback_to(outer).unwrap();
    closed(&mut transaction, inner);
    closed(&mut transaction, outer);
    assert_eq!(value(&mut transaction, &things), 0);
}

#[test]
fn a_release_keeps_what_was_written_and_an_outer_one_can_take_it_back() {
    let (db, things) = collection();
    let mut transaction = db.begin().unwrap();
    let outer = transaction.savepoint();
    write(&mut transaction, &things, 1);
    let inner = transaction.savepoint();
    write(&mut transaction, &things, 2);
    transaction.release(inner).unwrap();
    assert_eq!(value(&mut transaction, &things), 2);
    closed(&mut transaction, inner);
    let again = transaction.savepoint();
    write(&mut transaction, &things, 3);
    transaction.rollback_to(again).unwrap();
    assert_eq!(value(&mut transaction, &things), 2);
    transaction.rollback_to(outer).unwrap();
    assert_eq!(value(&mut transaction, &things), 0);
    transaction.commit().unwrap();
    assert_eq!(things.count().unwrap(), 0);
}

#[test]
fn one_that_was_closed_stays_closed_when_others_are_opened() {
    let (db, things) = collection();
    let mut transaction = db.begin().unwrap();
    let first = transaction.savepoint();
    transaction.release(first).unwrap();
    let second = transaction.savepoint();
    write(&mut transaction, &things, 1);
    closed(&mut transaction, first);
    assert_eq!(value(&mut transaction, &things), 1);
    transaction.rollback_to(second).unwrap();
    assert_eq!(value(&mut transaction, &things), 0);
}

#[test]
fn one_of_another_transaction_is_none_of_this() {
    let (db, things) = collection();
    let mut other = db.begin().unwrap();
    let foreign = other.savepoint();
    let mut transaction = db.begin().unwrap();
    closed(&mut transaction, foreign);
    transaction.savepoint();
    write(&mut transaction, &things, 1);
    closed(&mut transaction, foreign);
    assert_eq!(value(&mut transaction, &things), 1);
}

/// A write that was taken back is no write: it conflicts with nobody.
#[test]
fn what_was_taken_back_does_not_conflict() {
    let (db, things) = collection();
    things.insert(doc! { "_id": 1, "n": 0 }).unwrap();
    let mut transaction = db.begin().unwrap();
    let savepoint = transaction.savepoint();
    write(&mut transaction, &things, 1);
    transaction.rollback_to(savepoint).unwrap();
    transaction.collection(&things).unwrap().insert(doc! { "_id": 2 }).unwrap();
    things.update(1, |d| drop(d.insert("n", 7))).unwrap();
    transaction.commit().unwrap();
    assert_eq!((n(&things.get(1).unwrap().unwrap()), things.count().unwrap()), (7, 2));
}
