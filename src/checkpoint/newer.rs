//! Which pages of a checkpoint were written after an earlier one.
//!
//! A page is never changed, and what it links to was written with it or before it. So a link to a page of the earlier checkpoint leads to nothing that is
//! newer, and what is found costs as much as what changed.

use super::cells::Stored;
use super::error::CheckpointError;
use super::free_map;
use super::manifest::Manifest;
use super::page::{Kind, Link};
use super::page_set::PageSet;
use super::pages::{Pages, Reads, Source};
use super::tree::{Root, read_branch, read_chain};
use super::walk::{HEIGHT_MAX, take};
use crate::lsn::Lsn;

/// The pages that `manifest` leads to and that checkpoints beyond `since` wrote; with zero, all that it leads to. No other page is read.
pub(crate) fn written_after(
    pages: &Pages,
    manifest: &Manifest,
    since: Lsn,
) -> Result<PageSet, CheckpointError> {
    let mut newer = PageSet::default();
    for tree in &manifest.trees {
        let source = Source { pages, space: tree.space, position: manifest.position };
        if let Some(root) = tree.root {
            walk(source, root, since, &mut newer)?;
        }
    }
    if manifest.map.is_some_and(|map| map.position > since) {
        free_map::take(pages, manifest, &mut newer)?;
    }
    Ok(newer)
}

fn walk(source: Source<'_>, root: Root, since: Lsn, newer: &mut PageSet) -> Result<(), CheckpointError> {
    if root.height > HEIGHT_MAX {
        return Err(source.bad(root.page, "is the root of a tree that is too high"));
    }
    let is_newer = |page: &Link| page.position > since;
    let mut level: Vec<Link> = Some(root.page).into_iter().filter(is_newer).collect();
    for _ in 0..root.height {
        let mut below = Vec::new();
        for branch in level {
            take(source, newer, branch)?;
            let children = read_branch(source, branch)?;
            below.extend(children.into_iter().map(|child| child.page).filter(is_newer));
        }
        level = below;
    }
    level.iter().try_for_each(|leaf| take(source, newer, *leaf))?;
    let mut reads = Reads::new(source, Kind::Leaf, level.clone());
    for _ in &level {
        let (page, leaf) = reads.next()?;
        for slot in 0..leaf.slots() {
            let cell =
                leaf.leaf_cell(slot).ok_or_else(|| source.bad(page, "holds an entry that is cut off"))?;
            if let Stored::Overflow { first, stored, .. } = cell.value
                && is_newer(&first)
            {
                read_chain(source, Kind::Overflow, first, stored.into(), |page, _| {
                    take(source, newer, page)
                })?;
            }
        }
    }
    Ok(())
}
