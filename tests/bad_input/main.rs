//! Bad input: each kind is a typed error that says what is wrong, where, and what to do, and the store stays as it was.

mod documents;
mod names_and_keys;
mod stores;

use skipstone::{Collection, Database, DocumentError, Error};

/// A store in memory with one document in one collection.
fn store() -> (Database, Collection) {
    let db = Database::in_memory();
    let things = db.collection("things").unwrap();
    things.insert(skipstone::bson::doc! { "_id": 1, "n": 1 }).unwrap();
    (db, things)
}

/// Everything that the store holds, and how far its log has come.
fn state(db: &Database) -> (Vec<String>, u64) {
    let snapshot = db.snapshot().unwrap();
    let mut all = Vec::new();
    for name in db.collection_names().unwrap() {
        let collection = db.collection(&name).unwrap();
        all.extend(snapshot.collection(&collection).unwrap().scan().map(|d| {
            let d = d.unwrap();
            format!("{name} {} {}", d.to_json().unwrap(), d.version())
        }));
    }
    (all, db.position().get())
}

/// The error of the document layer, with its text.
fn refused<T>(result: Result<T, Error>) -> (DocumentError, String) {
    let error = result.err().expect("it should be refused");
    let text = error.to_string();
    match error {
        Error::Document(error) => (error, text),
        Error::RefusedInBatch { collection, id, cause, .. } => {
            assert_eq!((&collection[..], id), ("things", 1.into()), "{text}");
            assert_says(&text, &["document 1 of `things`", "nothing of the batch"]);
            (*cause, text)
        }
        other => panic!("{other}"),
    }
}

fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}
