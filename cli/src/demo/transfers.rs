//! Step 3: several threads move money between the same few accounts, while others add all of it up.
//!
//! One transfer reads three accounts, changes each, and writes a document that tells of it: four documents in two
//! collections, all or nothing. Whoever looks, at whatever moment, must find the same total.

use super::report::{Report, Step, quantile};
use crate::error::CliError;
use skipstone::bson::doc;
use skipstone::{Collection, Database, Patch, Result, Transaction};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const ACCOUNTS: i64 = 100;
const OPENING_BALANCE: i64 = 1_000;
const TOTAL: i64 = ACCOUNTS * OPENING_BALANCE;
const WRITERS: u64 = 8;
const TRANSFERS_PER_WRITER: u64 = 1_000;
const AUDITORS: u64 = 2;
/// The most that one transfer moves to each of its two receivers.
const AMOUNT_MAX: i64 = 50;

/// The collections of this step.
struct Bank {
    db: Database,
    accounts: Collection,
    transfers: Collection,
}

/// What one writer did.
#[derive(Default)]
struct Done {
    attempts: u64,
    times: Vec<Duration>,
}

pub(super) fn run(db: &Database, report: &mut Report) -> std::result::Result<(), CliError> {
    let bank = Bank::open(db)?;
    let opening = (0..ACCOUNTS).map(|id| doc! { "_id": id, "balance": OPENING_BALANCE });
    bank.accounts.insert_many(opening)?;

    let over = AtomicBool::new(false);
    let begun = Instant::now();
    let (writers, audits, time) = thread::scope(|scope| {
        let audits: Vec<_> = (0..AUDITORS).map(|_| scope.spawn(|| bank.audit_until(&over))).collect();
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(|| bank.transfer_often())).collect();
        let writers: Result<Vec<Done>> = writers.into_iter().map(joined).collect();
        let time = begun.elapsed();
        over.store(true, Ordering::Relaxed); // Relaxed: no data comes with the flag.
        let audits: Result<Vec<(u64, bool)>> = audits.into_iter().map(joined).collect();
        (writers, audits, time)
    });
    let (writers, audits) = (writers?, audits?);

    let transfers = WRITERS * TRANSFERS_PER_WRITER;
    let attempts: u64 = writers.iter().map(|done| done.attempts).sum();
    let mut times: Vec<Duration> = writers.into_iter().flat_map(|done| done.times).collect();
    times.sort_unstable();
    let mut step =
        Step::new("transfers", format!("Move money between {ACCOUNTS} accounts, {WRITERS} threads, durably"));
    step.count("transfers", transfers, "transfers, each over four documents");
    step.count("conflicts", attempts - transfers, "conflicts, tried again");
    step.rate("transfers_per_second", transfers, time, "transfers a second");
    step.time("p50", quantile(&times, 0.5), "a transfer in the median, until it is on the disk");
    step.time("p99", quantile(&times, 0.99), "a transfer in the slowest hundredth");
    step.count(
        "audits",
        audits.iter().map(|(audits, _)| audits).sum(),
        "sums of all accounts by two other threads meanwhile",
    );
    step.check("every sum was the same", audits.iter().all(|(_, same)| *same));
    step.check("at the end the total is what it was, and every transfer is told of", bank.is_balanced()?);
    report.add(step)
}

/// Whether the accounts of a store add up, and all transfers are there.
pub(super) fn are_balanced(db: &Database) -> Result<bool> {
    Bank::open(db)?.is_balanced()
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

impl Bank {
    fn open(db: &Database) -> Result<Bank> {
        let (accounts, transfers) = (db.collection("accounts")?, db.collection("transfers")?);
        Ok(Bank { db: db.clone(), accounts, transfers })
    }

    fn transfer_often(&self) -> Result<Done> {
        let mut random = fastrand::Rng::new();
        let mut done = Done::default();
        for _ in 0..TRANSFERS_PER_WRITER {
            let parties = random.choose_multiple(0..ACCOUNTS, 3);
            let amount = random.i64(1..=AMOUNT_MAX);
            let begun = Instant::now();
            self.db.transact(|transaction| {
                done.attempts += 1;
                self.transfer(transaction, &parties, amount)
            })?;
            done.times.push(begun.elapsed());
        }
        Ok(done)
    }

    /// The first party pays each of the others, as far as its money goes.
    fn transfer(&self, transaction: &mut Transaction<'_>, parties: &[i64], amount: i64) -> Result<()> {
        let (payer, receivers) = (parties[0], &parties[1..]);
        let mut accounts = transaction.collection(&self.accounts)?;
        let document = accounts.get(payer)?;
        let balance = document.as_ref().and_then(|account| account.get("balance")?.as_i64()).unwrap_or(0);
        let amount = amount.min(balance / receivers.len() as i64);
        accounts.patch(payer, &Patch::new().inc("balance", -amount * receivers.len() as i64))?;
        for &receiver in receivers {
            accounts.patch(receiver, &Patch::new().inc("balance", amount))?;
        }
        let told = doc! { "from": payer, "to": receivers, "amount": amount };
        transaction.collection(&self.transfers)?.insert(told)?;
        Ok(())
    }

    /// How many sums were made, and whether each was right.
    fn audit_until(&self, over: &AtomicBool) -> Result<(u64, bool)> {
        let (mut audits, mut same) = (0, true);
        // Relaxed: no data comes with the flag.
        while !over.load(Ordering::Relaxed) {
            same &= self.total()? == TOTAL;
            audits += 1;
        }
        Ok((audits, same))
    }

    /// The sum of all accounts as of one moment.
    fn total(&self) -> Result<i64> {
        let snapshot = self.db.snapshot()?;
        let accounts = snapshot.collection(&self.accounts)?;
        accounts
            .scan()
            .map(|account| Ok(account?.get("balance").and_then(|balance| balance.as_i64()).unwrap_or(0)))
            .sum()
    }

    fn is_balanced(&self) -> Result<bool> {
        let transfers = self.transfers.count()?;
        Ok(self.total()? == TOTAL && transfers == WRITERS * TRANSFERS_PER_WRITER)
    }
}
