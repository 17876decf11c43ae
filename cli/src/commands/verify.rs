//! `verify`: every page of the checkpoint and every frame of the log behind it, of a store that nobody has open, and all that is in them.

use crate::args::StoreArgs;
use crate::error::CliError;
use crate::findings;
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
    let verdict = match found.findings.len() as u64 + found.more_findings {
        0 => "the store is sound".to_owned(),
        1 => "the store is damaged at one place".to_owned(),
        places => format!("the store is damaged at {} places", HumanCount(places)),
    };
    let human = format!(
        "{verdict}: {checkpoint}; {} frames, {} commits in {} segments up to position {}; {ending}{}",
        HumanCount(found.frames),
        HumanCount(found.commits),
        found.segments,
        found.end,
        findings::for_people(&found.findings, found.more_findings),
    );
    let json = json!({
        "sound": found.is_sound(),
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
        "findings": findings::for_programs(&found.findings),
        "more_findings": found.more_findings,
    });
    Output::report(style, &human, &json)?;
    match found.findings.into_iter().next() {
        None => Ok(()),
        Some(first) => Err(CliError::Damaged { dir: args.dir.clone(), first: Box::new(first) }),
    }
}
