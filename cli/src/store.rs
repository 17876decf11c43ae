//! Opening stores and collections for the commands.

use crate::args::CollectionArgs;
use crate::error::CliError;
use skipstone::{Collection, Database};
use std::path::Path;

/// Opens a store that must be there.
pub(crate) fn open(dir: &Path) -> Result<Database, CliError> {
    Ok(Database::builder().path(dir).create(false).open()?)
}

/// Opens a store and a collection of it that must be there.
pub(crate) fn open_collection(args: &CollectionArgs) -> Result<(Database, Collection), CliError> {
    let db = open(&args.dir)?;
    match db.find_collection(&args.collection)? {
        Some(collection) => Ok((db, collection)),
        None => Err(CliError::NoCollection {
            dir: args.dir.clone(),
            name: args.collection.clone(),
            there: db.collection_names()?,
        }),
    }
}

/// Opens a store and a collection of it, and makes what is missing.
pub(crate) fn create_collection(args: &CollectionArgs) -> Result<(Database, Collection), CliError> {
    let db = Database::open(&args.dir)?;
    let collection = db.collection(&args.collection)?;
    Ok((db, collection))
}
