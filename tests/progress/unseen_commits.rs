//! A committer parked with its position taken is not seen by who looks for what is committed now, and yet its position is lower than what
//! they go by. What they write upon it must not be lost, nor twice there. And one parked before it knows that the list of indexes changed does
//! not commit by the old one.

use super::harness::while_parked;
use crate::engine::Engine;
use crate::engine::config::Config;
use crate::index::definition::Index;
use crate::index::set::{Indexes, Kept};
use crate::sync::Step;
use crate::{Collection, Database, Error, Isolation, TransactionOptions};
use bson::doc;
use std::sync::Arc;

fn store() -> (Arc<Engine>, Database, Collection) {
    let engine = Arc::new(Engine::open(Config::default()).unwrap());
    let db = Database::from_engine(Arc::clone(&engine));
    let towns = db.collection("towns").unwrap();
    (engine, db, towns)
}

/// At each step behind the one where others are told to come later.
const STEPS: [Step; 2] = [Step::Positioning, Step::Positioned];

#[test]
fn an_update_under_read_committed_is_not_lost() {
    for step in STEPS {
        let (_, db, towns) = store();
        towns.insert(doc! { "_id": 1, "n": 0 }).unwrap();
        let add = |n: i32| {
            move |document: &mut bson::Document| {
                let was = document.get_i32("n").unwrap();
                document.insert("n", was + n);
            }
        };
        let parked = || towns.update(1, add(100)).unwrap();
        let (_, transaction) = while_parked(step, parked, || {
            let options = TransactionOptions::new().isolation(Isolation::ReadCommitted);
            let mut transaction = db.begin_with(options).unwrap();
            transaction.collection(&towns).unwrap().update(1, add(1)).unwrap();
            transaction
        });
        let error = transaction.commit().expect_err("it did not see what was committed before it");
        assert!(matches!(error, Error::Conflict { .. }), "{error}, {step:?}");
        assert_eq!(towns.get(1).unwrap().unwrap().get("n").unwrap().as_i32(), Some(100));
    }
}

/// A unique index that is being built, as far as writers know.
fn building(engine: &Engine, towns: &Collection) {
    let number = engine.find(crate::engine::catalog::Kind::Collection, towns.name()).unwrap();
    let (collection, space) = (engine.store().space(number), engine.store().space(number + 1));
    let index = Kept::new(Index::on("v").unwrap().unique(), space, None);
    Indexes::of(collection).publish(vec![Arc::new(index)]);
    collection.era().end();
}

#[test]
fn two_do_not_take_one_value_while_the_index_is_built() {
    for step in STEPS {
        let (engine, db, towns) = store();
        building(&engine, &towns);
        let parked = || towns.insert(doc! { "_id": 1, "v": "x" });
        let (first, second) = while_parked(step, parked, || {
            let mut transaction = db.begin().unwrap();
            transaction.collection(&towns).unwrap().insert(doc! { "_id": 2, "v": "x" }).unwrap();
            transaction
        });
        first.unwrap();
        let error = second.commit().expect_err("the value was taken before");
        assert!(matches!(error, Error::Conflict { .. }), "{error}, {step:?}");
        assert_eq!(towns.count().unwrap(), 1);
    }
}

/// Two documents may have one value while the index is built: one whose entry is not there yet, and one that took the value since. Who takes the
/// value from the first leaves the entry of the second; if the second gives it up meanwhile, the entry may be the first one's by then.
#[test]
fn who_leaves_an_entry_to_another_document_relies_on_it() {
    let (engine, db, towns) = store();
    towns.insert(doc! { "_id": 1, "v": "x" }).unwrap();
    building(&engine, &towns);
    towns.insert(doc! { "_id": 2, "v": "x" }).unwrap();
    let mut transaction = db.begin().unwrap();
    transaction.collection(&towns).unwrap().replace(1, doc! { "v": "y" }).unwrap();
    towns.replace(2, doc! { "v": "z" }).unwrap();
    let error = transaction.commit().expect_err("the build may have put the entry of the first one");
    assert!(matches!(error, Error::Conflict { .. }), "{error}");
    // Alone it is tried again.
    towns.insert(doc! { "_id": 3, "v": "x" }).unwrap();
    towns.replace(1, doc! { "v": "y" }).unwrap();
    let taken = towns.insert(doc! { "_id": 4, "v": "x" }).unwrap_err();
    assert!(matches!(taken, Error::Index { .. }), "the entry of the third is there: {taken}");
}

/// Parked before its position is taken, or so that it is told to take a later one.
#[test]
fn who_wrote_by_an_older_list_of_indexes_writes_anew() {
    for step in [Step::Installed, Step::Positioning, Step::Positioned] {
        let (_, db, towns) = store();
        let index = || Index::on("v").unwrap().unique();
        towns.insert(doc! { "_id": 1, "v": "x" }).unwrap();
        let parked = || towns.replace(1, doc! { "v": "y" }).unwrap();
        while_parked(step, parked, || towns.create_index(index()).unwrap());
        let found = db.verify().unwrap();
        assert!(found.is_sound(), "created at {step:?}: {:#?}", found.findings);
        assert!(towns.insert(doc! { "v": "y" }).is_err());
        towns.insert(doc! { "v": "x" }).unwrap();
        let parked = || towns.replace(1, doc! { "v": "z" }).unwrap();
        while_parked(step, parked, || towns.drop_index("v").unwrap());
        let found = db.verify().unwrap();
        assert!(found.is_sound(), "dropped at {step:?}: {:#?}", found.findings);
    }
}
