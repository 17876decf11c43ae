//! `watch`: what was changed, in the order of commits, a line each, or some for people.
//!
//! Nobody else can write meanwhile, so what there is to tell is what the log has: the process has the store for itself, or the shell waits for its end.

use crate::args::{Beginning, WatchArgs};
use crate::error::CliError;
use crate::output::{self, Output, Style};
use crate::store::Access;
use serde_json::json;
use skipstone::document;
use skipstone::{Change, ChangeKind, Changes, Document, FeedCursor, Lsn, Watch};
use std::num::NonZeroU64;

pub(crate) fn run(store: Access<'_>, args: &WatchArgs, style: Style) -> Result<(), CliError> {
    let (db, cursor) = match &args.collection {
        Some(name) => {
            let (db, collection) = store.open_collection(name)?;
            (db, print(collection.watch(watch(args))?, args, style)?)
        }
        None => {
            let db = store.open()?;
            let changes = db.watch(watch(args))?;
            (db, print(changes, args, style)?)
        }
    };
    db.close()?;
    if args.cursor {
        output::tell_cursor(&cursor.to_string(), style);
    }
    Ok(())
}

fn watch(args: &WatchArgs) -> Watch {
    let watch = match (&args.after, args.from) {
        (Some(cursor), _) => Watch::new().after(cursor),
        (None, Beginning::Position(position)) => Watch::new().from_position(Lsn::new(position)),
        (None, Beginning::Now) => Watch::new(),
    };
    args.filter.iter().fold(watch, |watch, filter| watch.matching(filter.clone()))
}

/// Prints the changes, and returns where that ended.
fn print(mut changes: Changes, args: &WatchArgs, style: Style) -> Result<FeedCursor, CliError> {
    let mut output = Output::new(style);
    let mut lines = Vec::new();
    for _ in 0..args.limit.map_or(u64::MAX, NonZeroU64::get) {
        let next = match changes.try_next()? {
            None => {
                // Whoever reads has everything while nothing comes.
                output.flush()?;
                changes.next_within(args.quiet)?
            }
            some => some,
        };
        let Some(change) = next else { break };
        let before = change.before().filter(|_| !args.no_before);
        match style {
            Style::Json => push_json(&change, before, &changes.cursor(), &mut lines)?,
            Style::Human | Style::Table => push_human(&change, before, &mut lines)?,
        }
        output.text(&lines)?;
        lines.clear();
    }
    output.finish()?;
    Ok(changes.cursor())
}

/// One line. The documents are written as the library has them: a number that goes through another parser may not come out the same.
fn push_json(
    change: &Change,
    before: Option<&Document>,
    cursor: &FeedCursor,
    out: &mut Vec<u8>,
) -> Result<(), CliError> {
    let head = json!({
        "position": change.position().get(),
        "collection": change.collection(),
        "kind": kind(change),
        "id": change.id(),
    })
    .to_string();
    out.extend_from_slice(head.strip_suffix('}').expect("it is an object").as_bytes());
    for (name, document) in [("before", before), ("after", change.after())] {
        if let Some(document) = document {
            out.extend_from_slice(format!(",\"{name}\":").as_bytes());
            push_document(document, out)?;
        }
    }
    out.extend_from_slice(format!(",\"cursor\":\"{cursor}\"}}\n").as_bytes());
    Ok(())
}

/// What happened to what, and below it what the document was, and is.
fn push_human(change: &Change, before: Option<&Document>, out: &mut Vec<u8>) -> Result<(), CliError> {
    let (position, collection, id) = (change.position(), change.collection(), json!(change.id()));
    out.extend_from_slice(format!("{position} {} {collection} {id}\n", kind(change)).as_bytes());
    for (sign, document) in [("  - ", before), ("  + ", change.after())] {
        if let Some(document) = document {
            out.extend_from_slice(sign.as_bytes());
            push_document(document, out)?;
            out.push(b'\n');
        }
    }
    Ok(())
}

fn push_document(document: &Document, out: &mut Vec<u8>) -> Result<(), CliError> {
    document::raw_to_json(document.raw(), out).map_err(skipstone::Error::from)?;
    Ok(())
}

fn kind(change: &Change) -> &'static str {
    match change.kind() {
        ChangeKind::Inserted => "inserted",
        ChangeKind::Deleted => "deleted",
        _ => "updated",
    }
}
