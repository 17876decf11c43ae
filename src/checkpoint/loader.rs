//! Reads a whole checkpoint: every page that its trees lead to, each of them checked, and the free map, which must know them all. The first fault ends it.

use super::error::CheckpointError;
use super::free_map;
use super::manifest::Manifest;
use super::page_set::PageSet;
use super::pages::Pages;
use super::seal::Binding;
use super::walk::{Entry, Fault, Visit, walk_tree};
use crate::io::Device;
use crate::sync::Arc;

/// Opens the pages of a checkpoint.
pub(crate) fn open(
    device: &Arc<dyn Device>,
    binding: &Binding,
    manifest: &Manifest,
) -> Result<Pages, CheckpointError> {
    Pages::open(Arc::clone(device), binding.clone(), manifest.extent_pages, manifest.extents)
}

struct Load<F>(F);

impl<V: FnMut(Entry<'_>), F: Fn(u32, usize) -> V + Sync> Visit for Load<F> {
    type Run<'v>
        = V
    where
        Self: 'v;

    fn begin(&self, space: u32, run: usize) -> V {
        (self.0)(space, run)
    }

    fn fault(&self, fault: Fault) -> Result<(), CheckpointError> {
        Err(fault.error)
    }
}

/// Hands out every entry: on several threads, each of which has runs of entries in order. `begin` is asked what takes a run: of a keyspace, with a
/// number; its keys are behind those of the runs with lower numbers. Returns which pages are in use, as the free map says too.
pub(crate) fn load<V: FnMut(Entry<'_>)>(
    pages: &Pages,
    manifest: &Manifest,
    begin: impl Fn(u32, usize) -> V + Sync,
) -> Result<PageSet, CheckpointError> {
    let (mut used, load) = (PageSet::default(), Load(begin));
    for tree in &manifest.trees {
        walk_tree((pages, manifest.position), tree, &mut used, &load)?;
    }
    free_map::check(pages, manifest, &mut used)?;
    Ok(used)
}
