//! Writers that go on while indexes are created and dropped.

use skipstone::bson::{Bson, Document, doc};
use skipstone::{
    Collection, Database, Durability, Error, Index, IndexError, Isolation, Patch, Transaction,
    TransactionOptions, verify,
};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread;
use std::time::Duration;

const DOCUMENTS: i32 = 4_000;
const WRITERS: u64 = 3;
/// Above: documents that one transaction has to itself.
const RESERVED: i32 = 1_000_000;
const LEVELS: [Isolation; 3] = [Isolation::ReadCommitted, Isolation::Snapshot, Isolation::Serializable];

/// A value that no document has.
static NEXT: AtomicI32 = AtomicI32::new(2 * RESERVED);

fn fill(collection: &Collection) {
    let document = |id: i32| doc! { "_id": id, "v": id, "group": id % 17, "tags": [id % 5, id % 7] };
    collection.insert_many((0..DOCUMENTS).map(document)).unwrap();
}

fn indexes() -> Vec<Index> {
    vec![
        Index::on("v").unwrap().unique(),
        Index::on("group").unwrap().and_descending("v").unwrap(),
        Index::on("tags").unwrap(),
        Index::on("rare").unwrap().unique().sparse(),
    ]
}

/// What a writer does until it is told to stop. An index may refuse it, and another writer may come in between.
fn write(db: &Database, collection: &Collection, seed: u64, stop: &AtomicBool) {
    let mut random = fastrand::Rng::with_seed(seed);
    // Relaxed: it tells nothing but that it is time to stop.
    while !stop.load(Ordering::Relaxed) {
        let (first, second) = (random.i32(0..DOCUMENTS), random.i32(0..DOCUMENTS));
        let level = |level: Isolation| TransactionOptions::new().isolation(level);
        let done = match random.u32(..10) {
            // What is read is not looked at again under read committed: two could have one value in the end.
            0..3 => db.transact_with(level(LEVELS[random.usize(1..3)]), |transaction| {
                exchange(transaction, collection, first, second)
            }),
            3..5 => db.transact_with(level(LEVELS[random.usize(0..3)]), |transaction| {
                // Relaxed: each value is handed out once.
                let value = NEXT.fetch_add(1, Ordering::Relaxed);
                let document = doc! { "_id": first, "v": value, "group": second % 17, "tags": [second, "x"] };
                transaction.collection(collection)?.upsert(document).map(drop)
            }),
            5 => collection.delete(first).map(drop),
            6 => collection.patch(first, &Patch::new().set("tags", second % 3)).map(drop),
            // Few of them, so that there mostly are duplicates, and sometimes are none.
            7..9 => {
                let value = match random.bool() {
                    true => Bson::Int32(random.i32(0..800)),
                    false => vec![random.i32(0..800), random.i32(0..800)].into(),
                };
                collection.patch(second % 40, &Patch::new().set("rare", value)).map(drop)
            }
            _ => collection.patch(second % 40, &Patch::new().unset("rare")).map(drop),
        };
        match done {
            Ok(()) | Err(Error::NotFound { .. } | Error::Conflict { .. }) => {}
            Err(Error::Index { cause, .. }) if matches!(*cause, IndexError::Duplicate { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        // There are few processors, and more than writers to share them.
        thread::sleep(Duration::from_micros(50));
    }
}

/// Each gets the value of the other, and one has another value in between.
fn exchange(
    transaction: &mut Transaction<'_>,
    collection: &Collection,
    first: i32,
    second: i32,
) -> Result<(), Error> {
    let mut within = transaction.collection(collection)?;
    let value = |document: Option<skipstone::DocRef<'_>>| document?.get("v")?.as_i32();
    let (Some(a), Some(b)) = (value(within.get(first)?), value(within.get(second)?)) else { return Ok(()) };
    if first != second {
        within.patch(first, &Patch::new().set("v", -1 - first))?;
        within.patch(second, &Patch::new().set("v", a))?;
        within.patch(first, &Patch::new().set("v", b))?;
    }
    Ok(())
}

/// Fails if two documents have one value.
fn assert_unique(db: &Database, collection: &Collection, path: &str) {
    let snapshot = db.snapshot().unwrap();
    let mut holders: HashMap<String, Bson> = HashMap::new();
    for document in snapshot.collection(collection).unwrap().scan() {
        let document = Document::try_from(document.unwrap().raw()).unwrap();
        let id = document.get("_id").unwrap();
        let values = match document.get(path) {
            None => Vec::new(),
            Some(Bson::Array(values)) => values.clone(),
            Some(value) => vec![value.clone()],
        };
        for value in values {
            if let Some(other) = holders.insert(value.to_string(), id.clone()) {
                assert_eq!(other, *id, "both have {value} in `{path}`");
            }
        }
    }
}

/// Begun before an index, with documents that nobody else writes.
fn begin_alone<'db>(db: &'db Database, collection: &Collection, round: i32) -> Transaction<'db> {
    let at = RESERVED + 10 * round;
    collection.insert_many((at..at + 3).map(|id| doc! { "_id": id, "v": id, "tags": [1, 2] })).unwrap();
    let level = LEVELS[round as usize % 3];
    let mut transaction = db.begin_with(TransactionOptions::new().isolation(level)).unwrap();
    write_alone(&mut transaction, collection, at);
    transaction
}

fn write_alone(transaction: &mut Transaction<'_>, collection: &Collection, at: i32) {
    exchange(transaction, collection, at, at + 1).unwrap();
    let mut within = transaction.collection(collection).unwrap();
    if within.delete(at + 2).unwrap() {
        within.insert(doc! { "_id": at + 3, "v": at + 2, "tags": [at, "y", "z"] }).unwrap();
    }
}

/// Creates and drops them all, so often; returns how often the one with duplicates was made, and was not.
fn create_and_drop(db: &Database, collection: &Collection, rounds: i32) -> [u32; 2] {
    let mut outcomes = [0; 2];
    for round in 0..rounds {
        let mut early = begin_alone(db, collection, round);
        for index in indexes() {
            let (name, is_unique) = (index.name(), index.is_unique());
            let created = collection.create_index(index);
            if name == "rare" {
                outcomes[usize::from(created.is_err())] += 1;
            }
            match created {
                Ok(()) if is_unique => assert_unique(db, collection, &name),
                Ok(()) => {}
                Err(error) => {
                    let cause = crate::index_error(error);
                    assert!(matches!(cause, IndexError::Duplicate { .. }) && name == "rare", "{cause}");
                }
            }
        }
        write_alone(&mut early, collection, RESERVED + 10 * round);
        early.commit().unwrap_or_else(|error| panic!("{error}, round {round}"));
        let verified = db.verify().unwrap();
        assert!(verified.is_sound(), "{:#?}", verified.findings);
        for index in collection.indexes() {
            let name = index.index.name();
            if index.index.is_unique() {
                assert_unique(db, collection, &name);
            }
            collection.drop_index(&name).unwrap();
        }
    }
    outcomes
}

fn beside_writers(db: &Database, rounds: i32) -> [u32; 2] {
    let (collection, stop) = (db.collection("documents").unwrap(), AtomicBool::new(false));
    fill(&collection);
    /// Also if the other thread panics.
    struct Stop<'s>(&'s AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            // Relaxed: see `write`.
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let outcomes = thread::scope(|scope| {
        for seed in 0..WRITERS {
            let (collection, stop) = (&collection, &stop);
            scope.spawn(move || write(db, collection, seed, stop));
        }
        let _stop = Stop(&stop);
        create_and_drop(db, &collection, rounds)
    });
    // Once more, and they stay.
    collection.create_index(Index::on("v").unwrap().unique()).unwrap();
    collection.create_index(Index::on("tags").unwrap()).unwrap();
    crate::check(db, &collection, 2);
    outcomes
}

#[test]
fn indexes_that_come_and_go_beside_writers_are_whole() {
    let outcomes = beside_writers(&Database::in_memory(), 25);
    assert!(outcomes[0] > 0 && outcomes[1] > 0, "with duplicates and without: {outcomes:?}");
}

#[test]
fn on_a_disk_too() {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let builder = Database::builder().path(dir.path().join("store")).durability(Durability::None);
        builder.checkpoint_log_bytes(4 << 20).open().unwrap()
    };
    let db = open();
    beside_writers(&db, 6);
    let count = db.collection("documents").unwrap().count().unwrap();
    db.close().unwrap();
    let verified = verify(dir.path().join("store")).unwrap();
    assert!(verified.is_sound(), "{:#?}", verified.findings);
    let db = open();
    let collection = db.collection("documents").unwrap();
    crate::check(&db, &collection, 2);
    assert_eq!(collection.count().unwrap(), count);
}
