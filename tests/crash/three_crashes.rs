//! Three crashes deep: the recovery from a crash is crashed in every operation, and the recovery from that once more.

use super::harness::{History, copy, open, outcomes};
use crate::io::{CrashOutcome, SimulatedDisk};

/// One of the outcomes that are worth trying, by lot.
fn pick(disk: &SimulatedDisk, random: &mut fastrand::Rng) -> CrashOutcome {
    let outcomes = outcomes(disk, random.u64(..1_000_000), false, 4);
    if disk.unflushed() > 0 && disk.unflushed() <= 10 && random.bool() {
        return CrashOutcome::Subset(random.u64(..1 << disk.unflushed()));
    }
    outcomes[random.usize(..outcomes.len())]
}

#[test]
fn recovery_may_be_crashed_and_crashed_again() {
    let (history, mut random) = (History::standard(), fastrand::Rng::with_seed(3));
    let (mut crashed, mut at, mut recovered) = (true, 0, 0_u64);
    while crashed {
        let disk = SimulatedDisk::new(at);
        disk.crash_after(at);
        let acknowledged = history.run_on(&disk).acknowledged;
        crashed = disk.has_crashed();
        for _ in 0..6 {
            let outcome = pick(&disk, &mut random);
            let context = format!("crash at {at}, {outcome:?}");
            recovered += crash_each_operation(
                &disk.after_crash(outcome),
                &history,
                acknowledged,
                &mut random,
                &context,
            );
        }
        at += 1;
    }
    assert!(recovered > 4_000, "{recovered}");
}

/// Crashes the recovery of `found`, and the closing after it, in each operation; returns how often it recovered in the end.
fn crash_each_operation(
    found: &SimulatedDisk,
    history: &History,
    acknowledged: usize,
    random: &mut fastrand::Rng,
    context: &str,
) -> u64 {
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
