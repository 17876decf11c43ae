//! The process is killed and the power stays: the next one finds the cache as it was, and must not take it for what is on the disk.

use super::harness::{History, survives_power_loss};
use crate::io::SimulatedDisk;

#[test]
fn what_the_next_process_acknowledges_survives_a_power_loss() {
    for history in [History::standard(), History::with_checkpoints()] {
        killed_in_each_operation(&history);
    }
}

fn killed_in_each_operation(history: &History) {
    for at in 0.. {
        let disk = SimulatedDisk::new(at);
        disk.crash_after(at);
        let run = history.run_on(&disk);
        if !disk.has_crashed() {
            return assert_eq!(run.acknowledged, history.len());
        }
        let context = format!("killed in operation {at}");
        survives_power_loss(&disk.after_kill(), history, run.acknowledged, &context);
    }
}
