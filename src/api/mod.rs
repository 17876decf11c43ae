//! What a caller holds: stores, collections, keyspaces, transactions, snapshots, documents.
//!
//! Nothing here decides anything: names become spaces, documents become bytes, failures become errors with names in them.

mod batches;
mod builder;
mod collection;
mod commit_handle;
mod database;
mod documents;
mod error;
mod feed_cursor;
mod keyspace;
mod live;
mod past;
mod queries;
mod query;
mod retry;
mod scan;
mod snapshot;
mod space;
mod stats;
mod stream;
mod transaction;
mod value;
mod watch;

pub use builder::Builder;
pub use collection::{Collection, IndexInfo};
pub use commit_handle::CommitHandle;
pub use database::Database;
pub use error::{Error, Result};
pub use keyspace::Keyspace;
pub use live::{LivePatch, LiveQuery};
pub use past::{Diff, Difference, LoggedChange, Revision};
pub use query::{Matches, Projected};
pub use scan::{DocumentScan, KeyValue, KeyValueScan, TransactionDocumentScan, TransactionKeyValueScan};
pub use snapshot::{Snapshot, SnapshotCollection, SnapshotKeyspace};
pub use stats::Stats;
pub use stream::DocumentStream;
pub use transaction::{Savepoint, Transaction, TransactionCollection, TransactionKeyspace};
pub use value::{DocRef, Document};
pub use watch::{Change, ChangeKind, Changes, FeedCursor, Watch};

use crate::engine::indexing::IndexError;
use crate::engine::{Engine, NotCommitted};
use crate::txn::commit::Failed;

#[inline]
fn check_open(engine: &Engine) -> Result<()> {
    if engine.is_closed() { Err(Error::Closed) } else { Ok(()) }
}

/// A failed commit in a caller's terms.
fn failed<'s>(failed: impl Into<NotCommitted<'s>>) -> Error {
    let failed = match failed.into() {
        NotCommitted::Failed(failed) => failed,
        NotCommitted::Index { collection, error } => return index_error(collection.name(), error),
    };
    match failed {
        Failed::Log(cause) => Error::ReadOnly { cause },
        Failed::Conflict { space, conflict } => {
            Error::Conflict { keyspace: space.name().to_owned(), conflict, attempts: 1 }
        }
    }
}

/// What is wrong with an index, in a caller's terms.
fn index_error(collection: &str, error: IndexError) -> Error {
    match error {
        IndexError::Log(cause) => Error::ReadOnly { cause },
        IndexError::Closed => Error::Closed,
        cause => Error::Index { collection: collection.to_owned(), cause: Box::new(cause) },
    }
}
