//! The commit protocol.
//!
//! ```text
//!   prepare the frame ─► install every version ─► Positioning(end) ─► take a position ─┬─► Committed(lsn) ─► publish ─► stamp ─► prune
//!                          │ conflict                ▲                                 ▼ (serializable)         │
//!                          ▼                         └────────── pushed ──────────── Validating(lsn): validate ─┘
//!                        withdraw ◄───────────────────────────── killed, stale ─────────┘
//! ```
//!
//! Why it is right is argued in `docs/concurrency.md`; in short: the position is taken after every version is installed, so a snapshot that meets an
//! undecided version knows that it is later, or makes it so.

use super::error::{Conflict, ConflictKind};
use super::read_set::ReadSet;
use super::validate::{Stale, Validator};
use super::write_set::SortedWrites;
use crate::io::IoError;
use crate::log::batch::{self, Write};
use crate::log::frame::frame_bytes;
use crate::log::{Log, Prepared};
use crate::lsn::{LogEnd, Lsn};
use crate::mvcc::chain::{Record, Refused};
use crate::mvcc::era::EraNumber;
use crate::mvcc::own_state::OwnState;
use crate::mvcc::snapshot::Snapshot;
use crate::mvcc::state::{Interrupted, Phase};
use crate::mvcc::store::{Space, Store};
use crate::sync::epoch::{self, Guard};
use crate::sync::garbage;
use crate::sync::{Step, step};

/// What transactions stand on: records, and the log if there is one.
#[derive(Clone, Copy)]
pub(crate) struct Ground<'s> {
    pub(crate) store: &'s Store,
    pub(crate) log: Option<&'s Log>,
}

/// A transaction that wants to commit.
pub(crate) struct Commit<'a, 's> {
    pub(crate) ground: Ground<'s>,
    /// Where it read. Held until its versions are stamped: what is compared against stays, and no record with one of them dies.
    pub(crate) snapshot: Snapshot,
    /// What must still be as it was read; none below serializable.
    pub(crate) reads: Option<&'a ReadSet<'s>>,
    /// What must still be the era of spaces that were written by its rules.
    pub(crate) eras: &'a [(&'s Space, EraNumber)],
}

/// Why nothing was changed, or why it is not known to last.
#[derive(Debug)]
pub(crate) enum Failed<'s> {
    /// Nothing was changed. The key of the conflict is in `space`.
    Conflict { space: &'s Space, conflict: Conflict },
    /// The log takes nothing any more. Whether the transaction is there after the store is opened again is open.
    Log(IoError),
}

/// A transaction that did not commit: nothing of it is in reach of others any more.
pub(crate) struct Withdrawn<'s> {
    pub(crate) failed: Failed<'s>,
    /// Where it read and what it would have written, if some of that can be made anew for what is committed by now.
    pub(crate) to_mend: Option<(Snapshot, SortedWrites<'s>)>,
}

impl<'s> From<Failed<'s>> for Box<Withdrawn<'s>> {
    fn from(failed: Failed<'s>) -> Box<Withdrawn<'s>> {
        Box::new(Withdrawn { failed, to_mend: None })
    }
}

/// A commit in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Committed {
    pub(crate) lsn: Lsn,
    /// Durable once the log is durable up to here.
    pub(crate) end: Lsn,
}

/// How often a validation starts again because readers came in between, before it gives up.
///
/// Readers push a validating transaction that their answer depends on, and never wait for it. So fresh readers can starve a validation;
/// giving up and trying again after a pause, with a new snapshot, lets them pass.
const PUSHES_MAX: u32 = 64;
/// In a store without a log, a write counts for so many bytes beside its key and value: about what it would take in a log.
const UNLOGGED_WRITE_BYTES: usize = 8;
/// How many keys are handled under one pin.
const KEYS_PER_PIN: usize = 64;

impl<'s> Commit<'_, 's> {
    /// Commits `writes`, which are not empty.
    pub(crate) fn run(self, mut writes: SortedWrites<'s>) -> Result<Committed, Box<Withdrawn<'s>>> {
        let frame = self.prepare(&writes)?;
        // One pin for all of a small transaction's look-ups; no pin while waiting for room in the log.
        let mut guard = epoch::pin();
        let state = OwnState::new();
        let decided = self
            .install(&state, &mut writes, &mut guard)
            .and_then(|()| self.decide(&state, &writes, frame.as_ref(), &mut guard));
        let committed = match decided {
            Ok(committed) => committed,
            Err(failed) => {
                let to_mend =
                    guard.unpinned(|| withdraw(state, writes)).map(|writes| (self.snapshot, writes));
                return Err(Box::new(Withdrawn { failed, to_mend }));
            }
        };
        step(Step::Committed);
        let published = match frame {
            Some(frame) => guard.unpinned(|| self.publish(committed.lsn, frame)),
            None => {
                self.ground.store.changes().publish((committed.lsn, committed.end), || Some(encode(&writes)));
                Ok(())
            }
        };
        step(Step::Published);
        stamp(&writes, committed.lsn, &mut guard);
        state.retire();
        step(Step::Stamped);
        // What we superseded is what we saw: nothing of it could be pruned before.
        drop(self.snapshot);
        prune(self.ground.store, writes, &mut guard);
        Ok(published.map_err(Failed::Log).map(|()| committed)?)
    }

    fn prepare(&self, writes: &SortedWrites<'s>) -> Result<Option<Prepared<'s>>, Failed<'s>> {
        let Some(log) = self.ground.log else {
            return Ok(None);
        };
        log.check().map_err(Failed::Log)?;
        log.prepare(logged(writes)).map(Some).map_err(Failed::Log)
    }

    /// Step 1: a version at the head of each record.
    fn install(
        &self,
        state: &OwnState,
        writes: &mut SortedWrites<'s>,
        guard: &mut Guard,
    ) -> Result<(), Failed<'s>> {
        for (index, ((_, key), write)) in writes.iter_mut().enumerate() {
            if index % KEYS_PER_PIN == KEYS_PER_PIN - 1 {
                guard.repin();
            }
            // SAFETY: not published yet, so ours.
            unsafe { write.version().as_ref() }.begin(state.address());
            let record = loop {
                let record = write.space.records().get_or_insert(key, Record::new, guard);
                match record.install(write.version(), write.base, guard) {
                    Ok(()) => break record,
                    Err(Refused::Dead) => write.space.unlink(record, guard),
                    Err(Refused::Superseded(winner)) => {
                        return Err(conflict(ConflictKind::Write, write.space, key, Some(winner)));
                    }
                }
            };
            write.mark_installed(record);
            step(Step::Installed);
        }
        Ok(())
    }

    /// Steps 2 and 3: a position, at which the reads hold.
    fn decide(
        &self,
        state: &OwnState,
        writes: &SortedWrites<'s>,
        frame: Option<&Prepared<'_>>,
        guard: &mut Guard,
    ) -> Result<Committed, Failed<'s>> {
        let bytes = frame.map_or_else(|| unlogged_bytes(writes), |frame| frame.bytes());
        let mut pushes = 0;
        loop {
            let end: &LogEnd = self.ground.store.end();
            let before = end.load();
            if let Err(Interrupted::Killed) = state.position(before) {
                return Err(about_first(writes, ConflictKind::Overtaken));
            }
            step(Step::Positioning);
            let lsn = end.reserve(bytes);
            step(Step::Positioned);
            let failed = match self.decide_at(state, before, lsn, guard) {
                Ok(()) => return Ok(Committed { lsn, end: lsn.plus(bytes) }),
                Err(Undecided::Interrupted(Interrupted::Pushed)) if pushes < PUSHES_MAX => None,
                Err(Undecided::Interrupted(Interrupted::Pushed)) => {
                    Some(about_first(writes, ConflictKind::Starved))
                }
                Err(Undecided::Interrupted(Interrupted::Killed)) => {
                    Some(about_first(writes, ConflictKind::Overtaken))
                }
                Err(Undecided::EraEnded(space)) => Some(conflict(ConflictKind::Indexes, space, &[], None)),
                Err(Undecided::Stale(stale)) => {
                    Some(conflict(stale.kind, stale.space, &stale.key, stale.winner))
                }
            };
            // The range is not ours to use any more; the log must not have a hole.
            match self.ground.log {
                Some(log) => guard.unpinned(|| log.void(lsn, bytes)).map_err(Failed::Log)?,
                None => self.ground.store.changes().publish((lsn, lsn.plus(bytes)), || None),
            }
            if let Some(failed) = failed {
                return Err(failed);
            }
            pushes += 1;
        }
    }

    fn decide_at(
        &self,
        state: &OwnState,
        before: Lsn,
        lsn: Lsn,
        guard: &mut Guard,
    ) -> Result<(), Undecided<'s>> {
        if let Some((space, _)) = self.eras.iter().find(|(space, era)| space.era().current() != *era) {
            return Err(Undecided::EraEnded(space));
        }
        let Some(reads) = self.reads else {
            return Ok(state.commit(Phase::Positioning(before), lsn)?);
        };
        state.validate(before, lsn)?;
        step(Step::Validating);
        let validator = Validator { snapshot: self.snapshot.position(), own: lsn, state: state.address() };
        // It may take long, and pins by itself.
        guard.unpinned(|| validator.validate(reads)).map_err(Undecided::Stale)?;
        Ok(state.commit(Phase::Validating(lsn), lsn)?)
    }

    /// Step 4.
    fn publish(&self, lsn: Lsn, frame: Prepared<'_>) -> Result<(), IoError> {
        self.ground.log.expect("there is a frame only with a log").publish(lsn, frame)
    }
}

enum Undecided<'s> {
    Interrupted(Interrupted),
    Stale(Stale<'s>),
    EraEnded(&'s Space),
}

impl From<Interrupted> for Undecided<'_> {
    fn from(interrupted: Interrupted) -> Self {
        Undecided::Interrupted(interrupted)
    }
}

/// The writes as a log has them.
fn logged<'w>(writes: &'w SortedWrites<'_>) -> impl Iterator<Item = Write<'w>> {
    writes.iter().map(|((space, key), write)| Write { space: *space, key, value: write.value() })
}

fn encode(writes: &SortedWrites<'_>) -> Vec<u8> {
    let mut stream = Vec::new();
    logged(writes).for_each(|write| batch::encode_write(write, &mut stream));
    stream
}

/// Gives up: takes the versions off again, unless somebody already did, and retires them. Returns the writes if there are patches among them.
fn withdraw<'s>(state: OwnState, mut writes: SortedWrites<'s>) -> Option<SortedWrites<'s>> {
    state.abort();
    let is_to_mend = writes.iter().any(|(_, write)| !write.patches().is_empty());
    for ((_, key), write) in writes.iter_mut().filter(|(_, write)| write.record().is_some()) {
        let guard = epoch::pin();
        // By key: without our version on it the record may have died meanwhile.
        if let Some(record) = write.space.records().get(key, &guard) {
            record.withdraw(write.version(), &guard);
        }
        let version = write.version();
        if is_to_mend {
            *write = write.again();
        }
        // SAFETY: off the head, by us or by whoever met it; nobody but its owner retires it, and we do so once.
        unsafe { garbage::retire(version, &guard) };
    }
    state.retire();
    is_to_mend.then_some(writes)
}

/// Step 5: from here on nobody needs the state to know.
fn stamp(writes: &SortedWrites<'_>, lsn: Lsn, guard: &mut Guard) {
    for (index, (_, write)) in writes.iter().enumerate() {
        if index % KEYS_PER_PIN == KEYS_PER_PIN - 1 {
            guard.repin();
        }
        let record = write.record().expect("installed");
        // SAFETY: it has our version or a later one, all above our snapshot, whose slot is still registered: such a
        // record does not die (`Record::bury`).
        let record = unsafe { record.as_ref() };
        // SAFETY: committed by us, not stamped yet, and what is not stamped is not pruned.
        unsafe { record.settle(write.version(), lsn, guard) };
    }
}

/// Step 6: sees to it that what our versions superseded is unlinked.
fn prune(store: &Store, writes: SortedWrites<'_>, guard: &mut Guard) {
    for ((_, key), write) in writes {
        if write.supersedes() {
            store.prune_soon(write.space, key, guard);
        }
    }
}

/// How far a commit moves the end of a log that is not there: about as far as it would if it were, so that bytes of history mean the same.
fn unlogged_bytes(writes: &SortedWrites<'_>) -> u64 {
    let payload: usize = writes
        .iter()
        .map(|((_, key), write)| key.len() + write.value().map_or(0, <[u8]>::len) + UNLOGGED_WRITE_BYTES)
        .sum();
    frame_bytes(payload)
}

/// A conflict that is not about one key rather than another.
fn about_first<'s>(writes: &SortedWrites<'s>, kind: ConflictKind) -> Failed<'s> {
    let ((_, key), write) = writes.first().expect("there is a write");
    conflict(kind, write.space, key, None)
}

fn conflict<'s>(kind: ConflictKind, space: &'s Space, key: &[u8], winner: Option<Lsn>) -> Failed<'s> {
    Failed::Conflict { space, conflict: Conflict { kind, key: key.to_vec(), winner } }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::options::Isolation;
    use crate::sync::Arc;
    use crate::txn::{Txn, put_alone};

    const KEYS: u32 = 1000;

    fn store() -> Store {
        Store::new(Arc::new(LogEnd::new(Lsn::new(Lsn::ALIGN))), 0)
    }

    fn put(store: &Store, key: u32) {
        put_alone(Ground { store, log: None }, store.space(1), &key.to_be_bytes(), Some(b"value")).unwrap();
    }

    /// On a thread of its own: what other tests left in this one's queue is not counted.
    fn on_a_thread(run: impl FnOnce() + Send) {
        std::thread::scope(|scope| scope.spawn(run).join().unwrap());
    }

    #[test]
    fn a_large_transaction_prunes_what_it_superseded() {
        let store = store();
        on_a_thread(|| {
            for _ in 0..2 {
                let mut txn = Txn::begin(Ground { store: &store, log: None }, Isolation::Snapshot);
                (0..KEYS).for_each(|key| txn.put(store.space(1), &key.to_be_bytes(), Some(b"value")));
                txn.commit().unwrap();
            }
        });
        let left = store.sweep(|| true).versions;
        assert!(left < 64, "{left} were left to the sweep");
    }

    #[test]
    fn threads_that_end_soon_prune_most_of_what_they_superseded() {
        let store = store();
        (0..KEYS).for_each(|key| put(&store, key));
        for writes in [1, 7, 100] {
            for from in (0..KEYS).step_by(writes) {
                let keys = from..(from + writes as u32).min(KEYS);
                on_a_thread(|| keys.for_each(|key| put(&store, key)));
            }
            let left = store.sweep(|| true).versions;
            assert!(left <= u64::from(KEYS) / 2, "{left} of {KEYS} were left to the sweep by {writes} each");
        }
    }

    #[test]
    fn what_a_snapshot_kept_goes_when_it_is_dropped_even_if_nothing_is_committed_after() {
        let store = store();
        (0..KEYS).for_each(|key| put(&store, key));
        let snapshot = store.snapshot();
        (0..KEYS).for_each(|key| put(&store, key));
        store.sweep(|| true);
        drop(snapshot);
        assert_eq!(store.sweep(|| true).versions, u64::from(KEYS));
    }

    #[test]
    fn a_thread_that_turns_from_store_to_store_prunes_in_both() {
        let stores = [store(), store()];
        on_a_thread(|| {
            (0..2 * KEYS).for_each(|n| stores.iter().for_each(|store| put(store, n % KEYS)));
        });
        for store in &stores {
            let left = store.sweep(|| true).versions;
            assert!(left < 64, "{left} were left to the sweep");
        }
    }
}
