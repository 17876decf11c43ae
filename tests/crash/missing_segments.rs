//! The last segments removed: if they held any of the log, the store is refused and the first of them is named; if not, it opens.

use super::harness::{History, Opened, State, contents, copy, open_with, outcomes, put, small_segments};
use crate::Durability;
use crate::engine::error::OpenError;
use crate::io::{BLOCK, CrashOutcome, Device, SimulatedDisk};
use crate::log::segment::file_name;

const DATA_BYTES: u64 = 2 * BLOCK as u64;

/// Removes every segment from number `first` on; returns how many there were.
fn remove_segments(disk: &SimulatedDisk, first: u64) -> u64 {
    let removed = (first..).take_while(|&index| disk.remove(&file_name(index)).is_ok());
    removed.count() as u64
}

fn assert_missing(disk: &SimulatedDisk, index: u64, context: &str) {
    let before = contents(disk);
    let error = open_with(disk, small_segments()).err().unwrap_or_else(|| panic!("it opens: {context}"));
    let OpenError::Damaged { file, what } = &error else { panic!("{error}: {context}") };
    assert!(file.ends_with(file_name(index)) && *what == "the segment is missing", "{error}: {context}");
    assert!(contents(disk) == before, "something was changed: {context}");
}

/// Removes, from a copy of a disk whose log ends at `end`, first what lies behind the log, then its last segments, one by one.
///
/// Returns whether there was an unused segment, without which the store must open and hold `state`.
fn check_removals(disk: &SimulatedDisk, state: &State, end: u64, context: &str) -> bool {
    let last = (end - 1) / DATA_BYTES;
    let cut = copy(disk);
    let unused = remove_segments(&cut, last + 1);
    if end.is_multiple_of(DATA_BYTES) {
        assert!(unused > 0, "what comes next is made before the end is reached: {context}");
        assert_missing(&cut, last + 1, context);
    } else {
        let opened = open_with(&copy(&cut), small_segments()).unwrap_or_else(|e| panic!("{e}: {context}"));
        assert_eq!(opened.state(), *state, "{context}");
        assert_eq!(opened.db.recovery().cut_bytes, 0, "{context}");
    }
    for used in (1..=last).rev().take(3) {
        assert_eq!(remove_segments(&cut, used), 1);
        assert_missing(&cut, used, context);
    }
    unused > 0
}

#[test]
fn of_acknowledged_commits_none_is_lost_unseen() {
    let history = History::uneven(150);
    let disk = SimulatedDisk::new(1);
    let opened = open_with(&disk, small_segments()).unwrap();
    let (mut across, mut unused) = (0, 0);
    for commits in 1..=history.len() {
        let lsn = opened.commit(&history.writes(commits), Durability::Sync).unwrap().get();
        let end = opened.db.position().get();
        across += u32::from(lsn / DATA_BYTES < (end - 1) / DATA_BYTES);
        let killed = disk.after_crash(CrashOutcome::DropAll);
        let context = format!("killed after {commits} commits, from {lsn} to {end}");
        unused += u32::from(check_removals(&killed, history.state(commits), end, &context));
        if commits % 5 == 0 {
            drop(open_with(&killed, small_segments()).unwrap());
            // The frames that say that it was opened and closed.
            let end = end + 64;
            let context = format!("closed after {commits} commits, at {end}");
            check_removals(&killed, history.state(commits), end, &context);
        }
    }
    assert!(across > 10 && unused > 10, "{across} {unused}");
}

/// Commits one value such that the log ends `short` bytes before the end of a segment.
fn end_before_segment_end(opened: &Opened, short: u64) {
    let frame = |len: usize| {
        let lsn = opened.commit(&[put("filler", vec![0; len])], Durability::Sync).unwrap();
        opened.db.position().get() - lsn.get()
    };
    // The length of a value takes two bytes from 128 on.
    let other_bytes = frame(200) - 200;
    let room = DATA_BYTES - (opened.db.position().get() + short) % DATA_BYTES;
    let room = if room < other_bytes + 128 { room + DATA_BYTES } else { room };
    frame((room - other_bytes) as usize);
    assert_eq!((opened.db.position().get() + short) % DATA_BYTES, 0);
}

/// At every place in the last bytes the next frame's header lies across the end, or just before it; behind it is nothing, or several segments.
#[test]
fn whatever_lies_at_the_end_of_a_segment() {
    for short in (0..=48).step_by(8) {
        for next in [None, Some(1), Some(300), Some(8_000), Some(30_000)] {
            let disk = SimulatedDisk::new(short);
            let opened = open_with(&disk, small_segments()).unwrap();
            end_before_segment_end(&opened, short);
            if let Some(len) = next {
                opened.commit(&[put("next", vec![0; len])], Durability::Sync).unwrap();
            }
            let end = opened.db.position().get();
            let killed = disk.after_crash(CrashOutcome::DropAll);
            let context = format!("{short} bytes before the end of a segment, then {next:?}, up to {end}");
            check_removals(&killed, &opened.state(), end, &context);
        }
    }
}

/// What a crash left there is zeroed, up to the end of the only segment: a write like any other, which needs the next one first.
#[test]
fn a_cut_up_to_the_end_of_the_last_segment() {
    let (history, disk) = (History::uneven(3), SimulatedDisk::new(1));
    let opened = open_with(&disk, small_segments()).unwrap();
    assert_eq!(history.run(&opened).acknowledged, history.len());
    let torn = disk.after_crash(CrashOutcome::DropAll);
    torn.corrupt(&file_name(0), BLOCK as u64 + DATA_BYTES - 1, 0x10);
    for at in 0.. {
        let second = copy(&torn);
        second.crash_after(at);
        let _ = open_with(&second, small_segments());
        for outcome in outcomes(&second, at, true, 4) {
            let context = format!("crash at {at}, {outcome:?}");
            let found = second.after_crash(outcome);
            let opened = open_with(&found, small_segments()).unwrap_or_else(|e| panic!("{e}: {context}"));
            assert_eq!(opened.state(), *history.state(history.len()), "{context}");
        }
        if !second.has_crashed() {
            return;
        }
    }
}
