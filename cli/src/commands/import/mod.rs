//! `import`: the records of a file become documents of a collection.
//!
//! One or more writers share the input. Each takes a batch under a lock, then parses and commits it by itself:
//!
//! ```text
//! input ── lock ──► batch ──► documents ──► one transaction ──► ids, once durable (--ack)
//! ```
//!
//! A record that is no document is found before the transaction begins, so stopping at one leaves no trace of its batch.

mod acks;
mod record;

use crate::args::{DurabilityArg, ImportArgs, OnError};
use crate::error::CliError;
use crate::exit::Exit;
use crate::input::{Batch, Input, Place, RecordError, located};
use crate::output::{self, Output, Style};
use crate::progress::Progress;
use crate::store;
use acks::Acks;
use indicatif::{HumanBytes, HumanCount};
use record::Prepared;
use serde_json::json;
use skipstone::{Collection, Database, Durability, Error, Lsn, TransactionOptions};
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How to import.
pub(crate) struct Plan {
    pub(crate) id_field: Option<String>,
    pub(crate) batch: usize,
    pub(crate) durability: Durability,
    pub(crate) on_error: OnError,
    pub(crate) writers: usize,
}

/// What an import did.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) imported: u64,
    pub(crate) skipped: u64,
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
}

pub(crate) fn run(args: &ImportArgs, style: Style) -> Result<(), CliError> {
    // The input first: a wrong file name should not make a store.
    let input = Input::open(&args.file, args.input.format, args.input.cells)?;
    let (db, collection) = store::create_collection(&args.store, &args.collection, args.pages.compression)?;
    let shares_terminal = args.ack && io::stdout().is_terminal();
    let progress = if shares_terminal { Progress::hidden() } else { Progress::of_bytes(input.bytes_total()) };
    let plan = Plan {
        id_field: args.id.clone(),
        batch: args.batch.get(),
        durability: durability(args.durability),
        on_error: args.on_error,
        writers: args.writers.get(),
    };
    let begun = Instant::now();
    let acks = args.ack.then(Acks::new);
    let mut tally = import(&db, &collection, input, &plan, acks.as_ref(), &progress)?;
    progress.finish();
    db.close()?;
    tally.time = begun.elapsed();
    summarise(&tally, collection.name(), args.ack, style)
}

/// Imports all of `input`, in batches. With `Sync`, or with `acks`, all is durable on return.
pub(crate) fn import(
    db: &Database,
    collection: &Collection,
    input: Input,
    plan: &Plan,
    acks: Option<&Acks>,
    progress: &Progress,
) -> Result<Tally, CliError> {
    let import = Import {
        db,
        collection,
        plan,
        acks,
        progress,
        name: input.name().to_owned(),
        input: Mutex::new(input),
        stop: AtomicBool::new(false),
        imported: AtomicU64::new(0),
        skipped: AtomicU64::new(0),
    };
    import.run()
}

fn durability(arg: DurabilityArg) -> Durability {
    match arg {
        DurabilityArg::Sync => Durability::Sync,
        DurabilityArg::Buffered => Durability::Buffered,
        DurabilityArg::None => Durability::None,
    }
}

fn summarise(tally: &Tally, collection: &str, ack: bool, style: Style) -> Result<(), CliError> {
    let seconds = tally.time.as_secs_f64();
    let per_second = (tally.imported as f64 / seconds) as u64;
    let human = format!(
        "{} documents imported into `{collection}`, {} records skipped; {} in {seconds:.2} s, {} documents a second",
        HumanCount(tally.imported),
        HumanCount(tally.skipped),
        HumanBytes(tally.bytes),
        HumanCount(per_second),
    );
    let json = json!({
        "collection": collection,
        "imported": tally.imported,
        "skipped": tally.skipped,
        "bytes": tally.bytes,
        "seconds": seconds,
        "documents_per_second": per_second,
    });
    if ack {
        // Standard output has the ids, and nothing else.
        output::tell(&if style == Style::Human { human } else { json.to_string() });
        return Ok(());
    }
    Output::report(style, &human, &json)
}

/// An import while it runs, shared by its writers.
struct Import<'a> {
    db: &'a Database,
    collection: &'a Collection,
    plan: &'a Plan,
    acks: Option<&'a Acks>,
    progress: &'a Progress,
    /// The input's name, for messages.
    name: String,
    input: Mutex<Input>,
    stop: AtomicBool,
    imported: AtomicU64,
    skipped: AtomicU64,
}

/// Why a writer gave up.
enum Halt {
    Record { reason: String, exit: Exit },
    Other(CliError),
}

impl<E: Into<CliError>> From<E> for Halt {
    fn from(error: E) -> Halt {
        Halt::Other(error.into())
    }
}

impl Import<'_> {
    fn run(self) -> Result<Tally, CliError> {
        let outcome = thread::scope(|scope| {
            let others: Vec<_> =
                (1..self.plan.writers).map(|_| scope.spawn(|| self.write_batches())).collect();
            let mine = self.write_batches();
            let join = |other: thread::ScopedJoinHandle<'_, _>| {
                other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            others.into_iter().map(join).fold(mine, Result::and)
        });
        let outcome =
            outcome.and_then(|()| self.acks.map_or(Ok(()), |acks| acks.finish(self.db)).map_err(Halt::from));
        let tally = Tally {
            // Relaxed, here and below: counts, read when the writers have been joined.
            imported: self.imported.load(Ordering::Relaxed),
            skipped: self.skipped.load(Ordering::Relaxed),
            bytes: self.input.lock().unwrap_or_else(PoisonError::into_inner).bytes_read(),
            time: Duration::ZERO,
        };
        outcome.map(|()| tally).map_err(|halt| self.stopped(halt))
    }

    fn stopped(&self, halt: Halt) -> CliError {
        self.progress.finish();
        let (reason, exit, can_skip) = match halt {
            Halt::Record { reason, exit } => (reason, exit, true),
            Halt::Other(error) => (error.to_string(), error.exit(), false),
        };
        // Relaxed: the writers have been joined.
        CliError::Stopped { reason, exit, can_skip, imported: self.imported.load(Ordering::Relaxed) }
    }

    /// What one writer does, until the input ends or some writer stops.
    fn write_batches(&self) -> Result<(), Halt> {
        let mut batch = Batch::default();
        let mut prepared = Vec::new();
        let outcome = loop {
            // Relaxed: no data comes with the flag, and seeing it late costs a batch.
            if self.stop.load(Ordering::Relaxed) {
                break Ok(());
            }
            match self.one_batch(&mut batch, &mut prepared) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(halt) => break Err(halt),
            }
        };
        if outcome.is_err() {
            self.stop.store(true, Ordering::Relaxed); // Relaxed: as above.
        }
        outcome
    }

    /// False if nothing is left.
    fn one_batch(&self, batch: &mut Batch, prepared: &mut Vec<Prepared>) -> Result<bool, Halt> {
        let bytes_read = {
            let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
            input.fill(batch, self.plan.batch).map_err(CliError::from)?;
            input.bytes_read()
        };
        if batch.is_empty() {
            return Ok(false);
        }
        self.prepare(batch, prepared)?;
        self.write(prepared)?;
        self.progress.set(bytes_read);
        Ok(true)
    }

    /// Makes documents of the batch's records.
    fn prepare(&self, batch: &Batch, prepared: &mut Vec<Prepared>) -> Result<(), Halt> {
        prepared.clear();
        for (place, text) in batch.records() {
            let document = match text {
                Ok(text) => record::prepare(place, text, self.plan.id_field.as_deref()),
                Err(error) => {
                    self.refuse(place, error)?;
                    continue;
                }
            };
            match document {
                Ok(document) => prepared.push(document),
                Err(error) => self.refuse(place, &error)?,
            }
        }
        Ok(())
    }

    /// Writes one transaction. Ids that are taken show in it.
    fn write(&self, prepared: &[Prepared]) -> Result<(), Halt> {
        let options = TransactionOptions::new().durability(self.plan.durability);
        let mut taken = Vec::new();
        let outcome = self.db.transact_with(options, |transaction| {
            taken.clear();
            let mut documents = transaction.collection(self.collection)?;
            for (index, document) in prepared.iter().enumerate() {
                match documents.insert(document) {
                    Ok(_) => {}
                    Err(error @ Error::AlreadyExists { .. }) => {
                        taken.push(index);
                        if self.plan.on_error == OnError::Stop {
                            return Err(error);
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        });
        for document in taken.iter().map(|&index| &prepared[index]) {
            self.refuse(document.place, &RecordError::Exists { id: document.id.to_string() })?;
        }
        outcome?;
        // Relaxed: a count.
        self.imported.fetch_add((prepared.len() - taken.len()) as u64, Ordering::Relaxed);
        self.acknowledge(prepared, &taken)
    }

    fn acknowledge(&self, prepared: &[Prepared], taken: &[usize]) -> Result<(), Halt> {
        let Some(acks) = self.acks else { return Ok(()) };
        let durable_at = match self.plan.durability {
            Durability::Sync => Lsn::ZERO,
            // Behind the commit, and perhaps behind others that came after it.
            _ => self.db.position(),
        };
        let written = prepared.iter().enumerate().filter(|(index, _)| taken.binary_search(index).is_err());
        acks.committed(written.map(|(_, document)| &document.id), durable_at);
        Ok(acks.print(self.db.durable_position())?)
    }

    /// Says that a record is skipped, or stops.
    fn refuse(&self, place: Place, error: &RecordError) -> Result<(), Halt> {
        let reason = located(&self.name, place, error);
        if self.plan.on_error == OnError::Stop {
            let exit =
                if matches!(error, RecordError::Exists { .. }) { Exit::Conflict } else { Exit::BadInput };
            return Err(Halt::Record { reason, exit });
        }
        self.skipped.fetch_add(1, Ordering::Relaxed); // Relaxed: a count.
        self.progress.tell(&format!("skipped: {reason}"));
        Ok(())
    }
}
