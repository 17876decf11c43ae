//! Sixteen writers, and a checkpoint every few hundred milliseconds; see `writers` for what they write.
//!
//! Each round waits for some checkpoints and a moment more, and kills the process, sometimes while it is still opening the store.
//! Then the store must verify and open, with the last checkpoint that the process told of, or a later one; and hold
//!
//! - every transaction that was acknowledged, in this round and in all before it;
//! - of each transaction everything or nothing, of each writer's transactions a prefix, and nothing else.

use crate::writers::{self, Counters, WRITERS};
use crate::{Plan, bury, open_killed};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

/// What is done in a round.
#[derive(Debug)]
struct Round {
    seed: u64,
    number: u64,
    /// The process is killed after so many checkpoints,
    checkpoints: usize,
    /// and so long after the last of them, or after its start.
    pause: Duration,
    /// So many transactions of a writer share one wait for the disk.
    sync_every: u64,
}

/// What the process said before it died.
#[derive(Default, Debug)]
struct Told {
    /// Which transaction of each writer was acknowledged last.
    acknowledged: Counters,
    /// The positions of its checkpoints.
    checkpoints: Vec<u64>,
    /// Why a checkpoint failed.
    failure: Option<String>,
}

impl Round {
    fn new(seed: u64, number: u64) -> Round {
        let mut random = fastrand::Rng::with_seed(seed.wrapping_add(number));
        let is_early = number % 5 == 4;
        Round {
            seed,
            number,
            checkpoints: if is_early { 0 } else { random.usize(1..=4) },
            pause: Duration::from_micros(random.u64(..300_000)),
            sync_every: random.choice([1, 4, 16]).expect("there are three"),
        }
    }

    /// Lets the process write until it is killed.
    fn run(&self, dir: &Path) -> Told {
        let mut child = self.spawn(dir);
        let output = child.stdout.take().unwrap();
        let (enough, reached) = mpsc::channel();
        let told = thread::scope(|scope| {
            let reader = scope.spawn(|| read(output, self.checkpoints, enough));
            if self.checkpoints > 0 {
                reached.recv().unwrap_or_else(|_| panic!("it ended before its checkpoints, in {self:?}"));
            }
            // Nothing is waited for: it is killed wherever it is by then.
            thread::sleep(self.pause);
            child.kill().unwrap();
            reader.join().unwrap()
        });
        bury(child, self);
        assert_eq!(told.failure, None, "a checkpoint failed, in {self:?}");
        told
    }

    fn spawn(&self, dir: &Path) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", writers::TEST, "--nocapture"])
            .env(writers::STORE, dir)
            .env(writers::CONTENTS_SEED, self.seed.to_string())
            .env(writers::SYNC_EVERY, self.sync_every.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Opens the store after the kill; returns what is there, which is no less than what was there `before`.
    fn check(&self, dir: &Path, told: &Told, before: &Counters) -> Counters {
        let (verified, db) = open_killed(dir, self);
        let last = told.checkpoints.last().copied().unwrap_or(0);
        assert!(
            verified.checkpoint.get() >= last,
            "{verified:?} has lost the checkpoint at {last}, in {self:?}"
        );
        let found = writers::check(&db, self.seed);
        for writer in 0..WRITERS {
            let expected = told.acknowledged[writer].max(before[writer]);
            assert!(
                found[writer] >= expected,
                "writer {writer}: {expected} expected, {found:?}, in {self:?}"
            );
        }
        db.close().unwrap();
        found
    }
}

/// What comes from the process and its test runner. Half a line is no promise.
fn read(output: ChildStdout, checkpoints: usize, enough: Sender<()>) -> Told {
    let mut told = Told::default();
    let mut lines = BufReader::new(output);
    let mut line = String::new();
    while lines.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["acknowledged", writer, number] => {
                told.acknowledged[writer.parse::<usize>().unwrap()] = number.parse().unwrap();
            }
            ["checkpoint", position] => {
                told.checkpoints.push(position.parse().unwrap());
                if told.checkpoints.len() == checkpoints {
                    enough.send(()).unwrap();
                }
            }
            ["failed:", ..] => {
                told.failure = Some(line.clone());
                // There will be no more.
                let _ = enough.send(());
            }
            _ => {}
        }
        line.clear();
    }
    told
}

#[test]
fn nothing_acknowledged_is_lost_under_checkpoints() {
    let plan = Plan::from_environment();
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("s");
    let (mut found, mut acknowledged) = ([0; WRITERS], 0);
    for number in 0..plan.rounds {
        let round = Round::new(plan.seed, number);
        let told = round.run(&dir);
        let before = std::mem::take(&mut found);
        found = round.check(&dir, &told, &before);
        let since =
            |counters: &Counters| counters.iter().zip(before).map(|(a, b)| (a - b).max(0)).sum::<i64>();
        acknowledged += since(&told.acknowledged);
        println!(
            "round {}: {} checkpoints, {} transactions acknowledged, {} there",
            round.number,
            told.checkpoints.len(),
            since(&told.acknowledged),
            since(&found)
        );
    }
    assert!(acknowledged > 0 || plan.rounds == 0, "no round got as far as an acknowledgement");
}
