//! Files as the log and the checkpoints need them: whole blocks, durable when a call returns.
//!
//! The log writes durably, each write by itself. A checkpoint has much to write and one moment at which it must be
//! there: it writes first ([`BlockFile::write`]), and the call that makes all of it durable is the flush
//! ([`BlockFile::flush`]).
//!
//! Everything above sees two traits. A [`Device`] is one store's directory; a [`BlockFile`] is one file in it.
//! There are three devices: io_uring, portable (`pwrite` and `fdatasync`), and a simulated disk for tests that
//! loses, tears and reorders what was not flushed and fails on demand. To a caller who relies
//! on what is promised here and on no more they differ in speed alone.
//!
//! A device does not retry a failed write or flush: what the page cache says after a failed flush is not to be
//! trusted, so the caller poisons the store (see [`health`]).

mod aligned;
#[cfg(all(test, not(any(loom, shuttle))))]
mod contract;
mod directory;
mod error;
mod health;
mod lock;
mod open;
#[cfg(target_os = "linux")]
mod pieces;
mod place;
mod portable;
mod priority;
mod raw;
mod remains;
mod request;
#[cfg(target_os = "linux")]
mod ring;
#[cfg(all(test, not(any(loom, shuttle))))]
mod simulated;
#[cfg(target_os = "linux")]
mod uring;

pub(crate) use aligned::AlignedBuf;
pub use error::{IoError, IoOperation};
pub(crate) use health::Health;
pub(crate) use lock::DirLock;
pub use lock::{LockError, LockHolder};
pub use open::DeviceChoice;
pub(crate) use open::open_device;
pub(crate) use place::{create_directory, flush_entry, is_reserved_name};
pub(crate) use priority::lower_priority;
pub(crate) use remains::Remains;
#[cfg(all(test, not(any(loom, shuttle))))]
pub(crate) use simulated::{CrashOutcome, Fault, Repeat, SimulatedDisk};

/// Direct I/O works in blocks of this many bytes: offsets, lengths and buffer addresses are multiples of it.
pub(crate) const BLOCK: usize = 4096;

/// One store's directory: the only way to reach its files.
///
/// A name is a plain file name in UTF-8. The names that this module keeps for itself (the lock file, a file that
/// is being made) are refused, and [`Device::list`] leaves them out.
pub(crate) trait Device: Send + Sync {
    /// The names of the plain files in the directory, sorted.
    fn list(&self) -> Result<Vec<String>, IoError>;

    /// Opens an existing file for reading and writing.
    fn open(&self, name: &str) -> Result<Box<dyn BlockFile>, IoError>;

    /// Makes a file of `bytes` (a positive multiple of [`BLOCK`]) zeros, written, not merely allocated, so that later writes
    /// change no file system metadata. Contents and directory entry are durable on return. A crash or an error half-way leaves
    /// no file of that name, or, in the flush of the name, the whole of it. The name must not be in use.
    fn create_zeroed(&self, name: &str, bytes: u64) -> Result<Box<dyn BlockFile>, IoError>;

    /// Makes a file of `bytes` (a positive multiple of [`BLOCK`]) that takes up space on the disk only as it is written, so
    /// a write to it may find the disk full. What was not written reads as anything. Length and directory entry are
    /// durable on return. A crash or an error half-way leaves what [`Device::create_zeroed`] does. The name must not be
    /// in use.
    fn create(&self, name: &str, bytes: u64) -> Result<Box<dyn BlockFile>, IoError>;

    /// Gives a file another name, atomically and durably; the new name must not be in use.
    fn rename(&self, from: &str, to: &str) -> Result<(), IoError>;

    /// Gives a file the name of another, which is no longer there then, atomically and durably; the new name may also be free. On an
    /// error the name leads to either.
    fn replace(&self, from: &str, to: &str) -> Result<(), IoError>;

    /// Removes a file, durably.
    fn remove(&self, name: &str) -> Result<(), IoError>;

    /// Makes the names durable that are seen: another process may have been killed before it did so for its own.
    fn flush_names(&self) -> Result<(), IoError>;

    /// What to call this device in reports: `io_uring`, `portable`, `simulated`.
    fn name(&self) -> &'static str;
}

/// One file of a [`Device`], of fixed length.
pub(crate) trait BlockFile: Send + Sync {
    /// Length in bytes.
    fn len(&self) -> u64;

    /// Fills `buf` from `offset`; a read beyond the end is an error. No alignment is asked of the caller.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), IoError>;

    /// Writes `parts` one after the other from `offset`, and returns when all of it is on stable storage. `offset`, each part's length
    /// and each part's address are multiples of [`BLOCK`]. Short writes are completed before the flush that
    /// makes them durable is issued. On an error any part of it may or may not have been written. What [`BlockFile::write`]
    /// wrote before still waits for its own flush.
    fn write_durable(&self, offset: u64, parts: &[&[u8]]) -> Result<(), IoError>;

    /// Writes `parts` as [`BlockFile::write_durable`] does, under the same conditions, but all of it is durable only after the
    /// next successful [`BlockFile::flush`]; a crash before that leaves any part of it. It can be read at once.
    fn write(&self, offset: u64, parts: &[&[u8]]) -> Result<(), IoError>;

    /// Overwrites the whole file with zeros, which are durable on return. On an error any part of it may or may not be zeros.
    fn zero_fill(&self) -> Result<(), IoError>;

    /// Gives back the room on the disk that `bytes` from `offset` take up, both multiples of [`BLOCK`], if the file system can do that. What was
    /// there reads as anything from now on, and a write there may find the disk full. It may not last before the next flush.
    fn discard(&self, offset: u64, bytes: u64) -> Result<(), IoError>;

    /// Makes everything durable that was written to the file before this call, by whatever handle. After a failure
    /// nothing is known about what was written since the last successful flush: any part of it may be lost, whatever reads
    /// show, and no later flush, though it succeed, says otherwise.
    fn flush(&self) -> Result<(), IoError>;
}
