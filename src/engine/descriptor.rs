//! The file that makes a directory a backup: of which store, what it holds, and which backup it goes on from.
//!
//! It is written when all the rest is there, under another name first, so that it is there wholly or not at all. It never changes.

use super::error::{ChainError, OpenError};
use super::store_file::StoreFile;
use crate::checkpoint::manifest::Timeline;
use crate::format::Cursor;
use crate::io::{AlignedBuf, BLOCK, Device, IoError};
use crate::log::clock::Millis;
use crate::log::frame::SessionNumber;
use crate::log::reader::Start;
use crate::log::seal::{Salt, Session};
use crate::log::segment::Geometry;
use crate::lsn::Lsn;
use std::path::Path;

pub(crate) const NAME: &str = "backup";
pub(crate) const UNFINISHED_NAME: &str = "backup.new";
const MAGIC: &[u8; 8] = b"SKIPBACK";
pub(crate) const VERSION: u32 = 1;
const FIELDS_BYTES: usize = 8 + 4 + 4 + 4 * 16 + 6 * 8 + 2 * 18 + 4;

/// What tells one backup from another.
pub(crate) type BackupId = [u8; 16];

/// What the file says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Descriptor {
    pub(crate) store: StoreFile,
    pub(crate) id: BackupId,
    /// None if it holds all pages of its checkpoint; else those that were written after the checkpoint of that backup.
    pub(crate) previous: Option<BackupId>,
    /// That of the store when it was copied.
    pub(crate) timeline: Timeline,
    /// Number and position of the checkpoint.
    pub(crate) manifest: u64,
    pub(crate) checkpoint: Lsn,
    /// The log is there from here, where a frame begins,
    pub(crate) log_from: Start,
    /// to here, where one ends, with the session of the last one.
    pub(crate) end: Lsn,
    pub(crate) end_session: Session,
    /// What time it was there.
    pub(crate) time: Millis,
    /// What tells its data keys from others; zero if it is not encrypted.
    pub(crate) keys: u32,
}

impl Descriptor {
    /// Whether `other`, which goes on from this one, has all of the log that came between.
    pub(crate) fn is_continued_by(&self, other: &Descriptor) -> bool {
        other.log_from.lsn <= self.end
    }

    fn encode(&self) -> AlignedBuf {
        let mut out = Vec::with_capacity(FIELDS_BYTES + 4);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.store.flags().to_le_bytes());
        for id in [self.store.id, self.id, self.previous.unwrap_or_default(), self.timeline] {
            out.extend_from_slice(&id);
        }
        let (log_from, end) = (self.log_from.lsn.get(), self.end.get());
        let words = [
            self.store.geometry.segment_bytes,
            self.manifest,
            self.checkpoint.get(),
            log_from,
            end,
            self.time,
        ];
        words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        // The first frame of a log begins its session.
        let none = Session { number: SessionNumber(0), salt: Salt::NONE };
        for session in [self.log_from.session.unwrap_or(none), self.end_session] {
            out.extend_from_slice(&session.number.0.to_le_bytes());
            out.extend_from_slice(&session.salt.0);
        }
        out.extend_from_slice(&self.keys.to_le_bytes());
        debug_assert_eq!(out.len(), FIELDS_BYTES);
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        let mut block = AlignedBuf::zeroed(BLOCK);
        block[..out.len()].copy_from_slice(&out);
        block
    }

    fn decode(block: &[u8], dir: &Path) -> Result<Descriptor, OpenError> {
        let damaged = |what| OpenError::Damaged { file: dir.join(NAME), what };
        let mut cursor = Cursor::new(block);
        if cursor.take(8) != Some(MAGIC) {
            return Err(damaged("it does not begin as a backup's file does"));
        }
        let version = cursor.u32().ok_or(damaged("it is too short"))?;
        if version > VERSION {
            return Err(OpenError::Newer { file: dir.join(NAME), found: version, supported: VERSION });
        }
        if version < VERSION {
            return Err(damaged("it has a version that there never was"));
        }
        let fields = block.get(..FIELDS_BYTES).ok_or(damaged("it is too short"))?;
        let crc = Cursor::new(&block[FIELDS_BYTES..]).u32();
        if crc != Some(crc32c::crc32c(fields)) {
            return Err(damaged("its checksum does not agree"));
        }
        let senseless = damaged("it says what no version of this program writes");
        Descriptor::decode_fields(&mut Cursor::new(&fields[12..]))
            .filter(Descriptor::is_sound)
            .ok_or(senseless)
    }

    fn decode_fields(cursor: &mut Cursor<'_>) -> Option<Descriptor> {
        let is_encrypted = StoreFile::decode_flags(cursor.u32()?)?;
        let mut ids = [[0; 16]; 4];
        for id in &mut ids {
            *id = cursor.take(16)?.try_into().ok()?;
        }
        let [store, id, previous, timeline] = ids;
        let geometry = Geometry { segment_bytes: cursor.u64()? };
        let manifest = cursor.u64()?;
        let mut position = || Lsn::read(cursor.u64()?);
        let (checkpoint, lsn, end) = (position()?, position()?, position()?);
        let time = cursor.u64()?;
        let mut session = || {
            let number = SessionNumber(cursor.u16()?);
            Some(Session { number, salt: Salt(cursor.take(16)?.try_into().ok()?) })
        };
        let (session, end_session) = (session()?, session()?);
        Some(Descriptor {
            store: StoreFile { id: store, geometry, is_encrypted },
            id,
            previous: (previous != BackupId::default()).then_some(previous),
            timeline,
            manifest,
            checkpoint,
            log_from: Start { lsn, session: (lsn != Lsn::ZERO).then_some(session) },
            end,
            end_session,
            time,
            keys: cursor.u32()?,
        })
    }

    fn is_sound(&self) -> bool {
        self.store.geometry.is_sound()
            && self.checkpoint <= self.end
            && self.log_from.lsn <= self.end
            && self.end <= Lsn::MAX
    }

    /// The backup whose files are on `device`; `dir` is what messages call it.
    pub(crate) fn read(device: &dyn Device, dir: &Path) -> Result<Descriptor, ChainError> {
        let names = device.list().map_err(OpenError::Io)?;
        if !names.iter().any(|name| name == NAME) {
            return Err(ChainError::NotABackup { path: dir.to_path_buf() });
        }
        let file = device.open(NAME).map_err(OpenError::Io)?;
        let mut block = vec![0; BLOCK.min(file.len() as usize)];
        file.read_at(0, &mut block).map_err(OpenError::Io)?;
        Ok(Descriptor::decode(&block, dir)?)
    }

    pub(crate) fn create(&self, device: &dyn Device) -> Result<(), IoError> {
        let file = device.create_zeroed(UNFINISHED_NAME, BLOCK as u64)?;
        file.write_durable(0, &[&self.encode()])?;
        drop(file);
        device.rename(UNFINISHED_NAME, NAME)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    fn session(number: u16) -> Session {
        Session { number: SessionNumber(number), salt: Salt([number as u8; 16]) }
    }

    fn descriptor() -> Descriptor {
        Descriptor {
            store: StoreFile {
                id: [1; 16],
                geometry: Geometry { segment_bytes: 1 << 20 },
                is_encrypted: true,
            },
            id: [2; 16],
            previous: Some([3; 16]),
            timeline: [4; 16],
            manifest: 5,
            checkpoint: Lsn::new(600),
            log_from: Start { lsn: Lsn::new(480), session: Some(session(7)) },
            end: Lsn::new(880),
            end_session: session(8),
            time: 1_700_000_000_123,
            keys: 77,
        }
    }

    #[test]
    fn reads_back_what_was_written_and_finds_each_flipped_bit() {
        let dir = Path::new("somewhere");
        let first = Descriptor { previous: None, log_from: Start::OF_LOG, ..descriptor() };
        for descriptor in [descriptor(), first] {
            let good = descriptor.encode();
            assert_eq!(Descriptor::decode(&good, dir).unwrap(), descriptor);
            for bit in 0..(FIELDS_BYTES + 4) * 8 {
                let mut block = good.to_vec();
                block[bit / 8] ^= 1 << (bit % 8);
                assert!(Descriptor::decode(&block, dir).is_err(), "bit {bit}");
            }
            for len in 0..FIELDS_BYTES + 4 {
                assert!(Descriptor::decode(&good[..len], dir).is_err(), "{len} bytes");
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_whatever_its_checksum() {
        let good = descriptor();
        let senseless = [
            Descriptor { checkpoint: Lsn::new(888), ..good },
            Descriptor { log_from: Start { lsn: Lsn::new(888), ..good.log_from }, ..good },
            Descriptor { end: Lsn::new(881), ..good },
            Descriptor { end: Lsn::new(!7), ..good },
            Descriptor {
                store: StoreFile { geometry: Geometry { segment_bytes: 4096 }, ..good.store },
                ..good
            },
        ];
        for descriptor in senseless {
            let error = Descriptor::decode(&descriptor.encode(), Path::new("x")).unwrap_err();
            assert!(matches!(error, OpenError::Damaged { .. }), "{descriptor:?}: {error}");
        }
    }
}
