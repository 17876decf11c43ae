//! The list of blocks against a `BTreeMap`, and under real threads.

use super::*;
use crate::map::{Towards, is_empty_range};
use crate::sync::epoch;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::{Bound, RangeInclusive};

/// The list, with whose nodes are in it.
struct Filled {
    list: Ordered<u64>,
    model: BTreeMap<Vec<u8>, Link<u64>>,
}

impl Filled {
    fn new() -> Filled {
        Filled { list: Ordered::new(), model: BTreeMap::new() }
    }

    fn insert(&mut self, key: &[u8], guard: &Guard) {
        let link = link(key, 0);
        let found = self.list.get_or_insert(key, link, guard);
        let expected = *self.model.entry(key.to_vec()).or_insert(link);
        assert!(found == expected, "{key:?}");
        if found != link {
            assert!(!self.list.remove(key, link, guard), "another one is there");
            // SAFETY: never published.
            unsafe { Node::reclaim(link.0) };
        }
    }

    fn remove(&mut self, key: &[u8], guard: &Guard) {
        assert_eq!(self.list.get(key, guard).is_some(), self.model.contains_key(key), "{key:?}");
        if let Some(link) = self.model.remove(key) {
            assert!(self.list.remove(key, link, guard) && !self.list.remove(key, link, guard));
            // SAFETY: out of the list, by us.
            unsafe { garbage::retire(link.0, guard) };
        }
    }

    fn check(&self, range: (Bound<&[u8]>, Bound<&[u8]>), guard: &Guard) {
        if is_empty_range(range) {
            return;
        }
        let mut expected: Vec<_> = self.model.range::<[u8], _>(range).map(|(key, _)| key.clone()).collect();
        assert_eq!(keys(&self.list, range, Towards::Greater, guard), expected);
        expected.reverse();
        assert_eq!(keys(&self.list, range, Towards::Lesser, guard), expected);
    }

    /// All of it, and of some ranges between its keys.
    fn check_all(&self, rng: &mut fastrand::Rng, guard: &Guard) {
        self.list.audit();
        self.check((Bound::Unbounded, Bound::Unbounded), guard);
        assert_eq!(self.list.len(), self.model.len());
        let all: Vec<_> = self.model.keys().collect();
        for _ in 0..20 {
            let Some(low) = rng.choice(&all) else { return };
            let high = all[(all.partition_point(|key| key < low) + rng.usize(..70)).min(all.len() - 1)];
            self.check((Bound::Included(low), Bound::Excluded(high)), guard);
            self.check((Bound::Excluded(low), Bound::Included(high)), guard);
            self.check((Bound::Excluded(&[&low[..], &[0]].concat()), Bound::Unbounded), guard);
            self.check((Bound::Unbounded, Bound::Excluded(&low[..low.len().saturating_sub(1)])), guard);
        }
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        // SAFETY: we have the list to ourselves; what is in it was not retired.
        self.list.drain(|link| unsafe { Node::reclaim(link.0) });
    }
}

fn link(key: &[u8], value: u64) -> Link<u64> {
    Link(NonNull::from(Box::leak(Box::new(Node::new(key, value)))))
}

fn keys(
    list: &Ordered<u64>,
    range: (Bound<&[u8]>, Bound<&[u8]>),
    towards: Towards,
    guard: &Guard,
) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    assert!(list.scan(range, towards, guard, |key, _| {
        found.push(key.to_vec());
        true
    }));
    found
}

/// Keys that have much in common, or little; some end where others go on.
fn key() -> impl Strategy<Value = Vec<u8>> {
    let word = proptest::sample::select(vec![
        &b"\0"[..],
        b"\x01",
        b"\xff",
        b"ab",
        b"abcdefg",
        b"abcdefgh",
        b"abcdefghi\0\0\0\0\0\0\0\0",
        b"town 0000",
    ]);
    proptest::collection::vec(word, 0..5).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_list_is_a_map(
        steps in proptest::collection::vec((proptest::bool::weighted(0.7), key()), 0..400),
        ranges in proptest::collection::vec((key(), key()), 8),
    ) {
        let (mut filled, guard) = (Filled::new(), epoch::pin());
        for (is_insert, key) in &steps {
            if *is_insert {
                filled.insert(key, &guard);
            } else {
                filled.remove(key, &guard);
            }
        }
        for (low, high) in &ranges {
            filled.check((Bound::Included(low), Bound::Excluded(high)), &guard);
            filled.check((Bound::Excluded(low), Bound::Included(high)), &guard);
            filled.check((Bound::Unbounded, Bound::Excluded(low)), &guard);
            prop_assert_eq!(filled.list.get(low, &guard).is_some(), filled.model.contains_key(low));
        }
        filled.check((Bound::Unbounded, Bound::Unbounded), &guard);
        prop_assert_eq!(filled.list.has_first(&[], &guard), filled.model.contains_key(&[][..]));
    }
}

/// Enough keys for four levels; most go again, and others come where they were.
#[test]
fn many_keys_come_and_go() {
    let mut rng = fastrand::Rng::with_seed(5);
    for make in [
        |number: u32, _: &mut fastrand::Rng| format!("town {number:08}").into_bytes(),
        |_: u32, rng: &mut fastrand::Rng| rng.u64(..).to_be_bytes().to_vec(),
        |number: u32, rng: &mut fastrand::Rng| [&[rng.u8(..3); 9][..], &number.to_le_bytes()].concat(),
        |number: u32, _: &mut fastrand::Rng| (u32::MAX - number).to_be_bytes().to_vec(),
    ] {
        let mut filled = Filled::new();
        for round in 0..3 {
            for number in 0..20_000 {
                filled.insert(&make(round * 10_000 + number, &mut rng), &epoch::pin());
            }
            filled.check_all(&mut rng, &epoch::pin());
            let mut all: Vec<_> = filled.model.keys().cloned().collect();
            match round {
                // From either end, and anywhere.
                0 => all.truncate(19_000),
                1 => drop(all.drain(..1_000)),
                _ => all.retain(|_| rng.u8(..32) > 0),
            }
            all.iter().for_each(|key| filled.remove(key, &epoch::pin()));
            filled.check_all(&mut rng, &epoch::pin());
        }
    }
}

/// Keys of this many numbers stay, those between come and go.
const STAY: u64 = 64;

fn number(key: &[u8]) -> u64 {
    u64::from_be_bytes(key.try_into().unwrap())
}

/// Who walks in either direction meets each key that stays, once and in order.
fn walk(list: &Ordered<u64>, numbers: RangeInclusive<u64>, towards: Towards) {
    let guard = epoch::pin();
    let (low, high) = (numbers.start().to_be_bytes(), numbers.end().to_be_bytes());
    let mut met = keys(list, (Bound::Included(&low), Bound::Included(&high)), towards, &guard);
    if towards == Towards::Lesser {
        met.reverse();
    }
    assert!(met.is_sorted_by(|one, other| one < other));
    let stay: Vec<_> =
        met.iter().map(|key| number(key)).filter(|number| number.is_multiple_of(STAY)).collect();
    assert_eq!(stay, numbers.filter(|number| number.is_multiple_of(STAY)).collect::<Vec<_>>());
}

#[test]
fn threads_that_split_and_bury_blocks_lose_nothing() {
    const KEYS: u64 = 4_096;
    const RUN: u64 = 64;
    let mut list = Ordered::new();
    let runs = if cfg!(debug_assertions) { 1_000 } else { 10_000 };
    for number in (0..KEYS).step_by(STAY as usize) {
        list.get_or_insert(&number.to_be_bytes(), link(&number.to_be_bytes(), 0), &epoch::pin());
    }
    let left = std::thread::scope(|scope| {
        let writers = [0, 1, 2].map(|owner| {
            let list = &list;
            scope.spawn(move || {
                let mut rng = fastrand::Rng::with_seed(owner);
                let mut own: BTreeMap<u64, Link<u64>> = BTreeMap::new();
                for _ in 0..runs {
                    // A run of its own numbers comes or goes, so that whole blocks do.
                    let (first, comes) = (rng.u64(..KEYS / RUN) * RUN, rng.bool());
                    let numbers = first..first + RUN;
                    for number in numbers.filter(|n| n % 3 == owner && !n.is_multiple_of(STAY)) {
                        let (key, guard) = (number.to_be_bytes(), epoch::pin());
                        match (own.remove(&number), comes) {
                            (None, false) => {}
                            (None, true) => {
                                let link = link(&key, owner);
                                assert!(list.get_or_insert(&key, link, &guard) == link);
                                own.insert(number, link);
                            }
                            (Some(there), true) => _ = own.insert(number, there),
                            (Some(there), false) => {
                                assert!(list.remove(&key, there, &guard), "{number}");
                                // SAFETY: out of the list, by us.
                                unsafe { garbage::retire(there.0, &guard) };
                            }
                        }
                    }
                }
                own
            })
        });
        let mut rng = fastrand::Rng::with_seed(9);
        while !writers.iter().all(|writer| writer.is_finished()) {
            let low = rng.u64(..KEYS);
            let towards = if rng.bool() { Towards::Greater } else { Towards::Lesser };
            walk(&list, low..=(low + rng.u64(..400)).min(KEYS - 1), towards);
            let stays = (low / STAY * STAY).to_be_bytes();
            assert!(list.get(&stays, &epoch::pin()).is_some());
        }
        writers.map(|writer| writer.join().unwrap())
    });
    let mut expected: Vec<u64> = (0..KEYS).step_by(STAY as usize).collect();
    expected.extend(left.iter().flat_map(|own| own.keys()));
    expected.sort_unstable();
    let all = keys(&list, (Bound::Unbounded, Bound::Unbounded), Towards::Greater, &epoch::pin());
    assert_eq!(all.iter().map(|key| number(key)).collect::<Vec<_>>(), expected);
    assert_eq!(list.len(), expected.len());
    list.audit();
    // SAFETY: we have the list to ourselves; what is in it was not retired.
    list.drain(|link| unsafe { Node::reclaim(link.0) });
}
