//! Pages: what a checkpoint's files are made of. `docs/formats.md` has every byte.
//!
//! ```text
//!   0        4    5     6     8       16       24   26         27 28    32   40  56
//!   ┌────────┬────┬─────┬─────┬───────┬────────┬────┬──────────┬─┬─────┬────┬───┬─────────────┬────────────┬───── ─ ─ ─┐
//!   │ CRC-32C│kind│flags│slots│page id│position│free│generation│0│space│salt│tag│ slot … slot │ cell … cell│   free    │
//!   └────────┴────┴─────┴─────┴───────┴────────┴────┴──────────┴─┴─────┴────┴───┴─────────────┴────────────┴───── ─ ─ ─┘
//! ```
//!
//! - A slot says how far behind the last slot a cell begins. Slots and cells are in the order of their keys.
//! - A page carries its own id, and its checksum begins with the store's: neither a page of another store nor one that lies at
//!   another's place is taken for it. In an encrypted store what is behind the header is sealed, and the tag vouches for both (`seal`).
//! - A page is never changed. What changes is written to other pages, which get other parents.
//!
//! Nothing of a page is trusted: what is not there, or not where it can be, reads as [`None`].

use super::cells::{BranchCell, LeafCell};
use super::compression;
use super::seal::{Binding, Sealer};
use crate::format::Cursor;
use crate::io::BLOCK;
use crate::lsn::Lsn;

pub(crate) const PAGE_BYTES: usize = 8192;
const _: () = assert!(PAGE_BYTES.is_multiple_of(BLOCK));
pub(crate) const HEADER_BYTES: usize = 56;
pub(super) const SLOT_BYTES: usize = 2;
/// What slots and cells share.
pub(crate) const ROOM_BYTES: usize = PAGE_BYTES - HEADER_BYTES;
/// Two cells of this length fit one page.
pub(crate) const CELL_BYTES_MAX: usize = ROOM_BYTES / 2 - SLOT_BYTES;
/// What slots and cells of a leaf have at most before they are compressed.
pub(super) const RAW_BYTES_MAX: usize = 4 * PAGE_BYTES;
/// More entries do not fit a leaf: each has a slot, two lengths and a position.
pub(crate) const LEAF_ENTRIES_MAX: u64 = (RAW_BYTES_MAX / (SLOT_BYTES + 2 + 4 + 8)) as u64;
/// The bytes that one page of a chain holds, behind the link to the next.
pub(crate) const OVERFLOW_BYTES: usize = ROOM_BYTES - LINK_BYTES;

/// Where a page is: its place in the row of all pages. Page 0 of each file describes the file, so no link leads to page 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct PageId(pub(crate) u64);

/// Which page is meant, and by which checkpoint it was written. A checkpoint writes a page once at most, so this tells it from whatever was there
/// before, and comes after.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Link {
    pub(crate) page: PageId,
    pub(crate) position: Lsn,
}

/// The bytes of a link: page (8), position (8).
pub(crate) const LINK_BYTES: usize = 16;

impl Link {
    /// None if no page can be meant.
    pub(crate) fn decode(cursor: &mut Cursor<'_>) -> Option<Link> {
        let (page, position) = (PageId(cursor.u64()?), Lsn::read(cursor.u64()?)?);
        (page.0 != 0).then_some(Link { page, position })
    }

    /// A link that may lead nowhere; [`Link::decode`] gives none then.
    pub(crate) fn encode_optional(link: Option<Link>) -> [u8; LINK_BYTES] {
        link.map_or([0; LINK_BYTES], Link::encode)
    }

    pub(crate) fn encode(self) -> [u8; LINK_BYTES] {
        let mut bytes = [0; LINK_BYTES];
        bytes[..8].copy_from_slice(&self.page.0.to_le_bytes());
        bytes[8..].copy_from_slice(&self.position.get().to_le_bytes());
        bytes
    }
}

/// What a page is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// The first page of a file: whose it is.
    Meta = 1,
    /// Keys, and the pages below which they are.
    Branch = 2,
    /// Keys with their values.
    Leaf = 3,
    /// A part of a value that is too long for its leaf.
    Overflow = 4,
    /// A part of the free map.
    Free = 5,
}

/// A page that is not what it should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BadPage(pub(crate) &'static str);

/// What a page must be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) link: Link,
    pub(crate) kind: Kind,
    pub(crate) space: u32,
}

/// What goes on a page, and what is said of it.
#[derive(Clone, Copy)]
pub(super) struct Content<'a> {
    pub(super) kind: Kind,
    pub(super) space: u32,
    pub(super) slots: usize,
    pub(super) is_compressed: bool,
    pub(super) body: &'a [u8],
}

/// The body is a leaf's that was compressed.
const COMPRESSED: u8 = 1;

/// A page's bytes: whole and its own, as far as its checksum says.
#[derive(Clone, Copy)]
pub(crate) struct Page<'a> {
    body: &'a [u8],
    slots: usize,
    is_compressed: bool,
}

impl<'a> Page<'a> {
    /// Checks a page that was read. A body that is sealed is opened where it is; one that is compressed comes to be in `raw`.
    pub(super) fn open(
        bytes: &'a mut [u8],
        raw: &'a mut Vec<u8>,
        binding: &Binding,
        expected: Expected,
    ) -> Result<Page<'a>, BadPage> {
        if bytes.len() != PAGE_BYTES {
            return Err(BadPage("is cut off"));
        }
        if !binding.is_intact(bytes) {
            return Err(BadPage("does not agree with its checksum"));
        }
        let header = Header::read(bytes).ok_or(BadPage("is cut off"))?;
        header.check(expected)?;
        binding.open(bytes)?;
        let stored = &bytes[HEADER_BYTES..PAGE_BYTES - usize::from(header.free)];
        let is_compressed = header.flags == COMPRESSED;
        let body = if is_compressed { compression::unpack_leaf(stored, raw)? } else { stored };
        Ok(Page { body, slots: header.slots.into(), is_compressed })
    }

    /// A page as what it says that it is; none unless it is whole and in its place.
    pub(crate) fn by_itself(
        bytes: &'a mut [u8],
        raw: &'a mut Vec<u8>,
        binding: &Binding,
        page: PageId,
    ) -> Option<(Page<'a>, Expected)> {
        let header = Header::read(bytes)?;
        let kind =
            [Kind::Branch, Kind::Leaf, Kind::Overflow].into_iter().find(|kind| *kind as u8 == header.kind)?;
        let link = Link { page, position: Lsn::read(header.position)? };
        let expected = Expected { link, kind, space: header.space };
        Some((Page::open(bytes, raw, binding, expected).ok()?, expected))
    }

    /// Whether a page says that it is in its place, and written by a checkpoint no later than `position`.
    pub(crate) fn is_in_place(bytes: &[u8], page: PageId, position: Lsn) -> bool {
        let mut cursor = Cursor::new(&bytes[8..24]);
        cursor.u64() == Some(page.0) && cursor.u64().is_some_and(|written| written <= position.get())
    }

    /// Lays out a whole page.
    pub(super) fn write(content: Content<'_>, link: Link, sealer: &Sealer<'_>, out: &mut [u8]) {
        let free = ROOM_BYTES.checked_sub(content.body.len()).expect("whoever fills a page knows its room");
        out.fill(0);
        out[4] = content.kind as u8;
        out[5] = if content.is_compressed { COMPRESSED } else { 0 };
        out[6..8].copy_from_slice(&(content.slots as u16).to_le_bytes());
        out[8..24].copy_from_slice(&link.encode());
        out[24..26].copy_from_slice(&(free as u16).to_le_bytes());
        out[28..32].copy_from_slice(&content.space.to_le_bytes());
        out[HEADER_BYTES..][..content.body.len()].copy_from_slice(content.body);
        sealer.complete(out);
    }

    pub(crate) fn slots(&self) -> usize {
        self.slots
    }

    /// What slots and cells take when they are not compressed.
    pub(super) fn raw_bytes(&self) -> usize {
        self.body.len()
    }

    pub(super) fn is_compressed(&self) -> bool {
        self.is_compressed
    }

    /// What lies between the cell's beginning and the body's end: the cell's own lengths say where it ends.
    fn cell(&self, slot: usize) -> Option<&'a [u8]> {
        let offset = Cursor::new(self.body.get(slot * SLOT_BYTES..)?).u16()?;
        self.body.get(self.slots * SLOT_BYTES + usize::from(offset)..)
    }

    pub(crate) fn leaf_cell(&self, slot: usize) -> Option<LeafCell<'a>> {
        LeafCell::decode(self.cell(slot)?)
    }

    pub(crate) fn branch_cell(&self, slot: usize) -> Option<BranchCell<'a>> {
        BranchCell::decode(self.cell(slot)?)
    }

    /// The next page of the chain, and this one's part of what lies in it.
    pub(crate) fn part(&self, part_bytes: usize) -> Option<(Option<Link>, &'a [u8])> {
        let (link, part) = self.body.split_at_checked(LINK_BYTES)?;
        Some((Link::decode(&mut Cursor::new(link)), part.get(..part_bytes)?))
    }
}

/// What a page says of itself, its checksum left out.
struct Header {
    kind: u8,
    flags: u8,
    slots: u16,
    page: u64,
    position: u64,
    free: u16,
    space: u32,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Header> {
        let mut cursor = Cursor::new(bytes.get(4..HEADER_BYTES)?);
        let (kind, flags, slots) = (cursor.u8()?, cursor.u8()?, cursor.u16()?);
        let (page, position, free) = (cursor.u64()?, cursor.u64()?, cursor.u16()?);
        cursor.take(2)?;
        Some(Header { kind, flags, slots, page, position, free, space: cursor.u32()? })
    }

    fn check(&self, expected: Expected) -> Result<(), BadPage> {
        if self.page != expected.link.page.0 {
            return Err(BadPage("belongs to another place"));
        }
        if self.kind != expected.kind as u8 || self.space != expected.space {
            return Err(BadPage("is of another kind, or of another keyspace"));
        }
        if self.position != expected.link.position.get() {
            return Err(BadPage("is what an earlier or a later checkpoint wrote"));
        }
        if self.flags & !COMPRESSED != 0 || (self.flags == COMPRESSED && expected.kind != Kind::Leaf) {
            return Err(BadPage("has a flag that no page of its kind has"));
        }
        if usize::from(self.free) > ROOM_BYTES {
            return Err(BadPage("says that more of it is free than there is"));
        }
        Ok(())
    }
}
