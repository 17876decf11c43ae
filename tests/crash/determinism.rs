//! The same seed gives the same run: what the disk was asked for, what it did, and what is left.

use super::harness::{History, State, contents, open};
use crate::io::{BLOCK, CrashOutcome, Fault, Repeat, SimulatedDisk};

/// Operations, contents of the log's files behind their headers (which hold the store's random id), and what is recovered.
fn run(seed: u64) -> (Vec<String>, Vec<(String, Vec<u8>)>, State) {
    let (history, disk) = (History::without_flusher(), SimulatedDisk::new(seed));
    disk.fail(0, Fault::Interrupted, Repeat::Forever);
    disk.fail(0, Fault::ShortWrite, Repeat::Forever);
    disk.crash_after(20 + seed * 3);
    history.run_on(&disk);
    assert!(disk.has_crashed());
    let after = disk.after_crash(CrashOutcome::Random(seed));
    let mut files: Vec<_> = contents(&after).into_iter().collect();
    files.iter_mut().for_each(|(_, bytes)| drop(bytes.drain(..BLOCK)));
    let state = open(&after).unwrap().state();
    let events = disk.events().into_iter().chain(after.events()).collect();
    (events, files, state)
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..12 {
        let (first, second) = (run(seed), run(seed));
        assert_eq!(first.0, second.0, "events, seed {seed}");
        assert!(first == second, "files or state, seed {seed}");
    }
}

#[test]
fn another_seed_gives_another_run() {
    assert_ne!(run(3).0, run(4).0);
}
