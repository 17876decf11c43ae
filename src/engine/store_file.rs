//! The file that makes a directory a store: who it is, and how its log is cut into segments.
//!
//! It is written last when a store is created, under another name first, so that it is there wholly or not at all.

use super::error::OpenError;
use crate::format::Cursor;
use crate::io::{AlignedBuf, BLOCK, BlockFile, Device, IoError};
use crate::log::segment::{Geometry, StoreId};
use std::path::Path;

pub(crate) const NAME: &str = "store";
pub(crate) const UNFINISHED_NAME: &str = "store.new";
const MAGIC: &[u8; 8] = b"SKIPSTON";
pub(crate) const VERSION: u32 = 1;
const HEADER_BYTES: usize = 8 + 4 + 4 + 16 + 8;
/// In the flags: the frames and pages are sealed with the keys in the file `keys`.
const ENCRYPTED: u32 = 1;

/// What the file says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct StoreFile {
    pub(crate) id: StoreId,
    pub(crate) geometry: Geometry,
    pub(crate) is_encrypted: bool,
}

impl StoreFile {
    /// A number that tells this store from others.
    pub(crate) fn number(&self) -> u64 {
        let (number, _) = self.id.split_first_chunk().expect("an id is longer");
        u64::from_le_bytes(*number)
    }

    fn encode(&self) -> AlignedBuf {
        let mut block = AlignedBuf::zeroed(BLOCK);
        block[0..8].copy_from_slice(MAGIC);
        block[8..12].copy_from_slice(&VERSION.to_le_bytes());
        let flags = self.flags();
        block[12..16].copy_from_slice(&flags.to_le_bytes());
        block[16..32].copy_from_slice(&self.id);
        block[32..40].copy_from_slice(&self.geometry.segment_bytes.to_le_bytes());
        let crc = crc32c::crc32c(&block[..HEADER_BYTES]);
        block[HEADER_BYTES..HEADER_BYTES + 4].copy_from_slice(&crc.to_le_bytes());
        block
    }

    fn decode(block: &[u8], dir: &Path) -> Result<StoreFile, OpenError> {
        let damaged = |what| OpenError::Damaged { file: dir.join(NAME), what };
        if block.len() < HEADER_BYTES + 4 {
            return Err(damaged("it is too short"));
        }
        let mut cursor = Cursor::new(block);
        if cursor.take(8) != Some(MAGIC) {
            return Err(damaged("it does not begin as a store's file does"));
        }
        let version = cursor.u32().ok_or(damaged("it is too short"))?;
        if version > VERSION {
            return Err(OpenError::Newer { file: dir.join(NAME), found: version, supported: VERSION });
        }
        if version < VERSION {
            return Err(damaged("it has a version that there never was"));
        }
        let crc =
            block.get(HEADER_BYTES..HEADER_BYTES + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
        if crc != Some(crc32c::crc32c(&block[..HEADER_BYTES])) {
            return Err(damaged("its checksum does not agree"));
        }
        let mut fields = Cursor::new(&block[12..]);
        let flags = fields.u32().ok_or(damaged("it is too short"))?;
        let id = fields.take(16).and_then(|id| id.try_into().ok()).ok_or(damaged("it is too short"))?;
        let segment_bytes = fields.u64().ok_or(damaged("it is too short"))?;
        let geometry = Geometry { segment_bytes };
        if !geometry.is_sound() {
            return Err(damaged("its segments have a senseless size"));
        }
        let is_encrypted = StoreFile::decode_flags(flags)
            .ok_or(damaged("it has flags that no version of this program sets"))?;
        Ok(StoreFile { id, geometry, is_encrypted })
    }

    /// As they are written.
    pub(super) fn flags(&self) -> u32 {
        if self.is_encrypted { ENCRYPTED } else { 0 }
    }

    /// Whether they say that the store is encrypted; none if no version of this program sets them.
    pub(super) fn decode_flags(flags: u32) -> Option<bool> {
        (flags & !ENCRYPTED == 0).then_some(flags == ENCRYPTED)
    }

    pub(crate) fn read(device: &dyn Device, dir: &Path) -> Result<StoreFile, OpenError> {
        let file = device.open(NAME)?;
        let mut block = vec![0; BLOCK.min(file.len() as usize)];
        file.read_at(0, &mut block)?;
        StoreFile::decode(&block, dir)
    }

    pub(crate) fn create(&self, device: &dyn Device) -> Result<(), IoError> {
        let file: Box<dyn BlockFile> = device.create_zeroed(UNFINISHED_NAME, BLOCK as u64)?;
        file.write_durable(0, &[&self.encode()])?;
        drop(file);
        device.rename(UNFINISHED_NAME, NAME)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_is_found_and_a_newer_version_named() {
        let dir = Path::new("somewhere");
        let geometry = Geometry { segment_bytes: 1 << 20 };
        for is_encrypted in [false, true] {
            let file = StoreFile { id: [9; 16], geometry, is_encrypted };
            assert_eq!(StoreFile::decode(&file.encode(), dir).unwrap(), file);
        }
        let good = StoreFile { id: [9; 16], geometry, is_encrypted: true }.encode();
        for bit in 0..(HEADER_BYTES + 4) * 8 {
            let mut block = good.to_vec();
            block[bit / 8] ^= 1 << (bit % 8);
            assert!(StoreFile::decode(&block, dir).is_err(), "bit {bit}");
        }
        let mut newer = good.to_vec();
        newer[8] = 2;
        let error = StoreFile::decode(&newer, dir).unwrap_err();
        assert!(matches!(error, OpenError::Newer { found: 2, supported: 1, .. }), "{error}");
        for len in 0..HEADER_BYTES {
            assert!(StoreFile::decode(&good[..len], dir).is_err());
        }
    }
}
