//! What transactions take for granted about a space while they run, and must still be so at their position.
//!
//! Whoever writes documents writes the entries of their indexes too. Which indexes those are may change while a transaction is under way. So a
//! space has an era, which ends when the rules for writing it change, and a commit looks at it once it has its position:
//!
//! ```text
//!   change of the rules:   publish the new rules ─► end the era ─► take a position p
//!   commit:                read the era ─► read the rules ─► write by them ─► take a position q ─► is it the same era?
//! ```
//!
//! With q above p the commit's reservation comes after the other one, so it sees that the era has ended if it began before: it
//! does not commit at q. So everything that is committed above p was written by the new rules. What is below p is seen by a snapshot at p.

use crate::sync::atomic::{AtomicU64, Ordering};

/// See the module.
#[derive(Default)]
pub(crate) struct Era(AtomicU64);

/// An era that somebody saw.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct EraNumber(u64);

impl Era {
    /// To be read before the rules are.
    pub(crate) fn current(&self) -> EraNumber {
        // Acquire: pairs with `end`, so that who sees the new era sees the new rules. A commit that asks again has the order from
        // the end of the log: its reservation came after the one of who ended the era.
        EraNumber(self.0.load(Ordering::Acquire))
    }

    /// To be called when the new rules are published, and before a position is taken.
    pub(crate) fn end(&self) {
        // Release: publishes the new rules.
        self.0.fetch_add(1, Ordering::Release);
    }
}
