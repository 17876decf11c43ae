//! Skipstone: an embedded, lock-free, multi-version document store.
#![deny(missing_docs)]

pub mod document;
mod engine;
mod format;
mod io;
mod log;
mod lsn;
mod map;
mod mvcc;
mod options;
mod sync;
mod txn;

pub use lsn::Lsn;
