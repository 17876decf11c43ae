//! An encrypted store with compressed pages, and everything that is done to stores: backups and what they are restored to, verifying, salvage, changes of the
//! key.

use super::chain::{Chained, back_up, descriptor, device, keeping_log, restore_with};
use super::harness::*;
use super::hostile_frames::{FILE, Raw, with};
use crate::checkpoint::PAGE_BYTES;
use crate::engine::config::Config;
use crate::engine::error::{BackupError, ChainError};
use crate::engine::restore::Until;
use crate::engine::salvage::salvage_on;
use crate::io::{BLOCK, Fault, SimulatedDisk};
use crate::log::frame::HEADER_BYTES;
use crate::{Durability, Lsn};
use std::path::Path;

fn sealed() -> Config {
    with_key(1)
}

fn with_key(key: u8) -> Config {
    Config { backup_log_bytes: u64::MAX, ..sealed_pages_of(key) }
}

#[test]
fn a_chain_is_restored_to_each_commit() {
    let mut chained = Chained::standard(sealed());
    chained.commit(&[put("more", bytes(3, 30_000))]);
    chained.back_up();
    let covered = chained.made[0].checkpoint..=chained.made.last().unwrap().position;
    let mut restored = 0;
    for (lsn, state) in &chained.states {
        let position = Lsn::new(lsn.get() + 8);
        if covered.contains(&position) {
            let target = SimulatedDisk::new(77);
            restore_with(&chained.backups, &target, Until::Position(position), &sealed()).unwrap();
            assert!(open_with(&copy(&target), config()).is_err(), "it needs the key");
            let found = open_with(&target, sealed()).unwrap();
            assert!(found.state() == *state, "{position}");
            found.commit(&[put("own", "1")], Durability::Sync).unwrap();
            found.db.checkpoint().unwrap();
            assert!(found.db.verify().unwrap().is_sound());
            restored += 1;
        }
    }
    assert!(restored > 5, "{restored}");
}

#[test]
fn after_a_change_of_the_key_the_next_backup_is_a_full_one() {
    for keeps_log in [false, true] {
        let config = Config { backup_log_bytes: if keeps_log { u64::MAX } else { 0 }, ..sealed() };
        let [disk, full, other] = [1, 2, 3].map(SimulatedDisk::new);
        let opened = open_with(&disk, config.clone()).unwrap();
        opened.commit(&[put("a", "1")], Durability::Sync).unwrap();
        back_up(&opened, None, &full).unwrap();
        let before = opened.state();
        opened.db.rotate_key(&provider(2)).unwrap();
        opened.commit(&[put("a", "2")], Durability::Sync).unwrap();
        let refused = back_up(&opened, Some(&full), &SimulatedDisk::new(4));
        assert!(matches!(refused, Err(BackupError::Previous(ChainError::OtherKey { .. }))), "{refused:?}");
        back_up(&opened, None, &other).unwrap();
        assert_ne!(descriptor(&full).keys, descriptor(&other).keys);
        for (backup, key, state) in [(&full, 1, before), (&other, 2, opened.state())] {
            let target = SimulatedDisk::new(77);
            let wrong = restore_with([backup], &SimulatedDisk::new(78), Until::End, &with_key(3 - key));
            assert!(wrong.unwrap_err().to_string().contains("key"));
            restore_with([backup], &target, Until::End, &with_key(key)).unwrap();
            assert!(open_with(&target, with_key(key)).unwrap().state() == state);
        }
    }
}

/// A checksum vouches for a page alone: one that somebody changed, or that a disk lost the last write of, is found by its seal and by the links to it.
#[test]
fn a_full_backup_that_is_made_opens() {
    for config in [sealed(), config()] {
        let disk = SimulatedDisk::new(0);
        assert_eq!(History::with_checkpoints().run_on_with(&disk, config.clone()).error, None);
        let id = contents(&disk)["store"][16..32].to_vec();
        let (mut made, mut refused) = (0, 0);
        for (name, content) in contents(&disk).iter().filter(|(name, _)| name.starts_with("pages-")) {
            for number in 1..content.len() / PAGE_BYTES {
                let disk = copy(&disk);
                let mut page = content[number * PAGE_BYTES..][..PAGE_BYTES].to_vec();
                if page.iter().all(|byte| *byte == 0) {
                    continue;
                }
                let opened = open_with(&disk, config.clone()).unwrap();
                page[60] ^= 1;
                seal_page(&mut page, &id);
                overwrite(&disk, name, number * PAGE_BYTES, &page);
                let target = SimulatedDisk::new(9);
                match back_up(&opened, None, &target) {
                    Err(_) => refused += 1,
                    Ok(_) => {
                        open_with(&target, config.clone()).unwrap();
                        made += 1;
                    }
                }
            }
        }
        assert!(made > 0 && refused > 0, "{made} {refused}");
    }
}

#[test]
fn what_is_behind_the_wanted_position_is_nobodys_business() {
    for config in [keeping_log(), sealed()] {
        let is_sealed = config.encryption.is_some();
        let mut chained = Chained::new(config.clone());
        chained.commit(&[put("a", "1")]);
        chained.back_up();
        chained.commit(&[put("a", "2")]);
        let wanted = chained.opened.db.position();
        let last = chained.commit(&[put("b", bytes(1, 100))]);
        chained.commit(&[put("c", bytes(2, 100))]);
        chained.back_up();
        let disk = chained.backups.last().unwrap();
        let mut changed = Raw::read(&contents(disk)[FILE], BLOCK + last.get() as usize);
        changed.bytes[HEADER_BYTES + 20] ^= 1;
        let changed = if is_sealed { changed.sealed() } else { changed };
        *chained.backups.last_mut().unwrap() = with(disk, &changed);
        let restored = |until| restore_with(&chained.backups, &SimulatedDisk::new(77), until, &config);
        let made = restored(Until::Position(wanted)).unwrap();
        assert_eq!(made.position, wanted, "sealed: {is_sealed}");
        let refused = restored(Until::Position(Lsn::new(last.get() + 8))).unwrap_err().to_string();
        assert!(refused.contains(FILE), "{refused}");
    }
}

#[test]
fn it_is_salvaged_and_verified_as_any_other() {
    let (disk, history) = (SimulatedDisk::new(0), History::with_checkpoints());
    assert_eq!(history.run_on_with(&disk, sealed()).error, None);
    let target = open_with(&SimulatedDisk::new(5), sealed()).unwrap();
    let made = salvage_on(&device(&disk), Path::new("disk"), &target.engine).unwrap();
    assert!(made.is_complete() && target.state() == *history.state(history.len()));
    assert!(open_with(&copy(&disk), sealed()).unwrap().db.verify().unwrap().is_sound());
}

#[test]
fn a_fault_in_any_operation_of_a_change_of_the_key_leaves_one_of_the_two_good() {
    let disk = SimulatedDisk::new(0);
    assert_eq!(History::with_checkpoints().run_on_with(&disk, sealed()).error, None);
    for fault in [Fault::WriteEio, Fault::FlushEio, Fault::NoSpace, Fault::ReadEio] {
        for repeat in REPEATS {
            let (mut at, mut struck) = (0, true);
            while struck {
                let disk = copy(&disk);
                let opened = open_with(&disk, sealed()).unwrap();
                let state = opened.state();
                disk.fail(at, fault, repeat);
                let _ = opened.db.rotate_key(&provider(2));
                struck = disk.faults_struck() > 0;
                disk.mend();
                let is_read_only = opened.db.stats().read_only.is_some();
                if !is_read_only {
                    opened.db.rotate_key(&provider(3)).unwrap();
                }
                drop(opened);
                let opens =
                    |key: &u8| open_with(&copy(&disk), with_key(*key)).is_ok_and(|o| o.state() == state);
                let keys: Vec<u8> = (1..=3).filter(opens).collect();
                assert!(
                    keys.len() == 1 && (is_read_only || keys == [3]),
                    "{fault:?} {repeat:?} {at}: {keys:?}"
                );
                at += 1;
            }
        }
    }
}
