//! Indexes and queries, on documents of ten fields and about a kilobyte.

use super::Result;
use super::report::{Goal, Report, Row};
use super::series::Series;
use super::settings::Settings;
use super::towns::{document, fill, indexes};
use fastrand::Rng;
use skipstone::{Builder, Collection, Database, Durability, Index, Query, SnapshotCollection, field, param};
use std::hint::black_box;
use std::time::Instant;

/// Documents that are written for the figure of an insertion.
const INSERTED: usize = 50_000;

pub(crate) fn measure(settings: &Settings, report: &mut Report) -> Result<()> {
    insertions(settings, report)?;
    let db = Builder::new().open()?;
    let towns = db.collection("towns")?;
    fill(&towns, settings.records)?;
    builds(settings, report, &towns)?;
    let snapshot = db.snapshot()?;
    let seen = snapshot.collection(&towns)?;
    look_ups(settings, report, &seen, &towns)?;
    plans(settings, report, &seen, &towns)?;
    scans(settings, report, &seen)
}

/// One document in a transaction, with three indexes against none.
fn insertions(settings: &Settings, report: &mut Report) -> Result<()> {
    let (mut with, mut without) = <(Series, Series)>::default();
    for _ in 0..settings.rounds {
        for (indexes, rates) in [(&indexes()[..], &mut with), (&[], &mut without)] {
            let folder = settings.folder()?;
            let builder =
                Database::builder().path(folder.path().join("store")).durability(Durability::Buffered);
            let db = builder.open()?;
            let towns = db.collection("towns")?;
            indexes.iter().try_for_each(|index| towns.create_index(index.clone()))?;
            let mut rng = Rng::with_seed(9);
            let documents: Vec<_> = (0..INSERTED as i32).map(|serial| document(serial, &mut rng)).collect();
            let began = Instant::now();
            for document in documents {
                towns.insert(document)?;
            }
            rates.push(INSERTED as f64 / began.elapsed().as_secs_f64());
        }
    }
    let row = Row::new("insert with three indexes, 1 thread", "1/s", &with).against("no index", &without);
    report.add(row.goal(Goal::RatioAtLeast(0.35)));
    Ok(())
}

fn builds(settings: &Settings, report: &mut Report, towns: &Collection) -> Result<()> {
    let mut seconds = Series::default();
    for _ in 0..settings.rounds {
        let began = Instant::now();
        towns.create_index(Index::on("people")?)?;
        seconds.push(began.elapsed().as_secs_f64());
        towns.drop_index("people")?;
    }
    report.add(Row::new("build an index over all documents", "s", &seconds).goal(Goal::AtMost(3.0)));
    for index in indexes() {
        towns.create_index(index)?;
    }
    Ok(())
}

/// Nanoseconds of one call, each with another number.
fn time(settings: &Settings, rng: &mut Rng, mut call: impl FnMut(i32) -> Result<()>) -> Result<f64> {
    let (began, mut calls) = (Instant::now(), 0_u32);
    while began.elapsed() < settings.time {
        for _ in 0..16 {
            call(rng.i32(0..settings.records as i32))?;
        }
        calls += 16;
    }
    Ok(began.elapsed().as_nanos() as f64 / f64::from(calls))
}

fn look_ups(
    settings: &Settings,
    report: &mut Report,
    seen: &SnapshotCollection<'_>,
    towns: &Collection,
) -> Result<()> {
    let mut rng = Rng::with_seed(10);
    let by_name = towns.prepare(field("name").eq(param(0)))?;
    let from = towns.prepare(Query::new(field("people").ge(param(0))).sort("people").limit(20))?;
    let [mut get, mut equal, mut prepared, mut range] = <[Series; 4]>::default();
    let mut prepared_range = Series::default();
    for _ in 0..settings.rounds {
        get.push(time(settings, &mut rng, |n| {
            black_box(seen.get(n)?.ok_or("it is there")?);
            Ok(())
        })?);
        equal.push(time(settings, &mut rng, |n| {
            let query = Query::new(field("name").eq(format!("town {n:08}")));
            black_box(seen.first(query)?.ok_or("it is there")?);
            Ok(())
        })?);
        prepared.push(time(settings, &mut rng, |n| {
            let query = by_name.bind([format!("town {n:08}")])?;
            black_box(seen.first(query)?.ok_or("it is there")?);
            Ok(())
        })?);
        prepared_range.push(time(settings, &mut rng, |n| {
            let found = seen.find(from.bind([i64::from(n) * 1000])?)?;
            let found = found.into_iter().try_fold(0, |count, town| town.map(|_| count + 1))?;
            if found == 20 { Ok(()) } else { Err(format!("{found} of 20 were found").into()) }
        })?);
        range.push(time(settings, &mut rng, |n| {
            let from = i64::from(n) * 1000;
            let query = Query::new(field("people").ge(from)).sort("people").limit(20);
            let found = seen.find(query)?.try_fold(0, |count, town| town.map(|_| count + 1))?;
            if found == 20 { Ok(()) } else { Err(format!("{found} of 20 were found").into()) }
        })?);
    }
    report.add(
        Row::new("equality through an index, the query made each time", "ns", &equal)
            .against("get by id", &get),
    );
    let row = Row::new("equality through an index, prepared", "ns", &prepared).against("get by id", &get);
    report.add(row.goal(Goal::RatioAtMost(2.5)));
    report.add(Row::new("20 of a range, in order, the query made each time", "ns", &range));
    let row = Row::new("20 of a range, in order, prepared", "ns", &prepared_range);
    report.add(row.goal(Goal::AtMost(10_000.0)));
    Ok(())
}

/// What a query costs before anything is looked up: binding the values and choosing the plan.
fn plans(
    settings: &Settings,
    report: &mut Report,
    seen: &SnapshotCollection<'_>,
    towns: &Collection,
) -> Result<()> {
    let mut rng = Rng::with_seed(11);
    // Nothing is wanted, so nothing is looked up.
    let names: Vec<_> = (0..1000).map(|n| format!("town {n:08}")).collect();
    let none_by_name = towns.prepare(Query::new(field("name").eq(param(0))).limit(0))?;
    let none_from = towns.prepare(Query::new(field("people").ge(param(0))).sort("people").limit(0))?;
    let [mut equality, mut range, mut explain] = <[Series; 3]>::default();
    for _ in 0..settings.rounds {
        equality.push(time(settings, &mut rng, |n| {
            black_box(seen.find(none_by_name.bind([&names[n as usize % names.len()]])?)?);
            Ok(())
        })?);
        range.push(time(settings, &mut rng, |n| {
            black_box(seen.find(none_from.bind([i64::from(n) * 1000])?)?);
            Ok(())
        })?);
        let query = Query::new(field("name").eq("town 00000007"));
        explain.push(time(settings, &mut rng, |_| {
            black_box(seen.explain(query.clone())?);
            Ok(())
        })?);
    }
    let row = Row::new("planning a prepared equality", "ns", &equality);
    report.add(row.goal(Goal::AtMost(500.0)));
    let row = Row::new("planning a prepared range", "ns", &range);
    report.add(row.goal(Goal::AtMost(500.0)));
    report.add(Row::new("explain", "ns", &explain));
    Ok(())
}

fn scans(settings: &Settings, report: &mut Report, seen: &SnapshotCollection<'_>) -> Result<()> {
    let [mut scanned, mut counted] = <[Series; 2]>::default();
    for _ in 0..settings.rounds {
        let began = Instant::now();
        black_box(seen.count_matching(Query::new(field("mayor.since").eq(2001)).use_scan())?);
        scanned.push(settings.records as f64 / began.elapsed().as_secs_f64());
        let began = Instant::now();
        let count = seen.count_matching(Query::new(field("people").ge(0_i64)).use_index("people"))?;
        counted.push(count as f64 / began.elapsed().as_secs_f64());
        if count != settings.records as u64 {
            return Err(format!("{count} of {} entries were counted", settings.records).into());
        }
    }
    report.add(Row::new("filter all documents", "1/s", &scanned).goal(Goal::AtLeast(3e6)));
    report.add(Row::new("count a range of an index", "1/s", &counted).goal(Goal::AtLeast(1e7)));
    Ok(())
}
