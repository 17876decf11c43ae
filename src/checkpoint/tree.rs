//! A keyspace on disk: a B+tree of pages that are never changed.
//!
//! A checkpoint hands in the keys that changed, in order, and gets the tree as it is then. The leaves that hold such keys are written
//! anew, and the branches above them; every other page belongs to both trees.
//!
//! ```text
//!   root ── old branch ── old leaf, old leaf, old leaf        the new root shares all but
//!     ╲                               ╱                       the path to what changed
//!   new root ───────── new branch ───── new leaf
//! ```
//!
//! What is written is packed full. A page that would be left half empty takes its right neighbour in if both fit one page, so that a tree whose
//! documents come and go does not fray.

use super::cells::{LeafCell, Stored};
use super::error::CheckpointError;
use super::packer::{Filled, Packer};
use super::page::{CELL_BYTES_MAX, Kind, Link, OVERFLOW_BYTES, Page};
use super::pages::{Reads, Source};
use super::writer::Writing;
use crate::lsn::Lsn;
use rayon::prelude::*;

/// Where a tree begins, and how many levels of branches are above its leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Root {
    pub(crate) page: Link,
    pub(crate) height: u8,
}

/// One keyspace of a checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tree {
    pub(crate) space: u32,
    /// None if it is empty.
    pub(crate) root: Option<Root>,
    pub(crate) entries: u64,
}

/// A page, and the least key that may be below it.
#[derive(Clone, Debug)]
pub(crate) struct Child {
    pub(crate) low: Box<[u8]>,
    pub(crate) page: Link,
}

/// A key's value at the checkpoint, and the position of its commit; none if the key is not there.
pub(crate) type Value<'s> = Option<(Lsn, &'s [u8])>;

/// So many keys of a new tree make one task.
const TASK_KEYS: usize = 4096;

/// Writes the changes of one keyspace.
pub(crate) struct Update<'a, F> {
    writing: &'a Writing<'a>,
    source: Source<'a>,
    value_of: F,
}

impl Tree {
    pub(crate) fn empty(space: u32) -> Tree {
        Tree { space, root: None, entries: 0 }
    }
}

impl<'a, 's, F: Fn(&[u8]) -> Value<'s> + Sync> Update<'a, F> {
    pub(crate) fn new(writing: &'a Writing<'a>, space: u32, value_of: F) -> Update<'a, F> {
        let source = Source { pages: writing.pages, space, position: writing.position };
        Update { writing, source, value_of }
    }

    /// The tree after the values under `changed`, which are in order, are what `value_of` says.
    pub(crate) fn run(&self, tree: &Tree, changed: &[&[u8]]) -> Result<Tree, CheckpointError> {
        let (mut packed, mut height) = match tree.root {
            None => (self.new_leaves(changed)?, 1),
            Some(Root { page, height: 0 }) => {
                let only = vec![Child { low: Box::default(), page }];
                (self.leaves_after(only, &[changed])?, 1)
            }
            Some(Root { page, height }) => {
                let packed = self.children_after(page, height, changed)?;
                self.writing.free(page);
                (packed, height)
            }
        };
        while packed.children.len() > 1 {
            packed.children = self.branches_above(packed.children)?;
            height += 1;
        }
        let root = packed.children.pop().map(|child| Root { page: child.page, height: height - 1 });
        // Opening has counted them, so there were as many as the tree says.
        let entries = tree.entries.saturating_add_signed(packed.entries_added);
        Ok(Tree { space: self.source.space, root, entries })
    }

    /// The first leaves of a keyspace.
    fn new_leaves(&self, changed: &[&[u8]]) -> Result<Filled, CheckpointError> {
        let tasks: Result<Vec<Filled>, CheckpointError> = changed
            .par_chunks(TASK_KEYS)
            .map(|changed| {
                let mut packer = Packer::new(self.writing, Kind::Leaf, self.source.space);
                changed.iter().try_for_each(|key| self.put(&mut packer, key, None))?;
                packer.finish()
            })
            .collect();
        let mut all = Filled { children: Vec::new(), entries_added: 0 };
        for task in tasks? {
            all.children.extend(task.children);
            all.entries_added += task.entries_added;
        }
        Ok(all)
    }

    /// The children of the branch `page`, `height` levels above the leaves, as they are afterwards.
    fn children_after(&self, page: Link, height: u8, changed: &[&[u8]]) -> Result<Filled, CheckpointError> {
        let children = read_branch(self.source, page)?;
        let parts = deal(&children, changed);
        if height == 1 {
            return self.leaves_after(children, &parts);
        }
        let below: Result<Vec<Option<Filled>>, CheckpointError> = children
            .par_iter()
            .zip(&parts)
            .map(|(child, part)| {
                let touched = (!part.is_empty()).then(|| self.children_after(child.page, height - 1, part));
                touched.transpose()
            })
            .collect();
        let mut packer = Packer::new(self.writing, Kind::Branch, self.source.space);
        for (child, below) in children.into_iter().zip(below?) {
            let below = match below {
                Some(below) => {
                    packer.entries_added += below.entries_added;
                    below.children
                }
                None => {
                    let below =
                        if packer.wants_neighbour() { self.fitting(&packer, child.page)? } else { None };
                    let Some(below) = below else {
                        packer.keep(child)?;
                        continue;
                    };
                    below
                }
            };
            packer.writer.free(child.page);
            below.iter().try_for_each(|below| packer.push_branch(below))?;
        }
        packer.finish()
    }

    /// The children of a branch, if they fit the page with those before.
    fn fitting(&self, packer: &Packer<'_>, branch: Link) -> Result<Option<Vec<Child>>, CheckpointError> {
        let mut reads = Reads::one(self.source, Kind::Branch, branch);
        let (_, page) = reads.next()?;
        if !packer.has_room(page.raw_bytes()) {
            return Ok(None);
        }
        children_of(self.source, branch, page).map(Some)
    }

    /// One level more.
    fn branches_above(&self, children: Vec<Child>) -> Result<Vec<Child>, CheckpointError> {
        let mut packer = Packer::new(self.writing, Kind::Branch, self.source.space);
        children.iter().try_for_each(|child| packer.push_branch(child))?;
        Ok(packer.finish()?.children)
    }

    /// Leaves next to each other, as they are after their parts of the changes.
    fn leaves_after(&self, leaves: Vec<Child>, parts: &[&[&[u8]]]) -> Result<Filled, CheckpointError> {
        let mut packer = Packer::new(self.writing, Kind::Leaf, self.source.space);
        let touched = leaves.iter().zip(parts).filter(|(_, part)| !part.is_empty());
        let touched = touched.map(|(leaf, _)| leaf.page).collect();
        let mut reads = Reads::new(self.source, Kind::Leaf, touched);
        for (leaf, part) in leaves.into_iter().zip(parts) {
            if !part.is_empty() {
                let (link, page) = reads.next()?;
                self.merge(&mut packer, link, page, part)?;
            } else if !packer.wants_neighbour() || !self.take_in(&mut packer, leaf.page)? {
                packer.keep(leaf)?;
            }
        }
        packer.finish()
    }

    /// Takes the entries of a leaf in, if they are likely to fit the page with those before.
    fn take_in(&self, packer: &mut Packer<'_>, link: Link) -> Result<bool, CheckpointError> {
        let mut reads = Reads::one(self.source, Kind::Leaf, link);
        let (_, page) = reads.next()?;
        let fits = packer.has_room(page.raw_bytes());
        if fits {
            self.merge(packer, link, page, &[])?;
        }
        Ok(fits)
    }

    /// Packs what the leaf holds, and what changed in it.
    fn merge(
        &self,
        packer: &mut Packer<'_>,
        link: Link,
        leaf: Page<'_>,
        changed: &[&[u8]],
    ) -> Result<(), CheckpointError> {
        packer.expect(&leaf);
        packer.writer.free(link);
        let mut changed = changed.iter().peekable();
        for slot in 0..leaf.slots() {
            let cell = leaf
                .leaf_cell(slot)
                .ok_or_else(|| self.source.bad(link, "holds an entry that is cut off"))?;
            while let Some(key) = changed.next_if(|key| **key < cell.key) {
                self.put(packer, key, None)?;
            }
            match changed.next_if(|key| **key == cell.key) {
                Some(key) => self.put(packer, key, Some(cell.value))?,
                None => packer.push_leaf(&cell)?,
            }
        }
        changed.try_for_each(|key| self.put(packer, key, None))
    }

    /// Packs what is under a key now, in the place of what was there.
    fn put(
        &self,
        packer: &mut Packer<'_>,
        key: &[u8],
        before: Option<Stored<'_>>,
    ) -> Result<(), CheckpointError> {
        if let Some(Stored::Overflow { first, stored, .. }) = before {
            read_chain(self.source, Kind::Overflow, first, stored.into(), |page, _| {
                packer.writer.free(page);
                Ok(())
            })?;
        }
        packer.entries_added -= i64::from(before.is_some());
        let Some((lsn, value)) = (self.value_of)(key) else {
            return Ok(());
        };
        packer.entries_added += 1;
        let value = if LeafCell::inline_bytes(key, value) <= CELL_BYTES_MAX {
            Stored::Inline(value)
        } else {
            packer.writer.write_value(self.source.space, value)?
        };
        packer.push_leaf(&LeafCell { key, lsn, value })
    }
}

/// Deals the keys out to the children below which they belong. What is below the first low key belongs to the first child.
fn deal<'k>(children: &[Child], mut changed: &'k [&'k [u8]]) -> Vec<&'k [&'k [u8]]> {
    let mut parts = Vec::with_capacity(children.len());
    for next in children.iter().skip(1) {
        let (part, rest) = changed.split_at(changed.partition_point(|key| **key < *next.low));
        parts.push(part);
        changed = rest;
    }
    parts.push(changed);
    parts
}

/// The children of a branch, in order.
pub(super) fn read_branch(source: Source<'_>, link: Link) -> Result<Vec<Child>, CheckpointError> {
    let mut reads = Reads::one(source, Kind::Branch, link);
    let (_, branch) = reads.next()?;
    children_of(source, link, branch)
}

fn children_of(source: Source<'_>, link: Link, branch: Page<'_>) -> Result<Vec<Child>, CheckpointError> {
    let cells = (0..branch.slots()).map(|slot| branch.branch_cell(slot));
    let children: Option<Vec<Child>> =
        cells.map(|cell| cell.map(|cell| Child { low: cell.low.into(), page: cell.child })).collect();
    let children = children.ok_or_else(|| source.bad(link, "holds an entry that is cut off"))?;
    if children.is_empty() || !children.is_sorted_by(|a, b| a.low < b.low) {
        return Err(source.bad(link, "holds keys that are not in order"));
    }
    Ok(children)
}

/// Hands the parts of what lies in a chain of pages to `visit`, in order. An error of it ends that.
pub(super) fn read_chain(
    source: Source<'_>,
    kind: Kind,
    first: Link,
    bytes: u64,
    mut visit: impl FnMut(Link, &[u8]) -> Result<(), CheckpointError>,
) -> Result<(), CheckpointError> {
    let (mut next, mut left) = (Some(first), bytes);
    if bytes.div_ceil(OVERFLOW_BYTES as u64) > source.pages.usable_count() {
        return Err(source.bad(first, "is the first of more pages than there are"));
    }
    while left > 0 {
        let link = next.ok_or_else(|| source.bad(first, "is the first of too few pages"))?;
        let mut reads = Reads::one(source, kind, link);
        let (_, page) = reads.next()?;
        let cut_off = || source.bad(link, "is shorter than its part");
        let (following, part) = page.part(left.min(OVERFLOW_BYTES as u64) as usize).ok_or_else(cut_off)?;
        visit(link, part)?;
        left -= part.len() as u64;
        next = following;
    }
    Ok(())
}
