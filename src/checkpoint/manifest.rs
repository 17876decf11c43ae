//! The manifest: the one file that makes pages a checkpoint.
//!
//! It is written last, under a name of its own with a number that grows, and those before that nobody needs are removed when it has been read back. So there
//! is always a whole one; and as long as a manifest is there, so are the pages and the log behind it: what is no longer needed is given up after that.

use super::error::CheckpointError;
use super::page::{LINK_BYTES, Link};
use super::seal::Binding;
use super::tree::{Root, Tree};
use crate::crypt::{self, Generation};
use crate::format::{Cursor, numbered, parse_numbered};
use crate::io::{AlignedBuf, BLOCK, Device, IoError};
use crate::log::clock::Millis;
use crate::log::frame::SessionNumber;
use crate::log::reader::Start;
use crate::log::seal::{Salt, Session};
use crate::lsn::Lsn;
use crate::options::{Compression, Retention};
use std::ops::Range;

const MAGIC: &[u8; 8] = b"SKIPMANI";
pub(crate) const VERSION: u32 = 2;
/// The first version, which says nothing of the past.
const WITHOUT_RETENTION: u32 = 1;
const PREFIX: &str = "manifest-";
/// What a manifest is called until it is whole.
pub(crate) const UNFINISHED_NAME: &str = "manifest.new";

/// What is in front of the body, which is sealed if the store is encrypted.
const HEAD_BYTES: usize = 80;
/// Of that, what the tag vouches for beside the body: all that is not of the seal itself.
const VOUCHED_FOR: Range<usize> = 0..32;
/// Room for a million keyspaces many times over.
const MANIFEST_BYTES_MAX: u64 = 1 << 30;
/// More files than a directory holds, and more pages than a file does: so no product of the two overflows.
const FILES_OR_PAGES_MAX: u64 = 1 << 31;

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

/// Which of the histories it is that a store may have had since it was made.
pub(crate) type Timeline = [u8; 16];

/// A timeline that is nobody else's.
pub(crate) fn new_timeline() -> Timeline {
    uuid::Uuid::now_v7().into_bytes()
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
    /// By when everything below `position` was committed.
    pub(crate) time: Millis,
    /// What two copies of a store that both went on do not share: it is made anew when one is restored.
    pub(crate) timeline: Timeline,
    pub(crate) extent_pages: u64,
    pub(crate) extents: u64,
    /// How the pages of the last checkpoint were compressed, and those of the next are if nobody says otherwise.
    pub(crate) compression: Compression,
    /// How much of the past is kept, and goes on being kept if nobody says otherwise.
    pub(crate) retention: Retention,
    /// Where the free map begins; none if no page is in use.
    pub(crate) map: Option<Link>,
    pub(crate) trees: Vec<Tree>,
}

impl Manifest {
    fn encode(&self, binding: &Binding) -> Result<AlignedBuf, IoError> {
        let mut body = self.encode_fields();
        let mut head = [0; HEAD_BYTES];
        head[..8].copy_from_slice(MAGIC);
        head[8..12].copy_from_slice(&VERSION.to_le_bytes());
        head[16..32].copy_from_slice(binding.store());
        if let Some(keys) = binding.keys() {
            let (generation, cipher) = keys.current();
            let nonce = crypt::random()?;
            head[12] = generation.get();
            let tag = cipher.seal_in_place(&nonce, &head[VOUCHED_FOR], &mut body);
            head[32..56].copy_from_slice(&nonce);
            head[56..72].copy_from_slice(&tag);
        }
        let body_bytes = u32::try_from(body.len()).expect("a manifest is shorter than 4 GiB");
        head[72..76].copy_from_slice(&body_bytes.to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&head), &body);
        let whole = [&head[..], &body, &crc.to_le_bytes()].concat();
        let mut blocks = AlignedBuf::zeroed(whole.len().next_multiple_of(BLOCK));
        blocks[..whole.len()].copy_from_slice(&whole);
        Ok(blocks)
    }

    fn encode_fields(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(BLOCK);
        let words = [
            self.number,
            self.position.get(),
            self.log_from.get(),
            self.time,
            self.extent_pages,
            self.extents,
        ];
        words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        out.extend_from_slice(&Link::encode_optional(self.map));
        out.extend_from_slice(&self.session.number.0.to_le_bytes());
        out.extend_from_slice(&compression_code(self.compression).to_le_bytes());
        out.extend_from_slice(&self.session.salt.0);
        out.extend_from_slice(
            &u32::try_from(self.trees.len()).expect("keyspaces have numbers of 32 bits").to_le_bytes(),
        );
        out.extend_from_slice(&self.timeline);
        out.extend_from_slice(&self.retention.bytes.to_le_bytes());
        out.extend_from_slice(&self.retention.time_ms().to_le_bytes());
        for tree in &self.trees {
            out.extend_from_slice(&tree.space.to_le_bytes());
            out.extend_from_slice(&tree.root.map_or(0, |root| u32::from(root.height)).to_le_bytes());
            out.extend_from_slice(&Link::encode_optional(tree.root.map(|root| root.page)));
            out.extend_from_slice(&tree.entries.to_le_bytes());
        }
        out
    }

    /// Reads what [`Manifest::encode`] made.
    fn decode(bytes: &[u8], binding: &Binding) -> Result<Manifest, BadManifest> {
        let (mut cursor, cut_off) = (Cursor::new(bytes), BadManifest::Damaged("is cut off"));
        if cursor.take(8) != Some(MAGIC) {
            return Err(BadManifest::Damaged("does not begin as a manifest does"));
        }
        let version = cursor.u32().ok_or(cut_off)?;
        if version > VERSION {
            return Err(BadManifest::Newer(version));
        }
        let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>().ok_or(cut_off)?;
        let senseless = BadManifest::Damaged("says what no version of this program writes");
        if version < WITHOUT_RETENTION || [&head[13..16], &head[76..80]].concat() != [0; 7] {
            return Err(senseless);
        }
        let body_bytes = u32::from_le_bytes(head[72..76].try_into().expect("four bytes"));
        let (body, rest) = rest.split_at_checked(body_bytes as usize).ok_or(cut_off)?;
        let checksum = Cursor::new(rest).u32().ok_or(cut_off)?;
        if checksum != crc32c::crc32c_append(crc32c::crc32c(head), body) && !cfg!(fuzzing) {
            return Err(BadManifest::Damaged("does not agree with its checksum"));
        }
        if head[16..32] != binding.store()[..] {
            return Err(BadManifest::Damaged("belongs to another store"));
        }
        let mut body = body.to_vec();
        open_body(head, &mut body, binding)?;
        let mut cursor = Cursor::new(&body);
        let manifest = Manifest::decode_fields(&mut cursor, version).ok_or(cut_off)?;
        let is_sound =
            [manifest.log_from, manifest.position].iter().all(|lsn| Lsn::read(lsn.get()).is_some())
                && manifest.log_from <= manifest.position
                && (2..=FILES_OR_PAGES_MAX).contains(&manifest.extent_pages)
                && manifest.extents <= FILES_OR_PAGES_MAX
                && manifest.trees.is_sorted_by(|a, b| a.space < b.space)
                && manifest.trees.iter().all(|tree| tree.root.is_some() || tree.entries == 0)
                && manifest.trees.iter().any(|tree| tree.root.is_some()) == manifest.map.is_some()
                && cursor.is_empty();
        if is_sound { Ok(manifest) } else { Err(senseless) }
    }

    fn decode_fields(cursor: &mut Cursor<'_>, version: u32) -> Option<Manifest> {
        let number = cursor.u64()?;
        let (position, log_from) = (Lsn::new(cursor.u64()?), Lsn::new(cursor.u64()?));
        let time = cursor.u64()?;
        let (extent_pages, extents) = (cursor.u64()?, cursor.u64()?);
        let map = Link::decode(&mut Cursor::new(cursor.take(LINK_BYTES)?));
        let session = SessionNumber(cursor.u16()?);
        let code = cursor.u16()?;
        let compression = [Compression::None, Compression::Lz4]
            .into_iter()
            .find(|known| compression_code(*known) == code)?;
        let session = Session { number: session, salt: Salt(cursor.take(16)?.try_into().ok()?) };
        let (count, timeline) = (cursor.u32()?, cursor.take(16)?.try_into().ok()?);
        let retention = match version {
            WITHOUT_RETENTION => Retention::new(),
            _ => Retention::new().bytes(cursor.u64()?).time_of_ms(cursor.u64()?),
        };
        let mut trees = Vec::new();
        for _ in 0..count {
            let (space, height) = (cursor.u32()?, u8::try_from(cursor.u32()?).ok()?);
            let link = Link::decode(&mut Cursor::new(cursor.take(LINK_BYTES)?));
            let (root, entries) = (link.map(|page| Root { page, height }), cursor.u64()?);
            trees.push(Tree { space, root, entries });
        }
        Some(Manifest {
            number,
            position,
            log_from,
            session,
            time,
            timeline,
            extent_pages,
            extents,
            compression,
            retention,
            map,
            trees,
        })
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

    /// Writes this durably, under a name that nobody looks at; returns what it wrote.
    pub(crate) fn write(
        &self,
        device: &dyn Device,
        binding: &Binding,
    ) -> Result<Unpublished, CheckpointError> {
        if device.list()?.iter().any(|name| name == UNFINISHED_NAME) {
            device.remove(UNFINISHED_NAME)?;
        }
        let bytes = self.encode(binding)?;
        let file = device.create_zeroed(UNFINISHED_NAME, bytes.len() as u64)?;
        file.write_durable(0, &[&bytes])?;
        Ok(Unpublished { number: self.number, bytes })
    }
}

fn compression_code(compression: Compression) -> u16 {
    match compression {
        Compression::None => 0,
        Compression::Lz4 => 1,
    }
}

/// A manifest that is on the disk, and not yet the store's.
pub(crate) struct Unpublished {
    number: u64,
    bytes: AlignedBuf,
}

impl Unpublished {
    /// Makes it the store's checkpoint. On an error it may be that or not: whoever opens the store next finds out.
    pub(crate) fn publish(self, device: &dyn Device) -> Result<(), CheckpointError> {
        let name = file_name(self.number);
        device.rename(UNFINISHED_NAME, &name)?;
        let mut found = vec![0; self.bytes.len()];
        device.open(&name)?.read_at(0, &mut found)?;
        if found == self.bytes[..] { Ok(()) } else { Err(damaged(&name, "is not what was written there")) }
    }
}

/// Opens the body of a manifest where it is.
fn open_body(head: &[u8; HEAD_BYTES], body: &mut [u8], binding: &Binding) -> Result<(), BadManifest> {
    let (keys, generation) = match (binding.keys(), Generation::new(head[12])) {
        (None, None) => return Ok(()),
        (None, Some(_)) => return Err(BadManifest::Damaged("is encrypted, and the store is not")),
        (Some(_), None) => return Err(BadManifest::Damaged("is not encrypted, and the store is")),
        (Some(keys), Some(generation)) => (keys, generation),
    };
    let unknown = BadManifest::Damaged("is encrypted with a key that the store does not have");
    let cipher = keys.cipher(generation).ok_or(unknown)?;
    let nonce = head[32..56].try_into().expect("the nonce's bytes");
    let tag = head[56..72].try_into().expect("the tag's bytes");
    let opened = cipher.open_in_place(&nonce, &head[VOUCHED_FOR], body, &tag);
    opened.map_err(|_| BadManifest::Damaged("was changed, or written with another key"))
}

fn damaged(file: &str, what: &'static str) -> CheckpointError {
    CheckpointError::Damaged { file: file.to_owned(), offset: 0, what }
}

/// The manifest with this number, which is there.
pub(crate) fn read(device: &dyn Device, number: u64, binding: &Binding) -> Result<Manifest, CheckpointError> {
    let name = &file_name(number);
    let file = device.open(name)?;
    if file.len() > MANIFEST_BYTES_MAX {
        return Err(damaged(name, "is longer than any manifest"));
    }
    let mut bytes = vec![0; file.len() as usize];
    file.read_at(0, &mut bytes)?;
    let manifest = Manifest::decode(&bytes, binding).map_err(|bad| bad.of_file(name))?;
    if manifest.number != number {
        return Err(damaged(name, "says that it has another number"));
    }
    Ok(manifest)
}

/// The store's checkpoint, if it has one: the last manifest. One before it is good as long as it is there; so it serves if the last one is damaged.
pub(crate) fn find(device: &dyn Device, binding: &Binding) -> Result<Option<Manifest>, CheckpointError> {
    let mut damaged = Vec::new();
    match find_past(device, binding, &mut damaged)? {
        None => damaged.into_iter().next().map_or(Ok(None), Err),
        found => Ok(found),
    }
}

/// The last manifest that is whole; what is wrong with those after it comes to `damaged`, the last one first.
pub(crate) fn find_past(
    device: &dyn Device,
    binding: &Binding,
    damaged: &mut Vec<CheckpointError>,
) -> Result<Option<Manifest>, CheckpointError> {
    for number in numbers(device)?.into_iter().rev() {
        match read(device, number, binding) {
            Err(error @ CheckpointError::Damaged { .. }) => damaged.push(error),
            read => return read.map(Some),
        }
    }
    Ok(None)
}

/// The manifests before this one, the oldest first.
pub(crate) fn before(
    device: &dyn Device,
    last: &Manifest,
    binding: &Binding,
) -> Result<Vec<Result<Manifest, CheckpointError>>, IoError> {
    let read = |number| {
        let manifest = read(device, number, binding)?;
        let is_before = manifest.position <= last.position
            && manifest.timeline == last.timeline
            && manifest.extent_pages == last.extent_pages;
        match is_before {
            true => Ok(manifest),
            false => Err(damaged(&file_name(number), "is not of the history of the last one")),
        }
    };
    Ok(numbers(device)?.into_iter().filter(|number| *number < last.number).map(read).collect())
}

/// The numbers of all manifests that there are, in order.
fn numbers(device: &dyn Device) -> Result<Vec<u64>, IoError> {
    let mut numbers: Vec<u64> = device.list()?.iter().filter_map(|name| parse_file_name(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Removes every manifest but these: from then on what only they need may be given up.
pub(crate) fn remove_others(device: &dyn Device, keep: &[u64]) -> Result<(), IoError> {
    let mut names = device.list()?;
    names.retain(|name| {
        name == UNFINISHED_NAME || parse_file_name(name).is_some_and(|number| !keep.contains(&number))
    });
    names.iter().try_for_each(|name| device.remove(name))
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::super::page::PageId;
    use super::*;
    use crate::crypt::{Keyring, MasterKey};
    use crate::io::SimulatedDisk;
    use crate::sync::Arc;

    const STORE: [u8; 16] = [7; 16];

    fn plain() -> Binding {
        Binding::new(STORE, None)
    }

    /// With keys of its own.
    fn encrypted() -> Binding {
        let keyring =
            Keyring::create(&SimulatedDisk::new(1), &STORE, &MasterKey::from_bytes(&[1; 32])).unwrap();
        Binding::new(STORE, Some(Arc::new(keyring)))
    }

    fn manifest() -> Manifest {
        let page = Link { page: PageId(9), position: Lsn::new(800) };
        let root = Root { page, height: 2 };
        Manifest {
            number: 3,
            position: Lsn::new(800),
            log_from: Lsn::new(640),
            session: Session { number: SessionNumber(5), salt: Salt([3; 16]) },
            time: 1_700_000_000_123,
            timeline: [9; 16],
            extent_pages: 8,
            extents: 4,
            compression: Compression::Lz4,
            retention: Retention::new().bytes(1 << 20).time(std::time::Duration::MAX),
            map: Some(page),
            trees: vec![Tree::empty(0), Tree { space: 4, root: Some(root), entries: 77 }],
        }
    }

    #[test]
    fn reads_back_what_was_written_and_finds_each_flipped_bit() {
        for (binding, of_another) in [plain(), encrypted()].into_iter().zip([None, Some(())]) {
            let bytes = manifest().encode(&binding).unwrap();
            assert_eq!(Manifest::decode(&bytes, &binding), Ok(manifest()));
            let len = HEAD_BYTES + manifest().encode_fields().len() + 4;
            for bit in 0..len * 8 {
                let mut flipped = bytes.to_vec();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(Manifest::decode(&flipped, &binding).is_err(), "bit {bit}");
            }
            for cut in 0..len {
                assert!(Manifest::decode(&bytes[..cut], &binding).is_err(), "{cut} bytes");
            }
            let other = if of_another.is_some() { encrypted() } else { Binding::new([8; 16], None) };
            assert!(Manifest::decode(&bytes, &other).is_err());
        }
    }

    /// Whoever has no key can make the checksum right, and nothing else.
    #[test]
    fn a_sealed_manifest_that_was_changed_is_found_whatever_its_checksum() {
        let binding = encrypted();
        let bytes = manifest().encode(&binding).unwrap();
        let end = HEAD_BYTES + manifest().encode_fields().len();
        for bit in 12 * 8..end * 8 {
            // Length and padding are not of the seal: the one moves its end, the other is never read.
            if (72 * 8..80 * 8).contains(&bit) {
                continue;
            }
            let mut changed = bytes.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            let crc = crc32c::crc32c(&changed[..end]);
            changed[end..end + 4].copy_from_slice(&crc.to_le_bytes());
            assert!(Manifest::decode(&changed, &binding).is_err(), "bit {bit}");
        }
        let of_plain = manifest().encode(&plain()).unwrap();
        for (bytes, binding) in [(&bytes, plain()), (&of_plain, binding)] {
            let Err(BadManifest::Damaged(what)) = Manifest::decode(bytes, &binding) else {
                panic!("accepted")
            };
            assert!(what.contains("encrypted"), "{what}");
        }
        let position = 800_u64.to_le_bytes();
        assert!(
            of_plain.windows(8).any(|bytes| bytes == position)
                && !bytes.windows(8).any(|bytes| bytes == position)
        );
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
            Manifest { trees: vec![Tree::empty(1)], ..manifest() },
            Manifest { map: None, ..manifest() },
        ];
        for manifest in senseless {
            assert!(Manifest::decode(&manifest.encode(&plain()).unwrap(), &plain()).is_err(), "{manifest:?}");
        }
    }
}
