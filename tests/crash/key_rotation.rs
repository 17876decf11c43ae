//! A crash while the key is changed, and what goes on meanwhile: one of the two keys opens the store, and nothing is lost.

use super::harness::{History, Opened, bytes, contents, copy, encrypted, open_with, outcomes, provider, put};
use crate::engine::error::{OpenError, RotateKeyError};
use crate::io::{CrashOutcome, SimulatedDisk};
use crate::log::batch::Write;
use crate::{Durability, Error};

/// A store with a checkpoint, and something behind it.
fn store() -> (SimulatedDisk, History) {
    let (disk, history) = (SimulatedDisk::new(1), History::with_checkpoints());
    let run = history.run_on_with(&disk, encrypted(1));
    assert!(run.error.is_none());
    (copy(&disk), history)
}

fn generations_in_file(disk: &SimulatedDisk) -> u8 {
    contents(disk)["keys"][12]
}

fn keys_known(opened: &Opened) -> (u8, u8) {
    let keys = opened.engine.log().unwrap().segments().keys().unwrap();
    (keys.oldest().get(), keys.current().0.get())
}

#[test]
fn from_then_on_the_new_key_opens_it() {
    let (disk, history) = store();
    let opened = open_with(&disk, encrypted(1)).unwrap();
    let checkpoint = opened.db.rotate_key(&provider(2)).unwrap();
    assert!(checkpoint.changed >= checkpoint.entries, "every key was written anew");
    assert!(checkpoint.entries > 50);
    assert_eq!((keys_known(&opened), generations_in_file(&disk)), ((2, 2), 1), "the old data key is gone");
    opened.commit(&[put("after", "1")], Durability::Sync).unwrap();
    let disk = disk.after_crash(CrashOutcome::DropAll);
    let old = open_with(&disk, encrypted(1)).err().expect("the old key is useless");
    assert!(matches!(old, OpenError::WrongKey { .. }), "{old}");
    let opened = open_with(&disk, encrypted(2)).unwrap();
    let mut state = opened.state();
    assert!(state.remove(&b"after"[..]).is_some());
    assert_eq!(state, *history.state(history.len()));
    // And once more, to the same key: the data key is another all the same.
    opened.db.rotate_key(&provider(2)).unwrap();
    assert_eq!(keys_known(&opened), (3, 3));
}

#[test]
fn a_crash_leaves_one_of_the_two_keys_good() {
    let (before, history) = store();
    let (mut at, mut crashed, mut opened_with) = (0, true, [0; 2]);
    while crashed {
        let disk = copy(&before);
        let opened = open_with(&disk, encrypted(1)).unwrap();
        disk.crash_after(at);
        let rotated = opened.db.rotate_key(&provider(2));
        crashed = disk.has_crashed();
        // A crash while what is not needed any more is given up is not the rotation's.
        assert!(rotated.is_ok() || crashed);
        for outcome in outcomes(&disk, at, false, 3) {
            let (after, context) = (disk.after_crash(outcome), format!("crash at {at}, {outcome:?}"));
            let (key, opened) = match open_with(&after, encrypted(2)) {
                Ok(opened) => (2, opened),
                Err(OpenError::WrongKey { .. }) if rotated.is_err() => {
                    (1, open_with(&after, encrypted(1)).unwrap())
                }
                Err(error) => panic!("{error}: {context}"),
            };
            opened_with[key - 1] += 1;
            assert_eq!(opened.state(), *history.state(history.len()), "{context}");
            opened.commit(&[put("x", "1")], Durability::Sync).unwrap();
            // What was begun is finished by the next checkpoint.
            opened.db.checkpoint().unwrap();
            let (oldest, newest) = keys_known(&opened);
            assert_eq!((oldest, generations_in_file(&after)), (newest, 1), "{context}");
            drop(opened);
            assert!(open_with(&after, encrypted(key as u8)).is_ok(), "{context}");
        }
        at += 1;
    }
    assert!(opened_with.iter().all(|&count| count > 20), "{opened_with:?} of {at}");
}

#[test]
fn a_large_transaction_that_began_before_keeps_the_old_data_key() {
    let (disk, _) = store();
    let opened = open_with(&disk, encrypted(1)).unwrap();
    let log = opened.engine.log().unwrap();
    let space = opened.engine.find(crate::engine::catalog::Kind::Keyspace, "k").unwrap();
    let large = bytes(1, 50_000);
    let prepared = log.prepare([Write { space, key: b"large", value: Some(&large) }].into_iter()).unwrap();
    opened.db.rotate_key(&provider(2)).unwrap();
    assert_eq!(keys_known(&opened), (1, 2));
    let (lsn, bytes) = (opened.engine.store().end().reserve(prepared.bytes()), prepared.bytes());
    log.publish(lsn, prepared).unwrap();
    log.wait_durable(lsn.plus(bytes)).unwrap();
    let after = disk.after_crash(CrashOutcome::DropAll);
    assert_eq!(open_with(&after, encrypted(2)).unwrap().state()[&b"large"[..]], large);
    let changed = opened.db.checkpoint().unwrap().unwrap().changed;
    assert_eq!((keys_known(&opened), changed), ((2, 2), 1), "the pages were new by then");
}

#[test]
fn writers_go_on() {
    let (disk, _) = store();
    let opened = open_with(&disk, encrypted(1)).unwrap();
    let last = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (opened, mut written) = (&opened, 0_u32);
                scope.spawn(move || {
                    while opened.engine.log().unwrap().segments().keys().unwrap().current().0.get() < 4 {
                        written += 1;
                        let value = written.to_string();
                        opened.commit(&[put([b'w', writer], value)], Durability::Buffered).unwrap();
                    }
                    written
                })
            })
            .collect();
        for key in 2..=4 {
            opened.db.rotate_key(&provider(key)).unwrap();
        }
        writers.into_iter().map(|writer| writer.join().unwrap()).collect::<Vec<_>>()
    });
    drop(opened);
    let state = open_with(&disk, encrypted(4)).unwrap().state();
    for (writer, written) in (0..).zip(last) {
        assert_eq!(state[&[b'w', writer][..]], written.to_string().into_bytes());
    }
}

#[test]
fn a_store_without_keys_has_none_to_change() {
    let disk = SimulatedDisk::new(1);
    let opened = super::harness::open(&disk).unwrap();
    let error = opened.db.rotate_key(&provider(1)).unwrap_err();
    assert!(matches!(error, Error::RotateKey(RotateKeyError::NotEncrypted)), "{error}");
    assert!(crate::Database::in_memory().rotate_key(&provider(1)).is_err());
    let (disk, _) = store();
    let opened = open_with(&disk, encrypted(1)).unwrap();
    let away = || Err(crate::KeyError::provider("away"));
    let error = opened.db.rotate_key(&away).unwrap_err();
    assert!(matches!(error, Error::RotateKey(RotateKeyError::Key(_))), "{error}");
    assert_eq!(keys_known(&opened), (1, 1));
}
