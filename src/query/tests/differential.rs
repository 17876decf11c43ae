//! Random documents, indexes, filters, orders and limits: every plan gives what asking each document gives.

use super::checks::{Checked, Seen};
use super::met::Met;
use super::model::{Asked, asked, asked_for};
use super::random::{at_an_edge_of, document, index, path, put, store};
use crate::bson::{Document, doc};
use crate::sync::JoinedPool;
use crate::{
    Collection, Database, Index, Isolation, Snapshot, Transaction, TransactionCollection, TransactionOptions,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::collections::BTreeMap;

/// A store that is written twice, and what is asked of it.
#[derive(Debug, Clone)]
struct Case {
    documents: Vec<Document>,
    /// Before there are documents, and afterwards.
    indexes: [Vec<Index>; 2],
    changed: Vec<(i32, Document)>,
    asked: Vec<Asked>,
}

/// A document without arrays: its entries say all of it.
fn plain() -> impl Strategy<Value = Document> {
    (0..6_i32, 0..6_i32, 0..6_i32).prop_map(|(a, b, d)| doc! { "a": a, "b": b, "c": { "d": d } })
}

/// An index that no document is left out of.
fn whole_index() -> impl Strategy<Value = Index> {
    let is_earlier = proptest::bool::weighted(0.1);
    (path(), any::<bool>(), is_earlier).prop_map(|(path, descending, is_earlier)| {
        let index = if descending { Index::on_descending(path) } else { Index::on(path) }.unwrap();
        if is_earlier { index.of_an_earlier_version() } else { index }
    })
}

/// Documents, indexes and questions where all values are those of one kind that lie next to each other at the ends of what a byte can say.
fn case_at_edges() -> impl Strategy<Value = Case> {
    let path = || proptest::sample::select(&["a", "b", "c.d"][..]);
    // Two fields in any directions.
    let composite = move || {
        let fields = (path(), path(), any::<bool>(), any::<bool>());
        fields.prop_filter_map("one field twice", |(first, second, is_first_descending, is_second)| {
            let index =
                if is_first_descending { Index::on_descending(first) } else { Index::on(first) }.unwrap();
            if is_second { index.and_descending(second) } else { index.and(second) }.ok()
        })
    };
    (0..4).prop_flat_map(move |kind| {
        let edge = move || at_an_edge_of(kind);
        let document =
            move || (edge(), edge(), edge()).prop_map(|(a, b, d)| doc! { "a": a, "b": b, "c": { "d": d } });
        let indexes = [vec(composite(), 1..4), vec(composite(), 0..2)];
        let changed = vec((0..30_i32, document()), 0..4);
        let asked = vec(asked_for(path(), edge()), 1..4);
        (vec(document(), 10..30), indexes, changed, asked)
            .prop_map(|(documents, indexes, changed, asked)| Case { documents, indexes, changed, asked })
    })
}

fn case() -> impl Strategy<Value = Case> {
    prop_oneof![6 => case_of_all_kinds(), 1 => case_at_edges()]
}

fn case_of_all_kinds() -> impl Strategy<Value = Case> {
    let any_index = || prop_oneof![index(), whole_index()];
    let indexes = [vec(any_index(), 0..4), vec(any_index(), 0..3)];
    let changed = vec((0..30_i32, document()), 0..6);
    let documents = prop_oneof![vec(document(), 0..30), vec(plain(), 10..30)];
    (documents, indexes, changed, vec(asked(), 1..4)).prop_map(|(documents, indexes, changed, asked)| Case {
        documents,
        indexes,
        changed,
        asked,
    })
}

type Model = BTreeMap<i32, Document>;

impl Case {
    /// The store before it is changed.
    fn store(&self) -> (Database, Collection, Model) {
        let (db, towns, model) = store(self.documents.clone(), self.indexes[0].clone());
        for (number, index) in self.indexes[1].iter().enumerate() {
            // What two documents agree in has no unique index.
            let _ = towns.create_index(index.clone().named(format!("later {number}")));
        }
        (db, towns, model)
    }
}

fn at_snapshot(
    snapshot: &Snapshot<'_>,
    towns: &Collection,
    met: &Met,
    asked: &Asked,
    model: &Model,
) -> Checked {
    let seen = snapshot.collection(towns).unwrap().asked();
    Seen { view: seen.view, store: seen.store, space: seen.space, met }.check(asked, model)
}

fn within(towns: &TransactionCollection<'_, '_>, met: &Met, asked: &Asked, model: &Model) -> Checked {
    let seen = towns.asked();
    Seen { view: seen.view, store: seen.store, space: seen.space, met }.check(asked, model)
}

/// A transaction with writes of its own, and what it sees.
fn transaction<'db>(
    db: &'db Database,
    towns: &Collection,
    isolation: Isolation,
    case: &Case,
    model: &Model,
) -> (Transaction<'db>, Model) {
    let mut tx = db.begin_with(TransactionOptions::new().isolation(isolation)).unwrap();
    let mut own = model.clone();
    let mut within = tx.collection(towns).unwrap();
    for (id, document) in case.changed.iter().take(3) {
        let (id, mut document) = (id + 2, document.clone());
        document.insert("_id", id);
        if within.upsert(document.clone()).is_ok() {
            own.insert(id, document);
        }
        if within.delete(id - 1).is_ok() {
            own.remove(&(id - 1));
        }
    }
    (tx, own)
}

/// Runs cases where there are several threads for a query, however many cores there are.
fn run(cases: u32, each: u32, test: impl Fn(&Case, &Met) -> Checked + Send) {
    let threads = JoinedPool::new(3, "skipstone-test", || {}).unwrap();
    threads.install(move || {
        let met = Met::default();
        let config = ProptestConfig {
            cases,
            max_shrink_iters: 2_000,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let ran = TestRunner::new(config).run(&case(), |case| test(&case, &met));
        ran.unwrap_or_else(|failure| panic!("{failure}"));
        met.expect_each(each);
    });
}

#[test]
fn every_plan_gives_the_same() {
    run(300, 50, |case, met| {
        let (db, towns, mut model) = case.store();
        let (before, old) = (db.snapshot().unwrap(), model.clone());
        for ((id, document), asked) in case.changed.iter().zip(case.asked.iter().cycle()) {
            put(&towns, &mut model, *id, document.clone());
            let past = db.at(db.position()).unwrap();
            at_snapshot(&past, &towns, met, asked, &model)?;
        }
        let (now, past) = (db.snapshot().unwrap(), db.at(before.position()).unwrap());
        for asked in &case.asked {
            for (snapshot, model) in [(&before, &old), (&now, &model), (&past, &old)] {
                at_snapshot(snapshot, &towns, met, asked, model)?;
            }
        }
        for isolation in [Isolation::ReadCommitted, Isolation::Snapshot, Isolation::Serializable] {
            let (mut tx, own) = transaction(&db, &towns, isolation, case, &model);
            let towns = tx.collection(&towns).unwrap();
            case.asked.iter().try_for_each(|asked| within(&towns, met, asked, &own))?;
        }
        prop_assert!(db.verify().unwrap().is_sound());
        Ok(())
    });
}

/// What one sees from before stays as it was, whatever others write, and however often.
#[test]
fn every_plan_gives_the_same_while_others_write() {
    run(150, 10, |case, met| {
        let (db, towns, mut model) = case.store();
        let (before, old) = (db.snapshot().unwrap(), model.clone());
        for (id, document) in &case.changed {
            put(&towns, &mut model, *id, document.clone());
        }
        let (now, past) = (db.snapshot().unwrap(), db.at(before.position()).unwrap());
        let mut transactions = [Isolation::Snapshot, Isolation::Serializable]
            .map(|isolation| transaction(&db, &towns, isolation, case, &model));
        let towns = &towns;
        let checked: Checked = std::thread::scope(|scope| {
            let writers = [1, 2].map(|seed| scope.spawn(move || write(towns, case, seed)));
            loop {
                let are_done = writers.iter().all(|writer| writer.is_finished());
                for asked in &case.asked {
                    for (snapshot, model) in [(&before, &old), (&now, &model), (&past, &old)] {
                        at_snapshot(snapshot, towns, met, asked, model)?;
                    }
                    for (tx, own) in &mut transactions {
                        within(&tx.collection(towns).unwrap(), met, asked, own)?;
                    }
                }
                if are_done {
                    return Ok(());
                }
            }
        });
        checked?;
        drop(transactions);
        prop_assert!(db.verify().unwrap().is_sound());
        Ok(())
    });
}

/// Writes documents that there are over each other, and deletes them.
fn write(towns: &Collection, case: &Case, seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    for _ in 0..500 {
        let id = rng.i32(0..30);
        let (Some(document), false) = (rng.choice(&case.documents), rng.u8(..) < 32) else {
            let _ = towns.delete(id);
            continue;
        };
        let mut document = document.clone();
        document.insert("_id", id);
        // Where an index is unique, it may have no place.
        let _ = towns.upsert(document);
    }
}
