//! The memory of the log ring: filled in parallel by committers, read by the leader of a group commit.

use super::atomic::{AtomicU64, Ordering};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// A zeroed, block-aligned range of bytes that threads write at disjoint places at the same time.
///
/// Who may touch which byte when is the ring's protocol (`log::ring`): a range belongs to the committer that
/// reserved it until its first word is published, then to the leader until it is zeroed and released.
pub(crate) struct RingMemory {
    bytes: NonNull<u8>,
    layout: Layout,
}

// SAFETY: a plain allocation; all access is through methods whose contracts keep ranges disjoint between threads.
unsafe impl Send for RingMemory {}
// SAFETY: as above.
unsafe impl Sync for RingMemory {}

impl RingMemory {
    pub(crate) fn new(len: usize) -> RingMemory {
        let layout = Layout::from_size_align(len, 4096).expect("a ring's size is checked by its options");
        // SAFETY: the size is not zero (checked by the options).
        let bytes = NonNull::new(unsafe { alloc_zeroed(layout) });
        RingMemory { bytes: bytes.unwrap_or_else(|| handle_alloc_error(layout)), layout }
    }

    pub(crate) fn len(&self) -> usize {
        self.layout.size()
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        assert!(at.is_multiple_of(8) && at + 8 <= self.len());
        // SAFETY: in bounds, aligned, initialised; frame starts are accessed as atomics only, until they are zeroed by the
        // one leader, which happens before the range is reserved anew.
        unsafe { &*self.bytes.as_ptr().add(at).cast::<AtomicU64>() }
    }

    /// Copies `data` to `at`.
    ///
    /// # Safety
    /// The range is in bounds and belongs to the caller.
    #[inline]
    pub(crate) unsafe fn write(&self, at: usize, data: &[u8]) {
        debug_assert!(at + data.len() <= self.len());
        // SAFETY: in bounds and exclusive by the caller's promise; `data` is not part of the ring.
        unsafe { self.bytes.as_ptr().add(at).copy_from_nonoverlapping(data.as_ptr(), data.len()) }
    }

    /// The bytes of a range.
    ///
    /// # Safety
    /// The range is in bounds, published, and not zeroed while the result lives.
    pub(crate) unsafe fn read(&self, at: usize, len: usize) -> &[u8] {
        debug_assert!(at + len <= self.len());
        // SAFETY: in bounds, initialised and not written meanwhile, by the caller's promise.
        unsafe { std::slice::from_raw_parts(self.bytes.as_ptr().add(at), len) }
    }

    /// Zeroes a range, so that no stale word is taken for a published one on the next lap.
    ///
    /// # Safety
    /// The range is in bounds and belongs to the caller.
    pub(crate) unsafe fn zero(&self, at: usize, len: usize) {
        debug_assert!(at + len <= self.len());
        // SAFETY: in bounds and exclusive by the caller's promise.
        unsafe { self.bytes.as_ptr().add(at).write_bytes(0, len) }
    }

    #[inline]
    pub(crate) fn store_word(&self, at: usize, value: u64, ordering: Ordering) {
        // The ordering and its pair are named by the caller, `log::ring`.
        self.word(at).store(value, ordering);
    }

    #[inline]
    pub(crate) fn load_word(&self, at: usize, ordering: Ordering) -> u64 {
        // The ordering and its pair are named by the caller, `log::ring`.
        self.word(at).load(ordering)
    }
}

impl Drop for RingMemory {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, and nobody borrows it any more.
        unsafe { dealloc(self.bytes.as_ptr(), self.layout) }
    }
}
