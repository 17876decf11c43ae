//! `checkpoint`: what is in the log goes into pages, so that the next opening loads these and the log before can be used again.

use crate::args::CheckpointArgs;
use crate::error::CliError;
use crate::output::{Output, Style};
use crate::store;
use indicatif::{HumanBytes, HumanCount};
use serde_json::json;

pub(crate) fn run(args: &CheckpointArgs, style: Style) -> Result<(), CliError> {
    let db = store::open_for_pages(&args.store, args.pages.compression)?;
    let taken = db.checkpoint()?.expect("a store in a directory takes checkpoints");
    db.close()?;
    let human = format!(
        "checkpoint at position {}: {} keys in {} pages; {} had changed since the last one, {} written in {:.1} ms",
        taken.position,
        HumanCount(taken.entries),
        HumanCount(taken.pages),
        HumanCount(taken.changed),
        HumanBytes(taken.written_bytes),
        taken.time.as_secs_f64() * 1e3,
    );
    let json = json!({
        "position": taken.position.get(),
        "entries": taken.entries,
        "changed": taken.changed,
        "pages": taken.pages,
        "written_bytes": taken.written_bytes,
        "seconds": taken.time.as_secs_f64(),
    });
    Output::report(style, &human, &json)
}
