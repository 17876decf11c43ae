//! `get`: one document.

use crate::args::GetArgs;
use crate::error::CliError;
use crate::ids;
use crate::output::{Output, Style};
use crate::store::Access;

pub(crate) fn run(store: Access<'_>, args: &GetArgs, style: Style) -> Result<(), CliError> {
    let id = ids::parse(&args.id, args.kind.id_type)?;
    let (db, collection) = store.open_collection(&args.collection)?;
    let found = collection.get(&id)?;
    db.close()?;
    let document = found.ok_or_else(|| ids::no_document(&args.collection, &id, &args.kind))?;
    let mut output = Output::new(style);
    output.document(document.raw())?;
    output.finish()
}
