//! What transactions read and wrote, and the rules that hold among them.
//!
//! Positions order everything, so no search for an order is needed: at each position there is one state of all keys. A transaction has read
//! the state at its snapshot; since then nobody committed what it wrote, or, serializable, what it read.

use super::{begin, space};
use crate::lsn::Lsn;
use crate::map::Towards;
use crate::mvcc::snapshot::Snapshot;
use crate::mvcc::store::Store;
use crate::options::Isolation;
use crate::txn::Txn;
use crate::txn::commit::Failed;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

/// All keys there are.
pub(super) const KEYS: [&[u8]; 5] = [b"a", b"b", b"c", b"d", b"e"];

/// Keys with their values, or with nothing.
type Values = BTreeMap<&'static [u8], Option<u8>>;

/// What a transaction or a snapshot was.
struct Past {
    isolation: Isolation,
    snapshot: Lsn,
    reads: Values,
    /// Where it committed, and what.
    committed: Option<(Lsn, Values)>,
}

/// See the module.
#[derive(Clone, Default)]
pub(super) struct History(Arc<Mutex<Vec<Past>>>);

impl History {
    /// Notes what a snapshot sees of all keys, one by one and by a scan.
    pub(super) fn look(&self, store: &Store, snapshot: &Snapshot) -> Values {
        let one_by_one: Values = KEYS
            .iter()
            .map(|&key| (key, snapshot.get(space(store), key).map(|seen| seen.value[0])))
            .collect();
        let scan = snapshot.scan(space(store), (Bound::Unbounded, Bound::Unbounded), Towards::Greater);
        let scanned: Vec<_> = scan.map(|(key, seen)| (key, seen.value[0])).collect();
        let present: Vec<_> = one_by_one.iter().filter_map(|(&key, &value)| Some((key, value?))).collect();
        assert_eq!(scanned, present, "a scan, and look-ups one by one, of the same snapshot");
        self.note(Past {
            isolation: Isolation::Snapshot,
            snapshot: snapshot.position(),
            reads: one_by_one.clone(),
            committed: None,
        });
        one_by_one
    }

    fn note(&self, past: Past) {
        self.0.lock().unwrap().push(past);
    }

    /// Fails the model if a rule is broken; to be called when all threads are done.
    pub(super) fn check(&self, store: &Store) {
        self.look(store, &store.snapshot());
        let all = self.0.lock().unwrap();
        for past in &*all {
            let state = state_at(&all, past.snapshot);
            for (key, &value) in &past.reads {
                assert_eq!(value, state.get(key).copied().flatten(), "{key:?} as of the snapshot");
            }
            if let Some((lsn, writes)) = &past.committed {
                check_since(&all, past, *lsn, writes);
            }
        }
    }

    /// How many transactions wrote something and committed.
    pub(super) fn commits(&self) -> usize {
        self.0.lock().unwrap().iter().filter(|past| past.committed.is_some()).count()
    }
}

/// The writers of a history that committed from one position to another.
fn writers(all: &[Past], from: Lsn, to: Lsn) -> impl Iterator<Item = (Lsn, &Values)> {
    let committed = all.iter().filter_map(|past| past.committed.as_ref());
    committed.filter(move |(lsn, _)| (from..to).contains(lsn)).map(|(lsn, writes)| (*lsn, writes))
}

fn state_at(all: &[Past], position: Lsn) -> Values {
    let mut before: Vec<_> = writers(all, Lsn::ZERO, position).collect();
    before.sort_by_key(|&(lsn, _)| lsn);
    before.into_iter().flat_map(|(_, writes)| writes.clone()).collect()
}

/// Nobody came between the snapshot and the commit of a transaction who should not have.
fn check_since(all: &[Past], past: &Past, lsn: Lsn, writes: &Values) {
    for (_, others) in writers(all, past.snapshot, lsn) {
        let overwritten = others.keys().find(|key| writes.contains_key(*key));
        assert_eq!(overwritten, None, "overwrote what it had not seen");
        if past.isolation == Isolation::Serializable {
            let changed = others.keys().find(|key| past.reads.contains_key(*key));
            assert_eq!(changed, None, "committed behind a change of what it had read");
        }
    }
}

/// A transaction whose reads and writes go into a history.
pub(super) struct Tracked<'s> {
    store: &'s Store,
    txn: Txn<'s>,
    reads: Values,
    writes: Values,
}

impl<'s> Tracked<'s> {
    pub(super) fn begin(store: &'s Store, isolation: Isolation) -> Tracked<'s> {
        Tracked { store, txn: begin(store, isolation), reads: Values::new(), writes: Values::new() }
    }

    pub(super) fn get(&mut self, key: &'static [u8]) -> Option<u8> {
        let value = self.txn.get(space(self.store), key).map(|found| found.value[0]);
        self.saw(key, value);
        value
    }

    /// All keys that have a value, with it.
    pub(super) fn scan(&mut self) -> Vec<(&'static [u8], u8)> {
        let all = (Bound::Unbounded, Bound::Unbounded);
        let scan = self.txn.scan(space(self.store), all, Towards::Greater);
        let found: BTreeMap<Vec<u8>, u8> =
            scan.map(|entry| (entry.key.into_owned(), entry.value[0])).collect();
        for key in KEYS {
            self.saw(key, found.get(key).copied());
        }
        KEYS.iter().filter_map(|&key| Some((key, *found.get(key)?))).collect()
    }

    /// What is read is what was written, or what was read before, or it counts.
    fn saw(&mut self, key: &'static [u8], value: Option<u8>) {
        if let Some(&written) = self.writes.get(key) {
            assert_eq!(value, written, "its own write");
        } else if let Some(before) = self.reads.insert(key, value) {
            assert_eq!(value, before, "another answer the second time");
        }
    }

    pub(super) fn put(&mut self, key: &'static [u8], value: Option<u8>) {
        self.txn.put(space(self.store), key, value.as_ref().map(std::slice::from_ref));
        self.writes.insert(key, value);
    }

    /// Commits into `history`; what was read counts if there is a conflict too. Returns whether there was none.
    pub(super) fn commit(self, history: &History) -> bool {
        let (isolation, snapshot) = (self.txn.isolation(), self.txn.position());
        let committed = match self.txn.commit() {
            Ok(_) if self.writes.is_empty() => None,
            Ok(committed) => Some((committed.lsn, self.writes)),
            Err(Failed::Conflict { .. }) => None,
            Err(failed) => panic!("a store without a log cannot fail: {failed:?}"),
        };
        let is_committed = committed.is_some();
        history.note(Past { isolation, snapshot, reads: self.reads, committed });
        is_committed
    }
}
