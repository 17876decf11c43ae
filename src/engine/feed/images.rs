//! What was there before a commit.
//!
//! Two snapshots are held: one at or before the commit, one behind it. Between them the feed itself says what came of each key; so what was there before a commit is
//! what the feed said last of the key, or what the first snapshot sees. When the feed has come to the second, that takes the place of the first, and
//! a new one is opened.
//!
//! ```text
//!   first ──── said of the keys since ────► the feed ─────────► second
//! ```
//!
//! So records keep two versions more for each feed, and a feed that lags keeps what it has said of the keys between.

use crate::lsn::Lsn;
use crate::map::Key;
use crate::mvcc::snapshot::Snapshot;
use crate::mvcc::store::Store;
use std::collections::HashMap;

/// What was there before a write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Before {
    /// This value, or none.
    Known(Option<Vec<u8>>),
    /// It is not known any more: the feed began in a past of which versions are gone.
    Unknown,
}

/// See the module.
pub(super) struct Images {
    /// None if the feed began in a past that is gone.
    first: Option<Snapshot>,
    second: Snapshot,
    said: HashMap<(u32, Key), Option<Vec<u8>>>,
}

impl Images {
    /// For a feed from `at` on, which is not above `second`; `seen` is a snapshot there, if somebody holds one.
    pub(super) fn from(store: &Store, at: Lsn, seen: Option<Snapshot>, second: Snapshot) -> Images {
        let here = || (at == second.position()).then(|| second.clone());
        let first = seen.or_else(here).or_else(|| store.snapshot_at(at).ok());
        Images { first, second, said: HashMap::new() }
    }

    pub(super) fn newest(&self) -> &Snapshot {
        &self.second
    }

    /// The feed has come to a commit.
    pub(super) fn move_to(&mut self, store: &Store, lsn: Lsn) {
        if lsn >= self.second.position() {
            // It is committed by now: below the new one.
            self.first = Some(std::mem::replace(&mut self.second, store.snapshot()));
            self.said.clear();
        }
    }

    /// Notes what a commit put under a key; returns what was there before.
    pub(super) fn replace(
        &mut self,
        store: &Store,
        (space, key): (u32, &[u8]),
        after: Option<Vec<u8>>,
    ) -> Before {
        match self.said.insert((space, Key::from(key)), after) {
            Some(before) => Before::Known(before),
            None => self.first.as_ref().map_or(Before::Unknown, |first| {
                let seen = first.get(store.space(space), key);
                Before::Known(seen.map(|seen| seen.value.to_vec()))
            }),
        }
    }
}
