//! Random histories on a disk, with openings and checkpoints in between: what is told from a cursor is what was done since.

use skipstone::bson::doc;
use skipstone::{Changes, Collection, Database, DocumentId, Error, FeedCursor, Moment, Watch};

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

/// Takes everything that there is to tell; how much that is.
fn count(changes: &mut Changes) -> Result<usize, Error> {
    let mut told = 0;
    while changes.try_next()?.is_some() {
        told += 1;
    }
    Ok(told)
}

#[test]
fn a_feed_tells_what_was_done_since_its_cursor() {
    let mut run = Run { dir: tempfile::tempdir().unwrap(), done: Vec::new(), cursors: Vec::new() };
    let mut resumed = 0;
    for _ in 0..12 {
        let (db, things) = run.open();
        run.check(&db, &things);
        resumed += run.cursors.len();
        let (mut changes, mut since) = (things.watch(Watch::new()).unwrap(), run.done.len());
        let mut is_checkpointed = false;
        for _ in 0..fastrand::usize(1..80) {
            run.write(&db, &things);
            if fastrand::u8(0..10) == 0 {
                db.wait_durable(db.position()).unwrap();
                match count(&mut changes) {
                    Ok(told) => assert_eq!(told, run.done.len() - since),
                    // It lagged behind a checkpoint that gave up what it was to tell, and at no other time.
                    Err(Error::HistoryGone { asked: Moment::Position(asked), oldest, .. }) => {
                        assert!(is_checkpointed && asked < oldest, "{asked} is gone, {oldest} is not");
                        changes = things.watch(Watch::new()).unwrap();
                    }
                    Err(other) => panic!("{other}"),
                }
                (since, is_checkpointed) = (run.done.len(), false);
                run.cursors.push((since, changes.cursor()));
            }
            if fastrand::u8(0..40) == 0 {
                db.checkpoint().unwrap();
                is_checkpointed = true;
            }
        }
        run.check(&db, &things);
        drop((changes, things));
        db.close().unwrap();
    }
    assert!(resumed > 0, "cursors go on after an opening");
}
