//! Checkpoints on a disk that fails: whatever happens while one is taken, nothing is lost, and the next one succeeds.

use super::harness::{
    History, Opened, REPEATS, State, bytes, config, contents, copy, delete, encrypted, open, open_with, put,
    sealed_pages,
};
use crate::checkpoint::PAGE_BYTES;
use crate::checkpoint::error::CheckpointError;
use crate::engine::config::Config;
use crate::engine::error::OpenError;
use crate::io::{CrashOutcome, Device, Fault, Repeat, SimulatedDisk};
use crate::{Compression, Durability, Error};
use std::collections::BTreeSet;

fn reopen(disk: &SimulatedDisk) -> Opened {
    open(&disk.after_crash(CrashOutcome::DropAll)).unwrap()
}

#[test]
fn the_history_meets_what_it_should() {
    let (history, disk) = (History::with_checkpoints(), SimulatedDisk::new(0));
    let opened = open(&disk).unwrap();
    let run = history.run(&opened);
    assert_eq!((run.acknowledged, run.error), (history.len(), None));
    let names: BTreeSet<String> = disk.list().unwrap().into_iter().collect();
    let count = |prefix: &str| names.iter().filter(|name| name.starts_with(prefix)).count();
    assert!(count("pages-") >= 3 && count("manifest-") == 1, "{names:?}");
    assert!(!names.contains("log-000000000000"), "the first segment was used again: {names:?}");
    drop(opened);
    let opened = reopen(&disk);
    let recovery = opened.db.recovery();
    assert!(recovery.pages >= 10 && recovery.entries > 50 && recovery.writes == 2, "{recovery:?}");
    assert_eq!(opened.state(), *history.state(history.len()));
}

/// Random changes with checkpoints in between leave what they would leave without any.
#[test]
fn a_store_is_the_same_after_any_number_of_checkpoints() {
    for seed in 0..20 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (disk, mut state) = (SimulatedDisk::new(seed), State::new());
        // A third of the stores is encrypted; whether pages are compressed changes with each opening.
        let plain = if seed % 3 == 0 { encrypted(1) } else { config() };
        let configs = [Config { checkpoint_compression: Some(Compression::Lz4), ..plain.clone() }, plain];
        let mut opened = open_with(&disk, configs[0].clone()).unwrap();
        for _ in 0..30 {
            for _ in 0..random.usize(0..4) {
                let writes: Vec<_> = (0..random.usize(1..80))
                    .map(|_| {
                        let key = bytes(random.u64(0..400), 1 + random.usize(0..2) * 200);
                        let long = if random.u8(0..10) == 0 { 20_000 } else { 500 };
                        let mut value = bytes(random.u64(..), random.usize(0..long));
                        value.extend_from_within(..value.len() / 2);
                        if random.u8(0..4) == 0 { delete(key) } else { put(key, value) }
                    })
                    .collect();
                for (key, value) in &writes {
                    match value {
                        Some(value) => state.insert(key.clone(), value.clone()),
                        None => state.remove(key),
                    };
                }
                opened.commit(&writes, Durability::Sync).unwrap();
            }
            opened.db.checkpoint().unwrap();
            if random.bool() {
                drop(opened);
                opened = open_with(&disk, configs[random.usize(0..2)].clone()).unwrap();
                assert_eq!(opened.state(), state, "seed {seed}");
            }
        }
        let all: Vec<_> = state.keys().map(delete).collect();
        opened.commit(&all, Durability::Sync).unwrap();
        opened.db.checkpoint().unwrap();
        let found = open_with(&disk.after_crash(CrashOutcome::DropAll), configs[0].clone()).unwrap();
        assert_eq!(found.state(), State::new(), "seed {seed}");
    }
}

#[test]
fn a_checkpoint_writes_what_changed_and_takes_no_more_room_than_two() {
    let disk = SimulatedDisk::new(0);
    let opened = open(&disk).unwrap();
    let write = |from: u64, to: u64, seed: u64| {
        let writes: Vec<_> = (from..to).map(|n| put(format!("{n:06}"), bytes(seed + n, 200))).collect();
        opened.commit(&writes, Durability::Sync).unwrap();
        opened.db.checkpoint().unwrap().unwrap()
    };
    let first = write(0, 5_000, 0);
    assert!(first.written_bytes > 5_000 * 200 && first.entries == 5_001, "{first:?}");
    let clustered = write(1_000, 1_050, 1);
    assert!(clustered.written_bytes * 20 <= first.written_bytes, "{clustered:?} after {first:?}");
    let nothing = opened.db.checkpoint().unwrap().unwrap();
    assert_eq!((nothing.written_bytes, nothing.pages), (0, clustered.pages), "{nothing:?}");
    for round in 2..12 {
        let again = write(0, 5_000, round);
        assert!(again.pages < first.pages * 21 / 20, "{again:?} after {first:?}");
    }
    let names = disk.list().unwrap();
    let extents = names.iter().filter(|name| name.starts_with("pages-")).count() as u64;
    assert!(extents * 8 * PAGE_BYTES as u64 <= first.written_bytes * 5 / 2, "{extents} extents, {first:?}");
}

/// Takes a checkpoint with a fault in each of its operations; in each case the store goes on, and once the disk is mended the next one succeeds.
fn outlives(fault: Fault) {
    for config in [config(), sealed_pages()] {
        REPEATS.into_iter().for_each(|repeat| outlives_repeated(fault, repeat, &config));
    }
}

fn outlives_repeated(fault: Fault, repeat: Repeat, config: &Config) {
    let open = |disk: &SimulatedDisk| open_with(disk, config.clone());
    let history = History::with_checkpoints();
    let (mut struck, mut at, mut failed) = (true, 0, 0);
    while struck {
        let disk = SimulatedDisk::new(at);
        let opened = open(&disk).unwrap();
        assert_eq!(history.run(&opened).error, None);
        opened.commit(&[put("more", bytes(1, 20_000)), delete("b")], Durability::Sync).unwrap();
        let before = opened.state();
        let context = format!("{fault:?} {repeat:?} in operation {at} of a checkpoint");
        disk.fail(at, fault, repeat);
        let outcome = opened.db.checkpoint();
        struck = disk.faults_struck() > 0;
        assert!(struck || outcome.is_ok(), "{context}");
        if let Err(error) = outcome {
            failed += 1;
            assert!(matches!(error, Error::Checkpoint { .. }), "{error}: {context}");
            assert!(error.to_string().contains(&format!("simulated {fault:?}")), "{error}: {context}");
            assert!(opened.db.stats().checkpoint_failure.is_some(), "{context}");
            assert!(opened.db.stats().read_only.is_none(), "a checkpoint that fails harms nobody: {context}");
            assert_eq!(open(&disk.after_crash(CrashOutcome::DropAll)).unwrap().state(), before, "{context}");
        }
        disk.mend();
        // At the very same position: each attempt draws its own salt, so no nonce comes twice, which would be a panic.
        opened.db.checkpoint().unwrap_or_else(|error| panic!("{error}: after {context}"));
        opened.commit(&[put("after", "1")], Durability::Sync).unwrap();
        opened.db.checkpoint().unwrap_or_else(|error| panic!("{error}: after {context}"));
        opened.commit(&[put("after", "2")], Durability::Sync).unwrap();
        let state = opened.state();
        drop(opened);
        for outcome in [CrashOutcome::DropAll, CrashOutcome::KeepAll] {
            let opened =
                open(&disk.after_crash(outcome)).unwrap_or_else(|error| panic!("{error}: {context}"));
            assert_eq!(opened.state(), state, "{context}");
        }
        at += 1;
    }
    assert!(at > 15 && failed > 5, "{at} operations, {failed} checkpoints that failed");
}

#[test]
fn outlives_failed_writes() {
    outlives(Fault::WriteEio);
}

#[test]
fn outlives_failed_flushes() {
    outlives(Fault::FlushEio);
}

#[test]
fn outlives_a_full_disk() {
    outlives(Fault::NoSpace);
}

#[test]
fn outlives_failed_reads() {
    outlives(Fault::ReadEio);
}

/// Each byte of pages and manifest changed in turn: opening the store reports that, or all is right.
#[test]
fn no_flipped_byte_is_taken_for_what_was_written() {
    [config(), sealed_pages()].into_iter().for_each(flipped_bytes_are_found);
}

fn flipped_bytes_are_found(config: Config) {
    let (history, disk) = (History::with_checkpoints(), SimulatedDisk::new(0));
    assert_eq!(history.run_on_with(&disk, config.clone()).error, None);
    let (mut reported, mut harmless) = (0_u64, 0_u64);
    for (name, bytes) in contents(&disk) {
        let is_of_checkpoint = name.starts_with("pages-") || name.starts_with("manifest-");
        // Free pages take most of the room, and what they hold counts for nothing: a few bytes of each page do.
        for offset in (0..bytes.len()).step_by(23).filter(|_| is_of_checkpoint) {
            let flipped = copy(&disk);
            flipped.corrupt(&name, offset as u64, 1 << (offset % 8));
            match open_with(&flipped, config.clone()) {
                Ok(opened) => {
                    assert_eq!(opened.state(), *history.state(history.len()), "{name} byte {offset}");
                    harmless += 1;
                }
                Err(OpenError::Checkpoint(CheckpointError::Damaged { file, .. })) => {
                    assert_eq!(file, name, "byte {offset}");
                    reported += 1;
                }
                Err(error) => panic!("{error}: {name} byte {offset}"),
            }
        }
    }
    assert!(reported > 2_500 && harmless > 1_000, "{reported} reported, {harmless} harmless");
}
