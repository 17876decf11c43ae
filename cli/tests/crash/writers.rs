//! The process that is killed while it takes checkpoints: this test binary once more, told by its environment where the store is.
//!
//! Sixteen writers number their transactions. Each transaction, all or nothing,
//!
//! - sets the writer's counter to its number, and inserts a document of that number, a few of which are longer than a page;
//! - deletes the writer's document of some transactions ago, unless it is one of those that stay;
//! - writes one of the writer's few keys of bytes, in turn;
//! - moves money between two accounts, which all writers share.
//!
//! So the counters and the seed tell to the byte what the store must hold.

use skipstone::bson::doc;
use skipstone::{Collection, Database, DocumentId, Durability, Isolation, Keyspace, TransactionOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

pub(crate) const WRITERS: usize = 16;
/// The number of each writer's last transaction; the first one has number 1.
pub(crate) type Counters = [i64; WRITERS];

/// The name of the test that the process runs.
pub(crate) const TEST: &str = "writers::write_until_they_are_killed";
/// Where the store is; which documents it gets; and after how many transactions a writer waits for the disk.
pub(crate) const STORE: &str = "SKIPSTONE_CRASH_STORE";
pub(crate) const CONTENTS_SEED: &str = "SKIPSTONE_CRASH_CONTENTS_SEED";
pub(crate) const SYNC_EVERY: &str = "SKIPSTONE_CRASH_SYNC_EVERY";

const IDS_PER_WRITER: i64 = 1_000_000_000;
/// A document is deleted by the transaction so many after its own,
const WINDOW: i64 = 40;
/// unless its number is a multiple of this.
const STAYS: i64 = 16;
/// How many keys of bytes each writer has.
const KEYS: i64 = 8;
const ACCOUNTS: i64 = 64;
const CENTS_EACH: i64 = 1_000;

/// The store, as writers and checkers see it.
struct Handles {
    db: Database,
    seed: u64,
    counters: Collection,
    documents: Collection,
    accounts: Collection,
    bytes: Keyspace,
}

fn text(seed: u64, writer: usize, number: i64) -> String {
    let id = id(writer, number) as u64;
    let mut random = fastrand::Rng::with_seed(seed ^ id.rotate_left(32));
    let length = if random.u8(..10) == 0 { random.usize(..20_000) } else { random.usize(..300) };
    std::iter::repeat_with(|| random.alphanumeric()).take(length).collect()
}

fn id(writer: usize, number: i64) -> i64 {
    writer as i64 * IDS_PER_WRITER + number
}

fn key(writer: usize, number: i64) -> [u8; 2] {
    [writer as u8, (number % KEYS) as u8]
}

/// Whether a writer whose last transaction is `last` has not deleted this document.
fn is_there(number: i64, last: i64) -> bool {
    number % STAYS == 0 || number + WINDOW > last
}

impl Handles {
    fn new(db: Database, seed: u64) -> Handles {
        let collection = |name| db.collection(name).unwrap();
        let (counters, documents, accounts) =
            (collection("counters"), collection("documents"), collection("accounts"));
        Handles { bytes: db.keyspace("bytes").unwrap(), db, seed, counters, documents, accounts }
    }

    /// Makes counters and accounts, if they are not there.
    fn prepare(&self) {
        if self.counters.count().unwrap() > 0 {
            return;
        }
        let prepared = self.db.transact(|transaction| {
            let mut counters = transaction.collection(&self.counters)?;
            (0..WRITERS as i64)
                .try_for_each(|writer| counters.insert(doc! { "_id": writer, "n": 0_i64 }).map(drop))?;
            let mut accounts = transaction.collection(&self.accounts)?;
            (0..ACCOUNTS)
                .try_for_each(|id| accounts.insert(doc! { "_id": id, "cents": CENTS_EACH }).map(drop))
        });
        prepared.unwrap();
    }

    fn counter(&self, writer: usize) -> i64 {
        let found = self.counters.get(writer as i64).unwrap();
        found.expect("each writer has one").get("n").unwrap().as_i64().unwrap()
    }

    /// One transaction.
    fn write(&self, writer: usize, number: i64, options: TransactionOptions) {
        let text = text(self.seed, writer, number);
        let (from, cents) = (fastrand::i64(0..ACCOUNTS), fastrand::i64(0..CENTS_EACH));
        let to = (from + fastrand::i64(1..ACCOUNTS)) % ACCOUNTS;
        let written = self.db.transact_with(options, |transaction| {
            transaction.collection(&self.counters)?.update(writer as i64, |d| drop(d.insert("n", number)))?;
            let mut documents = transaction.collection(&self.documents)?;
            documents.insert(doc! { "_id": id(writer, number), "text": &text })?;
            let old = number - WINDOW;
            if old > 0 && !is_there(old, number) {
                documents.delete(id(writer, old))?;
            }
            transaction.keyspace(&self.bytes)?.put(&key(writer, number), text.as_bytes())?;
            let mut accounts = transaction.collection(&self.accounts)?;
            for (account, cents) in [(from, -cents), (to, cents)] {
                accounts.update(account, |d| {
                    let before = d.get_i64("cents").expect("accounts have cents");
                    d.insert("cents", before + cents);
                })?;
            }
            Ok(())
        });
        written.unwrap();
    }

    /// Writes up to the transaction of number `last`. A line says which are acknowledged: those up to the one it names.
    fn write_until(&self, writer: usize, last: i64, sync_every: i64) {
        let isolation = if writer.is_multiple_of(2) { Isolation::Snapshot } else { Isolation::Serializable };
        for number in self.counter(writer) + 1..=last {
            let is_sync = number % sync_every == 0;
            let durability = if is_sync { Durability::Sync } else { Durability::Buffered };
            self.write(writer, number, TransactionOptions::new().isolation(isolation).durability(durability));
            if is_sync {
                println!("acknowledged {writer} {number}");
            }
        }
    }

    /// All writers at once, while somebody tells of each checkpoint.
    fn write_all_until(&self, last: i64, sync_every: i64) {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| self.tell_of_checkpoints(&over));
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| scope.spawn(move || self.write_until(writer, last, sync_every)))
                .collect();
            let ended: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
            // Relaxed: it ends the loop, and nothing is read because of it.
            over.store(true, Ordering::Relaxed);
            assert!(ended.iter().all(Result::is_ok), "a writer panicked");
        });
        assert!(self.db.stats().checkpoint_failure.is_none(), "{:?}", self.db.stats());
    }

    /// Until one fails.
    fn tell_of_checkpoints(&self, over: &AtomicBool) {
        let mut last = None;
        // Relaxed: see `write_all_until`.
        while !over.load(Ordering::Relaxed) {
            let stats = self.db.stats();
            if let Some(failure) = stats.checkpoint_failure {
                return println!("failed: {failure}");
            }
            let taken = stats.checkpoint.map(|taken| taken.position.get());
            if let Some(position) = taken.filter(|_| taken != last) {
                println!("checkpoint {position}");
            }
            last = taken;
            // From one look to the next.
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Panics unless the store holds what its counters say, to the byte.
    fn check(&self) -> Counters {
        if self.counters.count().unwrap() == 0 {
            let others = self.documents.count().unwrap() + self.accounts.count().unwrap();
            assert_eq!(others, 0, "the writers' first transaction is half there");
            return [0; WRITERS];
        }
        let counters: Counters = std::array::from_fn(|writer| self.counter(writer));
        for (writer, &last) in counters.iter().enumerate() {
            self.check_documents(writer, last);
            self.check_bytes(writer, last);
        }
        self.check_accounts(counters.iter().sum());
        counters
    }

    fn check_documents(&self, writer: usize, last: i64) {
        let snapshot = self.db.snapshot().unwrap();
        let range = DocumentId::from(id(writer, 0))..DocumentId::from(id(writer + 1, 0));
        let mut found = snapshot.collection(&self.documents).unwrap().range(range).unwrap();
        for number in (1..=last).filter(|&number| is_there(number, last)) {
            let document = found.next().expect("there are documents up to the counter").unwrap();
            let expected = (id(writer, number), text(self.seed, writer, number));
            let held = (document.get("_id").unwrap().as_i64(), document.get("text").unwrap().as_str());
            assert_eq!(held, (Some(expected.0), Some(&*expected.1)), "{number} of {last} of writer {writer}");
        }
        assert!(found.next().is_none(), "more than {last} of writer {writer}");
    }

    fn check_bytes(&self, writer: usize, last: i64) {
        let snapshot = self.db.snapshot().unwrap();
        let bytes = snapshot.keyspace(&self.bytes).unwrap();
        for number in (last - KEYS + 1).max(1)..=last {
            let held = bytes.get(&key(writer, number));
            let expected = text(self.seed, writer, number);
            assert!(held == Some(expected.as_bytes()), "bytes {number} of {last} of writer {writer}");
        }
        let count = bytes.range([writer as u8].as_slice()..[writer as u8 + 1].as_slice()).count();
        assert_eq!(count as i64, last.min(KEYS), "bytes of writer {writer}");
    }

    /// The sum is what it was, and each transaction has written two of them.
    fn check_accounts(&self, transactions: i64) {
        let snapshot = self.db.snapshot().unwrap();
        let (mut cents, mut versions) = (0, 0);
        for account in snapshot.collection(&self.accounts).unwrap().scan() {
            let account = account.unwrap();
            cents += account.get("cents").unwrap().as_i64().unwrap();
            versions += account.version() as i64;
        }
        assert_eq!((cents, versions), (ACCOUNTS * CENTS_EACH, ACCOUNTS + 2 * transactions));
    }
}

/// What a store holds of these writers, all of it checked.
pub(crate) fn check(db: &Database, seed: u64) -> Counters {
    Handles::new(db.clone(), seed).check()
}

fn open(dir: &Path, seed: u64) -> Handles {
    let builder = Database::builder().path(dir).segment_bytes(1 << 20);
    let builder = builder.checkpoint_interval(Duration::from_millis(200)).checkpoint_log_bytes(8 << 20);
    Handles::new(builder.open().unwrap(), seed)
}

/// The process to be killed. Run as an ordinary test it writes a little into a store of its own, and finds it there.
#[test]
fn write_until_they_are_killed() {
    let Some(dir) = std::env::var_os(STORE).map(PathBuf::from) else {
        return write_a_little();
    };
    let given = |name| crate::number(name).expect("whoever runs this says so");
    let handles = open(&dir, given(CONTENTS_SEED));
    // What the test runner says ends with no line.
    println!("\nopened");
    handles.prepare();
    handles.write_all_until(IDS_PER_WRITER, given(SYNC_EVERY) as i64);
}

fn write_a_little() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("s");
    for last in [30, 100] {
        let handles = open(&dir, 1);
        handles.prepare();
        handles.write_all_until(last, 10);
        assert_eq!(handles.check(), [last; WRITERS]);
        drop(handles);
        assert_eq!(check(&Database::open(&dir).unwrap(), 1), [last; WRITERS]);
    }
}
