//! Anchors: older checkpoints that stay on the disk, with the log behind them, so that the past outlives the process.
//!
//! ```text
//!   first anchor ──────── second anchor ──────── last checkpoint ──── end of the log
//!        └─ what was there then, and what the log says from then on: every version since
//! ```
//!
//! The first one is the newest checkpoint from before all that is to be kept. The second one grows old until it is that, and takes its place. So
//! what is to be kept is there, up to twice as much, and the pages of two checkpoints at most beside those of the last one.

use super::error::OpenError;
use super::finding::{Findings, Lost};
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::manifest::Manifest;
use crate::checkpoint::pages::Pages;
use crate::checkpoint::walk::{self, Entry, Fault, Visit};
use crate::checkpoint::{PageSet, free_map};
use crate::log::reader::Start;
use crate::lsn::Lsn;
use crate::sync::{Mutex, lock};
use std::sync::PoisonError;

/// A checkpoint; none for the empty store that a log begins with.
pub(super) type Origin = Option<Manifest>;

/// From where on the log is read that goes on from an origin.
pub(super) fn start_of(origin: &Origin) -> Start {
    origin.as_ref().map_or(Start::OF_LOG, Manifest::log_start)
}

/// What is committed below is in an origin.
pub(super) fn position_of(origin: &Origin) -> Lsn {
    origin.as_ref().map_or(Lsn::ZERO, |manifest| manifest.position)
}

/// More are not kept: those that come after the second are dropped.
pub(super) const ANCHORS_MAX: usize = 2;

/// Leaves of anchors, the oldest first, those that serve if everything from `kept_from` on is to be kept; `last` is the position of the last
/// checkpoint, which is behind all of them.
pub(super) fn give_up<T>(anchors: &mut Vec<T>, position: impl Fn(&T) -> Lsn, last: Lsn, kept_from: Lsn) {
    if last <= kept_from {
        anchors.clear();
        return;
    }
    let reaching = anchors.partition_point(|anchor| position(anchor) <= kept_from);
    anchors.drain(..reaching.saturating_sub(1));
}

/// See the module.
pub(super) struct Anchor {
    pub(super) origin: Origin,
    /// Its pages.
    pub(super) used: PageSet,
}

/// Checks the pages of older checkpoints, but for those that are `known`, and adds them to these.
pub(super) fn check(
    findings: &mut Findings,
    pages: &Pages,
    older: &[Manifest],
    known: &mut PageSet,
) -> Result<(), OpenError> {
    for manifest in older {
        let faults = Faults::default();
        let trees = manifest.trees.iter();
        let walked = trees.map(|tree| walk::walk_apart((pages, manifest.position), tree, known, &faults));
        walked.collect::<Result<(), _>>()?;
        let used = free_map::used(pages, manifest);
        let faults = faults.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        for error in faults.into_iter().chain(used.as_ref().err().cloned()) {
            findings.add_error(error.into(), Lost::Nothing)?;
        }
        used.iter().for_each(|used| known.add_all(used));
    }
    Ok(())
}

/// What is wrong with pages.
#[derive(Default)]
struct Faults(Mutex<Vec<CheckpointError>>);

impl Visit for Faults {
    type Run<'v> = fn(Entry<'_>);

    fn begin(&self, _: u32, _: usize) -> Self::Run<'_> {
        |_| {}
    }

    fn fault(&self, fault: Fault) -> Result<(), CheckpointError> {
        lock(&self.0).push(fault.error);
        Ok(())
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_kept_is_there_and_not_much_more() {
        let (mut anchors, mut last): (Vec<u64>, u64) = (Vec::new(), 0);
        for position in (0..4_000).step_by(10).skip(1) {
            anchors.push(std::mem::replace(&mut last, position));
            let kept_from = position.saturating_sub(100);
            give_up(&mut anchors, |at| Lsn::new(*at * 8), Lsn::new(last * 8), Lsn::new(kept_from * 8));
            anchors.truncate(ANCHORS_MAX);
            assert!(anchors[0] <= kept_from, "{anchors:?} of {kept_from}");
            assert!(anchors[0] + 210 >= position, "{anchors:?} of {position}");
        }
        give_up(&mut anchors, |at| Lsn::new(*at * 8), Lsn::new(last * 8), Lsn::new(last * 8));
        assert!(anchors.is_empty());
    }
}
