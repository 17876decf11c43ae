//! Checkpoints of stores on disk: the same store comes back, they are taken when they are due, and the log before them is used again.

use crate::{DEVICES, Place, contents, fill, things};
use skipstone::bson::doc;
use skipstone::{Builder, Checkpoint, Compression, Database, DeviceChoice, Durability, Lsn, Stats};
use std::time::{Duration, Instant};

const SEGMENT_BYTES: u64 = 1 << 16;
/// For what happens by itself sooner or later.
const PATIENCE: Duration = Duration::from_secs(60);

/// Nothing but the test itself takes checkpoints, and no commit waits for the disk.
pub(crate) fn on_demand(place: &Place, device: DeviceChoice) -> Builder {
    let never = Duration::from_secs(1 << 30);
    place
        .builder()
        .device(device)
        .durability(Durability::Buffered)
        .checkpoint_log_bytes(u64::MAX)
        .checkpoint_interval(never)
        .checkpoint_at_close(false)
}

pub(crate) fn take(db: &Database) -> Checkpoint {
    db.checkpoint().unwrap().expect("the store is on a disk")
}

/// The figures of the moment when they are as they should be.
fn wait_until(db: &Database, what: &str, mut holds: impl FnMut(&Stats) -> bool) -> Stats {
    let since = Instant::now();
    loop {
        let stats = db.stats();
        if holds(&stats) {
            return stats;
        }
        assert!(since.elapsed() < PATIENCE, "{what}: {stats:?}");
        // From one look to the next.
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// How far the log has grown since the last checkpoint.
fn log_bytes(db: &Database, stats: &Stats) -> u64 {
    db.position().get() - stats.checkpoint_position.expect("the store is on a disk").get()
}

/// Values that overflow their page next to those that do not, in two collections and two keyspaces.
pub(crate) fn fill_several(db: &Database, round: i32) {
    fill(db, 200);
    for name in ["other things", "long things"] {
        let collection = db.collection(name).unwrap();
        for id in (round % 3..60).step_by(3) {
            let length = if name == "long things" { id as usize * 700 } else { 40 };
            let text: String = std::iter::repeat_n("0123456789", length / 10).collect();
            collection.upsert(doc! { "_id": format!("{name} {id}"), "round": round, "text": text }).unwrap();
        }
        collection.delete(format!("{name} {}", round * 3)).unwrap();
    }
    let long = db.keyspace("long bytes").unwrap();
    for key in 0..10_u8 {
        long.put(&[key; 200], &vec![key ^ round as u8; 3_000 * usize::from(key)]).unwrap();
    }
    long.delete(&[round as u8; 200]).unwrap();
}

/// So that `fill` finds the ids free.
fn clear_things(db: &Database) {
    let ids = 0..200;
    let there = ids.filter(|id| things(db).exists(*id).unwrap());
    things(db).delete_many(there).unwrap();
}

#[test]
fn the_same_store_comes_back() {
    for device in DEVICES {
        let place = Place::new();
        let mut last = Lsn::ZERO;
        for round in 0..5 {
            let db = on_demand(&place, device).open().unwrap();
            fill_several(&db, round);
            let taken = take(&db);
            let expected = contents(&db);
            // The catalog's names as well: three collections and two keyspaces.
            assert_eq!(taken.entries, expected.len() as u64 + 5, "{device:?} {round}");
            assert!(taken.position > last && taken.changed > 0 && taken.pages > 20, "{taken:?}");
            assert_eq!(db.stats().checkpoint_position, Some(taken.position));
            db.close().unwrap();

            let db = on_demand(&place, device).create(false).open().unwrap();
            assert!(contents(&db) == expected, "{device:?} {round}: {:?}", db.recovery());
            let recovery = db.recovery();
            assert_eq!((recovery.checkpoint, recovery.entries), (taken.position, taken.entries));
            assert_eq!((recovery.pages, recovery.writes, recovery.keys), (taken.pages, 0, taken.entries));
            clear_things(&db);
            last = taken.position;
        }
    }
}

/// What was committed behind the checkpoint counts, whatever the checkpoint says of the same keys.
#[test]
fn the_log_behind_a_checkpoint_is_replayed_over_it() {
    for (device, other) in DEVICES.into_iter().zip(DEVICES.into_iter().rev()) {
        let place = Place::new();
        let db = on_demand(&place, device).open().unwrap();
        fill_several(&db, 0);
        let taken = take(&db);
        clear_things(&db);
        fill_several(&db, 1);
        let expected = contents(&db);
        db.close().unwrap();
        let found = crate::sound(&place.store);
        assert_eq!(
            (found.checkpoint, found.entries, found.pages),
            (taken.position, taken.entries, taken.pages)
        );
        assert!(found.writes > 500 && found.free_pages > 0 && found.closed, "{found:?}");
        let db = on_demand(&place, other).open().unwrap();
        assert!(contents(&db) == expected, "{:?}", db.recovery());
        assert_eq!((db.recovery().checkpoint, db.recovery().writes), (taken.position, found.writes));
    }
}

/// Also when all is deleted, and the trees are empty.
#[test]
fn nothing_comes_back_of_what_was_deleted() {
    let place = Place::new();
    let db = on_demand(&place, DeviceChoice::Auto).open().unwrap();
    fill_several(&db, 0);
    take(&db);
    for name in db.collection_names().unwrap() {
        let collection = db.collection(&name).unwrap();
        let ids: Vec<_> = {
            let snapshot = db.snapshot().unwrap();
            snapshot
                .collection(&collection)
                .unwrap()
                .scan()
                .map(|found| found.unwrap().id().unwrap())
                .collect()
        };
        collection.delete_many(ids).unwrap();
    }
    for name in db.keyspace_names().unwrap() {
        let keyspace = db.keyspace(&name).unwrap();
        let keys: Vec<_> = {
            let snapshot = db.snapshot().unwrap();
            snapshot.keyspace(&keyspace).unwrap().range::<&[u8]>(..).map(|(key, _)| key.to_vec()).collect()
        };
        keys.iter().for_each(|key| keyspace.delete(key).unwrap());
    }
    let taken = take(&db);
    assert_eq!((taken.entries, contents(&db).len()), (5, 0), "the names stay: {taken:?}");
    db.close().unwrap();
    let db = on_demand(&place, DeviceChoice::Auto).open().unwrap();
    assert_eq!((contents(&db).len(), db.recovery().keys), (0, 5));
}

#[test]
fn a_store_in_memory_has_none() {
    let db = Database::in_memory();
    fill(&db, 20);
    assert!(db.checkpoint().unwrap().is_none());
    let stats = db.stats();
    assert!(stats.checkpoint_position.is_none() && stats.checkpoint.is_none(), "{stats:?}");
    assert!(stats.checkpoint_failure.is_none(), "{stats:?}");
}

#[test]
fn a_growing_log_takes_checkpoints_and_is_used_again() {
    const LOG_BYTES: u64 = 4 * SEGMENT_BYTES;
    for device in DEVICES {
        let place = Place::new();
        let builder = || on_demand(&place, device).checkpoint_log_bytes(LOG_BYTES);
        let db = builder().open().unwrap();
        let things = things(&db);
        let mut files_max = 0;
        for n in 0..4_400 {
            things.upsert(doc! { "_id": n % 100, "n": n, "text": "x".repeat(1_000) }).unwrap();
            // A writer that is far ahead of the checkpoints would have the log grow.
            wait_until(&db, "no checkpoint is taken", |stats| log_bytes(&db, stats) < 2 * LOG_BYTES);
            files_max = files_max.max(place.segments().len());
        }
        let written = db.position().get() / SEGMENT_BYTES;
        // Twice what makes a checkpoint due, as much again to be used again, and some that are begun or made ready.
        assert!(written > 60 && files_max < 20, "{files_max} files for {written} segments");
        let stats = wait_until(&db, "no checkpoint is taken", |stats| log_bytes(&db, stats) < LOG_BYTES);
        assert!(stats.checkpoint.is_some() && stats.checkpoint_failure.is_none(), "{stats:?}");
        let expected = contents(&db);
        drop(things);
        db.close().unwrap();
        let found = crate::sound(&place.store);
        // What makes a checkpoint due, those that are begun, and one that is ready; at rest none waits to be used again.
        assert!(place.segments().len() as u64 == found.segments && found.segments <= 8, "{found:?}");
        assert!(contents(&builder().open().unwrap()) == expected, "{device:?}");
    }
}

#[test]
fn an_interval_takes_checkpoints_if_anything_was_committed() {
    let place = Place::new();
    let builder = on_demand(&place, DeviceChoice::Auto).checkpoint_interval(Duration::from_millis(1));
    let db = builder.open().unwrap();
    let mut last = Lsn::ZERO;
    for id in 0..5 {
        things(&db).insert(doc! { "_id": id }).unwrap();
        let committed = db.position();
        let stats = wait_until(&db, "no checkpoint is taken", |s| s.checkpoint_position >= Some(committed));
        let taken = stats.checkpoint.unwrap();
        assert!(taken.position > last && taken.entries == id as u64 + 2, "{taken:?}");
        last = taken.position;
    }
    db.close().unwrap();
    assert_eq!(place.open().recovery().checkpoint, last);
}

/// What a file takes up on the disk, by the system's count of blocks of 512 bytes.
fn room(path: &std::path::Path) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(&path.metadata().unwrap()) * 512
}

#[test]
fn a_store_at_rest_takes_no_more_room_than_its_pages_and_its_last_segment() {
    for device in DEVICES {
        let place = Place::new();
        let db = on_demand(&place, device).segment_bytes(1 << 20).open().unwrap();
        for round in 0..4 {
            let documents = (0..300).map(|id| doc! { "_id": id, "round": round, "text": "x".repeat(10_000) });
            things(&db).upsert_many(documents).unwrap();
            take(&db);
        }
        let (expected, pages) = (contents(&db), db.stats().checkpoint.unwrap().pages);
        db.close().unwrap();
        let files = place.file("").read_dir().unwrap().map(|entry| entry.unwrap());
        let page_files = files.filter(|file| file.file_name().to_string_lossy().starts_with("pages-"));
        let page_bytes: u64 = page_files.map(|file| room(&file.path())).sum();
        // The first page of each file is not counted, and a few free ones may lie between others.
        assert!(page_bytes <= pages * 8192 * 5 / 4, "{page_bytes} bytes for {pages} pages, {device:?}");
        assert_eq!(place.segments().len(), 1, "{device:?}");
        let db = on_demand(&place, device).open().unwrap();
        assert!(contents(&db) == expected);
        things(&db).insert(doc! { "_id": 1000, "text": "more" }).unwrap();
        take(&db);
        db.close().unwrap();
        assert_eq!(contents(&on_demand(&place, device).open().unwrap()).len(), expected.len() + 1);
    }
}

#[test]
fn closing_takes_one_if_there_is_much_to_replay() {
    for (documents, is_wanted, is_taken) in [(60, true, true), (60, false, false), (30, true, false)] {
        let place = Place::new();
        let builder = || on_demand(&place, DeviceChoice::Auto).checkpoint_at_close(is_wanted);
        let db = builder().segment_bytes(1 << 20).open().unwrap();
        let documents = (0..documents).map(|id| doc! { "_id": id, "text": "x".repeat(100_000) });
        things(&db).insert_many(documents).unwrap();
        let (expected, end) = (contents(&db), db.position());
        db.close().unwrap();
        let db = builder().open().unwrap();
        let recovery = db.recovery();
        assert_eq!(recovery.checkpoint == end, is_taken, "{recovery:?}");
        assert_eq!(recovery.writes == 0, is_taken, "{recovery:?}");
        assert!(contents(&db) == expected);
    }
}

/// Also if nothing else would take a checkpoint.
#[test]
fn a_compression_that_was_asked_for_lasts() {
    let place = Place::new();
    let open = |compression: Option<Compression>| {
        let builder = place.builder().durability(Durability::Buffered);
        compression.into_iter().fold(builder, Builder::checkpoint_compression).open().unwrap()
    };
    let db = open(Some(Compression::Lz4));
    let many = (0..1_000).map(|id| doc! { "_id": id, "text": "abc ".repeat(50) });
    things(&db).insert_many(many).unwrap();
    db.close().unwrap();
    let pages = |db: &Database| {
        for id in 0..1_000 {
            things(db).update(id, |document| drop(document.insert("more", "def ".repeat(50)))).unwrap();
        }
        take(db).pages
    };
    let compressed = open(None);
    assert!(compressed.recovery().checkpoint > Lsn::ZERO, "closing took one");
    let few = pages(&compressed);
    compressed.close().unwrap();
    let before = open(Some(Compression::Lz4));
    let position = before.recovery().checkpoint;
    before.close().unwrap();
    assert_eq!(open(None).recovery().checkpoint, position, "it is no other than before");
    open(Some(Compression::None)).close().unwrap();
    assert!(pages(&open(None)) > few * 3, "{few}");
}
