//! Skipstone: an embedded, lock-free, multi-version document store.
#![deny(missing_docs)]

pub mod document;
mod io;
mod lsn;

pub use lsn::Lsn;
