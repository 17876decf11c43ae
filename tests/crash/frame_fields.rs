//! A flipped bit in each field of a frame: in the middle of the log it is damage, at its end it is cut, and reported.

use super::harness::{History, copy, open};
use crate::engine::error::OpenError;
use crate::io::{BLOCK, CrashOutcome, SimulatedDisk};
use crate::log::frame::HEADER_BYTES;
use crate::log::reader::LogError;
use crate::{Durability, Lsn};

const COMMITS: u8 = 6;
const FILE: &str = "log-000000000000";
/// `docs/formats.md`: the fields of a frame's header, with the first byte behind each.
const FIELDS: [(&str, usize); 9] = [
    ("length", 4),
    ("kind", 5),
    ("zero", 6),
    ("session", 8),
    ("position", 16),
    ("durable", 24),
    ("payload length", 28),
    ("checksum", HEADER_BYTES),
    ("payload", usize::MAX),
];

/// A store that was not closed, each commit of which was flushed alone, with the position of each and the end.
fn store() -> (SimulatedDisk, Vec<Lsn>) {
    let (history, disk) = (History::short(COMMITS), SimulatedDisk::new(1));
    let opened = open(&disk).unwrap();
    opened.keyspace().unwrap();
    let mut positions = Vec::new();
    for commits in 1..=history.len() {
        positions.push(opened.commit(&history.writes(commits), Durability::Sync).unwrap());
    }
    positions.push(opened.db.position());
    (disk.after_crash(CrashOutcome::DropAll), positions)
}

fn offset(lsn: Lsn) -> u64 {
    BLOCK as u64 + lsn.get()
}

fn field(byte: usize) -> &'static str {
    FIELDS.iter().find(|(_, end)| byte < *end).expect("the last one has no end").0
}

/// Calls `check` with the disk after each bit of a frame was flipped in turn, but for what pads it.
fn with_each_bit_flipped(disk: &SimulatedDisk, frame: (Lsn, Lsn), check: impl Fn(SimulatedDisk, &str)) {
    let payload_len = {
        let bytes = &super::harness::contents(disk)[FILE][offset(frame.0) as usize..];
        u32::from_le_bytes(bytes[24..28].try_into().unwrap()) as usize
    };
    assert!(HEADER_BYTES + payload_len <= (frame.1.get() - frame.0.get()) as usize);
    for bit in 0..(HEADER_BYTES + payload_len) * 8 {
        let flipped = copy(disk);
        flipped.corrupt(FILE, offset(frame.0) + bit as u64 / 8, 1 << (bit % 8));
        check(flipped, &format!("bit {bit}, field `{}`", field(bit / 8)));
    }
}

#[test]
fn in_the_middle_it_is_damage_with_file_and_offset() {
    let (disk, positions) = store();
    for (index, frame) in positions.windows(2).enumerate().take(COMMITS as usize - 1) {
        with_each_bit_flipped(&disk, (frame[0], frame[1]), |flipped, bit| {
            let before = super::harness::contents(&flipped);
            let error = open(&flipped).err().unwrap_or_else(|| panic!("frame {index}, {bit}: not noticed"));
            let OpenError::Log(LogError::Damaged { file, offset: at, position }) = &error else {
                panic!("frame {index}, {bit}: {error}");
            };
            assert_eq!((file.as_str(), *at, *position), (FILE, offset(frame[0]), frame[0]), "{bit}");
            assert!(error.to_string().contains(FILE), "{error}");
            assert!(
                super::harness::contents(&flipped) == before,
                "frame {index}, {bit}: something was written"
            );
        });
    }
}

#[test]
fn at_the_end_it_is_cut_and_reported() {
    let (disk, positions) = store();
    let history = History::short(COMMITS);
    let (last, end) = (positions[COMMITS as usize - 1], positions[COMMITS as usize]);
    with_each_bit_flipped(&disk, (last, end), |flipped, bit| {
        let opened = open(&flipped).unwrap_or_else(|error| panic!("{bit}: {error}"));
        assert_eq!(opened.state(), *history.state(COMMITS as usize - 1), "{bit}");
        let recovery = opened.db.recovery();
        assert_eq!(recovery.end, last, "{bit}");
        assert!(recovery.cut_bytes > 0 && !recovery.closed, "{bit}");
    });
}

#[test]
fn behind_the_end_it_is_cut_and_reported() {
    let (disk, positions) = store();
    let (history, end) = (History::short(COMMITS), positions[COMMITS as usize]);
    for distance in [0, 1, 8, 511, 4096, 30_000] {
        let flipped = copy(&disk);
        flipped.corrupt(FILE, offset(end) + distance, 0x10);
        let opened = open(&flipped).unwrap();
        assert_eq!(opened.state(), *history.state(COMMITS as usize));
        assert_eq!(opened.db.recovery().cut_bytes, distance + 1);
        drop(opened);
        assert_eq!(open(&flipped).unwrap().db.recovery().cut_bytes, 0, "cut once");
    }
}
