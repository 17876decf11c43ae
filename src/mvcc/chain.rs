//! A record: the head of a chain of versions, newest first.
//!
//! ```text
//!   head ──► undecided or aborted (one at most) ──► committed ──► committed ──► … ──► null
//!        └─► DEAD: out of the map for good, look the key up again
//! ```
//!
//! Invariants:
//! - Nothing is stacked upon a version whose transaction is undecided or aborted; so such a version is the head.
//! - Going down the chain, commit positions descend strictly.
//! - A version that a live snapshot sees is not unlinked; so a payload may be borrowed from the snapshot.
//! - `DEAD` is final. It is set only over an empty chain, or over a tombstone that is below the oldest live snapshot.
//!
//! One pin spans one walk here, or one load of the head until its compare-exchange.

use super::state::{Phase, TxnState};
use super::version::{Stamp, Version};
use crate::lsn::Lsn;
use crate::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use crate::sync::epoch::Guard;
use crate::sync::{SPIN_LIMIT, spin_loop};
use std::ptr::{self, NonNull};

/// See the module.
pub(crate) struct Record {
    head: AtomicPtr<Version>,
    /// The horizon of the last pruning, so that there is one at most for each.
    pub(super) pruned_to: AtomicU64,
    /// Held by one pruner at a time; tried, never awaited.
    pub(super) pruning: AtomicBool,
}

/// The head of a dead record: no version has this address.
const DEAD: usize = 1;
const _: () = assert!(DEAD < align_of::<Version>());

fn dead() -> *mut Version {
    ptr::without_provenance_mut(DEAD)
}

/// The record was taken out of the map: look the key up again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Dead;

/// What stands in the way of an installation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    Dead,
    /// A version committed at this position, at or above what the writer knew.
    Superseded(Lsn),
}

/// A version with the position it was committed at.
#[derive(Clone, Copy)]
pub(crate) struct Visible<'a> {
    pub(crate) lsn: Lsn,
    pub(crate) version: &'a Version,
}

/// Where a version stands, seen from a position; the markers of undecided transactions are resolved.
enum Standing {
    Committed(Lsn),
    NotCommitted,
}

impl Record {
    pub(crate) fn new() -> Record {
        Record {
            head: AtomicPtr::new(ptr::null_mut()),
            pruned_to: AtomicU64::new(0),
            pruning: AtomicBool::new(false),
        }
    }

    fn head(&self) -> Result<*mut Version, Dead> {
        // Acquire: pairs with the release of `install`; the version behind it is initialised.
        let head = self.head.load(Ordering::Acquire);
        if head == dead() { Err(Dead) } else { Ok(head) }
    }

    fn swing_head(&self, from: *mut Version, to: *mut Version) -> Result<(), *mut Version> {
        // Release: publishes the version `to`; failure Acquire: the head found is looked at next.
        self.head.compare_exchange(from, to, Ordering::Release, Ordering::Acquire).map(drop)
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.head().is_err()
    }

    /// The version that a snapshot at `at` sees, tombstones included.
    ///
    /// Never waits: a transaction that is taking its position right now, and whose answer would depend on it, is pushed to
    /// a later one after a bounded number of looks.
    #[inline]
    pub(crate) fn visible<'g>(&self, at: Lsn, guard: &'g Guard) -> Result<Option<Visible<'g>>, Dead> {
        for version in walk(self.head()?, guard) {
            let standing = match version.stamp() {
                Stamp::At(lsn) => Standing::Committed(lsn),
                Stamp::Pending(state) => standing_at(at, state_of(state, guard)),
            };
            if let Standing::Committed(lsn) = standing
                && lsn < at
            {
                return Ok(Some(Visible { lsn, version }));
            }
        }
        Ok(None)
    }

    /// The newest committed version; everything undecided counts as not there yet.
    ///
    /// Linearizable for this record only. Wait-free but for the length of the chain.
    #[inline]
    pub(crate) fn newest<'g>(&self, guard: &'g Guard) -> Result<Option<Visible<'g>>, Dead> {
        let newest = walk(self.head()?, guard)
            .find_map(|version| committed(version, guard).map(|lsn| Visible { lsn, version }));
        Ok(newest)
    }

    /// Puts `version` at the head, provided that the newest committed version is below `base`.
    ///
    /// A version of another transaction in the way that stays undecided is killed; one of an aborted transaction is taken
    /// off. On success the caller owns an undecided head.
    pub(crate) fn install(&self, version: NonNull<Version>, base: Lsn, guard: &Guard) -> Result<(), Refused> {
        let mut looks = 0;
        loop {
            let head = self.head().map_err(|Dead| Refused::Dead)?;
            if let Some(newest) = version_at(head, guard) {
                match newest.stamp() {
                    Stamp::At(lsn) if lsn >= base => return Err(Refused::Superseded(lsn)),
                    Stamp::At(_) => {}
                    Stamp::Pending(state) => match state_of(state, guard).load() {
                        Phase::Committed(lsn) if lsn >= base => return Err(Refused::Superseded(lsn)),
                        Phase::Committed(_) => {}
                        Phase::Aborted => {
                            self.take_off(newest);
                            continue;
                        }
                        undecided => {
                            looks += 1;
                            if looks <= SPIN_LIMIT {
                                spin_loop();
                            } else {
                                // Whatever it is by now is looked at in the next round.
                                let _ = state_of(state, guard).kill(undecided);
                            }
                            continue;
                        }
                    },
                }
            }
            // SAFETY: the caller's own version, not published yet.
            unsafe { version.as_ref() }.set_older(head);
            if self.swing_head(head, version.as_ptr()).is_ok() {
                return Ok(());
            }
        }
    }

    /// Takes the version of an aborted transaction off the head, unless somebody already did. It is its owner who retires it.
    fn take_off(&self, aborted: &Version) {
        let address = ptr::from_ref(aborted).cast_mut();
        // Nothing is stacked upon it, so a failure means that it is off already.
        let _ = self.swing_head(address, aborted.older());
    }

    /// Owner, aborted: takes its version off, wherever the record is by now.
    pub(crate) fn withdraw(&self, version: NonNull<Version>, guard: &Guard) {
        if let Some(head) = self.head().ok().and_then(|head| version_at(head, guard))
            && ptr::eq(head, version.as_ptr())
        {
            self.take_off(head);
        }
    }

    /// The first version from the head on that carries a position, and what is above it is not the pruner's business.
    pub(super) fn first_stamped<'g>(&self, guard: &'g Guard) -> Option<Visible<'g>> {
        walk(self.head().ok()?, guard).find_map(|version| match version.stamp() {
            Stamp::At(lsn) => Some(Visible { lsn, version }),
            Stamp::Pending(_) => None,
        })
    }

    /// Makes a record dead that holds nothing, or nothing but a stamped tombstone below `oldest` and what it buries.
    ///
    /// Returns the head of what is to be retired, null for nothing, if this call made it dead.
    pub(super) fn bury(&self, oldest: Lsn, guard: &Guard) -> Option<*mut Version> {
        let head = self.head().ok()?;
        if let Some(version) = version_at(head, guard) {
            match version.stamp() {
                Stamp::At(lsn) if version.is_tombstone() && lsn < oldest => {}
                _ => return None,
            }
        }
        self.swing_head(head, dead()).is_ok().then_some(head)
    }

    /// All versions still in the chain: for whoever has the record to himself.
    pub(super) fn take_versions(&mut self) -> impl Iterator<Item = NonNull<Version>> {
        // Relaxed: exclusive access.
        let mut next = self.head.load(Ordering::Relaxed);
        if next == dead() {
            next = ptr::null_mut();
        }
        std::iter::from_fn(move || {
            let version = NonNull::new(next)?;
            // SAFETY: linked versions are alive, and nobody else reaches them.
            next = unsafe { version.as_ref() }.older();
            Some(version)
        })
    }

    /// For serializable validation at `lsn`: see `txn::validate`. Walks the versions above and at the newest decided one.
    pub(crate) fn versions<'g>(&self, guard: &'g Guard) -> Result<impl Iterator<Item = &'g Version>, Dead> {
        Ok(walk(self.head()?, guard))
    }
}

/// The version at an address that was read from a head or an `older` under `guard`.
fn version_at(address: *mut Version, _guard: &Guard) -> Option<&Version> {
    // SAFETY: linked when it was read, which the guard outlives; versions are freed by epochs after they are unlinked.
    unsafe { address.as_ref() }
}

/// The state behind a stamp that was read under `guard`.
pub(crate) fn state_of(state: NonNull<TxnState>, _guard: &Guard) -> &TxnState {
    // SAFETY: a stamp led to it when it was read; states are freed by epochs after the last stamp is replaced or unlinked.
    unsafe { state.as_ref() }
}

fn walk(head: *mut Version, guard: &Guard) -> impl Iterator<Item = &Version> {
    let mut next = version_at(head, guard);
    std::iter::from_fn(move || {
        let version = next?;
        next = version_at(version.older(), guard);
        Some(version)
    })
}

/// The position at which `version` is committed by now, if it is.
pub(super) fn committed(version: &Version, guard: &Guard) -> Option<Lsn> {
    match version.stamp() {
        Stamp::At(lsn) => Some(lsn),
        Stamp::Pending(state) => match state_of(state, guard).load() {
            Phase::Committed(lsn) => Some(lsn),
            _ => None,
        },
    }
}

/// Decides whether a transaction is committed below `at`, pushing it out of the undecided middle if need be.
fn standing_at(at: Lsn, state: &TxnState) -> Standing {
    let mut looks = 0;
    loop {
        let seen = state.load();
        match seen {
            Phase::Committed(lsn) => return Standing::Committed(lsn),
            // Its position will be taken after our snapshot's was loaded: at or above it.
            Phase::Installing | Phase::Pushed | Phase::Aborted => return Standing::NotCommitted,
            Phase::Positioning(end) | Phase::Validating(end) if end >= at => return Standing::NotCommitted,
            Phase::Positioning(_) | Phase::Validating(_) => {
                looks += 1;
                if looks <= SPIN_LIMIT {
                    spin_loop();
                } else if state.push(seen).is_ok() {
                    return Standing::NotCommitted;
                }
            }
        }
    }
}
