//! Step 1: the records go in, durably, the way `import` takes them.

use super::records;
use super::report::{Report, Step};
use crate::args::{Cells, OnError};
use crate::commands::import::{self, Plan};
use crate::error::CliError;
use crate::input::Input;
use crate::progress::Progress;
use skipstone::{Database, Durability};
use std::time::Instant;

pub(super) const COLLECTION: &str = "clock_changes";
const BATCH: usize = 256;

pub(super) fn run(db: &Database, report: &mut Report) -> Result<(), CliError> {
    let bytes = records::TEXT.len() as u64;
    let source = Box::new(records::TEXT);
    let input = Input::new(records::NAME.to_owned(), Some(bytes), source, None, Cells::Typed)?;
    let plan = Plan {
        id_field: Some("id".to_owned()),
        batch: BATCH,
        durability: Durability::Sync,
        on_error: OnError::Stop,
        writers: 1,
    };
    let begun = Instant::now();
    let collection = db.collection(COLLECTION)?;
    let tally = import::import(db, &collection, input, &plan, None, &Progress::hidden())?;
    let time = begun.elapsed();

    let mut step = Step::new("import", "Import the records, each batch durable before the next");
    step.count("documents", tally.imported, "documents");
    step.count(
        "transactions",
        tally.imported.div_ceil(BATCH as u64),
        "transactions, each written to the disk",
    );
    step.rate("documents_per_second", tally.imported, time, "documents a second");
    step.check("every record reads back as it was", all_are_there(db)?);
    report.add(step)
}

/// Whether the collection holds the records, and nothing else.
pub(super) fn all_are_there(db: &Database) -> Result<bool, CliError> {
    let Some(collection) = db.find_collection(COLLECTION)? else { return Ok(false) };
    let snapshot = db.snapshot()?;
    let documents = snapshot.collection(&collection)?;
    let expected = records::all();
    for (id, record) in (1..).zip(&expected) {
        match documents.get(id)? {
            Some(document) if records::is_same(document.raw(), id, record) => {}
            _ => return Ok(false),
        }
    }
    Ok(documents.count() == expected.len() as u64)
}
