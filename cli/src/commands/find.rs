//! `find`: the documents that match a filter, as they are found; or how many; or how.

use crate::args::FindArgs;
use crate::error::CliError;
use crate::output::{self, Output, Style};
use crate::store::Access;
use indicatif::HumanCount;
use serde_json::json;
use skipstone::{Cursor, Query, SnapshotCollection};

pub(crate) fn run(store: Access<'_>, args: &FindArgs, style: Style) -> Result<(), CliError> {
    let (db, collection) = store.open_collection(&args.collection)?;
    answer(&db.snapshot_at(args.at)?.collection(&collection)?, args, style)?;
    db.close()
}

fn answer(documents: &SnapshotCollection<'_>, args: &FindArgs, style: Style) -> Result<(), CliError> {
    let query = query(args);
    let explained = match (args.analyze, args.explain, args.count, &args.project) {
        (true, _, true, _) => Some(documents.explain_analyze_count(query.clone())?),
        (true, _, false, Some(wanted)) => Some(documents.explain_analyze_projected(query.clone(), wanted)?),
        (true, _, false, None) => Some(documents.explain_analyze(query.clone())?),
        (false, true, true, _) => Some(documents.explain_count(query.clone())?),
        (false, true, false, Some(wanted)) => Some(documents.explain_projected(query.clone(), wanted)?),
        (false, true, false, None) => Some(documents.explain(query.clone())?),
        (false, false, ..) => None,
    };
    if let Some(explained) = explained {
        return output::explanation(&explained, style);
    }
    if args.count {
        let count = documents.count_matching(query)?;
        let human = format!("{} documents of `{}` match", HumanCount(count), args.collection);
        return Output::report(style, &human, &json!({ "collection": args.collection, "count": count }));
    }
    let mut output = Output::new(style);
    let cursor = match &args.project {
        Some(wanted) => {
            let mut found = documents.find_projected(query, wanted)?;
            found.try_for_each(|document| output.document_line(&document?))?;
            found.cursor()?
        }
        None => {
            let mut found = documents.find(query)?;
            found.try_for_each(|document| output.document_line(document?.raw()))?;
            found.cursor()?
        }
    };
    output.finish()?;
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
