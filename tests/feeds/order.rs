//! What is told: everything that was committed, once, in order, with what was there before.

use crate::{LONG, next, stores, take};
use futures_core::Stream;
use skipstone::bson::doc;
use skipstone::{
    ChangeKind, Database, Durability, Error, Index, Moment, Patch, TransactionOptions, Watch, field,
};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

#[test]
fn changes_are_told_in_the_order_of_commits_with_both_images() {
    for (db, _dir) in stores() {
        let (towns, other) = (db.collection("towns").unwrap(), db.collection("other").unwrap());
        towns.create_index(Index::on("n").unwrap()).unwrap();
        towns.insert(doc! { "_id": 0, "n": 0 }).unwrap();
        let mut all = db.watch(Watch::new()).unwrap();
        let mut of_towns = towns.watch(Watch::new()).unwrap();
        assert!(all.try_next().unwrap().is_none());

        db.keyspace("bytes").unwrap().put(b"k", b"v").unwrap();
        towns.insert(doc! { "_id": 1, "n": 1 }).unwrap();
        let at = db
            .transact(|tx| {
                tx.collection(&towns)?.patch(0, &Patch::new().inc("n", 5))?;
                tx.collection(&towns)?.patch(1, &Patch::new().inc("n", 5))?;
                tx.collection(&other)?.insert(doc! { "_id": "x" })?;
                Ok(())
            })
            .map(|()| db.position())
            .unwrap();
        towns.delete(1).unwrap();
        db.collection("later").unwrap().insert(doc! { "_id": 7 }).unwrap();

        let told = take(&mut all, 6);
        let shown: Vec<_> = told.iter().map(|c| (c.collection(), c.kind(), c.id().clone())).collect();
        let expected = [
            ("towns", ChangeKind::Inserted, 1.into()),
            ("towns", ChangeKind::Updated, 0.into()),
            ("towns", ChangeKind::Updated, 1.into()),
            ("other", ChangeKind::Inserted, "x".into()),
            ("towns", ChangeKind::Deleted, 1.into()),
            ("later", ChangeKind::Inserted, 7.into()),
        ];
        assert_eq!(shown.len(), 6);
        // Within a transaction in the order of keyspaces and keys.
        for expected in &expected {
            assert!(shown.contains(expected), "{expected:?} is not in {shown:?}");
        }
        assert!(told.is_sorted_by_key(|change| change.position()));
        assert_eq!(told[1].position(), told[3].position());
        assert!(told[3].position() < at && told[4].position() >= at);
        let n = |document: Option<&skipstone::Document>| {
            document.map(|document| document.get("n").unwrap().as_i32().unwrap())
        };
        let images: Vec<_> = told
            .iter()
            .filter(|c| c.collection() == "towns")
            .map(|c| (n(c.before()), n(c.after())))
            .collect();
        assert_eq!(images, [(None, Some(1)), (Some(0), Some(5)), (Some(1), Some(6)), (Some(6), None)]);
        assert!(told.iter().all(|change| change.is_before_known()));
        assert_eq!(take(&mut of_towns, 4).last().unwrap().kind(), ChangeKind::Deleted);
        assert!(of_towns.next_within(Duration::ZERO).unwrap().is_none());
    }
}

#[test]
fn a_filter_tells_what_matched_before_or_does_now() {
    for (db, _dir) in stores() {
        let towns = db.collection("towns").unwrap();
        let mut large = towns.watch(Watch::new().matching(field("n").gt(10))).unwrap();
        for n in [1, 11, 12, 2, 3, 13] {
            towns.upsert(doc! { "_id": 1, "n": n }).unwrap();
        }
        towns.delete(1).unwrap();
        let told = take(&mut large, 5);
        let n: Vec<_> = told.iter().map(|c| c.after().and_then(|d| d.get("n")?.as_i32())).collect();
        assert_eq!(n, [Some(11), Some(12), Some(2), Some(13), None]);
        assert!(large.try_next().unwrap().is_none());
    }
}

#[test]
fn a_feed_begins_at_any_position_that_is_left() {
    for (db, _dir) in stores() {
        let towns = db.collection("towns").unwrap();
        // In memory nothing is kept before somebody asks.
        let first = db.watch(Watch::new()).unwrap();
        let snapshots: Vec<_> = (0..5)
            .map(|n| {
                towns.insert(doc! { "_id": n }).unwrap();
                db.snapshot().unwrap()
            })
            .collect();
        for (seen, snapshot) in snapshots.iter().enumerate() {
            let mut rest = towns.watch(Watch::new().from_position(snapshot.position())).unwrap();
            let ids: Vec<_> = take(&mut rest, 4 - seen).iter().map(|c| c.id().clone()).collect();
            let expected: Vec<skipstone::DocumentId> = (seen as i32 + 1..5).map(Into::into).collect();
            assert_eq!(ids, expected);
            assert!(rest.try_next().unwrap().is_none());
        }
        let ahead = skipstone::Lsn::new(db.position().get() + 800);
        assert!(matches!(db.watch(Watch::new().from_position(ahead)), Err(Error::NotReached { .. })));
        drop(first);
    }
}

#[test]
fn commits_that_nobody_waits_for_are_told_too() {
    for (db, _dir) in stores() {
        let towns = db.collection("towns").unwrap();
        let mut changes = db.watch(Watch::new()).unwrap();
        let mut tx = db.begin_with(TransactionOptions::new().durability(Durability::None)).unwrap();
        tx.collection(&towns).unwrap().insert(doc! { "_id": 1 }).unwrap();
        let position = tx.commit().unwrap();
        assert_eq!(next(&mut changes).position(), position);
    }
}

#[test]
fn transactions_larger_than_the_ring_are_told_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path().join("store")).unwrap();
    let things = db.collection("things").unwrap();
    let large = "x".repeat(1 << 20);
    let mut changes = db.watch(Watch::new()).unwrap();
    things.insert_many((0..40).map(|n| doc! { "_id": n, "large": &large[..] })).unwrap();
    things.insert(doc! { "_id": 40 }).unwrap();
    let told = take(&mut changes, 41);
    assert!(told.iter().enumerate().all(|(n, change)| *change.id() == (n as i32).into()));
    assert!(told[..40].iter().all(|change| change.position() == told[0].position()));
    assert_eq!(told[39].after().unwrap().get("large").and_then(|v| v.as_str()), Some(&large[..]));
}

#[test]
fn a_store_in_memory_keeps_so_much_and_writers_go_on() {
    let db = Database::in_memory();
    let things = db.collection("things").unwrap();
    let mut slow = db.watch(Watch::new()).unwrap();
    let large = "x".repeat(1 << 20);
    for n in 0..80 {
        things.insert(doc! { "_id": n, "large": &large[..] }).unwrap();
    }
    let Err(Error::HistoryGone { asked: Moment::Position(position), oldest, .. }) = slow.try_next() else {
        panic!("it came too late")
    };
    assert!(position < oldest);
    let mut again = db.watch(Watch::new().from_position(oldest)).unwrap();
    let told = next(&mut again);
    assert_eq!(told.position(), oldest);
    let cursor = again.cursor();
    let last = std::iter::from_fn(|| again.try_next().unwrap()).last().unwrap();
    assert_eq!(*last.id(), 79.into());
    assert!(db.watch(Watch::new().after(&cursor)).is_ok());
}

#[test]
fn who_waits_is_woken_by_a_commit_and_by_closing() {
    for (db, _dir) in stores() {
        let towns = db.collection("towns").unwrap();
        let mut changes = db.watch(Watch::new()).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(move || {
                let first = changes.next().unwrap().unwrap();
                (first.id().clone(), changes.next().unwrap())
            });
            std::thread::sleep(Duration::from_millis(20));
            towns.insert(doc! { "_id": 1 }).unwrap();
            std::thread::sleep(Duration::from_millis(20));
            db.clone().close().unwrap();
            let (id, end) = waiting.join().unwrap();
            assert_eq!(id, 1.into());
            assert!(matches!(end, Err(Error::Closed)), "{end:?}");
        });
        assert!(matches!(db.watch(Watch::new()), Err(Error::Closed)));
    }
}

/// A waker that unparks the thread that made it.
fn waker() -> std::task::Waker {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    std::sync::Arc::new(Unpark(std::thread::current())).into()
}

#[test]
fn tasks_are_woken_too() {
    for (db, _dir) in stores() {
        let towns = db.collection("towns").unwrap();
        let mut changes = db.watch(Watch::new()).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(move || {
                let (waker, mut told) = (waker(), Vec::new());
                while told.len() < 100 {
                    match Pin::new(&mut changes).poll_next(&mut Context::from_waker(&waker)) {
                        Poll::Pending => std::thread::park_timeout(LONG),
                        Poll::Ready(change) => told.push(change.unwrap().unwrap()),
                    }
                }
                told
            });
            for n in 0..100 {
                towns.insert(doc! { "_id": n }).unwrap();
                if n % 10 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            let told = waiting.join().unwrap();
            assert!(told.iter().enumerate().all(|(n, change)| *change.id() == (n as i32).into()));
        });
    }
}

#[test]
fn a_mistake_in_the_filter_is_an_error() {
    let db = Database::in_memory();
    let wrong = field("a").regex("(");
    assert!(matches!(db.watch(Watch::new().matching(wrong)), Err(Error::Query(_))));
}

/// Also at positions where nothing was committed.
#[test]
fn a_position_between_commits_begins_with_the_next_one() {
    for (db, _dir) in stores() {
        let towns = db.collection("towns").unwrap();
        let mut all = db.watch(Watch::new()).unwrap();
        let begin = db.position().get();
        towns.insert_many((0..5).map(|n| doc! { "_id": n })).unwrap();
        (5..10).for_each(|n| drop(towns.insert(doc! { "_id": n }).unwrap()));
        let told = take(&mut all, 10);
        for at in (begin..=db.position().get()).step_by(8) {
            let at = skipstone::Lsn::new(at);
            let mut from = towns.watch(Watch::new().from_position(at)).unwrap();
            let expected: Vec<_> = told.iter().filter(|change| change.position() >= at).collect();
            let found = take(&mut from, expected.len());
            assert!(found.iter().zip(&expected).all(|(found, expected)| found.id() == expected.id()), "{at}");
            assert!(from.try_next().unwrap().is_none());
        }
    }
}
