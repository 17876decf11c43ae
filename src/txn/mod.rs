//! Transactions over keyspaces of bytes: private writes, tracked reads, and the commit protocol.
//!
//! - `write_set` (with `small_map`), `read_set`: what a transaction wants to write, and what it has read. `scan`: a range with both.
//! - `validate`: whether the reads still hold, pure but for walking the records.
//! - `commit`: the protocol. `reapply`: patches that others came before.

pub(crate) mod commit;
pub(crate) mod error;
mod read_set;
pub(crate) mod reapply;
mod scan;
mod small_map;
mod validate;
mod write_set;

use crate::document::Patch;
use crate::lsn::Lsn;
use crate::map::{Key, Towards};
use crate::mvcc::chain::{ANY_BASE, Dead, Record, Visible};
use crate::mvcc::era::EraNumber;
use crate::mvcc::snapshot::Snapshot;
use crate::mvcc::store::Space;
use crate::options::Isolation;
use crate::sync::epoch::{self, Guard};
use commit::{Commit, Committed, Failed, Ground, Withdrawn};
use read_set::{ReadSet, Walk};
use scan::{Base, StatementScan};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Bound;
use write_set::{PendingWrite, SortedWrites, WriteSet};

pub(crate) use scan::Scan;
pub(crate) use write_set::Mark;

/// A key with its value, as a transaction sees it.
pub(crate) struct Entry<'t> {
    pub(crate) key: Cow<'t, [u8]>,
    /// Where it was committed; none for the transaction's own write.
    pub(crate) lsn: Option<Lsn>,
    pub(crate) value: Cow<'t, [u8]>,
}

/// A value, as a transaction sees it.
pub(crate) struct Found<'t> {
    pub(crate) lsn: Option<Lsn>,
    pub(crate) value: Cow<'t, [u8]>,
}

/// A transaction, until it commits or is dropped, which takes nothing back because nothing was changed.
pub(crate) struct Txn<'s> {
    ground: Ground<'s>,
    isolation: Isolation,
    /// Registered when the transaction began, whatever its isolation: what its writes are compared against stays.
    snapshot: Snapshot,
    writes: WriteSet<'s>,
    reads: RefCell<ReadSet<'s>>,
    /// Collections that were read otherwise than to change what was read.
    looked_at: RefCell<SmallVec<[&'s Space; 2]>>,
    eras: SmallVec<[(&'s Space, EraNumber); 1]>,
}

impl<'s> Txn<'s> {
    #[inline]
    pub(crate) fn begin(ground: Ground<'s>, isolation: Isolation) -> Txn<'s> {
        Txn {
            ground,
            isolation,
            snapshot: ground.store.snapshot(),
            writes: WriteSet::default(),
            reads: RefCell::default(),
            looked_at: RefCell::default(),
            eras: SmallVec::new(),
        }
    }

    pub(crate) fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// Where the transaction reads; under read committed, where it began.
    pub(crate) fn position(&self) -> Lsn {
        self.snapshot.position()
    }

    /// The value under `key`: the transaction's own write, or what its isolation lets it see.
    pub(crate) fn get<'t>(&'t self, space: &'s Space, key: &[u8]) -> Option<Found<'t>> {
        self.own(space, key).unwrap_or_else(|| {
            if self.isolation == Isolation::Serializable {
                self.reads.borrow_mut().add_key(space, key);
            }
            self.committed(space, key)
        })
    }

    /// The same, for whoever notes himself what depends on it.
    pub(crate) fn peek<'t>(&'t self, space: &'s Space, key: &[u8]) -> Option<Found<'t>> {
        self.own(space, key).unwrap_or_else(|| self.committed(space, key))
    }

    /// The value under `key`: the transaction's own write, or what is committed now, whatever its isolation.
    pub(crate) fn get_newest<'t>(&'t self, space: &'s Space, key: &[u8]) -> Option<Found<'t>> {
        self.own(space, key).unwrap_or_else(|| newest_based(self.end(), space, key, found))
    }

    /// What the transaction's own write of `key` leaves there, if there is one.
    fn own<'t>(&'t self, space: &'s Space, key: &[u8]) -> Option<Option<Found<'t>>> {
        let write = self.writes.get(space, key)?;
        Some(write.value().map(|value| Found { lsn: None, value: Cow::Borrowed(value) }))
    }

    /// What others have committed under `key`, as the isolation lets it be seen.
    fn committed<'t>(&'t self, space: &'s Space, key: &[u8]) -> Option<Found<'t>> {
        if self.isolation == Isolation::ReadCommitted {
            return newest_based(self.end(), space, key, found);
        }
        let seen = self.snapshot.get(space, key)?;
        Some(Found { lsn: Some(seen.lsn), value: Cow::Borrowed(seen.value) })
    }

    /// The entries of a range.
    pub(crate) fn scan<'t>(
        &'t self,
        space: &'s Space,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        towards: Towards,
    ) -> Scan<'t, 's> {
        let walk = Walk::new(space, range, towards);
        let base = match self.isolation {
            Isolation::ReadCommitted => {
                Base::Statement(StatementScan::new(self.ground.store.snapshot(), &walk))
            }
            _ => Base::Snapshot(self.snapshot.scan(space, range, towards)),
        };
        let own = self.writes.range(space.id(), range, towards);
        let reads = (self.isolation == Isolation::Serializable).then_some(&self.reads);
        Scan::new(base, own, walk, reads)
    }

    /// Writes a value, or deletes, whatever is there.
    pub(crate) fn put(&mut self, space: &'s Space, key: &[u8], value: Option<&[u8]>) {
        let base = match self.isolation {
            Isolation::ReadCommitted => ANY_BASE,
            _ => self.snapshot.position(),
        };
        self.put_based(space, key, value, base);
    }

    /// The same; what is committed under the key at or above `base` is a conflict.
    pub(crate) fn put_based(&mut self, space: &'s Space, key: &[u8], value: Option<&[u8]>, base: Lsn) {
        let write = PendingWrite::new(space, value.map(|value| [value, &[]]), base);
        self.writes.put((space.id(), key.into()), write);
    }

    /// What a statement that begins now may take as known: what is committed at or above is a conflict for what it writes.
    ///
    /// Under read committed each statement sees what there is now, and loses no change of another transaction all the same.
    pub(crate) fn statement_base(&self) -> Lsn {
        match self.isolation {
            Isolation::ReadCommitted => self.end(),
            _ => self.snapshot.position(),
        }
    }

    /// Below is everything that is committed by now.
    pub(crate) fn end(&self) -> Lsn {
        self.ground.store.end().load()
    }

    /// Writes what became of a value that was read after the base was taken.
    pub(crate) fn put_change(&mut self, space: &'s Space, key: &[u8], change: &Change<'_>, base: Lsn) {
        let write = match change {
            Change::Put { head, body, patch } => {
                let write = PendingWrite::new(space, Some([head, body]), base);
                write.by_patches(patch.iter().copied().cloned().collect())
            }
            Change::Delete => PendingWrite::new(space, None, base),
        };
        self.writes.put((space.id(), key.into()), write);
    }

    /// The caller has seen documents of a collection.
    pub(crate) fn note_look(&self, space: &'s Space) {
        let mut looked_at = self.looked_at.borrow_mut();
        if !looked_at.iter().any(|known| std::ptr::eq(*known, space)) {
            looked_at.push(space);
        }
    }

    pub(crate) fn has_looked_at(&self, space: &Space) -> bool {
        self.looked_at.borrow().iter().any(|known| std::ptr::eq(*known, space))
    }

    /// The space is written by rules that were read after this was its era. The first one counts.
    pub(crate) fn rely_on(&mut self, space: &'s Space, era: EraNumber) {
        if !self.eras.iter().any(|(known, _)| std::ptr::eq(*known, space)) {
            self.eras.push((space, era));
        }
    }

    /// The spaces whose rules have changed since they were written.
    pub(crate) fn outdated(&self) -> Vec<&'s Space> {
        self.eras.iter().map(|(space, _)| *space).filter(|space| self.is_outdated(space)).collect()
    }

    /// Whether the rules of a space have changed since it was written.
    pub(crate) fn is_outdated(&self, space: &Space) -> bool {
        self.eras.iter().any(|(known, era)| std::ptr::eq(*known, space) && space.era().current() != *era)
    }

    /// Forgets what a space was written by, for it is going to be written anew.
    pub(crate) fn rely_anew(&mut self, space: &'s Space, era: EraNumber) {
        self.eras.retain(|(known, _)| !std::ptr::eq(*known, space));
        self.eras.push((space, era));
    }

    /// Copies of the transaction's own writes of a space. `None` deletes.
    pub(crate) fn own_writes(&self, space: &Space) -> Vec<(Key, Option<Vec<u8>>)> {
        let all = (Bound::Unbounded, Bound::Unbounded);
        let writes = self.writes.range(space.id(), all, Towards::Greater);
        writes.map(|(key, write)| (key.clone(), write.value().map(<[u8]>::to_vec))).collect()
    }

    /// Takes back all writes of a space: before a commit, for savepoints do not know of it.
    pub(crate) fn forget_writes(&mut self, space: &Space) {
        self.writes.forget(space.id());
    }

    /// Whether the transaction's own write of a key replaces what its snapshot does not see: patches were applied again.
    pub(crate) fn is_patched_again(&self, space: &Space, key: &[u8]) -> bool {
        let write = self.writes.get(space, key).filter(|write| !write.patches().is_empty());
        self.isolation == Isolation::Snapshot && write.is_some_and(|write| write.base > self.position())
    }

    /// What lies under the transaction's own write of a key: what it replaces, if nobody comes in between.
    pub(crate) fn beneath<'t>(&'t self, space: &'s Space, key: &[u8]) -> Option<Cow<'t, [u8]>> {
        if self.isolation == Isolation::ReadCommitted || self.is_patched_again(space, key) {
            return newest_based(self.end(), space, key, |_, value| Cow::Owned(value.to_vec()));
        }
        self.snapshot.get(space, key).map(|seen| Cow::Borrowed(seen.value))
    }

    pub(crate) fn mark(&mut self) -> Mark {
        self.writes.mark()
    }

    pub(crate) fn is_open(&self, mark: Mark) -> bool {
        self.writes.is_open(mark)
    }

    pub(crate) fn roll_back(&mut self, mark: Mark) {
        self.writes.roll_back(mark);
    }

    pub(crate) fn release(&mut self, mark: Mark) {
        self.writes.release(mark);
    }

    /// Commits. A transaction that wrote nothing has nothing to decide: it is where its snapshot is.
    pub(crate) fn commit(self) -> Result<Committed, Failed<'s>> {
        self.commit_or_mend().map_err(|refused| refused.failed)
    }

    /// The same; of a transaction with patches that others came before, what it takes to apply them again.
    pub(crate) fn commit_or_mend(self) -> Result<Committed, Box<Refused<'s>>> {
        let Txn { ground, isolation, snapshot, writes, reads, looked_at, eras } = self;
        if writes.is_empty() {
            let lsn = snapshot.position();
            return Ok(Committed { lsn, end: lsn });
        }
        let reads = (isolation == Isolation::Serializable).then(|| reads.into_inner());
        let commit = Commit { ground, snapshot, reads: reads.as_ref(), eras: &eras };
        commit.run(writes.into_sorted()).map_err(|withdrawn| {
            let Withdrawn { failed, to_mend } = *withdrawn;
            // Below snapshot isolation it is not known what a patch was made for; above, what it was made for must be as it was.
            let to_mend = to_mend.filter(|_| isolation == Isolation::Snapshot).map(|(snapshot, writes)| {
                let (writes, reads) = (WriteSet::of_sorted(writes), RefCell::default());
                Txn { ground, isolation, snapshot, writes, reads, looked_at, eras }
            });
            Box::new(Refused { failed, to_mend })
        })
    }

    /// What was made by patches alone, of documents that others have changed since the patches were applied: where it lies, and what it was based on.
    pub(crate) fn overtaken_patches(&self) -> Vec<(&'s Space, Key)> {
        let changed =
            self.writes.patched().filter(|((_, key), write)| is_changed(write.space, key, write.base));
        changed.map(|((_, key), write)| (write.space, key.clone())).collect()
    }

    /// Has `apply` apply the patches of a write again. False if there is nothing committed under the key, or `apply` makes nothing of it.
    pub(crate) fn patch_again(
        &mut self,
        space: &'s Space,
        key: &Key,
        apply: impl FnOnce(Overtaken<'_>) -> Option<Change<'static>>,
    ) -> bool {
        let (at, base) = ((space.id(), key.clone()), self.end());
        let Some(write) = self.writes.get(space, key) else { return false };
        let Some(made_for) = self.snapshot.get(space, key) else { return false };
        let (patches, made) = (write.patches().to_vec(), write.value().unwrap_or_default());
        let newest = newest_based(base, space, key, |_, value| value.to_vec());
        let overtaken = |newest| Overtaken { made_for: made_for.value, made, newest, patches: &patches };
        let change = newest.as_deref().and_then(|newest| apply(overtaken(newest)));
        let Some(Change::Put { head, body, .. }) = change else { return false };
        let again = PendingWrite::new(space, Some([&head, &body]), base).by_patches(patches);
        self.writes.replace(at, again);
        true
    }
}

/// Patches of a value that others have changed since.
pub(crate) struct Overtaken<'o> {
    /// What the patches were made for.
    pub(crate) made_for: &'o [u8],
    /// What they made of it, or of what was there when they were last applied again.
    pub(crate) made: &'o [u8],
    /// What is committed now.
    pub(crate) newest: &'o [u8],
    pub(crate) patches: &'o [Patch],
}

/// Why a transaction did not commit, and the transaction, if it has patches that may be applied again.
pub(crate) struct Refused<'s> {
    pub(crate) failed: Failed<'s>,
    pub(crate) to_mend: Option<Txn<'s>>,
}

/// Writes one key, whatever is there: a transaction of its own, without the book-keeping of one.
pub(crate) fn put_alone<'s>(
    ground: Ground<'s>,
    space: &'s Space,
    key: &[u8],
    value: Option<&[u8]>,
) -> Result<Committed, Failed<'s>> {
    // The table is cold mostly; its line comes while the version is made.
    space.records().prefetch(key, &epoch::pin());
    let write = PendingWrite::new(space, value.map(|value| [value, &[]]), ANY_BASE);
    let commit = Commit { ground, snapshot: ground.store.snapshot(), reads: None, eras: &[] };
    commit
        .run(SortedWrites::from_buf([((space.id(), key.into()), write)]))
        .map_err(|withdrawn| withdrawn.failed)
}

/// What becomes of a value.
pub(crate) enum Change<'c> {
    /// It is replaced by these two, one behind the other: whoever has something to put before what he was given need not join them.
    Put {
        head: [u8; Change::HEAD_BYTES],
        body: Cow<'c, [u8]>,
        /// What made it of what the transaction sees under the key, if that may be done again to what others make of it.
        patch: Option<&'c Patch>,
    },
    Delete,
}

impl<'c> Change<'c> {
    pub(crate) const HEAD_BYTES: usize = 8;

    /// The same, made by a patch of what the transaction sees under the key.
    pub(crate) fn by_patch(self, patch: &'c Patch) -> Change<'c> {
        match self {
            Change::Put { head, body, .. } => Change::Put { head, body, patch: Some(patch) },
            Change::Delete => Change::Delete,
        }
    }
}

fn found(lsn: Lsn, value: &[u8]) -> Found<'static> {
    Found { lsn: Some(lsn), value: Cow::Owned(value.to_vec()) }
}

/// Reads the newest committed value of one key, outside of any transaction: nothing is registered, nobody pushed.
pub(crate) fn newest<T>(space: &Space, key: &[u8], read: impl FnOnce(Lsn, &[u8]) -> T) -> Option<T> {
    read_one(space, key, |record, guard| record.newest(guard), read)
}

/// The same for a statement that goes on from it with a base that is not above `end`, which was the log's end: what is not seen is a conflict.
fn newest_based<T>(end: Lsn, space: &Space, key: &[u8], read: impl FnOnce(Lsn, &[u8]) -> T) -> Option<T> {
    read_one(space, key, |record, guard| record.newest_based(end, guard), read)
}

/// Whether somebody committed a write of a key, or a deletion, at or above `base`.
pub(crate) fn is_changed(space: &Space, key: &[u8], base: Lsn) -> bool {
    let guard = epoch::pin();
    let record = space.records().get(key, &guard);
    let newest = record.and_then(|record| record.newest(&guard).ok().flatten());
    newest.is_some_and(|newest| newest.lsn >= base)
}

fn read_one<T>(
    space: &Space,
    key: &[u8],
    find: impl for<'g> FnOnce(&Record, &'g Guard) -> Result<Option<Visible<'g>>, Dead>,
    read: impl FnOnce(Lsn, &[u8]) -> T,
) -> Option<T> {
    let guard = epoch::pin();
    let record = space.records().get(key, &guard)?;
    // A dead record holds nothing.
    let found = find(record, &guard).ok().flatten()?;
    found.version.payload().map(|value| read(found.lsn, value))
}
