//! Transactions and documents larger than the ring, and larger than a segment.

use crate::{DEVICES, DURABILITIES, Place, contents, things};
use skipstone::bson::{self, doc, spec::BinarySubtype};
use skipstone::{Builder, DocRef, TransactionOptions};

const RING_BYTES: u64 = 1 << 16;

/// All is replayed from the log.
fn builder(place: &Place) -> Builder {
    place.builder().ring_bytes(RING_BYTES).checkpoint_at_close(false)
}

/// Bytes that are not the same everywhere.
fn noise(bytes: usize, seed: u64) -> bson::Binary {
    let mut random = fastrand::Rng::with_seed(seed);
    bson::Binary { subtype: BinarySubtype::Generic, bytes: (0..bytes).map(|_| random.u8(..)).collect() }
}

fn assert_noise(found: &DocRef<'_>, expected: &bson::Binary) {
    let binary = match found.get("noise").unwrap() {
        bson::RawBsonRef::Binary(binary) => binary.bytes,
        other => panic!("{other:?}"),
    };
    assert!(binary == &expected.bytes[..], "the bytes are others");
}

#[test]
fn a_transaction_of_five_megabytes() {
    for durability in DURABILITIES {
        let place = Place::new();
        let db = builder(&place).open().unwrap();
        let things = things(&db);
        let options = TransactionOptions::new().durability(durability);
        db.transact_with(options, |tx| {
            let mut things = tx.collection(&things)?;
            for id in 0..5_000 {
                things.insert(doc! { "_id": id, "noise": noise(1_000, id as u64) })?;
            }
            Ok(())
        })
        .unwrap();
        things.insert(doc! { "_id": -1 }).unwrap();
        drop(things);
        db.close().unwrap();
        let db = builder(&place).open().unwrap();
        let things = crate::things(&db);
        assert_eq!(things.count().unwrap(), 5_001, "{durability:?}");
        for id in (0..5_000).step_by(97) {
            assert_noise(&things.get(id).unwrap().unwrap(), &noise(1_000, id as u64));
        }
    }
}

/// Thousands of chunks through the smallest ring: a frame names one of them, however many there are.
#[test]
fn a_transaction_of_forty_megabytes() {
    const LARGE_BYTES: usize = 16 << 20;
    const SMALL_DOCUMENTS: i32 = 24_000;
    let place = Place::new();
    let builder = || builder(&place).segment_bytes(1 << 20);
    let db = builder().open().unwrap();
    let (things, bytes) = (things(&db), db.keyspace("bytes").unwrap());
    let large = noise(LARGE_BYTES, 1).bytes;
    let before = db.position().get();
    db.transact(|tx| {
        tx.keyspace(&bytes)?.put(b"large", &large)?;
        let mut things = tx.collection(&things)?;
        for id in 0..SMALL_DOCUMENTS {
            things.insert(doc! { "_id": id, "noise": noise(1_000, id as u64) })?;
        }
        Ok(())
    })
    .unwrap();
    assert!(db.position().get() - before > 40_000_000);
    drop((things, bytes));
    db.close().unwrap();
    let verified = crate::sound(&place.store);
    // With the names of the collection and the keyspace.
    assert_eq!((verified.cut_bytes, verified.writes), (0, SMALL_DOCUMENTS as u64 + 3));
    let db = builder().open().unwrap();
    assert_eq!(crate::things(&db).count().unwrap(), SMALL_DOCUMENTS as u64);
    for id in 0..SMALL_DOCUMENTS {
        assert_noise(&crate::things(&db).get(id).unwrap().unwrap(), &noise(1_000, id as u64));
    }
    assert!(db.keyspace("bytes").unwrap().get(b"large").unwrap().unwrap()[..] == large[..]);
}

/// What a transaction that is refused had put into the log by then is nobody's.
#[test]
fn a_large_transaction_that_conflicts_leaves_nothing() {
    let place = Place::new();
    let db = builder(&place).open().unwrap();
    let things = things(&db);
    things.insert(doc! { "_id": 0, "n": 0 }).unwrap();
    let mut loser = db.begin().unwrap();
    let mut within = loser.collection(&things).unwrap();
    within.update(0, |d| drop(d.insert("n", -1))).unwrap();
    for id in 1..500 {
        within.insert(doc! { "_id": id, "noise": noise(1_000, id as u64) }).unwrap();
    }
    things.update(0, |d| drop(d.insert("n", 1))).unwrap();
    let before = db.position().get();
    assert!(loser.commit().unwrap_err().is_conflict());
    assert!(db.position().get() - before > 400_000, "its chunks are in the log");
    let expected = contents(&db);
    assert_eq!(expected.len(), 1);
    drop(things);
    db.close().unwrap();
    assert_eq!(contents(&builder(&place).open().unwrap()), expected);
}

#[test]
fn a_document_of_two_megabytes() {
    for device in DEVICES {
        let place = Place::new();
        let db = builder(&place).device(device).open().unwrap();
        let large = noise(2 << 20, 1);
        things(&db).insert(doc! { "_id": 1, "noise": &large }).unwrap();
        things(&db).update(1, |d| drop(d.insert("n", 1))).unwrap();
        db.close().unwrap();
        let db = builder(&place).device(device).open().unwrap();
        let found = things(&db).get(1).unwrap().unwrap();
        assert_eq!(found.version(), 2);
        assert_noise(&found, &large);
    }
}

/// Sizes around those at which a frame, a ring or a segment is just full.
#[test]
fn documents_of_all_sizes() {
    let place = Place::new();
    let sizes = || {
        let around = [4_096, 1 << 13, 1 << 15, 1 << 16]
            .into_iter()
            .flat_map(|size: usize| (size - 60..size + 20).step_by(5));
        (1..).zip(around.chain([100_000, 500_000]))
    };
    let db = builder(&place).open().unwrap();
    for (id, size) in sizes() {
        things(&db).insert(doc! { "_id": id, "noise": noise(size, id as u64) }).unwrap();
    }
    db.close().unwrap();
    let db = builder(&place).open().unwrap();
    for (id, size) in sizes() {
        assert_noise(&things(&db).get(id).unwrap().unwrap(), &noise(size, id as u64));
    }
}

/// Each must wait for room that the others give up, and each is there whole.
#[test]
fn several_large_transactions_at_once() {
    let place = Place::new();
    let db = builder(&place).open().unwrap();
    let things = things(&db);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let things = &things;
            scope.spawn(move || {
                for round in 0..3 {
                    let first = (thread * 3 + round) * 300;
                    things
                        .insert_many(
                            (first..first + 300)
                                .map(|id| doc! { "_id": id, "noise": noise(1_000, id as u64) }),
                        )
                        .unwrap();
                }
            });
        }
    });
    let expected = contents(&db);
    assert_eq!(expected.len(), 8 * 3 * 300);
    drop(things);
    db.close().unwrap();
    assert!(contents(&builder(&place).open().unwrap()) == expected);
}
