//! `update` and `remove`: what a filter matches is changed or goes, in one transaction.

use crate::args::{RemoveArgs, UpdateArgs};
use crate::error::CliError;
use crate::output::{Output, Style};
use crate::store::Access;
use indicatif::HumanCount;
use serde_json::json;

pub(crate) fn update(store: Access<'_>, args: &UpdateArgs, style: Style) -> Result<(), CliError> {
    let (db, collection) = store.open_collection(&args.collection)?;
    let updated = collection.patch_matching(args.filter.clone(), &args.patch)?;
    db.close()?;
    let human = format!("{} documents updated in `{}`", HumanCount(updated), args.collection);
    Output::report(style, &human, &json!({ "collection": args.collection, "updated": updated }))
}

pub(crate) fn remove(store: Access<'_>, args: &RemoveArgs, style: Style) -> Result<(), CliError> {
    let (db, collection) = store.open_collection(&args.collection)?;
    let removed = collection.delete_matching(args.filter.clone())?;
    db.close()?;
    let human = format!("{} documents removed from `{}`", HumanCount(removed), args.collection);
    Output::report(style, &human, &json!({ "collection": args.collection, "removed": removed }))
}
