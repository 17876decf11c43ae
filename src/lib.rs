//! Skipstone: an embedded, lock-free, multi-version document store.
#![deny(missing_docs)]

mod io;
mod lsn;
mod map;
mod mvcc;
mod sync;

pub use lsn::Lsn;
