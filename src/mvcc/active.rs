//! The registry of live snapshots: who still reads at which position, and how far pruning may go.
//!
//! Registering and announcing race. Exhaustively, for a snapshot at `p` and a collector that announces `h > p`:
//! - The reader's slot store comes before its fence, the announcement before the collector's fence. One of the two fences is first.
//! - If the reader's is first, the collector's scan sees the slot, and keeps what the snapshot needs.
//! - If the collector's is first, the reader sees the announcement, and registers anew at a position not below it.
//!
//! Both fences are needed, and the announcement only moves forward (`fetch_max`), or a slow collector would take back what
//! a reader relies on. A [`Horizon`] pairs an announcement with a scan made after it, so it stays valid for ever.
//!
//! A slot belongs to one snapshot and its clones, which share it by count; nobody copies a position into another slot.
//! Threads keep the slots they used last, so that opening a snapshot is one store to memory of its own, a fence and two loads.

use super::horizon::Horizon;
use crate::lsn::{LogEnd, Lsn};
use crate::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};
use crate::sync::epoch::Guard;
use crate::sync::{Arc, CachePadded, Step, step};
use std::ptr;

/// The position in a slot that nobody reads at.
const IDLE: u64 = u64::MAX;
const SLOTS_PER_CHUNK: usize = if cfg!(any(loom, shuttle)) { 2 } else { 32 };

struct Slot {
    position: AtomicU64,
    /// Snapshots that share the slot; meaningful while it is not idle.
    owners: AtomicU32,
    /// Leased to a thread or a snapshot.
    leased: AtomicBool,
}

/// Slots are only ever added, so that the collector walks them without protection.
struct Chunk {
    slots: [CachePadded<Slot>; SLOTS_PER_CHUNK],
    next: AtomicPtr<Chunk>,
}

impl Chunk {
    fn new() -> Chunk {
        let slot = || Slot {
            position: AtomicU64::new(IDLE),
            owners: AtomicU32::new(0),
            leased: AtomicBool::new(false),
        };
        Chunk {
            slots: std::array::from_fn(|_| CachePadded::new(slot())),
            next: AtomicPtr::new(ptr::null_mut()),
        }
    }
}

struct Slots {
    first: Chunk,
}

impl Slots {
    fn iter(&self) -> impl Iterator<Item = &Slot> {
        let mut chunk = Some(&self.first);
        std::iter::from_fn(move || {
            let current = chunk?;
            // SAFETY: chunks are freed with the list only, which is borrowed.
            // Acquire: pairs with the release in `add_chunk`.
            chunk = unsafe { current.next.load(Ordering::Acquire).as_ref() };
            Some(current)
        })
        .flat_map(|chunk| chunk.slots.iter().map(|slot| &**slot))
    }

    fn try_lease(slot: &Slot) -> bool {
        // Relaxed: a hint.
        !slot.leased.load(Ordering::Relaxed)
            // Acquire: pairs with the release in `SlotLease::drop`; the slot is idle. Failure Relaxed: nothing is read.
            && slot.leased.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    fn lease(&self) -> &Slot {
        loop {
            if let Some(free) = self.iter().find(|slot| Self::try_lease(slot)) {
                return free;
            }
            self.add_chunk();
        }
    }

    fn add_chunk(&self) {
        let chunk = Box::into_raw(Box::new(Chunk::new()));
        let mut last = &self.first;
        // Release: pairs with the acquire in `iter`; failure Acquire: the chunk found is walked.
        while let Err(next) =
            last.next.compare_exchange(ptr::null_mut(), chunk, Ordering::Release, Ordering::Acquire)
        {
            // SAFETY: chunks are freed with the list only, which is borrowed.
            last = unsafe { &*next };
        }
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        // Relaxed: exclusive access.
        let mut next = self.first.next.load(Ordering::Relaxed);
        while !next.is_null() {
            // SAFETY: from `Box::into_raw` in `add_chunk`, in the list once.
            let chunk = unsafe { Box::from_raw(next) };
            // Relaxed: exclusive access.
            next = chunk.next.load(Ordering::Relaxed);
        }
    }
}

/// The right to use one slot; given back to the registry when dropped.
struct SlotLease {
    slots: Arc<Slots>,
    slot: ptr::NonNull<Slot>,
}

// SAFETY: a lease is a reference into the list that it keeps alive; all fields of a slot are atomics.
unsafe impl Send for SlotLease {}
// SAFETY: as above.
unsafe impl Sync for SlotLease {}

impl SlotLease {
    fn slot(&self) -> &Slot {
        // SAFETY: slots live as long as the list, which the lease keeps alive.
        unsafe { self.slot.as_ref() }
    }
}

impl Drop for SlotLease {
    fn drop(&mut self) {
        // Release: pairs with the acquire in `try_lease`.
        self.slot().leased.store(false, Ordering::Release);
    }
}

/// See the module. One for each store.
pub(crate) struct Active {
    announced: AtomicU64,
    horizon: AtomicPtr<Horizon>,
    slots: Arc<Slots>,
}

/// A position below which history may be gone already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Gone {
    pub(crate) oldest: Lsn,
}

impl Active {
    pub(crate) fn new() -> Active {
        Active {
            announced: AtomicU64::new(0),
            horizon: AtomicPtr::new(Box::into_raw(Box::default())),
            slots: Arc::new(Slots { first: Chunk::new() }),
        }
    }

    /// Registers a snapshot at the log's end.
    #[inline]
    pub(crate) fn register(&self, end: &LogEnd) -> Registration {
        let lease = self.lease();
        loop {
            let position = end.load();
            if self.publish(&lease, position).is_ok() {
                return Registration { lease: Some(lease), position };
            }
        }
    }

    /// Registers a snapshot of the past, if what it sees is still there.
    ///
    /// The slot is written before the horizon is looked at: what is not gone by then stays.
    pub(crate) fn register_at(&self, position: Lsn) -> Result<Registration, Gone> {
        let lease = self.lease();
        match self.publish(&lease, position) {
            Ok(()) => Ok(Registration { lease: Some(lease), position }),
            Err(gone) => {
                // Release: pairs with the acquire of the collector's scan.
                lease.slot().position.store(IDLE, Ordering::Release);
                Err(gone)
            }
        }
    }

    #[inline]
    fn publish(&self, lease: &SlotLease, position: Lsn) -> Result<(), Gone> {
        let slot = lease.slot();
        // Relaxed: the slot is the caller's; clones come to know of it by other ways.
        slot.owners.store(1, Ordering::Relaxed);
        // Relaxed, like the load below: ordered by the fence in between, which pairs with the one in `advance`.
        slot.position.store(position.get(), Ordering::Relaxed);
        step(Step::Registering);
        fence(Ordering::SeqCst); // see the module: against the fence in `advance`
        // Relaxed: see above.
        let oldest = Lsn::new(self.announced.load(Ordering::Relaxed));
        if position >= oldest { Ok(()) } else { Err(Gone { oldest }) }
    }

    #[inline]
    fn lease(&self) -> SlotLease {
        kept::take(&self.slots).unwrap_or_else(|| {
            let slot = self.slots.lease().into();
            SlotLease { slots: Arc::clone(&self.slots), slot }
        })
    }

    /// The oldest position that can be registered anew. It only grows.
    pub(crate) fn oldest(&self) -> Lsn {
        // Relaxed: whoever unlinked a version raised it before, so whoever found that one gone finds it raised, by the release and acquire of the link.
        Lsn::new(self.announced.load(Ordering::Relaxed))
    }

    /// Raises the horizon to `to`, unless it is further already, and returns the newest one.
    ///
    /// Any number of threads may do this at once; nobody waits.
    pub(crate) fn advance<'g>(&self, to: Lsn, guard: &'g Guard) -> &'g Horizon {
        // Relaxed: ordered by the fence, which pairs with the one in `publish`. Never backwards: readers rely on it.
        let before = self.announced.fetch_max(to.get(), Ordering::Relaxed);
        // What was announced before goes on being so, also when more is to be kept from now on: what only a snapshot kept below it goes with
        // that. We have it by a read-modify-write of our own, so the fence is behind it as behind ours.
        let to = to.max(Lsn::new(before));
        fence(Ordering::SeqCst); // see the module: against the fence in `publish`
        // Acquire: pairs with the release of a slot that was cleared; its snapshot reads no more.
        let positions = self.slots.iter().map(|slot| slot.position.load(Ordering::Acquire));
        let live: Vec<Lsn> = positions.filter(|&position| position != IDLE).map(Lsn::new).collect();
        self.replace_horizon(to, &live, guard)
    }

    fn replace_horizon<'g>(&self, to: Lsn, live: &[Lsn], guard: &'g Guard) -> &'g Horizon {
        loop {
            let current = self.horizon(guard);
            let Some(next) = current.next(to, live.iter().copied()) else {
                return current;
            };
            let (current, next) = (ptr::from_ref(current).cast_mut(), Box::into_raw(Box::new(next)));
            // Release: publishes the horizon. Failure Relaxed: it is loaded again.
            match self.horizon.compare_exchange(current, next, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => {
                    // SAFETY: from `Box::into_raw`, replaced just now by us alone.
                    unsafe { guard.defer(move || drop(Box::from_raw(current))) };
                    // SAFETY: linked until now at least, under the guard.
                    return unsafe { &*next };
                }
                // SAFETY: never published.
                Err(_) => drop(unsafe { Box::from_raw(next) }),
            }
        }
    }

    /// The horizon of the last announcement that was scanned for.
    #[inline]
    fn horizon<'g>(&self, _guard: &'g Guard) -> &'g Horizon {
        // Acquire: pairs with the release in `replace_horizon`.
        let horizon = self.horizon.load(Ordering::Acquire);
        // SAFETY: read under the guard; horizons are freed by epochs after they were replaced.
        unsafe { &*horizon }
    }

    /// How many snapshots are open, and the oldest position among them.
    pub(crate) fn open(&self) -> (usize, Option<Lsn>) {
        // Acquire: as in `advance`, though it is only a figure here.
        let positions = self.slots.iter().map(|slot| slot.position.load(Ordering::Acquire));
        let open: Vec<u64> = positions.filter(|&position| position != IDLE).collect();
        (open.len(), open.into_iter().min().map(Lsn::new))
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        // Relaxed: exclusive access.
        let horizon = self.horizon.load(Ordering::Relaxed);
        // SAFETY: from `Box::into_raw`, the current one, and nobody is left to read it.
        drop(unsafe { Box::from_raw(horizon) });
    }
}

/// A registered position: what a snapshot there sees stays until the last clone is dropped.
pub(crate) struct Registration {
    /// `None` only while it is dropped.
    lease: Option<SlotLease>,
    position: Lsn,
}

impl Registration {
    #[inline]
    pub(crate) fn position(&self) -> Lsn {
        self.position
    }

    fn lease(&self) -> &SlotLease {
        self.lease.as_ref().expect("taken by drop only")
    }
}

impl Clone for Registration {
    fn clone(&self) -> Registration {
        let lease = self.lease();
        // Relaxed: the count is above zero and stays so while `self` lives.
        lease.slot().owners.fetch_add(1, Ordering::Relaxed);
        let shared = SlotLease { slots: Arc::clone(&lease.slots), slot: lease.slot };
        Registration { lease: Some(shared), position: self.position }
    }
}

impl Drop for Registration {
    #[inline]
    fn drop(&mut self) {
        let lease = self.lease.take().expect("dropped once");
        let slot = lease.slot();
        // Acquire: pairs with the release below; the clones' reads come before the slot is cleared.
        let alone = slot.owners.load(Ordering::Acquire) == 1
            // AcqRel: releases our reads to the last owner, who acquires them.
            || slot.owners.fetch_sub(1, Ordering::AcqRel) == 1;
        if alone {
            // Release: pairs with the acquire of the collector's scan; our reads come before the pruning.
            slot.position.store(IDLE, Ordering::Release);
            kept::put(lease);
        } else {
            // The other owners still use the slot: the lease goes on with them.
            let SlotLease { slots, .. } = &lease;
            // SAFETY: `lease` is forgotten right below, so the list's reference is taken over once.
            drop(unsafe { ptr::read(slots) });
            std::mem::forget(lease);
        }
    }
}

/// Leases that a thread keeps for its next snapshots.
mod kept {
    use super::{SlotLease, Slots};
    use crate::sync::Arc;
    use std::cell::Cell;

    const KEPT: usize = 4;

    thread_local! {
        static LEASES: [Cell<Option<SlotLease>>; KEPT] = const { [const { Cell::new(None) }; KEPT] };
    }

    /// A lease on a slot of this list, if the thread has one.
    #[inline]
    pub(super) fn take(slots: &Arc<Slots>) -> Option<SlotLease> {
        if cfg!(any(loom, shuttle)) {
            return None;
        }
        LEASES
            .try_with(|leases| {
                leases.iter().find_map(|kept| {
                    let lease = kept.take()?;
                    if Arc::ptr_eq(&lease.slots, slots) {
                        return Some(lease);
                    }
                    kept.set(Some(lease));
                    None
                })
            })
            // The thread is ending.
            .ok()?
    }

    /// Keeps a lease; the one that was kept longest in its place goes back to its registry.
    #[inline]
    pub(super) fn put(lease: SlotLease) {
        if cfg!(any(loom, shuttle)) {
            return;
        }
        let mut lease = Some(lease);
        let _ = LEASES.try_with(|leases| {
            for kept in leases {
                let before = kept.replace(lease.take());
                if before.is_none() {
                    return;
                }
                lease = before;
            }
        });
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::sync::epoch;

    #[test]
    fn the_horizon_lists_who_is_below_it() {
        let (active, end, guard) = (Active::new(), LogEnd::new(Lsn::new(8)), epoch::pin());
        let early = active.register(&end);
        end.reserve(8);
        let shared = active.register(&end).clone();
        end.reserve(8);
        let horizon = active.advance(end.load(), &guard);
        assert_eq!(horizon.oldest(), Lsn::new(8));
        assert_eq!(active.open(), (2, Some(Lsn::new(8))));
        drop(early);
        end.reserve(8);
        assert_eq!(active.advance(end.load(), &guard).oldest(), shared.position());
    }

    #[test]
    fn history_below_the_announcement_is_refused() {
        let (active, guard) = (Active::new(), epoch::pin());
        active.advance(Lsn::new(32), &guard);
        assert_eq!(active.register_at(Lsn::new(24)).err(), Some(Gone { oldest: Lsn::new(32) }));
        assert!(active.register_at(Lsn::new(32)).is_ok());
        assert_eq!(active.open(), (0, None));
    }

    #[test]
    fn nested_snapshots_have_slots_of_their_own() {
        let (active, end) = (Active::new(), LogEnd::new(Lsn::new(8)));
        let many: Vec<_> = (0..100).map(|_| active.register(&end)).collect();
        assert_eq!(active.open().0, 100);
        std::thread::scope(|scope| drop(scope.spawn(move || drop(many))));
        assert_eq!(active.open().0, 0);
    }
}
