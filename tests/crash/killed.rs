//! The process is killed and the power stays: the next one finds the cache as it was, and must not take it for what is on the disk.

use super::harness::{History, open, put};
use crate::Durability;
use crate::io::{CrashOutcome, SimulatedDisk};

#[test]
fn what_the_next_process_acknowledges_survives_a_power_loss() {
    let history = History::standard();
    for at in 0.. {
        let disk = SimulatedDisk::new(at);
        disk.crash_after(at);
        let run = history.run_on(&disk);
        if !disk.has_crashed() {
            return assert_eq!(run.acknowledged, history.len());
        }
        let context = format!("killed in operation {at}");
        let found = disk.after_kill();
        let opened = open(&found).unwrap_or_else(|error| panic!("{error}: {context}"));
        let commits = history.prefix(&opened.state(), run.acknowledged, &context);
        opened.commit(&[put("after", "x")], Durability::Sync).unwrap();
        let lost_power = found.after_crash(CrashOutcome::DropAll);
        drop(opened);
        let opened = open(&lost_power).unwrap_or_else(|error| panic!("without power: {error}: {context}"));
        let mut state = opened.state();
        assert_eq!(state.remove(&b"after"[..]).as_deref(), Some(&b"x"[..]), "{context}");
        assert_eq!(history.prefix(&state, commits, &context), commits, "{context}");
    }
}
