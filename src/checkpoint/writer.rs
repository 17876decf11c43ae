//! Writes the pages of one checkpoint: into free ones, many at a time.
//!
//! Several threads write at once, each through a [`PageWriter`] of its own, which takes free pages in runs and fills them one after the
//! other. Nothing that is in use is touched; so a checkpoint that fails leaves no trace but bytes in free pages.

use super::error::CheckpointError;
use super::pace::Pace;
use super::page::{Draft, Expected, Kind, Link, OVERFLOW_BYTES, PAGE_BYTES, PageId};
use super::page_set::PageSet;
use super::pages::Pages;
use crate::io::AlignedBuf;
use crate::lsn::Lsn;
use crate::sync::{Mutex, lock};
use std::ops::Range;

/// As many pages go to the disk with one write: few at first, for those who have few to write, then more.
const RUN_PAGES_FIRST: u64 = 8;
pub(super) const RUN_PAGES_MAX: u64 = 128;

/// One checkpoint in the making.
pub(crate) struct Writing<'a> {
    pub(crate) pages: &'a Pages,
    pub(crate) position: Lsn,
    pace: Pace<'a>,
    shared: Mutex<Shared>,
}

struct Shared {
    /// In use by the checkpoint before, or taken for this one.
    taken: PageSet,
    /// Below this page none is free.
    search_from: u64,
    /// Taken, and not used by this one.
    freed: Vec<PageId>,
    written_pages: u64,
}

/// What became of the pages.
pub(crate) struct Written {
    /// In use by the new checkpoint.
    pub(crate) used: PageSet,
    pub(crate) written_pages: u64,
}

impl<'a> Writing<'a> {
    /// Begins a checkpoint at `position`. `used` are the pages of the one before; `doubtful` those of an attempt of which it is not known whether
    /// it failed: they are left alone too.
    pub(crate) fn new(
        pages: &'a Pages,
        (used, doubtful): (&PageSet, &PageSet),
        position: Lsn,
        pace: Pace<'a>,
    ) -> Writing<'a> {
        let mut taken = used.clone();
        let only_doubtful = doubtful.iter().filter(|page| taken.insert(*page)).collect();
        let shared = Shared { taken, search_from: 0, freed: only_doubtful, written_pages: 0 };
        Writing { pages, position, pace, shared: Mutex::new(shared) }
    }

    /// Makes everything durable. The pages that are no longer needed stay untouched until the next checkpoint.
    pub(crate) fn finish(self) -> Result<Written, CheckpointError> {
        self.pages.flush()?;
        let Shared { taken: mut used, freed, written_pages, .. } =
            self.shared.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        freed.into_iter().for_each(|page| used.remove(page));
        Ok(Written { used, written_pages })
    }

    /// The new checkpoint does not use this page of the one before.
    pub(crate) fn free(&self, link: Link) {
        lock(&self.shared).freed.push(link.page);
    }

    /// Free pages next to each other, `max` at most.
    fn take_run(&self, max: u64) -> Result<Range<u64>, CheckpointError> {
        let mut shared = lock(&self.shared);
        let extents = self.pages.extents();
        let from = shared.search_from / self.pages.extent_pages();
        let found = (from..extents).find_map(|extent| {
            let usable = self.pages.usable(extent);
            shared.taken.free_run(usable.start.max(shared.search_from)..usable.end, max)
        });
        let run = match found {
            Some(run) => run,
            None => {
                let usable = self.pages.usable(self.pages.add_extent()?);
                usable.start..usable.end.min(usable.start + max)
            }
        };
        shared.search_from = run.end;
        for page in run.clone() {
            let is_new = shared.taken.insert(PageId(page));
            assert!(is_new, "a page is taken once");
        }
        Ok(run)
    }
}

/// One thread's part of the writing.
pub(crate) struct PageWriter<'a> {
    writing: &'a Writing<'a>,
    run: Range<u64>,
    /// The pages of the run that are filled, in memory.
    filled: usize,
    buffer: AlignedBuf,
    freed: Vec<PageId>,
    written_pages: u64,
}

impl<'a> PageWriter<'a> {
    pub(crate) fn new(writing: &'a Writing<'a>) -> PageWriter<'a> {
        let buffer = AlignedBuf::zeroed(RUN_PAGES_FIRST as usize * PAGE_BYTES);
        PageWriter { writing, run: 0..0, filled: 0, buffer, freed: Vec::new(), written_pages: 0 }
    }

    /// Writes a page, and leaves an empty draft.
    pub(crate) fn write(
        &mut self,
        draft: &mut Draft,
        kind: Kind,
        space: u32,
    ) -> Result<Link, CheckpointError> {
        if self.filled as u64 == self.run.end - self.run.start {
            self.next_run()?;
        }
        let page = PageId(self.run.start + self.filled as u64);
        let link = Link { page, position: self.writing.position };
        let out = &mut self.buffer[self.filled * PAGE_BYTES..][..PAGE_BYTES];
        draft.finish(Expected { link, kind, space }, self.writing.pages.seed(), out);
        self.filled += 1;
        Ok(link)
    }

    /// Writes a value that is too long for a leaf; returns where it begins.
    pub(crate) fn write_value(&mut self, space: u32, value: &[u8]) -> Result<Link, CheckpointError> {
        let mut next = None;
        // From its end: each part names the next one.
        for part in value.chunks(OVERFLOW_BYTES).rev() {
            next = Some(self.write(&mut Draft::overflow(next, part), Kind::Overflow, space)?);
        }
        Ok(next.expect("a value that is too long is not empty"))
    }

    /// The new checkpoint does not use this page of the one before.
    pub(crate) fn free(&mut self, link: Link) {
        self.freed.push(link.page);
    }

    fn next_run(&mut self) -> Result<(), CheckpointError> {
        self.write_run()?;
        if self.written_pages >= RUN_PAGES_FIRST && (self.buffer.len() / PAGE_BYTES) < RUN_PAGES_MAX as usize
        {
            self.buffer = AlignedBuf::zeroed(RUN_PAGES_MAX as usize * PAGE_BYTES);
        }
        let room = (self.buffer.len() / PAGE_BYTES) as u64;
        (self.run, self.filled) = (self.writing.take_run(room)?, 0);
        Ok(())
    }

    fn write_run(&mut self) -> Result<(), CheckpointError> {
        if self.filled > 0 {
            let bytes = self.filled * PAGE_BYTES;
            self.writing.pages.write(PageId(self.run.start), &self.buffer[..bytes])?;
            self.writing.pace.wrote(bytes as u64);
            self.written_pages += self.filled as u64;
        }
        Ok(())
    }

    /// Writes what is left, and gives back what was not needed.
    pub(crate) fn finish(mut self) -> Result<(), CheckpointError> {
        self.write_run()?;
        let mut shared = lock(&self.writing.shared);
        for page in self.run.start + self.filled as u64..self.run.end {
            shared.taken.remove(PageId(page));
            shared.search_from = shared.search_from.min(page);
        }
        shared.freed.append(&mut self.freed);
        shared.written_pages += self.written_pages;
        Ok(())
    }
}
