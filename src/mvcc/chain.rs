//! A record: the head of a chain of versions, newest first.
//!
//! ```text
//!   head ──► undecided or aborted (one at most) ──► committed ──► committed ──► … ──► null
//!        └─► DEAD: out of the map for good, look the key up again
//! ```
//!
//! The head is a version's address and a bit that says that this version is stamped (`settle`). So a blind write knows that nobody is in
//! its way without a look at the version, which is mostly cold. The bit may be missing; it is never wrong.
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
use crate::sync::{SPIN_LIMIT, prefetch, spin_loop};
use std::cell::Cell;
use std::ptr::{self, NonNull};

/// See the module.
pub(crate) struct Record {
    head: AtomicPtr<Version>,
    /// The generation of the last pruning's horizon, so that there is mostly one pruning for each.
    pub(super) pruned_at: AtomicU64,
    /// Held by one pruner at a time; tried, never awaited.
    pub(super) pruning: AtomicBool,
}

/// A head: the address of a version, or [`Head::DEAD`]; and whether the version is known to be stamped.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Head(*mut Version);

impl Head {
    const SETTLED: usize = 1;
    const DEAD: Head = Head(ptr::without_provenance_mut(2));
    const BITS: usize = 3;

    fn undecided(version: NonNull<Version>) -> Head {
        Head(version.as_ptr())
    }

    fn settled(version: NonNull<Version>) -> Head {
        Head(version.as_ptr().map_addr(|address| address | Self::SETTLED))
    }

    fn is_settled(self) -> bool {
        self.0.addr() & Self::SETTLED != 0
    }

    /// Null over an empty chain, and for a dead record.
    fn version(self) -> *mut Version {
        self.0.map_addr(|address| address & !Self::BITS)
    }
}
const _: () = assert!(Head::BITS < align_of::<Version>());

/// A base that nothing is above: for a write that wants nothing known of what it supersedes.
pub(crate) const ANY_BASE: Lsn = Lsn::new(u64::MAX);

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

/// Counts the versions that a read comes by; nobody does, mostly, and that costs nothing.
pub(crate) trait Tally {
    fn version(&self);
}

impl Tally for () {
    #[inline]
    fn version(&self) {}
}

impl Tally for &Cell<u64> {
    #[inline]
    fn version(&self) {
        self.set(self.get() + 1);
    }
}

impl Record {
    pub(crate) fn new() -> Record {
        Record {
            head: AtomicPtr::new(ptr::null_mut()),
            pruned_at: AtomicU64::new(0),
            pruning: AtomicBool::new(false),
        }
    }

    /// A record of one version, which is stamped and nobody else's.
    pub(super) fn of(version: NonNull<Version>) -> Record {
        Record { head: AtomicPtr::new(Head::settled(version).0), ..Record::new() }
    }

    fn load_head(&self) -> Result<Head, Dead> {
        // Acquire: pairs with the release of `swing_head`; the version behind it is initialised, and stamped if it is settled.
        let head = Head(self.head.load(Ordering::Acquire));
        if head == Head::DEAD { Err(Dead) } else { Ok(head) }
    }

    /// The newest version, null if there is none.
    fn head(&self) -> Result<*mut Version, Dead> {
        self.load_head().map(Head::version)
    }

    fn swing_head(&self, from: Head, to: Head) -> Result<(), Head> {
        // Release: publishes the version in `to`, or its stamp; failure Acquire: the head found is looked at next.
        self.head.compare_exchange(from.0, to.0, Ordering::Release, Ordering::Acquire).map(drop).map_err(Head)
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.load_head().is_err()
    }

    /// Owner, committed at `lsn`: stamps its version, and says so in the head unless another version is there by now.
    ///
    /// # Safety
    /// The version is installed in this record and not stamped yet.
    pub(crate) unsafe fn settle(&self, version: NonNull<Version>, lsn: Lsn, _guard: &Guard) {
        // SAFETY: what is not stamped is not pruned.
        unsafe { version.as_ref() }.set_stamp(lsn);
        // From here on it may be pruned, but the guard is older than that: no other version gets its address before we are done.
        let _ = self.swing_head(Head::undecided(version), Head::settled(version));
    }

    /// Has the newest version near, for whoever looks at it soon, and so many bytes of its value: they may be in the next line.
    #[inline]
    pub(crate) fn prefetch_newest(&self, value_bytes: usize) {
        if let Ok(newest) = self.head() {
            prefetch(newest);
            if value_bytes > 0 {
                prefetch(newest.cast::<u8>().wrapping_add(size_of::<Version>() + value_bytes));
            }
        }
    }

    /// The version that a snapshot at `at` sees, tombstones included.
    ///
    /// Never waits: a transaction that is taking its position right now, and whose answer would depend on it, is pushed to
    /// a later one after a bounded number of looks.
    #[inline]
    pub(crate) fn visible<'g>(&self, at: Lsn, guard: &'g Guard) -> Result<Option<Visible<'g>>, Dead> {
        self.visible_told(at, guard, &())
    }

    /// The same; `tally` is told of each version on the way.
    #[inline]
    pub(crate) fn visible_told<'g>(
        &self,
        at: Lsn,
        guard: &'g Guard,
        tally: &impl Tally,
    ) -> Result<Option<Visible<'g>>, Dead> {
        Ok(self.committed_below(at, guard, tally)?.next())
    }

    /// The same, and what is left of the versions before it, newest first.
    #[inline]
    pub(super) fn committed_below<'g>(
        &self,
        at: Lsn,
        guard: &'g Guard,
        tally: &impl Tally,
    ) -> Result<impl Iterator<Item = Visible<'g>>, Dead> {
        let versions = walk(self.head()?, guard).inspect(|_| tally.version());
        Ok(versions.filter_map(move |version| match version_standing_at(at, version, guard) {
            Standing::Committed(lsn) if lsn < at => Some(Visible { lsn, version }),
            _ => None,
        }))
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

    /// The same for who goes on from it: whatever was not seen here is committed at or above `end`, which was loaded before, or not at all.
    ///
    /// Whoever is about to take a position below is pushed, as for a snapshot.
    #[inline]
    pub(crate) fn newest_based<'g>(&self, end: Lsn, guard: &'g Guard) -> Result<Option<Visible<'g>>, Dead> {
        for version in walk(self.head()?, guard) {
            if let Standing::Committed(lsn) = version_standing_at(end, version, guard) {
                return Ok(Some(Visible { lsn, version }));
            }
        }
        Ok(None)
    }

    /// Puts `version` at the head, provided that the newest committed version is below `base`.
    ///
    /// A version of another transaction in the way that stays undecided is killed; one of an aborted transaction is taken
    /// off. On success the caller owns an undecided head.
    pub(crate) fn install(&self, version: NonNull<Version>, base: Lsn, guard: &Guard) -> Result<(), Refused> {
        let mut looks = 0;
        loop {
            let head = self.load_head().map_err(|Dead| Refused::Dead)?;
            let newest = version_at(head.version(), guard);
            if head.is_settled() && base == ANY_BASE {
                // Whoever prunes it will want it soon.
                prefetch(head.version());
            } else if let Some(newest) = newest {
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
            unsafe { version.as_ref() }.set_older(head.version());
            if self.swing_head(head, Head::undecided(version)).is_ok() {
                return Ok(());
            }
        }
    }

    /// Takes the version of an aborted transaction off the head, unless somebody already did. It is its owner who retires it.
    fn take_off(&self, aborted: &Version) {
        // Nothing is stacked upon it, so a failure means that it is off already.
        let _ = self.swing_head(Head::undecided(NonNull::from(aborted)), Head(aborted.older()));
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
        let head = self.load_head().ok()?;
        let newest = version_at(head.version(), guard);
        if let Some(version) = newest {
            match version.stamp() {
                Stamp::At(lsn) if version.is_tombstone() && lsn < oldest => {}
                _ => return None,
            }
        }
        let swung = match (self.swing_head(head, Head::DEAD), newest) {
            // Its owner said meanwhile that it is stamped, which we saw before.
            (Err(now), Some(version)) if now == Head::settled(NonNull::from(version)) => {
                self.swing_head(now, Head::DEAD)
            }
            (swung, _) => swung,
        };
        swung.is_ok().then_some(head.version())
    }

    /// All versions still in the chain: for whoever has the record to himself.
    pub(super) fn take_versions(&mut self) -> impl Iterator<Item = NonNull<Version>> {
        // Relaxed: exclusive access.
        let mut next = Head(self.head.load(Ordering::Relaxed)).version();
        std::iter::from_fn(move || {
            let version = NonNull::new(next)?;
            // SAFETY: linked versions are alive, and nobody else reaches them.
            next = unsafe { version.as_ref() }.older();
            Some(version)
        })
    }

    /// Whether the invariants of the chain hold, as far as they can be seen: only its head may be undecided, and positions descend.
    pub(crate) fn descends(&self, guard: &Guard) -> bool {
        let Ok(head) = self.head() else { return true };
        let mut above: Option<Lsn> = None;
        for (index, version) in walk(head, guard).enumerate() {
            match (committed(version, guard), above) {
                (None, _) if index > 0 => return false,
                (Some(lsn), Some(above)) if lsn >= above => return false,
                (lsn, _) => above = lsn,
            }
        }
        true
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

#[inline]
fn version_standing_at(at: Lsn, version: &Version, guard: &Guard) -> Standing {
    match version.stamp() {
        Stamp::At(lsn) => Standing::Committed(lsn),
        Stamp::Pending(state) => standing_at(at, state_of(state, guard)),
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
