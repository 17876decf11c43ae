//! Two transactions that patch one document both commit, and neither loses what the other did.

use super::*;
use crate::document::{Limits, Patch};
use crate::mvcc::chain::ANY_BASE;
use crate::txn::commit::Failed;
use crate::txn::reapply;
use crate::txn::{Change, Txn};
use bson::{RawDocument, RawDocumentBuf, rawdoc};
use loom::thread;
use std::borrow::Cow;

const KEY: &[u8] = b"a";

/// As a collection stores it.
fn stored(version: u64, document: RawDocumentBuf) -> Change<'static> {
    Change::Put { head: version.to_le_bytes(), body: Cow::Owned(document.into_bytes()), patch: None }
}

fn document(value: &[u8]) -> &RawDocument {
    RawDocument::from_bytes(&value[8..]).unwrap()
}

fn patch<'s>(store: &'s Store, patch: &Patch) -> Txn<'s> {
    let mut txn = begin(store, Isolation::Snapshot);
    let base = txn.statement_base();
    let patched =
        patch.apply(document(&txn.get(space(store), KEY).unwrap().value), &Limits::default()).unwrap();
    txn.put_change(space(store), KEY, &stored(2, patched).by_patch(patch), base);
    txn
}

fn put_number<'s>(store: &'s Store, version: u64, number: i32) -> Result<(), Failed<'s>> {
    let mut txn = begin(store, Isolation::Snapshot);
    txn.put_change(space(store), KEY, &stored(version, rawdoc! { "n": number }), ANY_BASE);
    txn.commit().map(drop)
}

fn commit(txn: Txn<'_>) -> u64 {
    let mended = reapply::commit(txn, &Limits::default(), |_, _| Ok::<(), Failed<'_>>(()));
    mended.expect("increments never conflict").versions_passed(KEY)
}

#[test]
fn increments_of_one_number_both_count() {
    let outcomes = Outcomes::default();
    let noted = outcomes.clone();
    explore_within(1, "increments", move || {
        let store = store();
        put_number(&store, 1, 0).unwrap();
        let add = |by: i32| {
            let store = Arc::clone(&store);
            move || commit(patch(&store, &Patch::new().inc("n", by)))
        };
        let other = thread::spawn(add(1));
        let (mine, theirs) = (add(2)(), other.join().unwrap());
        noted.note((mine, theirs));
        let snapshot = store.snapshot();
        assert_eq!(document(snapshot.get(space(&store), KEY).unwrap().value), &*rawdoc! { "n": 3 });
    });
    outcomes.expect(&["(0, 0)", "(0, 1)", "(1, 0)"]);
}

/// It is overtaken before anybody else runs, so that all there is to explore is who comes in while it is applied again.
#[test]
fn a_patch_that_is_applied_again_loses_nothing_that_comes_in_meanwhile() {
    let outcomes = Outcomes::default();
    let noted = outcomes.clone();
    explore_within(1, "a patch applied again", move || {
        let store = store();
        put_number(&store, 1, 0).unwrap();
        let overtaken = patch(&store, &Patch::new().inc("n", 1));
        put_number(&store, 2, 10).unwrap();
        let writer = {
            let store = Arc::clone(&store);
            thread::spawn(move || put_number(&store, 3, 20).is_ok())
        };
        commit(overtaken);
        let is_written = writer.join().unwrap();
        let snapshot = store.snapshot();
        let found = document(snapshot.get(space(&store), KEY).unwrap().value).get_i32("n").unwrap();
        assert!(is_written && [20, 21].contains(&found), "{found}, and the other was written: {is_written}");
        noted.note((is_written, found));
    });
    outcomes.expect(&["(true, 20)", "(true, 21)"]);
}
