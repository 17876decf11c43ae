//! Three crashes deep: the recovery from a crash is crashed in every operation, and the recovery from that once more.

use super::harness::{History, config, copy, open_with, outcomes, small_segments};
use crate::engine::config::Config;
use crate::io::{CrashOutcome, SimulatedDisk};

/// One of the outcomes that are worth trying, by lot.
fn pick(disk: &SimulatedDisk, random: &mut fastrand::Rng) -> CrashOutcome {
    let outcomes = outcomes(disk, random.u64(..1_000_000), false, 4);
    if disk.unflushed() > 0 && disk.unflushed() <= 10 && random.bool() {
        return CrashOutcome::Subset(random.u64(..1 << disk.unflushed()));
    }
    outcomes[random.usize(..outcomes.len())]
}

/// Crashes the history in each operation, with so many outcomes each, and what follows; returns how often a store was recovered in the end.
fn crash_three_times(history: &History, config: &Config, outcomes: usize) -> u64 {
    let mut random = fastrand::Rng::with_seed(3);
    let (mut crashed, mut at, mut recovered) = (true, 0, 0_u64);
    while crashed {
        let disk = SimulatedDisk::new(at);
        disk.crash_after(at);
        let acknowledged = history.run_on_with(&disk, config.clone()).acknowledged;
        crashed = disk.has_crashed();
        for _ in 0..outcomes {
            let outcome = pick(&disk, &mut random);
            let context = format!("crash at {at}, {outcome:?}");
            recovered += crash_each_operation(
                &disk.after_crash(outcome),
                (history, config),
                acknowledged,
                &mut random,
                &context,
            );
        }
        at += 1;
    }
    recovered
}

#[test]
fn recovery_may_be_crashed_and_crashed_again() {
    let recovered = crash_three_times(&History::standard(), &config(), 4);
    assert!(recovered > 2_500, "{recovered}");
}

#[test]
fn so_may_that_of_frames_longer_than_segments() {
    let recovered = crash_three_times(&History::uneven(10), &small_segments(), 4);
    assert!(recovered > 2_000, "{recovered}");
}

#[test]
fn so_may_that_of_a_store_with_checkpoints() {
    let recovered = crash_three_times(&History::with_checkpoints(), &config(), 1);
    assert!(recovered > 2_000, "{recovered}");
}

/// Crashes the recovery of `found`, and the closing after it, in each operation; returns how often it recovered in the end.
fn crash_each_operation(
    found: &SimulatedDisk,
    (history, config): (&History, &Config),
    acknowledged: usize,
    random: &mut fastrand::Rng,
    context: &str,
) -> u64 {
    let open = |disk: &_| open_with(disk, config.clone());
    for second_at in 0.. {
        let second = copy(found);
        second.crash_after(second_at);
        let seen = open(&second).ok().map(|opened| history.prefix(&opened.state(), acknowledged, context));
        let outcome = pick(&second, random);
        let context = format!("{context}; in recovery at {second_at}, {outcome:?}");
        let third = second.after_crash(outcome);
        third.crash_after(random.u64(..=second_at + 4));
        let seen_again = open(&third)
            .ok()
            .map(|opened| history.prefix(&opened.state(), acknowledged.max(seen.unwrap_or(0)), &context));
        let outcome = pick(&third, random);
        let context = format!("{context}; again, {outcome:?}");
        let last = third.after_crash(outcome);
        let opened = open(&last).unwrap_or_else(|error| panic!("{error}: {context}"));
        let commits = history.prefix(&opened.state(), acknowledged, &context);
        for seen in [seen, seen_again].into_iter().flatten() {
            assert_eq!(commits, seen, "what an opened store showed stays: {context}");
        }
        if !second.has_crashed() {
            return second_at + 1;
        }
    }
    unreachable!("a recovery has an end")
}
