//! The protocol that keeps the two parts of the map one: a node is freed once, and only when neither part has it.

use super::*;
use crate::map::{Map, Towards};
use loom::thread;
use std::ops::Bound;

#[test]
fn linking_against_retiring() {
    link_against_retiring("linking against retiring", Map::new);
}

#[test]
fn linking_against_retiring_in_order() {
    link_against_retiring("linking against retiring in order", Map::in_order);
}

fn link_against_retiring(name: &str, make: fn() -> Map<u8>) {
    explore(name, move || {
        let map = Arc::new(make());
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
        let by_key = map.get(b"k", &guard).map(|node| **node);
        let mut in_order = None;
        map.scan((Bound::Unbounded, Bound::Unbounded), Towards::Greater, &guard, |_, node| {
            in_order = Some(**node);
            true
        });
        assert_eq!(by_key, in_order, "the parts differ");
        assert!(by_key.is_none_or(|value| value == kept));
    });
}

#[test]
fn two_retire_and_one_inserts() {
    two_retire("two retire", Map::new);
}

#[test]
fn two_retire_and_one_inserts_in_order() {
    two_retire("two retire in order", Map::in_order);
}

fn two_retire(name: &str, make: fn() -> Map<u8>) {
    explore(name, move || {
        let map = Arc::new(make());
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
