//! Memory that direct I/O accepts: the first byte lies on a multiple of [`BLOCK`].
//!
//! The buffer takes up to one block more than asked for and begins at the first aligned byte in it, which needs no
//! unsafe code. Its bytes do not move when the buffer itself does.

use super::BLOCK;
use std::ops::{Deref, DerefMut};

/// Zeroed heap memory, aligned to [`BLOCK`], of fixed length.
pub(crate) struct AlignedBuf {
    memory: Box<[u8]>,
    start: usize,
    len: usize,
}

impl AlignedBuf {
    /// A buffer of `len` zeros.
    pub(crate) fn zeroed(len: usize) -> AlignedBuf {
        let memory = vec![0; len + BLOCK - 1].into_boxed_slice();
        let start = memory.as_ptr().align_offset(BLOCK);
        assert!(start < BLOCK, "a byte pointer can always be aligned");
        AlignedBuf { memory, start, len }
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn aligned_zeroed_and_of_the_length_asked_for() {
        for len in [0, 1, 511, BLOCK, 3 * BLOCK, 1 << 20] {
            let mut buffer = AlignedBuf::zeroed(len);
            assert_eq!(buffer.len(), len);
            assert_eq!(buffer.as_ptr().addr() % BLOCK, 0);
            assert!(buffer.iter().all(|&byte| byte == 0));
            buffer.fill(7);
            let moved = std::hint::black_box(buffer);
            assert_eq!(moved.as_ptr().addr() % BLOCK, 0);
            assert!(moved.iter().all(|&byte| byte == 7));
        }
    }
}
