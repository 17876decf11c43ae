//! A leaf or a branch in the making.

use super::page::SLOT_BYTES;

/// Entries in the order of their keys: slots and cells as they are on a page, see `page`.
#[derive(Default)]
pub(super) struct Draft {
    slots: Vec<u16>,
    cells: Vec<u8>,
}

impl Draft {
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(super) fn count(&self) -> usize {
        self.slots.len()
    }

    /// What the entries take on a page.
    pub(super) fn bytes(&self) -> usize {
        self.slots.len() * SLOT_BYTES + self.cells.len()
    }

    /// What one entry more takes.
    pub(super) fn bytes_with(&self, cell: &[u8]) -> usize {
        self.bytes() + SLOT_BYTES + cell.len()
    }

    /// Puts a cell behind the others; its key is the greatest.
    pub(super) fn push(&mut self, cell: &[u8]) {
        self.slots.push(u16::try_from(self.cells.len()).expect("a page holds less than 64 KiB"));
        self.cells.extend_from_slice(cell);
    }

    /// What the first entries take.
    fn first_bytes(&self, count: usize) -> usize {
        count * SLOT_BYTES + self.cells_end(count)
    }

    fn cells_end(&self, count: usize) -> usize {
        self.slots.get(count).map_or(self.cells.len(), |&slot| slot.into())
    }

    /// How many of the first entries take no more than `bytes`.
    pub(super) fn count_within(&self, bytes: usize) -> usize {
        let (mut low, mut high) = (0, self.slots.len());
        while low < high {
            let middle = (low + high).div_ceil(2);
            (low, high) = if self.first_bytes(middle) <= bytes { (middle, high) } else { (low, middle - 1) };
        }
        low
    }

    /// The first entries, as a page holds them.
    pub(super) fn copy_first(&self, count: usize, out: &mut Vec<u8>) {
        out.clear();
        self.slots[..count].iter().for_each(|slot| out.extend_from_slice(&slot.to_le_bytes()));
        out.extend_from_slice(&self.cells[..self.cells_end(count)]);
    }

    /// The first cell, and what is behind it.
    pub(super) fn first_cell(&self) -> &[u8] {
        &self.cells
    }

    pub(super) fn remove_first(&mut self, count: usize) {
        let end = self.cells_end(count);
        self.cells.drain(..end);
        self.slots.drain(..count);
        self.slots.iter_mut().for_each(|slot| *slot -= end as u16);
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn the_first_entries_go_and_the_others_stay() {
        let mut draft = Draft::default();
        let cells: Vec<Vec<u8>> = (0..20_usize).map(|n| vec![n as u8; n * 7 % 50 + 1]).collect();
        cells.iter().for_each(|cell| draft.push(cell));
        let takes = |count: usize| cells[..count].iter().map(|cell| cell.len() + SLOT_BYTES).sum::<usize>();
        for count in 0..=20 {
            assert_eq!(draft.first_bytes(count), takes(count));
            assert_eq!(draft.count_within(takes(count)), count);
            assert_eq!(draft.count_within((takes(count) + 2).min(takes(20))), count.min(20));
        }
        draft.remove_first(7);
        let (mut rest, mut anew, mut copied) = (Vec::new(), Vec::new(), Draft::default());
        cells[7..].iter().for_each(|cell| copied.push(cell));
        draft.copy_first(13, &mut rest);
        copied.copy_first(13, &mut anew);
        assert_eq!(rest, anew);
        assert_eq!((draft.count(), draft.bytes(), draft.is_empty()), (13, rest.len(), false));
        assert!(draft.first_cell().starts_with(&cells[7]));
        draft.remove_first(13);
        assert!(draft.is_empty() && draft.bytes() == 0);
    }
}
