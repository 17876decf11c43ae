//! Why a transaction could not commit.

use crate::lsn::Lsn;
use std::fmt;

/// What two transactions disagreed about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ConflictKind {
    /// Another transaction changed a key that this one writes, after this one's snapshot.
    Write,
    /// Another writer of the same key came first while both were committing.
    Overtaken,
    /// Serializable: another transaction changed a key that this one read.
    Read,
    /// Serializable: another transaction changed what a range that this one read holds.
    Range,
    /// Serializable: another transaction that may change what was read is just about to commit.
    Undecided,
    /// Serializable: readers came in between too often while the reads were being validated.
    Starved,
    /// An index of the collection was created or dropped just while this was being committed.
    Indexes,
}

/// A conflict with another transaction. Nothing was changed; trying again may succeed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", Sentence(self))]
#[non_exhaustive]
pub struct Conflict {
    /// What the disagreement is about.
    pub kind: ConflictKind,
    /// The key, as its keyspace orders it; [`crate::Error`] names the keyspace.
    pub key: Vec<u8>,
    /// Where the other transaction committed, if it has.
    pub winner: Option<Lsn>,
}

struct Sentence<'a>(&'a Conflict);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Conflict { kind, key, winner, .. } = self.0;
        let what = match kind {
            ConflictKind::Write => "another transaction changed it first",
            ConflictKind::Overtaken => "another writer took it over while both were committing",
            ConflictKind::Read => "it was read, and another transaction changed it",
            ConflictKind::Range => "it lies in a range that was read, and another transaction changed it",
            ConflictKind::Undecided => "it was read, and another transaction is about to change it",
            ConflictKind::Indexes => "its collection got or lost an index while it was being committed",
            ConflictKind::Starved => "readers came in between too often while it was being committed",
        };
        write!(f, "conflict on key `{}`: {what}", key.escape_ascii())?;
        if let Some(winner) = winner {
            write!(f, " (at position {winner})")?;
        }
        f.write_str("; nothing was changed, try again")
    }
}
