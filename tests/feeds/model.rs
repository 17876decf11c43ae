//! Random histories on a disk, with openings and checkpoints in between: what is told from a cursor is what was done since.

use skipstone::bson::doc;
use skipstone::{Collection, Database, DocumentId, Error, FeedCursor, Watch};

/// What was done: a position, and what became of which document.
type Done = (DocumentId, Option<i32>);

struct Run {
    dir: tempfile::TempDir,
    done: Vec<Done>,
    /// How much had been done at each cursor.
    cursors: Vec<(usize, FeedCursor)>,
}

impl Run {
    fn open(&self) -> (Database, Collection) {
        let db = Database::builder()
            .path(self.dir.path().join("store"))
            .segment_bytes(1 << 20)
            .checkpoint_at_close(false)
            .open()
            .unwrap();
        let things = db.collection("things").unwrap();
        (db, things)
    }

    fn write(&mut self, db: &Database, things: &Collection) {
        let mut done = Vec::new();
        db.transact(|tx| {
            done.clear();
            let mut within = tx.collection(things)?;
            let mut ids: Vec<i32> = (0..fastrand::i32(1..5)).map(|_| fastrand::i32(0..10)).collect();
            ids.sort_unstable();
            ids.dedup();
            for id in ids {
                let value = fastrand::bool().then(|| fastrand::i32(..));
                match value {
                    Some(n) => drop(within.upsert(doc! { "_id": id, "n": n, "large": "x".repeat(3000) })?),
                    None if within.delete(id)? => {}
                    None => continue,
                }
                done.push((DocumentId::from(id), value));
            }
            Ok(())
        })
        .unwrap();
        self.done.extend(done);
    }

    fn check(&mut self, db: &Database, things: &Collection) {
        let mut too_late = 0;
        for (done, cursor) in &self.cursors {
            let mut changes = match things.watch(Watch::new().after(cursor)) {
                Ok(changes) => changes,
                Err(Error::HistoryGone { oldest, .. }) => {
                    assert!(oldest > cursor.position());
                    too_late += 1;
                    continue;
                }
                Err(other) => panic!("{other}"),
            };
            db.wait_durable(db.position()).unwrap();
            let rest: Vec<Done> = std::iter::from_fn(|| changes.try_next().unwrap())
                .map(|c| (c.id().clone(), c.after().map(|d| d.get("n").unwrap().as_i32().unwrap())))
                .collect();
            assert_eq!(rest, self.done[*done..]);
        }
        // The oldest are the first to be too late.
        self.cursors.drain(..too_late);
    }
}

#[test]
fn a_feed_tells_what_was_done_since_its_cursor() {
    let mut run = Run { dir: tempfile::tempdir().unwrap(), done: Vec::new(), cursors: Vec::new() };
    let mut resumed = 0;
    for _ in 0..12 {
        let (db, things) = run.open();
        run.check(&db, &things);
        resumed += run.cursors.len();
        let mut changes = things.watch(Watch::new()).unwrap();
        for _ in 0..fastrand::usize(1..80) {
            run.write(&db, &things);
            if fastrand::u8(0..10) == 0 {
                db.wait_durable(db.position()).unwrap();
                let begun = run.done.len();
                // Everything, or all but some of the last transaction.
                let told = std::iter::from_fn(|| changes.try_next().unwrap()).count();
                assert!(told > 0 || begun == 0 || !run.cursors.is_empty());
                run.cursors.push((begun, changes.cursor()));
            }
            if fastrand::u8(0..40) == 0 {
                db.checkpoint().unwrap();
            }
        }
        run.check(&db, &things);
        drop((changes, things));
        db.close().unwrap();
    }
    assert!(resumed > 0, "cursors go on after an opening");
}
