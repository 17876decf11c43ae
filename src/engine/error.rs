//! Why a store could not be opened or closed.

use super::restore::Until;
use crate::checkpoint::error::CheckpointError;
use crate::crypt::KeyError;
use crate::io::{IoError, LockError};
use crate::log::reader::LogError;
use crate::lsn::Lsn;
use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

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
    /// The directory holds a backup that is no store by itself.
    #[error(
        "`{}` is a backup, not a store: restore it, with the backups that it goes on from, to another directory by \
         `skipstone restore` or `skipstone::restore`",
        .path.display()
    )]
    #[non_exhaustive]
    IsBackup {
        /// The path that was given.
        path: PathBuf,
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
    /// The store does not go on from the previous backup, or that cannot be read.
    #[error(transparent)]
    Previous(#[from] ChainError),
    /// A file could not be read or written, or the log failed.
    #[error(transparent)]
    Io(#[from] IoError),
    /// What was copied of the log is not what should be there.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Why a backup cannot be gone on from, or backups do not make a chain.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// A backup cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What a backup holds is damaged, or cannot be read.
    #[error("the backup `{}`: {cause}", .path.display())]
    #[non_exhaustive]
    Unreadable {
        /// The backup.
        path: PathBuf,
        /// What is wrong.
        cause: Box<OpenError>,
    },
    /// The directory holds no backup, or not the whole of one.
    #[error("`{}` is no backup: it has no file `backup`, which is written last; name the directory of a backup that was finished", .path.display())]
    #[non_exhaustive]
    NotABackup {
        /// The directory.
        path: PathBuf,
    },
    /// The backup is of another store.
    #[error("`{}` is a backup of another store", .path.display())]
    #[non_exhaustive]
    OtherStore {
        /// The backup.
        path: PathBuf,
    },
    /// The store, or the backup before, was restored or copied, and went on by itself since then.
    #[error("`{}` is a backup of another timeline: a store that was restored goes its own way from there; take a full backup of it", .path.display())]
    #[non_exhaustive]
    OtherTimeline {
        /// The backup.
        path: PathBuf,
    },
    /// The key of the store was changed since the backup was made.
    #[error("the key of the store was changed since `{}` was backed up, and no backup goes on from it: take a full backup, or name one that was taken since", .path.display())]
    #[non_exhaustive]
    OtherKey {
        /// The backup.
        path: PathBuf,
    },
    /// The backup holds more than the store: that was set back to an older copy of its files.
    #[error("`{}` ends at position {end}, and the store at {position} already: it is not the store that was backed up; take a full backup of it", .path.display())]
    #[non_exhaustive]
    Ahead {
        /// The backup.
        path: PathBuf,
        /// Where it ends.
        end: Lsn,
        /// Where the store does.
        position: Lsn,
    },
    /// No backup was named.
    #[error("there is no backup to restore; name a full one, and those that go on from it, in order")]
    Empty,
    /// The first one is incremental.
    #[error("`{}` is an incremental backup, and the first; name the full one first that its chain begins with", .path.display())]
    #[non_exhaustive]
    NotFull {
        /// The backup.
        path: PathBuf,
    },
    /// A backup does not go on from the one before it.
    #[error("`{}` does not go on from `{}`: name the backups in the order in which they were made, and leave none out", .path.display(), .before.display())]
    #[non_exhaustive]
    NotNext {
        /// The backup.
        path: PathBuf,
        /// The one that was named before it.
        before: PathBuf,
    },
    /// A full backup was opened as a store, and has taken checkpoints since.
    #[error("`{}` is not what it was any more: it was opened as a store, and took a checkpoint of its own", .path.display())]
    #[non_exhaustive]
    Changed {
        /// The backup.
        path: PathBuf,
    },
}

/// Why nothing was restored. The backups are as they were; what is at the target is no store, unless flushing its directory failed in the end.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The backups do not belong together, or one of them is damaged.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// No checkpoint of the chain with the log behind it leads there.
    #[error("the backups do not cover {wanted}; they cover {}", list(.covered))]
    #[non_exhaustive]
    NotCovered {
        /// What was asked for.
        wanted: Until,
        /// What there is.
        covered: Vec<Covered>,
    },
    /// The directory that was to become a store cannot be used.
    #[error(transparent)]
    Target(OpenError),
    /// The pages could not be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] IoError),
}

/// What a chain of backups can be restored to: any position, and any time, from the first to the last, both included.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Covered {
    /// The first position.
    pub from: Lsn,
    /// The last one.
    pub to: Lsn,
    /// The first time.
    pub from_time: SystemTime,
    /// The last one.
    pub to_time: SystemTime,
}

impl fmt::Display for Covered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (rfc3339(self.from_time), rfc3339(self.to_time));
        write!(f, "positions {} to {} (times {from} to {to})", self.from, self.to)
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Until::End => f.write_str("the end"),
            Until::Position(position) => write!(f, "position {position}"),
            Until::Time(time) => write!(f, "the time {}", rfc3339(*time)),
        }
    }
}

fn list(covered: &[Covered]) -> String {
    covered.iter().map(Covered::to_string).collect::<Vec<_>>().join(", and ")
}

pub(crate) fn rfc3339(time: SystemTime) -> String {
    bson::DateTime::from_system_time(time)
        .try_to_rfc3339_string()
        .unwrap_or_else(|_| "beyond all years".into())
}
