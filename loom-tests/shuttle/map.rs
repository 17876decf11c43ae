//! The two parts of the map by themselves: a retired node is not met again by whoever retired it, and is freed once.

use super::*;
use crate::map::{Map, Towards};
use std::ops::Bound;
use std::sync::atomic::{AtomicU32, Ordering};

const NODES: [&[u8]; 2] = [b"k", b"l"];

/// Makes nodes and retires them; each node has a number of its own.
fn make_and_retire(map: &Map<u32>, number: &AtomicU32) {
    let mut rng = thread_rng();
    let mut retired = Vec::new();
    for _ in 0..3 {
        let key = NODES[rng.gen_range(0..NODES.len())];
        let guard = epoch::pin();
        let new = || number.fetch_add(1, Ordering::Relaxed); // book-keeping
        let node = map.get_or_insert(key, new, &guard);
        assert!(!retired.contains(&**node), "got a node that was retired before");
        if rng.gen_bool(0.7) {
            map.retire(key, node, &guard);
            retired.push(**node);
        }
    }
}

fn in_order(map: &Map<u32>) -> Vec<(Vec<u8>, u32)> {
    let (guard, mut found) = (epoch::pin(), Vec::new());
    map.scan((Bound::Unbounded, Bound::Unbounded), Towards::Greater, &guard, |key, node| {
        found.push((key.to_vec(), **node));
        true
    });
    found
}

fn in_directory(map: &Map<u32>) -> Vec<(Vec<u8>, u32)> {
    let guard = epoch::pin();
    NODES.iter().filter_map(|key| Some((key.to_vec(), **map.get(key, &guard)?))).collect()
}

#[test]
fn nodes_are_linked_and_retired_by_many() {
    explore("map, four threads", 60_000, || {
        let (map, number) = (Arc::new(Map::new()), std::sync::Arc::new(AtomicU32::new(0)));
        let threads = [(); 4].map(|()| {
            let (map, number) = (Arc::clone(&map), number.clone());
            thread::spawn(move || make_and_retire(&map, &number))
        });
        join(threads);
        assert_eq!(in_order(&map), in_directory(&map), "the parts differ");
        drop(epoch::pin());
        assert_eq!(Canary::alive(), in_order(&map).len(), "freed once, and only when it is in neither part");
    });
}
