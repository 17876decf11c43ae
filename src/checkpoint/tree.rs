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
//! What is written is packed full. A page that would be left half empty takes its right neighbour in, so that a tree whose documents
//! come and go does not fray.

use super::error::CheckpointError;
use super::page::{BranchCell, CELL_BYTES_MAX, Draft, Kind, LeafCell, Link, OVERFLOW_BYTES, Stored};
use super::pages::{Reads, Source};
use super::writer::{PageWriter, Writing};
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

/// What packing made of some pages: those in their place, and how many entries came and went.
struct Packed {
    children: Vec<Child>,
    entries_added: i64,
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
    fn new_leaves(&self, changed: &[&[u8]]) -> Result<Packed, CheckpointError> {
        let tasks: Result<Vec<Packed>, CheckpointError> = changed
            .par_chunks(TASK_KEYS)
            .map(|changed| {
                let mut packer = Packer::new(self.writing, Kind::Leaf, self.source.space);
                changed.iter().try_for_each(|key| self.put(&mut packer, key, None))?;
                packer.finish()
            })
            .collect();
        let mut all = Packed { children: Vec::new(), entries_added: 0 };
        for task in tasks? {
            all.children.extend(task.children);
            all.entries_added += task.entries_added;
        }
        Ok(all)
    }

    /// The children of the branch `page`, `height` levels above the leaves, as they are afterwards.
    fn children_after(&self, page: Link, height: u8, changed: &[&[u8]]) -> Result<Packed, CheckpointError> {
        let children = read_branch(self.source, page)?;
        let parts = deal(&children, changed);
        if height == 1 {
            return self.leaves_after(children, &parts);
        }
        let below: Result<Vec<Option<Packed>>, CheckpointError> = children
            .par_iter()
            .zip(&parts)
            .map(|(child, part)| {
                let touched = (!part.is_empty()).then(|| self.children_after(child.page, height - 1, part));
                touched.transpose()
            })
            .collect();
        let mut packer = Packer::new(self.writing, Kind::Branch, self.source.space);
        for (child, below) in children.into_iter().zip(below?) {
            match below {
                None if !packer.wants_neighbour() => packer.keep(child)?,
                None => {
                    packer.writer.free(child.page);
                    let absorbed = read_branch(self.source, child.page)?;
                    absorbed.iter().try_for_each(|below| packer.push_branch(below))?;
                }
                Some(below) => {
                    packer.writer.free(child.page);
                    packer.entries_added += below.entries_added;
                    below.children.iter().try_for_each(|below| packer.push_branch(below))?;
                }
            }
        }
        packer.finish()
    }

    /// One level more.
    fn branches_above(&self, children: Vec<Child>) -> Result<Vec<Child>, CheckpointError> {
        let mut packer = Packer::new(self.writing, Kind::Branch, self.source.space);
        children.iter().try_for_each(|child| packer.push_branch(child))?;
        Ok(packer.finish()?.children)
    }

    /// Leaves next to each other, as they are after their parts of the changes.
    fn leaves_after(&self, leaves: Vec<Child>, parts: &[&[&[u8]]]) -> Result<Packed, CheckpointError> {
        let pages = self.writing.pages;
        let mut packer = Packer::new(self.writing, Kind::Leaf, self.source.space);
        let touched = leaves.iter().zip(parts).filter(|(_, part)| !part.is_empty());
        let mut reads = Reads::new(pages, touched.map(|(leaf, _)| leaf.page).collect());
        for (leaf, part) in leaves.into_iter().zip(parts) {
            if !part.is_empty() {
                let (page, bytes) = reads.next()?;
                self.merge(&mut packer, page, bytes, part)?;
            } else if packer.wants_neighbour() {
                self.merge(&mut packer, leaf.page, &pages.read_one(leaf.page)?, part)?;
            } else {
                packer.keep(leaf)?;
            }
        }
        packer.finish()
    }

    /// Packs what the leaf holds, and what changed in it.
    fn merge(
        &self,
        packer: &mut Packer<'_>,
        page: Link,
        bytes: &[u8],
        changed: &[&[u8]],
    ) -> Result<(), CheckpointError> {
        let leaf = self.source.check(bytes, page, Kind::Leaf)?;
        packer.writer.free(page);
        let mut changed = changed.iter().peekable();
        for slot in 0..leaf.slots() {
            let cell = leaf
                .leaf_cell(slot)
                .ok_or_else(|| self.source.bad(page, "holds an entry that is cut off"))?;
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
        if let Some(Stored::Overflow { first, bytes }) = before {
            read_value(self.source, first, bytes, |page, _| packer.writer.free(page))?;
        }
        packer.entries_added -= i64::from(before.is_some());
        let Some((lsn, value)) = (self.value_of)(key) else {
            return Ok(());
        };
        packer.entries_added += 1;
        let value = if LeafCell::inline_bytes(key, value) <= CELL_BYTES_MAX {
            Stored::Inline(value)
        } else {
            let bytes = u32::try_from(value.len()).expect("values are shorter than 2 GiB");
            Stored::Overflow { first: packer.writer.write_value(self.source.space, value)?, bytes }
        };
        packer.push_leaf(&LeafCell { key, lsn, value })
    }
}

/// Fills pages of one level one after the other.
struct Packer<'a> {
    writer: PageWriter<'a>,
    kind: Kind,
    space: u32,
    draft: Draft,
    /// The first key of the draft.
    low: Box<[u8]>,
    cell: Vec<u8>,
    children: Vec<Child>,
    entries_added: i64,
}

impl<'a> Packer<'a> {
    fn new(writing: &'a Writing<'a>, kind: Kind, space: u32) -> Packer<'a> {
        Packer {
            writer: PageWriter::new(writing),
            kind,
            space,
            draft: Draft::new(),
            low: Box::default(),
            cell: Vec::new(),
            children: Vec::new(),
            entries_added: 0,
        }
    }

    fn push_leaf(&mut self, cell: &LeafCell<'_>) -> Result<(), CheckpointError> {
        self.cell.clear();
        cell.encode(&mut self.cell);
        self.push(cell.key)
    }

    fn push_branch(&mut self, child: &Child) -> Result<(), CheckpointError> {
        self.cell.clear();
        BranchCell { low: &child.low, child: child.page }.encode(&mut self.cell);
        self.push(&child.low)
    }

    fn push(&mut self, key: &[u8]) -> Result<(), CheckpointError> {
        if !self.draft.has_room(self.cell.len()) {
            self.seal()?;
        }
        if self.draft.is_empty() {
            self.low = key.into();
        }
        self.draft.push(&self.cell);
        Ok(())
    }

    /// Whether the draft would be left half empty.
    fn wants_neighbour(&self) -> bool {
        self.draft.is_sparse() && !self.draft.is_empty()
    }

    /// Takes a page over as it is.
    fn keep(&mut self, child: Child) -> Result<(), CheckpointError> {
        self.seal()?;
        self.children.push(child);
        Ok(())
    }

    fn seal(&mut self) -> Result<(), CheckpointError> {
        if !self.draft.is_empty() {
            let page = self.writer.write(&mut self.draft, self.kind, self.space)?;
            self.children.push(Child { low: std::mem::take(&mut self.low), page });
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Packed, CheckpointError> {
        self.seal()?;
        self.writer.finish()?;
        Ok(Packed { children: self.children, entries_added: self.entries_added })
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
pub(super) fn read_branch(source: Source<'_>, page: Link) -> Result<Vec<Child>, CheckpointError> {
    let bytes = source.pages.read_one(page)?;
    let branch = source.check(&bytes, page, Kind::Branch)?;
    let cells = (0..branch.slots()).map(|slot| branch.branch_cell(slot));
    let children: Option<Vec<Child>> =
        cells.map(|cell| cell.map(|cell| Child { low: cell.low.into(), page: cell.child })).collect();
    let children = children.ok_or_else(|| source.bad(page, "holds an entry that is cut off"))?;
    if children.is_empty() || !children.is_sorted_by(|a, b| a.low < b.low) {
        return Err(source.bad(page, "holds keys that are not in order"));
    }
    Ok(children)
}

/// Hands the parts of a value that is too long for its leaf to `visit`, in order.
pub(super) fn read_value(
    source: Source<'_>,
    first: Link,
    bytes: u32,
    mut visit: impl FnMut(Link, &[u8]),
) -> Result<(), CheckpointError> {
    let (mut next, mut left) = (Some(first), bytes as usize);
    if bytes.div_ceil(OVERFLOW_BYTES as u32) as u64 > source.pages.usable_count() {
        return Err(source.bad(first, "is the first of more pages of a value than there are"));
    }
    while left > 0 {
        let page = next.ok_or_else(|| source.bad(first, "is the first of too few pages of a value"))?;
        let read = source.pages.read_one(page)?;
        let checked = source.check(&read, page, Kind::Overflow)?;
        let cut_off = || source.bad(page, "is shorter than its part of a value");
        let (following, part) = checked.overflow(left.min(OVERFLOW_BYTES)).ok_or_else(cut_off)?;
        visit(page, part);
        left -= part.len();
        next = following;
    }
    Ok(())
}
