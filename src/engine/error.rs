//! Why a store could not be opened or closed.

use crate::checkpoint::error::CheckpointError;
use crate::crypt::KeyError;
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
    /// The store is encrypted, and no key was given.
    #[error("the store at `{}` is encrypted: open it with its key, see `Builder::encryption`", .path.display())]
    #[non_exhaustive]
    KeyNeeded {
        /// The store.
        path: PathBuf,
    },
    /// The store is encrypted with another key than the one that was given.
    #[error("the key is not the one of this store: it does not open `{}`", .file.display())]
    #[non_exhaustive]
    WrongKey {
        /// The file with the data keys, which the key is to open.
        file: PathBuf,
    },
    /// A key was given for a store that is not encrypted.
    #[error("the store at `{}` is not encrypted, and a key was given; open it without, or export it into an encrypted one", .path.display())]
    #[non_exhaustive]
    NotEncrypted {
        /// The store.
        path: PathBuf,
    },
    /// The provider had no key.
    #[error(transparent)]
    Key(#[from] KeyError),
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

/// Why the key was not changed, or the change not finished. Which of the two keys opens the store then, each error says.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RotateKeyError {
    /// The store is not encrypted.
    #[error(
        "the store is not encrypted: it has no key that could be changed; export it into an encrypted one"
    )]
    NotEncrypted,
    /// The provider had no key. The old one is in force.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store has had as many data keys as it can count, or holds as many as its file has room for. The old key is in force.
    #[error(
        "the store has had 255 data keys, or needs 55 of them at once: take a checkpoint, or export it into a new store"
    )]
    NoneLeft,
    /// The keys could not be written, or the log not go on with them. One of the two keys opens the store: try the new one first.
    #[error("the keys could not be changed: {0}; the new key or the old one opens the store")]
    Io(IoError),
    /// The new key is in force, but not everything is sealed with its data key yet: the next checkpoint goes on with that.
    #[error("the key was changed, but the checkpoint failed that was to write everything anew: {0}")]
    Checkpoint(#[from] CheckpointError),
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
