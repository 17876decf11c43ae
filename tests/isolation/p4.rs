//! P4, lost update: two transactions read a value, and each writes what it makes of it. Read committed allows it for a read and a blind
//! write, and not for a call that does both.

use crate::script::check;
use skipstone::bson::doc;
use skipstone::{ConflictKind, Database, Error, Isolation, TransactionOptions};

#[test]
fn a_read_and_a_blind_write() {
    check(
        "setup x=10 y=20
         T1 begin
         T2 begin
         T1 get x  => 10
         T2 get x  => 10
         T1 put x 11
         T2 put x 12
         T1 commit => ok
         T2 commit => ok | write conflict x | write conflict x
         end       => x=12 y=20 | x=11 y=20 | x=11 y=20",
    );
}

#[test]
fn the_second_begins_its_write_after_the_first_has_committed() {
    check(
        "setup x=10
         T1 begin
         T2 begin
         T1 get x  => 10
         T2 get x  => 10
         T1 put x 11
         T1 commit => ok
         T2 get x  => 11 | 10 | 10
         T2 put x 12
         T2 commit => ok | write conflict x | write conflict x
         end       => x=12 | x=11 | x=11",
    );
}

#[test]
fn an_update_in_one_call_is_never_lost() {
    for level in [Isolation::ReadCommitted, Isolation::Snapshot, Isolation::Serializable] {
        let db = Database::in_memory();
        let counters = db.collection("counters").unwrap();
        counters.insert(doc! { "_id": "x", "n": 10 }).unwrap();
        let mut transaction = db.begin_with(TransactionOptions::new().isolation(level)).unwrap();
        let add = |n: i32| {
            move |d: &mut skipstone::bson::Document| {
                let was = d.get_i32("n").unwrap();
                d.insert("n", was + n);
            }
        };
        transaction.collection(&counters).unwrap().update("x", add(1)).unwrap();
        counters.update("x", add(100)).unwrap();
        let error = transaction.commit().unwrap_err();
        assert!(
            matches!(&error, Error::Conflict { conflict, .. } if conflict.kind == ConflictKind::Write),
            "at {level:?}: {error}"
        );
        assert_eq!(counters.get("x").unwrap().unwrap().get("n").unwrap().as_i32(), Some(110), "at {level:?}");
    }
}

/// A statement that begins after the other commit sees it under read committed, and loses nothing.
#[test]
fn an_update_under_read_committed_goes_on_from_the_newest_value() {
    let db = Database::in_memory();
    let counters = db.collection("counters").unwrap();
    counters.insert(doc! { "_id": "x", "n": 10 }).unwrap();
    let mut transaction =
        db.begin_with(TransactionOptions::new().isolation(Isolation::ReadCommitted)).unwrap();
    counters.update("x", |d| drop(d.insert("n", 110))).unwrap();
    let version = transaction
        .collection(&counters)
        .unwrap()
        .update("x", |d| {
            let was = d.get_i32("n").unwrap();
            d.insert("n", was + 1);
        })
        .unwrap();
    transaction.commit().unwrap();
    assert_eq!(version, 3);
    assert_eq!(counters.get("x").unwrap().unwrap().get("n").unwrap().as_i32(), Some(111));
}
