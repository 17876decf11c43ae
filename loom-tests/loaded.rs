//! The loaded part beside the ordered one: a key is in the map once, whichever of them has its node, while the directory grows.

use super::*;
use crate::map::{Map, Node, Towards};
use loom::thread;
use std::ops::Bound;

const KEYS: [&[u8]; 2] = [b"a", b"b"];
/// With two keys the first table is full enough: the next one is there when the map is loaded, and nothing is moved yet.
const GROWING_SLOTS: usize = 4;
const AMPLE_SLOTS: usize = 16;
/// What a key gets that has died.
const AGAIN: u8 = 9;

fn loaded_map(slots: usize) -> Arc<Map<u8>> {
    filled(Map::with_slots(slots))
}

fn filled(map: Map<u8>) -> Arc<Map<u8>> {
    {
        let (loading, guard) = (map.load(), epoch::pin());
        for (run, key) in KEYS.into_iter().enumerate().rev() {
            loading.add(run, vec![Node::to_load(key, key[0])], &guard);
        }
    }
    Arc::new(map)
}

fn value(map: &Map<u8>, key: &[u8]) -> Option<u8> {
    map.get(key, &epoch::pin()).map(|node| **node)
}

fn in_order(map: &Map<u8>, towards: Towards) -> Vec<(u8, u8)> {
    let (guard, mut found) = (epoch::pin(), Vec::new());
    map.scan((Bound::Unbounded, Bound::Unbounded), towards, &guard, |key, node| {
        found.push((key[0], **node));
        true
    });
    found
}

/// The parts agree, when all is done.
fn check(map: &Map<u8>, values: [u8; 2]) {
    let expected: Vec<_> = KEYS.into_iter().zip(values).map(|(key, value)| (key[0], value)).collect();
    assert_eq!(in_order(map, Towards::Greater), expected);
    assert!(in_order(map, Towards::Lesser).iter().rev().eq(&expected));
    for (key, expected) in KEYS.into_iter().zip(values) {
        assert_eq!(value(map, key), Some(expected), "the parts differ");
    }
    assert_eq!(map.len(), KEYS.len());
}

fn mover(map: &Arc<Map<u8>>) -> thread::JoinHandle<()> {
    let map = Arc::clone(map);
    thread::spawn(move || while map.move_directory(&epoch::pin()) {})
}

#[test]
fn what_was_loaded_is_found_while_it_is_moved() {
    explore("a loaded node is moved", || {
        let map = loaded_map(GROWING_SLOTS);
        let moving = mover(&map);
        for key in KEYS {
            assert_eq!(value(&map, key), Some(key[0]));
        }
        let again = **map.get_or_insert(KEYS[0], || AGAIN, &epoch::pin());
        assert_eq!(again, KEYS[0][0], "made once more");
        moving.join().unwrap();
        check(&map, [b'a', b'b']);
    });
}

/// Retires the loaded node under the first key, if it is there still, and gets another.
fn replace(map: &Map<u8>, guard: &epoch::Guard) {
    if let Some(node) = map.get(KEYS[0], guard).filter(|node| ***node != AGAIN) {
        map.retire(node, guard);
    }
    assert_eq!(**map.get_or_insert(KEYS[0], || AGAIN, guard), AGAIN);
}

#[test]
fn a_key_whose_loaded_node_dies_gets_another() {
    a_loaded_node_dies("a loaded node dies", || loaded_map(AMPLE_SLOTS));
}

#[test]
fn a_key_whose_loaded_node_dies_gets_another_in_order() {
    a_loaded_node_dies("a loaded node dies in order", || filled(Map::in_order()));
}

fn a_loaded_node_dies(name: &str, make: fn() -> Arc<Map<u8>>) {
    explore(name, move || {
        let map = make();
        let other = {
            let map = Arc::clone(&map);
            thread::spawn(move || replace(&map, &epoch::pin()))
        };
        replace(&map, &epoch::pin());
        assert_eq!(in_order(&map, Towards::Greater), [(b'a', AGAIN), (b'b', b'b')]);
        other.join().unwrap();
        check(&map, [AGAIN, b'b']);
    });
}

#[test]
fn a_loaded_node_that_dies_while_it_is_moved_stays_dead() {
    explore("a loaded node dies while it is moved", || {
        let map = loaded_map(GROWING_SLOTS);
        let moving = mover(&map);
        replace(&map, &epoch::pin());
        assert_eq!(in_order(&map, Towards::Greater), [(b'a', AGAIN), (b'b', b'b')]);
        moving.join().unwrap();
        check(&map, [AGAIN, b'b']);
    });
}
