//! The program is killed while it imports.
//!
//! Each round sends documents without end to `import --ack`, with one to three writers, and kills it by SIGKILL at a
//! random moment, sometimes while it is still recovering from the last one. Then the store must open, and hold:
//!
//! - every document that was acknowledged, in this round and in all before it;
//! - of each transaction everything or nothing, and with one writer a prefix of them;
//! - every document as it was sent, and none that was not;
//! - of the rounds before exactly what was found after them.

use crate::{Plan, bury, open_killed};
use skipstone::{Collection, Database};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

const COLLECTION: &str = "c";
/// The ids of a round begin at its number times this.
const IDS_PER_ROUND: i64 = 1_000_000_000;
/// About so many bytes are acknowledged before a kill.
const BYTES_MAX: usize = 4 << 20;

/// What is done in a round, and what came of it.
#[derive(Debug)]
struct Round {
    seed: u64,
    number: i64,
    writers: usize,
    batch: usize,
    durability: &'static str,
    /// The longest text in a document.
    text_bytes_max: usize,
    moment: Moment,
    /// Which documents were acknowledged, by their numbers within the round.
    acknowledged: BTreeSet<i64>,
    /// Which transactions were there after the kill.
    transactions: BTreeSet<i64>,
}

/// When the process is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after it was started.
    AfterStart(Duration),
    /// So long after so many acknowledgements.
    AfterAcknowledgements(usize, Duration),
}

impl Round {
    fn new(seed: u64, number: i64) -> Round {
        let mut random = fastrand::Rng::with_seed(seed.wrapping_add(number as u64));
        let text_bytes_max = random.choice([100, 2_000, 200_000]).expect("there are three");
        let pause = Duration::from_micros(random.u64(..20_000));
        let moment = match random.u8(..5) {
            0 => Moment::AfterStart(Duration::from_micros(random.u64(..400_000))),
            _ => Moment::AfterAcknowledgements(1 + random.usize(..BYTES_MAX / text_bytes_max), pause),
        };
        Round {
            seed,
            number,
            writers: random.usize(1..=3),
            batch: random.usize(1..=64),
            durability: random.choice(["sync", "buffered", "none"]).expect("there are three"),
            text_bytes_max,
            moment,
            acknowledged: BTreeSet::new(),
            transactions: BTreeSet::new(),
        }
    }

    fn ids(&self) -> Range<i64> {
        self.number * IDS_PER_ROUND..(self.number + 1) * IDS_PER_ROUND
    }

    /// The document of a number, as the line that is sent and as the store should give it back.
    fn document(&self, number: i64) -> String {
        let id = self.ids().start + number;
        let mut random = fastrand::Rng::with_seed(self.seed ^ (id as u64).rotate_left(32));
        let length = random.usize(..=self.text_bytes_max);
        let text: String = std::iter::repeat_with(|| random.alphanumeric()).take(length).collect();
        format!("{{\"_id\":{id},\"round\":{},\"text\":\"{text}\"}}", self.number)
    }

    /// Imports until it is killed.
    fn run(&mut self, dir: &Path) {
        let mut child = self.spawn(dir);
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (enough, reached) = mpsc::channel();
        let lines = thread::scope(|scope| {
            scope.spawn(|| self.feed(input));
            let reader = scope.spawn(|| read_ids(output, self.moment, enough));
            self.wait_for_moment(&reached);
            child.kill().unwrap();
            reader.join().unwrap()
        });
        bury(child, self);
        let start = self.ids().start;
        self.acknowledged = lines.into_iter().map(|id| id - start).collect();
    }

    fn spawn(&self, dir: &Path) -> Child {
        Command::new(env!("CARGO_BIN_EXE_skipstone"))
            .arg("import")
            .arg(dir)
            .args([COLLECTION, "-", "--ack", "--durability", self.durability])
            .args(["--writers", &self.writers.to_string(), "--batch", &self.batch.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Sends documents until nobody takes them any more.
    fn feed(&self, input: ChildStdin) {
        let mut input = BufWriter::new(input);
        let mut number = 0;
        while writeln!(input, "{}", self.document(number)).is_ok() {
            number += 1;
        }
    }

    /// Nothing is waited for but the acknowledgements: it is killed wherever it is after the pause.
    fn wait_for_moment(&self, reached: &Receiver<()>) {
        match self.moment {
            Moment::AfterStart(time) => thread::sleep(time),
            Moment::AfterAcknowledgements(_, pause) => {
                reached.recv().unwrap_or_else(|_| panic!("too few acknowledgements came in {self:?}"));
                thread::sleep(pause);
            }
        }
    }

    /// Checks what the store has of this round, and returns the transactions that are there.
    fn check(&self, db: &Database, collection: &Collection) -> BTreeSet<i64> {
        let snapshot = db.snapshot().unwrap();
        let ids = self.ids();
        let mut found = BTreeSet::new();
        let range = skipstone::DocumentId::from(ids.start)..skipstone::DocumentId::from(ids.end);
        for document in snapshot.collection(collection).unwrap().range(range).unwrap() {
            let json = document.unwrap().to_json().unwrap();
            let id = json.split([':', ',']).nth(1).and_then(|id| id.parse::<i64>().ok());
            let number = id.unwrap_or_else(|| panic!("no id in {json:.100} of {self:?}")) - ids.start;
            assert_eq!(json, self.document(number), "document {number} is altered, in {self:?}");
            found.insert(number);
        }
        let missing: Vec<&i64> = self.acknowledged.difference(&found).collect();
        assert!(missing.is_empty(), "acknowledged and missing: {missing:?}, in {self:?}");
        self.whole_transactions(&found)
    }

    /// The input is cut into batches in order, so the number of a document tells its transaction.
    fn whole_transactions(&self, found: &BTreeSet<i64>) -> BTreeSet<i64> {
        let batch = self.batch as i64;
        let transactions: BTreeSet<i64> = found.iter().map(|number| number / batch).collect();
        for transaction in &transactions {
            let documents = found.range(transaction * batch..(transaction + 1) * batch).count();
            assert_eq!(documents, self.batch, "transaction {transaction} is torn, in {self:?}");
        }
        if self.writers == 1 {
            let prefix: BTreeSet<i64> = (0..transactions.len() as i64).collect();
            assert_eq!(transactions, prefix, "one writer leaves a prefix, in {self:?}");
        }
        transactions
    }
}

/// The acknowledged ids. Half a line is no promise.
fn read_ids(output: ChildStdout, moment: Moment, enough: Sender<()>) -> Vec<i64> {
    let mut ids = Vec::new();
    let mut lines = BufReader::new(output);
    let mut line = String::new();
    while lines.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
        ids.push(line.trim_end().parse().unwrap());
        line.clear();
        if matches!(moment, Moment::AfterAcknowledgements(count, _) if count == ids.len()) {
            enough.send(()).unwrap();
        }
    }
    ids
}

/// Opens the store after a kill, and checks all rounds, of which the last is new.
fn check_all(dir: &Path, rounds: &mut [Round]) {
    let (last, before) = rounds.split_last_mut().expect("one was run");
    let (_, db) = open_killed(dir, last);
    let collection = db.collection(COLLECTION).unwrap();
    last.transactions = last.check(&db, &collection);
    for round in before {
        let transactions = round.check(&db, &collection);
        assert_eq!(
            transactions, round.transactions,
            "what was found once stays, in {round:?} after {last:?}"
        );
    }
    let known: usize = rounds.iter().map(|round| round.transactions.len() * round.batch).sum();
    assert_eq!(collection.count().unwrap(), known as u64, "documents of no round");
    db.close().unwrap();
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_half_there() {
    let plan = Plan::from_environment();
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("s");
    let mut rounds = Vec::new();
    for number in 0..plan.rounds as i64 {
        let mut round = Round::new(plan.seed, number);
        round.run(&dir);
        rounds.push(round);
        check_all(&dir, &mut rounds);
        let Round { acknowledged, transactions, .. } = &rounds[number as usize];
        println!(
            "round {number}: {} acknowledged, {} transactions there",
            acknowledged.len(),
            transactions.len()
        );
    }
    let acknowledged: usize = rounds.iter().map(|round| round.acknowledged.len()).sum();
    assert!(acknowledged > 0 || plan.rounds == 0, "no round got as far as an acknowledgement");
}
