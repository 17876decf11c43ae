//! Chains of backups on real files: made while writers go on, restored to moments of their history.

use crate::{DEVICES, Place, contents, fill, image, things};
use skipstone::bson::doc;
use skipstone::{
    BackupError, ChainError, Database, Durability, Error, Lsn, OpenError, RestoreError, Until, restore,
    verify,
};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

const ACCOUNTS: u8 = 16;
const CENTS: u64 = 1_000;

/// Places for backups, and the directories in them.
fn places(count: usize) -> (Vec<Place>, Vec<PathBuf>) {
    let places: Vec<Place> = (0..count).map(|_| Place::new()).collect();
    let dirs = places.iter().map(|place| place.store.clone()).collect();
    (places, dirs)
}

#[test]
fn a_chain_is_restored_to_its_end_and_to_a_position() {
    for device in DEVICES {
        let (place, (_places, dirs)) = (Place::new(), places(5));
        let db = place.builder().device(device).backup_log_bytes(1 << 30).open().unwrap();
        fill(&db, 200);
        let full = db.back_up(&dirs[0]).unwrap();
        things(&db).insert(doc! { "_id": "second" }).unwrap();
        let (middle, expected) = (db.position(), contents(&db));
        fill_more(&db);
        db.checkpoint().unwrap();
        let first = db.back_up_since(&dirs[0], &dirs[1]).unwrap();
        let before = image(&dirs[1]);
        things(&db).insert(doc! { "_id": "last" }).unwrap();
        let second = db.back_up_since(&dirs[1], &dirs[2]).unwrap();
        let end = contents(&db);
        assert!(
            second.bytes < full.bytes && (&first.gap, &second.gap) == (&None, &None),
            "{first:?} {second:?}"
        );
        assert!(image(&dirs[1]) == before, "the previous one is as it was");
        drop(db);

        let made = restore(&dirs[..3], &dirs[3], Until::End).unwrap();
        assert_eq!((made.position, made.checkpoint), (second.position, second.checkpoint));
        assert_eq!(verify(&dirs[3]).unwrap().end, made.position, "{device:?}");
        let open = |dir: &PathBuf| Database::builder().path(dir).create(false).open().unwrap();
        assert!(contents(&open(&dirs[3])) == end, "{device:?}");
        // The last one is not needed, and does no harm.
        for chain in [&dirs[..2], &dirs[..3]] {
            let (_target, target) = places(1);
            let made = restore(chain, &target[0], Until::Position(middle)).unwrap();
            let restored = open(&target[0]);
            assert!(contents(&restored) == expected && made.position == middle, "{device:?}");
            things(&restored).insert(doc! { "_id": "own" }).unwrap();
            drop(restored);
            assert!(things(&open(&target[0])).exists("own").unwrap());
        }
    }
}

fn fill_more(db: &Database) {
    let things = db.collection("things").unwrap();
    things.insert_many((1_000..1_400).map(|id| doc! { "_id": id, "text": "y".repeat(200) })).unwrap();
}

/// Money is moved between accounts all the while; whatever moment is restored, the sum is there.
#[test]
fn writers_go_on_and_each_moment_is_consistent() {
    let (place, (_places, dirs)) = (Place::new(), places(6));
    let builder = place.builder().segment_bytes(4 << 20).backup_log_bytes(1 << 30);
    let db = builder.checkpoint_log_bytes(1 << 20).durability(Durability::Buffered).open().unwrap();
    let accounts = db.keyspace("accounts").unwrap();
    db.transact(|tx| {
        let mut accounts = tx.keyspace(&accounts)?;
        (0..ACCOUNTS).try_for_each(|account| accounts.put(&[account], &CENTS.to_be_bytes()))
    })
    .unwrap();
    let done = AtomicBool::new(false);
    let mut ends: Vec<(Lsn, Lsn)> = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // Relaxed: it ends the loop, and nothing is read because of it.
                while !done.load(Ordering::Relaxed) {
                    move_money(&db, &accounts);
                }
            });
        }
        for index in 0..dirs.len() {
            // Some transfers, however many, between one backup and the next.
            std::thread::sleep(Duration::from_millis(60));
            let made = match index.checked_sub(1) {
                None => db.back_up(&dirs[0]).unwrap(),
                Some(before) => db.back_up_since(&dirs[before], &dirs[index]).unwrap(),
            };
            assert_eq!(made.gap, None);
            ends.push((made.checkpoint, made.position));
        }
        done.store(true, Ordering::Relaxed); // as above
    });
    drop(accounts);
    drop(db);
    let (first, last) = (ends[0].0.get(), ends[ends.len() - 1].1.get());
    let mut wanted = vec![Until::End];
    wanted.extend(ends.iter().flat_map(|(checkpoint, end)| [*checkpoint, *end].map(Until::Position)));
    wanted.extend((0..12).map(|_| Until::Position(Lsn::new(fastrand::u64(first..=last)))));
    for until in wanted {
        let (_target, target) = places(1);
        let made = restore(&dirs, &target[0], until).unwrap();
        let restored = Database::builder().path(&target[0]).create(false).open().unwrap();
        let (snapshot, accounts) = (restored.snapshot().unwrap(), restored.keyspace("accounts").unwrap());
        let accounts = snapshot.keyspace(&accounts).unwrap();
        let cents =
            accounts.range::<&[u8]>(..).map(|(_, value)| u64::from_be_bytes(value.try_into().unwrap()));
        let cents: Vec<u64> = cents.collect();
        assert_eq!(cents.len(), usize::from(ACCOUNTS), "{until:?} {made:?}");
        assert_eq!(cents.iter().sum::<u64>(), u64::from(ACCOUNTS) * CENTS, "{until:?} {made:?}");
    }
}

fn move_money(db: &Database, accounts: &skipstone::Keyspace) {
    let from = fastrand::u8(0..ACCOUNTS);
    let to = (from + fastrand::u8(1..ACCOUNTS)) % ACCOUNTS;
    db.transact(|tx| {
        let mut accounts = tx.keyspace(accounts)?;
        let mut change = |account: u8, by: i64| {
            let before = accounts.get(&[account]).expect("each account is there");
            let before = u64::from_be_bytes((*before).try_into().expect("eight bytes"));
            accounts.put(&[account], &before.wrapping_add_signed(by).to_be_bytes())
        };
        change(from, -1)?;
        change(to, 1)
    })
    .unwrap();
}

/// Marks of the time come by themselves, once a second.
#[test]
fn to_a_time() {
    let (place, (_places, dirs)) = (Place::new(), places(2));
    let db = place.open();
    db.back_up(&dirs[0]).unwrap();
    things(&db).insert(doc! { "_id": "early" }).unwrap();
    // The time is noted once a second.
    std::thread::sleep(Duration::from_millis(1_500));
    let between = SystemTime::now();
    // What comes next is later than that, by the log's clock too.
    std::thread::sleep(Duration::from_millis(100));
    things(&db).insert(doc! { "_id": "late" }).unwrap();
    db.back_up_since(&dirs[0], &dirs[1]).unwrap();
    drop(db);
    let restored = |until| {
        let (target, dir) = places(1);
        let made = restore(&dirs, &dir[0], until)?;
        let db = Database::builder().path(&dir[0]).create(false).open().unwrap();
        let found = ["early", "late"].map(|id| things(&db).exists(id).unwrap());
        drop((db, target));
        Ok::<_, RestoreError>((made, found))
    };
    let (made, found) = restored(Until::Time(between)).unwrap();
    assert!(found == [true, false] && made.as_of <= between, "{made:?}");
    assert_eq!(restored(Until::End).unwrap().1, [true, true]);
    let hour = Duration::from_secs(3_600);
    for outside in [SystemTime::now() + hour, SystemTime::now() - hour] {
        let error = restored(Until::Time(outside)).unwrap_err();
        assert!(matches!(&error, RestoreError::NotCovered { covered, .. } if covered.len() == 1), "{error}");
        assert!(error.to_string().contains("do not cover the time 2"), "{error}");
    }
}

/// The log that is kept for backups outlives closing and opening, as long as the setting says so.
#[test]
fn the_log_is_kept_from_one_opening_to_the_next() {
    for (kept, has_gap) in [(1 << 30, false), (0, true)] {
        let (place, (_places, dirs)) = (Place::new(), places(2));
        let open = || place.builder().backup_log_bytes(kept).open().unwrap();
        let db = open();
        db.back_up(&dirs[0]).unwrap();
        fill_more(&db);
        db.checkpoint().unwrap();
        db.close().unwrap();
        for _ in 0..2 {
            open().close().unwrap();
        }
        let db = open();
        fill(&db, 100);
        let made = db.back_up_since(&dirs[0], &dirs[1]).unwrap();
        assert_eq!(made.gap.is_some(), has_gap, "{made:?}");
        drop(db);
        let (_target, target) = places(1);
        restore(&dirs, &target[0], Until::End).unwrap();
        assert!(contents(&place.open()) == contents(&Database::open(&target[0]).unwrap()));
    }
}

#[test]
fn what_is_no_backup_or_no_place_for_a_store_is_refused_and_left_alone() {
    let (place, (_places, dirs)) = (Place::new(), places(3));
    let db = place.open();
    fill(&db, 20);
    db.back_up(&dirs[0]).unwrap();
    db.back_up_since(&dirs[0], &dirs[1]).unwrap();
    let before = [image(&dirs[0]), image(&dirs[1])];
    let previous = |dir: &PathBuf| match db.back_up_since(dir, &dirs[2]).unwrap_err() {
        Error::Backup { cause, .. } => match *cause {
            BackupError::Previous(error) => error,
            error => panic!("{error}"),
        },
        error => panic!("{error}"),
    };
    assert!(matches!(previous(&place.store), ChainError::NotABackup { .. }));
    assert!(matches!(previous(&dirs[2]), ChainError::Open(OpenError::Missing { .. })));
    assert!(!dirs[2].exists(), "no target was made");
    let refused = |chain: &[PathBuf], target: &PathBuf| restore(chain, target, Until::End).unwrap_err();
    assert!(matches!(refused(&dirs[1..2], &dirs[2]), RestoreError::Chain(ChainError::NotFull { .. })));
    let store = std::slice::from_ref(&place.store);
    assert!(matches!(refused(store, &dirs[2]), RestoreError::Chain(ChainError::NotABackup { .. })));
    assert!(!dirs[2].exists(), "no target was made");
    let error = refused(&dirs[..1], &dirs[1]);
    assert!(matches!(error, RestoreError::Target(OpenError::IsBackup { .. })), "{error}");
    let error = refused(&dirs[..1], &dirs[0]);
    assert!(matches!(error, RestoreError::Target(OpenError::Locked(_))), "{error}");
    let opening = Database::open(&dirs[1]).err().expect("it is no store");
    assert!(matches!(opening, Error::Open(OpenError::IsBackup { .. })), "{opening}");
    let verifying = verify(&dirs[1]).unwrap_err();
    assert!(matches!(verifying, OpenError::IsBackup { .. }), "{verifying}");
    assert!([image(&dirs[0]), image(&dirs[1])] == before);
    let copy = Database::open(&dirs[0]).unwrap();
    let error = refused(&dirs[..1], &dirs[2]);
    assert!(matches!(error, RestoreError::Chain(ChainError::Open(OpenError::Locked(_)))), "{error}");
    drop(copy);
}

/// A backup that takes long, and writers that go on: the time up to which it can be restored is not when it was done.
#[test]
fn what_was_acknowledged_by_a_time_is_there_or_the_time_is_not_covered() {
    let (place, (_places, dirs)) = (Place::new(), places(2));
    let db = place.builder().segment_bytes(4 << 20).checkpoint_bytes_per_second(4 << 20).open().unwrap();
    let bytes = db.keyspace("bytes").unwrap();
    for n in 0..3_000_u32 {
        bytes.put_with(&n.to_be_bytes(), &[7; 1_000], Durability::Buffered).unwrap();
    }
    let (done, written) = (AtomicBool::new(false), db.keyspace("written").unwrap());
    let (returned, acknowledged) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut acknowledged = Vec::new();
            // Relaxed: it ends the loop, and nothing is read because of it.
            while !done.load(Ordering::Relaxed) {
                let n = acknowledged.len() as u64;
                written.put_with(&n.to_be_bytes(), &[1; 1_000], Durability::Buffered).unwrap();
                acknowledged.push(SystemTime::now());
                // As much log as makes copying it take long, and no more.
                std::thread::sleep(Duration::from_micros(100));
            }
            acknowledged
        });
        db.back_up(&dirs[0]).unwrap();
        let returned = SystemTime::now();
        done.store(true, Ordering::Relaxed); // as above
        (returned, writer.join().unwrap())
    });
    let wanted = returned - Duration::from_millis(1_200);
    match restore(&dirs[..1], &dirs[1], Until::Time(wanted)) {
        Err(RestoreError::NotCovered { .. }) => {}
        Err(error) => panic!("{error}"),
        Ok(_) => {
            let restored = Database::builder().path(&dirs[1]).open().unwrap();
            let there = restored.keyspace("written").unwrap();
            let there = restored.snapshot().unwrap().keyspace(&there).unwrap().range::<&[u8]>(..).count();
            // The log notes the time once a second.
            let expected =
                acknowledged.iter().filter(|at| **at + Duration::from_millis(1_100) < wanted).count();
            assert!(there >= expected, "{there} of {expected}");
        }
    }
}
