//! Reads a whole checkpoint: every page that its trees lead to, each of them checked. The first fault ends it.

use super::error::CheckpointError;
use super::manifest::Manifest;
use super::page_set::PageSet;
use super::pages::Pages;
use super::walk::{Entry, Fault, Visit, walk_tree};
use crate::io::Device;
use crate::log::segment::StoreId;
use crate::sync::Arc;

/// Opens the pages of a checkpoint.
pub(crate) fn open(
    device: &Arc<dyn Device>,
    store: &StoreId,
    manifest: &Manifest,
) -> Result<Pages, CheckpointError> {
    Pages::open(Arc::clone(device), *store, manifest.extent_pages, manifest.extents)
}

struct Load<F>(F);

impl<F: Fn(u32, Entry<'_>) + Sync> Visit for Load<F> {
    fn entry(&self, space: u32, entry: Entry<'_>) {
        (self.0)(space, entry);
    }

    fn fault(&self, fault: Fault) -> Result<(), CheckpointError> {
        Err(fault.error)
    }
}

/// Hands every entry with its keyspace to `visit`: on several threads, each of which has a range of keys in order. Returns which pages are in use.
pub(crate) fn load(
    pages: &Pages,
    manifest: &Manifest,
    visit: impl Fn(u32, Entry<'_>) + Sync,
) -> Result<PageSet, CheckpointError> {
    let (mut used, load) = (PageSet::default(), Load(visit));
    for tree in &manifest.trees {
        walk_tree((pages, manifest.position), tree, &mut used, &load)?;
    }
    Ok(used)
}
