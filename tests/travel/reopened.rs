//! The past from before the store was opened: snapshots, histories, differences, indexes and feeds as if it had never been closed.

use crate::model::{Past, Step, seen};
use skipstone::bson::doc;
use skipstone::{Builder, Database, Index, Lsn, Query, Retention, Watch, field};
use std::path::Path;
use std::time::{Duration, SystemTime};

const KEPT_BYTES: u64 = 100_000;

fn builder(dir: &Path) -> Builder {
    Database::builder().path(dir.join("store")).segment_bytes(1 << 16).ring_bytes(1 << 16)
}

/// Some of everything, seeded.
fn step(random: &mut fastrand::Rng) -> Step {
    let mut put = || (random.i32(..40), random.i32(..6));
    match put().1 {
        0 => Step::Delete(put().0),
        1 => Step::PutAll((0..4).map(|_| put()).collect()),
        _ => {
            let (id, n) = put();
            Step::Put(id, n)
        }
    }
}

/// Every state that can be read, by a scan and through the index, and what is different between it and the last one.
fn check(past: &Past) -> usize {
    let now = past.db.snapshot().unwrap();
    // More may be there, until somebody prunes it.
    let is_kept = |position: Lsn| now.position().get() - position.get() <= KEPT_BYTES;
    let kept = past.states.iter().filter_map(|(position, state)| match past.db.at(*position) {
        Ok(then) => Some((position, state, then)),
        Err(error) if is_kept(*position) => panic!("{error}"),
        Err(_) => None,
    });
    kept.map(|(position, state, then)| {
        assert_eq!(seen(&then, &past.things), *state, "at {position}");
        let things = then.collection(&past.things).unwrap();
        for n in 0..6 {
            let query = Query::new(field("n").eq(n));
            let by_index = query.clone().use_index("n");
            let ids = |query| {
                things.find(query).unwrap().map(|found| found.unwrap().get("_id").unwrap().as_i32().unwrap())
            };
            let mut expected: Vec<i32> =
                state.iter().filter(|(_, (_, of))| *of == n).map(|(id, _)| *id).collect();
            assert_eq!(ids(query).collect::<Vec<_>>(), expected, "n is {n} at {position}");
            let mut found: Vec<i32> = ids(by_index).collect();
            expected.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, expected, "n is {n} at {position}, by the index");
        }
        let changed = things
            .diff(&now.collection(&past.things).unwrap())
            .unwrap()
            .map(|different| different.unwrap().id);
        let changed: Vec<_> = changed.collect();
        let ids = (0..40).filter(|id| state.get(id) != past.state().get(id));
        assert!(ids.into_iter().all(|id| changed.contains(&id.into())), "since {position}");
    })
    .count()
}

#[test]
fn what_was_kept_is_there_after_each_opening() {
    let place = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let kept = builder(place.path()).retain_history_bytes(KEPT_BYTES);
    let mut past = Past::run(kept, &[]);
    past.things.create_index(Index::on("n").unwrap().named("n")).unwrap();
    past.states = vec![(past.db.position(), past.state().clone())];
    for round in 0..8 {
        for _ in 0..150 {
            past.step(&step(&mut random));
            if random.u8(..) < 8 {
                past.db.checkpoint().unwrap();
            }
        }
        let histories: Vec<_> = (0..40).map(|id| past.things.history(id).unwrap()).collect();
        let Past { db, things, states } = past;
        drop(things);
        db.close().unwrap();
        // Not said again: it is the store's.
        let db = builder(place.path()).open().unwrap();
        let things = db.find_collection("things").unwrap().expect("it is there");
        past = Past { db, things, states };
        assert_eq!(past.db.retention(), Retention::new().bytes(KEPT_BYTES));
        assert_eq!(past.db.recovery().lost_history, None);
        assert!(check(&past) > 150, "round {round}");
        for (id, before) in histories.iter().enumerate() {
            // What was kept a little longer than it had to be, on either side.
            let after = past.things.history(id as i32).unwrap();
            let both = before.len().min(after.len());
            assert_eq!(before[..both], after[..both], "{id}");
        }
        assert!(past.db.verify().unwrap().is_sound());
    }
    assert!(past.states[0].0 < past.db.oldest_position(), "more than is kept");
}

#[test]
fn times_from_before_an_opening_are_known() {
    let place = tempfile::tempdir().unwrap();
    let kept = builder(place.path()).retain_history_for(Duration::from_secs(3_600));
    let mut past = Past::run(kept, &[Step::Put(1, 1)]);
    let marked = |position: Lsn, db: &Database| {
        let give_up = SystemTime::now() + Duration::from_secs(60);
        // The clock notes it within a second or two.
        while db.at(SystemTime::now()).unwrap().position() < position {
            assert!(SystemTime::now() < give_up, "nobody notes the time");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    marked(past.db.position(), &past.db);
    let first = SystemTime::now();
    past.step(&Step::Put(1, 2));
    past.db.checkpoint().unwrap();
    marked(past.db.position(), &past.db);
    let second = SystemTime::now();
    past.step(&Step::Delete(1));
    let Past { db, things, .. } = past;
    drop(things);
    db.close().unwrap();
    let db = builder(place.path()).open().unwrap();
    let things = db.find_collection("things").unwrap().expect("it is there");
    for (time, expected) in [(first, 1), (second, 2)] {
        let state = seen(&db.at(time).unwrap(), &things);
        assert_eq!(state.into_values().map(|(_, n)| n).collect::<Vec<_>>(), [expected]);
    }
    assert_eq!(db.snapshot().unwrap().collection(&things).unwrap().count(), 0);
}

#[test]
fn a_feed_that_goes_on_knows_what_was_before() {
    let place = tempfile::tempdir().unwrap();
    let db = builder(place.path()).retain_history_bytes(1 << 20).open().unwrap();
    let things = db.collection("things").unwrap();
    let mut changes = things.watch(Watch::new()).unwrap();
    things.insert(doc! { "_id": 1, "n": 1 }).unwrap();
    changes.next_within(Duration::from_secs(60)).unwrap().expect("it was inserted");
    let cursor = changes.cursor();
    drop(changes);
    things.upsert(doc! { "_id": 1, "n": 2 }).unwrap();
    drop(things);
    db.close().unwrap();
    let db = builder(place.path()).open().unwrap();
    let things = db.find_collection("things").unwrap().expect("it is there");
    let mut changes = things.watch(Watch::new().after(&cursor)).unwrap();
    let change = changes.next_within(Duration::from_secs(60)).unwrap().expect("it was changed");
    assert!(change.is_before_known());
    assert_eq!(change.before().and_then(|before| before.get("n")?.as_i32()), Some(1));
}
