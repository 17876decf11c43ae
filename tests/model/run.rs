//! Runs operations on a store and on the model side by side, and compares every answer.

use crate::history::{self, History, Place, Stored};
use crate::operations::{Call, Key, Operation, Range, SLOTS, Space};
use skipstone::bson::doc;
use skipstone::{
    Collection, Database, DocRef, DocumentId, Error, Isolation, Keyspace, Savepoint, Snapshot, Transaction,
    TransactionOptions,
};
use std::ops::Bound;

pub(crate) fn run(operations: &[Operation]) {
    let db = Database::in_memory();
    // In the order of `Space`: conflicts are found in the order in which the spaces were created.
    let handles = Handles { values: db.keyspace("v").unwrap(), documents: db.collection("d").unwrap() };
    let mut pair = Pair {
        db: &db,
        handles: &handles,
        history: History::default(),
        transactions: std::array::from_fn(|_| None),
        snapshots: std::array::from_fn(|_| None),
        every_snapshot: vec![(db.snapshot().unwrap(), 0)],
    };
    for operation in operations {
        pair.run(operation);
    }
    // Also after everything else has gone that might have kept versions alive.
    pair.transactions = std::array::from_fn(|_| None);
    db.sweep().unwrap();
    pair.check_every_snapshot();
}

struct Handles {
    values: Keyspace,
    documents: Collection,
}

struct Pair<'db> {
    db: &'db Database,
    handles: &'db Handles,
    history: History,
    transactions: [Option<Running<'db>>; SLOTS],
    /// Snapshots that come and go, with their times.
    snapshots: [Option<(Snapshot<'db>, usize)>; SLOTS],
    /// Snapshots that stay to the end.
    every_snapshot: Vec<(Snapshot<'db>, usize)>,
}

/// A transaction and its model.
struct Running<'db> {
    real: Transaction<'db>,
    savepoints: Vec<Savepoint>,
    model: history::Transaction,
}

impl Pair<'_> {
    fn run(&mut self, operation: &Operation) {
        match operation {
            Operation::Call { slot, level, call } => self.call(*slot, *level, call),
            Operation::OpenSnapshot(slot) => {
                let opened = (self.db.snapshot().unwrap(), self.history.now());
                self.every_snapshot.extend((self.every_snapshot.len() < 3).then(|| opened.clone()));
                self.snapshots[*slot] = Some(opened);
            }
            Operation::ReadSnapshot(slot) => {
                if let Some((snapshot, time)) = &self.snapshots[*slot] {
                    self.check_snapshot(snapshot, *time);
                }
            }
            Operation::DropSnapshot(slot) => self.snapshots[*slot] = None,
            Operation::Sweep => self.db.sweep().unwrap(),
        }
    }

    fn call(&mut self, slot: usize, level: Isolation, call: &Call) {
        let mut running = self.transactions[slot].take().unwrap_or_else(|| Running {
            real: self.db.begin_with(TransactionOptions::new().isolation(level)).unwrap(),
            savepoints: Vec::new(),
            model: history::Transaction::begin(&self.history, level),
        });
        match call {
            Call::Commit => self.commit(running),
            Call::Rollback => running.real.rollback(),
            _ => {
                running.call(self.handles, &self.history, call);
                self.transactions[slot] = Some(running);
            }
        }
        self.check_newest();
    }

    fn commit(&mut self, running: Running<'_>) {
        let expected = self.history.judge(&running.model);
        match (running.real.commit(), expected) {
            (Ok(lsn), Ok(())) => self.history.commit(running.model, lsn),
            (Err(Error::Conflict { keyspace, conflict, attempts: 1, .. }), Err(refused)) => {
                let (space, key) = refused.place;
                let (name, key) = match space {
                    Space::Values => ("v", vec![key]),
                    Space::Documents => ("d", document_key(key)),
                };
                assert_eq!((&keyspace[..], &conflict.key), (name, &key), "{conflict}");
                assert_eq!(
                    (conflict.kind, conflict.winner),
                    (refused.kind, Some(refused.winner)),
                    "{conflict}"
                );
            }
            (found, expected) => panic!("commit answered {found:?}, expected {expected:?}"),
        }
    }

    /// Reads outside of transactions and counts see the newest versions.
    fn check_newest(&self) {
        let now = self.history.now();
        let documents = self.history.all_at(now, Space::Documents);
        assert_eq!(self.handles.documents.count().unwrap(), documents.len() as u64);
        for (key, stored) in documents {
            let found = self.handles.documents.get(i32::from(key)).unwrap().expect("the model has it");
            assert_eq!(read(&found), (key, stored));
        }
        for (key, stored) in self.history.all_at(now, Space::Values) {
            assert_eq!(
                self.handles.values.get(&[key]).unwrap().as_deref(),
                Some(&stored.value.to_le_bytes()[..])
            );
        }
    }

    fn check_snapshot(&self, snapshot: &Snapshot<'_>, time: usize) {
        let values = snapshot.keyspace(&self.handles.values).unwrap();
        let expected = self.history.all_at(time, Space::Values);
        let forwards: Vec<_> = values.range::<&[u8]>(..).map(|(k, v)| entry(k, v)).collect();
        assert_eq!(forwards, expected);
        let mut backwards: Vec<_> = values.range_rev::<&[u8]>(..).map(|(k, v)| entry(k, v)).collect();
        backwards.reverse();
        assert_eq!(backwards, expected);

        let documents = snapshot.collection(&self.handles.documents).unwrap();
        let expected = self.history.all_at(time, Space::Documents);
        assert_eq!(documents.scan().map(|d| read(&d.unwrap())).collect::<Vec<_>>(), expected);
        let mut backwards: Vec<_> = documents.scan_rev().map(|d| read(&d.unwrap())).collect();
        backwards.reverse();
        assert_eq!(backwards, expected);
        for key in 0..u8::MAX {
            let stored = documents.get(i32::from(key)).unwrap().map(|found| read(&found).1);
            assert_eq!(stored, self.history.at(time, (Space::Documents, key)));
        }
    }

    fn check_every_snapshot(&self) {
        let open = self.snapshots.iter().flatten().chain(&self.every_snapshot);
        open.for_each(|(snapshot, time)| self.check_snapshot(snapshot, *time));
    }
}

impl Running<'_> {
    fn call(&mut self, handles: &Handles, history: &History, call: &Call) {
        match *call {
            Call::Get(space, key) => {
                let expected = self.model.get(history, (space, key));
                assert_eq!(self.get(handles, (space, key)), expected);
            }
            Call::Scan { space, range, backwards, entries_max } => {
                let expected = self.model.scan(history, (space, range), backwards, entries_max);
                assert_eq!(self.scan(handles, (space, range), backwards, entries_max), expected);
            }
            Call::Put(key, value) => {
                let mut values = self.real.keyspace(&handles.values).unwrap();
                values.put(&[key], &value.to_le_bytes()).unwrap();
                self.model.put((Space::Values, key), Some(Stored { version: 0, value }));
            }
            Call::Delete(key) => {
                self.real.keyspace(&handles.values).unwrap().delete(&[key]).unwrap();
                self.model.put((Space::Values, key), None);
            }
            Call::Savepoint => {
                self.savepoints.push(self.real.savepoint());
                self.model.savepoint();
            }
            Call::RollbackTo(number) | Call::Release(number) => {
                if self.model.savepoint_count() == 0 {
                    return;
                }
                let number = number % self.model.savepoint_count();
                let (outcome, expected) = if matches!(call, Call::Release(_)) {
                    (self.real.release(self.savepoints[number]), self.model.release(number))
                } else {
                    (self.real.rollback_to(self.savepoints[number]), self.model.rollback_to(number))
                };
                match outcome {
                    Ok(()) => assert!(expected, "savepoint {number} should be closed"),
                    Err(Error::SavepointClosed) => assert!(!expected, "savepoint {number} should be open"),
                    Err(other) => panic!("{other}"),
                }
            }
            _ => self.change_document(handles, history, call),
        }
    }

    /// The calls that read a document and write it.
    fn change_document(&mut self, handles: &Handles, history: &History, call: &Call) {
        let mut documents = self.real.collection(&handles.documents).unwrap();
        let (Call::Insert(key, _)
        | Call::Upsert(key, _)
        | Call::Update(key, _)
        | Call::UpdateIf(key, ..)
        | Call::Remove(key)) = *call
        else {
            panic!("not a change of a document: {call:?}")
        };
        let (id, place) = (i32::from(key), (Space::Documents, key));
        let before = self.model.get(history, place);
        let next = before.map_or(1, |stored| stored.version + 1);
        let mut wrote = |value: u32| {
            self.model.put_read(history, place, Some(Stored { version: next, value }));
        };
        match (call, before) {
            (&Call::Insert(_, value), None) => {
                documents.insert(doc! { "_id": id, "n": i64::from(value) }).unwrap();
                wrote(value);
            }
            (&Call::Insert(_, value), Some(_)) => {
                let refused = documents.insert(doc! { "_id": id, "n": i64::from(value) });
                assert!(matches!(refused, Err(Error::AlreadyExists { .. })), "{refused:?}");
            }
            (&Call::Upsert(_, value), _) => {
                documents.upsert(doc! { "_id": id, "n": i64::from(value) }).unwrap();
                wrote(value);
            }
            (&Call::Update(_, value), Some(_)) => {
                assert_eq!(documents.update(id, |d| drop(d.insert("n", i64::from(value)))).unwrap(), next);
                wrote(value);
            }
            (&Call::UpdateIf(_, version, value), Some(stored)) => {
                let outcome = documents.update_if(id, version, |d| drop(d.insert("n", i64::from(value))));
                if version == stored.version {
                    assert_eq!(outcome.unwrap(), next);
                    wrote(value);
                } else {
                    assert!(matches!(outcome, Err(Error::VersionMismatch { .. })), "{outcome:?}");
                }
            }
            (Call::Remove(_), Some(_)) => {
                assert!(documents.delete(id).unwrap());
                self.model.put_read(history, place, None);
            }
            (Call::Remove(_), None) => assert!(!documents.delete(id).unwrap()),
            (_, None) => {
                let refused = documents.update(id, |_| panic!("there is nothing to update"));
                assert!(matches!(refused, Err(Error::NotFound { .. })), "{refused:?}");
            }
            _ => unreachable!("every change is above"),
        }
    }

    fn get(&mut self, handles: &Handles, (space, key): Place) -> Option<Stored> {
        match space {
            Space::Values => {
                let values = self.real.keyspace(&handles.values).unwrap();
                values.get(&[key]).map(|value| entry(&[key], &value).1)
            }
            Space::Documents => {
                let documents = self.real.collection(&handles.documents).unwrap();
                let found = documents.get(i32::from(key)).unwrap();
                found.map(|found| read(&found).1)
            }
        }
    }

    fn scan(
        &mut self,
        handles: &Handles,
        (space, range): (Space, Range),
        backwards: bool,
        entries_max: usize,
    ) -> Vec<(Key, Stored)> {
        match space {
            Space::Values => {
                let values = self.real.keyspace(&handles.values).unwrap();
                let keys = (range.0.map(|key| [key]), range.1.map(|key| [key]));
                let scan = if backwards { values.range_rev(keys) } else { values.range(keys) };
                scan.take(entries_max).map(|(key, value)| entry(&key, &value)).collect()
            }
            Space::Documents => {
                let documents = self.real.collection(&handles.documents).unwrap();
                let id = |bound: Bound<Key>| bound.map(|key| DocumentId::Int(key.into()));
                let ids = (id(range.0), id(range.1));
                let scan = if backwards { documents.range_rev(ids) } else { documents.range(ids) };
                scan.unwrap().take(entries_max).map(|found| read(&found.unwrap())).collect()
            }
        }
    }
}

fn document_key(key: Key) -> Vec<u8> {
    let mut encoded = Vec::new();
    DocumentId::Int(key.into()).to_key(&mut encoded).unwrap();
    encoded
}

fn entry(key: &[u8], value: &[u8]) -> (Key, Stored) {
    (key[0], Stored { version: 0, value: u32::from_le_bytes(value.try_into().expect("four bytes")) })
}

fn read(found: &DocRef<'_>) -> (Key, Stored) {
    let DocumentId::Int(id) = found.id().unwrap() else { panic!("ids here are integers") };
    let value = found.get("n").and_then(|n| n.as_i64()).expect("a document of this test") as u32;
    (u8::try_from(id).unwrap(), Stored { version: found.version(), value })
}
