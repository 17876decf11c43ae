//! LZ4 blocks: of leaves, and of values that are too long for them.
//!
//! A leaf that is compressed holds as many entries as fit its page then. How many that are is found out by trying, with a guess that follows
//! what came before.

use super::draft::Draft;
use super::page::{BadPage, CELL_BYTES_MAX, OVERFLOW_BYTES, RAW_BYTES_MAX, ROOM_BYTES, SLOT_BYTES};
use lz4_flex::block::{
    CompressTable, compress, compress_into_with_table, decompress_into, get_maximum_output_size,
};

/// The length that a block has when it is no longer compressed, in front of it.
const LENGTH_BYTES: usize = 2;
/// With one entry more a leaf still has no more than it may.
const TARGET_MAX: usize = RAW_BYTES_MAX - CELL_BYTES_MAX - SLOT_BYTES;
/// No block becomes longer than this when it is unpacked.
const EXPANSION_MAX: u64 = 255;

/// Compresses the leaves that one packer fills.
pub(super) struct Press {
    table: CompressTable,
    raw: Vec<u8>,
    packed: Vec<u8>,
    /// So many bytes of entries are likely to fill a page.
    target: usize,
}

/// How much of a page some entries take when they are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Packed {
    pub(super) raw_bytes: usize,
    pub(super) bytes: usize,
}

impl Packed {
    pub(super) fn fits(self) -> bool {
        self.bytes <= ROOM_BYTES
    }

    /// So many bytes of entries like these are likely to fill a page, and not to need another.
    pub(super) fn filling(self) -> usize {
        self.raw_bytes * ROOM_BYTES / self.bytes * 31 / 32
    }
}

impl Press {
    pub(super) fn new() -> Press {
        Press {
            table: CompressTable::default(),
            raw: Vec::with_capacity(RAW_BYTES_MAX),
            packed: vec![0; LENGTH_BYTES + get_maximum_output_size(RAW_BYTES_MAX)],
            target: 2 * ROOM_BYTES,
        }
    }

    pub(super) fn target(&self) -> usize {
        self.target
    }

    /// A leaf with so many bytes of entries was full, so another one like it may be.
    pub(super) fn expect(&mut self, raw_bytes: usize) {
        self.target = self.target.max(raw_bytes + raw_bytes / 16).min(TARGET_MAX);
    }

    /// Compresses the first `count` entries, and learns from it.
    pub(super) fn pack(&mut self, draft: &Draft, count: usize) -> Packed {
        draft.copy_first(count, &mut self.raw);
        let block = &mut self.packed[LENGTH_BYTES..];
        let block_bytes = compress_into_with_table(&self.raw, block, &mut self.table)
            .expect("the buffer takes what does not get shorter, too");
        let raw_bytes = u16::try_from(self.raw.len()).expect("a leaf has 32 KiB at most");
        self.packed[..LENGTH_BYTES].copy_from_slice(&raw_bytes.to_le_bytes());
        let packed = Packed { raw_bytes: self.raw.len(), bytes: LENGTH_BYTES + block_bytes };
        self.target = packed.filling().clamp(ROOM_BYTES, TARGET_MAX);
        packed
    }

    /// What was compressed last.
    pub(super) fn body(&self, packed: Packed) -> &[u8] {
        &self.packed[..packed.bytes]
    }
}

/// The entries of a leaf that was compressed.
pub(super) fn unpack_leaf<'r>(stored: &[u8], raw: &'r mut Vec<u8>) -> Result<&'r [u8], BadPage> {
    let (length, block) = stored.split_first_chunk().ok_or(BadPage("is compressed, and cut off"))?;
    let bytes = usize::from(u16::from_le_bytes(*length));
    if bytes > RAW_BYTES_MAX {
        return Err(BadPage("is compressed, and longer than any page"));
    }
    raw.resize(bytes, 0);
    unpack(block, raw)?;
    Ok(raw)
}

/// A value in so many pages.
fn overflow_pages(bytes: usize) -> usize {
    bytes.div_ceil(OVERFLOW_BYTES)
}

/// A value compressed, if it is in fewer pages then.
pub(super) fn pack_value(value: &[u8]) -> Option<Vec<u8>> {
    if overflow_pages(value.len()) < 2 {
        return None;
    }
    let packed = compress(value);
    (overflow_pages(packed.len()) < overflow_pages(value.len())).then_some(packed)
}

/// A value that was compressed, which has `bytes` bytes.
pub(super) fn unpack_value(packed: &[u8], bytes: u32) -> Result<Vec<u8>, BadPage> {
    if u64::from(bytes) > packed.len() as u64 * EXPANSION_MAX {
        return Err(BadPage("is compressed, and says that it is longer than it can be"));
    }
    let mut value = vec![0; bytes as usize];
    unpack(packed, &mut value)?;
    Ok(value)
}

fn unpack(block: &[u8], into: &mut [u8]) -> Result<(), BadPage> {
    match decompress_into(block, into) {
        Ok(bytes) if bytes == into.len() => Ok(()),
        _ => Err(BadPage("is compressed, and not what was compressed")),
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_and_take_fewer_pages_or_stay_as_they_are() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut noise = vec![0; 30_000];
        random.fill(&mut noise);
        assert_eq!(pack_value(&noise), None);
        assert_eq!(pack_value(&[0; 5_000]), None, "it takes one page however short");
        let mut value = noise.repeat(3);
        value.truncate(80_000);
        let packed = pack_value(&value).unwrap();
        assert!(packed.len() < 40_000);
        assert_eq!(unpack_value(&packed, 80_000), Ok(value));
        assert!(unpack_value(&packed, 79_999).is_err());
        assert!(unpack_value(&packed, 80_001).is_err());
        assert!(unpack_value(&packed[..packed.len() - 1], 80_000).is_err());
    }

    #[test]
    fn no_value_that_cannot_be_so_long_is_made_room_for() {
        let packed = pack_value(&vec![7; 1 << 20]).unwrap();
        assert!(unpack_value(&packed, 1 << 20).is_ok());
        let BadPage(what) = unpack_value(&packed, u32::MAX >> 1).unwrap_err();
        assert!(what.contains("longer than it can be"), "{what}");
        assert!(unpack_value(&[], 1).is_err());
    }
}
