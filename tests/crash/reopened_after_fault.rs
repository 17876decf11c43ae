//! Opened again on the very disk that failed, whose cache may show what the disk does not have.

use super::harness::{History, open, put};
use crate::Durability;
use crate::io::{CrashOutcome, Fault, Repeat, SimulatedDisk};

/// Runs the history with a fault in each operation, mends the disk, opens the store on it, writes, and takes the power away.
fn survives(fault: Fault) {
    let history = History::standard();
    let (mut struck, mut at) = (true, 0);
    while struck {
        let disk = SimulatedDisk::new(at);
        disk.fail(at, fault, Repeat::Once);
        let run = history.run_on(&disk);
        struck = disk.faults_struck() > 0;
        disk.mend();
        let context = format!("{fault:?} from operation {at}");
        at += 1;
        let names_failed = disk.events().iter().any(|event| event.contains("FlushNames Fail"));
        if names_failed {
            // What a directory shows after a flush of it has failed cannot be made good by writing: see `docs/formats.md`.
            continue;
        }
        let opened = open(&disk).unwrap_or_else(|error| panic!("{error}: {context}"));
        let commits = history.prefix(&opened.state(), run.acknowledged, &context);
        opened.commit(&[put("after", "x")], Durability::Sync).unwrap();
        let after = disk.after_crash(CrashOutcome::DropAll);
        drop(opened);
        let opened = open(&after).unwrap_or_else(|error| panic!("after the crash: {error}: {context}"));
        let mut state = opened.state();
        assert_eq!(state.remove(&b"after"[..]).as_deref(), Some(&b"x"[..]), "{context}");
        assert_eq!(history.prefix(&state, commits, &context), commits, "{context}");
    }
}

#[test]
fn after_a_failed_write() {
    survives(Fault::WriteEio);
}

#[test]
fn after_a_failed_flush() {
    survives(Fault::FlushEio);
}

#[test]
fn after_a_full_disk() {
    survives(Fault::NoSpace);
}
