//! Frames behind a cut: what was given up once does not come back, whatever is written over it.

use super::harness::{State, bytes, open, outcomes, put};
use crate::Durability;
use crate::io::{CrashOutcome, SimulatedDisk};

/// Of one sector and a bit, so that each begins in a sector of its own.
const VALUE_BYTES: usize = 560;
const FRAMES: u8 = 5;

/// Commits frames of the same lengths each time, in one group, and loses the power in its write.
fn crash_in_group(disk: &SimulatedDisk, generation: u8) {
    let opened = open(disk).unwrap();
    for n in 0..FRAMES - 1 {
        opened.commit(&[put([n], value(generation, n))], Durability::None).unwrap();
    }
    disk.crash_after(1);
    let last = opened.commit(&[put([FRAMES - 1], value(generation, FRAMES - 1))], Durability::Sync);
    assert!(last.is_err() && disk.has_crashed());
}

fn value(generation: u8, n: u8) -> Vec<u8> {
    let mut value = vec![generation];
    value.extend(bytes(u64::from(generation) * 100 + u64::from(n), VALUE_BYTES));
    value
}

/// The generations that are there, by key; each must be what was written.
fn generations(state: &State) -> Vec<u8> {
    let keys = (0..FRAMES).filter_map(|n| Some((n, state.get(&[n][..])?)));
    let generations = keys.map(|(n, found)| {
        assert!(*found == value(found[0], n), "half of a value");
        found[0]
    });
    generations.collect()
}

/// A store with the first generation cut off in its write.
fn first_crash() -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    open(&disk).unwrap().keyspace().unwrap();
    crash_in_group(&disk, 1);
    disk
}

#[test]
fn later_sectors_without_the_first_are_cut_for_good() {
    let disk = first_crash();
    let (unflushed, mut cut) = (disk.unflushed(), 0);
    assert!((8..=10).contains(&unflushed), "{unflushed}");
    for mask in (0..1_u64 << unflushed).filter(|mask| mask.count_ones() >= 4) {
        let found = disk.after_crash(CrashOutcome::Subset(mask));
        let opened = open(&found).unwrap();
        let first = generations(&opened.state());
        cut += u64::from(opened.db.recovery().cut_bytes > 0 && first.len() < FRAMES as usize);
        drop(opened);
        let kept = first.len();
        crash_in_group(&found, 2);
        let seed = mask;
        for outcome in outcomes(&found, seed, false, 3).into_iter().chain(later_only(&found)) {
            let state = open(&found.after_crash(outcome)).unwrap().state();
            let generations = generations(&state);
            let new = generations.iter().take_while(|&&generation| generation == 2).count();
            let old = &generations[new..];
            let context = format!("mask {mask:b}, {outcome:?}: {generations:?} after {kept} of the first");
            assert!(old.iter().all(|&generation| generation == 1), "{context}");
            assert!(generations.len() == kept.max(new), "a frame that was cut is back: {context}");
        }
    }
    assert!(cut > 50, "{cut}");
}

/// All sectors but the first one, two, … of what is in flight.
fn later_only(disk: &SimulatedDisk) -> impl Iterator<Item = CrashOutcome> + use<> {
    let all = (1_u64 << disk.unflushed()) - 1;
    (1..disk.unflushed()).map(move |dropped| CrashOutcome::Subset(all << dropped & all))
}

#[test]
fn a_cut_that_is_cut_off_itself_is_made_again() {
    let disk = first_crash();
    for mask in [0b1111_1110, 0b1111_1100, 0b1110_1110, 0b1011_1110] {
        let found = disk.after_crash(CrashOutcome::Subset(mask));
        for at in 0..8 {
            let second = super::harness::copy(&found);
            second.crash_after(at);
            let _ = open(&second);
            for outcome in outcomes(&second, at, true, 4) {
                let third = second.after_crash(outcome);
                let opened = open(&third).unwrap();
                let kept = generations(&opened.state()).len();
                drop(opened);
                crash_in_group(&third, 2);
                let context = format!("mask {mask:b}, crash at {at}, {outcome:?}");
                for last in later_only(&third).chain([CrashOutcome::DropAll]) {
                    let found = generations(&open(&third.after_crash(last)).unwrap().state());
                    let new = found.iter().take_while(|&&generation| generation == 2).count();
                    assert_eq!(found.len(), kept.max(new), "{context}, {last:?}: {found:?}");
                }
            }
        }
    }
}
