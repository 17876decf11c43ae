//! Fills pages of one level one after the other.
//!
//! Leaves may be compressed. Then as many entries go into one as are likely to fill its page, and are compressed. If that leaves much of the
//! page free, more are taken in first; if it is too much, the first of them go into this page, and the others into the next. Each try is of
//! at most [`RAW_BYTES_MAX`] bytes, and ends in a page or in one sixteenth more: so what packing costs follows what is packed.
//!
//! [`RAW_BYTES_MAX`]: super::page::RAW_BYTES_MAX

use super::cells::{BranchCell, LeafCell};
use super::compression::{Packed, Press};
use super::draft::Draft;
use super::error::CheckpointError;
use super::page::{Content, Kind, Page, ROOM_BYTES};
use super::tree::Child;
use super::writer::{PageWriter, Writing};
use crate::options::Compression;

/// See the module.
pub(super) struct Packer<'a> {
    pub(super) writer: PageWriter<'a>,
    kind: Kind,
    space: u32,
    draft: Draft,
    /// For leaves that are to be compressed.
    press: Option<Press>,
    cell: Vec<u8>,
    body: Vec<u8>,
    children: Vec<Child>,
    pub(super) entries_added: i64,
}

/// What packing made of some pages: those in their place, and how many entries came and went.
pub(super) struct Filled {
    pub(super) children: Vec<Child>,
    pub(super) entries_added: i64,
}

impl<'a> Packer<'a> {
    pub(super) fn new(writing: &'a Writing<'a>, kind: Kind, space: u32) -> Packer<'a> {
        let is_compressed = kind == Kind::Leaf && writing.compression == Compression::Lz4;
        Packer {
            writer: PageWriter::new(writing),
            kind,
            space,
            draft: Draft::default(),
            press: is_compressed.then(Press::new),
            cell: Vec::new(),
            body: Vec::new(),
            children: Vec::new(),
            entries_added: 0,
        }
    }

    pub(super) fn push_leaf(&mut self, cell: &LeafCell<'_>) -> Result<(), CheckpointError> {
        self.cell.clear();
        cell.encode(&mut self.cell);
        self.push()
    }

    pub(super) fn push_branch(&mut self, child: &Child) -> Result<(), CheckpointError> {
        self.cell.clear();
        BranchCell { low: &child.low, child: child.page }.encode(&mut self.cell);
        self.push()
    }

    fn push(&mut self) -> Result<(), CheckpointError> {
        if self.press.is_none() && self.draft.bytes_with(&self.cell) > ROOM_BYTES {
            self.seal()?;
        }
        self.draft.push(&self.cell);
        while self.press.is_some() && self.draft.bytes() > self.target() {
            self.fill_page()?;
        }
        Ok(())
    }

    /// As many bytes of entries are likely to fill a page.
    fn target(&self) -> usize {
        self.press.as_ref().map_or(ROOM_BYTES, Press::target)
    }

    /// What is to be packed next comes from this page, which held all of it.
    pub(super) fn expect(&mut self, page: &Page<'_>) {
        if let Some(press) = self.press.as_mut().filter(|_| page.is_compressed()) {
            press.expect(page.raw_bytes());
        }
    }

    /// Whether the draft would be left half empty.
    pub(super) fn wants_neighbour(&mut self) -> bool {
        if self.draft.is_empty() {
            return false;
        }
        if self.draft.bytes() > ROOM_BYTES / 2
            && let Some(press) = &mut self.press
        {
            // So that the target is what these entries tell.
            press.pack(&self.draft, self.draft.count());
        }
        self.draft.bytes() < self.target() / 2
    }

    /// Whether so many bytes of entries are likely to fit the page with what is there.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.draft.bytes() + bytes <= self.target()
    }

    /// Takes a page over as it is.
    pub(super) fn keep(&mut self, child: Child) -> Result<(), CheckpointError> {
        self.seal()?;
        self.children.push(child);
        Ok(())
    }

    fn seal(&mut self) -> Result<(), CheckpointError> {
        while !self.draft.is_empty() {
            self.write_first(None)?;
        }
        Ok(())
    }

    /// More than the target is there: writes a page of it, or raises the target.
    fn fill_page(&mut self) -> Result<(), CheckpointError> {
        let Some(press) = &mut self.press else { return self.seal() };
        let packed = press.pack(&self.draft, self.draft.count());
        if packed.fits() && press.target() >= packed.raw_bytes + packed.raw_bytes / 16 {
            return Ok(());
        }
        self.write_first(Some(packed))
    }

    /// Writes a page of as many entries as fit it. All of them together may have been tried already.
    fn write_first(&mut self, mut tried: Option<Packed>) -> Result<(), CheckpointError> {
        let mut count = self.draft.count();
        while let Some(press) = self.press.as_mut().filter(|_| count > self.draft.count_within(ROOM_BYTES)) {
            let packed = tried.take().unwrap_or_else(|| press.pack(&self.draft, count));
            if packed.fits() {
                return self.write_packed(packed, count);
            }
            count = self.draft.count_within(packed.filling());
        }
        count = self.draft.count_within(ROOM_BYTES);
        let mut body = std::mem::take(&mut self.body);
        self.draft.copy_first(count, &mut body);
        self.write(&body, count, false)?;
        self.body = body;
        Ok(())
    }

    fn write_packed(&mut self, packed: Packed, count: usize) -> Result<(), CheckpointError> {
        let press = self.press.take().expect("it has packed this");
        let written = self.write(press.body(packed), count, true);
        self.press = Some(press);
        written
    }

    fn write(&mut self, body: &[u8], count: usize, is_compressed: bool) -> Result<(), CheckpointError> {
        assert!(count > 0, "an entry fits a page");
        let content = Content { kind: self.kind, space: self.space, slots: count, is_compressed, body };
        let page = self.writer.write(content)?;
        self.children.push(Child { low: self.first_key().into(), page });
        self.draft.remove_first(count);
        Ok(())
    }

    fn first_key(&self) -> &[u8] {
        let cell = self.draft.first_cell();
        let key = match self.kind {
            Kind::Branch => BranchCell::decode(cell).map(|cell| cell.low),
            _ => LeafCell::decode(cell).map(|cell| cell.key),
        };
        key.expect("it was encoded here")
    }

    pub(super) fn finish(mut self) -> Result<Filled, CheckpointError> {
        self.seal()?;
        self.writer.finish()?;
        Ok(Filled { children: self.children, entries_added: self.entries_added })
    }
}
