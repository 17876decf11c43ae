//! What holds of a list while nobody changes it; tests only.

use super::block::key;
use super::{LEVELS, Ordered};
use crate::sync::epoch;
use std::collections::BTreeSet;

impl<T> Ordered<T> {
    /// Every level leads to living holders alone, keys ascend within their holders' bounds, and the level above leads to each holder but the first.
    pub(super) fn audit(&self) {
        let mut below: Option<BTreeSet<usize>> = None;
        for level in 0..LEVELS {
            let (holders, items) = self.audit_level(level);
            if let Some(below) = below {
                assert_eq!(items, below, "level {level} leads to what is in the one below");
            }
            below = Some(holders);
        }
    }

    /// The holders of a level but the first, and the items in all.
    fn audit_level(&self, level: usize) -> (BTreeSet<usize>, BTreeSet<usize>) {
        let (guard, mut at) = (epoch::pin(), self.head(level));
        let (mut holders, mut items) = <(BTreeSet<usize>, BTreeSet<usize>)>::default();
        let mut last: Option<Vec<u8>> = None;
        loop {
            assert!(!at.held().is_dead(), "a dead holder is left on level {level}");
            // SAFETY: held by a living holder of a list that nobody changes.
            let block = unsafe { at.held().block().as_ref() };
            assert!(self.is_head(level, at) || !block.items().is_empty());
            let next = block.next(&guard);
            for item in block.items() {
                let key = key(*item, &guard);
                assert!(**key >= *at.low() && next.is_none_or(|next| **key < *next.low()));
                assert!(last.as_ref().is_none_or(|last| **last < **key));
                last = Some(key.to_vec());
                items.insert(item.as_ptr().addr());
            }
            let Some(next) = next else { return (holders, items) };
            assert!(at.low() < next.low());
            holders.insert(std::ptr::from_ref(next).addr());
            at = next;
        }
    }
}
