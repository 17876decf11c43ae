//! Unlinks the versions of one record that nobody can see any more, also in the middle of its chain.
//!
//! One pruner per record at a time, by a flag that is tried, never awaited; one pruning per record and horizon at most,
//! or a hot chain would be walked once for each commit. What is not stamped yet stays: its owner will still write to it.

use super::chain::{Record, Visible, committed};
use super::horizon::Horizon;
use super::version::{Stamp, Version};
use crate::sync::atomic::Ordering;
use crate::sync::epoch::Guard;
use crate::sync::garbage::{self, Reclaim};
use crate::sync::{Step, step};
use std::ptr::NonNull;

/// What a pruning found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[must_use]
pub(crate) struct Pruned {
    /// Versions unlinked.
    pub(crate) versions: usize,
    /// The record is dead by this call: the caller takes it out of the map.
    pub(crate) died: bool,
}

/// Prunes `record` as far as `horizon` allows, if nobody did or does.
pub(crate) fn prune(record: &Record, horizon: &Horizon, guard: &Guard) -> Pruned {
    let generation = horizon.generation();
    // Relaxed: a hint; a stale one costs a walk.
    if record.pruned_at.load(Ordering::Relaxed) >= generation || record.pruning.load(Ordering::Relaxed) {
        return Pruned::default();
    }
    // Acquire: pairs with the release below; what the pruner before unlinked is not met again. Failure Relaxed: nothing is read.
    if record.pruning.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
        return Pruned::default();
    }
    step(Step::Pruning);
    let mut pruned = Pruned::default();
    if let Some(newest) = record.first_stamped(guard) {
        pruned.versions = unlink_garbage(newest, horizon, guard);
    }
    if let Some(head) = record.bury(horizon.oldest(), guard) {
        pruned.died = true;
        pruned.versions += retire_chain(head, guard);
    }
    // Relaxed: a hint, see above.
    record.pruned_at.store(generation, Ordering::Relaxed);
    // Release: pairs with the acquire of the swap above.
    record.pruning.store(false, Ordering::Release);
    pruned
}

fn unlink_garbage(newest: Visible<'_>, horizon: &Horizon, guard: &Guard) -> usize {
    let (mut kept, mut superseded_at) = (newest.version, newest.lsn);
    let mut unlinked = 0;
    // SAFETY: linked while the prune flag is held: only we unlink committed versions of this record.
    while let Some(version) = unsafe { kept.older().as_ref() } {
        match version.stamp() {
            Stamp::At(lsn) => {
                debug_assert!(lsn < superseded_at, "positions descend along a chain");
                if horizon.is_garbage(lsn, superseded_at) {
                    kept.set_older(version.older());
                    // SAFETY: unlinked just now, by the holder of the prune flag, so once.
                    unsafe { garbage::retire(NonNull::from(version), guard) };
                    unlinked += 1;
                } else {
                    kept = version;
                }
                superseded_at = lsn;
            }
            Stamp::Pending(_) => {
                let Some(lsn) = committed(version, guard) else {
                    unreachable!("nothing is stacked upon an undecided version")
                };
                (kept, superseded_at) = (version, lsn);
            }
        }
    }
    unlinked
}

/// Retires a whole chain that a dead record left behind.
fn retire_chain(head: *mut Version, guard: &Guard) -> usize {
    let mut retired = 0;
    let mut next = head;
    while let Some(version) = NonNull::new(next) {
        // SAFETY: the record is dead and we hold its prune flag: the chain is ours, and alive until we retire it.
        next = unsafe { version.as_ref() }.older();
        // SAFETY: unreachable since the record is dead, retired once.
        unsafe { garbage::retire(version, guard) };
        retired += 1;
    }
    retired
}

/// Frees everything in a chain at once: for whoever has the record to himself.
pub(crate) fn free_all(record: &mut Record) {
    for version in record.take_versions() {
        // SAFETY: exclusive access to the record; the iterator has gone past the version.
        unsafe { Version::reclaim(version) }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::lsn::Lsn;
    use crate::sync::epoch;

    fn record(positions: &[u64]) -> Record {
        let (record, guard) = (Record::new(), epoch::pin());
        for &position in positions {
            let version = Version::new(Some(&position.to_le_bytes()));
            // SAFETY: ours alone.
            unsafe { version.as_ref() }.set_stamp(Lsn::new(position));
            record.install(version, Lsn::new(position), &guard).unwrap();
        }
        record
    }

    fn horizon(announced: u64, live: &[u64]) -> Horizon {
        // Each generation later than the one before, as `active` makes them.
        let before = (1..announced / 8).fold(Horizon::default(), |before, n| {
            before.next(Lsn::new(n * 8), std::iter::empty()).expect("later")
        });
        before.next(Lsn::new(announced), live.iter().copied().map(Lsn::new)).expect("later")
    }

    fn positions(record: &mut Record) -> Vec<u64> {
        let guard = epoch::pin();
        // SAFETY: linked, and nobody else is here.
        record.take_versions().map(|v| committed(unsafe { v.as_ref() }, &guard).unwrap().get()).collect()
    }

    #[test]
    fn the_middle_of_a_chain_goes_when_no_snapshot_sees_it() {
        let mut record = record(&[8, 16, 24, 32, 40]);
        let guard = epoch::pin();
        let horizon = horizon(48, &[24]);
        assert_eq!(prune(&record, &horizon, &guard), Pruned { versions: 3, died: false });
        assert_eq!(positions(&mut record), [40, 16], "the newest, and what the snapshot at 24 sees");
        assert_eq!(prune(&record, &horizon, &guard), Pruned::default(), "once per horizon");
        let gone = horizon.next(Lsn::new(48), std::iter::empty()).expect("the snapshot is gone");
        assert_eq!(prune(&record, &gone, &guard), Pruned { versions: 1, died: false });
        free_all(&mut record);
    }

    #[test]
    fn a_tombstone_dies_only_below_the_oldest_snapshot() {
        let mut record = record(&[8]);
        let tombstone = Version::new(None);
        // SAFETY: ours alone.
        let header = unsafe { tombstone.as_ref() };
        header.set_stamp(Lsn::new(16));
        let guard = epoch::pin();
        record.install(tombstone, Lsn::new(9), &guard).unwrap();
        assert!(!prune(&record, &horizon(16, &[]), &guard).died);
        assert!(!prune(&record, &horizon(24, &[16]), &guard).died);
        let last = prune(&record, &horizon(32, &[24]), &guard);
        assert!(last.died && record.is_dead());
        free_all(&mut record);
    }
}
