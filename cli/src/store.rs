//! Opening stores and collections for the commands, and where their keys come from.

use crate::args::{CollectionArgs, CompressionArg, KeyArgs, StoreArgs};
use crate::error::CliError;
use skipstone::{
    Builder, Collection, Compression, Database, EnvKeyProvider, FileKeyProvider, KeyError, KeyProvider,
    MasterKey,
};
use std::path::{Path, PathBuf};

/// Where a key comes from.
pub(crate) enum KeySource {
    File(FileKeyProvider),
    Env(EnvKeyProvider),
}

impl KeySource {
    /// None if neither a file nor a variable was named.
    pub(crate) fn new(file: Option<&PathBuf>, env: Option<&String>) -> Option<KeySource> {
        let of_file = file.map(|file| KeySource::File(FileKeyProvider::new(file)));
        of_file.or_else(|| env.map(|name| KeySource::Env(EnvKeyProvider::new(name))))
    }
}

impl KeyProvider for KeySource {
    fn key(&self) -> Result<MasterKey, KeyError> {
        match self {
            KeySource::File(provider) => provider.key(),
            KeySource::Env(provider) => provider.key(),
        }
    }
}

impl KeyArgs {
    pub(crate) fn source(&self) -> Option<KeySource> {
        KeySource::new(self.key_file.as_ref(), self.key_env.as_ref())
    }
}

/// The settings of a store and its key.
pub(crate) fn builder(dir: &Path, key: &KeyArgs) -> Builder {
    let builder = Database::builder().path(dir);
    match key.source() {
        Some(source) => builder.encryption(source),
        None => builder,
    }
}

/// Opens a store that must be there.
pub(crate) fn open(args: &StoreArgs) -> Result<Database, CliError> {
    open_for_pages(args, None)
}

/// The same, to write pages.
pub(crate) fn open_for_pages(
    args: &StoreArgs,
    compression: Option<CompressionArg>,
) -> Result<Database, CliError> {
    Ok(compressing(builder(&args.dir, &args.key).create(false), compression).open()?)
}

fn compressing(builder: Builder, compression: Option<CompressionArg>) -> Builder {
    match compression {
        Some(compression) => builder.checkpoint_compression(compression.into()),
        None => builder,
    }
}

impl From<CompressionArg> for Compression {
    fn from(compression: CompressionArg) -> Compression {
        match compression {
            CompressionArg::None => Compression::None,
            CompressionArg::Lz4 => Compression::Lz4,
        }
    }
}

/// Opens a store and a collection of it that must be there.
pub(crate) fn open_collection(args: &CollectionArgs) -> Result<(Database, Collection), CliError> {
    let db = open(&args.store)?;
    match db.find_collection(&args.collection)? {
        Some(collection) => Ok((db, collection)),
        None => Err(CliError::NoCollection {
            dir: args.store.dir.clone(),
            name: args.collection.clone(),
            there: db.collection_names()?,
        }),
    }
}

/// Opens a store and a collection of it, and makes what is missing.
pub(crate) fn create_collection(
    args: &CollectionArgs,
    compression: Option<CompressionArg>,
) -> Result<(Database, Collection), CliError> {
    let db = compressing(builder(&args.store.dir, &args.store.key), compression).open()?;
    let collection = db.collection(&args.collection)?;
    Ok((db, collection))
}
