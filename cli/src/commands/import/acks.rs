//! Ids on standard output, each once its commit is on stable storage.
//!
//! A line that somebody has read is a promise: whatever happens to this process then, the document is there.

use crate::error::CliError;
use skipstone::{Database, DocumentId, Lsn};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// The ids of commits that are not durable yet, in the order in which they will be.
pub(crate) struct Acks(Mutex<VecDeque<Waiting>>);

struct Waiting {
    /// When everything before this position is durable, so is the commit.
    durable_at: Lsn,
    lines: Vec<u8>,
}

impl Acks {
    pub(crate) fn new() -> Acks {
        Acks(Mutex::new(VecDeque::new()))
    }

    /// Takes the ids of a commit.
    pub(crate) fn committed<'a>(&self, ids: impl Iterator<Item = &'a DocumentId>, durable_at: Lsn) {
        let mut lines = Vec::new();
        for id in ids {
            serde_json::to_writer(&mut lines, id).expect("an id can always be written to memory as JSON");
            lines.push(b'\n');
        }
        self.waiting().push_back(Waiting { durable_at, lines });
    }

    /// Prints what is durable. The lines of a commit reach the reader together, before this returns.
    pub(crate) fn print(&self, durable: Lsn) -> Result<(), CliError> {
        let mut waiting = self.waiting();
        let mut out = io::stdout().lock();
        while let Some(first) = waiting.front().filter(|first| first.durable_at <= durable) {
            out.write_all(&first.lines).and_then(|()| out.flush()).map_err(CliError::Output)?;
            waiting.pop_front();
        }
        Ok(())
    }

    /// Waits until all is durable, and prints it.
    pub(crate) fn finish(&self, db: &Database) -> Result<(), CliError> {
        let end = db.position();
        db.wait_durable(end)?;
        self.print(end)
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, VecDeque<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
