//! Goes through every page that the trees of a checkpoint lead to, and checks each of them.
//!
//! Whoever goes along decides whether the first fault ends the walk (opening a store) or is noted (verifying and salvaging one). In the
//! second case the walk goes on with everything that the fault does not hide: a page that cannot be read keeps its place among its
//! neighbours, so that they are checked against the same bounds as ever.

use super::cells::{LeafCell, Stored};
use super::compression;
use super::error::CheckpointError;
use super::page::{Kind, Link, Page, PageId};
use super::page_set::PageSet;
use super::pages::{Pages, Reads, Source};
use super::tree::{Child, Root, Tree, read_branch, read_chain};
use crate::lsn::Lsn;
use crate::sync::{Mutex, lock};
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
    /// The leaf that holds it.
    pub(crate) page: PageId,
}

/// What is wrong with a tree, and which of its keys cannot be read for that.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) error: CheckpointError,
    pub(crate) space: u32,
    pub(crate) keys: KeyRange,
}

/// Keys from `low` on, below `high`; to the end without one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct KeyRange {
    pub(crate) low: Box<[u8]>,
    pub(crate) high: Option<Box<[u8]>>,
}

impl KeyRange {
    pub(crate) fn of_key(key: &[u8]) -> KeyRange {
        KeyRange { low: key.into(), high: Some([key, &[0]].concat().into()) }
    }

    /// Takes what is up to another end in, if that is farther.
    pub(crate) fn extend_to(&mut self, high: Option<Box<[u8]>>) {
        let is_farther = self.high.is_some() && (high.is_none() || high > self.high);
        if is_farther {
            self.high = high;
        }
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        *self.low <= *key && self.high.as_ref().is_none_or(|high| *key < **high)
    }
}

/// Goes along on a walk, on several threads at once.
pub(crate) trait Visit: Sync {
    /// Takes a run of entries.
    type Run<'v>: FnMut(Entry<'_>)
    where
        Self: 'v;

    /// What takes a run of entries, those that are whole and in their place, in order: of a keyspace, with a number; its keys are behind those of
    /// the runs with lower numbers.
    fn begin(&self, space: u32, run: usize) -> Self::Run<'_>;

    /// Gets what is wrong. An error ends the walk.
    fn fault(&self, fault: Fault) -> Result<(), CheckpointError>;
}

/// Walks one tree of a checkpoint at `position`, and adds its pages to those that are `used`. Returns how many entries it met.
pub(crate) fn walk_tree(
    (pages, position): (&Pages, Lsn),
    tree: &Tree,
    used: &mut PageSet,
    visitor: &impl Visit,
) -> Result<u64, CheckpointError> {
    let source = Source { pages, space: tree.space, position };
    tree.root
        .map_or(Ok(0), |root| Walk { source, visitor, used: Mutex::new(used), known: None }.run(tree, root))
}

/// Walks one tree of an older checkpoint, without the pages that are `known`, and what they lead to.
pub(crate) fn walk_apart(
    (pages, position): (&Pages, Lsn),
    tree: &Tree,
    known: &PageSet,
    visitor: &impl Visit,
) -> Result<(), CheckpointError> {
    let Some(root) = tree.root else { return Ok(()) };
    let (source, mut used) = (Source { pages, space: tree.space, position }, PageSet::default());
    Walk { source, visitor, used: Mutex::new(&mut used), known: Some(known) }.run(tree, root).map(drop)
}

struct Walk<'a, V> {
    source: Source<'a>,
    visitor: &'a V,
    /// Every page is taken before what is in it is handed on: what many links lead to is not read many times.
    used: Mutex<&'a mut PageSet>,
    /// Pages that are left out.
    known: Option<&'a PageSet>,
}

/// A page of one level, and the least key that may be below it. One that cannot be read, or is left out, is none, and keeps its place.
struct Span {
    low: Box<[u8]>,
    page: Option<Link>,
}

/// What came of some leaves.
#[derive(Default)]
struct Loaded {
    entries: u64,
    has_faults: bool,
}

impl<V: Visit> Walk<'_, V> {
    fn run(&self, tree: &Tree, root: Root) -> Result<u64, CheckpointError> {
        let leaves = self.find_leaves(root)?;
        let loaded: Result<Vec<Loaded>, CheckpointError> = (0..leaves.len())
            .into_par_iter()
            .step_by(TASK_LEAVES)
            .map(|from| self.load_leaves(&leaves, from))
            .collect();
        let loaded = loaded?;
        let entries = loaded.iter().map(|loaded| loaded.entries).sum::<u64>();
        let is_whole = leaves.iter().all(|leaf| leaf.page.is_some()) && loaded.iter().all(|l| !l.has_faults);
        if is_whole && entries != tree.entries {
            let error = self.source.bad(root.page, "leads to more entries than there are, or to fewer");
            self.fault_in(error, KeyRange { low: Box::default(), high: None })?;
        }
        Ok(entries)
    }

    /// The keys of a page of a level cannot be read.
    fn fault(&self, error: CheckpointError, level: &[Span], index: usize) -> Result<(), CheckpointError> {
        let high = level.get(index + 1).map(|next| next.low.clone());
        self.fault_in(error, KeyRange { low: level[index].low.clone(), high })
    }

    fn fault_in(&self, error: CheckpointError, keys: KeyRange) -> Result<(), CheckpointError> {
        self.visitor.fault(Fault { error, space: self.source.space, keys })
    }

    /// The leaves of a tree, in order: all of them are at one depth.
    fn find_leaves(&self, root: Root) -> Result<Vec<Span>, CheckpointError> {
        let mut level = vec![Span { low: Box::default(), page: Some(root.page) }];
        if root.height > HEIGHT_MAX {
            self.fault(self.source.bad(root.page, "is the root of a tree that is too high"), &level, 0)?;
            level[0].page = None;
            return Ok(level);
        }
        self.take_all(&mut level)?;
        for above in 0..root.height {
            level = self.level_below(&level)?;
            if above == 0 && level.len() == 1 && level[0].page.is_some() {
                self.fault(
                    self.source.bad(root.page, "is the root of a tree, with one page below it"),
                    &level,
                    0,
                )?;
            }
            self.take_all(&mut level)?;
        }
        Ok(level)
    }

    /// Marks the pages of a level as used; those that cannot be are not looked at, nor those that are left out.
    fn take_all(&self, level: &mut [Span]) -> Result<(), CheckpointError> {
        for index in 0..level.len() {
            level[index].page = level[index].page.filter(|page| !self.leaves_out(page.page));
            let taken = level[index].page.map_or(Ok(()), |page| self.take(page));
            if let Err(error) = taken {
                self.fault(error, level, index)?;
                level[index].page = None;
            }
        }
        Ok(())
    }

    fn leaves_out(&self, page: PageId) -> bool {
        self.known.is_some_and(|known| known.contains(page))
    }

    fn take(&self, page: Link) -> Result<(), CheckpointError> {
        take(self.source, &mut lock(&self.used), page)
    }

    fn level_below(&self, level: &[Span]) -> Result<Vec<Span>, CheckpointError> {
        let mut below = Vec::new();
        for (index, branch) in level.iter().enumerate() {
            let high = level.get(index + 1).map(|next| &*next.low);
            let children = branch.page.map(|page| self.read_children(page, &branch.low, high)).transpose();
            match children {
                Ok(Some(children)) => {
                    let spans =
                        children.into_iter().map(|child| Span { low: child.low, page: Some(child.page) });
                    below.extend(spans);
                }
                Ok(None) => below.push(Span { low: branch.low.clone(), page: None }),
                Err(error) => {
                    self.fault(error, level, index)?;
                    below.push(Span { low: branch.low.clone(), page: None });
                }
            }
        }
        Ok(below)
    }

    fn read_children(
        &self,
        page: Link,
        low: &[u8],
        high: Option<&[u8]>,
    ) -> Result<Vec<Child>, CheckpointError> {
        let children = read_branch(self.source, page)?;
        let last = &*children[children.len() - 1].low;
        if *children[0].low < *low || high.is_some_and(|high| last >= high) {
            return Err(self.source.bad(page, "holds keys that belong elsewhere"));
        }
        Ok(children)
    }

    fn load_leaves(&self, leaves: &[Span], from: usize) -> Result<Loaded, CheckpointError> {
        let mine = from..leaves.len().min(from + TASK_LEAVES);
        let links = leaves[mine.clone()].iter().filter_map(|leaf| leaf.page).collect();
        let mut reads = Reads::new(self.source, Kind::Leaf, links);
        let mut loaded = Loaded::default();
        let mut take = self.visitor.begin(self.source.space, from);
        for index in mine.filter(|index| leaves[*index].page.is_some()) {
            let read = reads.next().and_then(|(link, leaf)| {
                self.load_leaf(leaves, index, (link, leaf), (&mut loaded, &mut take))
            });
            if let Err(error) = read {
                loaded.has_faults = true;
                self.fault(error, leaves, index)?;
            }
        }
        Ok(loaded)
    }

    /// Hands on the entries of a leaf. An entry that is not in order puts all behind it into doubt; one that is wrong in itself does not.
    fn load_leaf(
        &self,
        leaves: &[Span],
        index: usize,
        (page, leaf): (Link, Page<'_>),
        (loaded, take): (&mut Loaded, &mut dyn FnMut(Entry<'_>)),
    ) -> Result<(), CheckpointError> {
        let (low, high) = (&*leaves[index].low, leaves.get(index + 1).map(|next| &*next.low));
        if leaf.slots() == 0 {
            return Err(self.source.bad(page, "holds no entry"));
        }
        let mut before: Option<&[u8]> = None;
        let mut joined = Vec::new();
        for slot in 0..leaf.slots() {
            let cell = leaf
                .leaf_cell(slot)
                .ok_or_else(|| self.source.bad(page, "holds an entry that is cut off"))?;
            let in_order = before.map_or(low <= cell.key, |before| before < cell.key);
            if !in_order || high.is_some_and(|high| cell.key >= high) {
                return Err(self.source.bad(page, "holds keys that are not in order"));
            }
            before = Some(cell.key);
            match self.value(&cell, page, &mut joined) {
                Ok(value) => {
                    let entry = Entry { key: cell.key, lsn: cell.lsn, value, page: page.page };
                    take(entry);
                    loaded.entries += 1;
                }
                Err(error) => {
                    loaded.has_faults = true;
                    self.fault_in(error, KeyRange::of_key(cell.key))?;
                }
            }
        }
        Ok(())
    }

    /// The whole value of an entry, put together in `joined` if it is on pages of its own.
    fn value<'v>(
        &self,
        cell: &LeafCell<'v>,
        page: Link,
        joined: &'v mut Vec<u8>,
    ) -> Result<&'v [u8], CheckpointError> {
        if cell.lsn >= self.source.position {
            return Err(self.source.bad(page, "holds what was committed after it was written"));
        }
        match cell.value {
            Stored::Inline(value) => Ok(value),
            Stored::Overflow { first, bytes, stored } => {
                read_value(self.source, first, (bytes, stored), joined, |page| self.take(page))?;
                Ok(joined)
            }
        }
    }
}

/// Joins the parts of a value that is too long for its leaf, and tells which pages they are on, before they are joined. It has `bytes` bytes, of which `stored` are in its pages if it is compressed.
pub(super) fn read_value(
    source: Source<'_>,
    first: Link,
    (bytes, stored): (u32, u32),
    joined: &mut Vec<u8>,
    mut overflow: impl FnMut(Link) -> Result<(), CheckpointError>,
) -> Result<(), CheckpointError> {
    joined.clear();
    read_chain(source, Kind::Overflow, first, stored.into(), |page, part| {
        overflow(page)?;
        joined.extend_from_slice(part);
        Ok(())
    })?;
    if stored != bytes {
        *joined =
            compression::unpack_value(joined, bytes).map_err(|bad| source.pages.damaged(first.page, bad))?;
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
