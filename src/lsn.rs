//! The one number that orders everything: a position in the log.

use std::fmt;

/// A log position, in bytes: where a transaction's frame begins in the log *is* its commit timestamp.
///
/// Positions are multiples of 8, never zero for a commit, and grow in commit order. A snapshot at position
/// `p` sees exactly the transactions whose position is below `p`. A store in memory counts in the same unit
/// with nothing behind it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(u64);

impl Lsn {
    /// Below every commit: a snapshot here sees nothing.
    pub const ZERO: Lsn = Lsn(0);
    /// Every position is a multiple of this many bytes, which leaves the low bits free for tags.
    pub(crate) const ALIGN: u64 = 8;

    /// The position at this many bytes.
    ///
    /// Meant for positions that were taken from [`Lsn::get`] and kept elsewhere.
    pub const fn new(bytes: u64) -> Lsn {
        Lsn(bytes)
    }

    /// The position in bytes.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lsn({})", self.0)
    }
}
