//! `backup`: the store once more, in another directory, or what a backup before does not have.

use crate::args::BackupArgs;
use crate::error::CliError;
use crate::output::{Output, Style};
use crate::store;
use indicatif::{HumanBytes, HumanCount};
use serde_json::json;

pub(crate) fn run(args: &BackupArgs, style: Style) -> Result<(), CliError> {
    // All of the log that is still there: what an incremental backup needs of it is known when it is made.
    let db =
        store::builder(&args.store.dir, &args.store.key).create(false).backup_log_bytes(u64::MAX).open()?;
    let made = match &args.since {
        Some(previous) => db.back_up_since(previous, &args.target)?,
        None => db.back_up(&args.target)?,
    };
    db.close()?;
    let gap = made.gap.as_ref().map_or(String::new(), |gap| {
        format!(
            "; the log from position {} to {} was gone, so nothing in between can be restored",
            gap.start, gap.end
        )
    });
    let human = format!(
        "{} keys as of position {}, and the log up to {}, in `{}`: {} of pages and {} of log, copied in {:.1} ms{gap}",
        HumanCount(made.entries),
        made.checkpoint,
        made.position,
        args.target.display(),
        HumanBytes(made.bytes),
        HumanBytes(made.log_bytes),
        made.time.as_secs_f64() * 1e3,
    );
    let json = json!({
        "position": made.position.get(),
        "checkpoint": made.checkpoint.get(),
        "gap": made.gap.map(|gap| [gap.start.get(), gap.end.get()]),
        "entries": made.entries,
        "bytes": made.bytes,
        "log_bytes": made.log_bytes,
        "seconds": made.time.as_secs_f64(),
    });
    Output::report(style, &human, &json)
}
