//! Eras, and an index that is built or dropped beside a writer: in the end it holds what the document says, or nothing.
//!
//! The steps are those of `engine::indexing`, on the same list of indexes, eras and transactions.

use super::*;
use crate::index::definition::Index;
use crate::index::set::{Indexes, Kept};
use crate::map::Towards;
use crate::mvcc::chain::ANY_BASE;
use crate::mvcc::store::Space;
use crate::txn::commit::Failed;
use crate::txn::error::ConflictKind;
use loom::thread;
use std::ops::Bound;

const DOCUMENT: &[u8] = b"d";

fn entries_space(store: &Store) -> &Space {
    store.space(2)
}

/// The values that the index has entries of.
fn entries(store: &Store) -> Vec<u8> {
    let snapshot = store.snapshot();
    let all = (Bound::Unbounded, Bound::Unbounded);
    snapshot.scan(entries_space(store), all, Towards::Greater).map(|(key, _)| key[0]).collect()
}

fn publish(store: &Store, is_there: bool) {
    let kept = || Arc::new(Kept::new(Index::on("f").unwrap(), entries_space(store), None));
    Indexes::of(space(store)).publish(if is_there { vec![kept()] } else { Vec::new() });
    space(store).era().end();
    // The position behind which everybody knows.
    store.end().reserve(Lsn::ALIGN);
}

/// Changes the document to a value, once it is no conflict; returns how often its index had changed meanwhile.
fn change(store: &Store, to: u8) -> usize {
    let mut times = 0;
    loop {
        let mut txn = begin(store, Isolation::Snapshot);
        let (era, base) = (space(store).era().current(), txn.statement_base());
        let has_index = !Indexes::of(space(store)).current().is_empty();
        let old = value(txn.get(space(store), DOCUMENT)).unwrap();
        txn.rely_on(space(store), era);
        txn.put_based(space(store), DOCUMENT, Some(&[to]), base);
        if has_index {
            txn.put_based(entries_space(store), &[old], None, ANY_BASE);
            txn.put_based(entries_space(store), &[to], Some(&[]), ANY_BASE);
        }
        match txn.commit() {
            Ok(_) => return times,
            Err(Failed::Conflict { conflict, .. }) => {
                let is_expected = matches!(conflict.kind, ConflictKind::Indexes | ConflictKind::Overtaken);
                assert!(is_expected, "nobody else writes the document: {conflict:?}");
                times += usize::from(conflict.kind == ConflictKind::Indexes);
            }
            Err(failed) => panic!("{failed:?}"),
        }
    }
}

#[test]
fn an_index_built_beside_a_writer_holds_what_the_document_says() {
    let outcomes = Outcomes::default();
    let noted = outcomes.clone();
    // With two preemptions, the executions multiply beyond what ends in minutes. One is enough to build while the writer is at any of its steps.
    explore_within(1, "index built beside a writer", move || {
        let store = store();
        put(&store, &[(DOCUMENT, Some(1))]).unwrap();
        let builder = {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                publish(&store, true);
                let snapshot = store.snapshot();
                let seen = snapshot.get(space(&store), DOCUMENT).unwrap().value[0];
                let mut txn = begin(&store, Isolation::Snapshot);
                txn.put_based(entries_space(&store), &[seen], Some(&[]), snapshot.position());
                // Where something newer is, that is right.
                let is_superseded = txn.commit().is_err();
                (seen, is_superseded)
            })
        };
        let times = change(&store, 2);
        let (seen, is_superseded) = builder.join().unwrap();
        assert_eq!(entries(&store), [2], "seen {seen}, superseded {is_superseded}");
        noted.note((seen, is_superseded, times));
    });
    outcomes.expect(&["(1, false, 0)", "(1, false, 1)", "(2, false, 0)"]);
}

#[test]
fn an_index_dropped_beside_a_writer_is_empty() {
    explore("index dropped beside a writer", || {
        let store = store();
        publish(&store, true);
        let mut txn = begin(&store, Isolation::Snapshot);
        txn.put(space(&store), DOCUMENT, Some(&[1]));
        txn.put(entries_space(&store), &[1], Some(&[]));
        txn.commit().unwrap();
        let dropper = {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                publish(&store, false);
                for key in entries(&store) {
                    let delete = || {
                        let mut txn = begin(&store, Isolation::Snapshot);
                        txn.put_based(entries_space(&store), &[key], None, ANY_BASE);
                        txn.commit()
                    };
                    while delete().is_err() {}
                }
            })
        };
        change(&store, 2);
        dropper.join().unwrap();
        assert_eq!(entries(&store), [0; 0]);
        assert_eq!(read(&store, DOCUMENT), Some(2));
    });
}
