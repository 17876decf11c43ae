//! What may be pruned, as a pure value: the announced horizon and the snapshots that were live when it was announced.

use crate::lsn::Lsn;

/// Versions superseded below `announced` that no position in `live` can see are garbage, for ever: later snapshots
/// register at or above `announced`.
#[derive(Debug, Default)]
pub(crate) struct Horizon {
    announced: Lsn,
    /// Ascending, below `announced`.
    live: Box<[Lsn]>,
}

impl Horizon {
    pub(crate) fn new(announced: Lsn, mut live: Vec<Lsn>) -> Horizon {
        live.retain(|&position| position < announced);
        live.sort_unstable();
        live.dedup();
        Horizon { announced, live: live.into() }
    }

    pub(crate) fn announced(&self) -> Lsn {
        self.announced
    }

    /// The oldest position that somebody may still read at.
    pub(crate) fn oldest(&self) -> Lsn {
        self.live.first().copied().unwrap_or(self.announced)
    }

    /// Whether nobody can ever need the version committed at `lsn` and superseded at `superseded_at`.
    ///
    /// Needed by a snapshot `s` with `lsn < s <= superseded_at` only. The comparison with the horizon is strict:
    /// a snapshot exactly at it may be on its way.
    pub(crate) fn is_garbage(&self, lsn: Lsn, superseded_at: Lsn) -> bool {
        if superseded_at >= self.announced {
            return false;
        }
        let first_above = self.live.partition_point(|&s| s <= lsn);
        self.live.get(first_above).is_none_or(|&s| s > superseded_at)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lsn(n: u64) -> Lsn {
        Lsn::new(n * 8)
    }

    #[test]
    fn the_announced_position_itself_is_kept() {
        let horizon = Horizon::new(lsn(5), vec![]);
        assert!(horizon.is_garbage(lsn(1), lsn(4)));
        assert!(!horizon.is_garbage(lsn(1), lsn(5)));
    }

    #[test]
    fn a_live_snapshot_keeps_exactly_what_it_sees() {
        let horizon = Horizon::new(lsn(9), vec![lsn(4)]);
        assert!(!horizon.is_garbage(lsn(3), lsn(4)), "superseded at the snapshot's own position: still seen");
        assert!(!horizon.is_garbage(lsn(3), lsn(5)));
        assert!(horizon.is_garbage(lsn(4), lsn(5)), "committed at the snapshot's position: not seen");
        assert!(horizon.is_garbage(lsn(1), lsn(3)));
    }

    proptest! {
        #[test]
        fn garbage_is_what_no_live_or_later_snapshot_sees(
            announced in 1u64..40, live in proptest::collection::vec(0u64..40, 0..6), a in 0u64..40, b in 0u64..40,
        ) {
            let (from, to) = (a.min(b), a.max(b));
            let horizon = Horizon::new(lsn(announced), live.iter().map(|&l| lsn(l)).collect());
            let seen = |s: u64| from < s && s <= to;
            let needed = live.iter().any(|&s| s < announced && seen(s)) || (announced..100).any(seen) || to >= announced;
            prop_assert_eq!(horizon.is_garbage(lsn(from), lsn(to)), !needed);
        }
    }
}
