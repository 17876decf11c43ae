//! A process that writes is killed by SIGKILL at a random moment, again and again, always with the same store. Nothing that it acknowledged is
//! missing then, and nothing is half there.
//!
//! `SKIPSTONE_CRASH_ROUNDS` sets the number of rounds of each test (5), `SKIPSTONE_CRASH_SEED` repeats the random choices of a
//! run, which prints its seed; the moments of the kills still depend on the machine.

#[path = "crash/checkpoints.rs"]
mod checkpoints;
#[path = "crash/imports.rs"]
mod imports;
#[path = "crash/writers.rs"]
mod writers;

use skipstone::{Database, Verified};
use std::fmt::Debug;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Child;

const SIGKILL: i32 = 9;

/// What a run is made of.
struct Plan {
    seed: u64,
    rounds: u64,
}

impl Plan {
    fn from_environment() -> Plan {
        let rounds = number("SKIPSTONE_CRASH_ROUNDS").unwrap_or(5);
        let seed = number("SKIPSTONE_CRASH_SEED").unwrap_or_else(|| fastrand::u64(..));
        println!("SKIPSTONE_CRASH_SEED={seed} SKIPSTONE_CRASH_ROUNDS={rounds}");
        Plan { seed, rounds }
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, and should be a number")))
}

/// Waits for the end of a process that was killed, and did not end by itself.
fn bury(mut child: Child, round: &impl Debug) {
    assert_eq!(child.wait().unwrap().signal(), Some(SIGKILL), "it ended by itself, in {round:?}");
}

/// Opens a store after a kill. It is sound even before it is recovered, unless the process was killed before it made the store.
fn open_killed(dir: &Path, round: &impl Debug) -> (Verified, Database) {
    let verified = match dir.join("store").exists() {
        true => skipstone::verify(dir).unwrap_or_else(|error| panic!("{error}, in {round:?}")),
        false => Verified::default(),
    };
    assert!(verified.is_sound(), "{:#?}, in {round:?}", verified.findings);
    let db = Database::open(dir).unwrap_or_else(|error| panic!("{error}, in {round:?}"));
    let recovery = db.recovery();
    let found = (recovery.checkpoint, recovery.entries, recovery.pages, recovery.end, recovery.closed);
    let expected = (verified.checkpoint, verified.entries, verified.pages, verified.end, verified.closed);
    assert_eq!(found, expected, "verifying and opening find the same, in {round:?}");
    (verified, db)
}
