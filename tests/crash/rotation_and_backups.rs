//! A crash in each operation of a history in which the key is changed between backups, with pages that are compressed and encrypted: nothing is lost, one key
//! opens the store, each backup that was made is restored with the key of its time, and the next one goes on from it or says that it cannot.

use super::chain::{back_up, restore_with};
use super::harness::*;
use crate::Durability;
use crate::engine::config::Config;
use crate::engine::error::{BackupError, ChainError, OpenError};
use crate::engine::restore::Until;
use crate::io::{CrashOutcome, SimulatedDisk};

fn with_key(key: u8) -> Config {
    Config { backup_log_bytes: u64::MAX, ..sealed_pages_of(key) }
}

/// What is done, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Commit(u64),
    Checkpoint,
    Rotate(u8),
    Full,
    Increment,
}

const STEPS: [Step; 11] = [
    Step::Commit(1),
    Step::Full,
    Step::Commit(2),
    Step::Rotate(2),
    Step::Commit(3),
    Step::Checkpoint,
    Step::Full,
    Step::Commit(4),
    Step::Increment,
    Step::Rotate(3),
    Step::Commit(5),
];

/// A backup that was made, with the key of its time and what the store held.
struct Made {
    disk: SimulatedDisk,
    is_full: bool,
    key: u8,
    state: State,
}

/// How far the history came.
struct Ran {
    /// What was there after the commits that were acknowledged, and after the one behind them if it was begun.
    states: Vec<State>,
    /// The keys that may open the store.
    keys: Vec<u8>,
    backups: Vec<Made>,
}

/// Text and noise, so that pages are compressed, and of several lengths, so that there are pages of each kind.
fn writes(seed: u64) -> Vec<Write> {
    let value = |n: u64| {
        let mut value = bytes(seed * 1_000 + n, 60);
        value.resize(if n == 7 { 30_000 } else { 300 }, b'x');
        value
    };
    (0..60).map(|n| put(format!("{:03}", (n * seed) % 90), value(n))).collect()
}

fn apply(state: &State, writes: &[Write]) -> State {
    let mut state = state.clone();
    state.extend(writes.iter().map(|(key, value)| (key.clone(), value.clone().expect("none is deleted"))));
    state
}

/// Runs the history, up to the first error.
fn run(opened: &Opened, before: &State) -> Ran {
    let mut ran = Ran { states: vec![before.clone()], keys: vec![1], backups: Vec::new() };
    for step in STEPS {
        let last = ran.states.last().expect("one is there at least").clone();
        let is_done = match step {
            Step::Commit(seed) => {
                ran.states.push(apply(&last, &writes(seed)));
                let is_done = opened.commit(&writes(seed), Durability::Sync).is_ok();
                if is_done {
                    ran.states.remove(0);
                }
                is_done
            }
            Step::Checkpoint => opened.db.checkpoint().is_ok(),
            Step::Rotate(key) => {
                ran.keys.push(key);
                let is_done = opened.db.rotate_key(&provider(key)).is_ok();
                if is_done {
                    ran.keys.remove(0);
                }
                is_done
            }
            Step::Full | Step::Increment => {
                let (is_full, target) = (step == Step::Full, SimulatedDisk::new(50));
                let previous = ran.backups.last().map(|made| &made.disk).filter(|_| !is_full);
                let made = back_up(opened, previous, &target);
                let key = ran.keys[0];
                if made.is_ok() {
                    ran.backups.push(Made { disk: target, is_full, key, state: last });
                }
                made.is_ok()
            }
        };
        if !is_done {
            break;
        }
    }
    ran
}

/// The store that the backups from the last full one on are restored to.
fn restored(backups: &[Made], key: u8) -> Result<State, String> {
    let from = backups.iter().rposition(|made| made.is_full).expect("the first one is");
    let (chain, target) = (backups[from..].iter().map(|made| &made.disk), SimulatedDisk::new(60));
    restore_with(chain, &target, Until::End, &with_key(key)).map_err(|error| error.to_string())?;
    let target = target.after_crash(CrashOutcome::DropAll);
    let opened = open_with(&target, with_key(key)).map_err(|error| error.to_string())?;
    assert!(opened.db.verify().unwrap().is_sound());
    Ok(opened.state())
}

/// Goes on with what the crash left: a commit, a backup since the last one or a full one, and what that is restored to.
fn goes_on(opened: &Opened, key: u8, backups: &mut Vec<Made>, context: &str) -> bool {
    opened.commit(&[put("after", "1")], Durability::Sync).unwrap();
    let target = SimulatedDisk::new(70);
    let previous = backups.last().map(|made| (made.key, &made.disk));
    let mut is_full = previous.is_none();
    let mut made = back_up(opened, previous.map(|(_, disk)| disk), &target);
    if let Err(BackupError::Previous(ChainError::OtherKey { .. })) = &made {
        is_full = true;
        let target = SimulatedDisk::new(71);
        made = back_up(opened, None, &target);
        backups.push(Made { disk: target, is_full, key, state: opened.state() });
    } else {
        assert!(previous.is_none_or(|(of_previous, _)| of_previous == key), "it was refused: {context}");
        backups.push(Made { disk: target, is_full, key, state: opened.state() });
    }
    made.unwrap_or_else(|error| panic!("{error}: {context}"));
    let found = restored(backups, key).unwrap_or_else(|error| panic!("{error}: {context}"));
    assert!(found == opened.state(), "{context}");
    is_full
}

#[test]
fn a_crash_in_each_operation() {
    let before = SimulatedDisk::new(1);
    let history = History::with_checkpoints();
    assert_eq!(history.run_on_with(&before, with_key(1)).error, None);
    let (before, state) = (copy(&before), history.state(history.len()));
    let (mut at, mut crashed, mut opened_with, mut full, mut increments) = (0, true, [0; 3], 0, 0);
    while crashed {
        let disk = copy(&before);
        let opened = open_with(&disk, with_key(1)).unwrap();
        disk.crash_after(at);
        let ran = run(&opened, state);
        crashed = disk.has_crashed();
        for index in 1..=ran.backups.len() {
            let backups = &ran.backups[..index];
            let (made, context) = (&backups[index - 1], format!("crash at {at}, backup {index}"));
            let found = restored(backups, made.key).unwrap_or_else(|error| panic!("{error}: {context}"));
            assert!(found == made.state, "{context}");
            assert!(restored(backups, made.key % 3 + 1).unwrap_err().contains("key"), "{context}");
        }
        for outcome in [CrashOutcome::DropAll, CrashOutcome::KeepAll, CrashOutcome::Random(at)] {
            let (after, context) = (disk.after_crash(outcome), format!("crash at {at}, {outcome:?}"));
            let open = |key: &u8| match open_with(&after, with_key(*key)) {
                Ok(opened) => Some((*key, opened)),
                Err(OpenError::WrongKey { .. }) => None,
                Err(error) => panic!("{error}: {context}"),
            };
            let (key, opened) = ran.keys.iter().rev().find_map(open).expect(&context);
            opened_with[usize::from(key) - 1] += 1;
            assert!(ran.states.contains(&opened.state()), "{context}");
            assert!(opened.db.verify().unwrap().is_sound(), "{context}");
            let mut backups = ran.backups.iter().map(Made::clone).collect();
            match goes_on(&opened, key, &mut backups, &context) {
                true => full += 1,
                false => increments += 1,
            }
        }
        at += 1;
    }
    assert!(at > 150, "{at} operations");
    assert!(opened_with.iter().all(|&count| count > 20), "{opened_with:?}");
    assert!(full > 50 && increments > 50, "{full} {increments}");
}

impl Clone for Made {
    fn clone(&self) -> Made {
        let Made { disk, is_full, key, state } = self;
        Made { disk: copy(disk), is_full: *is_full, key: *key, state: state.clone() }
    }
}
