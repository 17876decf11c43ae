//! A version: one allocation with its header in front and its payload bytes behind.
//!
//! Who may touch which field when:
//!
//! | field | written by | when |
//! | --- | --- | --- |
//! | `stamp` | the owning transaction alone | before publication: pointer to its state; after its commit: the position |
//! | `older` | the installer, then whoever holds the record's prune flag | before publication; to pass over pruned versions |
//! | payload, length, tombstone | the owning transaction | before publication only |
//!
//! A version is freed by its owner when it never became visible, by a pruner otherwise, through the epoch collector both
//! (`sync::garbage`).

use super::state::TxnState;
use crate::lsn::Lsn;
use crate::sync::Canary;
use crate::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use crate::sync::garbage::Reclaim;
use crate::sync::pool;
use std::alloc::Layout;
use std::ptr::{self, NonNull};

/// See the module. Aligned so that the low bits of its address are free for tags.
#[repr(C, align(8))]
pub(crate) struct Version {
    stamp: AtomicU64,
    older: AtomicPtr<Version>,
    len: u32,
    tombstone: bool,
    canary: Canary,
}

/// The tag of a stamp that points to a transaction's state; positions are multiples of 8.
const PENDING: u64 = 1;
const _: () = assert!(PENDING < Lsn::ALIGN && align_of::<TxnState>() > PENDING as usize);

/// When a version became visible.
#[derive(Clone, Copy)]
pub(crate) enum Stamp {
    /// At this position.
    At(Lsn),
    /// As this state says; good while the caller is pinned.
    Pending(NonNull<TxnState>),
}

impl Reclaim for Version {
    /// # Safety
    /// As of the trait.
    unsafe fn reclaim(version: NonNull<Version>) {
        // SAFETY: alive until this call, by the contract.
        let header = unsafe { version.as_ref() };
        let layout = Self::layout(header.len as usize);
        if header.canary.poison() {
            // SAFETY: from `allocate` with this layout; nothing in it needs dropping.
            unsafe { pool::release(version.cast(), layout) }
        }
    }
}

impl Version {
    /// A version that nobody else can see yet. Its stamp is set by [`Version::begin`].
    pub(crate) fn new(payload: Option<&[u8]>) -> NonNull<Version> {
        Version::of_parts(payload.map(|payload| [payload, &[]]))
    }

    /// The same; the payload is two parts, one behind the other.
    pub(crate) fn of_parts(payload: Option<[&[u8]; 2]>) -> NonNull<Version> {
        let [head, body] = payload.unwrap_or_default();
        let bytes = head.len() + body.len();
        let len = u32::try_from(bytes).expect("values are limited far below 4 GiB");
        let version = pool::allocate(Self::layout(bytes)).cast::<Version>();
        // SAFETY: fresh memory for the header and, behind it, as many bytes as both parts have.
        unsafe {
            version.write(Version {
                stamp: AtomicU64::new(0),
                older: AtomicPtr::new(ptr::null_mut()),
                len,
                tombstone: payload.is_none(),
                canary: Canary::new(),
            });
            let payload = version.add(1).cast::<u8>().as_ptr();
            payload.copy_from_nonoverlapping(head.as_ptr(), head.len());
            payload.add(head.len()).copy_from_nonoverlapping(body.as_ptr(), body.len());
        }
        version
    }

    fn layout(len: usize) -> Layout {
        Layout::from_size_align(size_of::<Version>() + len, align_of::<Version>())
            .expect("limited far below 4 GiB")
    }

    /// `None` for a tombstone.
    #[inline]
    pub(crate) fn payload(&self) -> Option<&[u8]> {
        self.canary.check();
        if self.tombstone {
            return None;
        }
        // SAFETY: `of_parts` put `len` bytes behind the header; they never change, and live as long as it.
        Some(unsafe {
            std::slice::from_raw_parts(ptr::from_ref(self).add(1).cast::<u8>(), self.len as usize)
        })
    }

    pub(crate) fn is_tombstone(&self) -> bool {
        self.canary.check();
        self.tombstone
    }

    #[inline]
    pub(crate) fn stamp(&self) -> Stamp {
        // Acquire: pairs with `set_stamp`; who reads a position sees what the transaction did before it.
        let word = self.stamp.load(Ordering::Acquire);
        self.canary.check();
        if word & PENDING == 0 {
            return Stamp::At(Lsn::new(word));
        }
        let state = ptr::with_exposed_provenance_mut::<TxnState>((word & !PENDING) as usize);
        Stamp::Pending(NonNull::new(state).expect("`begin` stored the address of a state"))
    }

    /// Owner, before publication: the version goes the way of `state`.
    pub(crate) fn begin(&self, state: NonNull<TxnState>) {
        let word = state.as_ptr().expose_provenance() as u64 | PENDING;
        // Relaxed: published by the compare-exchange of the record's head.
        self.stamp.store(word, Ordering::Relaxed);
    }

    /// Owner, after its commit; or anybody to whom alone the version belongs.
    #[inline]
    pub(crate) fn set_stamp(&self, lsn: Lsn) {
        assert!(lsn.get() & PENDING == 0);
        // Release: pairs with `stamp`.
        self.stamp.store(lsn.get(), Ordering::Release);
        self.canary.check();
    }

    /// The next older version.
    #[inline]
    pub(crate) fn older(&self) -> *mut Version {
        // Acquire: pairs with `set_older`; the older version's header is initialised.
        let older = self.older.load(Ordering::Acquire);
        self.canary.check();
        older
    }

    /// The installer before publication, or the holder of the prune flag.
    pub(crate) fn set_older(&self, older: *mut Version) {
        // Release: pairs with `older`.
        self.older.store(older, Ordering::Release);
        self.canary.check();
    }
}
