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
use crate::log::batch::Write;
use crate::log::{Log, NotPrepared, Prepared};
use crate::lsn::{LogEnd, Lsn};
use crate::map::Key;
use crate::mvcc::chain::{Record, Refused};
use crate::mvcc::garbage::{self, OwnState};
use crate::mvcc::state::{Interrupted, Phase};
use crate::mvcc::store::Store;
use crate::sync::epoch::{self, Guard};
use crate::sync::{Step, step};
use std::cell::Cell;

/// What transactions stand on: records, and the log if there is one.
#[derive(Clone, Copy)]
pub(crate) struct Ground<'s> {
    pub(crate) store: &'s Store,
    pub(crate) log: Option<&'s Log>,
}

/// A transaction that wants to commit.
pub(crate) struct Commit<'a, 's> {
    pub(crate) ground: Ground<'s>,
    /// Where it read. Its registration is held until this returns: what is compared against stays.
    pub(crate) snapshot: Lsn,
    /// What must still be as it was read; none below serializable.
    pub(crate) reads: Option<&'a ReadSet<'s>>,
}

/// Why nothing was changed, or why it is not known to last.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Nothing was changed.
    Conflict(Conflict),
    /// Nothing was changed: the log's ring is too small for a transaction of this size.
    TooLarge,
    /// The log takes nothing any more. Whether the transaction is there after the store is opened again is open.
    Log(IoError),
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
/// In a store without a log, positions count in this unit.
const UNLOGGED_BYTES: u64 = Lsn::ALIGN;
/// How many keys are handled under one pin.
const KEYS_PER_PIN: usize = 64;
/// A thread raises the horizon once in so many commits.
const COMMITS_PER_HORIZON: u32 = if cfg!(any(loom, shuttle)) { 1 } else { 64 };

impl<'s> Commit<'_, 's> {
    /// Commits `writes`, which are not empty.
    pub(crate) fn run(&self, mut writes: SortedWrites<'s>) -> Result<Committed, Failed> {
        let frame = self.prepare(&writes)?;
        // One pin for all of a small transaction's look-ups; no pin while waiting for room in the log.
        let mut guard = epoch::pin();
        let state = OwnState::new();
        let decided = self
            .install(&state, &mut writes, &mut guard)
            .and_then(|()| self.decide(&state, &writes, frame.as_ref()));
        let committed = match decided {
            Ok(committed) => committed,
            Err(failed) => return Err(self.withdraw(state, &writes, failed)),
        };
        step(Step::Committed);
        drop(guard);
        let published = frame.map_or(Ok(()), |frame| self.publish(committed.lsn, &frame));
        step(Step::Published);
        let mut guard = epoch::pin();
        stamp(&writes, committed.lsn);
        state.retire();
        step(Step::Stamped);
        self.prune(&writes, &mut guard);
        published.map_err(Failed::Log).map(|()| committed)
    }

    fn prepare(&self, writes: &SortedWrites<'s>) -> Result<Option<Prepared>, Failed> {
        let Some(log) = self.ground.log else {
            return Ok(None);
        };
        let writes =
            writes.iter().map(|(key, write)| Write { space: write.space.id(), key, value: write.value() });
        log.check().map_err(Failed::Log)?;
        log.prepare(writes).map(Some).map_err(|error| match error {
            NotPrepared::TooLarge => Failed::TooLarge,
            NotPrepared::Io(error) => Failed::Log(error),
        })
    }

    /// Step 1: a version at the head of each record.
    fn install(
        &self,
        state: &OwnState,
        writes: &mut SortedWrites<'s>,
        guard: &mut Guard,
    ) -> Result<(), Failed> {
        for (index, (key, write)) in writes.iter_mut().enumerate() {
            if index % KEYS_PER_PIN == KEYS_PER_PIN - 1 {
                guard.repin();
            }
            // SAFETY: not published yet, so ours.
            unsafe { write.version().as_ref() }.begin(state.address());
            let record = loop {
                let record = write.space.records().get_or_insert(key, Record::new, guard);
                match record.install(write.version(), write.base, guard) {
                    Ok(()) => break record,
                    Err(Refused::Dead) => write.space.unlink(key, record, guard),
                    Err(Refused::Superseded(winner)) => {
                        let conflict = conflict(ConflictKind::Write, write.space.id(), key, Some(winner));
                        return Err(Failed::Conflict(conflict));
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
        frame: Option<&Prepared>,
    ) -> Result<Committed, Failed> {
        let bytes = frame.map_or(UNLOGGED_BYTES, Prepared::bytes);
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
            let failed = match self.decide_at(state, before, lsn) {
                Ok(()) => return Ok(Committed { lsn, end: lsn.plus(bytes) }),
                Err(Undecided::Interrupted(Interrupted::Pushed)) if pushes < PUSHES_MAX => None,
                Err(Undecided::Interrupted(Interrupted::Pushed)) => {
                    Some(about_first(writes, ConflictKind::Starved))
                }
                Err(Undecided::Interrupted(Interrupted::Killed)) => {
                    Some(about_first(writes, ConflictKind::Overtaken))
                }
                Err(Undecided::Stale(stale)) => {
                    Some(Failed::Conflict(conflict(stale.kind, stale.space, &stale.key, stale.winner)))
                }
            };
            // The range is not ours to use any more; the log must not have a hole.
            self.ground.log.map_or(Ok(()), |log| log.void(lsn, bytes)).map_err(Failed::Log)?;
            if let Some(failed) = failed {
                return Err(failed);
            }
            pushes += 1;
        }
    }

    fn decide_at(&self, state: &OwnState, before: Lsn, lsn: Lsn) -> Result<(), Undecided> {
        let Some(reads) = self.reads else {
            return Ok(state.commit(Phase::Positioning(before), lsn)?);
        };
        state.validate(before, lsn)?;
        step(Step::Validating);
        let validator = Validator { snapshot: self.snapshot, own: lsn, state: state.address() };
        validator.validate(reads).map_err(Undecided::Stale)?;
        Ok(state.commit(Phase::Validating(lsn), lsn)?)
    }

    /// Step 4.
    fn publish(&self, lsn: Lsn, frame: &Prepared) -> Result<(), IoError> {
        self.ground.log.expect("there is a frame only with a log").publish(lsn, frame)
    }

    /// Gives up: takes the versions off again, unless somebody already did, and retires them.
    fn withdraw(&self, state: OwnState, writes: &SortedWrites<'s>, failed: Failed) -> Failed {
        state.abort();
        for (key, write) in writes.iter().filter(|(_, write)| write.record().is_some()) {
            let guard = epoch::pin();
            // By key: without our version on it the record may have died meanwhile.
            if let Some(record) = write.space.records().get(key, &guard) {
                record.withdraw(write.version(), &guard);
            }
            // SAFETY: off the head, by us or by whoever met it; nobody but its owner retires it, and we do so once.
            unsafe { garbage::retire_version(write.version(), &guard) };
        }
        state.retire();
        failed
    }

    /// Unlinks what our versions superseded, as far as nobody can see it any more.
    fn prune(&self, writes: &SortedWrites<'s>, guard: &mut Guard) {
        if is_horizon_due() {
            self.ground.store.advance_horizon(guard);
        }
        for (index, (key, write)) in writes.iter().enumerate() {
            if index % KEYS_PER_PIN == KEYS_PER_PIN - 1 {
                guard.repin();
            }
            let record = write.record().expect("installed");
            // SAFETY: it has our version or a later one, all above our snapshot, whose slot is still registered: such a
            // record does not die (`Record::bury`).
            let record = unsafe { record.as_ref() };
            let _ = write.space.prune(key, record, self.ground.store.active().horizon(guard), guard);
        }
    }
}

enum Undecided {
    Interrupted(Interrupted),
    Stale(Stale),
}

impl From<Interrupted> for Undecided {
    fn from(interrupted: Interrupted) -> Undecided {
        Undecided::Interrupted(interrupted)
    }
}

/// Step 5: from here on nobody needs the state to know.
fn stamp(writes: &SortedWrites<'_>, lsn: Lsn) {
    for (_, write) in writes {
        // SAFETY: what is not stamped is not pruned, and nobody but us stamps.
        unsafe { write.version().as_ref() }.set_stamp(lsn);
    }
}

/// A conflict that is not about one key rather than another.
fn about_first(writes: &SortedWrites<'_>, kind: ConflictKind) -> Failed {
    let (key, write) = writes.first().expect("there is a write");
    Failed::Conflict(conflict(kind, write.space.id(), key, None))
}

fn conflict(kind: ConflictKind, space: u32, key: &Key, winner: Option<Lsn>) -> Conflict {
    Conflict { kind, space, key: key.to_vec(), winner }
}

fn is_horizon_due() -> bool {
    thread_local! {
        static COMMITS: Cell<u32> = const { Cell::new(0) };
    }
    COMMITS.with(|commits| {
        let count = commits.get().wrapping_add(1);
        commits.set(count);
        count.is_multiple_of(COMMITS_PER_HORIZON)
    })
}
