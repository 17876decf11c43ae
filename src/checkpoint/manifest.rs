//! The manifest: the one file that makes pages a checkpoint.
//!
//! It is written last, under a name of its own with a number that grows, and the one before is removed when it has been read back. So there
//! is always a whole one, and the pages and the log that it needs are there: what is no longer needed is given up after that.

use super::error::CheckpointError;
use super::page::{LINK_BYTES, Link};
use super::tree::{Root, Tree};
use crate::format::{Cursor, numbered, parse_numbered};
use crate::io::{AlignedBuf, BLOCK, Device, IoError};
use crate::log::frame::Session;
use crate::log::reader::Start;
use crate::log::segment::StoreId;
use crate::lsn::Lsn;
use std::time::{Duration, SystemTime};

const MAGIC: &[u8; 8] = b"SKIPMANI";
pub(crate) const VERSION: u32 = 1;
const PREFIX: &str = "manifest-";
/// What a manifest is called until it is whole.
pub(crate) const UNFINISHED_NAME: &str = "manifest.new";

/// Room for a million keyspaces many times over.
const MANIFEST_BYTES_MAX: u64 = 1 << 30;
/// More files than a directory holds, and more pages than a file does: so no product of the two overflows.
const FILES_OR_PAGES_MAX: u64 = 1 << 32;

pub(crate) fn file_name(number: u64) -> String {
    numbered(PREFIX, number)
}

pub(crate) fn parse_file_name(name: &str) -> Option<u64> {
    parse_numbered(PREFIX, name)
}

/// Why a manifest is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum BadManifest {
    Damaged(&'static str),
    /// Of a newer version of the program.
    Newer(u32),
}

impl BadManifest {
    fn of_file(self, file: &str) -> CheckpointError {
        match self {
            BadManifest::Damaged(what) => damaged(file, what),
            BadManifest::Newer(found) => {
                CheckpointError::Newer { file: file.to_owned(), found, supported: VERSION }
            }
        }
    }
}

/// What a checkpoint is made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Manifest {
    /// Grows by one with each checkpoint.
    pub(crate) number: u64,
    /// Everything committed below is in the pages, and nothing else.
    pub(crate) position: Lsn,
    /// From here on the log is needed: a transaction that committed above `position` may have begun to write below it.
    pub(crate) log_from: Lsn,
    /// The session of the log there.
    pub(crate) session: Session,
    pub(crate) written: SystemTime,
    pub(crate) extent_pages: u64,
    pub(crate) extents: u64,
    pub(crate) trees: Vec<Tree>,
}

impl Manifest {
    fn encode(&self, store: &StoreId) -> AlignedBuf {
        let mut out = Vec::with_capacity(BLOCK);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(store);
        let since = self.written.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let milliseconds = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let words = [
            self.number,
            self.position.get(),
            self.log_from.get(),
            milliseconds,
            self.extent_pages,
            self.extents,
        ];
        words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        out.extend_from_slice(&self.session.0.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(
            &u32::try_from(self.trees.len()).expect("keyspaces have numbers of 32 bits").to_le_bytes(),
        );
        for tree in &self.trees {
            out.extend_from_slice(&tree.space.to_le_bytes());
            out.extend_from_slice(&tree.root.map_or(0, |root| u32::from(root.height)).to_le_bytes());
            out.extend_from_slice(&Link::encode_optional(tree.root.map(|root| root.page)));
            out.extend_from_slice(&tree.entries.to_le_bytes());
        }
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        let mut blocks = AlignedBuf::zeroed(out.len().next_multiple_of(BLOCK));
        blocks[..out.len()].copy_from_slice(&out);
        blocks
    }

    /// Reads what [`Manifest::encode`] made.
    fn decode(bytes: &[u8], store: &StoreId) -> Result<Manifest, BadManifest> {
        let (mut cursor, cut_off) = (Cursor::new(bytes), BadManifest::Damaged("is cut off"));
        if cursor.take(8) != Some(MAGIC) {
            return Err(BadManifest::Damaged("does not begin as a manifest does"));
        }
        let version = cursor.u32().ok_or(cut_off)?;
        if version > VERSION {
            return Err(BadManifest::Newer(version));
        }
        cursor.take(4).ok_or(cut_off)?;
        let is_ours = cursor.take(16) == Some(store);
        let manifest = Manifest::decode_fields(&mut cursor).ok_or(cut_off)?;
        let len = bytes.len() - cursor.rest().len();
        let checksum = cursor.u32().ok_or(cut_off)?;
        if checksum != crc32c::crc32c(&bytes[..len]) && !cfg!(fuzzing) {
            return Err(BadManifest::Damaged("does not agree with its checksum"));
        }
        if !is_ours {
            return Err(BadManifest::Damaged("belongs to another store"));
        }
        let is_sound =
            [manifest.log_from, manifest.position].iter().all(|lsn| Lsn::read(lsn.get()).is_some())
                && manifest.log_from <= manifest.position
                && (2..=FILES_OR_PAGES_MAX).contains(&manifest.extent_pages)
                && manifest.extents <= FILES_OR_PAGES_MAX
                && manifest.trees.is_sorted_by(|a, b| a.space < b.space)
                && manifest.trees.iter().all(|tree| tree.root.is_some() || tree.entries == 0);
        let senseless = BadManifest::Damaged("says what no version of this program writes");
        if is_sound { Ok(manifest) } else { Err(senseless) }
    }

    fn decode_fields(cursor: &mut Cursor<'_>) -> Option<Manifest> {
        let number = cursor.u64()?;
        let (position, log_from) = (Lsn::new(cursor.u64()?), Lsn::new(cursor.u64()?));
        let written = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(cursor.u64()?))?;
        let (extent_pages, extents) = (cursor.u64()?, cursor.u64()?);
        let session = Session(cursor.u16()?);
        cursor.take(2)?;
        let mut trees = Vec::new();
        for _ in 0..cursor.u32()? {
            let (space, height) = (cursor.u32()?, u8::try_from(cursor.u32()?).ok()?);
            let link = Link::decode(&mut Cursor::new(cursor.take(LINK_BYTES)?));
            let (root, entries) = (link.map(|page| Root { page, height }), cursor.u64()?);
            trees.push(Tree { space, root, entries });
        }
        Some(Manifest { number, position, log_from, session, written, extent_pages, extents, trees })
    }

    /// Where to begin reading the log that is needed beside this.
    pub(crate) fn log_start(&self) -> Start {
        // The log's first frame begins its session.
        let session = (self.log_from != Lsn::ZERO).then_some(self.session);
        Start { lsn: self.log_from, session }
    }

    pub(crate) fn entries(&self) -> u64 {
        self.trees.iter().fold(0, |sum, tree| sum.saturating_add(tree.entries))
    }

    /// Writes this durably, under a name that nobody looks at.
    pub(crate) fn write(&self, device: &dyn Device, store: &StoreId) -> Result<(), CheckpointError> {
        if device.list()?.iter().any(|name| name == UNFINISHED_NAME) {
            device.remove(UNFINISHED_NAME)?;
        }
        let bytes = self.encode(store);
        let file = device.create_zeroed(UNFINISHED_NAME, bytes.len() as u64)?;
        Ok(file.write_durable(0, &[&bytes])?)
    }

    /// Makes what was written the store's checkpoint. On an error it may be that or not: whoever opens the store next finds out.
    pub(crate) fn publish(&self, device: &dyn Device, store: &StoreId) -> Result<(), CheckpointError> {
        let name = file_name(self.number);
        device.rename(UNFINISHED_NAME, &name)?;
        let written = self.encode(store);
        let mut found = vec![0; written.len()];
        device.open(&name)?.read_at(0, &mut found)?;
        if found == written[..] { Ok(()) } else { Err(damaged(&name, "is not what was written there")) }
    }
}

fn damaged(file: &str, what: &'static str) -> CheckpointError {
    CheckpointError::Damaged { file: file.to_owned(), offset: 0, what }
}

fn read(device: &dyn Device, name: &str, store: &StoreId) -> Result<Manifest, CheckpointError> {
    let file = device.open(name)?;
    if file.len() > MANIFEST_BYTES_MAX {
        return Err(damaged(name, "is longer than any manifest"));
    }
    let mut bytes = vec![0; file.len() as usize];
    file.read_at(0, &mut bytes)?;
    let manifest = Manifest::decode(&bytes, store).map_err(|bad| bad.of_file(name))?;
    if file_name(manifest.number) != name {
        return Err(damaged(name, "says that it has another number"));
    }
    Ok(manifest)
}

/// The store's checkpoint, if it has one: the last manifest. One before it is there only until the last one has been read back, and good until
/// then; so it serves if the last one is damaged.
pub(crate) fn find(device: &dyn Device, store: &StoreId) -> Result<Option<Manifest>, CheckpointError> {
    let mut damaged = Vec::new();
    match find_past(device, store, &mut damaged)? {
        None => damaged.into_iter().next().map_or(Ok(None), Err),
        found => Ok(found),
    }
}

/// The last manifest that is whole; what is wrong with those after it comes to `damaged`, the last one first.
pub(crate) fn find_past(
    device: &dyn Device,
    store: &StoreId,
    damaged: &mut Vec<CheckpointError>,
) -> Result<Option<Manifest>, CheckpointError> {
    let mut numbers: Vec<u64> = device.list()?.iter().filter_map(|name| parse_file_name(name)).collect();
    numbers.sort_unstable();
    for number in numbers.into_iter().rev() {
        match read(device, &file_name(number), store) {
            Err(error @ CheckpointError::Damaged { .. }) => damaged.push(error),
            read => return read.map(Some),
        }
    }
    Ok(None)
}

/// Removes every manifest but this one: from then on what only they need may be given up.
pub(crate) fn remove_others(device: &dyn Device, keep: Option<u64>) -> Result<(), IoError> {
    let mut names = device.list()?;
    names.retain(|name| {
        name == UNFINISHED_NAME || parse_file_name(name).is_some_and(|number| Some(number) != keep)
    });
    names.iter().try_for_each(|name| device.remove(name))
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::super::page::PageId;
    use super::*;

    const STORE: [u8; 16] = [7; 16];

    fn manifest() -> Manifest {
        let page = Link { page: PageId(9), position: Lsn::new(800) };
        let root = Root { page, height: 2 };
        Manifest {
            number: 3,
            position: Lsn::new(800),
            log_from: Lsn::new(640),
            session: Session(5),
            written: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            extent_pages: 8,
            extents: 4,
            trees: vec![Tree::empty(0), Tree { space: 4, root: Some(root), entries: 77 }],
        }
    }

    #[test]
    fn reads_back_what_was_written_and_finds_each_flipped_bit() {
        let bytes = manifest().encode(&STORE);
        assert_eq!(Manifest::decode(&bytes, &STORE), Ok(manifest()));
        let len = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1;
        for bit in 0..len * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::decode(&flipped, &STORE).is_err(), "bit {bit}");
        }
        for cut in 0..len {
            assert!(Manifest::decode(&bytes[..cut], &STORE).is_err(), "{cut} bytes");
        }
        assert_eq!(Manifest::decode(&bytes, &[8; 16]), Err(BadManifest::Damaged("belongs to another store")));
    }

    #[test]
    fn what_makes_no_sense_is_refused_whatever_its_checksum() {
        let senseless = [
            Manifest { log_from: Lsn::new(808), ..manifest() },
            Manifest { log_from: Lsn::new(639), ..manifest() },
            Manifest { extent_pages: 1, ..manifest() },
            Manifest { extent_pages: u64::MAX, ..manifest() },
            Manifest { extents: u64::MAX, ..manifest() },
            Manifest { trees: vec![Tree::empty(1), Tree::empty(1)], ..manifest() },
            Manifest { trees: vec![Tree { entries: 1, ..Tree::empty(1) }], ..manifest() },
        ];
        for manifest in senseless {
            assert!(Manifest::decode(&manifest.encode(&STORE), &STORE).is_err(), "{manifest:?}");
        }
    }
}
