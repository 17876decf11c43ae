//! Segments: the files that hold the log, each a fixed range of positions.
//!
//! Segment `n` holds the positions from `n * data` to `(n + 1) * data`, where `data` is the file's length less one block for its header.
//! A segment is filled with zeros once, so that writing frames changes no metadata. The next one is made ready while the
//! current one fills (`prepare`), by whoever has time for it; a leader that comes too early makes it itself.
//! It gets its name last: under that name its header is whole, whenever the power goes.
//!
//! Before anything of a write reaches the disk, the segment of the first byte *behind* the write is there durably (`write_durable`). So a
//! log that reaches the end of a segment, or holds a frame that goes on behind it, proves that there was a next one.

use super::frame;
use super::group_commit::LogSink;
use crate::crypt::Keyring;
use crate::format::{Cursor, numbered, parse_numbered};
use crate::io::{AlignedBuf, BLOCK, BlockFile, Device, IoError};
use crate::lsn::Lsn;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, lock};
use std::collections::BTreeMap;

/// What tells one store's segments from another's.
pub(crate) type StoreId = [u8; 16];

const MAGIC: &[u8; 8] = b"SKIPLOG\0";
pub(crate) const VERSION: u32 = 1;
const HEADER_BYTES: usize = 8 + 4 + 4 + 16 + 8 + 8;

/// Where a segment's header is not what it must be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum BadHeader {
    /// Not a segment of this store, or damaged.
    Damaged,
    /// Written by a newer version of the program.
    Newer(u32),
}

/// What a segment is called until its header is durable. There is never more than one, and the next making removes what a crash left.
pub(crate) const UNFINISHED_NAME: &str = "log.new";

const PREFIX: &str = "log-";

pub(crate) fn file_name(index: u64) -> String {
    numbered(PREFIX, index)
}

pub(crate) fn parse_file_name(name: &str) -> Option<u64> {
    parse_numbered(PREFIX, name)
}

/// Positions against files: pure arithmetic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Geometry {
    pub(crate) segment_bytes: u64,
}

impl Geometry {
    /// Whether a store may have segments of this length.
    pub(crate) fn is_sound(self) -> bool {
        self.segment_bytes >= 2 * BLOCK as u64 && self.segment_bytes.is_multiple_of(BLOCK as u64)
    }

    pub(crate) fn data_bytes(self) -> u64 {
        self.segment_bytes - BLOCK as u64
    }

    pub(crate) fn index_of(self, lsn: Lsn) -> u64 {
        lsn.get() / self.data_bytes()
    }

    pub(crate) fn first(self, index: u64) -> Lsn {
        Lsn::new(index * self.data_bytes())
    }

    /// Whether there can be a segment of this number: positions beyond are not counted.
    pub(crate) fn may_have(self, index: u64) -> bool {
        index < self.index_of(Lsn::MAX)
    }

    pub(crate) fn offset_of(self, lsn: Lsn) -> u64 {
        BLOCK as u64 + lsn.get() % self.data_bytes()
    }
}

pub(crate) fn encode_header(store: &StoreId, index: u64, geometry: Geometry) -> AlignedBuf {
    let mut block = AlignedBuf::zeroed(BLOCK);
    block[0..8].copy_from_slice(MAGIC);
    block[8..12].copy_from_slice(&VERSION.to_le_bytes());
    block[16..32].copy_from_slice(store);
    block[32..40].copy_from_slice(&index.to_le_bytes());
    block[40..48].copy_from_slice(&geometry.segment_bytes.to_le_bytes());
    let crc = crc32c::crc32c(&block[..HEADER_BYTES]);
    block[HEADER_BYTES..HEADER_BYTES + 4].copy_from_slice(&crc.to_le_bytes());
    block
}

pub(crate) fn check_header(
    block: &[u8],
    store: &StoreId,
    index: u64,
    geometry: Geometry,
) -> Result<(), BadHeader> {
    let mut cursor = Cursor::new(block);
    let magic = cursor.take(8);
    let version = cursor.u32().ok_or(BadHeader::Damaged)?;
    if magic == Some(MAGIC) && version > VERSION {
        return Err(BadHeader::Newer(version));
    }
    let expected = encode_header(store, index, geometry);
    if block.starts_with(&expected[..HEADER_BYTES + 4]) { Ok(()) } else { Err(BadHeader::Damaged) }
}

/// What a header says of its store, if it is whole: for whoever does not know yet whose it is.
pub(crate) fn read_header(block: &[u8]) -> Option<(StoreId, u64, Geometry)> {
    let mut fields = Cursor::new(block.get(16..)?);
    let store: StoreId = fields.take(16)?.try_into().ok()?;
    let (index, geometry) = (fields.u64()?, Geometry { segment_bytes: fields.u64()? });
    let is_whole = geometry.is_sound() && check_header(block, &store, index, geometry) == Ok(());
    is_whole.then_some((store, index, geometry))
}

struct Files {
    open: BTreeMap<u64, Arc<dyn BlockFile>>,
    /// Files of segments that the log does not need any more.
    spare: Vec<String>,
    /// The first failure to make one.
    failed: Option<IoError>,
}

/// The log's files, as many as there are.
pub(crate) struct Segments {
    device: Arc<dyn Device>,
    store: StoreId,
    geometry: Geometry,
    /// What the frames in them are sealed with; none in a store that is not encrypted.
    keys: Option<Arc<Keyring>>,
    files: Mutex<Files>,
    /// The number of the first one, for whoever does not want to wait for the lock.
    first: AtomicU64,
}

impl Segments {
    pub(crate) fn new(
        device: Arc<dyn Device>,
        store: StoreId,
        geometry: Geometry,
        files: BTreeMap<u64, Arc<dyn BlockFile>>,
        spare: Vec<String>,
    ) -> Segments {
        let first = AtomicU64::new(files.first_key_value().map_or(0, |(index, _)| *index));
        let files = Mutex::new(Files { open: files, spare, failed: None });
        Segments { device, store, geometry, keys: None, files, first }
    }

    /// The same, of a store that is encrypted with these keys, if it is.
    pub(crate) fn sealed_with(self, keys: Option<Arc<Keyring>>) -> Segments {
        Segments { keys, ..self }
    }

    pub(crate) fn keys(&self) -> Option<&Arc<Keyring>> {
        self.keys.as_ref()
    }

    pub(crate) fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The oldest position that is still there; the first frame begins there or behind it. One load. It only grows, and what is there now may be given
    /// up any moment.
    pub(crate) fn oldest(&self) -> Lsn {
        // Relaxed: a figure, which promises nothing.
        self.geometry.first(self.first.load(Ordering::Relaxed))
    }

    pub(crate) fn count(&self) -> u64 {
        lock(&self.files).open.len() as u64
    }

    pub(crate) fn get(&self, index: u64) -> Option<Arc<dyn BlockFile>> {
        lock(&self.files).open.get(&index).cloned()
    }

    /// The next one that is there, from `index` on.
    pub(crate) fn next_from(&self, index: u64) -> Option<u64> {
        lock(&self.files).open.range(index..).next().map(|(index, _)| *index)
    }

    /// Segment `index`, which is there as long as nobody gives it up.
    pub(crate) fn existing(&self, index: u64) -> Result<Arc<dyn BlockFile>, IoError> {
        // Opening what is not there says so, with its path.
        self.get(index).map_or_else(|| Ok(Arc::from(self.device.open(&file_name(index))?)), Ok)
    }

    /// Whether nothing was ever written at a position, where a frame would begin: the copies of a log that begin later have zeros there.
    pub(crate) fn is_blank_at(&self, lsn: Lsn) -> bool {
        let Some(file) = self.get(self.geometry.index_of(lsn)) else { return true };
        let (mut block, offset) = (AlignedBuf::zeroed(BLOCK), self.geometry.offset_of(lsn));
        let within = offset as usize % BLOCK;
        let read = file.read_at(offset - within as u64, &mut block);
        // What cannot be read is not blank; whoever reads on from there will say so.
        read.is_ok() && block[within..].iter().take(frame::HEADER_BYTES).all(|byte| *byte == 0)
    }

    /// The last one that is there, if there is any.
    pub(crate) fn last(&self) -> Option<u64> {
        lock(&self.files).open.last_key_value().map(|(index, _)| *index)
    }

    /// Makes segment `index` ready for writing, if it is not, and before it those that are missing between: recovery reads a gap as damage.
    ///
    /// Whoever comes second waits for the first, rather than making the same file. A failure is final, for all who come after too:
    /// what a failed flush left on the disk is not known, so nothing is tried upon it.
    pub(crate) fn prepare(&self, index: u64) -> Result<Arc<dyn BlockFile>, IoError> {
        let mut files = lock(&self.files);
        let first_missing = files.open.last_key_value().map_or(index, |(last, _)| last + 1);
        for missing in first_missing..=index {
            if let Some(error) = &files.failed {
                return Err(error.clone());
            }
            let spare = files.spare.pop();
            let made = self.make(missing, spare).inspect_err(|error| files.failed = Some(error.clone()))?;
            files.open.insert(missing, Arc::from(made));
        }
        Ok(Arc::clone(&files.open[&index]))
    }

    fn make(&self, index: u64, spare: Option<String>) -> Result<Box<dyn BlockFile>, IoError> {
        if self.device.list()?.iter().any(|name| name == UNFINISHED_NAME) {
            self.device.remove(UNFINISHED_NAME)?;
        }
        let file = self.make_zeroed(spare)?;
        file.write_durable(0, &[&encode_header(&self.store, index, self.geometry)])?;
        drop(file);
        let name = file_name(index);
        self.device.rename(UNFINISHED_NAME, &name)?;
        self.device.open(&name)
    }

    /// A file of zeros under the unfinished name. A spare one is there already, with its place on the disk, and only written again.
    fn make_zeroed(&self, spare: Option<String>) -> Result<Box<dyn BlockFile>, IoError> {
        let bytes = self.geometry.segment_bytes;
        let Some(spare) = spare else {
            return self.device.create_zeroed(UNFINISHED_NAME, bytes);
        };
        self.device.rename(&spare, UNFINISHED_NAME)?;
        let file = self.device.open(UNFINISHED_NAME)?;
        if file.len() != bytes {
            // Nobody looked at it before.
            drop(file);
            self.device.remove(UNFINISHED_NAME)?;
            return self.device.create_zeroed(UNFINISHED_NAME, bytes);
        }
        file.zero_fill()?;
        Ok(file)
    }

    /// Gives up the segments that lie wholly before `lsn`: some are kept for the segments to come, no more than `spares_max`, and the others
    /// removed. What the name of a spare one says counts for nothing: it is before the first that the log needs.
    pub(crate) fn recycle_before(&self, lsn: Lsn, spares_max: usize) -> Result<(), IoError> {
        let mut files = lock(&self.files);
        let first = self.geometry.index_of(lsn);
        let needed = files.open.split_off(&first);
        // Relaxed: a figure, see `oldest`.
        self.first.fetch_max(first, Ordering::Relaxed);
        let given_up = std::mem::replace(&mut files.open, needed);
        files.spare.extend(given_up.into_keys().map(file_name));
        self.remove_spares_beyond(spares_max, &mut files)
    }

    /// Removes the files that were kept or made for what comes behind `end`, of a log that nobody writes to any more.
    pub(crate) fn remove_unused(&self, end: Lsn) -> Result<(), IoError> {
        let mut files = lock(&self.files);
        // A block that ends with its segment needs the next one (`SegmentWriter::write_durable`).
        let last = self.geometry.index_of(Lsn::new(end.get().next_multiple_of(BLOCK as u64)));
        let unused = files.open.split_off(&(last + 1));
        // The last one first: a crash leaves no gap.
        unused.into_keys().rev().try_for_each(|index| self.device.remove(&file_name(index)))?;
        self.remove_spares_beyond(0, &mut files)
    }

    fn remove_spares_beyond(&self, max: usize, files: &mut Files) -> Result<(), IoError> {
        while files.spare.len() > max {
            let name = files.spare.pop().expect("there are more than none");
            self.device.remove(&name)?;
        }
        Ok(())
    }
}

/// Writes groups to the segments; the leader's.
pub(crate) struct SegmentWriter {
    segments: Arc<Segments>,
    current: Option<(u64, Arc<dyn BlockFile>)>,
    /// The last segment that was made ready.
    prepared: Option<u64>,
}

impl SegmentWriter {
    pub(crate) fn new(segments: Arc<Segments>) -> SegmentWriter {
        SegmentWriter { segments, current: None, prepared: None }
    }

    /// Makes segment `index` ready, and those before it. Takes the lock once a segment: whoever makes the next one holds it for long.
    fn prepare(&mut self, index: u64) -> Result<(), IoError> {
        if self.prepared.is_none_or(|prepared| prepared < index) {
            self.segments.prepare(index)?;
            self.prepared = Some(index);
        }
        Ok(())
    }

    fn file(&mut self, index: u64) -> Result<&dyn BlockFile, IoError> {
        if self.current.as_ref().is_none_or(|(current, _)| *current != index) {
            self.current = Some((index, self.segments.prepare(index)?));
        }
        let (_, file) = self.current.as_ref().expect("set right above");
        Ok(&**file)
    }
}

impl LogSink for SegmentWriter {
    fn write_durable(&mut self, from: Lsn, pieces: &[&[u8]]) -> Result<(), IoError> {
        let geometry = self.segments.geometry();
        let behind = from.plus(pieces.iter().map(|piece| piece.len() as u64).sum());
        self.prepare(geometry.index_of(behind))?;
        let (mut at, mut rest) = (from, pieces.to_vec());
        while !rest.is_empty() {
            let index = geometry.index_of(at);
            let room = (geometry.first(index + 1).get() - at.get()) as usize;
            let (here, behind) = split_pieces(&rest, room);
            self.file(index)?.write_durable(geometry.offset_of(at), &here)?;
            at = at.plus(here.iter().map(|piece| piece.len() as u64).sum());
            rest = behind;
        }
        Ok(())
    }
}

/// The first `len` bytes of `pieces`, and what is behind them.
fn split_pieces<'a>(pieces: &[&'a [u8]], len: usize) -> (Vec<&'a [u8]>, Vec<&'a [u8]>) {
    let (mut here, mut behind, mut room) = (Vec::new(), Vec::new(), len);
    for piece in pieces {
        let (first, second) = piece.split_at(room.min(piece.len()));
        room -= first.len();
        here.extend((!first.is_empty()).then_some(first));
        behind.extend((!second.is_empty()).then_some(second));
    }
    (here, behind)
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::io::{CrashOutcome, SimulatedDisk};

    #[test]
    fn positions_and_files_agree() {
        let geometry = Geometry { segment_bytes: 3 * BLOCK as u64 };
        assert_eq!(geometry.index_of(Lsn::new(0)), 0);
        assert_eq!(geometry.offset_of(Lsn::new(0)), BLOCK as u64);
        let last = Lsn::new(2 * BLOCK as u64 - 8);
        assert_eq!((geometry.index_of(last), geometry.offset_of(last)), (0, 3 * BLOCK as u64 - 8));
        assert_eq!(geometry.index_of(last.plus(8)), 1);
        assert_eq!(geometry.first(1), last.plus(8));
    }

    #[test]
    fn a_flipped_bit_in_a_header_is_found() {
        let (store, geometry) = ([7; 16], Geometry { segment_bytes: 1 << 20 });
        let good = encode_header(&store, 3, geometry);
        assert_eq!(check_header(&good, &store, 3, geometry), Ok(()));
        assert_eq!(read_header(&good), Some((store, 3, geometry)));
        assert_eq!(check_header(&good, &store, 4, geometry), Err(BadHeader::Damaged));
        assert_eq!(check_header(&[0; BLOCK], &store, 3, geometry), Err(BadHeader::Damaged));
        for bit in 0..(HEADER_BYTES + 4) * 8 {
            let mut block = good.to_vec();
            block[bit / 8] ^= 1 << (bit % 8);
            assert!(check_header(&block, &store, 3, geometry).is_err(), "bit {bit}");
            assert_eq!(read_header(&block), None, "bit {bit}");
        }
    }

    #[test]
    fn names_survive() {
        assert_eq!(parse_file_name(&file_name(42)), Some(42));
        for other in ["log-42", "log-00000000004x", "LOCK", "log-0000000000421"] {
            assert_eq!(parse_file_name(other), None);
        }
    }

    #[test]
    fn a_crash_leaves_no_gap_whoever_comes_too_early() {
        let geometry = Geometry { segment_bytes: 2 * BLOCK as u64 };
        for operations in 0.. {
            let disk = SimulatedDisk::new(operations);
            disk.crash_after(operations);
            let segments =
                Segments::new(Arc::new(disk.clone()), [7; 16], geometry, BTreeMap::new(), Vec::new());
            let made = segments.prepare(5).and_then(|_| segments.prepare(8));
            for outcome in [CrashOutcome::KeepAll, CrashOutcome::DropAll] {
                let left = disk.after_crash(outcome).list().unwrap();
                let mut indexes: Vec<_> = left.iter().filter_map(|name| parse_file_name(name)).collect();
                indexes.sort_unstable();
                assert!(
                    indexes.iter().copied().eq((5..).take(indexes.len())),
                    "{left:?}, crash at {operations}"
                );
            }
            if made.is_ok() {
                return assert_eq!(segments.count(), 4);
            }
        }
    }

    #[test]
    fn pieces_are_split_at_the_end_of_a_segment() {
        let (here, behind) = split_pieces(&[b"abc", b"defg"], 5);
        assert_eq!((here, behind), (vec![&b"abc"[..], b"de"], vec![&b"fg"[..]]));
    }
}
