//! The protocol that keeps the two parts of the map one: a node is freed once, and only when neither part has it.

use super::*;
use crate::map::{Map, Towards};
use loom::thread;
use std::ops::Bound;

#[test]
fn linking_against_retiring() {
    explore("linking against retiring", || {
        let map = Arc::new(Map::new());
        let other = {
            let map = Arc::clone(&map);
            thread::spawn(move || {
                let guard = epoch::pin();
                let node = map.get_or_insert(b"k", || 1u8, &guard);
                map.retire(node, &guard);
            })
        };
        let kept = {
            let guard = epoch::pin();
            let node = map.get_or_insert(b"k", || 2u8, &guard);
            **node
        };
        other.join().unwrap();
        let guard = epoch::pin();
        let in_directory = map.get(b"k", &guard).map(|node| **node);
        let mut in_order = None;
        map.scan((Bound::Unbounded, Bound::Unbounded), Towards::Greater, &guard, |_, node| {
            in_order = Some(**node);
            true
        });
        assert_eq!(in_directory, in_order, "the parts differ");
        assert!(in_directory.is_none_or(|value| value == kept));
    });
}

#[test]
fn two_retire_and_one_inserts() {
    explore("two retire", || {
        let map = Arc::new(Map::new());
        let baseline = Canary::alive();
        {
            let guard = epoch::pin();
            map.get_or_insert(b"k", || 0u8, &guard);
        }
        let retire = |map: Arc<Map<u8>>| {
            move || {
                let guard = epoch::pin();
                if let Some(node) = map.get(b"k", &guard) {
                    map.retire(node, &guard);
                }
            }
        };
        let other = thread::spawn(retire(Arc::clone(&map)));
        retire(Arc::clone(&map))();
        other.join().unwrap();
        drop(epoch::pin());
        let guard = epoch::pin();
        assert!(map.get(b"k", &guard).is_none());
        assert_eq!(Canary::alive(), baseline, "freed once");
    });
}
