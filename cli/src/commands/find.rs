//! `find`: the documents that match a filter, as they are found; or how many; or how.

use crate::args::FindArgs;
use crate::error::CliError;
use crate::output::{self, Output, Style};
use crate::store::Access;
use indicatif::HumanCount;
use serde_json::json;
use skipstone::{Cursor, Explanation, Projection, Query, SnapshotCollection};

pub(crate) fn run(store: Access<'_>, args: &FindArgs, style: Style) -> Result<(), CliError> {
    let (db, collection) = store.open_collection(&args.collection)?;
    {
        let snapshot = match args.at {
            Some(moment) => db.at(moment)?,
            None => db.snapshot()?,
        };
        answer(&snapshot.collection(&collection)?, args, style)?;
    }
    db.close()
}

fn answer(documents: &SnapshotCollection<'_>, args: &FindArgs, style: Style) -> Result<(), CliError> {
    let query = query(args);
    let explained = match (args.analyze, args.explain, args.count) {
        (true, _, false) => Some(documents.explain_analyze(query.clone())?),
        (true, _, true) => Some(documents.explain_analyze_count(query.clone())?),
        (false, true, false) => Some(documents.explain(query.clone())?),
        (false, true, true) => Some(documents.explain_count(query.clone())?),
        (false, false, _) => None,
    };
    if let Some(explained) = explained {
        return explain(&explained, style);
    }
    if args.count {
        let count = documents.count_matching(query)?;
        let human = format!("{} documents of `{}` match", HumanCount(count), args.collection);
        return Output::report(style, &human, &json!({ "collection": args.collection, "count": count }));
    }
    let cursor = print(documents, query, args.project.as_ref(), style)?;
    if args.cursor {
        tell(cursor.as_ref(), style);
    }
    Ok(())
}

fn query(args: &FindArgs) -> Query {
    let query = Query::new(args.filter.get()).skip(args.skip);
    let query = args.sort.iter().fold(query, |query, order| order.of(query));
    let query = args.limit.iter().fold(query, |query, limit| query.limit(limit.get()));
    args.after.iter().fold(query, |query, cursor| query.after(cursor.clone()))
}

/// Prints the documents, and returns where the last one stands.
fn print(
    documents: &SnapshotCollection<'_>,
    query: Query,
    projection: Option<&Projection>,
    style: Style,
) -> Result<Option<Cursor>, CliError> {
    let mut output = Output::new(style);
    let mut matches = documents.find(query)?;
    for document in &mut matches {
        let document = document?;
        match projection {
            Some(projection) => {
                let wanted = projection.apply(document.raw()).map_err(skipstone::Error::from)?;
                output.document_line(&wanted)?;
            }
            None => output.document_line(document.raw())?,
        }
    }
    output.finish()?;
    Ok(matches.cursor()?)
}

/// Standard output has the documents, and nothing else.
fn tell(cursor: Option<&Cursor>, style: Style) {
    match (cursor, style) {
        (Some(cursor), _) => output::tell_cursor(&cursor.to_string(), style),
        (None, Style::Json) => output::tell(&json!({ "cursor": null }).to_string()),
        (None, _) => output::tell(
            "there is no place to go on from: nothing was found, or it is in no order; `--sort` gives one",
        ),
    }
}

fn explain(explanation: &Explanation, style: Style) -> Result<(), CliError> {
    let mut output = Output::new(style);
    match style {
        Style::Json => output.value_line(&explanation.to_document())?,
        _ => output.text(explanation.to_string())?,
    }
    output.finish()
}
