//! The ordered part by itself, for the checkers: of keys with a number each.

use super::super::{Link, Node, Towards};
use super::Ordered;
use crate::sync::epoch;
use crate::sync::garbage::{self, Reclaim};
use std::ops::Bound;
use std::ptr::NonNull;

pub(crate) struct Alone(Ordered<u8>);

impl Alone {
    pub(crate) fn new() -> Alone {
        Alone(Ordered::new())
    }

    /// False if the key is there already.
    pub(crate) fn insert(&self, key: &[u8], value: u8) -> bool {
        let guard = epoch::pin();
        let node = NonNull::from(Box::leak(Box::new(Node::new(key, value))));
        let is_new = self.0.get_or_insert(key, Link(node), &guard) == Link(node);
        if !is_new {
            // SAFETY: never published.
            unsafe { Node::reclaim(node) };
        }
        is_new
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<u8> {
        let guard = epoch::pin();
        self.0.get(key, &guard).map(|link| **link.get(&guard))
    }

    /// False if it is not there, or others were faster.
    pub(crate) fn remove(&self, key: &[u8]) -> bool {
        let guard = epoch::pin();
        let Some(link) = self.0.get(key, &guard) else { return false };
        let is_out = self.0.remove(key, link, &guard);
        if is_out {
            // SAFETY: out of the only part, by us.
            unsafe { garbage::retire(link.0, &guard) };
        }
        is_out
    }

    /// While nobody changes it.
    pub(crate) fn audit(&self) {
        self.0.audit();
    }

    pub(crate) fn keys(&self, towards: Towards) -> Vec<u8> {
        let (guard, mut keys) = (epoch::pin(), Vec::new());
        self.0.scan((Bound::Unbounded, Bound::Unbounded), towards, &guard, |key, link| {
            assert!(!key.is_empty() && **link.get(&guard) > 0);
            keys.push(key[0]);
            true
        });
        keys
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        // SAFETY: we have it to ourselves; what is in it was not retired.
        self.0.drain(|link| unsafe { Node::reclaim(link.0) });
    }
}
