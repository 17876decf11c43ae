//! A frame in the middle of an encrypted log that somebody changed, checksum and all: opening names the place, verifying lists it and nothing else, and
//! salvaging brings over what is before and behind it. A torn end is cut all the while.

use super::harness::*;
use super::hostile_frames::{FILE, Raw, frames, with};
use super::salvaging::{Held, salvage_with};
use super::verifying::verify_with;
use crate::engine::error::OpenError;
use crate::io::{CrashOutcome, SimulatedDisk};
use crate::log::frame::{HEADER_BYTES, Kind};
use crate::{Durability, FindingKind, LogError, Lost, Lsn};

const COMMITS: u8 = 12;

/// A store that was not closed, with a key for each commit; and where the commits are. Those from `in_one_flush` on reached the disk at once.
fn store(in_one_flush: u8) -> (SimulatedDisk, Vec<Lsn>) {
    let disk = SimulatedDisk::new(1);
    let opened = open_with(&disk, sealed_pages()).unwrap();
    opened.keyspace().unwrap();
    let commits = (0..COMMITS).map(|n| {
        let is_alone = n < in_one_flush || n == COMMITS - 1;
        let durability = if is_alone { Durability::Sync } else { Durability::None };
        opened.commit(&[put([n], bytes(n.into(), 40))], durability).unwrap()
    });
    let commits = commits.collect();
    (disk.after_crash(CrashOutcome::DropAll), commits)
}

fn frame_at(disk: &SimulatedDisk, lsn: Lsn) -> Raw {
    frames(disk).into_iter().find(|frame| frame.lsn() == lsn).expect("there is a frame")
}

/// The same disk with another byte in the payload of a frame, and the checksum that belongs to that.
fn tampered(disk: &SimulatedDisk, lsn: Lsn) -> SimulatedDisk {
    let mut frame = frame_at(disk, lsn);
    frame.bytes[HEADER_BYTES + 3] ^= 1;
    with(disk, &frame.sealed())
}

fn keys(held: &Held) -> Vec<u8> {
    let of_k = held.keys().filter(|(name, _)| name == "k");
    let mut keys: Vec<u8> =
        of_k.map(|(_, key)| key.trim_matches(['[', ']']).parse().expect("a key of one byte")).collect();
    keys.sort_unstable();
    keys
}

fn assert_named(disk: &SimulatedDisk, lsn: Lsn, context: &str) {
    let error = open_with(&copy(disk), sealed_pages()).err().expect("it was changed");
    let text = error.to_string();
    let OpenError::Log(LogError::Unauthentic { file, offset, position }) = error else {
        panic!("{text}: {context}")
    };
    let place = (FILE, frame_at(disk, lsn).offset as u64, lsn);
    assert_eq!((file.as_str(), offset, position), place, "{context}");
    assert!(text.contains(FILE) && text.contains(&format!("at byte {offset}")), "{text}");
}

/// The frame at `lsn` was changed, up to `to`, and all else is there.
fn assert_one_is_lost(disk: &SimulatedDisk, commits: &[Lsn], index: usize, context: &str) {
    assert_named(disk, commits[index], context);
    let found = verify_with(disk, &sealed_pages());
    assert_eq!(found.findings.len(), 1, "{:#?}: {context}", found.findings);
    let finding = &found.findings[0];
    let place = Some(frame_at(disk, commits[index]).offset as u64);
    assert_eq!(
        (finding.kind, finding.file.as_deref(), finding.offset),
        (FindingKind::Frame, Some(FILE), place),
        "{context}"
    );
    assert!(finding.what.contains("was changed"), "{finding}");
    let to = commits.get(index + 1).copied();
    assert_eq!(finding.lost, Lost::Positions { from: commits[index], to }, "{context}");
    let (salvaged, held) = salvage_with(disk, &sealed_pages(), context).unwrap();
    assert!(salvaged.findings == found.findings && !salvaged.is_complete(), "{context}");
    let expected: Vec<u8> = (0..COMMITS).filter(|n| usize::from(*n) != index).collect();
    assert_eq!(keys(&held), expected, "{context}");
}

#[test]
fn each_frame_in_turn() {
    let (disk, commits) = store(COMMITS);
    for index in 0..commits.len() {
        let context = format!("commit {index}");
        assert_one_is_lost(&tampered(&disk, commits[index]), &commits, index, &context);
    }
}

/// Nothing behind it says that it was durable: they came to the disk at once.
#[test]
fn in_the_midst_of_one_flush() {
    let (disk, commits) = store(3);
    for index in 4..commits.len() {
        let context = format!("commit {index}");
        assert_one_is_lost(&tampered(&disk, commits[index]), &commits, index, &context);
    }
}

#[test]
fn several_at_once() {
    let (disk, commits) = store(COMMITS);
    let changed = [2, 5, 6, 9].into_iter().fold(disk, |disk, index: usize| tampered(&disk, commits[index]));
    assert_named(&changed, commits[2], "the first one");
    let found = verify_with(&changed, &sealed_pages());
    assert_eq!(found.findings.len(), 4, "{:#?}", found.findings);
    let (_, held) = salvage_with(&changed, &sealed_pages(), "several").unwrap();
    assert_eq!(keys(&held), [0, 1, 3, 4, 7, 8, 10, 11]);
}

/// The last frame is torn: it goes without a word of damage, whether another one was changed or not.
#[test]
fn before_a_torn_end() {
    let (disk, commits) = store(COMMITS);
    let last = commits[commits.len() - 1];
    let mut torn = frame_at(&disk, last);
    let half = torn.bytes.len() / 2;
    torn.bytes[half..].fill(0);
    let disk = with(&disk, &torn);
    let cut = verify_with(&disk, &sealed_pages());
    assert!(cut.is_sound(), "{:#?}", cut.findings);
    assert!(cut.end == last && cut.cut_bytes > 0 && !cut.closed, "{cut:?}");
    let opened = open_with(&copy(&disk), sealed_pages()).unwrap();
    assert_eq!((opened.db.recovery().end, opened.state().len()), (last, usize::from(COMMITS) - 1));
    let (salvaged, held) = salvage_with(&disk, &sealed_pages(), "torn").unwrap();
    assert!(salvaged.is_complete() && keys(&held) == (0..COMMITS - 1).collect::<Vec<_>>());

    let disk = tampered(&disk, commits[4]);
    assert_named(&disk, commits[4], "torn");
    let found = verify_with(&disk, &sealed_pages());
    assert_eq!(found.findings.len(), 1, "{:#?}", found.findings);
    assert_eq!((found.end, found.cut_bytes), (last, cut.cut_bytes));
    let (_, held) = salvage_with(&disk, &sealed_pages(), "torn and changed").unwrap();
    assert_eq!(keys(&held), [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]);
}

/// Behind a frame that was changed in a flush that did not come to its end: what is behind the torn place was never acknowledged.
#[test]
fn what_is_behind_a_torn_place_stays_away() {
    let (disk, commits) = store(3);
    let mut torn = frame_at(&disk, commits[7]);
    torn.bytes[HEADER_BYTES + 5] ^= 1;
    let disk = with(&tampered(&disk, commits[5]), &torn);
    let (salvaged, held) = salvage_with(&disk, &sealed_pages(), "torn").unwrap();
    assert_eq!(keys(&held), [0, 1, 2, 3, 4, 6], "{:#?}", salvaged.findings);
    assert_eq!(salvaged.findings.len(), 1, "{:#?}", salvaged.findings);
}

/// Without the first frame of a session none of it can be read; the next session can.
#[test]
fn the_first_frame_of_a_session() {
    let (disk, _) = store(COMMITS);
    for n in [100, 101] {
        let opened = open_with(&disk, sealed_pages()).unwrap();
        opened.commit(&[put([n], "later")], Durability::Sync).unwrap();
    }
    let opens: Vec<_> = frames(&disk).into_iter().filter(|frame| frame.kind == Kind::Open as u8).collect();
    let changed = tampered(&disk, opens[1].lsn());
    assert_named(&changed, opens[1].lsn(), "the second session");
    let found = verify_with(&changed, &sealed_pages());
    assert_eq!(found.findings.len(), 1, "{:#?}", found.findings);
    let lost = Lost::Positions { from: opens[1].lsn(), to: Some(opens[2].lsn()) };
    assert_eq!(found.findings[0].lost, lost);
    let (_, held) = salvage_with(&changed, &sealed_pages(), "session").unwrap();
    assert_eq!(keys(&held), (0..COMMITS).chain([101]).collect::<Vec<_>>());
}
