//! `salvage`: what can be read of a damaged store, in a new one.

use crate::args::SalvageArgs;
use crate::error::CliError;
use crate::findings;
use crate::output::{Output, Style};
use indicatif::HumanCount;
use serde_json::json;
use skipstone::{Salvaged, UncertainKey};
use std::fmt::Write;

pub(crate) fn run(args: &SalvageArgs, style: Style) -> Result<(), CliError> {
    let made = match args.key.source() {
        Some(source) => skipstone::salvage_encrypted(&args.old, &args.new, source)?,
        None => skipstone::salvage(&args.old, &args.new)?,
    };
    let json = json!({
        "complete": made.is_complete(),
        "keyspaces": made.keyspaces.iter().map(|space| json!({
            "name": space.name,
            "is_collection": space.is_collection,
            "entries": space.entries,
            "uncertain": space.uncertain,
        })).collect::<Vec<_>>(),
        "commits": made.commits,
        "findings": findings::for_programs(&made.findings),
        "more_findings": made.more_findings,
        "uncertain": made.uncertain.iter().map(uncertain).collect::<Vec<_>>(),
    });
    Output::report(style, &for_people(args, &made), &json)?;
    if made.is_complete() {
        return Ok(());
    }
    let places = made.findings.len() as u64 + made.more_findings;
    let uncertain = made.keyspaces.iter().map(|space| space.uncertain).sum();
    Err(CliError::Incomplete { old: args.old.clone(), new: args.new.clone(), places, uncertain })
}

fn uncertain(key: &UncertainKey) -> serde_json::Value {
    let name = if key.is_collection { "collection" } else { "keyspace" };
    json!({
        name: key.keyspace,
        "key": findings::key(&key.key, key.is_collection),
        "position": key.position.get(),
    })
}

fn for_people(args: &SalvageArgs, made: &Salvaged) -> String {
    let mut text = format!("what could be read of `{}` is in `{}`:", args.old.display(), args.new.display());
    for space in &made.keyspaces {
        let what = if space.is_collection { "documents" } else { "keys" };
        let _ = write!(text, "\n  {}: {} {what}", space.name, HumanCount(space.entries));
        if space.uncertain > 0 {
            let _ = write!(text, ", of which {} may be old or deleted", HumanCount(space.uncertain));
        }
    }
    if made.is_complete() {
        text.push_str("\nnothing was lost");
    } else {
        text.push_str("\nwhat is wrong with the old store:");
        text.push_str(&findings::for_people(&made.findings, made.more_findings));
    }
    text
}
