//! Change feeds and live queries: each module is a part of what they promise.

mod concurrent;
mod live;
mod model;
mod order;
mod resumed;

use skipstone::{Change, Changes, Database, Durability};
use std::time::Duration;

/// Longer than anything takes.
const LONG: Duration = Duration::from_secs(60);

/// A store in memory, and one on a disk with its directory.
fn stores() -> Vec<(Database, Option<tempfile::TempDir>)> {
    let dir = tempfile::tempdir().unwrap();
    let on_disk = Database::builder().path(dir.path().join("store")).durability(Durability::Buffered);
    vec![(Database::in_memory(), None), (on_disk.open().unwrap(), Some(dir))]
}

fn next(changes: &mut Changes) -> Change {
    changes.next_within(LONG).unwrap().expect("there is one more")
}

fn take(changes: &mut Changes, count: usize) -> Vec<Change> {
    (0..count).map(|_| next(changes)).collect()
}
