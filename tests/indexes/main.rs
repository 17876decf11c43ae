//! Secondary indexes: created, kept and dropped beside readers and writers. That they hold what the documents say is checked by `verify`.

mod keeping;
mod managing;
mod model;
mod open_transactions;
mod threads;

use skipstone::{Collection, Database, Error, IndexError};

/// Fails if anything is wrong with the store, or if it has not this many indexes that are ready.
fn check(db: &Database, collection: &Collection, ready: usize) {
    let verified = db.verify().unwrap();
    assert!(verified.is_sound(), "{:#?}", verified.findings);
    assert_eq!(collection.indexes().iter().filter(|info| info.is_ready).count(), ready);
}

/// What an error says of an index.
fn index_error(error: Error) -> IndexError {
    match error {
        Error::Index { cause, .. } => *cause,
        other => panic!("{other}"),
    }
}
