//! A change of the data key, from the moment when the log goes on with the new one to that when nothing needs the old ones any more.
//!
//! ```text
//!   file `keys`: old and new, sealed with the new master key ─► log: new from a position on ─► checkpoint: every page new
//!       ─► log before that position given up ─► file `keys`: new alone
//! ```
//!
//! A crash in between loses nothing: the file holds what is needed at each moment, and the next opening sees in it that there are old keys, and
//! has its next checkpoint write every page anew.

use crate::crypt::{Generation, Keyring};
use crate::lsn::Lsn;

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rotation {
    generation: Generation,
    /// From here on the log is sealed with it.
    from: Lsn,
    /// So are all pages.
    pages_written: bool,
}

impl Rotation {
    pub(super) fn new(generation: Generation, from: Lsn) -> Rotation {
        Rotation { generation, from, pages_written: false }
    }

    /// One that a crash interrupted, or that was not over when the store was closed. The log goes on at `from`, with the key in use.
    pub(super) fn unfinished(keys: &Keyring, from: Lsn) -> Option<Rotation> {
        let (generation, _) = keys.current();
        (keys.oldest() < generation).then(|| Rotation::new(generation, from))
    }

    /// Whether the next checkpoint is to write every page anew.
    pub(super) fn wants_pages(&self) -> bool {
        !self.pages_written
    }

    /// A checkpoint did, and is the store's.
    pub(super) fn pages_written(&mut self) {
        self.pages_written = true;
    }

    /// Whether nothing needs the old keys any more, if the log is needed from `log_from` on.
    pub(super) fn is_over(&self, log_from: Lsn) -> bool {
        self.pages_written && log_from >= self.from
    }

    pub(super) fn generation(&self) -> Generation {
        self.generation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_keys_are_needed_until_neither_pages_nor_log_do() {
        let mut rotation = Rotation::new(Generation::MIN, Lsn::new(800));
        assert!(rotation.wants_pages() && !rotation.is_over(Lsn::new(800)));
        rotation.pages_written();
        assert!(!rotation.wants_pages());
        assert!(!rotation.is_over(Lsn::new(792)), "a large transaction has chunks before");
        assert!(rotation.is_over(Lsn::new(800)));
    }
}
