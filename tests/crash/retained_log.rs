//! The log from before the checkpoint that is kept as history: as far back as the setting says, over openings and crashes, and in nobody's way.

use super::chain::{back_up, open_copy, restore};
use super::harness::*;
use super::salvaging::salvage;
use super::verifying::verify;
use crate::engine::config::Config;
use crate::engine::restore::Until;
use crate::io::{CrashOutcome, Device, SimulatedDisk};
use crate::log::resume;
use crate::log::streams::Streams;
use crate::lsn::Lsn;
use crate::{Durability, Retention};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const KEPT_BYTES: u64 = 4 * SEGMENT_BYTES;

fn keeping() -> Config {
    Config { retention: Some(Retention::new().bytes(KEPT_BYTES)), ..config() }
}

/// Half a segment of log, and a checkpoint; returns where it is committed.
fn commit(opened: &Opened, seed: u64) -> Lsn {
    let writes = [put([b'k', seed as u8 % 7], bytes(seed, SEGMENT_BYTES as usize / 2))];
    let lsn = opened.commit(&writes, Durability::Sync).unwrap();
    opened.db.checkpoint().unwrap();
    lsn
}

fn oldest(opened: &Opened) -> Lsn {
    opened.db.stats().oldest_log_position.expect("the store is on a disk")
}

/// The positions of the commits that the log still holds.
fn readable(opened: &Opened) -> Vec<Lsn> {
    let segments = opened.engine.log().unwrap().segments();
    let start = opened.engine.log().unwrap().first_frame().unwrap().expect("there is a frame");
    let (mut streams, mut found) = (Streams::new(segments, start, start.lsn), Vec::new());
    let end = opened.engine.durable_position();
    resume::read_on(
        segments,
        start,
        Some(end),
        &mut |frames| {
            for (lsn, stream) in streams.read_each(frames) {
                match stream {
                    Ok(_) => found.push(lsn),
                    // The chunks of one are cut off where the log begins.
                    Err(error) => assert!(found.is_empty(), "{error}"),
                }
            }
            Ok(())
        },
        |gap| panic!("{gap:?}"),
    )
    .unwrap();
    found
}

#[test]
fn as_many_bytes_are_kept_as_was_said_also_after_an_opening() {
    let disk = SimulatedDisk::new(1);
    let opened = open_with(&disk, keeping()).unwrap();
    let commits: Vec<Lsn> = (0..30).map(|seed| commit(&opened, seed)).collect();
    let kept = opened.db.position().get() - oldest(&opened).get();
    assert!((KEPT_BYTES..=2 * KEPT_BYTES + 2 * SEGMENT_BYTES).contains(&kept), "{kept}");
    let (first, state) = (oldest(&opened), opened.state());
    let expected: Vec<Lsn> = commits.into_iter().filter(|lsn| *lsn > first.plus(SEGMENT_BYTES)).collect();
    assert!(readable(&opened).ends_with(&expected) && expected.len() > 5);

    // What is there from before the checkpoint is in nobody's way.
    let target = SimulatedDisk::new(2);
    back_up(&opened, None, &target).unwrap();
    assert_eq!(open_copy(&target).unwrap().state(), state);
    let restored = SimulatedDisk::new(3);
    restore(&[target], &restored, Until::End).unwrap();
    assert_eq!(open_copy(&restored).unwrap().state(), state);
    assert!(opened.db.verify().unwrap().is_sound());
    drop(opened);
    assert!(verify(&disk).is_sound());
    let (salvaged, held) = salvage(&copy(&disk), "a retained log").unwrap();
    assert!(salvaged.is_complete(), "{:#?}", salvaged.findings);
    assert_eq!(held.len(), 7);

    let opened = open_with(&disk, keeping()).unwrap();
    assert_eq!((oldest(&opened), opened.state()), (first, state.clone()));
    assert!(readable(&opened).ends_with(&expected));
    // Less, from now on.
    opened.db.set_retention(Retention::new()).unwrap();
    opened.db.checkpoint().unwrap();
    assert!(opened.db.position().get() - oldest(&opened).get() <= SEGMENT_BYTES);
    drop(opened);
    let opened = open_with(&disk, keeping()).unwrap();
    assert_eq!(opened.state(), state);
    assert!(readable(&opened).len() < 5, "what was given up is gone");
}

/// Opened and closed every ten minutes, with an hour of log kept: what is older goes, though no opening lasts so long.
#[test]
fn a_time_is_kept_over_many_openings() {
    const MINUTE: u64 = 60_000;
    static NOW: AtomicU64 = AtomicU64::new(1_000 * MINUTE);
    for (key, disk) in [(None, SimulatedDisk::new(1)), (Some(1), SimulatedDisk::new(2))] {
        let sealing = key.map_or(config(), encrypted);
        // Relaxed, here and below: one thread.
        let clock = || NOW.load(Ordering::Relaxed);
        let retention = Retention::new().time(Duration::from_secs(3_600));
        let config = Config { clock, retention: Some(retention), ..sealing };
        let mut commits = Vec::new();
        for seed in 0..40 {
            let opened = open_with(&disk, config.clone()).unwrap();
            commits.push((commit(&opened, seed), clock()));
            NOW.fetch_add(10 * MINUTE, Ordering::Relaxed); // as above
            opened.engine.log().unwrap().mark_time().unwrap();
            opened.engine.history().tick();
            commit(&opened, seed);
            let hour_ago = clock() - 60 * MINUTE;
            // What its session began with may be gone, and then it cannot be opened.
            let readable_for = if key.is_some() { 40 } else { 60 } * MINUTE;
            let found = readable(&opened);
            for (lsn, time) in &commits {
                if *time >= clock() - readable_for {
                    assert!(found.contains(lsn), "{lsn} is young enough: {found:?}");
                } else if *time + 90 * MINUTE < hour_ago {
                    assert!(!found.contains(lsn), "{lsn} of {time} is old at {}", clock());
                }
            }
        }
        assert!(verify_with_key(&disk, key));
    }
}

fn verify_with_key(disk: &SimulatedDisk, key: Option<u8>) -> bool {
    super::verifying::verify_with(disk, &key.map_or(config(), encrypted)).is_sound()
}

#[test]
fn a_crash_anywhere_loses_nothing_beside_a_log_that_is_kept() {
    let (history, mut pasts) = (History::with_checkpoints(), 0);
    for operations in (0..).step_by(5) {
        let disk = SimulatedDisk::new(operations);
        disk.crash_after(operations);
        let run = history.run_on_with(&disk, keeping());
        for outcome in outcomes(&disk, operations, false, 1) {
            let context = format!("{operations} operations, {outcome:?}");
            let after = disk.after_crash(outcome);
            let Ok(opened) = open_with(&after, keeping()) else {
                panic!("{context}: {:?}", open_with(&after, keeping()).err());
            };
            history.prefix(&opened.state(), run.acknowledged, &context);
            let commits = readable(&opened);
            assert!(commits.is_sorted(), "{context}");
            let oldest = opened.db.oldest_position();
            let states = commits.into_iter().filter(|position| *position >= oldest);
            let numbers: Vec<usize> = states
                .map(|position| {
                    let state = opened.state_at(position);
                    let number = History::number(&state);
                    assert!(state == *history.state(number), "{context}: {number} at {position}");
                    number
                })
                .collect();
            assert!(numbers.windows(2).all(|pair| pair[1] - pair[0] <= 1), "{context}: {numbers:?}");
            pasts += numbers.len();
            drop(opened);
            assert!(verify(&after).is_sound(), "{context}");
        }
        if run.error.is_none() {
            assert!(pasts > 500, "{pasts}");
            return;
        }
    }
}

/// A damaged segment that nothing needs is not kept, and no reason not to open.
#[test]
fn damage_in_what_is_only_kept_is_as_good_as_gone() {
    let disk = SimulatedDisk::new(1);
    let opened = open_with(&disk, keeping()).unwrap();
    for seed in 0..20 {
        commit(&opened, seed);
    }
    let (first, state) = (oldest(&opened), opened.state());
    let geometry = opened.engine.log().unwrap().segments().geometry();
    drop(opened);
    let name = crate::log::segment::file_name(geometry.index_of(first) + 1);
    overwrite(&disk, &name, 0, &bytes(1, crate::io::BLOCK));
    let opened = open_with(&disk, keeping()).unwrap();
    assert_eq!(opened.state(), state);
    assert_eq!(geometry.index_of(oldest(&opened)), geometry.index_of(first) + 2);
    drop(opened);
    assert!(verify(&disk).is_sound());
}

/// The old data key stays as long as the log that it sealed, and goes with it.
#[test]
fn a_changed_key_leaves_what_is_kept_readable() {
    let disk = SimulatedDisk::new(1);
    let config = |key| Config { retention: keeping().retention, ..encrypted(key) };
    let opened = open_with(&disk, config(1)).unwrap();
    let before = commit(&opened, 1);
    opened.db.rotate_key(&provider(2)).unwrap();
    let after = commit(&opened, 2);
    assert!([before, after].iter().all(|lsn| readable(&opened).contains(lsn)));
    drop(opened);
    let opened = open_with(&copy(&disk), config(2)).unwrap();
    assert!([before, after].iter().all(|lsn| readable(&opened).contains(lsn)));
    drop(opened);
    let opened = open_with(&disk, config(2)).unwrap();
    let oldest_key = |opened: &Opened| opened.engine.log().unwrap().segments().keys().unwrap().oldest();
    let first = oldest_key(&opened);
    for seed in 3..30 {
        commit(&opened, seed);
    }
    assert!(oldest_key(&opened) > first, "nothing needs the old key");
    assert!(readable(&opened).iter().all(|lsn| *lsn > before));
    let opened = {
        drop(opened);
        open_with(&disk.after_crash(CrashOutcome::DropAll), config(2)).unwrap()
    };
    assert!(!readable(&opened).is_empty() && disk.list().unwrap().len() < 45);
}
