//! Reading the past beside those who write and prune: what was read once is read again, or refused.

use skipstone::bson::doc;
use skipstone::{Builder, Collection, Database, Error, Index, Lsn, Patch, Query, Retention, field};
use std::collections::BTreeMap;

const DOCUMENTS: i32 = 300;

/// Ids and what the indexed field is in them, by scanning.
fn by_scan(db: &Database, towns: &Collection, at: Lsn) -> Result<BTreeMap<i32, i32>, Error> {
    let then = db.at(at)?;
    let scan = then.collection(towns)?.scan();
    scan.map(|found| {
        let found = found?;
        Ok((int(&found, "_id"), int(&found, "a")))
    })
    .collect()
}

fn int(document: &skipstone::DocRef<'_>, field: &str) -> i32 {
    document.get(field).unwrap().as_i32().unwrap()
}

/// What queries through the index give is what all documents of that moment say.
fn check(db: &Database, towns: &Collection, at: Lsn) -> Result<BTreeMap<i32, i32>, Error> {
    let documents = by_scan(db, towns, at)?;
    let then = db.at(at)?;
    let then = then.collection(towns)?;
    for low in [0, 7, 19] {
        let query = || Query::new(field("a").ge(low).and(field("a").lt(low + 3))).sort("a").use_index("a");
        let mut found = Vec::new();
        for town in then.find(query())? {
            let town = town?;
            found.push((int(&town, "a"), int(&town, "_id")));
        }
        let mut expected: Vec<_> = documents.iter().map(|(id, a)| (*a, *id)).collect();
        expected.retain(|(a, _)| (low..low + 3).contains(a));
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "from {low}, at {at}");
        assert_eq!(then.count_matching(query())?, expected.len() as u64);
    }
    Ok(documents)
}

/// A store with so much history, all documents, their index, and the position from which on that is complete.
fn towns(retained_bytes: u64) -> (Database, Collection, Lsn) {
    let db = Builder::new().retain_history_bytes(retained_bytes).open().unwrap();
    let towns = db.collection("towns").unwrap();
    towns.create_index(Index::on("a").unwrap()).unwrap();
    towns.insert_many((0..DOCUMENTS).map(|id| doc! { "_id": id, "a": id % 20 })).unwrap();
    let first = db.position();
    (db, towns, first)
}

fn write(towns: &Collection) {
    let id = fastrand::i32(0..DOCUMENTS);
    match fastrand::u8(0..8) {
        0 => drop(towns.delete(id).unwrap()),
        1 => drop(towns.upsert(doc! { "_id": id, "a": fastrand::i32(0..20) }).unwrap()),
        _ => drop(towns.patch(id, &Patch::new().set("a", fastrand::i32(0..20)))),
    }
}

#[test]
fn queries_of_the_past_agree_with_its_documents_while_others_write() {
    let (db, towns, first) = towns(u64::MAX);
    std::thread::scope(|scope| {
        let writers: Vec<_> =
            (0..2).map(|_| scope.spawn(|| (0..4_000).for_each(|_| write(&towns)))).collect();
        let mut known: BTreeMap<Lsn, BTreeMap<i32, i32>> = BTreeMap::new();
        while !writers.iter().all(|writer| writer.is_finished()) {
            let at = Lsn::new(fastrand::u64(first.get() / 8..=db.position().get() / 8) * 8);
            known.insert(at, check(&db, &towns, at).unwrap());
        }
        for (at, documents) in known {
            assert_eq!(check(&db, &towns, at).unwrap(), documents, "at {at}, once more");
        }
    });
    assert!(db.verify().unwrap().is_sound());
}

#[test]
fn what_is_pruned_meanwhile_is_refused_and_never_wrong() {
    let (db, towns, first) = towns(8_000);
    std::thread::scope(|scope| {
        let writers: Vec<_> =
            (0..2).map(|_| scope.spawn(|| (0..4_000).for_each(|_| write(&towns)))).collect();
        let (mut read, mut refused, mut verified) = (0, 0, 0);
        while !writers.iter().all(|writer| writer.is_finished()) {
            let at = db.oldest_position().max(first);
            db.set_retention(Retention::new().bytes(fastrand::u64(1_000..16_000))).unwrap();
            match check(&db, &towns, at) {
                Ok(_) => read += 1,
                Err(Error::HistoryGone { oldest, .. }) => {
                    assert!(oldest > at);
                    refused += 1;
                }
                Err(error) => panic!("{error}"),
            }
            if read % 16 == 1 {
                assert!(db.verify().unwrap().is_sound());
                verified += 1;
            }
        }
        assert!(read + refused > 0 && verified > 0, "{read} {refused} {verified}");
    });
}
