//! Files that are missing, of another store, of another length or of a newer version: refused by name, and left as they are.

use super::harness::{History, config, contents, open, open_with};
use crate::engine::config::Config;
use crate::engine::error::OpenError;
use crate::io::{AlignedBuf, BLOCK, Device, SimulatedDisk};
use crate::log::segment::{Geometry, encode_header};

const FIRST: &str = "log-000000000000";
const SECOND: &str = "log-000000000001";
const VERSION_AT: u64 = 8;

fn store() -> SimulatedDisk {
    let (history, disk) = (History::standard(), SimulatedDisk::new(1));
    assert_eq!(history.run_on(&disk).acknowledged, history.len());
    disk
}

/// The store does not open; returns why. Nothing is changed by the attempt.
fn refusal(disk: &SimulatedDisk) -> OpenError {
    let before = contents(disk);
    let error = open(disk).err().expect("the store is not whole");
    let without_creating = open_with(disk, Config { create: false, ..config() }).err();
    let without_creating = without_creating.expect("the store is not whole");
    assert_eq!(error.to_string(), without_creating.to_string(), "whether it is to be created or not");
    assert!(contents(disk) == before, "something was changed: {error}");
    error
}

fn assert_damaged(disk: &SimulatedDisk, name: &str, why: &str) {
    let error = refusal(disk);
    let OpenError::Damaged { file, what } = &error else { panic!("{error}") };
    assert!(file.ends_with(name) && what.contains(why), "{error}");
}

fn overwrite_header(disk: &SimulatedDisk, name: &str, block: &[u8]) {
    let mut buffer = AlignedBuf::zeroed(BLOCK);
    buffer.copy_from_slice(block);
    disk.open(name).unwrap().write_durable(0, &[&buffer]).unwrap();
}

#[test]
fn a_segment_without_its_header() {
    for name in [FIRST, SECOND] {
        let disk = store();
        overwrite_header(&disk, name, &[0; BLOCK]);
        assert_damaged(&disk, name, "header");
    }
}

#[test]
fn a_segment_of_another_store_or_place() {
    let disk = store();
    let geometry = Geometry { segment_bytes: contents(&disk)[FIRST].len() as u64 };
    overwrite_header(&disk, SECOND, &encode_header(&[7; 16], 1, geometry));
    assert_damaged(&disk, SECOND, "header");
    let disk = store();
    let first = contents(&disk)[FIRST][..BLOCK].to_vec();
    overwrite_header(&disk, SECOND, &first);
    assert_damaged(&disk, SECOND, "header");
}

#[test]
fn segments_that_changed_places() {
    let disk = store();
    disk.rename(FIRST, "swap").unwrap();
    disk.rename(SECOND, FIRST).unwrap();
    disk.rename("swap", SECOND).unwrap();
    assert_damaged(&disk, FIRST, "header");
}

#[test]
fn a_missing_segment() {
    for name in [FIRST, SECOND] {
        let disk = store();
        disk.remove(name).unwrap();
        assert_damaged(&disk, name, "missing");
    }
}

#[test]
fn no_segment_at_all() {
    let disk = store();
    for name in disk.list().unwrap().iter().filter(|name| name.starts_with("log")) {
        disk.remove(name).unwrap();
    }
    assert_damaged(&disk, FIRST, "missing");
}

#[test]
fn a_segment_of_another_length() {
    let disk = store();
    disk.remove(SECOND).unwrap();
    drop(disk.create_zeroed(SECOND, 2 * BLOCK as u64).unwrap());
    assert_damaged(&disk, SECOND, "length");
}

#[test]
fn a_log_without_its_store_file() {
    let disk = store();
    disk.remove("store").unwrap();
    assert_damaged(&disk, "store", "missing");
}

#[test]
fn a_log_whose_first_segment_and_store_file_are_missing() {
    let disk = store();
    disk.remove("store").unwrap();
    disk.remove(FIRST).unwrap();
    drop(disk.create_zeroed(FIRST, 2 * BLOCK as u64).unwrap());
    assert_damaged(&disk, "store", "missing");
}

#[test]
fn a_store_file_of_the_wrong_kind() {
    let disk = store();
    overwrite_header(&disk, "store", &[0; BLOCK]);
    assert_damaged(&disk, "store", "begin");
    let disk = store();
    disk.corrupt("store", 20, 1);
    assert_damaged(&disk, "store", "checksum");
}

#[test]
fn a_newer_version() {
    for name in ["store", FIRST, SECOND] {
        let disk = store();
        disk.corrupt(name, VERSION_AT, 0b110);
        let error = refusal(&disk);
        assert!(
            matches!(&error, OpenError::Newer { file, found: 7, supported: 1 } if file.ends_with(name)),
            "{error}"
        );
    }
}

#[test]
fn an_empty_disk_when_nothing_is_to_be_created() {
    let disk = SimulatedDisk::new(1);
    let error = open_with(&disk, Config { create: false, ..config() }).err().expect("there is no store");
    assert!(matches!(&error, OpenError::Missing { .. }), "{error}");
    assert_eq!(disk.operations(), 0, "nothing was done");
}
