//! Settings that transactions and stores share.

use crate::lsn::Lsn;
use std::time::{Duration, SystemTime};

/// What a transaction sees of others that commit while it runs.
///
/// The anomalies each level allows are spelt out, one script each, in `tests/isolation`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Isolation {
    /// Each statement sees what was committed when it began. Blind writes never conflict; a statement that reads and writes
    /// one document (`update`, `patch`, …) still never loses another's change.
    ReadCommitted,
    /// Every statement sees what was committed when the transaction began; of two that write the same key one is refused.
    /// Write skew is possible.
    #[default]
    Snapshot,
    /// As if transactions ran one after the other, in the order in which they commit, which respects real time.
    Serializable,
}

/// When a commit is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Durability {
    /// When it is on stable storage.
    Sync,
    /// At once; it is on stable storage within the store's buffering interval.
    Buffered,
    /// At once; it is on stable storage with the next commit that asks for it, or when the log's ring fills up, or at close.
    None,
}

/// How the pages of checkpoints are compressed.
///
/// Each page says itself whether it is: the setting may be changed. What is there changes with the checkpoints that rewrite it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// LZ4: several entries more on a page, for a checkpoint that takes more computing, and an opening that does.
    Lz4,
}

/// How to begin a transaction; what is not said is as the store was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TransactionOptions {
    pub(crate) isolation: Option<Isolation>,
    pub(crate) durability: Option<Durability>,
}

impl TransactionOptions {
    /// As the store was opened.
    pub fn new() -> TransactionOptions {
        TransactionOptions::default()
    }

    /// Sets what the transaction sees of others.
    pub fn isolation(mut self, isolation: Isolation) -> TransactionOptions {
        self.isolation = Some(isolation);
        self
    }

    /// Sets when its commit is acknowledged.
    pub fn durability(mut self, durability: Durability) -> TransactionOptions {
        self.durability = Some(durability);
        self
    }
}

/// How much of the past of an open store stays readable. What either setting keeps, stays. The default is nothing.
///
/// ```
/// use skipstone::{Database, Retention};
/// use std::time::Duration;
///
/// let db = Database::builder().retain_history_for(Duration::from_secs(600)).open()?;
/// db.set_retention(Retention::new().bytes(64 << 20).time(Duration::from_secs(60)))?;
/// assert_eq!(db.retention().bytes, 64 << 20);
/// # Ok::<(), skipstone::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub struct Retention {
    /// So many bytes of the log, or in memory as many as a log would have, roughly: see [`Builder::retain_history_bytes`](crate::Builder::retain_history_bytes).
    pub bytes: u64,
    /// What was committed within this time, by the system's clock: see [`Builder::retain_history_for`](crate::Builder::retain_history_for).
    pub time: Duration,
}

impl Retention {
    /// Nothing is kept.
    pub const fn new() -> Retention {
        Retention { bytes: 0, time: Duration::ZERO }
    }

    /// Sets how many bytes are kept. `u64::MAX` for all.
    pub const fn bytes(mut self, bytes: u64) -> Retention {
        self.bytes = bytes;
        self
    }

    /// Sets for how long everything is kept. `Duration::MAX` for ever.
    pub const fn time(mut self, time: Duration) -> Retention {
        self.time = time;
        self
    }

    /// The time in whole milliseconds, no less than it is.
    pub(crate) fn time_ms(&self) -> u64 {
        u64::try_from(self.time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }

    /// Sets the time to what [`Retention::time_ms`] gave.
    pub(crate) fn time_of_ms(self, ms: u64) -> Retention {
        self.time(if ms == u64::MAX { Duration::MAX } else { Duration::from_millis(ms) })
    }

    pub(crate) fn is_nothing(&self) -> bool {
        *self == Retention::new()
    }
}

/// A moment of a store's past: a position, or a time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Moment {
    /// What was committed below this position.
    Position(Lsn),
    /// What was committed by then, as far as the store knows: see [`Database::at`](crate::Database::at).
    Time(SystemTime),
}

impl From<Lsn> for Moment {
    fn from(position: Lsn) -> Moment {
        Moment::Position(position)
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Moment {
        Moment::Time(time)
    }
}
