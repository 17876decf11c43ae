//! The list of blocks, three levels of it: who reads beside writers meets what stays, and each part is freed once.
//!
//! In a model a block has room for two items, so that blocks split and die all the time.

use super::*;
use crate::map::{Alone, Towards};

/// Keys that are there all the while, between those that come and go.
const STAY: &[u8] = b"dhm";
const OTHERS: &[&[u8]] = &[b"abckl", b"efgijn", b"opqr"];

fn stay(keys: &[u8]) -> Vec<u8> {
    keys.iter().copied().filter(|key| STAY.contains(key)).collect()
}

/// Puts some keys in and takes them out; nobody else writes these. Returns which of them are left.
fn write(list: &Alone, own: &[u8]) -> Vec<u8> {
    let mut rng = thread_rng();
    let mut there = Vec::new();
    for _ in 0..10 {
        let key = own[rng.gen_range(0..own.len())];
        match there.iter().position(|at| *at == key) {
            Some(at) => {
                assert!(list.remove(&[key]), "{key}");
                there.swap_remove(at);
            }
            None => {
                assert!(list.insert(&[key], 1), "{key}");
                there.push(key);
            }
        }
    }
    there
}

fn read(list: &Alone) {
    let mut rng = thread_rng();
    for _ in 0..3 {
        assert!(list.get(&[STAY[rng.gen_range(0..STAY.len())]]).is_some());
        let up = list.keys(Towards::Greater);
        assert!(up.is_sorted() && stay(&up) == STAY, "{up:?}");
        let mut down = list.keys(Towards::Lesser);
        down.reverse();
        assert!(down.is_sorted() && stay(&down) == STAY, "{down:?}");
    }
}

#[test]
fn blocks_split_and_die_beside_readers() {
    explore("blocks", 10_000, || {
        let baseline = Canary::alive();
        let list = Arc::new(Alone::new());
        STAY.iter().for_each(|key| assert!(list.insert(&[*key], 1)));
        let writers: Vec<_> = OTHERS
            .iter()
            .map(|own| {
                let list = Arc::clone(&list);
                thread::spawn(move || write(&list, own))
            })
            .collect();
        let reader = {
            let list = Arc::clone(&list);
            thread::spawn(move || read(&list))
        };
        let mut expected = STAY.to_vec();
        writers.into_iter().for_each(|writer| expected.extend(writer.join().unwrap()));
        reader.join().unwrap();
        expected.sort_unstable();
        list.audit();
        assert_eq!(list.keys(Towards::Greater), expected);
        drop(list);
        drop(epoch::pin());
        assert_eq!(Canary::alive(), baseline, "freed once");
    });
}
