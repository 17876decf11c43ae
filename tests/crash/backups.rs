//! Full backups: stores of their own, whole or none.

use super::chain::{back_up, open_copy};
use super::harness::{History, Opened, bytes, delete, open, put};
use crate::Durability;
use crate::checkpoint::PAGE_BYTES;
use crate::io::{CrashOutcome, Device, SimulatedDisk};

/// A store after a history with checkpoints, and some changes since.
fn store(disk: &SimulatedDisk) -> Opened {
    let (history, opened) = (History::with_checkpoints(), open(disk).unwrap());
    assert_eq!(history.run(&opened).error, None);
    opened.commit(&[put("more", bytes(1, 20_000)), delete("b")], Durability::Sync).unwrap();
    opened
}

#[test]
fn a_backup_is_the_store_at_its_position_and_goes_on_by_itself() {
    let (disk, target) = (SimulatedDisk::new(1), SimulatedDisk::new(2));
    let opened = store(&disk);
    let state = opened.state();
    let backup = back_up(&opened, None, &target).unwrap();
    opened.commit(&[put("later", "x")], Durability::Sync).unwrap();
    let target = target.after_crash(CrashOutcome::DropAll);
    for n in 0..3_u8 {
        let copy = open_copy(&target).unwrap();
        let mut found = copy.state();
        (0..n).for_each(|before| assert!(found.remove(&vec![before]).is_some()));
        assert_eq!(found, state);
        assert_eq!(copy.db.recovery().checkpoint, backup.checkpoint);
        copy.commit(&[put([n], "y")], Durability::Sync).unwrap();
    }
    drop(opened);
    assert!(open(&disk).unwrap().state().contains_key(&b"later"[..]));
}

/// The transaction has chunks in the log before the backup, and commits after it.
#[test]
fn what_commits_later_is_not_in_it() {
    let (disk, target) = (SimulatedDisk::new(1), SimulatedDisk::new(2));
    let opened = store(&disk);
    let state = opened.state();
    let log = opened.engine.log().unwrap();
    let large = bytes(9, 200_000);
    let space = opened.engine.find(crate::engine::catalog::Kind::Keyspace, "k").unwrap();
    let write = crate::log::batch::Write { space, key: b"large", value: Some(&large) };
    let prepared = log.prepare([write].into_iter()).unwrap();
    back_up(&opened, None, &target).unwrap();
    let bytes = prepared.bytes();
    let lsn = opened.engine.store().end().reserve(bytes);
    log.publish(lsn, prepared).unwrap();
    log.wait_durable(lsn.plus(bytes)).unwrap();
    assert_eq!(open_copy(&target).unwrap().state(), state);
    drop(opened);
    assert_eq!(
        open(&disk).unwrap().state().get(&b"large"[..]),
        Some(&large),
        "its chunks were left in the log"
    );
}

#[test]
fn a_power_loss_at_the_target_leaves_all_or_no_store() {
    let source = SimulatedDisk::new(1);
    let opened = store(&source);
    let state = opened.state();
    let (mut crashed, mut at, mut whole) = (true, 0, 0);
    while crashed {
        let target = SimulatedDisk::new(at);
        target.crash_after(at);
        let made = back_up(&opened, None, &target);
        crashed = target.has_crashed();
        assert_eq!(made.is_err(), crashed, "crash at {at}");
        for outcome in [CrashOutcome::DropAll, CrashOutcome::KeepAll, CrashOutcome::Random(at)] {
            if let Some(copy) = open_copy(&target.after_crash(outcome)) {
                assert_eq!(copy.state(), state, "crash at {at}, {outcome:?}");
                whole += 1;
            } else {
                assert!(crashed, "{outcome:?}");
            }
        }
        at += 1;
    }
    assert!(at > 40 && whole >= 4, "{at} operations, {whole} whole");
}

#[test]
fn damage_is_not_copied() {
    let (disk, target) = (SimulatedDisk::new(1), SimulatedDisk::new(2));
    let opened = store(&disk);
    opened.db.checkpoint().unwrap();
    // Whichever of the pages are in use, but for the first of each file.
    for file in disk.list().unwrap().iter().filter(|name| name.starts_with("pages-")) {
        (1..8).for_each(|page| disk.corrupt(file, page * PAGE_BYTES as u64 + 500, 1));
    }
    let error = back_up(&opened, None, &target).unwrap_err().to_string();
    assert!(error.contains("`pages-00000000000") && error.contains("checksum"), "{error}");
    assert!(open_copy(&target).is_none());
}
