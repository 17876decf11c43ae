//! Checkpoints: everything that was committed below a position, in files of its own, so that the log before it can go.
//!
//! - `page`: 8 KiB, and what is on them. `pages`: the files that hold them. `page_set`: which are in use.
//! - `tree`: one keyspace as a B+tree, of which a checkpoint writes what changed. `writer`: into which pages. `pace`: how fast.
//! - `manifest`: the file that names the trees and the position, replaced atomically. `walk`: through all pages, each of them checked; `loader`: so at opening.
//! - `scan`: leaves that no tree leads to any more. `copier`: the pages of a checkpoint, to another directory.
//!
//! Where keys and values come from is not known here: `engine` joins this with the versions and the log.

pub(crate) mod copier;
pub(crate) mod error;
pub(crate) mod loader;
pub(crate) mod manifest;
mod pace;
pub(crate) mod page;
mod page_set;
pub(crate) mod pages;
pub(crate) mod scan;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
pub(crate) mod tree;
pub(crate) mod walk;
pub(crate) mod writer;

pub(crate) use pace::Pace;
pub(crate) use page::{PAGE_BYTES, PageId};
pub(crate) use page_set::PageSet;
