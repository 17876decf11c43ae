//! Skipstone: an embedded, lock-free, multi-version document store.
#![deny(missing_docs)]

mod io;
mod lsn;
mod sync;

pub use io::{DeviceChoice, IoError, IoOperation, LockError, LockHolder};
pub use lsn::Lsn;
