//! Every setting of a store.

use super::{Database, Result};
use crate::crypt::KeyProvider;
use crate::document::Limits;
use crate::engine::config::{Config, Encryption};
use crate::io::DeviceChoice;
use crate::options::{Compression, Durability, Isolation};
use crate::sync::Arc;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of a store, with defaults that suit a laptop.
///
/// ```
/// use skipstone::{Database, Durability};
///
/// let dir = tempfile::tempdir()?;
/// let db = Database::builder().path(dir.path().join("store")).durability(Durability::Buffered).open()?;
/// db.collection("towns")?.insert(bson::doc! { "_id": "aachen" })?;
/// db.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Builder(Config);

impl Builder {
    /// The defaults: a store in memory.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Keeps the store in this directory, which belongs to it alone. Its parent must exist.
    pub fn path(mut self, path: impl Into<PathBuf>) -> Builder {
        self.0.path = Some(path.into());
        self
    }

    /// Whether to create the store if the path does not exist. Default true.
    pub fn create(mut self, create: bool) -> Builder {
        self.0.create = create;
        self
    }

    /// How to reach the files. Default: io_uring where it works, else the portable device.
    pub fn device(mut self, device: DeviceChoice) -> Builder {
        self.0.device = device;
        self
    }

    /// What transactions see of each other, unless they say otherwise. Default [`Isolation::Snapshot`].
    pub fn isolation(mut self, isolation: Isolation) -> Builder {
        self.0.isolation = isolation;
        self
    }

    /// When commits are acknowledged, unless they say otherwise. Default [`Durability::Sync`]. A store in memory has nothing to wait for.
    pub fn durability(mut self, durability: Durability) -> Builder {
        self.0.durability = durability;
        self
    }

    /// How long a [`Durability::Buffered`] commit may not be on stable storage yet, but for the time of the write itself.
    /// Default 10 ms.
    pub fn buffered_interval(mut self, interval: Duration) -> Builder {
        self.0.buffered_interval = interval;
        self
    }

    /// The memory in which commits wait to be written, a power of two from 64 KiB to 1 GiB. When it is full, commits wait for the
    /// disk. Default 8 MiB.
    pub fn ring_bytes(mut self, bytes: u64) -> Builder {
        self.0.ring_bytes = bytes;
        self
    }

    /// The length of the files that hold the log, a multiple of 4096 from 64 KiB to 64 GiB. Counts when a store is created; an
    /// existing store keeps its own. Default 64 MiB.
    pub fn segment_bytes(mut self, bytes: u64) -> Builder {
        self.0.segment_bytes = bytes;
        self
    }

    /// How much of the past stays readable ([`Database::at`], [`Collection::history`](crate::Collection::history)), in bytes of the log: what was committed in the last so many of them. In memory a commit counts as many
    /// as a log would take for it, roughly: its keys and values, and some for each. Default: as the store's last checkpoint has it, 0 for a new store. What this or
    /// [`Builder::retain_history_for`] keeps, stays; [`Database::set_retention`] changes both.
    ///
    /// Costs the memory of the versions that are kept; and on the disk the log, for as long and up to twice that, and the pages of one or two older
    /// checkpoints. Opening the store reads them.
    pub fn retain_history_bytes(mut self, bytes: u64) -> Builder {
        self.0.retention.get_or_insert_default().bytes = bytes;
        self
    }

    /// For how long the past stays readable, by the system's clock: as [`Builder::retain_history_bytes`], by time. Default: as the store's last checkpoint has it, zero for a new store.
    ///
    /// The store looks at the clock once a second, so up to a second more is kept; of hours and more, up to a 256th of the time. While the clock is set back nothing grows old; when it is
    /// set forward, what has grown old by that goes.
    pub fn retain_history_for(mut self, time: Duration) -> Builder {
        self.0.retention.get_or_insert_default().time = time;
        self
    }

    /// How often a conflict is tried again, after a short random pause that grows, before the call fails. Default 10,000.
    pub fn retries(mut self, retries: u32) -> Builder {
        self.0.retries_max = retries;
        self
    }

    /// How often the sweep looks for versions that nobody can see any more and that no writer came by to prune. Default 1 s.
    pub fn sweep_interval(mut self, interval: Duration) -> Builder {
        self.0.sweep_interval = interval;
        self
    }

    /// How large and how deep a document may be.
    pub fn limits(mut self, limits: Limits) -> Builder {
        self.0.limits = limits;
        self
    }

    /// How far the log grows before a checkpoint is taken in the background: so much is replayed when the store is opened, at most and roughly, and so
    /// much disk the log takes. `u64::MAX` for never. Default 256 MiB.
    pub fn checkpoint_log_bytes(mut self, bytes: u64) -> Builder {
        self.0.checkpoint_log_bytes = bytes;
        self
    }

    /// How long after a checkpoint the next one is taken, if anything was committed, however little. Default 5 minutes.
    pub fn checkpoint_interval(mut self, interval: Duration) -> Builder {
        self.0.checkpoint_interval = interval;
        self
    }

    /// How many bytes of pages a checkpoint writes a second, at most. Default: as many as the disk takes.
    pub fn checkpoint_bytes_per_second(mut self, bytes: u64) -> Builder {
        self.0.checkpoint_bytes_per_second = Some(bytes);
        self
    }

    /// How many bytes of the log before the last checkpoint are kept for the next incremental backup, at least. Default 0: a checkpoint gives up the log before it.
    ///
    /// With as much as is committed from one backup to the next, a chain of backups ([`Database::back_up_since`]) can be restored to every
    /// position, without gaps. It takes up room on the disk, whole segments, and nothing else. An opening with another setting goes by that.
    pub fn backup_log_bytes(mut self, bytes: u64) -> Builder {
        self.0.backup_log_bytes = bytes;
        self
    }

    /// Whether closing the store takes a checkpoint, if the log has grown by 4 MiB or more since the last, or another compression was asked for. Default
    /// true.
    pub fn checkpoint_at_close(mut self, checkpoint: bool) -> Builder {
        self.0.checkpoint_at_close = checkpoint;
        self
    }

    /// How checkpoints compress their pages, from now on: the store keeps it, from the next checkpoint on also when it is opened without this. Default: not
    /// at all. Pages that are there stay as they are until a checkpoint rewrites them.
    pub fn checkpoint_compression(mut self, compression: Compression) -> Builder {
        self.0.checkpoint_compression = Some(compression);
        self
    }

    /// Encrypts the store with the provider's key: a new one, or an existing one that was created so; see `docs/operations.md` for what that
    /// protects, and [`Database::rotate_key`] for changing the key. Default: not encrypted. A store in memory has nothing to encrypt.
    ///
    /// A store is created encrypted or not, and stays so. Without its key nobody opens it: keep a copy of the key elsewhere.
    ///
    /// ```
    /// use skipstone::{Database, FileKeyProvider, OpenError};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let (path, key) = (dir.path().join("store"), dir.path().join("key"));
    /// std::fs::write(&key, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")?;
    /// let db = Database::builder().path(&path).encryption(FileKeyProvider::new(&key)).open()?;
    /// db.collection("towns")?.insert(bson::doc! { "_id": "aachen" })?;
    /// db.close()?;
    ///
    /// let without = Database::open(&path).err().expect("it is encrypted");
    /// assert!(matches!(without, skipstone::Error::Open(OpenError::KeyNeeded { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn encryption(mut self, provider: impl KeyProvider + 'static) -> Builder {
        self.0.encryption = Some(Encryption(Arc::new(provider)));
        self
    }

    /// Opens the store: creates it, or loads its checkpoint and replays its log. The time grows with both.
    ///
    /// # Errors
    /// [`OpenError`](crate::OpenError), which says what is wrong and leaves the directory as it was.
    pub fn open(self) -> Result<Database> {
        Database::with(self.0)
    }
}
