//! Batches on condition of the documents' versions: all of them are at theirs, or nothing happens.

use crate::batches::{absent, add, five, numbers, refused, state};
use skipstone::bson::doc;
use skipstone::{DocumentError, Error, Patch, Result};

fn mismatch<T: std::fmt::Debug>(result: Result<T>, which: i32, wanted: u64, is: u64) {
    let error = result.unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains(&format!("document {which} of `things` is at version {is}, not {wanted}")),
        "{said}"
    );
    let Error::VersionMismatch { collection, id, expected, found, .. } = error else { panic!("{said}") };
    assert_eq!((&collection[..], id, expected, found), ("things", which.into(), wanted, is));
}

#[test]
fn conditional_batches_change_what_is_at_its_version() {
    let (_db, things) = five();
    things.patch(1, &Patch::new().inc("n", 0)).unwrap();
    let versions = things.replace_many_if([(1, 2, doc! { "n": 50 }), (0, 1, doc! { "n": 60 })]).unwrap();
    assert_eq!(versions, [3, 2]);
    assert_eq!(things.update_many_if([(0, 2), (1, 3)], |d| add(d, 1)).unwrap(), [3, 4]);
    assert_eq!(things.patch_many_if([(1, 4), (0, 3), (2, 1)], &Patch::new().inc("n", 1)).unwrap(), [5, 4, 2]);
    assert_eq!(numbers(&things, 0..3), [(62, 4), (52, 5), (3, 2)]);
    things.delete_many_if([(0, 4), (3, 1)]).unwrap();
    let left = things.get_many(0..5).unwrap();
    assert_eq!(left.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, true, false, true]);
}

#[test]
fn a_conditional_batch_fails_whole_at_another_version() {
    let (_db, things) = five();
    things.patch(1, &Patch::new().inc("n", 0)).unwrap();
    let (before, patch) = (state(&things), Patch::new().inc("n", 1));
    for wrong in [0, 1, 3, u64::MAX] {
        let batch = [(0, 1), (1, wrong), (2, 7)];
        mismatch(things.replace_many_if(batch.map(|(id, version)| (id, version, doc! {}))), 1, wrong, 2);
        mismatch(
            things.update_many_if(batch, |d| assert_eq!(d.get_i32("_id").unwrap(), 0, "not called")),
            1,
            wrong,
            2,
        );
        mismatch(things.patch_many_if(batch, &patch), 1, wrong, 2);
        mismatch(things.delete_many_if(batch), 1, wrong, 2);
    }
    let batch = [(0, 1), (9, 1), (1, 1)];
    absent(things.replace_many_if(batch.map(|(id, version)| (id, version, doc! {}))), 9);
    absent(things.update_many_if(batch, |_| {}), 9);
    absent(things.patch_many_if(batch, &patch), 9);
    absent(things.delete_many_if(batch), 9);
    let error = refused(things.patch_many_if([(0, 1), (2, 1)], &Patch::new().set("n.deeper", 1)), 0);
    assert!(matches!(error, DocumentError::Patch { .. }), "{error}");
    assert_eq!(state(&things), before);
}

/// The version of an id that comes again is the one that it has by then.
#[test]
fn an_id_twice_in_a_conditional_batch() {
    let (_db, things) = five();
    let (before, patch) = (state(&things), Patch::new().inc("n", 1));
    mismatch(things.replace_many_if([(0, 1, doc! {}), (0, 1, doc! {})]), 0, 1, 2);
    mismatch(things.update_many_if([(1, 1), (1, 1)], |d| add(d, 1)), 1, 1, 2);
    mismatch(things.patch_many_if([(2, 1), (2, 1)], &patch), 2, 1, 2);
    absent(things.delete_many_if([(3, 1), (3, 1)]), 3);
    assert_eq!(state(&things), before);
    assert_eq!(things.replace_many_if([(0, 1, doc! { "n": 1 }), (0, 2, doc! { "n": 2 })]).unwrap(), [2, 3]);
    assert_eq!(things.update_many_if([(1, 1), (1, 2)], |d| add(d, 1)).unwrap(), [2, 3]);
    assert_eq!(things.patch_many_if([(2, 1), (2, 2)], &patch).unwrap(), [2, 3]);
    assert_eq!(numbers(&things, 0..3), [(2, 3), (3, 3), (4, 3)]);
}

/// Read, then write what is still as it was read, else begin again: with several documents at once.
#[test]
fn conditional_batches_of_several_threads_lose_nothing() {
    const ROUNDS: usize = 50;
    let (_db, things) = five();
    let things = &things;
    let once = move || loop {
        let read = things.get_many(0..5).unwrap();
        let next = read
            .iter()
            .map(|d| d.as_ref().unwrap())
            .map(|d| (d.id().unwrap(), d.version(), doc! { "n": d.get("n").unwrap().as_i32().unwrap() + 1 }));
        match things.replace_many_if(next) {
            Ok(versions) => break versions,
            Err(Error::VersionMismatch { expected, found, .. }) => assert!(expected < found),
            Err(other) => panic!("{other}"),
        }
    };
    let mut last: Vec<u64> = std::thread::scope(|scope| {
        let writers: Vec<_> =
            (0..4).map(|_| scope.spawn(move || (0..ROUNDS).map(|_| once()).collect::<Vec<_>>())).collect();
        let versions = writers.into_iter().flat_map(|writer| writer.join().unwrap());
        versions
            .map(|of_five| {
                assert_eq!(of_five, [of_five[0]; 5]);
                of_five[0]
            })
            .collect()
    });
    last.sort_unstable();
    assert_eq!(last, (2..=201).collect::<Vec<u64>>(), "each version is one writer's");
    assert_eq!(numbers(things, 0..5), [0, 1, 2, 3, 4].map(|id| (id + 200, 201)));
}
