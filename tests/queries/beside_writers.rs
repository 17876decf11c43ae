//! Queries on thousands of documents while others write them.

use skipstone::bson::doc;
use skipstone::{Database, Index, Patch, Query, field};

#[test]
fn a_snapshot_gives_the_same_while_others_write() {
    let db = Database::in_memory();
    let towns = db.collection("towns").unwrap();
    towns.create_index(Index::on("a").unwrap()).unwrap();
    towns.insert_many((0..2_000).map(|n| doc! { "_id": n, "a": n % 100 })).unwrap();
    let snapshot = db.snapshot().unwrap();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..3_000 {
                        let id = fastrand::i32(0..2_000);
                        towns.patch(id, &Patch::new().set("a", fastrand::i32(0..100))).unwrap();
                    }
                })
            })
            .collect();
        while !writers.iter().all(|writer| writer.is_finished()) {
            let query = Query::new(field("a").lt(10)).use_index("a");
            let seen = snapshot.collection(&towns).unwrap();
            assert_eq!(seen.count_matching(query.clone()).unwrap(), 200);
            assert!(
                seen.find(query)
                    .unwrap()
                    .all(|found| found.unwrap().get("a").unwrap().as_i32().unwrap() < 10)
            );
            let sum = |query: Query| {
                let now = db.snapshot().unwrap();
                now.collection(&towns).unwrap().count_matching(query).unwrap()
            };
            assert_eq!(sum(Query::new(field("a").ge(0)).use_index("a")), 2_000);
        }
    });
    assert!(db.verify().unwrap().is_sound());
}
