//! Every byte of a small store's files flipped in turn: opening it reports that, or what is read is right.

use super::harness::{History, contents, copy, open_with, small_segments};
use crate::io::{CrashOutcome, SimulatedDisk};

const COMMITS: u8 = 12;

/// Calls `check` with the disk after each byte of each file was changed in turn.
fn with_each_byte_flipped(
    disk: &SimulatedDisk,
    mask: impl Fn(usize) -> u8,
    check: impl Fn(SimulatedDisk, &str),
) {
    for (name, bytes) in contents(disk) {
        for offset in 0..bytes.len() {
            let flipped = copy(disk);
            flipped.corrupt(&name, offset as u64, mask(offset));
            check(flipped, &format!("{name} byte {offset}"));
        }
    }
}

#[test]
fn of_a_closed_store_nothing_is_lost_unseen() {
    let (history, disk) = (History::short(COMMITS), SimulatedDisk::new(1));
    assert_eq!(history.run(&open_with(&disk, small_segments()).unwrap()).acknowledged, COMMITS as usize);
    with_each_byte_flipped(
        &disk,
        |offset| 1 << (offset % 8),
        |flipped, context| {
            if let Ok(opened) = open_with(&flipped, small_segments()) {
                assert_eq!(opened.state(), *history.state(COMMITS as usize), "{context}");
            }
        },
    );
}

#[test]
fn of_a_crashed_store_only_the_end_is_cut_and_that_is_reported() {
    let (history, disk) = (History::short(COMMITS), SimulatedDisk::new(1));
    let opened = open_with(&disk, small_segments()).unwrap();
    assert_eq!(history.run(&opened).acknowledged, COMMITS as usize);
    let crashed = disk.after_crash(CrashOutcome::DropAll);
    with_each_byte_flipped(
        &crashed,
        |_| 0xff,
        |flipped, context| {
            if let Ok(opened) = open_with(&flipped, small_segments()) {
                let commits = history.prefix(&opened.state(), COMMITS as usize - 1, context);
                assert!(commits == COMMITS as usize || opened.db.recovery().cut_bytes > 0, "{context}");
            }
        },
    );
}
