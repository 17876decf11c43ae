//! Commits that are awaited without a thread each, and durable positions.

use skipstone::bson::doc;
use skipstone::{CommitHandle, Database, Durability, Lsn, Result, TransactionOptions};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The smallest executor: one future, this thread.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let (mut future, mut context) = (pin!(future), Context::from_waker(&waker));
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn on_disk() -> (tempfile::TempDir, Database) {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path().join("store")).unwrap();
    (dir, db)
}

fn commit(db: &Database, n: i32) -> CommitHandle {
    let things = db.collection("things").unwrap();
    let mut transaction = db.begin().unwrap();
    transaction.collection(&things).unwrap().insert(doc! { "_id": n }).unwrap();
    transaction.commit_async().unwrap()
}

#[test]
fn an_awaited_commit_is_durable() {
    let (_dir, db) = on_disk();
    for n in 0..20 {
        let handle = commit(&db, n);
        let position = handle.position();
        assert!(db.collection("things").unwrap().exists(n).unwrap(), "in effect before it is durable");
        assert_eq!(block_on(handle).unwrap(), position);
        assert!(db.durable_position() > position);
    }
    let handle = commit(&db, 20);
    let position = handle.position();
    assert_eq!(handle.wait().unwrap(), position);
    assert!(db.durable_position() > position);
}

#[test]
fn in_memory_there_is_nothing_to_wait_for() {
    let db = Database::in_memory();
    let handle = commit(&db, 1);
    let position = handle.position();
    let mut handle = pin!(handle);
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(handle.as_mut().poll(&mut context), Poll::Ready(Ok(p)) if p == position));
    assert_eq!(db.durable_position(), Lsn::ZERO);
    db.wait_durable(db.position()).unwrap();
}

/// Waits for all of them at once, on one thread.
struct All(Vec<Option<CommitHandle>>);

impl Future for All {
    type Output = Result<()>;

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        for slot in &mut self.0 {
            if let Some(handle) = slot {
                match std::pin::Pin::new(handle).poll(context) {
                    Poll::Ready(Ok(_)) => *slot = None,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {}
                }
            }
        }
        if self.0.iter().all(Option::is_none) { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

#[test]
fn many_handles_on_few_threads() {
    let (_dir, db) = on_disk();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let db = &db;
            scope.spawn(move || {
                let handles: Vec<_> = (0..500).map(|n| Some(commit(db, thread * 500 + n))).collect();
                let last = handles.iter().flatten().map(CommitHandle::position).max().unwrap();
                block_on(All(handles)).unwrap();
                assert!(db.durable_position() > last);
            });
        }
    });
    assert_eq!(db.collection("things").unwrap().count().unwrap(), 2_000);
}

/// A future that is dropped before, after or between polls takes nothing back, and disturbs nobody.
#[test]
fn dropping_a_future_half_way_leaves_the_store_whole() {
    let (dir, db) = on_disk();
    for n in 0..200 {
        let mut handle = Box::pin(commit(&db, n));
        for _ in 0..n % 4 {
            let _ = handle.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        drop(handle);
    }
    block_on(commit(&db, 200)).unwrap();
    db.close().unwrap();
    let db = Database::open(dir.path().join("store")).unwrap();
    assert_eq!(db.collection("things").unwrap().count().unwrap(), 201);
}

/// The last waker that polled is the one that counts.
#[test]
fn a_handle_may_move_to_another_thread_between_polls() {
    let (_dir, db) = on_disk();
    for n in 0..50 {
        let mut handle = Box::pin(commit(&db, n));
        if handle.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            std::thread::spawn(move || block_on(handle).unwrap()).join().unwrap();
        }
    }
}

/// Also when the store is closed meanwhile: closing makes it durable.
#[test]
fn a_handle_outlives_its_store() {
    let (_dir, db) = on_disk();
    let handles: Vec<_> = (0..10).map(|n| commit(&db, n)).collect();
    let waiters: Vec<_> = handles.into_iter().map(|handle| std::thread::spawn(|| block_on(handle))).collect();
    db.close().unwrap();
    for waiter in waiters {
        waiter.join().unwrap().unwrap();
    }
}

#[test]
fn wait_durable_reaches_what_was_only_buffered() {
    let (_dir, db) = on_disk();
    let things = db.collection("things").unwrap();
    for durability in [Durability::None, Durability::Buffered] {
        let options = TransactionOptions::new().durability(durability);
        db.transact_with(options, |tx| tx.collection(&things)?.insert(doc! {})).unwrap();
        let snapshot = db.snapshot().unwrap();
        assert_eq!(snapshot.position(), db.position());
        db.wait_durable(snapshot.position()).unwrap();
        assert!(db.durable_position() >= snapshot.position());
        assert!(db.stats().durable_position <= db.stats().position);
    }
}

#[test]
fn the_durable_position_only_grows() {
    let (_dir, db) = on_disk();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (0..100).for_each(|n| assert!(commit(&db, n).wait().is_ok())));
        let mut latest = Lsn::ZERO;
        while !writer.is_finished() {
            let durable = db.durable_position();
            assert!(durable >= latest && durable <= db.position());
            latest = durable;
        }
        writer.join().unwrap();
    });
}

fn await_durable(db: &Database, position: Lsn) {
    let began = std::time::Instant::now();
    while db.durable_position() <= position {
        assert!(began.elapsed().as_secs() < 20, "it never became durable");
        // From one look to the next.
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Whoever commits asks for the flush, not whoever polls: a handle that nobody looks at is as good.
#[test]
fn a_commit_whose_handle_is_left_alone_becomes_durable() {
    let dir = tempfile::tempdir().unwrap();
    let builder = Database::builder().path(dir.path().join("store"));
    let db = builder.buffered_interval(std::time::Duration::from_secs(3600)).open().unwrap();
    let kept = commit(&db, 1);
    await_durable(&db, kept.position());
    let dropped = commit(&db, 2).position();
    await_durable(&db, dropped);
    assert!(block_on(kept).unwrap() < dropped);
}

/// What is buffered becomes durable by itself, within its interval.
#[test]
fn buffered_commits_become_durable_by_themselves() {
    let (_dir, db) = on_disk();
    let things = db.collection("things").unwrap();
    let options = TransactionOptions::new().durability(Durability::Buffered);
    let position = db.transact_with(options, |tx| {
        tx.collection(&things)?.insert(doc! {})?;
        Ok(tx.position())
    });
    await_durable(&db, position.unwrap());
}
