//! `verify`: every page of the checkpoint and every frame of the log behind it, of a store that nobody has open.

use crate::args::StoreArgs;
use crate::error::CliError;
use crate::output::{Output, Style};
use indicatif::{HumanBytes, HumanCount};
use serde_json::json;
use skipstone::Lsn;

pub(crate) fn run(args: &StoreArgs, style: Style) -> Result<(), CliError> {
    let found = match args.key.source() {
        Some(source) => skipstone::verify_encrypted(&args.dir, source)?,
        None => skipstone::verify(&args.dir)?,
    };
    let ending = match (found.closed, found.cut_bytes) {
        (true, _) => "it was closed properly".to_owned(),
        (false, 0) => "it was not closed properly; all that was written is whole".to_owned(),
        (false, bytes) => format!(
            "it was not closed properly: {} behind the last frame were never acknowledged as durable, and go when it is opened",
            HumanBytes(bytes)
        ),
    };
    let checkpoint = match found.checkpoint {
        Lsn::ZERO => "no checkpoint yet".to_owned(),
        position => format!(
            "a checkpoint at position {position} with {} keys in {} pages, {} pages free",
            HumanCount(found.entries),
            HumanCount(found.pages),
            HumanCount(found.free_pages),
        ),
    };
    let human = format!(
        "the store is sound: {checkpoint}; {} frames, {} commits in {} segments up to position {}; {ending}",
        HumanCount(found.frames),
        HumanCount(found.commits),
        found.segments,
        found.end,
    );
    let json = json!({
        "sound": true,
        "checkpoint": found.checkpoint.get(),
        "entries": found.entries,
        "pages": found.pages,
        "free_pages": found.free_pages,
        "segments": found.segments,
        "frames": found.frames,
        "commits": found.commits,
        "writes": found.writes,
        "end": found.end.get(),
        "cut_bytes": found.cut_bytes,
        "closed": found.closed,
    });
    Output::report(style, &human, &json)
}
