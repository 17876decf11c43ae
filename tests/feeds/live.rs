//! Live queries: the initial result and the patches are the answer at every position.

use crate::{LONG, stores};
use skipstone::bson::doc;
use skipstone::{Collection, Document, DocumentId, Filter, Index, LivePatch, LiveQuery, Patch, field};
use std::collections::BTreeMap;

type Answer = BTreeMap<DocumentId, (u64, skipstone::bson::RawDocumentBuf)>;

fn answer<'d>(documents: impl IntoIterator<Item = &'d Document>) -> Answer {
    documents.into_iter().map(|d| (d.id().unwrap(), (d.version(), d.raw().to_owned()))).collect()
}

fn apply(answer: &mut Answer, patch: LivePatch) {
    match patch {
        LivePatch::Enter { document, .. } => {
            let entry = (document.version(), document.raw().to_owned());
            assert_eq!(answer.insert(document.id().unwrap(), entry), None, "it was there already");
        }
        LivePatch::Change { document, .. } => {
            let entry = (document.version(), document.raw().to_owned());
            let before = answer.insert(document.id().unwrap(), entry).expect("it was there");
            assert!(before.0 < document.version());
        }
        LivePatch::Leave { id, .. } => assert!(answer.remove(&id).is_some(), "it was there"),
        other => panic!("{other:?}"),
    }
}

fn filter() -> Filter {
    field("n").ge(50).and(field("gone").exists().not())
}

fn now(things: &Collection) -> Answer {
    let found: Vec<_> = things.find(filter()).unwrap();
    answer(&found)
}

#[test]
fn documents_enter_change_and_leave() {
    for (db, _dir) in stores() {
        let things = db.collection("things").unwrap();
        things.insert_many([doc! { "_id": 1, "n": 70 }, doc! { "_id": 2, "n": 10 }]).unwrap();
        let mut live = things.live(filter()).unwrap();
        assert_eq!(live.initial().iter().map(|d| d.id().unwrap()).collect::<Vec<_>>(), [1.into()]);
        assert_eq!(live.take_initial().len(), 1);
        let begin = live.position();
        things.patch(2, &Patch::new().set("n", 11)).unwrap();
        things.patch(2, &Patch::new().set("n", 60)).unwrap();
        things.patch(1, &Patch::new().set("n", 71)).unwrap();
        things.patch(1, &Patch::new().set("gone", true)).unwrap();
        things.delete(2).unwrap();
        things.insert(doc! { "_id": 3, "n": 50 }).unwrap();
        let mut told = Vec::new();
        for _ in 0..5 {
            told.push(live.next_within(LONG).unwrap().unwrap());
        }
        assert!(told.is_sorted_by_key(LivePatch::position) && told[0].position() >= begin);
        let shown: Vec<_> = told
            .iter()
            .map(|patch| match patch {
                LivePatch::Enter { document, .. } => ("enter", document.id().unwrap()),
                LivePatch::Change { document, .. } => ("change", document.id().unwrap()),
                LivePatch::Leave { id, .. } => ("leave", id.clone()),
                other => panic!("{other:?}"),
            })
            .collect();
        let expected = [("enter", 2), ("change", 1), ("leave", 1), ("leave", 2), ("enter", 3)]
            .map(|(k, id)| (k, id.into()));
        assert_eq!(shown, expected);
        assert!(live.next_within(std::time::Duration::ZERO).unwrap().is_none());
    }
}

/// Each of these begins somewhere in the midst of what is written.
fn follow(things: &Collection) -> (Answer, LiveQuery) {
    let mut live = things.live(filter()).unwrap();
    (answer(&live.take_initial()), live)
}

#[test]
fn live_queries_that_begin_beside_writers_come_to_the_same_answer() {
    for (db, _dir) in stores() {
        let things = db.collection("things").unwrap();
        things.create_index(Index::on("n").unwrap()).unwrap();
        let things = &things;
        std::thread::scope(|scope| {
            let write = move || {
                for _ in 0..1000 {
                    let id = fastrand::i32(0..30);
                    match fastrand::u8(0..5) {
                        0 => drop(things.delete(id).unwrap()),
                        1 => drop(things.patch(id, &Patch::new().set("gone", true))),
                        _ => drop(things.upsert(doc! { "_id": id, "n": fastrand::i32(0..100) }).unwrap()),
                    }
                }
            };
            let writers = [scope.spawn(write), scope.spawn(write)];
            let followed: Vec<_> = (0..20)
                .map(|_| {
                    std::thread::sleep(std::time::Duration::from_micros(300));
                    follow(things)
                })
                .collect();
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            things.upsert(doc! { "_id": "end", "n": 100 }).unwrap();
            let expected = now(things);
            for (mut answer, mut live) in followed {
                loop {
                    let patch = live.next_within(LONG).unwrap().unwrap();
                    let is_end = matches!(&patch, LivePatch::Enter { document, .. } if document.id().unwrap() == "end".into());
                    apply(&mut answer, patch);
                    if is_end {
                        break;
                    }
                }
                assert_eq!(answer, expected);
            }
        });
    }
}
