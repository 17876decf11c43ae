//! What a transaction wants to write, for itself alone until it commits.
//!
//! Ordered by keyspace and key: in that order the versions are installed, so of several transactions in each other's way one always
//! goes on. Values lie in their versions already.

use super::small_map::{SmallMap, Sorted};
use crate::document::Patch;
use crate::lsn::Lsn;
use crate::map::{Key, Node, Towards};
use crate::mvcc::chain::Record;
use crate::mvcc::store::Space;
use crate::mvcc::version::Version;
use crate::sync::garbage::Reclaim;
use std::ops::Bound;
use std::ptr::NonNull;

/// Keyspace and key.
pub(crate) type WriteKey = (u32, Key);

/// One write.
pub(crate) struct PendingWrite<'s> {
    pub(crate) space: &'s Space,
    version: NonNull<Version>,
    record: Option<NonNull<Node<Record>>>,
    supersedes: bool,
    /// The write knows what was committed below; above is a conflict.
    pub(crate) base: Lsn,
    /// What made the value of what is committed below the transaction's snapshot, one after the other; none if it was not made by patches alone.
    patches: Vec<Patch>,
}

// SAFETY: the version belongs to the write set alone until it is installed, and it is plain memory; the record is shared memory.
unsafe impl Send for PendingWrite<'_> {}

impl<'s> PendingWrite<'s> {
    /// The value is given in two parts.
    pub(crate) fn new(space: &'s Space, value: Option<[&[u8]; 2]>, base: Lsn) -> PendingWrite<'s> {
        let version = Version::of_parts(value);
        PendingWrite { space, version, record: None, supersedes: false, base, patches: Vec::new() }
    }

    /// The same; made by patches of what the transaction sees under the key.
    pub(crate) fn by_patches(mut self, patches: Vec<Patch>) -> PendingWrite<'s> {
        self.patches = patches;
        self
    }

    /// The patches that the value was made by, if it was made by nothing else.
    pub(crate) fn patches(&self) -> &[Patch] {
        &self.patches
    }

    /// The same write in a version of its own, to be installed once more.
    pub(crate) fn again(&self) -> PendingWrite<'s> {
        let again = PendingWrite::new(self.space, self.value().map(|value| [value, &[]]), self.base);
        again.by_patches(self.patches.clone())
    }

    /// `None` deletes.
    pub(crate) fn value(&self) -> Option<&[u8]> {
        // SAFETY: ours until it is installed, and not retired before we are dropped; never changed.
        unsafe { self.version.as_ref() }.payload()
    }

    pub(crate) fn version(&self) -> NonNull<Version> {
        self.version
    }

    /// The version is in reach of others by now: it is not freed with this value, but retired by the commit protocol.
    pub(crate) fn mark_installed(&mut self, record: &Node<Record>) {
        self.record = Some(NonNull::from(record));
        // SAFETY: installed, not stamped yet, so not pruned.
        let version = unsafe { self.version.as_ref() };
        self.supersedes = version.is_tombstone() || !version.older().is_null();
    }

    /// Whether, once committed, it leaves something to prune: what it was put upon, or itself with its record.
    pub(crate) fn supersedes(&self) -> bool {
        self.supersedes
    }

    /// Where the version was installed.
    pub(crate) fn record(&self) -> Option<NonNull<Node<Record>>> {
        self.record
    }
}

impl Drop for PendingWrite<'_> {
    fn drop(&mut self) {
        if self.record.is_none() {
            // SAFETY: never installed, so nobody else knows it.
            unsafe { Version::reclaim(self.version) }
        }
    }
}

/// Writes in the order of installation, each key once.
pub(crate) type SortedWrites<'s> = Sorted<WriteKey, PendingWrite<'s>>;

/// A place to roll back to: a number of its own, so that it is not taken for another one, of this transaction or of any other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark(u64);

/// See the module.
#[derive(Default)]
pub(crate) struct WriteSet<'s> {
    writes: SmallMap<WriteKey, PendingWrite<'s>>,
    /// What writes replaced since the first open savepoint, oldest first.
    journal: Vec<(WriteKey, Option<PendingWrite<'s>>)>,
    /// The open savepoints, oldest first, and how long the journal was when each was opened.
    savepoints: Vec<(Mark, usize)>,
}

impl<'s> WriteSet<'s> {
    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Adds a write; a later one of the same key replaces an earlier one, and is based on what either knew.
    pub(crate) fn put(&mut self, key: WriteKey, mut write: PendingWrite<'s>) {
        if let Some(before) = self.writes.get(&key) {
            write.base = write.base.min(before.base);
            if !write.patches.is_empty() {
                // What was made of a value that was put as a whole is one.
                let both = before.patches.iter().chain(&write.patches);
                write.patches = if before.patches.is_empty() { Vec::new() } else { both.cloned().collect() };
            }
        }
        if self.savepoints.is_empty() {
            self.writes.insert(key, write);
        } else {
            let before = self.writes.insert(key.clone(), write);
            self.journal.push((key, before));
        }
    }

    /// Puts another write in the place of one, whatever either is based on.
    pub(crate) fn replace(&mut self, key: WriteKey, write: PendingWrite<'s>) {
        self.writes.insert(key, write);
    }

    /// Those that were made by patches alone.
    pub(crate) fn patched(&self) -> impl Iterator<Item = (&WriteKey, &PendingWrite<'s>)> {
        let all = self.writes.range((Bound::Unbounded, Bound::Unbounded));
        all.filter(|(_, write)| !write.patches.is_empty())
    }

    /// The write of a key, if there is one.
    pub(crate) fn get(&self, space: &Space, key: &[u8]) -> Option<&PendingWrite<'s>> {
        if self.writes.is_empty() {
            return None;
        }
        self.writes.get(&(space.id(), Key::from(key)))
    }

    /// The writes within a range of one keyspace.
    pub(crate) fn range(
        &self,
        space: u32,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        towards: Towards,
    ) -> Box<dyn Iterator<Item = (&Key, &PendingWrite<'s>)> + '_> {
        if self.writes.is_empty() || crate::map::is_empty_range(range) {
            return Box::new(std::iter::empty());
        }
        let low = match range.0 {
            Bound::Unbounded => Bound::Included((space, Key::from(&[][..]))),
            bound => bound.map(|key| (space, Key::from(key))),
        };
        let high = match range.1 {
            Bound::Unbounded => Bound::Excluded((space + 1, Key::from(&[][..]))),
            bound => bound.map(|key| (space, Key::from(key))),
        };
        let within = self.writes.range((low, high)).map(|((_, key), write)| (key, write));
        match towards {
            Towards::Greater => Box::new(within),
            Towards::Lesser => Box::new(within.rev()),
        }
    }

    /// Takes the writes of a keyspace out: before a commit, for savepoints do not know of it.
    pub(crate) fn forget(&mut self, space: u32) {
        let all = (Bound::Unbounded, Bound::Unbounded);
        let keys: Vec<_> = self.range(space, all, Towards::Greater).map(|(key, _)| key.clone()).collect();
        keys.into_iter().for_each(|key| self.writes.remove(&(space, key)));
    }

    /// Opens a savepoint.
    pub(crate) fn mark(&mut self) -> Mark {
        let mark = Mark(fastrand::u64(..));
        self.savepoints.push((mark, self.journal.len()));
        mark
    }

    /// Whether a savepoint is open still.
    pub(crate) fn is_open(&self, mark: Mark) -> bool {
        self.depth(mark).is_some()
    }

    /// How many savepoints were open before this one.
    fn depth(&self, mark: Mark) -> Option<usize> {
        self.savepoints.iter().position(|(open, _)| *open == mark)
    }

    /// Takes back everything since `mark`, which is open, and closes it with all that were opened after it.
    pub(crate) fn roll_back(&mut self, mark: Mark) {
        let depth = self.depth(mark).expect("the savepoint is open");
        for (key, before) in self.journal.drain(self.savepoints[depth].1..).rev() {
            match before {
                Some(write) => drop(self.writes.insert(key, write)),
                None => self.writes.remove(&key),
            }
        }
        self.savepoints.truncate(depth);
    }

    /// Keeps everything since `mark`, which is open, and closes it with all that were opened after it.
    pub(crate) fn release(&mut self, mark: Mark) {
        self.savepoints.truncate(self.depth(mark).expect("the savepoint is open"));
        if self.savepoints.is_empty() {
            self.journal.clear();
        }
    }

    /// Takes writes back that were handed out in the order of installation.
    pub(crate) fn of_sorted(sorted: SortedWrites<'s>) -> WriteSet<'s> {
        WriteSet { writes: SmallMap::of_sorted(sorted), ..WriteSet::default() }
    }

    /// The writes in the order of installation.
    pub(crate) fn into_sorted(self) -> SortedWrites<'s> {
        self.writes.into_sorted()
    }
}
