//! In tests: which nonces each key was used with, in the whole process, across crashes and openings of whatever store. A pair that comes
//! again is a bug, and panics on the spot.

use super::cipher::NONCE_BYTES;
use super::secret::KEY_BYTES;
use crate::sync::{Mutex, lock};
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

const SHARDS: usize = 64;

/// A hash of 128 bits stands for each pair: keys are not kept, and no two pairs of a test run share one.
struct Used {
    hashers: [RandomState; 2],
    shards: [Mutex<HashSet<(u64, u64)>>; SHARDS],
}

static USED: LazyLock<Used> = LazyLock::new(|| Used {
    hashers: [RandomState::new(), RandomState::new()],
    shards: std::array::from_fn(|_| Mutex::new(HashSet::new())),
});

pub(super) fn record(key: &[u8; KEY_BYTES], nonce: &[u8; NONCE_BYTES]) {
    let [one, two] = USED.hashers.each_ref().map(|hasher| hasher.hash_one((key, nonce)));
    let is_new = lock(&USED.shards[one as usize % SHARDS]).insert((one, two));
    assert!(is_new, "the nonce {nonce:02x?} is used twice with one key");
}
