//! Memory for versions, recycled within each thread.
//!
//! Versions are born and die at the rate of commits, and often die on another thread than the one that made them, which
//! general allocators are slow at. So each thread keeps lists of free blocks by size class. What an epoch frees goes to the
//! lists of the thread that runs the free, in batches (`garbage`). Lists are bounded; what is above goes back to the allocator.
//! Under loom and shuttle nothing is recycled, so that a use after a free is seen.

use crate::sync::prefetch;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::ptr::NonNull;

/// Which list a block belongs to; [`UNPOOLED`] for none.
pub(super) type Class = u8;
const UNPOOLED: Class = Class::MAX;

/// Blocks grow in steps of this many bytes up to [`POOLED_BYTES_MAX`].
const STEP_BYTES: usize = 32;
const POOLED_BYTES_MAX: usize = 2048;
const CLASSES: usize = POOLED_BYTES_MAX / STEP_BYTES;
/// What a thread keeps of one class at most.
const KEPT_BYTES_MAX: usize = 256 * 1024;
const ALIGN: usize = 8;
const LINE_BYTES: usize = 64;
/// Beyond, the processor sees by itself what comes next.
const PREFETCHED_BYTES_MAX: usize = 256;

struct Lists([Vec<NonNull<u8>>; CLASSES]);

impl Drop for Lists {
    fn drop(&mut self) {
        for (class, list) in self.0.iter_mut().enumerate() {
            for block in list.drain(..) {
                // SAFETY: blocks of a class were allocated with its layout, and this one is free.
                unsafe { dealloc(block.as_ptr(), class_layout(class as Class)) }
            }
        }
    }
}

thread_local! {
    static LISTS: RefCell<Lists> = const { RefCell::new(Lists([const { Vec::new() }; CLASSES])) };
}

fn class_layout(class: Class) -> Layout {
    Layout::from_size_align((class as usize + 1) * STEP_BYTES, ALIGN).expect("classes are small")
}

/// Memory of at least `layout`, uninitialised, and the class to release it to.
#[inline]
pub(super) fn allocate(layout: Layout) -> (NonNull<u8>, Class) {
    debug_assert!(layout.size() > 0 && layout.align() <= ALIGN);
    if layout.size() > POOLED_BYTES_MAX || cfg!(any(loom, shuttle)) {
        return (from_allocator(layout), UNPOOLED);
    }
    let class = ((layout.size() - 1) / STEP_BYTES) as Class;
    let kept = LISTS.try_with(|lists| {
        let list = &mut lists.borrow_mut().0[class as usize];
        let block = list.pop();
        // It is mostly cold behind its first line, for nobody looks at the payload of what is freed; by the next call it is near.
        if let Some(next) = list.last() {
            (0..class_layout(class).size().min(PREFETCHED_BYTES_MAX))
                .step_by(LINE_BYTES)
                .for_each(|offset| prefetch(next.as_ptr().wrapping_add(offset)));
        }
        block
    });
    (kept.ok().flatten().unwrap_or_else(|| from_allocator(class_layout(class))), class)
}

fn from_allocator(layout: Layout) -> NonNull<u8> {
    // SAFETY: the size is not zero.
    NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}

/// Takes a block back.
///
/// # Safety
/// It came from [`allocate`] with this class, for this layout, and nobody uses it any more.
pub(super) unsafe fn release(block: NonNull<u8>, class: Class, layout: Layout) {
    let layout = if class == UNPOOLED { layout } else { class_layout(class) };
    let kept = class != UNPOOLED
        && LISTS
            .try_with(|lists| {
                let list = &mut lists.borrow_mut().0[class as usize];
                let room = list.len() < KEPT_BYTES_MAX / layout.size();
                if room {
                    list.push(block);
                }
                room
            })
            // The thread is ending, its lists are gone.
            .unwrap_or(false);
    if !kept {
        // SAFETY: allocated with this layout, by the caller's promise.
        unsafe { dealloc(block.as_ptr(), layout) }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_released_block_is_the_next_one_of_its_class() {
        let small = Layout::from_size_align(100, 8).unwrap();
        let (block, class) = allocate(small);
        // SAFETY: just allocated, unused.
        unsafe { release(block, class, small) };
        let (again, same) = allocate(Layout::from_size_align(128, 8).unwrap());
        assert_eq!((block, class), (again, same));
        // SAFETY: just allocated, unused.
        unsafe { release(again, same, small) };
    }

    #[test]
    fn large_blocks_go_back_to_the_allocator() {
        let large = Layout::from_size_align(POOLED_BYTES_MAX + 1, 8).unwrap();
        let (block, class) = allocate(large);
        assert_eq!(class, UNPOOLED);
        // SAFETY: just allocated, unused.
        unsafe { release(block, class, large) };
    }
}
