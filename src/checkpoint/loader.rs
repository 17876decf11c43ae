//! Reads a whole checkpoint: every page that its trees lead to, each of them checked, and the free map, which must know them all. The first fault ends it.

use super::error::CheckpointError;
use super::free_map;
use super::manifest::Manifest;
use super::page_set::PageSet;
use super::pages::Pages;
use super::seal::Binding;
use super::tree::Tree;
use super::walk::{Entry, Fault, Visit, walk_apart, walk_tree};
use crate::io::Device;
use crate::lsn::Lsn;
use crate::sync::{Arc, JoinedPool};

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

/// Threads for each core: while some wait for the disk, others build.
const THREADS_PER_CORE: usize = 3;
/// Fewer pages are read before the threads have started.
const OWN_THREADS_PAGES: u64 = 1024;

/// Does the work on more threads than the caller has, if there is much of it, and the threads can be had.
fn overlapping<T: Send>(pages: &Pages, work: impl FnOnce() -> T + Send) -> T {
    let threads = THREADS_PER_CORE * rayon::current_num_threads();
    let pool = || JoinedPool::new(threads, "skipstone-load", || {});
    match (pages.usable_count() >= OWN_THREADS_PAGES).then(pool) {
        Some(Ok(pool)) => pool.install(work),
        Some(Err(_)) | None => work(),
    }
}

/// Hands out every entry: on several threads, each of which has runs of entries in order. `begin` is asked what takes a run: of a keyspace, with a
/// number; its keys are behind those of the runs with lower numbers. Returns which pages are in use, as the free map says too.
pub(crate) fn load<V: FnMut(Entry<'_>)>(
    pages: &Pages,
    manifest: &Manifest,
    begin: impl Fn(u32, usize) -> V + Sync,
) -> Result<PageSet, CheckpointError> {
    let load = Load(begin);
    overlapping(pages, || {
        let mut used = PageSet::default();
        for tree in &manifest.trees {
            walk_tree((pages, manifest.position), tree, &mut used, &load)?;
        }
        free_map::check(pages, manifest, &mut used)?;
        Ok(used)
    })
}

/// Hands out the entries of some trees, in the same way, on the threads of the caller.
pub(crate) fn load_trees<'t, V: FnMut(Entry<'_>)>(
    (pages, position): (&Pages, Lsn),
    mut trees: impl Iterator<Item = &'t Tree>,
    begin: impl Fn(u32, usize) -> V + Sync,
) -> Result<(), CheckpointError> {
    let load = Load(begin);
    trees.try_for_each(|tree| walk_tree((pages, position), tree, &mut PageSet::default(), &load).map(drop))
}

/// Hands out the entries of an older checkpoint, in the same way, but for those on pages that are `known`, and on what only such pages lead to.
pub(crate) fn load_apart<V: FnMut(Entry<'_>)>(
    pages: &Pages,
    manifest: &Manifest,
    known: &PageSet,
    begin: impl Fn(u32, usize) -> V + Sync,
) -> Result<(), CheckpointError> {
    let load = Load(begin);
    overlapping(pages, || {
        manifest.trees.iter().try_for_each(|tree| walk_apart((pages, manifest.position), tree, known, &load))
    })
}
