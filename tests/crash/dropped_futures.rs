//! A future that is dropped in the middle of a commit leaves the store whole.

use super::harness::{Opened, open, put, stage};
use crate::io::{CrashOutcome, SimulatedDisk};
use crate::{CommitHandle, Durability, Lsn};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};

const COMMITS: u8 = 20;

fn begin(opened: &Opened, n: u8) -> Pin<Box<CommitHandle>> {
    let keyspace = opened.keyspace().unwrap();
    let mut transaction = opened.db.begin().unwrap();
    stage(&mut transaction, &keyspace, &[put([n, 0], vec![n; 900]), put([n, 1], [n])]).unwrap();
    Box::pin(transaction.commit_async().unwrap())
}

/// Begins commits, polls each so many times, and drops it.
fn drop_futures(opened: &Opened, polls: u8) -> Vec<Lsn> {
    let mut context = Context::from_waker(Waker::noop());
    (0..COMMITS)
        .map(|n| {
            let mut future = begin(opened, n);
            for _ in 0..polls {
                if future.as_mut().poll(&mut context).is_ready() {
                    break;
                }
            }
            future.position()
        })
        .collect()
}

fn assert_whole(opened: &Opened, commits: u8) {
    let state = opened.state();
    for n in 0..commits {
        assert_eq!(state.get(&[n, 0][..]), Some(&vec![n; 900]), "{n}");
        assert_eq!(state.get(&[n, 1][..]), Some(&vec![n]), "{n}");
    }
}

#[test]
fn dropped_before_and_after_it_was_polled() {
    for polls in 0..3 {
        let disk = SimulatedDisk::new(polls.into());
        let opened = open(&disk).unwrap();
        let positions = drop_futures(&opened, polls);
        assert!(positions.is_sorted());
        assert_whole(&opened, COMMITS);
        opened.commit(&[put("after", "x")], Durability::Sync).unwrap();
        assert!(opened.db.durable_position() > positions[COMMITS as usize - 1]);
        let after = open(&disk.after_crash(CrashOutcome::DropAll)).unwrap();
        assert_whole(&after, COMMITS);
        assert_eq!(after.state().len(), 2 * COMMITS as usize + 1);
    }
}

#[test]
fn dropped_while_the_disk_is_at_work() {
    let disk = SimulatedDisk::new(7);
    let opened = open(&disk).unwrap();
    opened.keyspace().unwrap();
    disk.block_writes();
    let positions = drop_futures(&opened, 2);
    disk.wait_for_blocked_writers(1);
    assert!(opened.db.durable_position() <= positions[0]);
    assert_whole(&opened, COMMITS);
    let early = open(&disk.after_crash(CrashOutcome::DropAll)).unwrap();
    assert_eq!(early.state().len(), 0, "nothing was acknowledged, and nothing is half there");
    disk.unblock_writes();
    opened.commit(&[put("after", "x")], Durability::Sync).unwrap();
    assert_whole(&open(&disk.after_crash(CrashOutcome::DropAll)).unwrap(), COMMITS);
}

#[test]
fn dropped_when_the_power_has_failed() {
    let disk = SimulatedDisk::new(8);
    let opened = open(&disk).unwrap();
    opened.commit(&[put([0, 0], vec![0; 900]), put([0, 1], [0])], Durability::Sync).unwrap();
    disk.crash_after(1);
    let mut held = begin(&opened, 1);
    assert!(opened.commit(&[put("lost", "x")], Durability::Sync).is_err());
    let mut context = Context::from_waker(Waker::noop());
    assert!(held.as_mut().poll(&mut context).is_ready(), "there is nothing to wait for any more");
    drop(held);
    assert_whole(&opened, 2);
    drop(opened);
    assert_whole(&open(&disk.after_crash(CrashOutcome::DropAll)).unwrap(), 1);
}
