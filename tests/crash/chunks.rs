//! Chunks of transactions that never came to their commit: they count for nothing, and no later session's commit leads to them.

use super::harness::{Opened, RING_BYTES, State, bytes, open, put};
use crate::Durability;
use crate::engine::error::OpenError;
use crate::io::{CrashOutcome, SimulatedDisk};
use crate::log::batch::Write;
use crate::log::reader::LogError;
use crate::log::{Log, Prepared};
use std::sync::Arc;

/// Larger than the ring, so that most of it is on the disk before there is a commit frame.
const VALUE_BYTES: usize = 2 * RING_BYTES;

/// The log of a store, and the number of its keyspace, which is made if it is not there.
fn log(opened: &Opened) -> (Arc<Log>, u32) {
    opened.keyspace().unwrap();
    let keyspace = opened.engine.find(crate::engine::catalog::Kind::Keyspace, "k").unwrap();
    (Arc::clone(opened.engine.log().unwrap()), keyspace)
}

fn prepare((log, space): &(Arc<Log>, u32), seed: u64) -> Prepared<'_> {
    let value = bytes(seed, VALUE_BYTES);
    let write = Write { space: *space, key: b"large", value: Some(&value) };
    log.prepare([write].into_iter()).unwrap()
}

fn publish(opened: &Opened, prepared: Prepared<'_>) {
    let log = opened.engine.log().unwrap();
    let bytes = prepared.bytes();
    let lsn = opened.engine.store().end().reserve(bytes);
    log.publish(lsn, prepared).unwrap();
    log.wait_durable(lsn.plus(bytes)).unwrap();
}

fn state(seed: Option<u64>, small: &[u8]) -> State {
    let large = seed.map(|seed| (b"large".to_vec(), bytes(seed, VALUE_BYTES)));
    large.into_iter().chain([(b"small".to_vec(), small.to_vec())]).collect()
}

/// A store with a small commit.
fn store_with_small() -> (SimulatedDisk, Opened) {
    let disk = SimulatedDisk::new(1);
    let opened = open(&disk).unwrap();
    opened.commit(&[put("small", "1")], Durability::Sync).unwrap();
    (disk, opened)
}

#[test]
fn only_the_chain_of_a_commit_counts() {
    let disk = SimulatedDisk::new(1);
    let opened = open(&disk).unwrap();
    let log = log(&opened);
    let (_given_up, first) = (prepare(&log, 1), prepare(&log, 2));
    let _between = prepare(&log, 3);
    opened.commit(&[put("small", "1")], Durability::Sync).unwrap();
    publish(&opened, first);
    let _in_flight = prepare(&log, 4);
    opened.commit(&[put("small", "2")], Durability::Sync).unwrap();
    let after = disk.after_crash(CrashOutcome::DropAll);
    for _ in 0..3 {
        assert_eq!(open(&after).unwrap().state(), state(Some(2), b"2"));
    }
}

#[test]
fn a_commit_under_way_while_the_store_is_closed_is_whole() {
    let (disk, opened) = store_with_small();
    let log = log(&opened);
    let prepared = prepare(&log, 1);
    opened.engine.close().unwrap();
    publish(&opened, prepared);
    drop(opened);
    assert_eq!(open(&disk).unwrap().state(), state(Some(1), b"1"));
}

#[test]
fn a_chain_ends_with_its_session() {
    let (disk, opened) = store_with_small();
    let log = log(&opened);
    let prepared = prepare(&log, 1);
    drop(opened);
    let opened = open(&disk).unwrap();
    assert_eq!(opened.state(), state(None, b"1"));
    publish(&opened, prepared);
    let error =
        open(&disk.after_crash(CrashOutcome::DropAll)).err().expect("its chunks are of another session");
    let OpenError::Log(LogError::Senseless { what, .. }) = &error else { panic!("{error}") };
    assert!(what.contains("chunk that is not there"), "{error}");
}
