//! Stores on disk: what is there after they were closed, dropped, damaged, or opened twice.

mod backups;
mod checkpoint_damage;
mod checkpoints;
mod damage;
mod encrypted;
mod large;
mod missing_segments;
mod reopen;
mod restores;
mod second_opener;
mod verifying;

use skipstone::bson::doc;
use skipstone::{Builder, Collection, Database, DeviceChoice, Durability, Finding, OpenError, Verified};
use std::path::{Path, PathBuf};

/// A directory for one store, removed in the end.
struct Place {
    _dir: tempfile::TempDir,
    store: PathBuf,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        Place { _dir: dir, store }
    }

    /// Small segments, so that there are many.
    fn builder(&self) -> Builder {
        Database::builder().path(&self.store).segment_bytes(1 << 16)
    }

    fn open(&self) -> Database {
        self.builder().open().unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.store.join(name)
    }

    /// The names of the log's files, in order.
    fn segments(&self) -> Vec<String> {
        let names =
            std::fs::read_dir(&self.store).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.starts_with("log-")).collect();
        names.sort();
        names
    }
}

/// Inserts, updates and deletes documents and bytes.
fn fill(db: &Database, documents: i32) {
    let things = db.collection("things").unwrap();
    let bytes = db.keyspace("bytes").unwrap();
    for id in 0..documents {
        things.insert(doc! { "_id": id, "n": id, "text": "x".repeat(id as usize % 300) }).unwrap();
        bytes.put(&id.to_be_bytes(), &vec![id as u8; id as usize % 100]).unwrap();
        if id % 3 == 0 {
            things.update(id, |d| drop(d.insert("n", -id))).unwrap();
        }
        if id % 7 == 0 {
            things.delete(id).unwrap();
            bytes.delete(&id.to_be_bytes()).unwrap();
        }
    }
}

/// Everything that a store holds, as text.
fn contents(db: &Database) -> Vec<String> {
    let snapshot = db.snapshot().unwrap();
    let mut all = Vec::new();
    for name in db.collection_names().unwrap() {
        let collection = db.collection(&name).unwrap();
        all.extend(snapshot.collection(&collection).unwrap().scan().map(|d| {
            let d = d.unwrap();
            format!("{name} {} {} {:?}", d.to_json().unwrap(), d.version(), d.position().unwrap())
        }));
    }
    for name in db.keyspace_names().unwrap() {
        let keyspace = db.keyspace(&name).unwrap();
        all.extend(
            snapshot
                .keyspace(&keyspace)
                .unwrap()
                .range::<&[u8]>(..)
                .map(|(k, v)| format!("{name} {k:?} {v:?}")),
        );
    }
    all
}

/// What verifying finds in a store that is sound.
fn sound(store: &Path) -> Verified {
    let found = skipstone::verify(store).unwrap();
    assert!(found.is_sound(), "{:#?}", found.findings);
    found
}

/// Whether verifying finds what opening failed with: the same words, at the same place.
fn assert_verifying_agrees(store: &Path, opening: &OpenError) {
    let text = opening.to_string();
    match skipstone::verify(store) {
        Err(error) => assert_eq!(error.to_string(), text),
        Ok(found) => {
            let says = |finding: &Finding| {
                let place = finding.file.as_ref().is_some_and(|file| text.contains(file));
                place && text.contains(&finding.what)
            };
            assert!(found.findings.iter().any(says), "{text} is not in {:#?}", found.findings);
        }
    }
}

fn things(db: &Database) -> Collection {
    db.collection("things").unwrap()
}

const DURABILITIES: [Durability; 3] = [Durability::Sync, Durability::Buffered, Durability::None];
const DEVICES: [DeviceChoice; 2] = [DeviceChoice::Auto, DeviceChoice::Portable];

/// The store's files, byte for byte, but for the lock.
fn image(store: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(store)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .filter(|(name, _)| name != "LOCK")
        .collect();
    files.sort();
    files
}
