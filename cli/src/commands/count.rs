//! `count`: how many documents.

use crate::args::CollectionArgs;
use crate::error::CliError;
use crate::output::{Output, Style};
use crate::store::Access;
use indicatif::HumanCount;
use serde_json::json;

pub(crate) fn run(store: Access<'_>, args: &CollectionArgs, style: Style) -> Result<(), CliError> {
    let (db, collection) = store.open_collection(&args.collection)?;
    let count = collection.count()?;
    db.close()?;
    let human = format!("{} documents in `{}`", HumanCount(count), args.collection);
    Output::report(style, &human, &json!({ "collection": args.collection, "count": count }))
}
