//! Memory for versions, and for the blocks of the ordered map, recycled within each thread.
//!
//! They are born and die at the rate of commits, and often die on another thread than the one that made them, which
//! general allocators are slow at. So each thread keeps lists of free memory by size class. What an epoch frees goes to the
//! lists of the thread that runs the free, in batches. Lists are bounded; what is above goes back to the allocator.
//! Under loom and shuttle nothing is recycled, nor where AddressSanitizer looks (`--cfg unpooled`), so that a use after a free is seen.

use super::prefetch_bytes;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::ptr::NonNull;

/// Classes grow in steps of this many bytes up to [`POOLED_BYTES_MAX`].
const STEP_BYTES: usize = 32;
const POOLED_BYTES_MAX: usize = 2048;
const CLASSES: usize = POOLED_BYTES_MAX / STEP_BYTES;
/// What a thread keeps of one class at most.
const KEPT_BYTES_MAX: usize = 256 * 1024;
const ALIGN: usize = 8;
/// Beyond, the processor sees by itself what comes next.
const PREFETCHED_BYTES_MAX: usize = 256;

struct Lists([Vec<NonNull<u8>>; CLASSES]);

impl Drop for Lists {
    fn drop(&mut self) {
        for (class, list) in self.0.iter_mut().enumerate() {
            for block in list.drain(..) {
                // SAFETY: blocks of a class were allocated with its layout, and this one is free.
                unsafe { dealloc(block.as_ptr(), class_layout(class)) }
            }
        }
    }
}

thread_local! {
    static LISTS: RefCell<Lists> = const { RefCell::new(Lists([const { Vec::new() }; CLASSES])) };
}

/// Which list memory of a layout belongs to, if there is one.
fn class(layout: Layout) -> Option<usize> {
    let is_pooled = layout.size() <= POOLED_BYTES_MAX && !cfg!(any(loom, shuttle, unpooled));
    is_pooled.then(|| (layout.size() - 1) / STEP_BYTES)
}

fn class_layout(class: usize) -> Layout {
    Layout::from_size_align((class + 1) * STEP_BYTES, ALIGN).expect("classes are small")
}

/// Memory of at least `layout`, uninitialised.
#[inline]
pub(crate) fn allocate(layout: Layout) -> NonNull<u8> {
    debug_assert!(layout.size() > 0 && layout.align() <= ALIGN);
    let Some(class) = class(layout) else { return from_allocator(layout) };
    let kept = LISTS.try_with(|lists| {
        let list = &mut lists.borrow_mut().0[class];
        let block = list.pop();
        // It is mostly cold behind its first line, for nobody looks at the payload of what is freed; by the next call it is near.
        if let Some(next) = list.last() {
            prefetch_bytes(next.as_ptr(), class_layout(class).size().min(PREFETCHED_BYTES_MAX));
        }
        block
    });
    kept.ok().flatten().unwrap_or_else(|| from_allocator(class_layout(class)))
}

fn from_allocator(layout: Layout) -> NonNull<u8> {
    // SAFETY: the size is not zero.
    NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}

/// Takes memory back.
///
/// # Safety
/// It came from [`allocate`] with this layout, and nobody uses it any more.
pub(crate) unsafe fn release(block: NonNull<u8>, layout: Layout) {
    let class = class(layout);
    let layout = class.map_or(layout, class_layout);
    let keep = |class: usize| {
        LISTS.try_with(|lists| {
            let list = &mut lists.borrow_mut().0[class];
            let has_room = list.len() < KEPT_BYTES_MAX / layout.size();
            if has_room {
                list.push(block);
            }
            has_room
        })
    };
    // If the thread is ending, its lists are gone.
    let is_kept = class.is_some_and(|class| keep(class).unwrap_or(false));
    if !is_kept {
        // SAFETY: allocated with this layout, by the caller's promise.
        unsafe { dealloc(block.as_ptr(), layout) }
    }
}

#[cfg(all(test, not(any(loom, shuttle, unpooled))))]
mod tests {
    use super::*;

    #[test]
    fn released_memory_is_the_next_of_its_class() {
        let small = Layout::from_size_align(100, 8).unwrap();
        let block = allocate(small);
        // SAFETY: just allocated, unused.
        unsafe { release(block, small) };
        let same_class = Layout::from_size_align(128, 8).unwrap();
        let again = allocate(same_class);
        assert_eq!(block, again);
        // SAFETY: just allocated, unused.
        unsafe { release(again, same_class) };
    }

    #[test]
    fn much_at_once_goes_back_to_the_allocator() {
        let large = Layout::from_size_align(POOLED_BYTES_MAX + 1, 8).unwrap();
        assert_eq!(class(large), None);
        let block = allocate(large);
        // SAFETY: just allocated, unused.
        unsafe { release(block, large) };
    }
}
