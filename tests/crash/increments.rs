//! Incremental backups from a disk and to a disk that fail, beside checkpoints, and of stores that are not what they were.

use super::chain::{Chained, back_up, keeping_log, open_copy, restore};
use super::harness::{REPEATS, bytes, config, contents, open, open_with, put};
use crate::Durability;
use crate::engine::config::Config;
use crate::engine::error::{BackupError, ChainError, RestoreError};
use crate::engine::restore::Until;
use crate::io::{CrashOutcome, Device, Fault, Repeat, SimulatedDisk};

#[test]
fn it_holds_what_changed() {
    let mut chained = Chained::new(keeping_log());
    let writes: Vec<_> = (0..2_000_u64).map(|n| put(format!("{n:05}"), bytes(n, 100))).collect();
    chained.commit(&writes);
    let full = chained.back_up().clone();
    chained.commit(&[put("01000", "changed")]);
    let increment = chained.back_up().clone();
    assert!(increment.bytes > 0 && increment.bytes * 10 < full.bytes, "{increment:?} of {full:?}");
    assert!(increment.log_bytes < 5_000, "{increment:?}");
    let nothing = chained.back_up().clone();
    assert_eq!((nothing.bytes, nothing.gap), (0, None));
    assert!(chained.restored(Until::End).unwrap().1 == chained.opened.state());
}

/// The power goes at the target in each operation of an incremental backup.
#[test]
fn a_power_loss_at_the_target_leaves_all_or_no_backup() {
    let chained = Chained::standard(keeping_log());
    let (state, before) = (chained.opened.state(), contents(&chained.backups[2]));
    let (mut crashed, mut at, mut whole) = (true, 0, 0);
    while crashed {
        let target = SimulatedDisk::new(at);
        target.crash_after(at);
        let made = back_up(&chained.opened, chained.backups.last(), &target);
        crashed = target.has_crashed();
        assert_eq!(made.is_err(), crashed, "crash at {at}");
        for outcome in [CrashOutcome::DropAll, CrashOutcome::KeepAll, CrashOutcome::Random(at)] {
            let mut chain = chained.backups.clone();
            chain.push(target.after_crash(outcome));
            let restored = SimulatedDisk::new(1);
            if restore(&chain, &restored, Until::End).is_ok() {
                assert!(open_copy(&restored).unwrap().state() == state, "crash at {at}, {outcome:?}");
                whole += 1;
            } else {
                assert!(crashed && open_copy(&restored).is_none(), "crash at {at}, {outcome:?}");
            }
        }
        at += 1;
    }
    assert!(at > 30 && whole >= 4, "{at} operations, {whole} whole");
    assert!(contents(&chained.backups[2]) == before);
}

/// The power goes at the source in each operation of a full and of an incremental backup.
#[test]
fn a_power_loss_at_the_source_loses_nothing_and_makes_no_half_backup() {
    for backups in [0, 1] {
        let (mut crashed, mut at) = (true, 0);
        while crashed {
            let mut chained = Chained::new(keeping_log());
            chained.commit(&[put("a", bytes(1, 20_000)), put("b", "1")]);
            (0..backups).for_each(|_| drop(chained.back_up().clone()));
            let lsn = chained.commit(&[put("c", bytes(2, 9_000)), put("b", "2")]);
            chained.source.crash_after(at);
            let target = SimulatedDisk::new(at);
            let made = back_up(&chained.opened, chained.backups.last(), &target);
            crashed = chained.source.has_crashed();
            // What is not written any more is read from the cache.
            assert!(crashed || made.is_ok(), "crash at {at}");
            let state = chained.at(lsn.plus(8));
            let mut chain = chained.backups.clone();
            chain.push(target);
            let restored = SimulatedDisk::new(1);
            if restore(&chain, &restored, Until::End).is_ok() {
                assert!(made.is_ok() && open_copy(&restored).unwrap().state() == state, "crash at {at}");
            } else {
                assert!(made.is_err(), "crash at {at}");
            }
            for outcome in [CrashOutcome::DropAll, CrashOutcome::KeepAll, CrashOutcome::Random(at)] {
                let after = open(&chained.source.after_crash(outcome)).unwrap();
                assert!(after.state() == state, "crash at {at}, {outcome:?}");
            }
            at += 1;
        }
        assert!(at > 20, "{at} operations");
    }
}

#[test]
fn a_fault_on_either_disk_is_reported_and_the_next_backup_is_made() {
    for (fault, repeat) in [Fault::WriteEio, Fault::FlushEio, Fault::NoSpace, Fault::ReadEio]
        .into_iter()
        .flat_map(|fault| REPEATS.map(|repeat| (fault, repeat)))
    {
        for (at_source, previous) in [(true, 0), (true, 1), (false, 0), (false, 1)] {
            let (mut struck, mut at) = (true, 0);
            while struck {
                let context = format!("{fault:?} {repeat:?} at {at}, at the source: {at_source}, {previous}");
                struck = strike(fault, repeat, at, at_source, previous, &context);
                at += 1;
            }
            assert!(at > 3 || (fault, at_source) == (Fault::ReadEio, false), "{fault:?} {at_source}: {at}");
        }
    }
}

/// Whether the fault struck.
fn strike(fault: Fault, repeat: Repeat, at: u64, at_source: bool, previous: usize, context: &str) -> bool {
    let mut chained = Chained::new(keeping_log());
    chained.commit(&[put("a", bytes(1, 20_000)), put("b", "1")]);
    (0..previous).for_each(|_| drop(chained.back_up().clone()));
    chained.commit(&[put("c", bytes(2, 9_000)), put("b", "2")]);
    let (state, target) = (chained.opened.state(), SimulatedDisk::new(at));
    let failing = if at_source { &chained.source } else { &target };
    failing.fail(at, fault, repeat);
    let made = back_up(&chained.opened, chained.backups.last(), &target);
    let struck = failing.faults_struck() > 0;
    failing.mend();
    if let Err(error) = &made {
        assert!(struck && error.to_string().contains("simulated"), "{error}: {context}");
    }
    let restores = |chain: &[SimulatedDisk]| {
        let restored = SimulatedDisk::new(1);
        restore(chain, &restored, Until::End)?;
        assert!(open_copy(&restored).unwrap().state() == state, "{context}");
        Ok::<_, RestoreError>(())
    };
    let Chained { source, opened, mut backups, .. } = chained;
    backups.push(target);
    assert!(restores(&backups).is_ok() || made.is_err(), "{context}");
    backups.pop();
    // The log may have failed: that is for the next opening to mend.
    drop(opened);
    let opened = open_with(&source, keeping_log()).unwrap_or_else(|error| panic!("{error}: {context}"));
    assert!(opened.state() == state, "{context}");
    let next = SimulatedDisk::new(at + 1);
    back_up(&opened, backups.last(), &next).unwrap_or_else(|error| panic!("{error}: {context}"));
    backups.push(next);
    restores(&backups).unwrap_or_else(|error| panic!("{error}: {context}"));
    struck
}

/// A backup that is held up, and checkpoints meanwhile that would write over what it reads.
#[test]
fn checkpoints_go_on_beside_a_backup_that_takes_long() {
    for increment in [false, true] {
        // Without anything that keeps the log but the backup itself.
        let mut chained = Chained::new(config());
        let writes =
            |seed: u64| (0..300).map(|n| put(format!("{n:03}"), bytes(seed + n, 500))).collect::<Vec<_>>();
        chained.commit(&writes(1));
        if increment {
            chained.back_up();
            chained.commit(&writes(1_000));
        }
        let (position, before) = (chained.opened.db.position(), chained.opened.state());
        let target = SimulatedDisk::new(5);
        target.block_writes();
        std::thread::scope(|scope| {
            let (opened, previous, target) = (&chained.opened, chained.backups.last(), &target);
            let backup = scope.spawn(move || back_up(opened, previous, target).unwrap());
            target.wait_for_blocked_writers(1);
            for round in 2..8 {
                opened.commit(&writes(round * 2_000), Durability::Sync).unwrap();
                let taken = opened.db.checkpoint().unwrap().unwrap();
                assert!(taken.position > position, "round {round}");
            }
            let segments = opened.db.stats().log_segments;
            let after = opened.state();
            target.unblock_writes();
            let made = backup.join().unwrap();
            assert!(made.gap.is_none());
            let mut chain = chained.backups.clone();
            chain.push(target.clone());
            for (until, expected) in [(Until::Position(made.checkpoint), &before), (Until::End, &after)] {
                let restored = SimulatedDisk::new(6);
                restore(&chain, &restored, until).unwrap();
                assert!(open_copy(&restored).unwrap().state() == *expected, "{until:?}, {increment}");
            }
            // What it held fast is let go of.
            opened.db.checkpoint().unwrap();
            opened.db.checkpoint().unwrap();
            assert!(opened.db.stats().log_segments < segments, "{segments} while it was made");
        });
    }
}

/// At this pace the first page takes hours.
#[test]
fn closing_makes_a_backup_hurry() {
    let mut chained = Chained::new(Config { checkpoint_bytes_per_second: Some(1), ..config() });
    chained.commit(&[put("a", bytes(1, 9_000))]);
    let target = SimulatedDisk::new(5);
    std::thread::scope(|scope| {
        let opened = &chained.opened;
        let backup = scope.spawn(|| back_up(opened, None, &target).unwrap());
        while !chained.source.list().unwrap().iter().any(|name| name.starts_with("pages-")) {
            std::thread::yield_now();
        }
        opened.engine.close().unwrap();
        backup.join().unwrap();
    });
    assert!(open_copy(&target).unwrap().state() == chained.states[0].1);
}

#[test]
fn a_store_that_does_not_go_on_from_the_previous_backup_is_refused() {
    let (mut chained, mut other) = (Chained::new(keeping_log()), Chained::new(keeping_log()));
    chained.commit(&[put("a", "1")]);
    other.commit(&[put("a", "1")]);
    let old = chained.source.after_crash(CrashOutcome::KeepAll);
    chained.commit(&[put("b", bytes(1, 90_000))]);
    chained.back_up();
    let refused = |opened: &super::harness::Opened| {
        let target = SimulatedDisk::new(3);
        match back_up(opened, chained.backups.last(), &target).unwrap_err() {
            BackupError::Previous(error) => error,
            error => panic!("{error}"),
        }
    };
    assert!(matches!(refused(&other.opened), ChainError::OtherStore { .. }));
    let set_back = open_with(&old, keeping_log()).unwrap();
    assert!(matches!(refused(&set_back), ChainError::Ahead { .. }));
    // Beyond the backup, but with other contents: it never had the checkpoint that the backup is of.
    set_back.commit(&[put("c", bytes(2, 200_000))], Durability::Sync).unwrap();
    assert!(matches!(refused(&set_back), ChainError::OtherTimeline { .. }));
}

/// It has chunks in the log before the first backup, and commits between the second and the third.
#[test]
fn a_transaction_that_spans_backups() {
    let mut chained = Chained::new(keeping_log());
    chained.commit(&[put("a", "1")]);
    let large = bytes(9, 200_000);
    let space = chained.opened.engine.find(crate::engine::catalog::Kind::Keyspace, "k").unwrap();
    let engine = std::sync::Arc::clone(&chained.opened.engine);
    let log = engine.log().unwrap();
    let write = crate::log::batch::Write { space, key: b"large", value: Some(&large) };
    let prepared = log.prepare([write].into_iter()).unwrap();
    chained.back_up();
    chained.commit(&[put("a", "2")]);
    chained.back_up();
    let before = chained.opened.state();
    let bytes = prepared.bytes();
    let lsn = engine.store().end().reserve(bytes);
    log.publish(lsn, prepared).unwrap();
    log.wait_durable(lsn.plus(bytes)).unwrap();
    chained.back_up();
    assert!(chained.restored(Until::Position(lsn)).unwrap().1 == before);
    let (made, state) = chained.restored(Until::Position(lsn.plus(8))).unwrap();
    assert_eq!(state.get(&b"large"[..]), Some(&large));
    assert!(made.checkpoint < lsn, "it was replayed, from chunks in all of the backups");
}
