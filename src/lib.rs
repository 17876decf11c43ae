//! Skipstone: an embedded, lock-free, multi-version document store for many-core machines.
//!
//! Documents live in version chains inside a concurrent skiplist of blocks; a write-ahead log with group commit makes them durable. One number orders
//! everything: where a transaction's frame begins in the log ([`Lsn`]) is its commit timestamp.
//!
//! ```
//! use skipstone::{Database, Json, bson::doc};
//!
//! let db = Database::in_memory();               // or Database::open("some/directory")?
//! let towns = db.collection("towns")?;
//! towns.insert(doc! { "_id": "aachen", "people": 249_070 })?;
//! towns.insert(Json(r#"{"_id": "bonn", "people": 335975}"#))?;
//!
//! let snapshot = db.snapshot()?;                // everything as of one moment
//! let people: i32 = snapshot
//!     .collection(&towns)?
//!     .scan()
//!     .map(|town| Ok(town?.get("people").and_then(|n| n.as_i32()).unwrap_or(0)))
//!     .sum::<skipstone::Result<i32>>()?;
//! assert_eq!(people, 585_045);
//! # Ok::<(), skipstone::Error>(())
//! ```
#![deny(missing_docs)]
// The models look at the protocols alone, and leave what is above them out.
#![cfg_attr(any(loom, shuttle), allow(unused))]

#[cfg(not(target_os = "linux"))]
compile_error!("Skipstone runs on Linux: it waits by futexes");
#[cfg(all(loom, shuttle))]
compile_error!("the models are built for loom or for shuttle, each in a build of its own");

#[cfg(not(any(loom, shuttle)))]
mod api;
#[cfg(not(any(loom, shuttle)))]
mod checkpoint;
mod crypt;
pub mod document;
#[cfg(not(any(loom, shuttle)))]
mod engine;
mod filter;
mod format;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod index;
mod io;
mod log;
mod lsn;
mod map;
mod mvcc;
mod options;
#[cfg(not(any(loom, shuttle)))]
mod query;
mod sync;
mod txn;

pub use bson;

#[cfg(not(any(loom, shuttle)))]
pub use api::{
    Builder, Change, ChangeKind, Changes, Collection, CommitHandle, Database, Diff, Difference, DocRef,
    Document, DocumentScan, DocumentStream, Error, FeedCursor, IndexInfo, KeyValue, KeyValueScan, Keyspace,
    LivePatch, LiveQuery, LoggedChange, Matches, Projected, Result, Revision, Savepoint, Snapshot,
    SnapshotCollection, SnapshotKeyspace, Stats, Transaction, TransactionCollection, TransactionDocumentScan,
    TransactionKeyValueScan, TransactionKeyspace, Watch,
};
#[cfg(not(any(loom, shuttle)))]
pub use checkpoint::error::CheckpointError;
pub use crypt::{EnvKeyProvider, FileKeyProvider, KeyError, KeyProvider, MasterKey};
pub use document::{DocumentError, DocumentId, IntoDocument, Json, Limits, MAX_KEY_BYTES, Patch, Serde};
#[cfg(not(any(loom, shuttle)))]
pub use engine::{
    backup::Backup,
    checkpointer::Checkpoint,
    error::{BackupError, ChainError, Covered, OpenError, RestoreError, RotateKeyError, SalvageError},
    finding::{Finding, FindingKind, Lost},
    indexing::IndexError,
    recovery::Recovery,
    restore::{Restored, Until, restore, restore_encrypted},
    salvage::{Salvaged, SalvagedKeyspace, UncertainKey, salvage, salvage_encrypted},
    verify::{Verified, verify, verify_encrypted},
};
pub use filter::{Filter, FilterError, FilterField, Operand, element, field, param};
pub use index::{
    definition::{Index, IndexField},
    entry::IndexEntryError,
};
pub use io::{DeviceChoice, IoError, IoOperation, LockError, LockHolder};
pub use log::reader::LogError;
pub use lsn::Lsn;
pub use options::{Compression, Durability, Isolation, Moment, Retention, TransactionOptions};
#[cfg(not(any(loom, shuttle)))]
pub use query::{Cursor, ExplainedStep, Explanation, Grouping, PreparedQuery, Projection, Query, QueryError};
pub use txn::error::{Conflict, ConflictKind};

// Test code that the library shares with tests outside calls it by its name.
#[cfg(all(test, not(any(loom, shuttle))))]
extern crate self as skipstone;

#[cfg(all(test, not(any(loom, shuttle))))]
#[path = "../tests/crash/mod.rs"]
mod crash_tests;
#[cfg(all(test, loom))]
#[path = "../loom-tests/mod.rs"]
mod loom_tests;
#[cfg(all(test, not(any(loom, shuttle))))]
#[path = "../tests/progress/mod.rs"]
mod progress_tests;
#[cfg(all(test, shuttle))]
#[path = "../loom-tests/shuttle/mod.rs"]
mod shuttle_tests;

/// The README's examples are tests too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
