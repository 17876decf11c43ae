//! A crash in every operation of a history, with every subset of what was in flight.

use super::harness::{History, open, outcomes};
use crate::io::SimulatedDisk;

#[test]
fn the_history_meets_what_it_should() {
    let (history, disk) = (History::standard(), SimulatedDisk::new(0));
    let opened = open(&disk).unwrap();
    assert_eq!(history.run(&opened).acknowledged, history.len());
    assert!(opened.db.stats().log_segments >= 3, "it fills several segments");
    assert_eq!(opened.state(), *history.state(history.len()));
}

#[test]
fn recovers_to_a_prefix_that_holds_what_was_acknowledged() {
    let history = History::standard();
    let (mut crashed, mut recovered, mut at) = (true, 0_u64, 0);
    while crashed {
        let disk = SimulatedDisk::new(at);
        disk.crash_after(at);
        let run = history.run_on(&disk);
        crashed = disk.has_crashed();
        assert!(crashed || run.error.is_none(), "nothing fails but by the crash: {:?}", run.error);
        for (index, outcome) in outcomes(&disk, at, at % 2 == 0, 12).into_iter().enumerate() {
            let context = format!("crash at {at}, {outcome:?}");
            let after = disk.after_crash(outcome);
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
    assert!(at > 60 && recovered > 2_000, "{at} operations, {recovered} recoveries");
}
