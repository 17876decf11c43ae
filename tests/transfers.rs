//! Transfers between accounts from many threads: the total is the same in every snapshot, and no transfer is lost,
//! whether or not checkpoints are taken meanwhile.

use skipstone::bson::doc;
use skipstone::{
    Builder, Collection, Database, DeviceChoice, Durability, Isolation, Lsn, Snapshot, TransactionOptions,
};
use std::sync::atomic::{AtomicBool, Ordering};

const ACCOUNTS: i32 = 32;
const CENTS_EACH: i64 = 1_000;

/// What one run is to do.
struct Run {
    threads: u64,
    /// At least; they go on until the checkpoints are taken and somebody has looked.
    transfers_each: u64,
    isolation: Isolation,
    durability: Durability,
    checkpoints: u64,
}

/// The sum over all accounts, and how often they were written.
fn totals(snapshot: &Snapshot<'_>, accounts: &Collection) -> (i64, u64) {
    snapshot.collection(accounts).unwrap().scan().map(Result::unwrap).fold(
        (0, 0),
        |(cents, versions), account| {
            (cents + account.get("cents").unwrap().as_i64().unwrap(), versions + account.version())
        },
    )
}

/// Moves money between two accounts, if the first has it. Both are written either way, so each transfer counts in their versions.
fn transfer(db: &Database, accounts: &Collection, options: TransactionOptions) {
    let from = fastrand::i32(0..ACCOUNTS);
    let to = (from + fastrand::i32(1..ACCOUNTS)) % ACCOUNTS;
    let wanted = fastrand::i64(1..=CENTS_EACH);
    db.transact_with(options, |tx| {
        let mut accounts = tx.collection(accounts)?;
        let mut moved = 0;
        accounts.update(from, |account| {
            let cents = account.get_i64("cents").unwrap();
            moved = wanted.min(cents);
            account.insert("cents", cents - moved);
        })?;
        accounts.update(to, |account| {
            let cents = account.get_i64("cents").unwrap();
            account.insert("cents", cents + moved);
        })?;
        Ok(())
    })
    .unwrap();
}

/// Sets a flag when it goes, also by a panic: nobody waits for what does not come.
struct SetAtEnd<'f>(&'f AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        // Relaxed: see `watch`.
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Looks at the total over and over, at moments that only go forward; returns how often. Sets `looked` after the first time.
fn watch(db: &Database, accounts: &Collection, looked: &AtomicBool, done: &AtomicBool) -> u64 {
    let _looked = SetAtEnd(looked);
    let (mut looks, mut latest) = (0, 0);
    // Relaxed: it ends the loop, and nothing is read because of it.
    while !done.load(Ordering::Relaxed) {
        let snapshot = db.snapshot().unwrap();
        let (cents, versions) = totals(&snapshot, accounts);
        assert_eq!(cents, i64::from(ACCOUNTS) * CENTS_EACH, "at {}", snapshot.position());
        assert_eq!(versions % 2, 0, "half of a transfer is there at {}", snapshot.position());
        assert!(versions >= latest, "time went back at {}", snapshot.position());
        assert_eq!(totals(&snapshot, accounts), (cents, versions), "a snapshot changed");
        (looks, latest) = (looks + 1, versions);
        // Relaxed: as above.
        looked.store(true, Ordering::Relaxed);
    }
    looks
}

/// Takes checkpoints one after the other.
fn take_checkpoints(db: &Database, count: u64) {
    let mut latest = Lsn::ZERO;
    for _ in 0..count {
        let taken = db.checkpoint().unwrap().expect("the store is on a disk");
        assert!(taken.position >= latest, "{taken:?} after {latest}");
        // The accounts, and the collection's name.
        assert_eq!(taken.entries, ACCOUNTS as u64 + 1, "{taken:?}");
        latest = taken.position;
    }
}

/// Returns how many transfers were made.
fn run(db: &Database, run: &Run) -> u64 {
    let accounts = db.collection("accounts").unwrap();
    accounts.insert_many((0..ACCOUNTS).map(|id| doc! { "_id": id, "cents": CENTS_EACH })).unwrap();
    let options = TransactionOptions::new().isolation(run.isolation).durability(run.durability);
    let [enough, looked, done] = [false; 3].map(AtomicBool::new);
    // Relaxed: as in `watch`.
    let is_over = || enough.load(Ordering::Relaxed) && looked.load(Ordering::Relaxed);
    let goes_on = |moved| moved < run.transfers_each || !is_over();
    let transfers = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(db, &accounts, &looked, &done));
        let taker = scope.spawn(|| take_checkpoints(db, run.checkpoints));
        let mover =
            || (0..).take_while(|&moved| goes_on(moved)).map(|_| transfer(db, &accounts, options)).count();
        let movers: Vec<_> = (0..run.threads).map(|_| scope.spawn(mover)).collect();
        let taken = taker.join();
        // Relaxed: see `watch`.
        enough.store(true, Ordering::Relaxed);
        let moved: Vec<_> = movers.into_iter().map(|mover| mover.join()).collect();
        // Relaxed: see `watch`.
        done.store(true, Ordering::Relaxed);
        assert!(watcher.join().unwrap() > 0, "nobody looked");
        assert!(taken.is_ok(), "the thread that takes checkpoints panicked");
        moved.into_iter().map(|moved| moved.expect("a thread that moves money panicked") as u64).sum()
    });
    check_end(db, &accounts, transfers);
    transfers
}

fn check_end(db: &Database, accounts: &Collection, transfers: u64) {
    let (cents, versions) = totals(&db.snapshot().unwrap(), accounts);
    assert_eq!(cents, i64::from(ACCOUNTS) * CENTS_EACH);
    assert_eq!(versions, ACCOUNTS as u64 + 2 * transfers, "a transfer is missing, or there twice");
}

fn in_memory(threads: u64, transfers_each: u64, isolation: Isolation) {
    let db = Database::builder().sweep_interval(std::time::Duration::from_millis(5)).open().unwrap();
    run(&db, &Run { threads, transfers_each, isolation, durability: Durability::None, checkpoints: 0 });
}

/// Small segments, so that there are several.
fn builder() -> Builder {
    Database::builder().segment_bytes(1 << 18)
}

/// Also after the store is opened again.
fn on_disk(builder: Builder, to_do: &Run) {
    let dir = tempfile::tempdir().unwrap();
    let open = || builder.clone().path(dir.path().join("store")).open().unwrap();
    let db = open();
    let transfers = run(&db, to_do);
    db.close().unwrap();
    let verified = skipstone::verify(dir.path().join("store")).unwrap();
    assert!(verified.is_sound(), "{:?}", verified.findings);
    let db = open();
    assert_eq!((verified.checkpoint, verified.end), (db.recovery().checkpoint, db.recovery().end));
    assert!(to_do.checkpoints == 0 || verified.checkpoint > Lsn::ZERO, "{verified:?}");
    check_end(&db, &db.collection("accounts").unwrap(), transfers);
}

#[test]
fn eight_threads_at_snapshot_isolation() {
    in_memory(8, 1_000, Isolation::Snapshot);
}

#[test]
fn eight_threads_serializable() {
    in_memory(8, 1_000, Isolation::Serializable);
}

/// A read and a write in one call lose nothing there either; whoever reads twice, to decide, asks for more.
#[test]
fn eight_threads_at_read_committed() {
    in_memory(8, 1_000, Isolation::ReadCommitted);
}

#[test]
fn sixty_four_threads_at_snapshot_isolation() {
    in_memory(64, 100, Isolation::Snapshot);
}

#[test]
fn sixty_four_threads_serializable() {
    in_memory(64, 100, Isolation::Serializable);
}

#[test]
fn eight_threads_on_disk_at_snapshot_isolation() {
    let (isolation, durability) = (Isolation::Snapshot, Durability::Sync);
    on_disk(builder(), &Run { threads: 8, transfers_each: 100, isolation, durability, checkpoints: 0 });
}

#[test]
fn eight_threads_on_disk_serializable() {
    let (isolation, durability) = (Isolation::Serializable, Durability::Buffered);
    on_disk(builder(), &Run { threads: 8, transfers_each: 100, isolation, durability, checkpoints: 0 });
}

#[test]
fn sixty_four_threads_on_disk_at_snapshot_isolation() {
    let (isolation, durability) = (Isolation::Snapshot, Durability::Buffered);
    on_disk(builder(), &Run { threads: 64, transfers_each: 40, isolation, durability, checkpoints: 0 });
}

#[test]
fn sixty_four_threads_on_disk_serializable() {
    let (isolation, durability) = (Isolation::Serializable, Durability::Sync);
    on_disk(builder(), &Run { threads: 64, transfers_each: 40, isolation, durability, checkpoints: 0 });
}

/// The log before each checkpoint is used again, and what is behind it goes on.
#[test]
fn eight_threads_under_checkpoints() {
    for device in [DeviceChoice::Auto, DeviceChoice::Portable] {
        // The log grows slowly when everybody waits for the disk, and fast when nobody does.
        for (isolation, durability, segment_bytes, checkpoints) in [
            (Isolation::Snapshot, Durability::Buffered, 1 << 20, 5),
            (Isolation::Snapshot, Durability::Sync, 1 << 16, 40),
            (Isolation::Serializable, Durability::Sync, 1 << 16, 40),
        ] {
            let builder = Database::builder().segment_bytes(segment_bytes).device(device);
            let to_do = Run { threads: 8, transfers_each: 100, isolation, durability, checkpoints };
            on_disk(builder, &to_do);
        }
    }
}

/// With the smallest ring commits wait for room in it all the time, whether they wait for the disk or not.
#[test]
fn sixty_four_threads_through_a_ring_that_is_full() {
    for durability in [Durability::None, Durability::Buffered, Durability::Sync] {
        let builder = builder().ring_bytes(1 << 16);
        on_disk(
            builder,
            &Run {
                threads: 64,
                transfers_each: 100,
                isolation: Isolation::Snapshot,
                durability,
                checkpoints: 0,
            },
        );
    }
}
