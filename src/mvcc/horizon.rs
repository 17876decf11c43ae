//! What may be pruned, as a pure value: the announced horizon and the snapshots that were live when it was announced.

use crate::lsn::Lsn;
use std::cmp::Ordering;

/// Versions superseded below `announced` that no position in `live` can see are garbage, for ever: later snapshots
/// register at or above `announced`.
#[derive(Debug, Default)]
pub(crate) struct Horizon {
    announced: Lsn,
    /// Ascending, below `announced`.
    live: Box<[Lsn]>,
    generation: u64,
}

impl Horizon {
    /// The horizon to follow this one, unless it would go no further: it is announced later, or some of the snapshots are gone.
    pub(crate) fn next(&self, announced: Lsn, live: impl Iterator<Item = Lsn>) -> Option<Horizon> {
        let mut live: Vec<Lsn> = live.filter(|&position| position < announced).collect();
        live.sort_unstable();
        live.dedup();
        let goes_further = match announced.cmp(&self.announced) {
            Ordering::Less => false,
            Ordering::Equal => live.len() < self.live.len(),
            Ordering::Greater => true,
        };
        goes_further.then(|| Horizon { announced, live: live.into(), generation: self.generation + 1 })
    }

    #[cfg(any(loom, shuttle))]
    pub(crate) fn announced(&self) -> Lsn {
        self.announced
    }

    /// Grows from horizon to horizon: what was pruned at one has nothing to prune at the same one, or at one before.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
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

    fn horizon(announced: Lsn, live: &[Lsn]) -> Horizon {
        Horizon::default().next(announced, live.iter().copied()).expect("the first is at zero")
    }

    #[test]
    fn the_next_one_goes_further() {
        let first = horizon(lsn(5), &[lsn(2), lsn(3)]);
        assert_eq!((first.generation(), first.oldest()), (1, lsn(2)));
        let same = |n, live: &[u64]| first.next(lsn(n), live.iter().map(|&n| lsn(n)));
        assert!(same(5, &[2, 3, 7]).is_none() && same(4, &[]).is_none());
        for (n, live) in [(5, &[3][..]), (6, &[2, 3])] {
            assert_eq!(same(n, live).map(|next| next.generation()), Some(2));
        }
    }

    #[test]
    fn the_announced_position_itself_is_kept() {
        let horizon = horizon(lsn(5), &[]);
        assert!(horizon.is_garbage(lsn(1), lsn(4)));
        assert!(!horizon.is_garbage(lsn(1), lsn(5)));
    }

    #[test]
    fn a_live_snapshot_keeps_exactly_what_it_sees() {
        let horizon = horizon(lsn(9), &[lsn(4)]);
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
            let horizon = horizon(lsn(announced), &live.iter().map(|&l| lsn(l)).collect::<Vec<_>>());
            let seen = |s: u64| from < s && s <= to;
            let needed = live.iter().any(|&s| s < announced && seen(s)) || (announced..100).any(seen) || to >= announced;
            prop_assert_eq!(horizon.is_garbage(lsn(from), lsn(to)), !needed);
        }
    }
}
