//! The ring's memory as the checkers see it: a cell a word, so that a racing copy is reported, and an atomic a word.

use super::atomic::{AtomicU64, Ordering};
use super::cell::UnsafeCell;

/// As the real one, in words of eight bytes; each word is an atomic (for the words that frames begin with) and a cell
/// (for all other bytes, checked for races).
pub(crate) struct RingMemory {
    words: Vec<AtomicU64>,
    cells: Vec<UnsafeCell<[u8; 8]>>,
}

// SAFETY: the checker runs one thread at a time, and the cells check every access.
unsafe impl Send for RingMemory {}
// SAFETY: as above.
unsafe impl Sync for RingMemory {}

impl RingMemory {
    pub(crate) fn new(len: usize) -> RingMemory {
        RingMemory {
            words: (0..len / 8).map(|_| AtomicU64::new(0)).collect(),
            cells: (0..len / 8).map(|_| UnsafeCell::new([0; 8])).collect(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.cells.len() * 8
    }

    /// # Safety
    /// As for the real one; the cells check it.
    pub(crate) unsafe fn write(&self, at: usize, data: &[u8]) {
        for (index, chunk) in data.chunks(8).enumerate() {
            // SAFETY: the cell checks that nobody else accesses the cell meanwhile.
            self.cells[at / 8 + index]
                .with_mut(|cell| unsafe { (&mut *cell)[..chunk.len()].copy_from_slice(chunk) });
        }
    }

    /// # Safety
    /// As for the real one; the cells check it.
    pub(crate) unsafe fn read(&self, at: usize, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len);
        for cell in &self.cells[at / 8..(at + len).div_ceil(8)] {
            // SAFETY: the cell checks that nobody writes the cell meanwhile.
            cell.with(|cell| unsafe { bytes.extend_from_slice(&*cell) });
        }
        bytes.truncate(len);
        bytes
    }

    /// # Safety
    /// As for the real one; the cells check it.
    pub(crate) unsafe fn zero(&self, at: usize, len: usize) {
        for index in at / 8..(at + len) / 8 {
            // SAFETY: the cell checks that nobody else accesses the cell meanwhile.
            self.cells[index].with_mut(|cell| unsafe { *cell = [0; 8] });
            // Relaxed: released together with the range, by the ring's `released`.
            self.words[index].store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn store_word(&self, at: usize, value: u64, ordering: Ordering) {
        self.words[at / 8].store(value, ordering);
    }

    pub(crate) fn load_word(&self, at: usize, ordering: Ordering) -> u64 {
        self.words[at / 8].load(ordering)
    }
}
