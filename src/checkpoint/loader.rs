//! Reads a whole checkpoint: every page that its trees lead to, each of them checked, and the free map, which must know them all.

use super::cells::Stored;
use super::compression;
use super::error::CheckpointError;
use super::free_map;
use super::manifest::Manifest;
use super::page::{Kind, Link};
use super::page_set::PageSet;
use super::pages::{Pages, Reads, Source};
use super::seal::Binding;
use super::tree::{Child, Root, Tree, read_branch, read_chain};
use crate::io::Device;
use crate::lsn::Lsn;
use crate::sync::Arc;
use rayon::prelude::*;

/// So many leaves make one task.
const TASK_LEAVES: usize = 128;
/// More levels than a tree of every page that a disk can hold.
pub(super) const HEIGHT_MAX: u8 = 32;

/// A key with its value, and the position of its commit.
pub(crate) struct Entry<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) lsn: Lsn,
    pub(crate) value: &'a [u8],
}

/// Opens the pages of a checkpoint.
pub(crate) fn open(
    device: &Arc<dyn Device>,
    binding: &Binding,
    manifest: &Manifest,
) -> Result<Pages, CheckpointError> {
    Pages::open(Arc::clone(device), binding.clone(), manifest.extent_pages, manifest.extents)
}

/// Hands out every entry: on several threads, each of which has runs of entries in order. `begin` is asked what takes a run: of a keyspace, with a
/// number; its keys are behind those of the runs with lower numbers. Returns which pages are in use, as the free map says too.
pub(crate) fn load<V: FnMut(Entry<'_>)>(
    pages: &Pages,
    manifest: &Manifest,
    begin: impl Fn(u32, usize) -> V + Sync,
) -> Result<PageSet, CheckpointError> {
    let mut used = PageSet::default();
    for tree in &manifest.trees {
        let source = Source { pages, space: tree.space, position: manifest.position };
        load_tree(source, tree, &mut used, |run| begin(tree.space, run))?;
    }
    free_map::check(pages, manifest, &mut used)?;
    Ok(used)
}

fn load_tree<V: FnMut(Entry<'_>)>(
    source: Source<'_>,
    tree: &Tree,
    used: &mut PageSet,
    begin: impl Fn(usize) -> V + Sync,
) -> Result<(), CheckpointError> {
    let Some(root) = tree.root else {
        return Ok(());
    };
    let leaves = find_leaves(source, root, used)?;
    let loaded: Result<Vec<Loaded>, CheckpointError> = (0..leaves.len())
        .into_par_iter()
        .step_by(TASK_LEAVES)
        .map(|from| load_leaves(source, &leaves, from, begin(from)))
        .collect();
    let loaded = loaded?;
    for page in loaded.iter().flat_map(|loaded| &loaded.overflow) {
        take(source, used, *page)?;
    }
    if loaded.iter().map(|loaded| loaded.entries).sum::<u64>() != tree.entries {
        return Err(source.bad(root.page, "leads to more entries than there are, or to fewer"));
    }
    Ok(())
}

/// Two links to one page are damage. A page beyond the files is not let into the set, whose size it would set.
pub(super) fn take(source: Source<'_>, used: &mut PageSet, link: Link) -> Result<(), CheckpointError> {
    if !source.pages.may_hold(link.page) {
        return Err(source.bad(link, "is where no page can be"));
    }
    let is_first = used.insert(link.page);
    if is_first { Ok(()) } else { Err(source.bad(link, "is linked to from two places")) }
}

/// The leaves of a tree, in order.
fn find_leaves(source: Source<'_>, root: Root, used: &mut PageSet) -> Result<Vec<Child>, CheckpointError> {
    if root.height > HEIGHT_MAX {
        return Err(source.bad(root.page, "is the root of a tree that is too high"));
    }
    let mut level = vec![Child { low: Box::default(), page: root.page }];
    for _ in 0..root.height {
        let mut below: Vec<Child> = Vec::new();
        for branch in &level {
            take(source, used, branch.page)?;
            let children = read_branch(source, branch.page)?;
            let first = &children[0].low;
            if *first < branch.low || below.last().is_some_and(|last| last.low >= *first) {
                return Err(source.bad(branch.page, "holds keys that belong elsewhere"));
            }
            below.extend(children);
        }
        level = below;
    }
    level.iter().try_for_each(|leaf| take(source, used, leaf.page))?;
    Ok(level)
}

/// What came of some leaves.
#[derive(Default)]
struct Loaded {
    entries: u64,
    overflow: Vec<Link>,
}

fn load_leaves(
    source: Source<'_>,
    leaves: &[Child],
    from: usize,
    mut visit: impl FnMut(Entry<'_>),
) -> Result<Loaded, CheckpointError> {
    let mine = &leaves[from..leaves.len().min(from + TASK_LEAVES)];
    let mut reads = Reads::new(source, Kind::Leaf, mine.iter().map(|leaf| leaf.page).collect());
    let (mut loaded, mut joined) = (Loaded::default(), Vec::new());
    for (index, leaf) in mine.iter().enumerate() {
        let (link, page) = reads.next()?;
        let next_low = leaves.get(from + index + 1).map(|next| &*next.low);
        let mut before: Option<&[u8]> = None;
        for slot in 0..page.slots() {
            let cell =
                page.leaf_cell(slot).ok_or_else(|| source.bad(link, "holds an entry that is cut off"))?;
            let in_order = before.map_or(&*leaf.low <= cell.key, |before| before < cell.key);
            if !in_order || next_low.is_some_and(|next| cell.key >= next) {
                return Err(source.bad(link, "holds keys that are not in order"));
            }
            if cell.lsn >= source.position {
                return Err(source.bad(link, "holds what was committed after it was written"));
            }
            let value = match cell.value {
                Stored::Inline(value) => value,
                Stored::Overflow { first, bytes, stored } => {
                    read_value(source, first, (bytes, stored), &mut loaded.overflow, &mut joined)?;
                    &joined
                }
            };
            visit(Entry { key: cell.key, lsn: cell.lsn, value });
            loaded.entries += 1;
            before = Some(cell.key);
        }
    }
    Ok(loaded)
}

/// Joins the parts of a value that is too long for its leaf. It has `bytes` bytes, of which `stored` are in its pages if it is compressed.
fn read_value(
    source: Source<'_>,
    first: Link,
    (bytes, stored): (u32, u32),
    pages: &mut Vec<Link>,
    joined: &mut Vec<u8>,
) -> Result<(), CheckpointError> {
    joined.clear();
    read_chain(source, Kind::Overflow, first, stored.into(), |page, part| {
        pages.push(page);
        joined.extend_from_slice(part);
    })?;
    if stored != bytes {
        *joined =
            compression::unpack_value(joined, bytes).map_err(|bad| source.pages.damaged(first.page, bad))?;
    }
    Ok(())
}
