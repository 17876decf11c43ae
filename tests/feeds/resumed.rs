//! Going on from a cursor, also after the store was opened again.

use crate::{stores, take};
use skipstone::bson::doc;
use skipstone::{Collection, Database, Error, FeedCursor, FileKeyProvider, Moment, Watch};

#[test]
fn a_cursor_goes_on_in_the_middle_of_a_transaction() {
    for (db, _dir) in stores() {
        let things = db.collection("things").unwrap();
        let mut changes = db.watch(Watch::new()).unwrap();
        let begin = changes.cursor();
        things.insert_many((0..5).map(|n| doc! { "_id": n })).unwrap();
        things.insert_many((5..10).map(|n| doc! { "_id": n })).unwrap();
        for taken in 0..=10 {
            let mut first = db.watch(Watch::new().after(&begin)).unwrap();
            let told = take(&mut first, taken);
            let cursor: FeedCursor = first.cursor().to_string().parse().unwrap();
            assert_eq!(cursor, first.cursor());
            let mut rest = db.watch(Watch::new().after(&cursor)).unwrap();
            let rest_told = take(&mut rest, 10 - taken);
            let ids: Vec<_> = told.iter().chain(&rest_told).map(|change| change.id().clone()).collect();
            assert_eq!(ids, (0..10).map(Into::into).collect::<Vec<skipstone::DocumentId>>(), "{taken}");
            assert!(rest.try_next().unwrap().is_none());
        }
        drop(changes.try_next());
    }
}

fn open(dir: &std::path::Path, is_encrypted: bool) -> (Database, Collection) {
    // Closing would give up the log that cursors go on in.
    let mut builder = Database::builder().path(dir.join("store")).checkpoint_at_close(false);
    if is_encrypted {
        let key = dir.join("key");
        std::fs::write(&key, "00".repeat(31) + "01").unwrap();
        builder = builder.encryption(FileKeyProvider::new(&key));
    }
    let db = builder.open().unwrap();
    let things = db.collection("things").unwrap();
    (db, things)
}

#[test]
fn a_cursor_survives_openings() {
    for is_encrypted in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let large = "x".repeat(3 << 20);
        let mut cursor = None;
        let mut expected = 0;
        for round in 0..4 {
            let (db, things) = open(dir.path(), is_encrypted);
            let before = round * 10;
            if let Some(cursor) = &cursor {
                let mut changes = db.watch(Watch::new().after(cursor)).unwrap();
                for change in take(&mut changes, 7) {
                    assert_eq!(*change.id(), expected.into());
                    assert_eq!(change.after().unwrap().version(), 1);
                    expected += 1;
                }
                assert!(changes.try_next().unwrap().is_none(), "only what was committed after");
            }
            let mut changes = db.watch(Watch::new()).unwrap();
            for n in before..before + 10 {
                let large = if n % 5 == 4 { &large[..] } else { "" };
                things.insert(doc! { "_id": n, "large": large }).unwrap();
            }
            assert_eq!(take(&mut changes, 3).last().unwrap().id(), &(before + 2).into());
            cursor = Some(changes.cursor().to_string().parse().unwrap());
            expected = before + 3;
            drop((changes, things));
            db.close().unwrap();
        }
    }
}

#[test]
fn what_a_checkpoint_gave_up_is_gone_and_the_error_says_what_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let (db, things) = open(dir.path(), false);
    let mut changes = db.watch(Watch::new()).unwrap();
    let cursor = changes.cursor();
    let large = "x".repeat(1 << 20);
    for round in 0..6 {
        things.upsert_many((0..60).map(|n| doc! { "_id": n, "round": round, "large": &large[..] })).unwrap();
        db.checkpoint().unwrap();
    }
    let Err(Error::HistoryGone { asked: Moment::Position(position), oldest, .. }) =
        db.watch(Watch::new().after(&cursor))
    else {
        panic!("the log was given up")
    };
    assert!(position < oldest && oldest <= db.position());
    // So is what a feed was to tell that nobody took from.
    assert!(matches!(changes.next_within(crate::LONG), Err(Error::HistoryGone { .. })));
    let Err(Error::HistoryGone { oldest: again, .. }) =
        db.watch(Watch::new().from_position(cursor.position()))
    else {
        panic!("as above")
    };
    assert_eq!(oldest, again);
    let mut rest = db.watch(Watch::new().from_position(oldest)).unwrap();
    things.insert(doc! { "_id": 100 }).unwrap();
    let last = std::iter::from_fn(|| rest.next_within(crate::LONG).unwrap()).find(|c| *c.id() == 100.into());
    assert!(last.is_some_and(|change| change.position() >= oldest));
}

#[test]
fn a_cursor_of_another_store_is_refused() {
    let [one, two] = [Database::in_memory(), Database::in_memory()];
    let cursor = one.watch(Watch::new()).unwrap().cursor();
    assert!(matches!(two.watch(Watch::new().after(&cursor)), Err(Error::ForeignCursor)));
    assert!(matches!("nonsense".parse::<FeedCursor>(), Err(Error::NoFeedCursor)));
}

/// What is not known is not made up.
#[test]
fn after_an_opening_the_first_image_of_each_document_is_not_known() {
    let dir = tempfile::tempdir().unwrap();
    let cursor = {
        let (db, things) = open(dir.path(), false);
        things.insert(doc! { "_id": 1, "n": 1 }).unwrap();
        let cursor = db.watch(Watch::new()).unwrap().cursor();
        things.upsert(doc! { "_id": 1, "n": 2 }).unwrap();
        things.upsert(doc! { "_id": 1, "n": 3 }).unwrap();
        cursor
    };
    let (db, things) = open(dir.path(), false);
    let mut changes = things.watch(Watch::new().after(&cursor)).unwrap();
    things.delete(1).unwrap();
    let told = take(&mut changes, 3);
    let known: Vec<_> = told.iter().map(|change| change.is_before_known()).collect();
    assert_eq!(known, [false, true, true]);
    assert_eq!(told[1].before().unwrap().get("n").and_then(|n| n.as_i32()), Some(2));
    assert_eq!(told[2].before().unwrap().get("n").and_then(|n| n.as_i32()), Some(3));
    drop(db);
}
