//! How much of the past is kept, and that this can be changed.

use crate::model::{Past, Step, seen};
use skipstone::bson::doc;
use skipstone::{Builder, Database, Error, Lsn, Retention};
use std::time::{Duration, SystemTime};

fn put(past: &mut Past, times: i32) {
    (0..times).for_each(|n| past.step(&Step::Put(n % 3, n)));
    past.db.sweep().unwrap();
}

fn gone(db: &Database, position: Lsn) -> Lsn {
    match db.at(position) {
        Err(Error::HistoryGone { asked, oldest, .. }) => {
            assert_eq!(asked, position.into());
            assert!(position < oldest && db.at(oldest).is_ok());
            oldest
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("{position} can be read, and {} is the oldest", db.oldest_position()),
    }
}

/// The states that can be read are as they were.
fn check(past: &Past) -> usize {
    let readable =
        past.states.iter().filter_map(|(position, state)| Some((past.db.at(*position).ok()?, state)));
    readable.map(|(then, state)| assert_eq!(&seen(&then, &past.things), state)).count()
}

#[test]
fn less_gives_up_and_more_brings_nothing_back() {
    let mut past = Past::run(Builder::new().retain_history_bytes(1 << 20), &[]);
    put(&mut past, 300);
    assert_eq!(check(&past), past.states.len(), "all of it is kept");
    let db = past.db.clone();
    let (early, held) = (past.states[10].0, db.at(past.states[10].0).unwrap());

    db.set_retention(Retention::new().bytes(2_000)).unwrap();
    assert_eq!(db.retention(), Retention::new().bytes(2_000));
    put(&mut past, 100);
    let oldest = gone(&db, early);
    assert!(db.position().get() - oldest.get() <= 2_000);
    let readable = check(&past);
    assert!(readable > 1 && readable < 100, "{readable}");
    assert_eq!(seen(&held, &past.things), past.states[10].1, "an open snapshot never changes");

    db.set_retention(Retention::new().bytes(1 << 20)).unwrap();
    assert_eq!(gone(&db, early), oldest, "what is gone stays so");
    put(&mut past, 300);
    assert_eq!(db.oldest_position(), oldest, "and from there on all is kept");
    assert_eq!(check(&past), readable + 300);
}

/// More is kept from now on. What only a snapshot keeps goes with it all the same.
#[test]
fn what_only_a_snapshot_kept_goes_with_it_when_more_is_kept_by_then() {
    let mut past = Past::run(Builder::new(), &[]);
    put(&mut past, 30);
    let db = past.db.clone();
    let snapshot = db.snapshot().unwrap();
    put(&mut past, 30);
    db.set_retention(Retention::new().bytes(u64::MAX)).unwrap();
    let at = snapshot.position();
    drop(snapshot);
    put(&mut past, 1);
    let things = &past.things;
    let later = things.history(1).unwrap();
    assert!(later.iter().all(|revision| revision.position > at), "{at} {later:?}");
}

#[test]
fn nothing_is_kept_of_a_store_that_was_not_asked_to() {
    let mut past = Past::run(Builder::new(), &[]);
    put(&mut past, 300);
    gone(&past.db, past.states[10].0);
    assert!(past.things.history(1).unwrap().len() <= 1, "{:?}", past.things.history(1));
    assert_eq!(past.db.retention(), Retention::default());
}

#[test]
fn bytes_in_memory_are_about_those_of_a_log() {
    let dir = tempfile::tempdir().unwrap();
    let grown = |builder: Builder| {
        let db = builder.open().unwrap();
        let things = db.collection("things").unwrap();
        let before = db.position();
        things.insert_many((0..100).map(|id| doc! { "_id": id, "text": "x".repeat(1_000) })).unwrap();
        db.position().get() - before.get()
    };
    let (in_memory, logged) = (grown(Builder::new()), grown(Builder::new().path(dir.path().join("store"))));
    assert!(in_memory.abs_diff(logged) < logged / 10, "{in_memory} in memory, {logged} in a log");
}

#[test]
fn times_before_the_opening_and_to_come_are_refused() {
    let past = Past::run(Builder::new().retain_history_for(Duration::MAX), &[Step::Put(1, 1)]);
    let (now, hour) = (SystemTime::now(), Duration::from_secs(3_600));
    assert!(past.db.at(now).is_ok());
    match past.db.at(now - hour).err().expect("before the opening") {
        Error::HistoryGone { asked, oldest, oldest_time, .. } => {
            assert_eq!((asked, oldest), ((now - hour).into(), past.db.oldest_position()));
            let oldest_time = oldest_time.expect("it is that of the opening");
            assert!(oldest_time <= now && past.db.at(oldest_time).is_ok());
        }
        other => panic!("{other}"),
    }
    let error = past.db.at(now + hour).err().expect("in the future");
    assert!(
        matches!(&error, Error::TimeNotReached { time, now: said, .. } if *time == now + hour && *said < *time),
        "{error}"
    );
    for beyond in [SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH - hour] {
        assert!(matches!(past.db.at(beyond), Err(Error::HistoryGone { .. })));
    }
}
