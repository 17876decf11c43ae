//! Files whose numbers are far beyond those of all others: whoever looks at them does not count up to there.

use super::chain::device;
use super::harness::*;
use crate::engine::config::Config;
use crate::engine::salvage::salvage_on;
use crate::engine::verify::verify_on;
use crate::io::{Device, SimulatedDisk};
use std::path::Path;

/// Of the names that there can be.
const GREATEST: u64 = 999_999_999_999;

fn store() -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    History::with_checkpoints().run_on(&disk);
    disk
}

fn store_without_manifest() -> SimulatedDisk {
    let disk = store();
    for name in disk.list().unwrap().iter().filter(|name| name.starts_with("manifest-")) {
        disk.remove(name).unwrap();
    }
    disk
}

#[test]
fn a_segment_far_behind_the_last_is_found_out() {
    for (number, disk) in [(1_000, store()), (GREATEST, store()), (GREATEST, store_without_manifest())] {
        disk.create(&format!("log-{number:012}"), 4096).unwrap();
        let error = open(&copy(&disk)).err().unwrap().to_string();
        assert!(error.contains("log-"), "{error}");
        let found = verify_on(&device(&disk), Path::new("disk"), &config()).unwrap();
        assert!(!found.is_sound());
    }
}

/// Its positions would be beyond those that are counted.
#[test]
fn a_segment_that_no_log_reaches_is_found_out() {
    let config = Config { segment_bytes: 8 << 20, ..config() };
    let disk = SimulatedDisk::new(1);
    drop(open_with(&disk, config.clone()).unwrap());
    disk.create(&format!("log-{GREATEST:012}"), 4096).unwrap();
    assert!(open_with(&copy(&disk), config.clone()).is_err());
    let found = verify_on(&device(&disk), Path::new("disk"), &config).unwrap();
    assert!(!found.is_sound());
}

#[test]
fn a_file_of_pages_far_behind_the_last_is_not_counted_up_to() {
    let disk = store_without_manifest();
    disk.create("pages-999999999999", 8192).unwrap();
    let target = open(&SimulatedDisk::new(5)).unwrap();
    let made = salvage_on(&device(&disk), Path::new("disk"), &target.engine).unwrap();
    assert!(!made.is_complete());
    assert!(!target.state().is_empty());
}
