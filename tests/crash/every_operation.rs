//! A crash in every operation of a history, with every subset of what was in flight.

use super::harness::{History, config, encrypted, open, open_with, outcomes, sealed_pages, small_segments};
use crate::engine::config::Config;
use crate::io::SimulatedDisk;

#[test]
fn the_history_meets_what_it_should() {
    let (history, disk) = (History::standard(), SimulatedDisk::new(0));
    let opened = open(&disk).unwrap();
    assert_eq!(history.run(&opened).acknowledged, history.len());
    assert!(opened.db.stats().log_segments >= 3, "it fills several segments");
    assert_eq!(opened.state(), *history.state(history.len()));
}

/// Crashes the history in each operation; returns how many there are, and how often a store was recovered.
fn crash_each_operation(history: &History, config: &Config) -> (u64, u64) {
    let (mut crashed, mut recovered, mut at) = (true, 0_u64, 0);
    while crashed {
        let disk = SimulatedDisk::new(at);
        disk.crash_after(at);
        let run = history.run_on_with(&disk, config.clone());
        crashed = disk.has_crashed();
        assert!(crashed || run.error.is_none(), "nothing fails but by the crash: {:?}", run.error);
        for (index, outcome) in outcomes(&disk, at, at % 2 == 0, 12).into_iter().enumerate() {
            let context = format!("crash at {at}, {outcome:?}");
            let after = disk.after_crash(outcome);
            let open = |after| open_with(after, config.clone());
            let opened = open(&after).unwrap_or_else(|error| panic!("{error}: {context}"));
            let commits = history.prefix(&opened.state(), run.acknowledged, &context);
            drop(opened);
            recovered += 1;
            if index % 8 == 0 {
                let again = open(&after).unwrap_or_else(|error| panic!("second time, {error}: {context}"));
                assert!(again.db.recovery().closed, "{context}");
                assert_eq!(history.prefix(&again.state(), commits, &context), commits, "{context}");
            }
        }
        at += 1;
    }
    (at, recovered)
}

#[test]
fn recovers_to_a_prefix_that_holds_what_was_acknowledged() {
    let (operations, recovered) = crash_each_operation(&History::standard(), &config());
    assert!(operations > 60 && recovered > 2_000, "{operations} operations, {recovered} recoveries");
}

/// The segment behind a write may be missing after a crash only if nothing of the write reached the disk.
#[test]
fn frames_longer_than_segments_recover_too() {
    let (operations, recovered) = crash_each_operation(&History::uneven(30), &small_segments());
    assert!(operations > 100 && recovered > 2_000, "{operations} operations, {recovered} recoveries");
}

#[test]
fn so_does_a_history_with_checkpoints() {
    let (operations, recovered) = crash_each_operation(&History::with_checkpoints(), &config());
    assert!(operations > 150 && recovered > 2_000, "{operations} operations, {recovered} recoveries");
}

/// Every opening has a salt of its own, and every frame that is sealed is recorded: a nonce that comes again after a crash panics.
#[test]
fn so_does_an_encrypted_store() {
    let (operations, recovered) = crash_each_operation(&History::standard(), &encrypted(1));
    assert!(operations > 60 && recovered > 2_000, "{operations} operations, {recovered} recoveries");
    let small = Config { encryption: encrypted(1).encryption, ..small_segments() };
    let (operations, recovered) = crash_each_operation(&History::uneven(30), &small);
    assert!(operations > 100 && recovered > 2_000, "{operations} operations, {recovered} recoveries");
    let (operations, recovered) = crash_each_operation(&History::with_checkpoints(), &sealed_pages());
    assert!(operations > 150 && recovered > 2_000, "{operations} operations, {recovered} recoveries");
}
