//! One benchmark for each layer that the public interface reaches, for comparing one commit with the next.
//!
//! The figures to reach, with their baselines, are in `figures`.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use skipstone::bson::doc;
use skipstone::{Collection, Database, Durability, Isolation, Json, Keyspace, Patch, TransactionOptions};
use std::hint::black_box;

const RECORDS: u64 = 100_000;
const SCANNED: usize = 100;
const KEYS_PER_TRANSACTION: u64 = 10;
const TEXT: &str = r#"{"_id": "aachen", "name": "Aachen", "people": 249070, "area": 160.85, "twins": ["Reims", "Halifax"],
    "location": {"latitude": 50.776, "longitude": 6.084}, "founded": null, "spa": true}"#;

/// Random, but the same in each run.
fn key(number: u64) -> [u8; 16] {
    let mut rng = fastrand::Rng::with_seed(number);
    rng.u128(..).to_be_bytes()
}

/// A source of keys that are there.
fn present_keys() -> impl FnMut() -> [u8; 16] {
    let mut rng = fastrand::Rng::with_seed(1);
    move || key(rng.u64(..RECORDS))
}

fn full_keyspace(db: &Database) -> Keyspace {
    let records = db.keyspace("records").unwrap();
    for number in 0..RECORDS {
        records.put(&key(number), &[7; 100]).unwrap();
    }
    records
}

fn towns(db: &Database) -> Collection {
    let towns = db.collection("towns").unwrap();
    towns.insert(Json(TEXT)).unwrap();
    towns
}

fn read(c: &mut Criterion) {
    let db = Database::in_memory();
    let records = full_keyspace(&db);
    let snapshot = db.snapshot().unwrap();
    let mut next = present_keys();
    c.bench_function("open a snapshot", |b| b.iter(|| drop(black_box(db.snapshot().unwrap()))));
    c.bench_function("read a key through a snapshot", |b| {
        b.iter_batched(
            &mut next,
            |key| snapshot.get(&records, &key).unwrap().unwrap()[0],
            BatchSize::SmallInput,
        );
    });
    let view = snapshot.keyspace(&records).unwrap();
    c.bench_function("scan 100 keys", |b| {
        b.iter_batched(&mut next, |key| view.range(key..).take(SCANNED).count(), BatchSize::SmallInput);
    });
}

fn write(c: &mut Criterion) {
    let db = Database::in_memory();
    let records = full_keyspace(&db);
    let mut next = present_keys();
    c.bench_function("put a key", |b| {
        b.iter_batched(&mut next, |key| records.put(&key, &[8; 100]).unwrap(), BatchSize::SmallInput);
    });
    c.bench_function("put ten keys in a transaction", |b| {
        b.iter_batched(
            || [(); KEYS_PER_TRANSACTION as usize].map(|()| next()),
            |keys| {
                let mut tx = db.begin().unwrap();
                let mut records = tx.keyspace(&records).unwrap();
                keys.iter().for_each(|key| records.put(key, &[9; 100]).unwrap());
                tx.commit().unwrap()
            },
            BatchSize::SmallInput,
        );
    });
    let serializable = TransactionOptions::new().isolation(Isolation::Serializable);
    c.bench_function("read, modify and write, serializable", |b| {
        b.iter_batched(
            &mut next,
            |key| {
                let increment = |tx: &mut skipstone::Transaction<'_>| {
                    let mut records = tx.keyspace(&records)?;
                    let mut value = records.get(&key).expect("it is there").into_owned();
                    value[0] = value[0].wrapping_add(1);
                    records.put(&key, &value)
                };
                db.transact_with(serializable, increment).unwrap();
            },
            BatchSize::SmallInput,
        );
    });
}

fn documents(c: &mut Criterion) {
    let db = Database::builder().durability(Durability::None).open().unwrap();
    let towns = towns(&db);
    c.bench_function("insert a document", |b| {
        b.iter_batched(
            || doc! { "name": "Aachen", "people": 249_070 },
            |town| towns.insert(town).unwrap(),
            BatchSize::SmallInput,
        );
    });
    c.bench_function("insert a JSON document", |b| {
        let text = TEXT.replace(r#""_id": "aachen", "#, "");
        b.iter(|| towns.insert(Json(text.as_str())).unwrap());
    });
    c.bench_function("get a document", |b| b.iter(|| towns.get("aachen").unwrap().unwrap()));
    let patch = Patch::new().inc("people", 1);
    c.bench_function("patch a document", |b| b.iter(|| towns.patch("aachen", &patch).unwrap()));
    let aachen = towns.get("aachen").unwrap().unwrap();
    c.bench_function("write a document as JSON", |b| b.iter(|| aachen.to_json().unwrap()));
}

criterion_group!(layers, read, write, documents);
criterion_main!(layers);
