//! Frames of an encrypted log that somebody changed who can write to the files, knows the format and makes every checksum right, but has no
//! key: each change is told as such, and never taken for the torn end of the log.

use super::harness::{History, Opened, State, bytes, contents, copy, encrypted, open_with, overwrite, put};
use crate::engine::error::OpenError;
use crate::io::{BLOCK, CrashOutcome, SimulatedDisk};
use crate::log::frame::{HEADER_BYTES, Kind};
use crate::{Durability, LogError, Lsn};

pub(super) const FILE: &str = "log-000000000000";
const CRC: std::ops::Range<usize> = 28..32;

/// A log that is not closed, in one segment, each frame flushed alone: of all kinds but `Close`.
fn store() -> (SimulatedDisk, State) {
    let disk = SimulatedDisk::new(1);
    let opened = open_with(&disk, encrypted(1)).unwrap();
    let history = History::short(3);
    assert!(history.run(&opened).error.is_none());
    let end = opened.engine.store().end();
    let lsn = end.reserve(96);
    opened.engine.log().unwrap().void(lsn, 96).unwrap();
    opened.commit(&[put("large", bytes(1, 9_000))], Durability::Sync).unwrap();
    drop(opened);
    let opened = open_with(&disk, encrypted(1)).unwrap();
    assert!(opened.commit(&[put("last", "1")], Durability::Sync).is_ok());
    (disk.after_crash(CrashOutcome::DropAll), opened.state())
}

/// A frame as it lies in the file.
#[derive(Clone, Debug)]
pub(super) struct Raw {
    pub(super) offset: usize,
    pub(super) kind: u8,
    pub(super) bytes: Vec<u8>,
}

impl Raw {
    /// The frame at this offset of a file.
    pub(super) fn read(file: &[u8], offset: usize) -> Raw {
        let len = u32::from_le_bytes(file[offset..offset + 4].try_into().unwrap()) as usize;
        Raw { offset, kind: file[offset + 4], bytes: file[offset..offset + len].to_vec() }
    }

    pub(super) fn payload_bytes(&self) -> usize {
        u32::from_le_bytes(self.bytes[24..28].try_into().unwrap()) as usize
    }

    pub(super) fn lsn(&self) -> Lsn {
        Lsn::new((self.offset - BLOCK) as u64)
    }

    /// Makes the checksum right.
    pub(super) fn sealed(mut self) -> Raw {
        let payload = &self.bytes[HEADER_BYTES..HEADER_BYTES + self.payload_bytes()];
        let crc = crc32c::crc32c_append(crc32c::crc32c(payload), &self.bytes[..CRC.start]);
        self.bytes[CRC].copy_from_slice(&crc.to_le_bytes());
        self
    }
}

pub(super) fn frames(disk: &SimulatedDisk) -> Vec<Raw> {
    let (file, mut frames, mut offset) = (&contents(disk)[FILE], Vec::new(), BLOCK);
    while file[offset..offset + 4] != [0; 4] {
        frames.push(Raw::read(file, offset));
        offset += frames.last().expect("just pushed").bytes.len();
    }
    frames
}

pub(super) fn with(disk: &SimulatedDisk, frame: &Raw) -> SimulatedDisk {
    let (disk, mut file) = (copy(disk), contents(disk)[FILE].clone());
    file[frame.offset..frame.offset + frame.bytes.len()].copy_from_slice(&frame.bytes);
    overwrite(&disk, FILE, 0, &file);
    disk
}

fn open(disk: &SimulatedDisk) -> Result<Opened, OpenError> {
    open_with(disk, encrypted(1))
}

#[track_caller]
fn assert_told(disk: &SimulatedDisk, frame: &Raw, context: &str) {
    let error = open(&with(disk, frame)).err().unwrap_or_else(|| panic!("not noticed: {context}"));
    let OpenError::Log(LogError::Unauthentic { file, offset, position }) = &error else {
        panic!("{error}: {context}");
    };
    assert_eq!((file.as_str(), *offset as usize, *position), (FILE, frame.offset, frame.lsn()), "{context}");
}

#[test]
fn the_store_has_frames_of_each_kind() {
    let (disk, _) = store();
    let frames = frames(&disk);
    for kind in [Kind::Commit, Kind::Chunk, Kind::Void, Kind::Open, Kind::Close] {
        assert!(frames.iter().any(|frame| frame.kind == kind as u8), "{kind:?}");
    }
    assert!(frames.iter().all(|frame| frame.bytes[5] == 1), "all are sealed with the first data key");
}

/// What decides whether there is a frame at all is damage when it is changed in the middle of the log; the rest is told as a change.
#[test]
fn a_flipped_bit_in_any_byte_is_found() {
    let (disk, state) = store();
    let frames = frames(&disk);
    for (index, frame) in frames.iter().enumerate() {
        let len = HEADER_BYTES + frame.payload_bytes();
        // The mark of the time goes to the disk with the commit behind it: what is in the very last write cannot be told from a torn end.
        let is_last = index >= frames.len() - 2;
        for byte in (0..len).filter(|byte| !CRC.contains(byte) && (len < 200 || *byte < 40 || byte % 97 == 0))
        {
            let mut changed = frame.clone();
            changed.bytes[byte] ^= 1 << (byte % 8);
            let context = format!("frame {index} of kind {}, byte {byte}", frame.kind);
            if byte >= HEADER_BYTES
                || byte == 5
                || (16..24).contains(&byte) && changed.bytes[16..24] < frame.bytes[16..24]
            {
                let is_key_0 = byte == 5 && changed.bytes[5] == 0;
                if !is_key_0 {
                    assert_told(&disk, &changed.sealed(), &context);
                    continue;
                }
            }
            // Only sealed if the payload length is still within the frame.
            let fits = HEADER_BYTES + changed.payload_bytes() <= changed.bytes.len();
            let changed = if fits { changed.sealed() } else { changed };
            match open(&with(&disk, &changed)) {
                Err(OpenError::Log(LogError::Damaged { .. } | LogError::Unauthentic { .. })) => {}
                Err(error) => panic!("{error}: {context}"),
                Ok(opened) => {
                    assert!(is_last, "not noticed: {context}");
                    let mut cut = state.clone();
                    cut.remove(&b"last"[..]);
                    assert_eq!(opened.state(), cut, "the end may be cut, and no more: {context}");
                }
            }
        }
    }
}

/// A frame of another kind in the place of each, as long, with whatever the old one had for a tag.
#[test]
fn no_frame_passes_for_one_of_another_kind() {
    let (disk, _) = store();
    for frame in frames(&disk) {
        for kind in [Kind::Commit, Kind::Chunk, Kind::Void] {
            for generation in [0, 1] {
                if (frame.kind, 1) == (kind as u8, generation) || frame.kind == Kind::Open as u8 {
                    continue;
                }
                let mut changed = frame.clone();
                (changed.bytes[4], changed.bytes[5]) = (kind as u8, generation);
                if kind == Kind::Void {
                    changed.bytes[24..28].copy_from_slice(&(16 * u32::from(generation)).to_le_bytes());
                } else if frame.kind == Kind::Void as u8 {
                    let payload_bytes = frame.bytes.len() as u32 - HEADER_BYTES as u32;
                    changed.bytes[24..28].copy_from_slice(&payload_bytes.to_le_bytes());
                }
                assert_told(
                    &disk,
                    &changed.sealed(),
                    &format!("{} as {kind:?}, key {generation}", frame.kind),
                );
            }
        }
    }
}

#[test]
fn no_frame_passes_at_another_position() {
    let (disk, _) = store();
    let frames = frames(&disk);
    let mut moved = 0;
    for (from, to) in frames.iter().flat_map(|from| frames.iter().map(move |to| (from, to))) {
        let fits = from.bytes.len() == to.bytes.len() && from.kind == to.kind;
        if from.offset == to.offset || !fits || from.bytes[6..8] != to.bytes[6..8] {
            continue;
        }
        let mut changed = to.clone();
        // All but what says where it is.
        changed.bytes[HEADER_BYTES..].copy_from_slice(&from.bytes[HEADER_BYTES..]);
        changed.bytes[24..28].copy_from_slice(&from.bytes[24..28]);
        assert_told(&disk, &changed.sealed(), &format!("{from:?} at {}", to.offset));
        moved += 1;
    }
    assert!(moved >= 6, "{moved}");
}

/// What a session wrote that was cut off by a crash has the same position, number and key as what the next one wrote.
#[test]
fn no_frame_of_a_session_that_was_cut_off_comes_back() {
    let (disk, _) = store();
    let before = copy(&disk);
    let write = |value: &str| {
        let disk = copy(&before);
        let opened = open(&disk).unwrap();
        opened.commit(&[put("k", value)], Durability::Sync).unwrap();
        opened.commit(&[put("behind", "1")], Durability::Sync).unwrap();
        disk.after_crash(CrashOutcome::DropAll)
    };
    let (first, second) = (write("one"), write("two"));
    let (old, new) = (frames(&first), frames(&second));
    assert_eq!(old.len(), new.len());
    let at = old.len() - 2;
    assert_eq!(
        (old[at].offset, &old[at].bytes[..24]),
        (new[at].offset, &new[at].bytes[..24]),
        "alike but for what is sealed"
    );
    assert_ne!(old[at].bytes, new[at].bytes);
    assert_told(&second, &old[at], "replayed");
    // Its first frame with it says another salt: then the frame behind is not of that session.
    let first = old.iter().rposition(|frame| frame.kind == Kind::Open as u8).unwrap();
    let error = open(&with(&second, &old[first])).err().expect("not noticed");
    let OpenError::Log(LogError::Unauthentic { position, .. }) = &error else { panic!("{error}") };
    assert_eq!(*position, new[first + 1].lsn());
}

#[test]
fn verify_tells_it_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let open = || crate::Database::builder().path(&path).encryption(super::harness::provider(1)).open();
    let db = open().unwrap();
    db.keyspace("k").unwrap().put(b"a", b"1").unwrap();
    db.close().unwrap();
    let verified = crate::verify_encrypted(&path, super::harness::provider(1)).unwrap();
    assert!(verified.closed && verified.frames >= 4, "{verified:?}");
    assert!(matches!(crate::verify(&path), Err(OpenError::KeyNeeded { .. })));
    assert!(matches!(
        crate::verify_encrypted(&path, super::harness::provider(2)),
        Err(OpenError::WrongKey { .. })
    ));

    let file = path.join(FILE);
    let mut log = std::fs::read(&file).unwrap();
    let len = u32::from_le_bytes(log[BLOCK..BLOCK + 4].try_into().unwrap()) as usize;
    let mut frame = Raw { offset: BLOCK, kind: log[BLOCK + 4], bytes: log[BLOCK..BLOCK + len].to_vec() };
    frame.bytes[HEADER_BYTES] ^= 1;
    log[BLOCK..BLOCK + len].copy_from_slice(&frame.sealed().bytes);
    std::fs::write(&file, log).unwrap();
    let found = crate::verify_encrypted(&path, super::harness::provider(1)).unwrap();
    let first = found.findings.first().expect("not noticed");
    assert_eq!((first.kind, first.file.as_deref()), (crate::FindingKind::Frame, Some(FILE)), "{found:?}");
}
