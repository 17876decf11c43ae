//! Runs operations on a store and on the model side by side.

use super::documents::Spec;
use super::expected::{Answer, Docs, has_place, is_duplicate, is_possible, written};
use super::operations::{IDS, Operation, Write};
use super::transaction::Open;
use skipstone::bson::Document;
use skipstone::{Collection, Database, Durability, Error, IndexError, verify};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) struct Made {
    pub(crate) spec: Spec,
    /// How often the indexes had changed when it was ready.
    pub(crate) at: usize,
}

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) docs: Docs,
    pub(crate) indexes: Vec<Made>,
    /// How often the indexes have changed; twice for one that was begun and could not be made.
    pub(crate) changes: usize,
}

/// The call of a write, on a collection or on one within a transaction. False if there was nothing to do.
macro_rules! call {
    ($collection:expr, $id:expr, $write:expr) => {
        match $write {
            Write::Insert(doc) => $collection.insert(doc.bson($id)).map(|_| true),
            Write::Upsert(doc) => $collection.upsert(doc.bson($id)).map(|_| true),
            Write::Replace(doc) => $collection.replace($id, doc.bson($id)).map(|_| true),
            Write::Patch(field, value) => {
                let patch = super::documents::patch(*field, value);
                $collection.patch($id, &patch).map(|_| true)
            }
            Write::Delete => $collection.delete($id),
        }
    };
}
pub(crate) use call;

pub(crate) fn answer(found: Result<bool, Error>) -> Answer {
    match found {
        Ok(true) => Answer::Done,
        Ok(false) => Answer::Nothing,
        Err(Error::AlreadyExists { .. }) => Answer::AlreadyExists,
        Err(Error::NotFound { .. }) => Answer::NotFound,
        Err(Error::Conflict { .. }) => Answer::Conflict,
        Err(Error::Index { cause, .. })
            if matches!(*cause, IndexError::Duplicate { .. } | IndexError::Entry { .. }) =>
        {
            Answer::Refused
        }
        Err(error) => panic!("{error}"),
    }
}

pub(crate) fn run(operations: &[Operation]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let open = || {
        let builder = Database::builder().path(&path).durability(Durability::None);
        builder.ring_bytes(1 << 20).segment_bytes(1 << 20).retries(3).open().unwrap()
    };
    let mut model = Model::default();
    let db = open();
    let collection = db.collection("documents").unwrap();
    run_on(&db, &collection, &mut model, operations);
    compare(&db, &collection, &model);
    drop(collection);
    db.close().unwrap();
    let verified = verify(&path).unwrap();
    assert!(verified.is_sound(), "{:#?}", verified.findings);
    let db = open();
    let collection = db.collection("documents").unwrap();
    compare(&db, &collection, &model);
    // And they are kept from then on.
    let again: Vec<_> = operations.iter().filter(|operation| is_write(operation)).cloned().collect();
    run_on(&db, &collection, &mut model, &again);
    compare(&db, &collection, &model);
}

fn is_write(operation: &Operation) -> bool {
    matches!(operation, Operation::Write { .. })
}

fn run_on(db: &Database, collection: &Collection, model: &mut Model, operations: &[Operation]) {
    let mut open: Option<Open<'_>> = None;
    for operation in operations {
        match operation {
            Operation::Write { id, write, within } => match &mut open {
                Some(open) if *within => open.write(collection, model, *id, write),
                Some(open) => open.others_wrote |= alone(collection, model, IDS / 2 + id % (IDS / 2), write),
                None => drop(alone(collection, model, *id, write)),
            },
            Operation::Begin(level) => {
                open.get_or_insert_with(|| Open::begin(db, *level, model));
            }
            Operation::Savepoint => open.iter_mut().for_each(Open::savepoint),
            Operation::RollbackTo(number) => open.iter_mut().for_each(|open| open.roll_back_to(*number)),
            Operation::Commit => open.take().into_iter().for_each(|open| open.commit(model)),
            Operation::Rollback => open.take().into_iter().for_each(Open::roll_back),
            Operation::Create(spec) => create(collection, model, spec),
            Operation::Drop(name) => {
                let was_dropped = drop_index(collection, model, *name);
                open.iter_mut().for_each(|open| open.was_dropped |= was_dropped);
            }
            Operation::Checkpoint => drop(db.checkpoint().unwrap()),
            Operation::Sweep => db.sweep().unwrap(),
        }
    }
}

/// A call that is a transaction of its own; whether it changed anything.
fn alone(collection: &Collection, model: &mut Model, id: i32, write: &Write) -> bool {
    let expected = match written(model.docs.get(&id), write) {
        Err(answer) => answer,
        Ok(new) => {
            let mut docs = model.docs.clone();
            match new {
                Some(doc) => drop(docs.insert(id, doc)),
                None => drop(docs.remove(&id)),
            }
            let takes =
                |made: &Made| has_place(&made.spec, &docs, id) && !is_duplicate(&made.spec, &docs, id);
            if model.indexes.iter().all(takes) {
                model.docs = docs;
                Answer::Done
            } else {
                Answer::Refused
            }
        }
    };
    let found = call!(collection, id, write);
    assert_eq!(answer(found), expected, "{write:?} of {id}");
    expected == Answer::Done
}

fn create(collection: &Collection, model: &mut Model, spec: &Spec) {
    let created = collection.create_index(spec.index());
    if model.indexes.iter().any(|made| made.spec.name == spec.name) {
        let cause = crate::index_error(created.unwrap_err());
        assert!(matches!(cause, IndexError::Exists { .. }), "{cause}");
        return;
    }
    let expected = if is_possible(spec, &model.docs) { Answer::Done } else { Answer::Refused };
    assert_eq!(answer(created.map(|()| true)), expected, "{spec:?}");
    model.changes += 1;
    match expected {
        Answer::Done => model.indexes.push(Made { spec: spec.clone(), at: model.changes }),
        _ => model.changes += 1,
    }
}

/// Whether it was there.
fn drop_index(collection: &Collection, model: &mut Model, name: u8) -> bool {
    let at = model.indexes.iter().position(|made| made.spec.name == name);
    let dropped = collection.drop_index(&format!("index {name}"));
    match at {
        Some(at) => {
            dropped.unwrap();
            model.indexes.remove(at);
            model.changes += 1;
        }
        None => {
            let cause = crate::index_error(dropped.unwrap_err());
            assert!(matches!(cause, IndexError::NotFound { .. }), "{cause}");
        }
    }
    at.is_some()
}

fn compare(db: &Database, collection: &Collection, model: &Model) {
    crate::check(db, collection, model.indexes.len());
    let found: BTreeSet<_> = collection.indexes().iter().map(|info| info.index.name()).collect();
    assert_eq!(found, model.indexes.iter().map(|made| made.spec.name()).collect());
    let snapshot = db.snapshot().unwrap();
    let found = snapshot.collection(collection).unwrap();
    let found = found.scan().map(|document| Document::try_from(document.unwrap().raw()).unwrap());
    let expected = model.docs.iter().map(|(id, doc)| doc.bson(*id));
    // A patch appends what it sets.
    let sorted = |document: Document| document.into_iter().collect::<BTreeMap<_, _>>();
    assert_eq!(found.map(sorted).collect::<Vec<_>>(), expected.map(sorted).collect::<Vec<_>>());
}
