//! What went wrong with a file: the operation, the file, the place in it, and what to do about it.
//!
//! One type for all devices, and cheap to clone: each waiter of a failed group commit gets its own copy.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file operation that failed.
///
/// After a failed write, flush, creation, renaming or removal the store does not write any more until it is opened
/// again: what reached the disk is known for certain only after recovery has read it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot {operation} `{}`{}: {source}{}", .file.display(), At(*.offset), advice(.source))]
#[non_exhaustive]
pub struct IoError {
    operation: IoOperation,
    file: PathBuf,
    offset: Option<u64>,
    source: Arc<io::Error>,
}

impl IoError {
    pub(crate) fn new(operation: IoOperation, file: &Path, source: io::Error) -> IoError {
        IoError { operation, file: file.to_path_buf(), offset: None, source: Arc::new(source) }
    }

    pub(crate) fn at(operation: IoOperation, file: &Path, offset: u64, source: io::Error) -> IoError {
        IoError { offset: Some(offset), ..IoError::new(operation, file, source) }
    }

    /// What was being done.
    pub fn operation(&self) -> IoOperation {
        self.operation
    }

    /// The file, or the directory, that it was being done to.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Where in the file, in bytes from its start, if the operation has a place.
    pub fn offset(&self) -> Option<u64> {
        self.offset
    }

    /// The kind of error that the operating system reported.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// The error as the operating system reported it.
    pub fn os_error(&self) -> &io::Error {
        &self.source
    }
}

/// The operation that an [`IoError`] interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum IoOperation {
    /// Opening a file or a directory.
    Open,
    /// Making a new file.
    Create,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Giving back the room that a part of a file takes up on the disk.
    Discard,
    /// Making what was written durable.
    Flush,
    /// Giving a file another name.
    Rename,
    /// Removing a file.
    Remove,
    /// Reading the names in a directory.
    List,
    /// Taking the lock of a directory.
    Lock,
    /// Setting up or driving io_uring.
    Ring,
}

impl fmt::Display for IoOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IoOperation::Open => "open",
            IoOperation::Create => "create",
            IoOperation::Read => "read",
            IoOperation::Write => "write",
            IoOperation::Discard => "give back room of",
            IoOperation::Flush => "flush",
            IoOperation::Rename => "rename",
            IoOperation::Remove => "remove",
            IoOperation::List => "list",
            IoOperation::Lock => "lock",
            IoOperation::Ring => "use io_uring for",
        })
    }
}

/// Shows where in the file, if there is a place.
struct At(Option<u64>);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(offset) => write!(f, " at byte {offset}"),
            None => Ok(()),
        }
    }
}

/// What the reader of the message can do about it; empty where the error itself says all.
fn advice(source: &io::Error) -> &'static str {
    if source.raw_os_error() == Some(libc::EIO) {
        return "; the disk failed: look into the system's log, then open the store again";
    }
    match source.kind() {
        io::ErrorKind::StorageFull => "; free some space, then open the store again",
        io::ErrorKind::QuotaExceeded => "; free some space or raise the quota, then open the store again",
        io::ErrorKind::PermissionDenied => {
            "; this user needs permission to read and write the store's directory and the files in it"
        }
        io::ErrorKind::ReadOnlyFilesystem => "; a store needs a file system that can be written",
        io::ErrorKind::NotFound => "; check that the path is right and that the file was not removed",
        io::ErrorKind::NotADirectory => "; a store is a directory: check the path",
        io::ErrorKind::UnexpectedEof => "; the file is shorter than it should be: restore it from a backup",
        io::ErrorKind::Unsupported => "; open the store with the portable device",
        _ => "",
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::error::Error;

    #[test]
    fn the_message_says_what_where_and_what_to_do() {
        let full = io::Error::from_raw_os_error(libc::ENOSPC);
        let error = IoError::at(IoOperation::Write, Path::new("store/log-1"), 8192, full);
        let text = error.to_string();
        assert!(text.starts_with("cannot write `store/log-1` at byte 8192: No space left"), "{text}");
        assert!(text.ends_with("free some space, then open the store again"), "{text}");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(error.source().is_some());
    }

    #[test]
    fn each_error_a_user_can_cure_has_its_advice() {
        for (errno, word) in [
            (libc::EIO, "system's log"),
            (libc::EDQUOT, "quota"),
            (libc::EACCES, "permission"),
            (libc::EROFS, "file system that can be written"),
            (libc::ENOENT, "check that the path"),
            (libc::ENOTDIR, "a store is a directory"),
            (libc::EOPNOTSUPP, "portable device"),
        ] {
            let error = IoError::new(IoOperation::Open, Path::new("f"), io::Error::from_raw_os_error(errno));
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn a_clone_shares_its_source() {
        let error = IoError::new(IoOperation::Flush, Path::new("f"), io::Error::other("broken"));
        assert_eq!(error.clone().to_string(), error.to_string());
        assert_eq!(error.to_string(), "cannot flush `f`: broken");
    }
}
