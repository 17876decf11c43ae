//! What changed between two moments, against comparing all documents.

use crate::model::{Past, State, n, steps};
use proptest::prelude::*;
use skipstone::bson::doc;
use skipstone::{Builder, Database, DocRef, Error};

type Changed = Vec<(i32, Option<(u64, i32)>, Option<(u64, i32)>)>;

/// What must be reported: whatever is not the same, and what was written in between, even if it is the same again.
fn expected(past: &Past, from: usize, to: usize) -> Changed {
    let (before, after) = (&past.states[from].1, &past.states[to].1);
    let was_written = |id: i32| {
        let states = &past.states[from.min(to)..=from.max(to)];
        states.windows(2).any(|pair| pair[0].1.get(&id) != pair[1].1.get(&id))
    };
    let there = |state: &State, id| state.get(&id).copied();
    let all = (0..5).map(|id| (id, there(before, id), there(after, id)));
    all.filter(|(id, before, after)| was_written(*id) && (before.is_some() || after.is_some())).collect()
}

fn changed(past: &Past, from: usize, to: usize) -> Changed {
    let at = |index: usize| past.db.at(past.states[index].0).unwrap();
    let (before, after) = (at(from), at(to));
    let before = before.collection(&past.things).unwrap();
    let after = after.collection(&past.things).unwrap();
    let found = before.diff(&after).unwrap().map(|difference| {
        let difference = difference.unwrap();
        let said = |document: &Option<DocRef<'_>>| document.as_ref().map(|found| (found.version(), n(found)));
        let skipstone::DocumentId::Int(id) = difference.id else { panic!("{:?}", difference.id) };
        (id as i32, said(&difference.before), said(&difference.after))
    });
    found.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_changed_is_found_in_both_directions(steps in steps(), pairs in proptest::collection::vec((0..41_usize, 0..41_usize), 1..8)) {
        let past = Past::run(Builder::new().retain_history_bytes(u64::MAX), &steps);
        for (from, to) in pairs {
            let (from, to) = (from % past.states.len(), to % past.states.len());
            prop_assert_eq!(changed(&past, from, to), expected(&past, from, to), "from {} to {}", from, to);
        }
    }
}

#[test]
fn a_difference_of_thousands_is_streamed_in_order() {
    let db = Database::builder().retain_history_bytes(u64::MAX).open().unwrap();
    let things = db.collection("things").unwrap();
    things.insert_many((0..5_000).map(|id| doc! { "_id": id, "n": 0 })).unwrap();
    let before = db.position();
    for id in (0..5_000).step_by(2) {
        things.delete(id).unwrap();
    }
    things.insert_many((5_000..6_000).map(|id| doc! { "_id": id, "n": 1 })).unwrap();
    let (then, now) = (db.at(before).unwrap(), db.snapshot().unwrap());
    let (then, now) = (then.collection(&things).unwrap(), now.collection(&things).unwrap());
    let found: Vec<_> = then.diff(&now).unwrap().map(|found| found.unwrap()).collect();
    assert_eq!(found.len(), 3_500);
    assert!(found.is_sorted_by_key(|difference| difference.id.clone()));
    assert!(found[..2_500].iter().all(|difference| difference.after.is_none()));
    assert!(found[2_500..].iter().all(|difference| difference.before.is_none()));
    assert_eq!(now.diff(&now).unwrap().count(), 0);
}

#[test]
fn different_collections_are_not_compared() {
    let db = Database::in_memory();
    let (things, others) = (db.collection("things").unwrap(), db.collection("others").unwrap());
    let snapshot = db.snapshot().unwrap();
    let (things, others) = (snapshot.collection(&things).unwrap(), snapshot.collection(&others).unwrap());
    let error = things.diff(&others).err().expect("they are different");
    assert!(matches!(&error, Error::DifferentCollections { .. }), "{error}");
    assert!(error.to_string().contains("`things` and `others`"), "{error}");
}
