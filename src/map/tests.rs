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

proptest! {
    #[test]
    fn a_map_is_a_map(
        steps in proptest::collection::vec((any::<bool>(), proptest::collection::vec(0u8..4, 0..3)), 0..60),
        low in proptest::collection::vec(0u8..4, 0..3), high in proptest::collection::vec(0u8..4, 0..3),
    ) {
        let (map, mut model, guard) = (Map::new(), BTreeMap::new(), epoch::pin());
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

/// Counts how many values were dropped, to see each freed exactly once.
struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed); // a figure, read after the threads are joined
    }
}

#[test]
fn threads_that_insert_and_retire_one_key_leave_both_parts_alike() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    let map = Map::new();
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
