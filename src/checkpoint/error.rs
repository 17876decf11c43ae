//! Why a checkpoint could not be written or read.

use crate::io::IoError;
use crate::log::reader::LogError;

/// Why a checkpoint could not be written or read. What was there before is as it was: the checkpoint before, and the log since then.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] IoError),
    /// What was committed since the last checkpoint could not be read from the log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The bytes at a place are not what was written there.
    #[error(
        "the checkpoint is damaged: what `{file}` holds at byte {offset} {what}; restore a backup, or copy the directory and \
         ask for help before you change anything"
    )]
    #[non_exhaustive]
    Damaged {
        /// The file.
        file: String,
        /// Where in it, in bytes.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The checkpoint was written by a newer version of the program.
    #[error(
        "`{file}` has format version {found}, and this program knows versions up to {supported}: use a newer one"
    )]
    #[non_exhaustive]
    Newer {
        /// The file that says so.
        file: String,
        /// Its format version.
        found: u32,
        /// The newest version this program knows.
        supported: u32,
    },
    /// The threads that write a checkpoint could not be started, or one of them failed for a fault of this program.
    #[error("the threads that write a checkpoint failed: {what}")]
    #[non_exhaustive]
    Threads {
        /// Why.
        what: String,
    },
}
