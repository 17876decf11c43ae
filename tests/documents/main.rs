//! What callers are promised of documents and transactions: each module is a part of that promise.

mod async_commit;
mod batches;
mod conditional_batches;
mod conflicts;
mod handles;
mod ids;
mod keyspaces;
mod own_writes;
mod patches;
mod paths;
mod savepoints;
mod values;
mod versions;

use skipstone::{Database, bson};

/// A store in memory with one collection.
fn collection() -> (Database, skipstone::Collection) {
    let db = Database::in_memory();
    let things = db.collection("things").unwrap();
    (db, things)
}

/// The field `n` of a document.
fn n(document: &skipstone::DocRef<'_>) -> i64 {
    match document.get("n").expect("it has a field n") {
        bson::RawBsonRef::Int32(n) => n.into(),
        bson::RawBsonRef::Int64(n) => n,
        other => panic!("n is {other:?}"),
    }
}
