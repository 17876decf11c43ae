//! Why a store could not be opened or closed.

use crate::checkpoint::error::CheckpointError;
use crate::io::{IoError, LockError};
use crate::log::reader::LogError;
use std::path::PathBuf;

/// Why a store could not be opened. The directory is as it was.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The path does not exist or the directory is empty, and the store was not to be created.
    #[error("there is no store at `{}`; check the path, or let the store be created", .path.display())]
    Missing {
        /// The path that was given.
        path: PathBuf,
    },
    /// The path names a file.
    #[error("`{}` is not a directory: a store is a directory of its own; give that, or a path that does not exist yet", .path.display())]
    NotADirectory {
        /// The path that was given.
        path: PathBuf,
    },
    /// The directory holds other files, and no store.
    #[error("`{}` is not a store: it holds `{found}`, and no store; give an empty directory, or a path that does not exist yet", .path.display())]
    Foreign {
        /// The path that was given.
        path: PathBuf,
        /// One of the files in it.
        found: String,
    },
    /// The directory is to become a store, and there is something in it already.
    #[error("`{}` is not empty: it holds `{found}`; give an empty directory, or a path that does not exist yet", .path.display())]
    NotEmpty {
        /// The path that was given.
        path: PathBuf,
        /// One of the files in it.
        found: String,
    },
    /// The store was written by a newer version of the program.
    #[error("`{}` has format version {found}, and this program knows versions up to {supported}: use a newer one", .file.display())]
    Newer {
        /// The file that says so.
        file: PathBuf,
        /// Its format version.
        found: u32,
        /// The newest version this program knows.
        supported: u32,
    },
    /// A header is not what was written, or a file that held a part of the store is missing.
    #[error("`{}` is damaged: {what}; restore a backup", .file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Somebody else has the store open.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// The operating system refused something.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The checkpoint could not be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A setting is out of its range.
    #[error("the setting `{setting}` is {given}: {allowed}")]
    Setting {
        /// The builder's method.
        setting: &'static str,
        /// What was given.
        given: u64,
        /// What is allowed.
        allowed: &'static str,
    },
}

/// What failed while a store was closed. It is closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CloseError {
    /// The last writes failed.
    #[error(transparent)]
    Log(#[from] IoError),
    /// All is in the log; the next opening replays it.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// Why nothing was brought out of a damaged store, or not all of what could be read.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SalvageError {
    /// The damaged store could not be looked at: it is not there, somebody has it open, or nothing is left that says whose files they are.
    #[error(transparent)]
    Old(OpenError),
    /// The new store could not be made.
    #[error("the new store could not be made: {0}")]
    New(#[source] OpenError),
    /// The new store could not be written.
    #[error("the new store could not be written: {0}")]
    Write(#[source] IoError),
}

/// Why a backup was not made. The store is as it was.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The directory that was to hold it cannot be used.
    #[error(transparent)]
    Target(#[from] OpenError),
    /// The store could not be read, or the backup not written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}
