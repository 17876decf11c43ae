//! `delete`: one document goes.

use crate::args::GetArgs;
use crate::error::CliError;
use crate::ids;
use crate::output::{Output, Style};
use crate::store::Access;
use serde_json::json;

pub(crate) fn run(store: Access<'_>, args: &GetArgs, style: Style) -> Result<(), CliError> {
    let id = ids::parse(&args.id, args.kind.id_type)?;
    let (db, collection) = store.open_collection(&args.collection)?;
    let was_there = collection.delete(&id)?;
    db.close()?;
    if !was_there {
        return Err(ids::no_document(&args.collection, &id, &args.kind));
    }
    Output::report(style, &format!("{id} deleted from `{}`", args.collection), &json!({ "deleted": id }))
}
