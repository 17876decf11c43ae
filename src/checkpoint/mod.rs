//! Checkpoints: everything that was committed below a position, in files of its own, so that the log before it can go.
//!
//! - `page`: 8 KiB, and what is on them: `cells`. `pages`: the files that hold them. `page_set`: which are in use.
//! - `tree`: one keyspace as a B+tree, of which a checkpoint writes what changed. `packer`: how much goes on a page, a `draft` first, and after its
//!   `compression` if that is asked for. `writer`: into which pages. `pace`: how fast.
//! - `free_map`: the same on the disk. `seal`: what binds pages to their store, and hides what is on them.
//! - `manifest`: the file that names the trees and the position, replaced atomically. `walk`: through all pages, each of them checked; `loader`: so at opening.
//! - `scan`: leaves that no tree leads to any more. `newer`: which pages were written since an earlier checkpoint. `copier`: pages, to another directory.
//!
//! Where keys and values come from is not known here: `engine` joins this with the versions and the log.

mod cells;
mod compression;
pub(crate) mod copier;
mod draft;
pub(crate) mod error;
pub(crate) mod free_map;
pub(crate) mod loader;
pub(crate) mod manifest;
pub(crate) mod newer;
mod pace;
mod packer;
pub(crate) mod page;
mod page_set;
#[cfg(all(test, not(any(loom, shuttle))))]
mod page_tests;
pub(crate) mod pages;
pub(crate) mod scan;
mod seal;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
pub(crate) mod tree;
pub(crate) mod walk;
pub(crate) mod writer;

pub(crate) use pace::Pace;
#[cfg(all(test, not(any(loom, shuttle))))]
pub(crate) use page::HEADER_BYTES;
pub(crate) use page::{PAGE_BYTES, PageId};
pub(crate) use page_set::PageSet;
pub(crate) use seal::Binding;
