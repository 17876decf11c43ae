//! The map against a `BTreeMap`, and the linking protocol under real threads.

use super::*;
use crate::sync::epoch;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;

fn keys(map: &Map<u64>, range: (Bound<&[u8]>, Bound<&[u8]>), towards: Towards) -> Vec<(Vec<u8>, u64)> {
    let guard = epoch::pin();
    let mut found = Vec::new();
    let ended = map.scan(range, towards, &guard, |key, node| {
        found.push((key.to_vec(), **node));
        true
    });
    assert!(ended);
    found
}

/// Fills a map, in runs of so many nodes that come in any order.
fn load(map: &Map<u64>, entries: &BTreeMap<Vec<u8>, u64>, run_nodes: usize) {
    let entries: Vec<_> = entries.iter().collect();
    let (loading, guard) = (map.load(), epoch::pin());
    for (number, run) in entries.chunks(run_nodes).enumerate().rev() {
        let nodes = run.iter().map(|(key, value)| Node::to_load(key, **value)).collect();
        loading.add(number, nodes, &guard);
    }
}

proptest! {
    #[test]
    fn a_map_is_a_map(
        loaded in proptest::collection::btree_map(proptest::collection::vec(0u8..4, 0..3), 100u64..200, 0..20), run_nodes in 1usize..6,
        steps in proptest::collection::vec((any::<bool>(), proptest::collection::vec(0u8..4, 0..3)), 0..60),
        low in proptest::collection::vec(0u8..4, 0..3), high in proptest::collection::vec(0u8..4, 0..3),
        has_directory: bool,
    ) {
        let map = if has_directory { Map::new() } else { Map::in_order() };
        let (mut model, guard) = (loaded, epoch::pin());
        load(&map, &model, run_nodes);
        for (number, (insert, key)) in steps.into_iter().enumerate() {
            if insert {
                let node = map.get_or_insert(&key, || number as u64, &guard);
                prop_assert_eq!(**node, *model.entry(key).or_insert(number as u64));
            } else if let Some(node) = map.get(&key, &guard) {
                map.retire(node, &guard);
                prop_assert!(model.remove(&key).is_some());
            } else {
                prop_assert!(!model.contains_key(&key));
            }
        }
        prop_assert_eq!(map.len(), model.len());
        let asked: Vec<&[u8]> = model.keys().map(|key| &key[..]).chain([&low[..], &high[..]]).collect();
        let found: Vec<_> = map.get_each(&asked, &guard).into_iter().map(|node| node.map(|node| **node)).collect();
        prop_assert_eq!(found, asked.iter().map(|key| model.get(*key).copied()).collect::<Vec<_>>());
        // No key is below the empty one.
        prop_assert_eq!(map.has_first(&[], &guard), model.contains_key(&[][..]));
        prop_assert!(map.sample(9, &guard).iter().all(|key| model.contains_key(&**key)));
        let all: Vec<_> = model.iter().map(|(k, v)| (k.clone(), *v)).collect();
        prop_assert_eq!(&keys(&map, (Bound::Unbounded, Bound::Unbounded), Towards::Greater), &all);
        for range in [
            (Bound::Included(&low[..]), Bound::Excluded(&high[..])),
            (Bound::Excluded(&low[..]), Bound::Included(&high[..])),
            (Bound::Excluded(&low[..]), Bound::Unbounded),
        ] {
            let mut within = if is_empty_range(range) { vec![] } else {
                model.range::<[u8], _>(range).map(|(k, v)| (k.clone(), *v)).collect::<Vec<_>>()
            };
            prop_assert_eq!(&keys(&map, range, Towards::Greater), &within);
            within.reverse();
            prop_assert_eq!(&keys(&map, range, Towards::Lesser), &within);
        }
    }
}

fn directory<T>(map: &Map<T>) -> &Directory<T> {
    map.directory.as_ref().expect("it was made with one")
}

/// Counts how many values were dropped, to see each freed exactly once.
struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed); // a figure, read after the threads are joined
    }
}

#[test]
fn threads_that_insert_and_retire_one_key_leave_both_parts_alike() {
    for make in [Map::new, Map::in_order] {
        insert_and_retire(make());
    }
}

fn insert_and_retire(map: Map<Counted<'static>>) {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..20_000 {
                    let guard = epoch::pin();
                    let new = || {
                        MADE.fetch_add(1, Ordering::Relaxed); // a figure
                        Counted(&DROPPED)
                    };
                    let key = [(round % 3) as u8];
                    let node = map.get_or_insert(&key, new, &guard);
                    map.retire(node, &guard);
                }
            });
        }
    });
    let guard = epoch::pin();
    for key in 0..3u8 {
        assert!(
            map.get(&[key], &guard).is_none_or(|node| !node.is_dying()),
            "a dying node stayed in the directory"
        );
    }
    map.scan((Bound::Unbounded, Bound::Unbounded), Towards::Greater, &guard, |_, node| {
        assert!(!node.is_dying(), "a dying node stayed in the ordered part");
        true
    });
    drop(guard);
    drop(map);
    for _ in 0..1000 {
        epoch::pin().flush();
    }
    // Relaxed: the threads are joined.
    assert!(DROPPED.load(Ordering::Relaxed) <= MADE.load(Ordering::Relaxed), "freed twice");
}

/// A node in the ordered part alone: its maker has not linked it in the directory yet.
fn made(map: &Map<u64>, key: &[u8], value: u64, guard: &epoch::Guard) -> Link<u64> {
    let link = Link(NonNull::from(Box::leak(Box::new(Node::new(key, value)))));
    assert!(map.ordered.get_or_insert(key, link, guard) == link);
    link
}

/// Adds keys until there is a next table, of which nothing is moved yet.
fn grow(map: &Map<u64>, guard: &epoch::Guard) {
    let keys = (0_u64..).map(u64::to_be_bytes);
    let begun = keys.map(|key| map.link(&key, &|| 0, guard)).find(|_| directory(map).is_growing(guard));
    assert!(begun.is_some());
}

/// Moves what is left, and calls `before` with each node first.
fn move_all(map: &Map<u64>, guard: &epoch::Guard, mut before: impl FnMut(&Node<u64>)) {
    while directory(map).move_chunk(guard, |link| {
        before(link.get(guard));
        map.relink(link, guard);
    }) {}
    assert!(!directory(map).is_growing(guard));
}

#[test]
fn a_node_that_is_not_linked_yet_is_linked_before_it_is_handed_out() {
    let (map, guard) = (Map::with_slots(64), epoch::pin());
    let old = map.get_or_insert(b"key", || 1, &guard);
    grow(&map, &guard);
    let mut new = None;
    move_all(&map, &guard, |node| {
        // The old one's slot is frozen, so that its key may be on its way.
        if std::ptr::eq(node, old) {
            map.retire(old, &guard);
            let made = made(&map, b"key", 2, &guard);
            assert_eq!(**map.get_or_insert(b"key", || 3, &guard), 2);
            new = Some(made.get(&guard));
        }
    });
    let new = new.expect("it was moved");
    assert_eq!(map.get(b"key", &guard).map(|node| **node), Some(2), "its maker sleeps on");
    assert!(map.finish_linking(new, &guard));
}

#[test]
fn an_old_node_that_its_maker_links_late_hides_no_new_one() {
    let (map, guard) = (Map::with_slots(64), epoch::pin());
    let old = made(&map, b"key", 1, &guard);
    map.retire(old.get(&guard), &guard);
    let new = map.get_or_insert(b"key", || 2, &guard);
    grow(&map, &guard);
    let found = || map.get(b"key", &guard).map(|node| **node);
    let mut is_moved = false;
    move_all(&map, &guard, |node| {
        // The new one's slot is frozen, and nothing in the tables behind is in the old one's way.
        if std::ptr::eq(node, new) {
            map.link_in_directory(old, &guard);
            assert_eq!(found(), Some(2));
            is_moved = true;
        }
    });
    assert!(is_moved && found() == Some(2));
    assert!(!map.finish_linking(old.get(&guard), &guard), "it is dying");
    assert_eq!(found(), Some(2));
}
