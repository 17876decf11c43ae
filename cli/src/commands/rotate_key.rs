//! `rotate-key`: another key for an encrypted store, and everything in it written anew.

use crate::args::RotateKeyArgs;
use crate::error::CliError;
use crate::output::{Output, Style};
use crate::store::{self, KeySource};
use indicatif::{HumanBytes, HumanCount};
use serde_json::json;

pub(crate) fn run(args: &RotateKeyArgs, style: Style) -> Result<(), CliError> {
    let new = KeySource::new(args.new_key_file.as_ref(), args.new_key_env.as_ref());
    let new = new.expect("one of the two is required");
    let db = store::open_for_pages(&args.store, args.pages.compression)?;
    let taken = db.rotate_key(&new)?;
    db.close()?;
    let human = format!(
        "the new key is the store's: {} keys in {} pages were written anew, {} in {:.1} ms; the old key opens nothing but older backups",
        HumanCount(taken.entries),
        HumanCount(taken.pages),
        HumanBytes(taken.written_bytes),
        taken.time.as_secs_f64() * 1e3,
    );
    let json = json!({
        "position": taken.position.get(),
        "entries": taken.entries,
        "pages": taken.pages,
        "written_bytes": taken.written_bytes,
        "seconds": taken.time.as_secs_f64(),
    });
    Output::report(style, &human, &json)
}
