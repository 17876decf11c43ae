//! Keys that no program writes, in a log whose checksums are right: opening refuses them, for a checkpoint would have no room for them.

use super::chain::device;
use super::harness::*;
use crate::engine::catalog::Kind;
use crate::engine::verify::verify_on;
use crate::io::SimulatedDisk;
use crate::{Durability, MAX_KEY_BYTES};
use std::path::Path;

/// A store with a key of this length, written past all checks.
fn with_key(key_bytes: usize) -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    let opened = open(&disk).unwrap();
    opened.keyspace().unwrap();
    let number = opened.engine.find(Kind::Keyspace, "k").unwrap();
    let space = opened.engine.store().space(number);
    opened.engine.put_alone(space, &vec![7; key_bytes], Some(b"value"), Durability::Sync).ok().unwrap();
    drop(opened);
    disk
}

#[test]
fn a_key_as_long_as_can_be_is_checkpointed_and_a_longer_one_refused() {
    let disk = with_key(MAX_KEY_BYTES);
    let opened = open(&disk).unwrap();
    opened.db.checkpoint().unwrap();
    drop(opened);
    open(&disk).unwrap();
    for key_bytes in [MAX_KEY_BYTES + 1, 4_052, 9_000, 70_000] {
        let disk = with_key(key_bytes);
        let error = open(&disk).err().unwrap().to_string();
        assert!(error.contains("does not hold writes"), "{key_bytes}: {error}");
        let found = verify_on(&device(&disk), Path::new("disk"), &config()).unwrap().findings;
        assert_eq!(found.len(), 1, "{key_bytes}: {found:?}");
    }
}
