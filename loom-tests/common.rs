//! What the models of both checkers stand on: stores without a log, and a note of what executions came to.

use crate::lsn::{LogEnd, Lsn};
use crate::mvcc::store::{Space, Store};
use crate::options::Isolation;
use crate::sync::Arc;
use crate::txn::commit::{Committed, Failed, Ground};
use crate::txn::{Found, Txn};
use std::collections::BTreeSet;
use std::sync::Mutex;

/// What executions of one model came to, to see that the interesting ones were met.
#[derive(Clone, Default)]
pub(super) struct Outcomes(std::sync::Arc<Mutex<BTreeSet<String>>>);

impl Outcomes {
    pub(super) fn note(&self, outcome: impl std::fmt::Debug) {
        self.0.lock().unwrap().insert(format!("{outcome:?}"));
    }

    pub(super) fn expect(&self, outcomes: &[&str]) {
        let expected: BTreeSet<String> = outcomes.iter().map(|&outcome| outcome.to_owned()).collect();
        assert_eq!(self.met(), expected, "the executions came to these outcomes");
    }

    pub(super) fn met(&self) -> BTreeSet<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A store in memory with one keyspace.
pub(super) fn store() -> Arc<Store> {
    Arc::new(Store::new(Arc::new(LogEnd::new(Lsn::new(8))), 0))
}

pub(super) fn space(store: &Store) -> &Space {
    store.space(1)
}

pub(super) fn begin(store: &Store, isolation: Isolation) -> Txn<'_> {
    Txn::begin(Ground { store, log: None }, isolation)
}

/// Commits these writes, in one transaction at snapshot isolation.
pub(super) fn put<'s>(store: &'s Store, writes: &[(&[u8], Option<u8>)]) -> Result<Committed, Failed<'s>> {
    let mut txn = begin(store, Isolation::Snapshot);
    for (key, value) in writes {
        txn.put(space(store), key, value.as_ref().map(std::slice::from_ref));
    }
    txn.commit()
}

pub(super) fn value(found: Option<Found<'_>>) -> Option<u8> {
    found.map(|found| found.value[0])
}

/// What a new snapshot sees under a key.
pub(super) fn read(store: &Store, key: &[u8]) -> Option<u8> {
    store.snapshot().get(space(store), key).map(|seen| seen.value[0])
}
