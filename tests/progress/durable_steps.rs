//! On a disk: what a thread holds up that is parked before it published its frame, or while it leads a group commit.

use super::harness::{CONTESTED, Store, while_parked};
use crate::engine::Engine;
use crate::engine::config::Config;
use crate::io::SimulatedDisk;
use crate::sync::Step;
use crate::{Durability, TransactionOptions};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

/// How long something must not happen for us to say that it waits.
const WAITING: Duration = Duration::from_millis(100);

fn on_disk(ring_bytes: u64) -> Store {
    let config = Config {
        ring_bytes,
        segment_bytes: 4 << 20,
        durability: Durability::None,
        sweep_interval: Duration::from_secs(3600),
        ..Config::default()
    };
    open(&SimulatedDisk::new(1), config)
}

fn open(disk: &SimulatedDisk, config: Config) -> Store {
    Store::new(Engine::open_on(Arc::new(disk.clone()), Path::new("disk"), config, None).unwrap())
}

/// A thread that commits durably, and what it says when it is through.
fn commit_durably<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    store: &'env Store,
) -> (ScopedJoinHandle<'scope, ()>, Receiver<()>) {
    let (done, is_done) = channel();
    let thread = scope.spawn(move || {
        store.keyspace.put_with(b"durable", b"x", Durability::Sync).unwrap();
        let _ = done.send(());
    });
    (thread, is_done)
}

/// Durable commits wait meanwhile; reads and other commits go on.
fn holds_up_durable_commits_only(step: Step, durability: Durability, contested: &[u8]) {
    let store = on_disk(8 << 20);
    let options = TransactionOptions::new().durability(durability);
    std::thread::scope(|scope| {
        let (committed, waiter) = while_parked(
            step,
            || store.write_contested(options),
            || {
                let (waiter, is_done) = commit_durably(scope, &store);
                let durable = store.db.durable_position();
                store.read_contested(contested);
                store.use_others();
                store.overwrite_contested();
                assert!(is_done.recv_timeout(WAITING).is_err(), "a durable commit waits");
                assert_eq!(
                    store.keyspace.get(b"durable").unwrap().as_deref(),
                    Some(&b"x"[..]),
                    "but is seen"
                );
                assert!(store.db.durable_position() < store.db.position());
                assert!(store.db.durable_position() >= durable);
                waiter
            },
        );
        committed.unwrap();
        waiter.join().unwrap();
    });
    store.db.wait_durable(store.db.position()).unwrap();
}

#[test]
fn committed_and_not_published() {
    holds_up_durable_commits_only(Step::Committed, Durability::None, b"parked");
}

#[test]
fn leading() {
    holds_up_durable_commits_only(Step::Leading, Durability::Sync, b"parked");
}

/// A position that was taken holds up what is to be durable behind it, even if a reader took it away again.
#[test]
fn positioned_holds_up_durable_commits_until_it_goes_on() {
    let store = on_disk(8 << 20);
    std::thread::scope(|scope| {
        let (committed, waiter) = while_parked(
            Step::Positioned,
            || store.write_contested(TransactionOptions::new()),
            || {
                let (waiter, is_done) = commit_durably(scope, &store);
                store.read_contested(b"old");
                store.use_others();
                assert!(is_done.recv_timeout(WAITING).is_err(), "a durable commit waits");
                waiter
            },
        );
        committed.unwrap();
        waiter.join().unwrap();
    });
    assert_eq!(store.keyspace.get(CONTESTED).unwrap().as_deref(), Some(&b"parked"[..]));
}

/// What was durable before the unpublished frame is acknowledged all the same.
#[test]
fn commits_before_the_unpublished_frame_become_durable() {
    let store = on_disk(8 << 20);
    let before = store.db.position();
    let (committed, ()) = while_parked(
        Step::Committed,
        || store.write_contested(TransactionOptions::new()),
        || store.db.wait_durable(before).unwrap(),
    );
    committed.unwrap();
}

/// The ring fills up behind an unpublished frame: then commits wait for room, and reads go on.
#[test]
fn commits_wait_when_the_ring_is_full_and_reads_do_not() {
    const RING_BYTES: u64 = 1 << 16;
    let store = on_disk(RING_BYTES);
    std::thread::scope(|scope| {
        let (committed, filler) = while_parked(
            Step::Committed,
            || store.write_contested(TransactionOptions::new()),
            || {
                let filler = scope.spawn(|| {
                    (0..200).for_each(|n| store.keyspace.put(b"a-filler", &[n; 1000]).unwrap());
                });
                while store.db.position().get() < RING_BYTES {
                    std::thread::yield_now();
                }
                std::thread::sleep(WAITING);
                store.read_contested(b"parked");
                let at = store.db.position();
                std::thread::sleep(WAITING);
                assert_eq!(store.db.position(), at, "commits wait for room");
                filler
            },
        );
        committed.unwrap();
        filler.join().unwrap();
    });
    assert_eq!(store.keyspace.get(b"a-filler").unwrap(), Some(vec![199; 1000]));
}
