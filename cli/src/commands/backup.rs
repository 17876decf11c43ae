//! `backup`: the store once more, in another directory.

use crate::args::BackupArgs;
use crate::error::CliError;
use crate::output::{Output, Style};
use crate::store;
use indicatif::{HumanBytes, HumanCount};
use serde_json::json;

pub(crate) fn run(args: &BackupArgs, style: Style) -> Result<(), CliError> {
    let db = store::open(&args.store)?;
    let made = db.back_up(&args.target)?;
    db.close()?;
    let human = format!(
        "{} keys as of position {} in `{}`: {} of pages, copied in {:.1} ms",
        HumanCount(made.entries),
        made.position,
        args.target.display(),
        HumanBytes(made.bytes),
        made.time.as_secs_f64() * 1e3,
    );
    let json = json!({
        "position": made.position.get(),
        "entries": made.entries,
        "bytes": made.bytes,
        "seconds": made.time.as_secs_f64(),
    });
    Output::report(style, &human, &json)
}
