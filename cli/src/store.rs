//! Opening stores and collections for the commands, and where their keys come from.

use crate::args::{CompressionArg, KeyArgs, StoreArgs};
use crate::error::CliError;
use skipstone::{
    Builder, Collection, Compression, Database, EnvKeyProvider, FileKeyProvider, KeyError, KeyProvider,
    MasterKey, Moment, Snapshot,
};
use std::ops::Deref;
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

/// Opens a store that must be there, to write pages.
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

/// Opens a store and a collection of it, and makes what is missing.
pub(crate) fn create_collection(
    args: &StoreArgs,
    name: &str,
    compression: Option<CompressionArg>,
) -> Result<(Database, Collection), CliError> {
    let db = compressing(builder(&args.dir, &args.key), compression).open()?;
    let collection = db.collection(name)?;
    Ok((db, collection))
}

/// Where a command finds its store.
#[derive(Clone, Copy)]
pub(crate) enum Access<'a> {
    /// The command opens it, and closes it in the end.
    Own(&'a StoreArgs),
    /// The shell has it open.
    Shared { db: &'a Database, dir: &'a Path },
}

/// A store that a command works with.
pub(crate) struct Opened {
    db: Database,
    is_own: bool,
}

impl Deref for Opened {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.db
    }
}

impl Opened {
    /// What is there now, or was at a moment of the past.
    pub(crate) fn snapshot_at(&self, moment: Option<Moment>) -> Result<Snapshot<'_>, CliError> {
        Ok(match moment {
            Some(moment) => self.at(moment)?,
            None => self.snapshot()?,
        })
    }

    /// Ends the command's work with it.
    pub(crate) fn close(self) -> Result<(), CliError> {
        if self.is_own {
            self.db.close()?;
        }
        Ok(())
    }
}

impl<'a> Access<'a> {
    pub(crate) fn dir(self) -> &'a Path {
        match self {
            Access::Own(args) => &args.dir,
            Access::Shared { dir, .. } => dir,
        }
    }

    /// A store that must be there.
    pub(crate) fn open(self) -> Result<Opened, CliError> {
        match self {
            // What a program keeps of the log is not to go because somebody had a look.
            Access::Own(args) => {
                let keeping = builder(&args.dir, &args.key).create(false).backup_log_bytes(u64::MAX);
                Ok(Opened { db: keeping.open()?, is_own: true })
            }
            Access::Shared { db, .. } => Ok(Opened { db: db.clone(), is_own: false }),
        }
    }

    /// The store, and a collection of it; both must be there.
    pub(crate) fn open_collection(self, name: &str) -> Result<(Opened, Collection), CliError> {
        let db = self.open()?;
        match db.find_collection(name)? {
            Some(collection) => Ok((db, collection)),
            None => Err(CliError::NoCollection {
                dir: self.dir().to_path_buf(),
                name: name.to_owned(),
                there: db.collection_names()?,
            }),
        }
    }

    /// The store, and a collection of it; makes what is missing.
    pub(crate) fn create_collection(self, name: &str) -> Result<(Opened, Collection), CliError> {
        match self {
            Access::Own(args) => {
                let (db, collection) = create_collection(args, name, None)?;
                Ok((Opened { db, is_own: true }, collection))
            }
            Access::Shared { db, .. } => Ok((self.open()?, db.collection(name)?)),
        }
    }
}
