//! The one number that orders everything: a position in the log, and the end of the log that hands them out.

use crate::sync::{
    CachePadded,
    atomic::{AtomicU64, Ordering},
};
use std::fmt;

/// A log position, in bytes: where a transaction's frame begins in the log *is* its commit timestamp.
///
/// Positions are multiples of 8, never zero for a commit, and grow in commit order. A snapshot at position
/// `p` sees exactly the transactions whose position is below `p`. A store in memory counts as a log
/// would, roughly, with nothing behind it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(u64);

impl Lsn {
    /// Below every commit: a snapshot here sees nothing.
    pub const ZERO: Lsn = Lsn(0);
    /// Every position is a multiple of this many bytes, which leaves the low bits free for tags.
    pub(crate) const ALIGN: u64 = 8;

    /// Beyond all logs, and so far below the greatest number that what is counted from a position does not overflow.
    pub(crate) const MAX: Lsn = Lsn(1 << 62);

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

    /// A position that was read from a file; none if it cannot be one.
    pub(crate) const fn read(bytes: u64) -> Option<Lsn> {
        if bytes.is_multiple_of(Lsn::ALIGN) { Some(Lsn(bytes)) } else { None }
    }

    /// The position `bytes` further on.
    pub(crate) const fn plus(self, bytes: u64) -> Lsn {
        Lsn(self.0 + bytes)
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

/// The log's end: the one word that all writing transactions share.
pub(crate) struct LogEnd(CachePadded<AtomicU64>);

impl LogEnd {
    pub(crate) fn new(at: Lsn) -> LogEnd {
        LogEnd(CachePadded::new(AtomicU64::new(at.get())))
    }

    /// Every position handed out so far is below the result, every later one at or above it.
    #[inline]
    pub(crate) fn load(&self) -> Lsn {
        // Acquire: pairs with `reserve`; whoever has a position below the result installed its versions before.
        Lsn(self.0.load(Ordering::Acquire))
    }

    /// The log's end; what the caller did before is seen by whoever takes a position later.
    pub(crate) fn touch(&self) -> Lsn {
        // AcqRel: as `reserve`, of nothing.
        Lsn(self.0.fetch_add(0, Ordering::AcqRel))
    }

    /// Takes the next `bytes` of the log; where they begin is the caller's position.
    #[inline]
    pub(crate) fn reserve(&self, bytes: u64) -> Lsn {
        debug_assert!(bytes > 0 && bytes.is_multiple_of(Lsn::ALIGN));
        // AcqRel: releases the caller's versions to later positions and snapshots, acquires those of earlier positions.
        Lsn(self.0.fetch_add(bytes, Ordering::AcqRel))
    }
}
