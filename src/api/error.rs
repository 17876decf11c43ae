//! Everything that a call can fail with.

use crate::checkpoint::error::CheckpointError;
use crate::document::{DocumentError, DocumentId};
use crate::engine::error::{BackupError, OpenError, RotateKeyError, rfc3339};
use crate::engine::indexing::IndexError;
use crate::io::IoError;
use crate::log::reader::LogError;
use crate::lsn::Lsn;
use crate::options::Moment;
use crate::query::QueryError;
use crate::txn::error::Conflict;
use std::time::SystemTime;

/// The result of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed. Unless said otherwise, nothing was changed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another transaction came in between, each time.
    #[error("in `{keyspace}`: {conflict} (tried {attempts} times)")]
    #[non_exhaustive]
    Conflict {
        /// The collection or keyspace of the key.
        keyspace: String,
        /// The last conflict.
        conflict: Conflict,
        /// How often it was tried.
        attempts: u32,
    },
    /// There is no document with this id.
    #[error("`{collection}` has no document with id {id}; insert or upsert it")]
    #[non_exhaustive]
    NotFound {
        /// The collection.
        collection: String,
        /// The id that was asked for.
        id: DocumentId,
    },
    /// There is a document with this id already.
    #[error("`{collection}` has a document with id {id} already; replace or upsert it, or choose another id")]
    #[non_exhaustive]
    AlreadyExists {
        /// The collection.
        collection: String,
        /// The id that is taken.
        id: DocumentId,
    },
    /// The document is not at the version that the call asked for.
    #[error("document {id} of `{collection}` is at version {found}, not {expected}; read it again")]
    #[non_exhaustive]
    VersionMismatch {
        /// The collection.
        collection: String,
        /// The document.
        id: DocumentId,
        /// The version that was asked for.
        expected: u64,
        /// The version that it has.
        found: u64,
    },
    /// An index could not be created or dropped, or a document has no place in one: it would be there twice in a unique one, for example.
    #[error("in `{collection}`: {cause}")]
    #[non_exhaustive]
    Index {
        /// The collection.
        collection: String,
        /// What is wrong.
        cause: Box<IndexError>,
    },
    /// The query has a mistake, or cannot be answered as it is asked.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The document, id, path or patch cannot be stored or applied.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// One document of a batch cannot be stored, or the patch does not fit it. The whole batch left no trace.
    #[error("document {id} of `{collection}`: {cause}; nothing of the batch was stored")]
    #[non_exhaustive]
    RefusedInBatch {
        /// The collection.
        collection: String,
        /// The first document of the batch that was refused.
        id: DocumentId,
        /// What is wrong with it.
        cause: Box<DocumentError>,
    },
    /// The store could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A write or flush failed, and the store takes no more writes until it is opened again. A commit that fails with this may or may not
    /// be there then.
    #[error(
        "the store is read-only since a write to it failed: {cause}; close it, mend the cause, and open it again"
    )]
    #[non_exhaustive]
    ReadOnly {
        /// The first failure.
        cause: IoError,
    },
    /// The log could not be read back: by a feed, or by [`Collection::logged`](crate::Collection::logged).
    #[error(transparent)]
    Log(#[from] LogError),
    /// A checkpoint failed. What it would have held is in the log, and nothing is lost; the next one may succeed.
    #[error("the checkpoint failed: {cause}")]
    #[non_exhaustive]
    Checkpoint {
        /// What went wrong.
        cause: Box<CheckpointError>,
    },
    /// The backup was not made. The store is as it was. What is at the target is no store, unless flushing its directory failed in the end.
    #[error("no backup was made: {cause}")]
    #[non_exhaustive]
    Backup {
        /// What went wrong.
        cause: Box<BackupError>,
    },
    /// The store's key was not changed, or the change not finished; the cause says which, and which key opens the store.
    #[error(transparent)]
    RotateKey(#[from] RotateKeyError),
    /// A store in memory has no files to copy.
    #[error("a store in memory cannot be backed up: export its collections")]
    InMemory,
    /// The store was closed, see [`Database::close`](crate::Database::close).
    #[error("the store is closed; open it again")]
    Closed,
    /// A handle of one store was used with a transaction or snapshot of another.
    #[error(
        "`{name}` belongs to another store; take the handle from the store that the transaction belongs to"
    )]
    #[non_exhaustive]
    ForeignHandle {
        /// The collection or keyspace.
        name: String,
    },
    /// A name is empty, too long, or has control characters in it.
    #[error("the name {name:?} cannot be used: give 1 to {max} bytes without control characters")]
    #[non_exhaustive]
    Name {
        /// The name that was given.
        name: String,
        /// The longest name that is allowed, in bytes.
        max: usize,
    },
    /// The greatest number that a collection or keyspace can have is given to another name.
    #[error(
        "`{name}` cannot be added: the catalog has given away the greatest number there is; run `skipstone verify`, and export \
         what is there into a new store"
    )]
    #[non_exhaustive]
    NoNumberLeft {
        /// The name that was to be added.
        name: String,
    },
    /// A key of a keyspace is too long.
    #[error("the key has {len} bytes, and {max} are allowed")]
    #[non_exhaustive]
    KeyTooLong {
        /// Its length in bytes.
        len: usize,
        /// The longest key that is allowed.
        max: usize,
    },
    /// A value of a keyspace is too large.
    #[error("the value has {len} bytes, and {max} are allowed; see `Builder::limits`")]
    #[non_exhaustive]
    ValueTooLarge {
        /// Its length in bytes.
        len: usize,
        /// The largest value that is allowed.
        max: usize,
    },
    /// The moment is older than the history that is kept.
    #[error(
        "history before position {oldest}{} is gone, and {} was asked for; how much is kept say `Builder::retain_history_bytes` and `Builder::retain_history_for`, in the program `shell --retain-history`",
        .oldest_time.map_or(String::new(), |time| format!(" (time {})", rfc3339(time))),
        said(*.asked)
    )]
    #[non_exhaustive]
    HistoryGone {
        /// The moment that was asked for.
        asked: Moment,
        /// The oldest position that can be read.
        oldest: Lsn,
        /// The oldest time that can be asked for; none if the store has not looked at the clock since that position was reached.
        oldest_time: Option<SystemTime>,
    },
    /// The time lies in the future.
    #[error("the time {} is not reached yet: it is {}", rfc3339(*.time), rfc3339(*.now))]
    #[non_exhaustive]
    TimeNotReached {
        /// The time that was asked for.
        time: SystemTime,
        /// What time it is.
        now: SystemTime,
    },
    /// Two collections were to be compared that are not the same one.
    #[error(
        "`{first}` and `{second}` are not the same collection of one store; compare two snapshots of one"
    )]
    #[non_exhaustive]
    DifferentCollections {
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
    /// The text is no place in a feed of changes.
    #[error("this is no cursor of a feed: take the text that `Changes::cursor` gave, as a whole")]
    NoFeedCursor,
    /// A feed cannot go on from a cursor or a snapshot of another store.
    #[error(
        "the cursor or snapshot belongs to another store; a store in memory is another one each time it is made"
    )]
    ForeignCursor,
    /// The position lies in the future.
    #[error("position {position} is not reached yet: the log ends at {end}")]
    #[non_exhaustive]
    NotReached {
        /// The position that was asked for.
        position: Lsn,
        /// Where the log ends.
        end: Lsn,
    },
    /// The savepoint was rolled back or released before, or belongs to another transaction.
    #[error("the savepoint is not open any more")]
    SavepointClosed,
    /// A stored value is not what this program writes.
    #[error("what is stored under key `{}` of `{collection}` is no document; run `skipstone verify`", .key.escape_ascii())]
    #[non_exhaustive]
    NotADocument {
        /// The collection.
        collection: String,
        /// The key, as the collection orders it.
        key: Vec<u8>,
    },
}

/// A moment in words.
fn said(moment: Moment) -> String {
    match moment {
        Moment::Position(position) => format!("position {position}"),
        Moment::Time(time) => format!("the time {}", rfc3339(time)),
    }
}

impl Error {
    /// Whether the same call may succeed when it is tried again: another transaction came in between.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Error::Conflict { .. })
    }
}
