//! A transaction reads what it wrote, in single reads and in ranges, and nobody else does before it commits.

use crate::{collection, n};
use skipstone::bson::doc;
use skipstone::{DocumentId, Isolation, Result, TransactionCollection, TransactionOptions};

fn ids(scan: impl Iterator<Item = Result<skipstone::Document>>) -> Vec<i64> {
    scan.map(|d| match d.unwrap().id().unwrap() {
        DocumentId::Int(id) => id,
        other => panic!("{other}"),
    })
    .collect()
}

fn forwards(within: &TransactionCollection<'_, '_>) -> Vec<i64> {
    ids(within.scan().map(|d| d.map(|d| d.into_owned())))
}

fn backwards(within: &TransactionCollection<'_, '_>) -> Vec<i64> {
    ids(within.scan_rev().map(|d| d.map(|d| d.into_owned())))
}

#[test]
fn in_reads_and_in_scans_of_both_directions() {
    for level in [Isolation::ReadCommitted, Isolation::Snapshot, Isolation::Serializable] {
        let (db, things) = collection();
        things.insert_many([1, 3, 5, 7].map(|id| doc! { "_id": id, "n": 0 })).unwrap();
        let mut transaction = db.begin_with(TransactionOptions::new().isolation(level)).unwrap();
        let mut within = transaction.collection(&things).unwrap();
        within.insert(doc! { "_id": 0, "n": 1 }).unwrap();
        within.insert(doc! { "_id": 4, "n": 1 }).unwrap();
        within.insert(doc! { "_id": 9, "n": 1 }).unwrap();
        within.update(5, |d| drop(d.insert("n", 2))).unwrap();
        assert!(within.delete(3).unwrap());
        assert!(within.delete(9).unwrap() && !within.delete(9).unwrap());

        assert_eq!(forwards(&within), [0, 1, 4, 5, 7]);
        assert_eq!(backwards(&within), [7, 5, 4, 1, 0]);
        let range = || DocumentId::Int(1)..DocumentId::Int(7);
        assert_eq!(ids(within.range(range()).unwrap().map(|d| d.map(|d| d.into_owned()))), [1, 4, 5]);
        assert_eq!(ids(within.range_rev(range()).unwrap().map(|d| d.map(|d| d.into_owned()))), [5, 4, 1]);
        let five = within.get(5).unwrap().unwrap();
        assert_eq!((n(&five), five.version(), five.position()), (2, 2, None), "not committed yet");
        assert!(within.get(3).unwrap().is_none() && within.get(9).unwrap().is_none());
        assert!(within.get(1).unwrap().unwrap().position().is_some());

        assert_eq!(things.count().unwrap(), 4, "nobody else sees it");
        assert!(things.get(4).unwrap().is_none() && things.get(3).unwrap().is_some());
        transaction.commit().unwrap();
        let snapshot = db.snapshot().unwrap();
        let after = ids(snapshot.collection(&things).unwrap().scan().map(|d| d.map(|d| d.into_owned())));
        assert_eq!(after, [0, 1, 4, 5, 7]);
    }
}

/// More own and foreign entries than any batch a scan fetches at a time, interleaved.
#[test]
fn in_long_scans() {
    for level in [Isolation::ReadCommitted, Isolation::Snapshot, Isolation::Serializable] {
        let (db, things) = collection();
        things.insert_many((0..3_000).step_by(3).map(|id| doc! { "_id": id })).unwrap();
        let mut transaction = db.begin_with(TransactionOptions::new().isolation(level)).unwrap();
        let mut within = transaction.collection(&things).unwrap();
        for id in (1..3_000).step_by(3) {
            within.insert(doc! { "_id": id }).unwrap();
        }
        for id in (0..3_000).step_by(9) {
            within.delete(id).unwrap();
        }
        let mut expected: Vec<i64> = (0..3_000).filter(|id| id % 3 < 2 && id % 9 != 0).collect();
        assert_eq!(forwards(&within), expected);
        expected.reverse();
        assert_eq!(backwards(&within), expected);
        transaction.rollback();
        assert_eq!(things.count().unwrap(), 1_000);
    }
}

#[test]
fn several_collections_in_one_transaction() {
    let (db, things) = collection();
    let (others, bytes) = (db.collection("others").unwrap(), db.keyspace("things").unwrap());
    let mut transaction = db.begin().unwrap();
    transaction.collection(&things).unwrap().insert(doc! { "_id": 1, "n": 1 }).unwrap();
    transaction.collection(&others).unwrap().insert(doc! { "_id": 1, "n": 2 }).unwrap();
    transaction.keyspace(&bytes).unwrap().put(b"1", b"3").unwrap();
    assert_eq!(n(&transaction.collection(&things).unwrap().get(1).unwrap().unwrap()), 1);
    assert_eq!(n(&transaction.collection(&others).unwrap().get(1).unwrap().unwrap()), 2);
    assert_eq!(transaction.keyspace(&bytes).unwrap().get(b"1").as_deref(), Some(&b"3"[..]));
    let lsn = transaction.commit().unwrap();
    let one = things.get(1).unwrap().unwrap();
    let two = others.get(1).unwrap().unwrap();
    assert_eq!((one.position(), two.position()), (Some(lsn), Some(lsn)), "at one moment");
}

#[test]
fn dropping_and_rolling_back_change_nothing() {
    let (db, things) = collection();
    things.insert(doc! { "_id": 1, "n": 1 }).unwrap();
    let position = db.position();
    for explicitly in [true, false] {
        let mut transaction = db.begin().unwrap();
        let mut within = transaction.collection(&things).unwrap();
        within.delete(1).unwrap();
        within.insert(doc! { "_id": 2 }).unwrap();
        if explicitly { transaction.rollback() } else { drop(transaction) }
    }
    let failed: Result<()> = db.transact(|tx| {
        tx.collection(&things)?.delete(1)?;
        Err(skipstone::Error::Closed)
    });
    assert!(matches!(failed, Err(skipstone::Error::Closed)));
    assert_eq!((things.count().unwrap(), db.position()), (1, position));
}
