//! Skipstone: an embedded, lock-free, multi-version document store.
#![deny(missing_docs)]

mod io;
mod lsn;

pub use lsn::Lsn;
