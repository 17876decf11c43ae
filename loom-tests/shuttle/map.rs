//! The two parts of the map by themselves: a node is in both from when it is got until it is retired, and is freed once.

use super::*;
use crate::map::{Map, Node, Towards};
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Mutex;

/// Most meet at one key.
const FEW: &[&[u8]] = &[b"k", b"k", b"k", b"k", b"l"];
/// So many that the directory grows again and again, from four slots.
const MANY: &[&[u8]] = &[b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h"];

/// A map whose nodes have a number each.
struct Numbered {
    keys: &'static [&'static [u8]],
    map: Map<u32>,
    made: AtomicUsize,
    /// The nodes that are retired, or just about to be. Book-keeping, unseen by the checker.
    retired: Mutex<BTreeSet<u32>>,
}

impl Numbered {
    fn new(keys: &'static [&'static [u8]]) -> Numbered {
        Numbered::with(Map::new(), keys)
    }

    fn with(map: Map<u32>, keys: &'static [&'static [u8]]) -> Numbered {
        Numbered { keys, map, made: AtomicUsize::new(0), retired: Mutex::default() }
    }

    /// One that was filled with a node under each key.
    fn loaded(keys: &'static [&'static [u8]]) -> Numbered {
        Numbered::new(keys).filled()
    }

    fn filled(self) -> Numbered {
        let nodes = self.keys.iter().zip(0..).map(|(key, number)| Node::to_load(key, number)).collect();
        self.map.load().add(0, nodes, &epoch::pin());
        self.made.store(self.keys.len(), Ordering::Relaxed); // book-keeping
        self
    }

    /// Gets nodes under any of the keys, so many times, and retires some of them.
    fn get_and_retire(&self, times: usize) {
        let mut rng = thread_rng();
        let (mut kept, mut gone) = (Vec::new(), Vec::new());
        for _ in 0..times {
            let key = self.keys[rng.gen_range(0..self.keys.len())];
            let guard = epoch::pin();
            let new = || self.made.fetch_add(1, Ordering::Relaxed) as u32; // book-keeping
            let node = self.map.get_or_insert(key, new, &guard);
            let number = **node;
            assert!(!gone.contains(&number), "got a node that it had retired");
            self.check_linked(key, number);
            if rng.gen_bool(0.6) {
                self.retired.lock().unwrap().insert(number);
                self.map.retire(node, &guard);
                gone.push(number);
            } else {
                kept.push((key, number));
            }
            drop(guard);
            kept.iter().for_each(|&(key, number)| self.check_linked(key, number));
        }
    }

    /// A node that was got is found, unless somebody retires it.
    fn check_linked(&self, key: &[u8], number: u32) {
        let guard = epoch::pin();
        let found = self.map.get(key, &guard).map(|node| **node);
        let is_retired = || self.retired.lock().unwrap().contains(&number);
        assert!(found == Some(number) || is_retired(), "lost from the directory: {found:?} for {number}");
    }

    fn in_order(&self) -> Vec<(Vec<u8>, u32)> {
        let (guard, mut found) = (epoch::pin(), Vec::new());
        self.map.scan((Bound::Unbounded, Bound::Unbounded), Towards::Greater, &guard, |key, node| {
            found.push((key.to_vec(), **node));
            true
        });
        found
    }

    fn in_directory(&self) -> Vec<(Vec<u8>, u32)> {
        let guard = epoch::pin();
        let keys: BTreeSet<_> = self.keys.iter().collect();
        keys.iter().filter_map(|key| Some((key.to_vec(), **self.map.get(key, &guard)?))).collect()
    }
}

fn get_and_retire(
    name: &str,
    schedules: usize,
    times: usize,
    make: impl Fn() -> Numbered + Send + Sync + 'static,
) {
    explore(name, schedules, move || {
        let map = Arc::new(make());
        let loaded = map.map.len();
        let threads = [(); 4].map(|()| {
            let map = Arc::clone(&map);
            thread::spawn(move || map.get_and_retire(times))
        });
        join(threads);
        assert_eq!(map.in_order(), map.in_directory(), "the parts differ");
        drop(epoch::pin());
        let made = map.in_order().into_iter().filter(|(_, number)| *number >= loaded as u32).count();
        assert_eq!(Canary::alive(), made + loaded, "freed once, and only when it is in neither part");
    });
}

#[test]
fn nodes_are_linked_and_retired_by_many() {
    get_and_retire("map, four threads", 40_000, 3, || Numbered::new(FEW));
}

#[test]
fn nodes_of_a_map_without_a_directory_are_linked_and_retired() {
    get_and_retire("map in order, four threads", 20_000, 3, || Numbered::with(Map::in_order(), FEW));
    get_and_retire("map in order, four threads, loaded", 20_000, 4, || {
        Numbered::with(Map::in_order(), MANY).filled()
    });
}

/// What one leaves behind, nobody who comes later puts right.
#[test]
fn nodes_are_linked_and_retired_once() {
    get_and_retire("map, four threads, once", 60_000, 1, || Numbered::new(FEW));
}

#[test]
fn the_directory_grows_while_nodes_are_linked_and_retired() {
    get_and_retire("map, four threads, many keys", 20_000, 6, || Numbered::new(MANY));
}

#[test]
fn what_was_loaded_is_retired_and_made_anew() {
    get_and_retire("map, four threads, loaded", 20_000, 4, || Numbered::loaded(MANY));
}
