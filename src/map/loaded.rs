//! The loaded part: the nodes that were there when the map was filled, next to each other in memory, in order.
//!
//! Recovery knows its keys in order and has the map to itself, so their nodes need no entries of the ordered part, which cost more
//! than everything else, nor an allocation each. They are found by halving, and walked from line to line.
//!
//! - No node is added after the map was filled, and none is taken away: what dies is passed over, and its memory kept until the map goes.
//! - A node that does not die is in the directory from the beginning, as every other is, if there is one. A key whose loaded node is dying
//!   may get a new node, in the ordered part.

use super::{Map, Node, Towards};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::epoch::Guard;
use crate::sync::{Mutex, lock};
use std::ops::Bound;

/// See the module.
pub(super) struct Loaded<T> {
    /// None of them empty; keys ascend along all of them.
    runs: Vec<Box<[Node<T>]>>,
    /// How many nodes are dying.
    dying: AtomicUsize,
}

/// Between two nodes: a run, and how many nodes of it are before.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    run: usize,
    within: usize,
}

impl<T> Loaded<T> {
    /// The place behind all nodes whose keys are before what `is_before` says; it says so of the first of them only.
    fn place(&self, is_before: impl Fn(&[u8]) -> bool) -> Place {
        let runs = self.runs.partition_point(|run| is_before(run[0].key()));
        let run = runs.saturating_sub(1);
        let within = self.runs.get(run).map_or(0, |run| run.partition_point(|node| is_before(node.key())));
        Place { run, within }
    }

    fn before_low(&self, low: Bound<&[u8]>) -> Place {
        self.place(|key| match low {
            Bound::Included(low) => key < low,
            Bound::Excluded(low) => key <= low,
            Bound::Unbounded => false,
        })
    }

    fn behind_high(&self, high: Bound<&[u8]>) -> Place {
        self.place(|key| match high {
            Bound::Included(high) => key <= high,
            Bound::Excluded(high) => key < high,
            Bound::Unbounded => true,
        })
    }

    /// The node under `key`, dying or not.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Node<T>> {
        let Place { run, within } = self.before_low(Bound::Included(key));
        // What is not in this run begins the next one.
        let next = || self.runs.get(run + 1).map(|run| &run[0]);
        self.runs.get(run)?.get(within).or_else(next).filter(|node| node.key() == key)
    }

    /// The nodes of a range that are not dying. The range must not be one that holds nothing whatever the map holds.
    pub(super) fn range(
        &self,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        towards: Towards,
    ) -> impl Iterator<Item = &Node<T>> {
        let (mut from, mut to) = (self.before_low(range.0), self.behind_high(range.1));
        let nodes = std::iter::from_fn(move || match towards {
            Towards::Greater => self.step_up(&mut from, to),
            Towards::Lesser => self.step_down(&mut to, from),
        });
        nodes.filter(|node| !node.is_dying())
    }

    /// Some nodes that are not dying, taken at random.
    pub(super) fn sample(&self, count: usize) -> impl Iterator<Item = &Node<T>> {
        let node = |_| {
            let run = &self.runs[fastrand::usize(..self.runs.len())];
            &run[fastrand::usize(..run.len())]
        };
        let count = if self.runs.is_empty() { 0 } else { count };
        (0..count).map(node).filter(|node| !node.is_dying())
    }

    fn step_up(&self, at: &mut Place, end: Place) -> Option<&Node<T>> {
        if *at == end {
            return None;
        }
        let run = self.runs.get(at.run)?;
        if at.within == run.len() {
            *at = Place { run: at.run + 1, within: 0 };
            return self.step_up(at, end);
        }
        at.within += 1;
        Some(&run[at.within - 1])
    }

    fn step_down(&self, at: &mut Place, end: Place) -> Option<&Node<T>> {
        if *at == end {
            return None;
        }
        if at.within == 0 {
            let run = at.run.checked_sub(1)?;
            *at = Place { run, within: self.runs[run].len() };
            return self.step_down(at, end);
        }
        at.within -= 1;
        Some(&self.runs[at.run][at.within])
    }

    /// How many nodes are not dying.
    pub(super) fn len(&self) -> usize {
        let nodes: usize = self.runs.iter().map(|run| run.len()).sum();
        // Relaxed: a count.
        nodes - self.dying.load(Ordering::Relaxed)
    }

    /// One node more is dying.
    pub(super) fn count_dying(&self) {
        // Relaxed: a count.
        self.dying.fetch_add(1, Ordering::Relaxed);
    }

    /// Every node, the dying ones too.
    pub(super) fn nodes_mut(&mut self) -> impl Iterator<Item = &mut Node<T>> {
        self.runs.iter_mut().flatten()
    }
}

/// A run with its number.
type Numbered<T> = (usize, Box<[Node<T>]>);

/// Fills a map that nobody else uses yet, from several threads, each with runs of its own. The map has all of them when this is dropped.
pub(crate) struct Loading<'m, T> {
    map: &'m Map<T>,
    runs: Mutex<Vec<Numbered<T>>>,
}

impl<'m, T: Send + Sync + 'static> Loading<'m, T> {
    pub(super) fn new(map: &'m Map<T>) -> Loading<'m, T> {
        Loading { map, runs: Mutex::default() }
    }

    /// Adds nodes in the order of their keys, which are behind those of every run with a lower number.
    pub(crate) fn add(&self, number: usize, nodes: Vec<Node<T>>, guard: &Guard) {
        debug_assert!(nodes.is_sorted_by(|one, next| one.key() < next.key()));
        if nodes.is_empty() {
            return;
        }
        let run = nodes.into_boxed_slice();
        self.map.directory.iter().for_each(|directory| directory.insert_new(&run, guard));
        lock(&self.runs).push((number, run));
    }
}

impl<T> Drop for Loading<'_, T> {
    fn drop(&mut self) {
        let mut runs = std::mem::take(&mut *lock(&self.runs));
        runs.sort_unstable_by_key(|(number, _)| *number);
        let runs: Vec<_> = runs.into_iter().map(|(_, run)| run).collect();
        debug_assert!(runs.is_sorted_by(|one, next| one[one.len() - 1].key() < next[0].key()));
        let loaded = Loaded { runs, dying: AtomicUsize::new(0) };
        assert!(self.map.loaded.set(loaded).is_ok(), "a map is filled once");
    }
}
