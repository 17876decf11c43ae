//! Versions, snapshots, garbage: who sees what, and for how long it stays.
//!
//! - `version`, `state`, `chain`: a record is a chain of versions; a version is stamped with its position, or points to the state
//!   of the transaction that is about to decide (`own_state` has it).
//! - `active`, `horizon`: live snapshots, and how far pruning may go. `retained`: what is kept for whoever asks for the past.
//! - `era`: what must be the same at a commit's position as when it was written.
//! - `changes`: what was committed, in order, of a store that has no log.
//! - `superseded`, `prune`: when and what to unlink.
//!
//! Nothing here knows the log: positions come from a [`crate::lsn::LogEnd`].

pub(crate) mod active;
pub(crate) mod chain;
pub(crate) mod changes;
pub(crate) mod era;
pub(crate) mod horizon;
pub(crate) mod own_state;
pub(crate) mod prune;
mod retained;
pub(crate) mod snapshot;
pub(crate) mod state;
pub(crate) mod store;
pub(crate) mod superseded;
pub(crate) mod version;
