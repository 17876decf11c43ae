//! Feeds beside writers: nothing is missed, nothing told twice, and every image is the one before.

use crate::{next, stores};
use skipstone::bson::doc;
use skipstone::{
    ChangeKind, Collection, Database, Document, DocumentId, Isolation, Patch, Snapshot, TransactionOptions,
    Watch,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

const KEYS: i64 = 20;

/// Writes something, of all kinds, in transactions that may conflict; returns whether it was committed.
fn write(db: &Database, things: &Collection, isolation: Isolation) -> bool {
    let mut tx = db.begin_with(TransactionOptions::new().isolation(isolation)).unwrap();
    for _ in 0..fastrand::u8(1..4) {
        let id = fastrand::i64(0..KEYS);
        let mut within = tx.collection(things).unwrap();
        match fastrand::u8(0..4) {
            0 => drop(within.delete(id).unwrap()),
            1 => drop(within.patch(id, &Patch::new().inc("n", 1))),
            _ => drop(within.upsert(doc! { "_id": id, "n": fastrand::i32(..) }).unwrap()),
        }
    }
    tx.commit().is_ok()
}

/// What a feed says becomes of documents.
#[derive(Default)]
struct Told(BTreeMap<DocumentId, Document>);

impl Told {
    /// What is there.
    fn of(things: &Collection, snapshot: &Snapshot<'_>) -> Told {
        let seen = snapshot.collection(things).unwrap();
        let all = seen.scan().map(|document| document.unwrap().into_owned());
        Told(all.map(|document| (document.id().unwrap(), document)).collect())
    }

    fn apply(&mut self, change: &skipstone::Change) {
        let raw = |document: Option<&Document>| document.map(|d| (d.version(), d.raw().to_owned()));
        let known = self.0.get(change.id());
        assert_eq!(raw(change.before()), raw(known), "what was there before {change:?}");
        let kind = match (known.is_some(), change.after().is_some()) {
            (false, true) => Some(ChangeKind::Inserted),
            (true, true) => Some(ChangeKind::Updated),
            (_, false) => Some(ChangeKind::Deleted),
        };
        assert_eq!(Some(change.kind()), kind);
        match change.after() {
            Some(after) => drop(self.0.insert(change.id().clone(), after.clone())),
            None => drop(self.0.remove(change.id())),
        }
    }

    fn same_as(&self, other: &Told) -> bool {
        let raw =
            |told: &Told| told.0.values().map(|d| (d.version(), d.raw().to_owned())).collect::<Vec<_>>();
        raw(self) == raw(other)
    }
}

#[test]
fn feeds_that_begin_and_end_beside_writers_tell_everything() {
    for (db, _dir) in stores() {
        let things = db.collection("things").unwrap();
        let (db, things, done) = (&db, &things, &AtomicBool::new(false));
        let (mut changes, mut told) = (things.watch(Watch::new()).unwrap(), Told::default());
        std::thread::scope(|scope| {
            let isolations = [Isolation::Snapshot, Isolation::ReadCommitted, Isolation::Serializable];
            let writers: Vec<_> = isolations
                .map(|isolation| {
                    scope.spawn(move || (0..1500).filter(|_| write(db, things, isolation)).count())
                })
                .into();
            let feeds: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(move || {
                        let mut rounds = 0_u32;
                        while rounds == 0 || !done.load(Ordering::Relaxed) {
                            // The snapshot first: the feed begins right there.
                            let snapshot = db.snapshot().unwrap();
                            let mut told = Told::of(things, &snapshot);
                            let watch = Watch::new().behind(&snapshot);
                            let mut changes = things.watch(watch).unwrap();
                            let mut last = snapshot.position();
                            for _ in 0..fastrand::usize(1..200) {
                                let Some(change) = changes.try_next().unwrap() else { continue };
                                assert!(change.position() >= last);
                                last = change.position();
                                told.apply(&change);
                            }
                            rounds += 1;
                        }
                        rounds
                    })
                })
                .collect();
            // It takes nothing before everything is written.
            let committed: usize = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
            done.store(true, Ordering::Relaxed);
            assert!(committed > 1000);
            assert!(feeds.into_iter().all(|feed| feed.join().unwrap() > 0));
            let end = things.insert(doc! { "_id": "end" }).unwrap();
            loop {
                let change = next(&mut changes);
                told.apply(&change);
                if *change.id() == end {
                    break;
                }
            }
            assert!(told.same_as(&Told::of(things, &db.snapshot().unwrap())));
        });
    }
}
