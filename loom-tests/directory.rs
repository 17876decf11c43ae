//! The directory while it grows: what is in the map is found, what is retired is in no table, and each key is there once.

use super::*;
use crate::map::{Map, Towards};
use foldhash::fast::FixedState;
use loom::thread;
use std::hash::BuildHasher;
use std::ops::Bound;

/// Two chunks, and the second key makes the next table.
const SLOTS: usize = 4;

/// The first key whose search begins at slot `home` of a first table, after `skipped` others.
fn key(home: usize, skipped: usize) -> [u8; 1] {
    let begins_there = |key: &u8| FixedState::default().hash_one(&[*key][..]) as usize % SLOTS == home;
    [(0..=u8::MAX).filter(begins_there).nth(skipped).expect("one key in four")]
}

fn map(keys: &[[u8; 1]]) -> Arc<Map<u8>> {
    let (map, guard) = (Map::with_slots(SLOTS), epoch::pin());
    for key in keys {
        map.get_or_insert(key, || key[0], &guard);
    }
    Arc::new(map)
}

fn value(map: &Map<u8>, key: [u8; 1]) -> Option<u8> {
    map.get(&key, &epoch::pin()).map(|node| **node)
}

/// Both parts hold the same, when all is done.
fn check(map: &Map<u8>, keys: &[[u8; 1]]) {
    let (guard, mut in_order) = (epoch::pin(), Vec::new());
    map.scan((Bound::Unbounded, Bound::Unbounded), Towards::Greater, &guard, |key, node| {
        in_order.push((key[0], **node));
        true
    });
    for key in keys {
        let expected = in_order.iter().find(|(found, _)| *found == key[0]).map(|(_, value)| *value);
        assert_eq!(value(map, *key), expected, "the parts differ");
    }
}

/// Moves what is left of the first table.
fn mover(map: &Arc<Map<u8>>) -> thread::JoinHandle<()> {
    let map = Arc::clone(map);
    thread::spawn(move || while map.move_directory(&epoch::pin()) {})
}

/// The second chunk is left to move: the third slot and the fourth.
fn found_while_moved(name: &str, keys: [[u8; 1]; 2]) {
    explore(name, move || {
        let map = map(&keys);
        let moving = mover(&map);
        for key in keys {
            assert_eq!(value(&map, key), Some(key[0]));
        }
        moving.join().unwrap();
        check(&map, &keys);
    });
}

#[test]
fn what_is_there_is_found_while_it_is_moved() {
    found_while_moved("found behind another while it is moved", [key(2, 0), key(2, 1)]);
    found_while_moved("found before an empty slot while it is moved", [key(0, 0), key(2, 0)]);
}

#[test]
fn a_new_key_is_found_while_others_are_moved() {
    explore("a new key", || {
        let keys = [key(2, 0), key(2, 1), key(2, 2)];
        let map = map(&keys[..2]);
        let moving = mover(&map);
        map.get_or_insert(&keys[2], || keys[2][0], &epoch::pin());
        assert_eq!(value(&map, keys[2]), Some(keys[2][0]));
        moving.join().unwrap();
        check(&map, &keys);
    });
}

#[test]
fn of_two_inserts_of_one_key_one_wins_while_others_are_moved() {
    explore("two inserts", || {
        let keys = [key(2, 0), key(3, 0), key(2, 1)];
        let map = map(&keys[..2]);
        let other = {
            let map = Arc::clone(&map);
            thread::spawn(move || **map.get_or_insert(&keys[2], || 1, &epoch::pin()))
        };
        let ours = **map.get_or_insert(&keys[2], || 2, &epoch::pin());
        // Both move what is left.
        for key in &keys[..2] {
            assert_eq!(value(&map, *key), Some(key[0]));
        }
        assert_eq!(value(&map, keys[2]), Some(ours));
        assert_eq!(other.join().unwrap(), ours);
        check(&map, &keys);
    });
}

#[test]
fn what_is_retired_while_it_is_moved_makes_room() {
    explore("retired while moved", || {
        let baseline = Canary::alive();
        let keys = [key(2, 0), key(2, 1)];
        let map = map(&keys);
        let moving = mover(&map);
        {
            let guard = epoch::pin();
            let node = map.get(&keys[0], &guard).expect("it is there");
            map.retire(node, &guard);
        }
        assert_eq!(value(&map, keys[1]), Some(keys[1][0]), "what was behind it in the table is found");
        // Until it is moved it may be met still, by those who see that it is retired.
        moving.join().unwrap();
        assert_eq!(value(&map, keys[0]), None);
        check(&map, &keys);
        drop(epoch::pin());
        assert_eq!(Canary::alive(), baseline + 1, "one is left");
    });
}

#[test]
fn a_new_node_takes_the_place_of_one_that_is_moved() {
    explore("a new node for an old key", || {
        let keys = [key(2, 0), key(3, 0)];
        let map = map(&keys);
        let moving = mover(&map);
        {
            let guard = epoch::pin();
            let node = map.get(&keys[0], &guard).expect("it is there");
            map.retire(node, &guard);
            map.get_or_insert(&keys[0], || 99, &guard);
        }
        assert_eq!(value(&map, keys[0]), Some(99));
        moving.join().unwrap();
        assert_eq!(value(&map, keys[0]), Some(99));
        check(&map, &keys);
    });
}

#[test]
fn linking_against_retiring_while_others_are_moved() {
    explore("linking against retiring in a growing directory", || {
        let keys = [key(2, 0), key(3, 0), key(2, 1)];
        let map = map(&keys[..2]);
        let other = {
            let map = Arc::clone(&map);
            thread::spawn(move || {
                let guard = epoch::pin();
                let node = map.get_or_insert(&keys[2], || 1, &guard);
                map.retire(node, &guard);
            })
        };
        let kept = **map.get_or_insert(&keys[2], || 2, &epoch::pin());
        other.join().unwrap();
        assert!(value(&map, keys[2]).is_none_or(|value| value == kept));
        check(&map, &keys);
    });
}
