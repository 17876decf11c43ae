//! The files that hold pages: extents of a fixed number of pages each.
//!
//! Extent `n` holds the pages from `n * extent_pages` on, and its first one says so (`meta`). A file takes up space on the disk as its pages
//! are written. Extents are added at the end, and taken away from there when nothing in them is in use.

use super::error::CheckpointError;
use super::page::{
    BadPage, Content, Expected, HEADER_BYTES, Kind, LEAF_ENTRIES_MAX, Link, PAGE_BYTES, Page, PageId,
};
use super::page_set::PageSet;
use super::seal::Binding;
use crate::format::{Cursor, numbered, parse_numbered};
use crate::io::{AlignedBuf, BlockFile, Device, IoError, Remains};
use crate::log::segment::StoreId;
use crate::lsn::Lsn;
use crate::sync::{Arc, Mutex, lock};
use std::io::ErrorKind;
use std::ops::Range;

const MAGIC: &[u8; 8] = b"SKIPPAGE";
pub(crate) const VERSION: u32 = 1;
/// What a meta page says, behind its header.
const META_BYTES: usize = 8 + 4 + 4 + 16 + 8 + 8;
const PREFIX: &str = "pages-";

pub(crate) fn file_name(extent: u64) -> String {
    numbered(PREFIX, extent)
}

pub(crate) fn parse_file_name(name: &str) -> Option<u64> {
    parse_numbered(PREFIX, name)
}

/// The first page of an extent. It is not sealed: whoever knows whose it is knows every byte of it.
fn encode_meta(binding: &Binding, extent: u64, extent_pages: u64) -> AlignedBuf {
    let mut fields = [0; META_BYTES];
    fields[..8].copy_from_slice(MAGIC);
    fields[8..12].copy_from_slice(&VERSION.to_le_bytes());
    fields[16..32].copy_from_slice(binding.store());
    fields[32..40].copy_from_slice(&extent.to_le_bytes());
    fields[40..48].copy_from_slice(&extent_pages.to_le_bytes());
    let link = Link { page: PageId(extent * extent_pages), position: Lsn::ZERO };
    let mut page = AlignedBuf::zeroed(PAGE_BYTES);
    let content = Content { kind: Kind::Meta, space: 0, slots: 0, is_compressed: false, body: &fields };
    Page::write(content, link, &binding.without_keys(), &mut page);
    page
}

/// What the first page of an extent says of its store, if it is whole: for whoever does not know yet whose it is.
pub(crate) fn read_meta(page: &[u8]) -> Option<(StoreId, u64, u64)> {
    let mut fields = Cursor::new(page.get(HEADER_BYTES + 16..)?);
    let store: StoreId = fields.take(16)?.try_into().ok()?;
    let (extent, extent_pages) = (fields.u64()?, fields.u64()?);
    extent.checked_mul(extent_pages)?;
    let expected = encode_meta(&Binding::new(store, None), extent, extent_pages);
    (page == &expected[..]).then_some((store, extent, extent_pages))
}

/// How many pages an extent of the store has, by what its own first page says.
pub(crate) fn read_extent_pages(device: &dyn Device, store: &StoreId, extent: u64) -> Option<u64> {
    let mut page = AlignedBuf::zeroed(PAGE_BYTES);
    device.open(&file_name(extent)).ok()?.read_at(0, &mut page).ok()?;
    let (id, index, extent_pages) = read_meta(&page)?;
    (id == *store && index == extent && extent_pages > 1).then_some(extent_pages)
}

/// See the module.
pub(crate) struct Pages {
    device: Arc<dyn Device>,
    binding: Binding,
    extent_pages: u64,
    files: Mutex<Vec<Arc<dyn BlockFile>>>,
}

/// How many files of pages there are, with those that are missing between them. One whose number is far beyond all others is a stray one.
pub(crate) fn extents_there(names: &[String]) -> u64 {
    let numbers: Vec<u64> = names.iter().filter_map(|name| parse_file_name(name)).collect();
    let stray_from = 2 * numbers.len() as u64 + 64;
    numbers.into_iter().filter(|number| *number < stray_from).max().map_or(0, |last| last + 1)
}

impl Pages {
    /// The first `extents` of a store, each of which must be there.
    pub(crate) fn open(
        device: Arc<dyn Device>,
        binding: Binding,
        extent_pages: u64,
        extents: u64,
    ) -> Result<Pages, CheckpointError> {
        Pages::open_or(device, binding, extent_pages, extents, Err)
    }

    /// The same of a store that may be damaged: `refused` gets what is wrong with an extent, and decides whether to go on with what is left of it.
    /// Of those that are missing behind the last one that is there it gets the first.
    pub(crate) fn open_or(
        device: Arc<dyn Device>,
        binding: Binding,
        extent_pages: u64,
        extents: u64,
        mut refused: impl FnMut(CheckpointError) -> Result<(), CheckpointError>,
    ) -> Result<Pages, CheckpointError> {
        let names = device.list()?;
        let there = extents_there(&names);
        let pages = Pages { device, binding, extent_pages, files: Mutex::default() };
        for extent in 0..extents {
            let file = match pages.open_extent(extent) {
                Ok(file) => file,
                Err(error) => {
                    refused(error)?;
                    if extent >= there {
                        break;
                    }
                    let found = pages.device.open(&file_name(extent)).ok();
                    Arc::new(Remains::new(&file_name(extent), found, pages.extent_bytes()))
                }
            };
            lock(&pages.files).push(file);
        }
        Ok(pages)
    }

    fn open_extent(&self, extent: u64) -> Result<Arc<dyn BlockFile>, CheckpointError> {
        let name = file_name(extent);
        let opened = self.device.open(&name).map_err(|error| match error.kind() {
            ErrorKind::NotFound => CheckpointError::Damaged { file: name, offset: 0, what: "is missing" },
            _ => error.into(),
        });
        let file: Arc<dyn BlockFile> = Arc::from(opened?);
        self.check_meta(extent, &*file)?;
        Ok(file)
    }

    /// New files for `extents`, in a directory that has none.
    pub(crate) fn make(
        device: Arc<dyn Device>,
        binding: Binding,
        extent_pages: u64,
        extents: u64,
    ) -> Result<Pages, CheckpointError> {
        let pages = Pages::open(device, binding, extent_pages, 0)?;
        for _ in 0..extents {
            pages.add_extent()?;
        }
        Ok(pages)
    }

    fn check_meta(&self, extent: u64, file: &dyn BlockFile) -> Result<(), CheckpointError> {
        let damaged = |what| CheckpointError::Damaged { file: file_name(extent), offset: 0, what };
        if file.len() != self.extent_bytes() {
            return Err(damaged("has not the length of the pages of this store"));
        }
        let mut found = AlignedBuf::zeroed(PAGE_BYTES);
        file.read_at(0, &mut found)?;
        let version = Cursor::new(&found[HEADER_BYTES + 8..]).u32();
        if let Some(found) =
            version.filter(|&version| found[HEADER_BYTES..].starts_with(MAGIC) && version > VERSION)
        {
            return Err(CheckpointError::Newer { file: file_name(extent), found, supported: VERSION });
        }
        if found[..] == self.meta(extent)[..] {
            return Ok(());
        }
        Err(damaged("is not the first page of pages of this store"))
    }

    /// Checks the first page of each extent once more; `bad` gets what is wrong.
    pub(crate) fn check_extents(&self, mut bad: impl FnMut(CheckpointError)) {
        let files = lock(&self.files).clone();
        for (file, extent) in files.iter().zip(0..) {
            if let Err(error) = self.check_meta(extent, &**file) {
                bad(error);
            }
        }
    }

    fn extent_bytes(&self) -> u64 {
        self.extent_pages * PAGE_BYTES as u64
    }

    pub(crate) fn binding(&self) -> &Binding {
        &self.binding
    }

    /// The first page of an extent. Nothing in it is secret, and nothing of it believed: all of it must be what the manifest says. So it is not
    /// sealed, and stays as it is when the key changes.
    fn meta(&self, extent: u64) -> AlignedBuf {
        encode_meta(&self.binding, extent, self.extent_pages)
    }

    pub(crate) fn extent_pages(&self) -> u64 {
        self.extent_pages
    }

    pub(crate) fn extents(&self) -> u64 {
        lock(&self.files).len() as u64
    }

    /// The pages of an extent that may be used.
    pub(crate) fn usable(&self, extent: u64) -> Range<u64> {
        extent * self.extent_pages + 1..(extent + 1) * self.extent_pages
    }

    /// How many extents begin with these pages.
    pub(crate) fn extents_of(&self, pages: &PageSet) -> u64 {
        pages.last().map_or(0, |page| page.0 / self.extent_pages + 1)
    }

    /// How many pages there are that may be used.
    pub(crate) fn usable_count(&self) -> u64 {
        self.extents() * (self.extent_pages - 1)
    }

    /// No tree on these pages has more entries.
    pub(crate) fn entries_max(&self) -> u64 {
        self.usable_count() * LEAF_ENTRIES_MAX
    }

    /// Whether a link may lead to this page.
    pub(crate) fn may_hold(&self, page: PageId) -> bool {
        page.0 / self.extent_pages < self.extents() && !page.0.is_multiple_of(self.extent_pages)
    }

    /// Adds an extent at the end; returns its number.
    pub(crate) fn add_extent(&self) -> Result<u64, IoError> {
        let mut files = lock(&self.files);
        let extent = files.len() as u64;
        let file = self.device.create(&file_name(extent), self.extent_bytes())?;
        file.write(0, &[&self.meta(extent)])?;
        files.push(Arc::from(file));
        Ok(extent)
    }

    /// Takes the extents from this one on away, and what an attempt that failed left of others.
    pub(crate) fn remove_extents_from(&self, first: u64) -> Result<(), IoError> {
        let mut files = lock(&self.files);
        files.truncate(usize::try_from(first).expect("a number of open files"));
        let mut names = self.device.list()?;
        names.retain(|name| parse_file_name(name).is_some_and(|extent| extent >= first));
        names.iter().rev().try_for_each(|name| self.device.remove(name))
    }

    fn file(&self, page: PageId) -> (Arc<dyn BlockFile>, u64) {
        let (extent, within) = (page.0 / self.extent_pages, page.0 % self.extent_pages);
        (Arc::clone(&lock(&self.files)[extent as usize]), within * PAGE_BYTES as u64)
    }

    /// Fills `into` with pages that are next to each other in one extent. What they are is not looked at.
    pub(crate) fn read(&self, first: PageId, into: &mut [u8]) -> Result<(), IoError> {
        let (file, offset) = self.file(first);
        file.read_at(offset, into)
    }

    /// Writes pages that are next to each other in one extent. They are durable after the next [`Pages::flush`].
    pub(crate) fn write(&self, first: PageId, pages: &[u8]) -> Result<(), IoError> {
        let (file, offset) = self.file(first);
        file.write(offset, &[pages])
    }

    /// Gives back the room of pages that are next to each other in one extent, and that nobody needs.
    pub(crate) fn discard(&self, run: Range<u64>) -> Result<(), IoError> {
        let (file, offset) = self.file(PageId(run.start));
        file.discard(offset, (run.end - run.start) * PAGE_BYTES as u64)
    }

    pub(crate) fn flush(&self) -> Result<(), IoError> {
        let files = lock(&self.files).clone();
        files.iter().try_for_each(|file| file.flush())
    }

    pub(crate) fn damaged(&self, page: PageId, BadPage(what): BadPage) -> CheckpointError {
        let (file, offset) = self.place(page);
        CheckpointError::Damaged { file, offset, what }
    }

    /// Where a page is: its file, and the offset there in bytes.
    pub(crate) fn place(&self, page: PageId) -> (String, u64) {
        let (extent, within) = (page.0 / self.extent_pages, page.0 % self.extent_pages);
        (file_name(extent), within * PAGE_BYTES as u64)
    }
}

/// Where the pages of one tree are, as a checkpoint at `position` knows them.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) pages: &'a Pages,
    pub(crate) space: u32,
    pub(crate) position: Lsn,
}

impl Source<'_> {
    pub(crate) fn bad(&self, at: Link, what: &'static str) -> CheckpointError {
        self.pages.damaged(at.page, BadPage(what))
    }
}

/// How many pages are read at once, when they are next to each other.
const READ_PAGES_MAX: usize = 64;

/// Reads pages of one kind in the order of a list, those that lie next to each other together.
pub(crate) struct Reads<'a> {
    source: Source<'a>,
    kind: Kind,
    links: Vec<Link>,
    /// The next one that is asked for.
    at: usize,
    buffer: AlignedBuf,
    /// Those of the list that are in the buffer.
    held: Range<usize>,
    /// The body of a page that was compressed.
    raw: Vec<u8>,
}

impl<'a> Reads<'a> {
    pub(crate) fn new(source: Source<'a>, kind: Kind, links: Vec<Link>) -> Reads<'a> {
        let buffer = AlignedBuf::zeroed(links.len().min(READ_PAGES_MAX) * PAGE_BYTES);
        Reads { source, kind, links, at: 0, buffer, held: 0..0, raw: Vec::new() }
    }

    /// A single page.
    pub(crate) fn one(source: Source<'a>, kind: Kind, link: Link) -> Reads<'a> {
        Reads::new(source, kind, vec![link])
    }

    /// The next page of the list, which must not be at its end. After an error the one behind it is next.
    pub(crate) fn next(&mut self) -> Result<(Link, Page<'_>), CheckpointError> {
        let (at, link, pages) = (self.at, self.links[self.at], self.source.pages);
        self.at += 1;
        if !pages.may_hold(link.page) {
            return Err(self.source.bad(link, "is where no page can be"));
        }
        if at >= self.held.end {
            self.fill(at)?;
        }
        let offset = (at - self.held.start) * PAGE_BYTES;
        let bytes = &mut self.buffer[offset..offset + PAGE_BYTES];
        let expected = Expected { link, kind: self.kind, space: self.source.space };
        let page = Page::open(bytes, &mut self.raw, &pages.binding, expected);
        page.map(|page| (link, page)).map_err(|bad| pages.damaged(link.page, bad))
    }

    /// Reads a page of the list, and those next to it that are asked for next.
    fn fill(&mut self, at: usize) -> Result<(), CheckpointError> {
        let (pages, first) = (self.source.pages, self.links[at].page);
        let extent = |page: PageId| page.0 / pages.extent_pages;
        let follows = |&(index, link): &(usize, &Link)| {
            link.page.0 == first.0 + index as u64 && extent(link.page) == extent(first)
        };
        let run = self.links[at..].iter().enumerate().take(READ_PAGES_MAX).take_while(follows);
        let count = run.count();
        pages.read(first, &mut self.buffer[..count * PAGE_BYTES])?;
        self.held = at..at + count;
        Ok(())
    }
}
