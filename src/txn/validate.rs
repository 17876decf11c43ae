//! Serializable validation: whether everything that was read still is as it was read, at the position of the commit.
//!
//! A change conflicts if it was committed at or above the snapshot, *also if it is above our own position*: what lay between may have been
//! pruned. Of another transaction's marker, by its state:
//!
//! | state | judgement |
//! | --- | --- |
//! | `Installing`, `Pushed` | its position will be later than ours: passed over |
//! | `Positioning` | pushed, so that its position will be later than ours |
//! | `Validating(q)`, `q` below ours | we give up: of all undecided ones, the smallest position never loses to another |
//! | `Validating(q)`, `q` above ours | later than us: passed over |
//! | `Committed(l)` | as a stamped version |
//! | `Aborted` | passed over |

use super::error::ConflictKind;
use super::read_set::{ReadRange, ReadSet};
use crate::lsn::Lsn;
use crate::map::{Key, Node, Towards};
use crate::mvcc::chain::{Record, state_of};
use crate::mvcc::snapshot::as_bytes;
use crate::mvcc::state::{Phase, TxnState};
use crate::mvcc::store::Space;
use crate::mvcc::version::Stamp;
use crate::sync::epoch::{self, Guard};
use std::ops::Bound;
use std::ptr::NonNull;

/// What one version says about a read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Judgement {
    /// The newest decided version is what was read.
    Unchanged,
    /// Nothing to us: look at the version below.
    PassOver,
    /// It must be made later than us first.
    Push,
    Conflict(Option<Lsn>),
}

fn judge_committed(lsn: Lsn, snapshot: Lsn) -> Judgement {
    if lsn >= snapshot { Judgement::Conflict(Some(lsn)) } else { Judgement::Unchanged }
}

/// The table above.
fn judge(phase: Phase, snapshot: Lsn, own: Lsn) -> Judgement {
    match phase {
        Phase::Installing | Phase::Pushed | Phase::Aborted => Judgement::PassOver,
        Phase::Positioning(_) => Judgement::Push,
        Phase::Validating(other) if other < own => Judgement::Conflict(None),
        Phase::Validating(_) => Judgement::PassOver,
        Phase::Committed(lsn) => judge_committed(lsn, snapshot),
    }
}

/// A read that does not hold any more.
pub(crate) struct Stale<'s> {
    pub(crate) kind: ConflictKind,
    pub(crate) space: &'s Space,
    pub(crate) key: Key,
    pub(crate) winner: Option<Lsn>,
}

/// Who validates: the snapshot that was read at, the position that was taken, and the state that marks our own versions.
#[derive(Clone, Copy)]
pub(crate) struct Validator {
    pub(crate) snapshot: Lsn,
    pub(crate) own: Lsn,
    pub(crate) state: NonNull<TxnState>,
}

/// How many entries of a range are looked at under one pin.
const BATCH: usize = 256;

impl Validator {
    pub(crate) fn validate<'s>(&self, reads: &ReadSet<'s>) -> Result<(), Stale<'s>> {
        for (space, key) in &reads.keys {
            self.validate_key(space, key)?;
        }
        reads.ranges.iter().try_for_each(|range| self.validate_range(range))
    }

    fn validate_key<'s>(&self, space: &'s Space, key: &Key) -> Result<(), Stale<'s>> {
        let guard = epoch::pin();
        match space.records().get(key, &guard) {
            Some(record) => self.check(space, key, record, ConflictKind::Read, &guard),
            None => Ok(()),
        }
    }

    fn validate_range<'s>(&self, range: &ReadRange<'s>) -> Result<(), Stale<'s>> {
        let mut low = range.low.clone();
        loop {
            let guard = epoch::pin();
            let (mut left, mut last, mut found) = (BATCH, None, Ok(()));
            let within = (as_bytes(&low), as_bytes(&range.high));
            let ended = range.space.records().scan(within, Towards::Greater, &guard, |key, record| {
                found = self.check(range.space, key, record, ConflictKind::Range, &guard);
                last = Some(key.clone());
                left -= 1;
                left > 0 && found.is_ok()
            });
            found?;
            match last {
                Some(last) if !ended => low = Bound::Excluded(last),
                _ => return Ok(()),
            }
        }
    }

    fn check<'s>(
        &self,
        space: &'s Space,
        key: &Key,
        record: &Node<Record>,
        kind: ConflictKind,
        guard: &Guard,
    ) -> Result<(), Stale<'s>> {
        match self.changed(record, guard) {
            None => Ok(()),
            Some(winner) => {
                let kind = if winner.is_none() { ConflictKind::Undecided } else { kind };
                Err(Stale { kind, space, key: key.clone(), winner })
            }
        }
    }

    /// `Some` if the record is not what was read, with the position of the change if it is committed.
    fn changed(&self, record: &Record, guard: &Guard) -> Option<Option<Lsn>> {
        // A dead record has nothing newer than the oldest snapshot, which is not newer than ours.
        for version in record.versions(guard).ok()? {
            let judgement = match version.stamp() {
                Stamp::At(lsn) => judge_committed(lsn, self.snapshot),
                Stamp::Pending(state) if state == self.state => Judgement::PassOver,
                Stamp::Pending(state) => self.judge_pending(state_of(state, guard)),
            };
            match judgement {
                Judgement::Unchanged => return None,
                Judgement::Conflict(winner) => return Some(winner),
                Judgement::PassOver | Judgement::Push => {}
            }
        }
        None
    }

    fn judge_pending(&self, state: &TxnState) -> Judgement {
        loop {
            let seen = state.load();
            match judge(seen, self.snapshot, self.own) {
                Judgement::Push if state.push(seen).is_ok() => return Judgement::PassOver,
                // It has moved on: judge what it is by now.
                Judgement::Push => {}
                judgement => return judgement,
            }
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        let lsn = |n: u64| Lsn::new(n * 8);
        let judge = |phase| judge(phase, lsn(10), lsn(20));
        for later in [Phase::Installing, Phase::Pushed, Phase::Aborted, Phase::Validating(lsn(21))] {
            assert_eq!(judge(later), Judgement::PassOver, "{later:?}");
        }
        assert_eq!(judge(Phase::Positioning(lsn(15))), Judgement::Push);
        assert_eq!(judge(Phase::Validating(lsn(19))), Judgement::Conflict(None));
        assert_eq!(judge(Phase::Committed(lsn(9))), Judgement::Unchanged);
        for changed in [10, 15, 25] {
            assert_eq!(judge(Phase::Committed(lsn(changed))), Judgement::Conflict(Some(lsn(changed))));
        }
    }
}
