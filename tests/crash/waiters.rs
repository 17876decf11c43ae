//! A write that fails while others wait for it, or for the room it would make: all wake, all with the error.

use super::harness::{Opened, RING_BYTES, SEGMENT_BYTES, open, put, stage};
use crate::engine::catalog::Kind;
use crate::io::{Fault, Repeat, SimulatedDisk};
use crate::options::Isolation;
use crate::{CommitHandle, Durability, Error};
use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

const FAULTS: [Fault; 3] = [Fault::WriteEio, Fault::FlushEio, Fault::NoSpace];
const TIMEOUT: Duration = Duration::from_secs(20);

struct Bell(Sender<()>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // A test that fails listens no more.
        let _ = self.0.send(());
    }
}

fn commit_async(opened: &Opened, key: &str) -> CommitHandle {
    let keyspace = opened.keyspace().unwrap();
    let mut transaction = opened.db.begin().unwrap();
    stage(&mut transaction, &keyspace, &[put(key, "async")]).unwrap();
    transaction.commit_async().unwrap()
}

fn assert_cause(error: &Error, fault: Fault) {
    let cause = format!("simulated {fault:?}");
    assert!(matches!(error, Error::ReadOnly { cause: io } if io.to_string().contains(&cause)), "{error}");
}

#[test]
fn those_who_wait_for_durability_wake_with_the_error() {
    for (seed, fault) in FAULTS.into_iter().enumerate() {
        let disk = SimulatedDisk::new(seed as u64);
        let opened = open(&disk).unwrap();
        opened.commit(&[put("before", "1")], Durability::Sync).unwrap();
        disk.block_writes();
        std::thread::scope(|scope| {
            let opened = &opened;
            let waiters: Vec<_> = (0..8)
                .map(|n| scope.spawn(move || opened.commit(&[put(format!("w{n}"), "x")], Durability::Sync)))
                .collect();
            disk.wait_for_blocked_writers(1);
            wait_until(|| opened.state().len() == 9);
            disk.fail(0, fault, Repeat::Once);
            disk.unblock_writes();
            for waiter in waiters {
                assert_cause(&waiter.join().unwrap().unwrap_err(), fault);
            }
        });
        assert_eq!(opened.state().len(), 9, "reads go on");
    }
}

#[test]
fn futures_wake_with_the_error() {
    for (seed, fault) in FAULTS.into_iter().enumerate() {
        let disk = SimulatedDisk::new(seed as u64);
        let opened = open(&disk).unwrap();
        opened.commit(&[put("before", "1")], Durability::Sync).unwrap();
        disk.block_writes();
        let (sender, rung) = channel();
        let waker = Waker::from(Arc::new(Bell(sender)));
        let mut context = Context::from_waker(&waker);
        let mut futures: Vec<_> = (0..3).map(|n| Box::pin(commit_async(&opened, &format!("f{n}")))).collect();
        for future in &mut futures {
            assert!(future.as_mut().poll(&mut context).is_pending());
        }
        disk.wait_for_blocked_writers(1);
        disk.fail(0, fault, Repeat::Once);
        disk.unblock_writes();
        for mut future in futures {
            rung.recv_timeout(TIMEOUT).expect("woken");
            match future.as_mut().poll(&mut context) {
                Poll::Ready(Err(error)) => assert_cause(&error, fault),
                other => panic!("{:?}", other.map(|done| done.is_ok())),
            }
        }
        assert_cause(&opened.commit(&[put("late", "x")], Durability::Sync).unwrap_err(), fault);
    }
}

#[test]
fn those_who_wait_for_room_wake_with_the_error() {
    for (seed, fault) in FAULTS.into_iter().enumerate() {
        let disk = SimulatedDisk::new(seed as u64);
        let opened = open(&disk).unwrap();
        opened.keyspace().unwrap();
        disk.block_writes();
        std::thread::scope(|scope| {
            let opened = &opened;
            let writers: Vec<_> =
                (0..3).map(|thread| scope.spawn(move || until_refused(opened, thread))).collect();
            wait_until(|| opened.db.position().get() > RING_BYTES as u64);
            disk.fail(0, fault, Repeat::Once);
            disk.unblock_writes();
            for writer in writers {
                assert_cause(&writer.join().unwrap(), fault);
            }
        });
    }
}

/// Commits without waiting for the disk, until that is refused.
fn until_refused(opened: &Opened, thread: u8) -> Error {
    loop {
        let write = put([b'r', thread], vec![thread; 3000]);
        if let Err(error) = opened.commit(&[write], Durability::None) {
            return error;
        }
    }
}

fn wait_until(done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < TIMEOUT);
        std::thread::yield_now();
    }
}

/// Such a commit was let in before the store was closed, and comes to ask for its flush when the flusher is gone.
#[test]
fn a_commit_under_way_while_the_store_is_closed_becomes_durable() {
    let opened = open(&SimulatedDisk::new(1)).unwrap();
    opened.keyspace().unwrap();
    let number = opened.engine.find(Kind::Keyspace, "k").unwrap();
    let space = opened.engine.store().space(number);
    let under_way = [b"asynchronous", b"buffered    "].map(|key| {
        let mut transaction = opened.engine.begin(Isolation::Snapshot);
        transaction.put(space, key, Some(b"1"));
        transaction
    });
    opened.engine.close().unwrap();
    let [asynchronous, buffered] = under_way;
    let committed = opened.engine.commit_async(asynchronous).unwrap();
    assert!(opened.engine.durable_position() >= committed.end);
    let committed = opened.engine.commit(buffered, Durability::Buffered).unwrap();
    assert!(opened.engine.durable_position() >= committed.committed.end);
}

/// Nobody waits for a segment that is made ahead of time; but when that fails, those who wait for the flusher must not be forgotten.
#[test]
fn futures_wake_when_the_next_segment_cannot_be_made() {
    let disk = SimulatedDisk::new(9);
    let opened = open(&disk).unwrap();
    opened.commit(&[put("first", "1")], Durability::Sync).unwrap();
    // Room for what is there, for nothing else.
    disk.set_capacity_bytes(SEGMENT_BYTES as usize + 4096);
    let (sender, rung) = channel();
    let waker = Waker::from(Arc::new(Bell(sender)));
    let mut context = Context::from_waker(&waker);
    let keyspace = opened.keyspace().unwrap();
    let mut refused = 0;
    for n in 0..6_u8 {
        let mut transaction = opened.db.begin().unwrap();
        stage(&mut transaction, &keyspace, &[put([n], vec![n; 7000])]).unwrap();
        let Ok(mut future) = transaction.commit_async().map(Box::pin) else {
            refused += 1;
            continue;
        };
        if future.as_mut().poll(&mut context).is_pending() {
            rung.recv_timeout(TIMEOUT).expect("woken");
            assert!(future.as_mut().poll(&mut context).is_ready());
        }
    }
    wait_until(|| opened.commit(&[put("last", "x")], Durability::Sync).is_err());
    assert!(opened.state().len() >= 7 - refused, "reads go on");
}
