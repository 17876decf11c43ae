//! Indexes and queries by criterion: the figures of `suite::queries`, on the same documents.
//!
//! Of 50,000 documents, or of as many as `SKIPSTONE_BENCH_RECORDS` says; a million take about 1.5 GB of memory.

#[path = "suite/environment.rs"]
mod environment;
#[path = "suite/towns.rs"]
mod towns;

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use fastrand::Rng;
use skipstone::{
    Collection, Database, Durability, Index, Projected, Projection, Query, SnapshotCollection, field, param,
};
use std::hint::black_box;

const RECORDS: usize = 50_000;
const INSERTED: usize = 50_000;
/// Of what takes long there are so many samples only: criterion takes no fewer.
const SAMPLES: usize = 10;

type Group<'c> = BenchmarkGroup<'c, WallTime>;

fn queries(c: &mut Criterion) {
    let records = environment::positive("SKIPSTONE_BENCH_RECORDS", RECORDS).unwrap();
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    towns::fill(&towns, records).unwrap();
    let mut group = c.benchmark_group(format!("queries of {records} documents"));
    build(&mut group, &towns);
    for index in towns::indexes() {
        towns.create_index(index).unwrap();
    }
    let snapshot = db.snapshot().unwrap();
    let seen = snapshot.collection(&towns).unwrap();
    let mut rng = Rng::with_seed(10);
    let mut next = || rng.i32(0..records as i32);
    look_ups(&mut group, &towns, &seen, &mut next);
    projections(&mut group, &seen, &mut next);
    plans(&mut group, &towns, &seen, &mut next);
    walks(&mut group, &seen, records);
    group.finish();
}

fn build(group: &mut Group<'_>, towns: &Collection) {
    // There is none before the first time, and none afterwards if it was not measured.
    let remove = || drop(towns.drop_index("people"));
    group.sample_size(SAMPLES);
    group.bench_function("build an index", |b| {
        b.iter_batched(
            remove,
            |()| towns.create_index(Index::on("people").unwrap()).unwrap(),
            BatchSize::PerIteration,
        );
    });
    remove();
}

fn look_ups(
    group: &mut Group<'_>,
    towns: &Collection,
    seen: &SnapshotCollection<'_>,
    next: &mut impl FnMut() -> i32,
) {
    group.sample_size(100);
    group.bench_function("get by id", |b| {
        b.iter_batched(&mut *next, |n| drop(black_box(seen.get(n).unwrap().unwrap())), BatchSize::SmallInput);
    });
    let by_name = towns.prepare(field("name").eq(param(0))).unwrap();
    group.bench_function("equality through an index, prepared", |b| {
        b.iter_batched(
            || format!("town {:08}", next()),
            |name| drop(black_box(seen.first(by_name.bind([name]).unwrap()).unwrap().unwrap())),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("equality through an index, the query made each time", |b| {
        b.iter_batched(
            || format!("town {:08}", next()),
            |name| drop(black_box(seen.first(field("name").eq(name)).unwrap().unwrap())),
            BatchSize::SmallInput,
        );
    });
    let from = towns.prepare(Query::new(field("people").ge(param(0))).sort("people").limit(20)).unwrap();
    group.bench_function("20 of a range, in order, prepared", |b| {
        b.iter_batched(
            || i64::from(next()) * 1000,
            |people| {
                assert_eq!(seen.find(from.bind([people]).unwrap()).unwrap().map(Result::unwrap).count(), 20)
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("20 of a range, in order, the query made each time", |b| {
        b.iter_batched(
            || i64::from(next()) * 1000,
            |people| {
                let query = Query::new(field("people").ge(people)).sort("people").limit(20);
                assert_eq!(seen.find(query).unwrap().map(Result::unwrap).count(), 20);
            },
            BatchSize::SmallInput,
        );
    });
}

/// Some fields of documents: those that an index has, and others.
fn projections(group: &mut Group<'_>, seen: &SnapshotCollection<'_>, next: &mut impl FnMut() -> i32) {
    for (name, path) in [("from the index", "people"), ("from the documents", "founded")] {
        let wanted = Projection::include([path]).unwrap();
        group.bench_function(format!("a field of 20 of a range, in order, {name}"), |b| {
            b.iter_batched(
                || i64::from(next()) * 1000,
                |people| {
                    let query = Query::new(field("people").ge(people)).sort("people").limit(20);
                    let found = seen.find_projected(query, &wanted).unwrap();
                    assert_eq!(looked_at(found), 20);
                },
                BatchSize::SmallInput,
            );
        });
    }
}

/// How many there are, each made.
fn looked_at(found: Projected<'_>) -> usize {
    found.fold(0, |count, found| {
        black_box(found.unwrap());
        count + 1
    })
}

/// What a query costs before anything is looked up: nothing is wanted, so nothing is.
fn plans(
    group: &mut Group<'_>,
    towns: &Collection,
    seen: &SnapshotCollection<'_>,
    next: &mut impl FnMut() -> i32,
) {
    let by_name = towns.prepare(Query::new(field("name").eq(param(0))).limit(0)).unwrap();
    group.bench_function("planning a prepared equality", |b| {
        b.iter_batched(
            || format!("town {:08}", next()),
            |name| drop(black_box(seen.find(by_name.bind([name]).unwrap()).unwrap())),
            BatchSize::SmallInput,
        );
    });
    let from = towns.prepare(Query::new(field("people").ge(param(0))).sort("people").limit(0)).unwrap();
    group.bench_function("planning a prepared range", |b| {
        b.iter_batched(
            || i64::from(next()) * 1000,
            |people| drop(black_box(seen.find(from.bind([people]).unwrap()).unwrap())),
            BatchSize::SmallInput,
        );
    });
}

fn walks(group: &mut Group<'_>, seen: &SnapshotCollection<'_>, records: usize) {
    group.sample_size(SAMPLES).throughput(Throughput::Elements(records as u64));
    let scan = Query::new(field("mayor.since").eq(2001)).use_scan();
    group.bench_function("filter all documents", |b| {
        b.iter(|| black_box(seen.count_matching(scan.clone()).unwrap()));
    });
    let range = Query::new(field("people").ge(0_i64)).use_index("people");
    for (name, path) in [("from an index", "people"), ("from the documents", "founded")] {
        let wanted = Projection::include([path]).unwrap();
        group.bench_function(format!("a field of all documents, {name}"), |b| {
            b.iter(|| {
                let found = seen.find_projected(range.clone(), &wanted).unwrap();
                assert_eq!(looked_at(found), records);
            });
        });
    }
    let wanted = Projection::include(["people"]).unwrap();
    group.bench_function("a field of all documents, by a scan", |b| {
        b.iter(|| looked_at(seen.find_projected(Query::all().use_scan(), &wanted).unwrap()));
    });
    group.bench_function("count a range of an index", |b| {
        b.iter(|| assert_eq!(seen.count_matching(range.clone()).unwrap(), records as u64));
    });
}

/// Documents into a new store on disk, each in a transaction.
fn insertions(c: &mut Criterion) {
    let mut group = c.benchmark_group(format!("insertions of {INSERTED} documents"));
    group.sample_size(SAMPLES).throughput(Throughput::Elements(INSERTED as u64));
    let mut rng = Rng::with_seed(9);
    for (name, indexes) in [("no index", &[][..]), ("three indexes", &towns::indexes())] {
        let mut new = || {
            let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            let builder = Database::builder().path(folder.path().join("store"));
            let db = builder.durability(Durability::Buffered).open().unwrap();
            let towns = db.collection("towns").unwrap();
            indexes.iter().for_each(|index| towns.create_index(index.clone()).unwrap());
            let documents: Vec<_> =
                (0..INSERTED as i32).map(|serial| towns::document(serial, &mut rng)).collect();
            (towns, documents, db, folder)
        };
        group.bench_function(name, |b| {
            b.iter_batched(
                &mut new,
                |(towns, documents, db, folder)| {
                    documents.into_iter().for_each(|document| drop(towns.insert(document).unwrap()));
                    (towns, db, folder)
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, insertions, queries);
criterion_main!(benches);
