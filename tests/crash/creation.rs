//! A crash while a store is created: what is left can be opened, or created anew.

use super::harness::{History, State, copy, open, outcomes, put};
use crate::Durability;
use crate::io::{CrashOutcome, SimulatedDisk};

fn operations_of_creation() -> u64 {
    let disk = SimulatedDisk::new(0);
    let _opened = open(&disk).unwrap();
    disk.operations()
}

/// Opens whatever is there, which must be empty, writes something, and finds it again.
fn use_it(disk: &SimulatedDisk, context: &str) {
    let opened = open(disk).unwrap_or_else(|error| panic!("{error}: {context}"));
    assert_eq!(opened.state(), State::new(), "{context}");
    opened.commit(&[put("a", "1")], Durability::Sync).unwrap();
    let after = disk.after_crash(CrashOutcome::DropAll);
    let written = open(&after).unwrap_or_else(|error| panic!("{error}: {context}")).state();
    assert_eq!(written.len(), 1, "{context}");
}

#[test]
fn what_is_left_of_an_interrupted_creation_can_be_opened() {
    for at in 0..operations_of_creation() {
        let disk = SimulatedDisk::new(at);
        disk.crash_after(at);
        assert!(open(&disk).is_err());
        for outcome in outcomes(&disk, at, true, 20) {
            use_it(&disk.after_crash(outcome), &format!("crash at {at}, {outcome:?}"));
        }
    }
}

#[test]
fn so_can_what_is_left_of_two() {
    let operations = operations_of_creation();
    for at in 0..operations {
        let disk = SimulatedDisk::new(at);
        disk.crash_after(at);
        assert!(open(&disk).is_err());
        for outcome in outcomes(&disk, at, false, 2) {
            let found = disk.after_crash(outcome);
            for second_at in 0..operations + 6 {
                let second = copy(&found);
                second.crash_after(second_at);
                if open(&second).is_ok() && !second.has_crashed() {
                    break;
                }
                for again in outcomes(&second, second_at, false, 1) {
                    let context = format!("crash at {at}, {outcome:?}, then at {second_at}, {again:?}");
                    use_it(&second.after_crash(again), &context);
                }
            }
        }
    }
}

#[test]
fn an_empty_store_that_was_not_closed_is_empty() {
    let disk = SimulatedDisk::new(1);
    let opened = open(&disk).unwrap();
    let after = disk.after_crash(CrashOutcome::DropAll);
    drop(opened);
    assert_eq!(open(&after).unwrap().state(), *History::short(0).state(0));
}
