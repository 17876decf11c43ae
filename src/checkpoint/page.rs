//! Pages: what a checkpoint's files are made of. `docs/formats.md` has every byte.
//!
//! ```text
//!   0         4     5    6        8          16          24       26       28        32
//!   ┌─────────┬─────┬────┬────────┬──────────┬───────────┬────────┬────────┬─────────┬─────────────┬──── ─ ─ ─ ────┬─────────┐
//!   │ CRC-32C │kind │  0 │ slots  │ page id  │ position  │  free  │   0    │  space  │ slot … slot │     free      │ cells … │
//!   └─────────┴─────┴────┴────────┴──────────┴───────────┴────────┴────────┴─────────┴─────────────┴──── ─ ─ ─ ────┴─────────┘
//! ```
//!
//! - A slot says where a cell begins. Slots are in the order of their keys; cells fill the page from its end.
//! - A page carries its own id, and its checksum begins with the store's: neither a page of another store nor one that lies at
//!   another's place is taken for it.
//! - A page is never changed. What changes is written to other pages, which get other parents.
//!
//! Nothing of a page is trusted: what is not there, or not where it can be, reads as [`None`].

use crate::format::Cursor;
use crate::io::{AlignedBuf, BLOCK};
use crate::lsn::Lsn;

pub(crate) const PAGE_BYTES: usize = 8192;
const _: () = assert!(PAGE_BYTES.is_multiple_of(BLOCK));
pub(crate) const HEADER_BYTES: usize = 32;
const SLOT_BYTES: usize = 2;
/// What slots and cells share.
pub(crate) const ROOM_BYTES: usize = PAGE_BYTES - HEADER_BYTES;
/// Two cells of this length fit one page.
pub(crate) const CELL_BYTES_MAX: usize = ROOM_BYTES / 2 - SLOT_BYTES;
/// More entries do not fit a leaf: each has a slot, two lengths and a position.
pub(crate) const LEAF_ENTRIES_MAX: u64 = (ROOM_BYTES / (SLOT_BYTES + 2 + 4 + 8)) as u64;
/// The bytes of a value that one overflow page holds, behind the number of the next.
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
}

/// A page that is not what it should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BadPage(pub(crate) &'static str);

/// A page's bytes: whole and its own, as far as its checksum says.
#[derive(Clone, Copy)]
pub(crate) struct Page<'a> {
    bytes: &'a [u8],
    slots: usize,
}

/// What a page must be.
#[derive(Clone, Copy)]
pub(crate) struct Expected {
    pub(crate) link: Link,
    pub(crate) kind: Kind,
    pub(crate) space: u32,
}

impl<'a> Page<'a> {
    pub(crate) fn check(bytes: &'a [u8], seed: u32, expected: Expected) -> Result<Page<'a>, BadPage> {
        if bytes.len() != PAGE_BYTES {
            return Err(BadPage("is cut off"));
        }
        if !Page::is_intact(bytes, seed) {
            return Err(BadPage("does not agree with its checksum"));
        }
        let mut cursor = Cursor::new(&bytes[4..]);
        let header = (|| Some((cursor.u8()?, cursor.u8()?, cursor.u16()?, cursor.u64()?, cursor.u64()?)))();
        let (kind, _, slots, id, position) = header.ok_or(BadPage("is cut off"))?;
        if id != expected.link.page.0 {
            return Err(BadPage("belongs to another place"));
        }
        if kind != expected.kind as u8 || field(bytes, 28) != Some(expected.space) {
            return Err(BadPage("is of another kind, or of another keyspace"));
        }
        if position != expected.link.position.get() {
            return Err(BadPage("is what an earlier or a later checkpoint wrote"));
        }
        Ok(Page { bytes, slots: slots.into() })
    }

    /// Whether the checksum of a whole page agrees.
    pub(crate) fn is_intact(bytes: &[u8], seed: u32) -> bool {
        cfg!(fuzzing) || field(bytes, 0) == Some(crc32c::crc32c_append(seed, &bytes[4..]))
    }

    /// Whether a page says that it is in its place, and written by a checkpoint no later than `position`.
    pub(crate) fn is_in_place(bytes: &[u8], page: PageId, position: Lsn) -> bool {
        let mut cursor = Cursor::new(&bytes[8..24]);
        cursor.u64() == Some(page.0) && cursor.u64().is_some_and(|written| written <= position.get())
    }

    /// A page as what it says that it is; none unless it is whole and in its place.
    pub(crate) fn by_itself(bytes: &'a [u8], seed: u32, page: PageId) -> Option<(Page<'a>, Expected)> {
        let kind = [Kind::Branch, Kind::Leaf, Kind::Overflow]
            .into_iter()
            .find(|kind| bytes.get(4) == Some(&(*kind as u8)))?;
        let link = Link { page, position: Lsn::read(Cursor::new(bytes.get(16..)?).u64()?)? };
        let expected = Expected { link, kind, space: field(bytes, 28)? };
        Some((Page::check(bytes, seed, expected).ok()?, expected))
    }

    pub(crate) fn slots(&self) -> usize {
        self.slots
    }

    /// What lies between the cell's beginning and the page's end: the cell's own lengths say where it ends.
    fn cell(&self, slot: usize) -> Option<&'a [u8]> {
        let at = HEADER_BYTES + slot * SLOT_BYTES;
        let offset = Cursor::new(self.bytes.get(at..at + SLOT_BYTES)?).u16()?;
        self.bytes.get(offset.into()..)
    }

    pub(crate) fn leaf_cell(&self, slot: usize) -> Option<LeafCell<'a>> {
        LeafCell::decode(self.cell(slot)?)
    }

    pub(crate) fn branch_cell(&self, slot: usize) -> Option<BranchCell<'a>> {
        BranchCell::decode(self.cell(slot)?)
    }

    /// The next page of the value, and this one's part of it.
    pub(crate) fn overflow(&self, part_bytes: usize) -> Option<(Option<Link>, &'a [u8])> {
        let (link, part) = self.bytes[HEADER_BYTES..].split_at(LINK_BYTES);
        Some((Link::decode(&mut Cursor::new(link)), part.get(..part_bytes)?))
    }
}

fn field(bytes: &[u8], at: usize) -> Option<u32> {
    Cursor::new(bytes.get(at..)?).u32()
}

/// A value in a leaf, or where it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stored<'a> {
    Inline(&'a [u8]),
    Overflow { first: Link, bytes: u32 },
}

/// An entry of a leaf: length of the key (2), length of the value (4, the highest bit if it overflows), position (8), key, then the value
/// or the link to its first page (16).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LeafCell<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) lsn: Lsn,
    pub(crate) value: Stored<'a>,
}

const OVERFLOWS: u32 = 1 << 31;

impl<'a> LeafCell<'a> {
    /// The length of an entry whose value is inline.
    pub(crate) fn inline_bytes(key: &[u8], value: &[u8]) -> usize {
        2 + 4 + 8 + key.len() + value.len()
    }

    fn decode(bytes: &'a [u8]) -> Option<LeafCell<'a>> {
        let mut cursor = Cursor::new(bytes);
        let key_bytes = cursor.u16()?;
        let value_bytes = cursor.u32()?;
        let lsn = Lsn::read(cursor.u64()?)?;
        let key = cursor.take(key_bytes.into())?;
        let value = if value_bytes & OVERFLOWS == 0 {
            Stored::Inline(cursor.take(value_bytes as usize)?)
        } else {
            Stored::Overflow { first: Link::decode(&mut cursor)?, bytes: value_bytes & !OVERFLOWS }
        };
        Some(LeafCell { key, lsn, value })
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let key_bytes = u16::try_from(self.key.len()).expect("keys are short");
        let value_bytes = match self.value {
            Stored::Inline(value) => u32::try_from(value.len()).expect("it fits a page"),
            Stored::Overflow { bytes, .. } => bytes | OVERFLOWS,
        };
        out.extend_from_slice(&key_bytes.to_le_bytes());
        out.extend_from_slice(&value_bytes.to_le_bytes());
        out.extend_from_slice(&self.lsn.get().to_le_bytes());
        out.extend_from_slice(self.key);
        match self.value {
            Stored::Inline(value) => out.extend_from_slice(value),
            Stored::Overflow { first, .. } => out.extend_from_slice(&first.encode()),
        }
    }
}

/// An entry of a branch: length of the key (2), link (16), key. Every key below the page is at or above this one, and below the next one's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BranchCell<'a> {
    pub(crate) low: &'a [u8],
    pub(crate) child: Link,
}

impl<'a> BranchCell<'a> {
    fn decode(bytes: &'a [u8]) -> Option<BranchCell<'a>> {
        let mut cursor = Cursor::new(bytes);
        let key_bytes = cursor.u16()?;
        let child = Link::decode(&mut cursor)?;
        Some(BranchCell { low: cursor.take(key_bytes.into())?, child })
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let key_bytes = u16::try_from(self.low.len()).expect("keys are short");
        out.extend_from_slice(&key_bytes.to_le_bytes());
        out.extend_from_slice(&self.child.encode());
        out.extend_from_slice(self.low);
    }
}

/// A page in the making.
pub(crate) struct Draft {
    bytes: AlignedBuf,
    slots: usize,
    cells_at: usize,
}

impl Draft {
    pub(crate) fn new() -> Draft {
        Draft { bytes: AlignedBuf::zeroed(PAGE_BYTES), slots: 0, cells_at: PAGE_BYTES }
    }

    fn free_bytes(&self) -> usize {
        self.cells_at - HEADER_BYTES - self.slots * SLOT_BYTES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots == 0
    }

    /// Whether it would do its neighbour good to come in with it.
    pub(crate) fn is_sparse(&self) -> bool {
        self.free_bytes() > ROOM_BYTES / 2
    }

    pub(crate) fn has_room(&self, cell_bytes: usize) -> bool {
        cell_bytes + SLOT_BYTES <= self.free_bytes()
    }

    /// Puts a cell behind the others; its key is the greatest.
    pub(crate) fn push(&mut self, cell: &[u8]) {
        assert!(self.has_room(cell.len()), "whoever pushes has asked for room");
        self.cells_at -= cell.len();
        self.bytes[self.cells_at..][..cell.len()].copy_from_slice(cell);
        let slot = u16::try_from(self.cells_at).expect("a page is shorter than 64 KiB");
        self.bytes[HEADER_BYTES + self.slots * SLOT_BYTES..][..SLOT_BYTES]
            .copy_from_slice(&slot.to_le_bytes());
        self.slots += 1;
    }

    /// What the first page of a file says.
    pub(crate) fn meta(fields: &[u8]) -> Draft {
        let mut draft = Draft::new();
        draft.bytes[HEADER_BYTES..][..fields.len()].copy_from_slice(fields);
        draft.cells_at = HEADER_BYTES;
        draft
    }

    /// A part of a value, and the page that the next part is on.
    pub(crate) fn overflow(next: Option<Link>, part: &[u8]) -> Draft {
        assert!(part.len() <= OVERFLOW_BYTES, "whoever splits a value knows how long a part may be");
        let mut draft = Draft::new();
        draft.bytes[HEADER_BYTES..][..LINK_BYTES].copy_from_slice(&Link::encode_optional(next));
        draft.bytes[HEADER_BYTES + LINK_BYTES..][..part.len()].copy_from_slice(part);
        draft.cells_at = HEADER_BYTES + OVERFLOW_BYTES - part.len();
        draft
    }

    /// The whole page, and an empty draft in its place.
    pub(crate) fn finish(&mut self, what: Expected, seed: u32, out: &mut [u8]) {
        let free = u16::try_from(self.free_bytes()).expect("a page is shorter than 64 KiB");
        let bytes = &mut self.bytes;
        bytes[4] = what.kind as u8;
        bytes[6..8].copy_from_slice(&(self.slots as u16).to_le_bytes());
        bytes[8..24].copy_from_slice(&what.link.encode());
        bytes[24..26].copy_from_slice(&free.to_le_bytes());
        bytes[28..32].copy_from_slice(&what.space.to_le_bytes());
        let crc = crc32c::crc32c_append(seed, &bytes[4..]);
        bytes[..4].copy_from_slice(&crc.to_le_bytes());
        out.copy_from_slice(bytes);
        bytes.fill(0);
        (self.slots, self.cells_at) = (0, PAGE_BYTES);
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    const SEED: u32 = 5;
    const LINK: Link = Link { page: PageId(3), position: Lsn::new(64) };
    const WHAT: Expected = Expected { link: LINK, kind: Kind::Leaf, space: 8 };

    fn finished(draft: &mut Draft, what: Expected) -> Vec<u8> {
        let mut bytes = vec![0; PAGE_BYTES];
        draft.finish(what, SEED, &mut bytes);
        bytes
    }

    fn cells(count: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        (0..count).map(|n| (vec![n as u8; 1 + n % 30], vec![n as u8; n * 13 % 300])).collect()
    }

    #[test]
    fn holds_what_was_pushed() {
        let (mut draft, mut pushed, mut cell) = (Draft::new(), Vec::new(), Vec::new());
        for (key, value) in cells(200) {
            cell.clear();
            LeafCell { key: &key, lsn: Lsn::new(8), value: Stored::Inline(&value) }.encode(&mut cell);
            assert_eq!(cell.len(), LeafCell::inline_bytes(&key, &value));
            if !draft.has_room(cell.len()) {
                break;
            }
            draft.push(&cell);
            pushed.push((key, value));
        }
        assert!(!draft.is_sparse() && pushed.len() > 20);
        let bytes = finished(&mut draft, WHAT);
        let page = Page::check(&bytes, SEED, WHAT).unwrap();
        assert_eq!(page.slots(), pushed.len());
        for (slot, (key, value)) in pushed.iter().enumerate() {
            let expected = LeafCell { key, lsn: Lsn::new(8), value: Stored::Inline(value) };
            assert_eq!(page.leaf_cell(slot), Some(expected));
        }
        assert_eq!(page.leaf_cell(PAGE_BYTES), None);
        assert!(draft.is_empty(), "it begins anew");
    }

    #[test]
    fn two_of_the_longest_cells_fit() {
        let mut draft = Draft::new();
        for _ in 0..2 {
            assert!(draft.has_room(CELL_BYTES_MAX));
            draft.push(&[1; CELL_BYTES_MAX]);
        }
        assert!(!draft.has_room(1));
    }

    #[test]
    fn another_place_store_kind_keyspace_or_time_is_found() {
        let mut draft = Draft::new();
        draft.push(&[1; 20]);
        let bytes = finished(&mut draft, WHAT);
        assert!(Page::check(&bytes, SEED, WHAT).is_ok());
        let (_, own) = Page::by_itself(&bytes, SEED, LINK.page).unwrap();
        assert_eq!((own.link, own.kind, own.space), (LINK, WHAT.kind, WHAT.space));
        assert!(
            Page::by_itself(&bytes, SEED + 1, LINK.page).is_none()
                && Page::by_itself(&bytes, SEED, PageId(4)).is_none()
        );
        assert!(Page::check(&bytes, SEED + 1, WHAT).is_err());
        for other in [
            Expected { link: Link { page: PageId(4), ..LINK }, ..WHAT },
            Expected { kind: Kind::Branch, ..WHAT },
            Expected { space: 9, ..WHAT },
            Expected { link: Link { position: Lsn::new(56), ..LINK }, ..WHAT },
            Expected { link: Link { position: Lsn::new(72), ..LINK }, ..WHAT },
        ] {
            assert!(Page::check(&bytes, SEED, other).is_err());
        }
        for bit in 0..PAGE_BYTES * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Page::check(&flipped, SEED, WHAT).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_part_of_a_value_comes_back() {
        for (next, len) in [(None, 1), (Some(LINK), OVERFLOW_BYTES), (None, OVERFLOW_BYTES - 1)] {
            let part = vec![9; len];
            let what = Expected { kind: Kind::Overflow, ..WHAT };
            let bytes = finished(&mut Draft::overflow(next, &part), what);
            let page = Page::check(&bytes, SEED, what).unwrap();
            assert_eq!(page.overflow(len), Some((next, &part[..])));
            assert_eq!(page.overflow(OVERFLOW_BYTES + 1), None);
        }
    }

    /// Whatever a page with a right checksum says, reading it does no harm.
    #[test]
    fn hostile_pages_are_read_without_harm() {
        let mut random = fastrand::Rng::with_seed(4);
        for _ in 0..2_000 {
            let mut draft = Draft::new();
            random.fill(&mut draft.bytes);
            draft.slots = random.usize(0..1 << 16);
            let mut bytes = draft.bytes.to_vec();
            bytes[4] = WHAT.kind as u8;
            bytes[6..8].copy_from_slice(&(draft.slots as u16).to_le_bytes());
            bytes[8..24].copy_from_slice(&LINK.encode());
            bytes[28..32].copy_from_slice(&WHAT.space.to_le_bytes());
            let crc = crc32c::crc32c_append(SEED, &bytes[4..]);
            bytes[..4].copy_from_slice(&crc.to_le_bytes());
            let page = Page::check(&bytes, SEED, WHAT).unwrap();
            for slot in 0..page.slots() {
                let _ = (page.leaf_cell(slot), page.branch_cell(slot));
            }
            let _ = page.overflow(random.usize(0..PAGE_BYTES));
        }
    }
}
