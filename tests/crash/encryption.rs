//! An encrypted store is made, opened with its key and with nothing else, and shows nothing of what it holds.

use super::harness::{History, Opened, contents, encrypted, open, open_with, outcomes, overwrite, put};
use crate::engine::config::{Config, Encryption};
use crate::engine::error::OpenError;
use crate::io::{CrashOutcome, Device, SimulatedDisk};
use crate::{Durability, KeyError};
use std::sync::Arc;

fn store() -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    let opened = open_with(&disk, encrypted(1)).unwrap();
    opened.commit(&[put("the key", "the value")], Durability::Sync).unwrap();
    drop(opened);
    disk
}

fn refused(opened: Result<Opened, OpenError>) -> OpenError {
    opened.err().expect("it does not open")
}

/// Nothing on the disk is another than before.
fn leaves_all(disk: &SimulatedDisk, open: impl FnOnce() -> Result<Opened, OpenError>) -> OpenError {
    let before = contents(disk);
    let error = refused(open());
    assert!(contents(disk) == before, "{error}");
    error
}

#[test]
fn only_its_key_opens_it() {
    let disk = store();
    assert_eq!(open_with(&disk, encrypted(1)).unwrap().state()[&b"the key"[..]], b"the value");

    let error = leaves_all(&disk, || open_with(&disk, encrypted(2)));
    assert!(matches!(&error, OpenError::WrongKey { file } if file.ends_with("keys")), "{error}");
    assert!(error.to_string().contains("the key is not the one of this store"), "{error}");

    let error = leaves_all(&disk, || open(&disk));
    assert!(matches!(&error, OpenError::KeyNeeded { .. }), "{error}");

    let away = || Err(KeyError::provider("the key service is away"));
    let config = Config { encryption: Some(Encryption(Arc::new(away))), ..encrypted(1) };
    let error = leaves_all(&disk, || open_with(&disk, config.clone()));
    assert_eq!(error.to_string(), "the key could not be had: the key service is away");
    let empty = SimulatedDisk::new(2);
    assert!(open_with(&empty, config).is_err() && empty.list().unwrap().is_empty(), "nor is it created");
}

#[test]
fn a_key_for_a_store_that_is_not_encrypted_is_refused() {
    let disk = SimulatedDisk::new(1);
    drop(open(&disk).unwrap());
    let error = leaves_all(&disk, || open_with(&disk, encrypted(1)));
    assert!(matches!(&error, OpenError::NotEncrypted { .. }), "{error}");
}

#[test]
fn without_its_keys_it_is_damaged() {
    let disk = store();
    disk.remove("keys").unwrap();
    let error = leaves_all(&disk, || open_with(&disk, encrypted(1)));
    assert!(matches!(&error, OpenError::Damaged { file, .. } if file.ends_with("keys")), "{error}");
    assert!(error.to_string().contains("missing"), "{error}");

    let disk = store();
    disk.corrupt("keys", 60, 1);
    let error = leaves_all(&disk, || open_with(&disk, encrypted(1)));
    assert!(matches!(&error, OpenError::Damaged { file, .. } if file.ends_with("keys")), "{error}");
}

/// Whoever writes to the files can say in the store file that there are no keys, with the right checksum: the log does not pass for plain.
#[test]
fn a_store_file_that_denies_it_is_found_out() {
    let disk = store();
    let mut file = contents(&disk)["store"].clone();
    assert_eq!(file[12], 1);
    file[12] = 0;
    let crc = crc32c::crc32c(&file[..40]);
    file[40..44].copy_from_slice(&crc.to_le_bytes());
    overwrite(&disk, "store", 0, &file);
    let error = refused(open(&disk));
    assert!(matches!(&error, OpenError::Log(crate::LogError::Unauthentic { .. })), "{error}");
}

#[test]
fn nothing_that_was_committed_can_be_read_in_the_log() {
    let disk = SimulatedDisk::new(1);
    let opened = open_with(&disk, encrypted(1)).unwrap();
    opened.commit(&[put("the key", "the value")], Durability::Sync).unwrap();
    // In chunks.
    opened.commit(&[put("large", "the value".repeat(10_000))], Durability::Sync).unwrap();
    drop(opened);
    for (name, bytes) in contents(&disk) {
        for text in ["the key", "the value"] {
            assert!(!bytes.windows(text.len()).any(|found| found == text.as_bytes()), "{text} in {name}");
        }
    }
    assert_eq!(open_with(&disk, encrypted(1)).unwrap().state().len(), 2);
}

#[test]
fn what_is_left_of_an_interrupted_creation_can_be_opened() {
    let whole = SimulatedDisk::new(0);
    drop(open_with(&whole, encrypted(1)).unwrap());
    for at in 0..whole.operations() {
        let disk = SimulatedDisk::new(at);
        disk.crash_after(at);
        if open_with(&disk, encrypted(1)).is_ok() {
            break;
        }
        for outcome in outcomes(&disk, at, true, 10) {
            let (after, context) = (disk.after_crash(outcome), format!("crash at {at}, {outcome:?}"));
            let opened = open_with(&after, encrypted(1)).unwrap_or_else(|error| panic!("{error}: {context}"));
            opened.commit(&[put("a", "1")], Durability::Sync).unwrap();
            let after = after.after_crash(CrashOutcome::DropAll);
            let written =
                open_with(&after, encrypted(1)).unwrap_or_else(|error| panic!("{error}: {context}"));
            assert_eq!(written.state().len(), 1, "{context}");
        }
    }
}

#[test]
fn a_backup_opens_with_the_same_key() {
    let (disk, target) = (store(), SimulatedDisk::new(2));
    let device: Arc<dyn Device> = Arc::new(target.clone());
    let opened = open_with(&disk, encrypted(1)).unwrap();
    opened.engine.back_up_on(None, &device).unwrap();
    opened.commit(&[put("later", "1")], Durability::Sync).unwrap();
    let copy = open_with(&target, encrypted(1)).unwrap();
    assert_eq!(copy.state().len(), 1);
    // Both go on at the same position, with the same data key: every nonce is recorded.
    copy.commit(&[put("later", "2")], Durability::Sync).unwrap();
    assert!(matches!(refused(open(&target)), OpenError::KeyNeeded { .. }));
}

#[test]
fn nothing_shows_the_provider_or_the_keys() {
    let config = encrypted(0xAB);
    let disk = SimulatedDisk::new(1);
    let opened = open_with(&disk, config.clone()).unwrap();
    let shown = format!("{config:?} {:?}", opened.engine.log().unwrap().segments().keys());
    assert!(shown.contains("Encryption(..)") && shown.contains("Keyring"), "{shown}");
    assert!(!shown.contains("171") && !shown.to_lowercase().contains("abab"), "{shown}");
}

/// Sessions that end in crashes, and positions that are used again each time; each nonce is recorded when it is used.
#[test]
fn no_nonce_is_used_twice_however_often_the_end_is_cut_off() {
    let history = History::short(4);
    let mut disk = SimulatedDisk::new(1);
    for round in 0..60 {
        let opened = open_with(&disk, encrypted(1)).unwrap();
        let end = opened.db.position();
        for number in 1..=history.len() {
            opened.commit(&history.writes(number), Durability::None).unwrap();
        }
        assert!(opened.db.position() > end);
        let mut outcomes = outcomes(&disk, round, false, 2);
        disk = disk.after_crash(outcomes.swap_remove(round as usize % outcomes.len()));
    }
    open_with(&disk, encrypted(1)).unwrap();
}
