//! Writes the pages of one checkpoint: into free ones, many at a time.
//!
//! Several threads write at once, each through a [`PageWriter`] of its own, which takes free pages in runs and fills them one after the
//! other. Nothing that is in use is touched; so a checkpoint that fails leaves no trace but bytes in free pages.

use super::cells::Stored;
use super::compression;
use super::error::CheckpointError;
use super::free_map;
use super::manifest::Manifest;
use super::pace::Pace;
use super::page::{Content, Kind, Link, OVERFLOW_BYTES, PAGE_BYTES, Page, PageId};
use super::page_set::PageSet;
use super::pages::Pages;
use super::seal::Sealer;
use crate::io::{AlignedBuf, IoError};
use crate::lsn::Lsn;
use crate::options::Compression;
use crate::sync::{Mutex, lock};
use std::ops::Range;

/// As many pages go to the disk with one write: few at first, for those who have few to write, then more.
const RUN_PAGES_FIRST: u64 = 8;
pub(super) const RUN_PAGES_MAX: u64 = 128;

/// One checkpoint in the making.
pub(crate) struct Writing<'a> {
    pub(crate) pages: &'a Pages,
    pub(crate) position: Lsn,
    pub(super) compression: Compression,
    sealer: Sealer<'a>,
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
    /// Taken by an attempt before, and used by neither.
    doubtful: Vec<PageId>,
    written_pages: u64,
}

/// What became of the pages.
pub(crate) struct Written {
    /// In use by the new checkpoint.
    pub(crate) used: PageSet,
    /// Where its free map begins; none if no page is in use.
    pub(crate) map: Option<Link>,
    pub(crate) written_pages: u64,
}

impl<'a> Writing<'a> {
    /// Begins a checkpoint at `position`. `used` are the pages of the one before; `doubtful` those of an attempt of which it is not known whether
    /// it failed: they are left alone too.
    pub(crate) fn new(
        pages: &'a Pages,
        (used, doubtful): (&PageSet, &PageSet),
        position: Lsn,
        compression: Compression,
        pace: Pace<'a>,
    ) -> Result<Writing<'a>, IoError> {
        let mut taken = used.clone();
        let doubtful = doubtful.iter().filter(|page| taken.insert(*page)).collect();
        let shared = Shared { taken, search_from: 0, freed: Vec::new(), doubtful, written_pages: 0 };
        let sealer = pages.binding().sealer()?;
        Ok(Writing { pages, position, compression, sealer, pace, shared: Mutex::new(shared) })
    }

    /// Writes the free map, and makes everything durable. What only the checkpoint `before` needs stays untouched until the next one.
    pub(crate) fn finish(self, before: Option<&Manifest>) -> Result<Written, CheckpointError> {
        let map = self.write_map(before)?;
        self.pages.flush()?;
        let shared = self.shared.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(Written { used: shared.in_use(), map, written_pages: shared.written_pages })
    }

    /// The map is written anew like everything else, unless no page came or went.
    fn write_map(&self, before: Option<&Manifest>) -> Result<Option<Link>, CheckpointError> {
        if let Some(before) = before {
            let is_as_before = {
                let shared = lock(&self.shared);
                shared.written_pages == 0 && shared.freed.is_empty()
            };
            if is_as_before {
                return Ok(before.map);
            }
            free_map::read(self.pages, before, |page, _| {
                self.free(page);
                Ok(())
            })?;
        }
        let mut used = lock(&self.shared).in_use();
        if used.last().is_none() {
            return Ok(None);
        }
        let (mut own, total) =
            (Vec::new(), |used: &PageSet| self.pages.extents_of(used) * self.pages.extent_pages());
        // Its own pages may be what makes it longer.
        while (own.len() as u64) < free_map::page_count(total(&used)) {
            let page = PageId(self.take_run(1)?.start);
            used.insert(page);
            own.push(page);
        }
        let map = used.to_bytes(total(&used));
        self.write_map_pages(&own, &map).map(Some)
    }

    pub(super) fn write_map_pages(&self, own: &[PageId], map: &[u8]) -> Result<Link, CheckpointError> {
        let (mut next, mut page) = (None, AlignedBuf::zeroed(PAGE_BYTES));
        let parts = map.chunks(OVERFLOW_BYTES);
        assert_eq!(parts.len(), own.len(), "it takes the pages that were taken for it");
        for (id, part) in own.iter().zip(parts).rev() {
            let link = Link { page: *id, position: self.position };
            let body = chain_body(next, part);
            let content = Content {
                kind: Kind::Free,
                space: free_map::SPACE,
                slots: 0,
                is_compressed: false,
                body: &body,
            };
            Page::write(content, link, &self.sealer, &mut page);
            self.pages.write(*id, &page)?;
            next = Some(link);
        }
        self.pace.wrote(own.len() as u64 * PAGE_BYTES as u64);
        lock(&self.shared).written_pages += own.len() as u64;
        Ok(next.expect("a map that is written has pages"))
    }

    /// The new checkpoint does not use this page of the one before.
    pub(crate) fn free(&self, link: Link) {
        lock(&self.shared).freed.push(link.page);
    }

    /// Free pages next to each other, `max` at most.
    pub(super) fn take_run(&self, max: u64) -> Result<Range<u64>, CheckpointError> {
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

impl Shared {
    /// The pages that the new checkpoint uses.
    fn in_use(&self) -> PageSet {
        let mut used = self.taken.clone();
        self.freed.iter().chain(&self.doubtful).for_each(|page| used.remove(*page));
        used
    }
}

/// A page of a chain: where the next one is, and a part of what lies in it.
fn chain_body(next: Option<Link>, part: &[u8]) -> Vec<u8> {
    [&Link::encode_optional(next)[..], part].concat()
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

    /// Writes a page; returns where it is.
    pub(super) fn write(&mut self, content: Content<'_>) -> Result<Link, CheckpointError> {
        if self.filled as u64 == self.run.end - self.run.start {
            self.next_run()?;
        }
        let page = PageId(self.run.start + self.filled as u64);
        let link = Link { page, position: self.writing.position };
        let out = &mut self.buffer[self.filled * PAGE_BYTES..][..PAGE_BYTES];
        Page::write(content, link, &self.writing.sealer, out);
        self.filled += 1;
        Ok(link)
    }

    /// Writes a value that is too long for a leaf; returns what the leaf says of it.
    pub(super) fn write_value(
        &mut self,
        space: u32,
        value: &[u8],
    ) -> Result<Stored<'static>, CheckpointError> {
        let packed = match self.writing.compression {
            Compression::Lz4 => compression::pack_value(value),
            _ => None,
        };
        let stored = packed.as_deref().unwrap_or(value);
        let mut next = None;
        // From its end: each part names the next one.
        for part in stored.chunks(OVERFLOW_BYTES).rev() {
            let body = chain_body(next, part);
            let content =
                Content { kind: Kind::Overflow, space, slots: 0, is_compressed: false, body: &body };
            next = Some(self.write(content)?);
        }
        let first = next.expect("a value that is too long is not empty");
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("values are shorter than 2 GiB");
        Ok(Stored::Overflow { first, bytes: length(value), stored: length(stored) })
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
