//! Opened again on the very disk that failed, whose cache may show what the disk does not have.

use super::harness::{History, survives_power_loss};
use crate::io::{Fault, Repeat, SimulatedDisk};

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
        survives_power_loss(&disk, &history, run.acknowledged, &context);
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
