//! Patches of one document at the same time: those of different fields all count, those of one field conflict.

use crate::{collection, n};
use proptest::prelude::*;
use skipstone::bson::{self, Bson, doc};
use skipstone::{
    Collection, Database, Error, Index, Isolation, Patch, Transaction, TransactionOptions, field,
};
use std::collections::BTreeSet;

fn things() -> (Database, Collection) {
    let (db, things) = collection();
    let town = doc! { "_id": 1, "n": 1, "m": { "a": 1, "b": 2 }, "tags": ["x"], "list": [1, 2] };
    things.insert(town).unwrap();
    (db, things)
}

fn document(things: &Collection) -> bson::Document {
    let document = things.get(1).unwrap().unwrap();
    bson::Document::try_from(document.raw()).unwrap()
}

fn patched<'db>(db: &'db Database, things: &Collection, patch: &Patch) -> Transaction<'db> {
    let mut tx = db.begin().unwrap();
    tx.collection(things).unwrap().patch(1, patch).unwrap();
    tx
}

fn is_conflict<T: std::fmt::Debug>(result: Result<T, Error>) -> bool {
    result.is_err_and(|error| error.is_conflict())
}

/// Commits both, begun at one moment, and says whether the second one could.
fn run(first: &Patch, second: &Patch) -> (bool, bson::Document) {
    let (db, things) = things();
    let (one, two) = (patched(&db, &things, first), patched(&db, &things, second));
    one.commit().unwrap();
    let committed = two.commit();
    assert!(committed.is_ok() || is_conflict(committed.clone().map(drop)), "{committed:?}");
    (committed.is_ok(), document(&things))
}

#[test]
fn patches_of_different_fields_both_commit() {
    let patches = [
        Patch::new().inc("n", 1),
        Patch::new().set("m.a", "one"),
        Patch::new().unset("m.b"),
        Patch::new().push("tags", "y"),
        Patch::new().add_to_set("sets", 7),
        Patch::new().set("list.0", "first"),
        Patch::new().set("new.deep", 1),
    ];
    let (_, things) = things();
    let before = document(&things);
    for (i, first) in patches.iter().enumerate() {
        for (j, second) in patches.iter().enumerate().filter(|(j, _)| *j != i) {
            let (committed, found) = run(first, second);
            let raw = |document: &bson::Document| bson::RawDocumentBuf::try_from(document).unwrap();
            let limits = skipstone::document::Limits::default();
            let one_then_two = first.apply(&raw(&before), &limits).and_then(|d| second.apply(&d, &limits));
            let expected = bson::Document::try_from(&*one_then_two.unwrap()).unwrap();
            assert!(committed, "{i} and {j}");
            assert_eq!(found, expected, "{i} and {j}");
        }
    }
}

#[test]
fn patches_that_overlap_conflict_and_change_nothing() {
    let overlapping = [
        (Patch::new().set("n", 5), Patch::new().set("n", 6)),
        (Patch::new().set("m", doc! { "b": 9 }), Patch::new().set("m.a", 7)),
        (Patch::new().set("m.a", 7), Patch::new().unset("m")),
        (Patch::new().push("tags", "y"), Patch::new().push("tags", "z")),
        (Patch::new().push("tags", "y"), Patch::new().add_to_set("tags", "z")),
        (Patch::new().unset("m.a"), Patch::new().inc("n", 1).set("m.a", 2)),
        (Patch::new().inc("n", 1), Patch::new().set("n", 7)),
        // Not the same path, but there is no place any more.
        (Patch::new().set("m", 1), Patch::new().set("m.c", 7)),
        (Patch::new().unset("list").set("list", 1), Patch::new().set("list.2", 3)),
    ];
    for (first, second) in overlapping {
        let (_, things) = things();
        things.patch(1, &first).unwrap();
        let expected = document(&things);
        assert_eq!(run(&first, &second), (false, expected), "{first:?} and {second:?}");
    }
}

#[test]
fn increments_of_one_number_both_count_unless_it_was_looked_at() {
    let (committed, found) = run(&Patch::new().inc("n", 1), &Patch::new().inc("n", 2));
    assert!(committed);
    assert_eq!(found.get("n"), Some(&Bson::Int32(4)));

    let looks: [fn(&mut Transaction<'_>, &Collection); 4] = [
        |tx, things| drop(tx.collection(things).unwrap().get(1).unwrap().unwrap()),
        |tx, things| drop(tx.collection(things).unwrap().get(2).unwrap()),
        |tx, things| assert_eq!(tx.collection(things).unwrap().scan().count(), 1),
        |tx, things| assert_eq!(tx.collection(things).unwrap().count_matching(field("n").lt(9)).unwrap(), 1),
    ];
    for look in looks {
        let (db, things) = things();
        let other = db.collection("other").unwrap();
        other.insert(doc! { "_id": 1, "n": 1 }).unwrap();
        let mut tx = patched(&db, &things, &Patch::new().inc("n", -1));
        look(&mut tx, &things);
        things.patch(1, &Patch::new().set("m.a", 5)).unwrap();
        tx.commit().expect("another field may change all the same");

        let mut tx = patched(&db, &things, &Patch::new().inc("n", -1));
        look(&mut tx, &things);
        things.patch(1, &Patch::new().inc("n", -1)).unwrap();
        assert!(is_conflict(tx.commit()), "it may rest on a number that is not there any more");

        let mut tx = patched(&db, &things, &Patch::new().inc("n", -1));
        look(&mut tx, &other);
        things.patch(1, &Patch::new().inc("n", -1)).unwrap();
        tx.commit().expect("another collection was looked at");
    }
}

#[test]
fn what_is_more_than_a_patch_conflicts_as_a_whole() {
    type Change = fn(&mut Transaction<'_>, &Collection);
    let changes: [(&str, Change); 7] = [
        ("update", |tx, c| {
            tx.collection(c).unwrap().update(1, |d| drop(d.insert("k", 1))).unwrap();
        }),
        ("a conditional patch", |tx, c| {
            tx.collection(c).unwrap().patch_if(1, 1, &Patch::new().set("k", 1)).unwrap();
        }),
        ("a patch by query", |tx, c| {
            let patch = Patch::new().set("k", 1);
            assert_eq!(tx.collection(c).unwrap().patch_matching(field("n").eq(1), &patch).unwrap(), 1);
        }),
        ("a patch of an own write", |tx, c| {
            tx.collection(c).unwrap().update(1, |d| drop(d.insert("k", 1))).unwrap();
            tx.collection(c).unwrap().patch(1, &Patch::new().set("l", 1)).unwrap();
        }),
        ("an own write upon a patch", |tx, c| {
            tx.collection(c).unwrap().patch(1, &Patch::new().set("l", 1)).unwrap();
            tx.collection(c).unwrap().update(1, |d| drop(d.insert("k", 1))).unwrap();
        }),
        ("deletion upon a patch", |tx, c| {
            tx.collection(c).unwrap().patch(1, &Patch::new().set("l", 1)).unwrap();
            assert!(tx.collection(c).unwrap().delete(1).unwrap());
        }),
        ("beside another key", |tx, c| {
            tx.collection(c).unwrap().patch(1, &Patch::new().set("l", 1)).unwrap();
            tx.collection(c).unwrap().upsert(doc! { "_id": 2 }).unwrap();
            c.upsert(doc! { "_id": 2 }).unwrap();
        }),
    ];
    for (name, change) in changes {
        let (db, things) = things();
        let mut tx = db.begin().unwrap();
        change(&mut tx, &things);
        things.patch(1, &Patch::new().inc("n", 1)).unwrap();
        assert!(is_conflict(tx.commit()), "{name}");
    }
}

#[test]
fn a_deleted_document_is_a_conflict_even_if_it_came_back() {
    for comes_back in [false, true] {
        let (db, things) = things();
        let tx = patched(&db, &things, &Patch::new().set("k", 1));
        things.delete(1).unwrap();
        if comes_back {
            things.insert(doc! { "_id": 1, "n": 1 }).unwrap();
        }
        assert!(is_conflict(tx.commit()));
        assert_eq!(things.get(1).unwrap().is_some(), comes_back);
    }
}

#[test]
fn other_isolations_conflict_by_document() {
    for isolation in [Isolation::ReadCommitted, Isolation::Serializable] {
        let (db, things) = things();
        let mut tx = db.begin_with(TransactionOptions::new().isolation(isolation)).unwrap();
        tx.collection(&things).unwrap().patch(1, &Patch::new().set("k", 1)).unwrap();
        things.patch(1, &Patch::new().set("l", 1)).unwrap();
        assert!(is_conflict(tx.commit()), "{isolation:?}");
    }
}

#[test]
fn several_patches_of_several_documents_are_applied_again_in_their_order() {
    let (db, things) = things();
    things.insert(doc! { "_id": 2, "n": 5 }).unwrap();
    let mut tx = db.begin().unwrap();
    let mut within = tx.collection(&things).unwrap();
    assert_eq!(within.patch(1, &Patch::new().push("own", 1)).unwrap(), 2);
    assert_eq!(within.patch(1, &Patch::new().push("own", 2).inc("n", 10)).unwrap(), 3);
    within.patch(2, &Patch::new().inc("n", 1)).unwrap();
    within.insert(doc! { "_id": 3 }).unwrap();
    let savepoint = tx.savepoint();
    tx.collection(&things).unwrap().patch(1, &Patch::new().push("own", 3)).unwrap();
    tx.rollback_to(savepoint).unwrap();
    things.patch_many([1, 2], &Patch::new().inc("n", 100).set("other", true)).unwrap();
    tx.commit().unwrap();
    let one = things.get(1).unwrap().unwrap();
    assert_eq!((one.version(), n(&one)), (4, 111));
    assert_eq!(document(&things).get_array("own").unwrap(), &[Bson::Int32(1), Bson::Int32(2)]);
    let two = things.get(2).unwrap().unwrap();
    assert_eq!((two.version(), n(&two)), (3, 106));
    assert!(things.exists(3).unwrap());
}

#[test]
fn indexes_follow_patches_that_were_applied_again() {
    let (db, things) = things();
    things.create_index(Index::on("n").unwrap().named("n")).unwrap();
    things.create_index(Index::on("k").unwrap().unique().sparse().named("k")).unwrap();
    let tx = patched(&db, &things, &Patch::new().inc("n", 1).set("k", 1));
    things.patch(1, &Patch::new().inc("n", 5).set("other", 1)).unwrap();
    tx.commit().unwrap();
    assert_eq!(things.count_matching(field("n").eq(7)).unwrap(), 1);
    assert_eq!(things.count_matching(field("n").exists()).unwrap(), 1);
    assert_eq!(db.verify().unwrap().findings.len(), 0);

    // What another document took meanwhile is a conflict of its own.
    things.insert(doc! { "_id": 2, "n": 1 }).unwrap();
    let mut tx = db.begin().unwrap();
    tx.collection(&things).unwrap().patch(2, &Patch::new().set("k", 2)).unwrap();
    things.patch(2, &Patch::new().inc("n", 5)).unwrap();
    things.insert(doc! { "_id": 3, "k": 2 }).unwrap();
    let refused = tx.commit().unwrap_err();
    assert!(refused.is_conflict() || matches!(refused, Error::Index { .. }), "{refused}");
    assert_eq!(things.count_matching(field("k").eq(2)).unwrap(), 1);
    assert_eq!(db.verify().unwrap().findings.len(), 0);
}

/// By calls of their own, and in transactions that are never tried again.
#[test]
fn eight_threads_increment_one_counter_without_an_abort() {
    const ROUNDS: u64 = 1000;
    let (db, things) = things();
    things.create_index(Index::on("n").unwrap().named("n")).unwrap();
    let versions: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let (db, things) = (&db, &things);
                scope.spawn(move || {
                    let one = Patch::new().inc("n", 1);
                    let mut versions = Vec::new();
                    for _ in 0..ROUNDS {
                        if thread % 2 == 0 {
                            versions.push(things.patch(1, &one).unwrap());
                        } else {
                            patched(db, things, &one).commit().expect("without an abort");
                        }
                    }
                    versions
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let counter = things.get(1).unwrap().unwrap();
    assert_eq!((counter.version(), n(&counter)), (8 * ROUNDS + 1, 8 * ROUNDS as i64 + 1));
    assert_eq!(
        versions.iter().collect::<BTreeSet<_>>().len(),
        versions.len(),
        "each call gave another version"
    );
    assert_eq!(db.verify().unwrap().findings.len(), 0);
}

const FIELDS: [&str; 5] = ["n", "m.a", "m.b", "m", "p"];

fn any_patch() -> impl Strategy<Value = Patch> {
    let operation = (0..FIELDS.len(), 0..4u8, 0..3i32);
    proptest::collection::vec(operation, 1..3).prop_map(|operations| {
        operations.into_iter().fold(Patch::new(), |patch, (field, kind, value)| match kind {
            0 => patch.set(FIELDS[field], value),
            1 => patch.unset(FIELDS[field]),
            2 if field == 3 => patch.set("m", doc! { "a": value }),
            _ => patch.inc(FIELDS[field], value),
        })
    })
}

proptest! {
    /// Whatever commits did what it would have done alone, in the order of the commits.
    #[test]
    fn patches_are_as_if_one_came_after_the_other(patches in proptest::collection::vec(any_patch(), 2..6)) {
        let (db, things) = things();
        let mut open = Vec::new();
        for patch in &patches {
            let mut tx = db.begin().unwrap();
            if tx.collection(&things).unwrap().patch(1, patch).is_ok() {
                open.push((tx, patch));
            }
        }
        let mut expected = things.get(1).unwrap().unwrap().raw().to_owned();
        let mut version = 1;
        for (tx, patch) in open {
            match tx.commit() {
                Ok(_) => {
                    expected = patch.apply(&expected, &skipstone::document::Limits::default()).unwrap();
                    version += 1;
                }
                Err(error) => prop_assert!(error.is_conflict(), "{error}"),
            }
        }
        let found = things.get(1).unwrap().unwrap();
        prop_assert_eq!(found.raw(), &*expected);
        prop_assert_eq!(found.version(), version);
    }
}
