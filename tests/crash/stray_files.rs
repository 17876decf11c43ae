//! Files whose numbers are far beyond those of all others: whoever looks at them does not count up to there.

use super::chain::device;
use super::harness::*;
use crate::engine::salvage::salvage_on;
use crate::engine::verify::verify_on;
use crate::io::{Device, SimulatedDisk};
use std::path::Path;

fn store() -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    History::with_checkpoints().run_on(&disk);
    disk
}

#[test]
fn a_segment_far_behind_the_last_is_found_out() {
    for number in [1_000, 999_999_999_999_u64] {
        let disk = store();
        disk.create(&format!("log-{number:012}"), 4096).unwrap();
        let error = open(&copy(&disk)).err().unwrap().to_string();
        assert!(error.contains("log-"), "{error}");
        let found = verify_on(&device(&disk), Path::new("disk"), &config()).unwrap();
        assert!(!found.is_sound());
    }
}

#[test]
fn a_file_of_pages_far_behind_the_last_is_not_counted_up_to() {
    let disk = store();
    for name in disk.list().unwrap().iter().filter(|name| name.starts_with("manifest-")) {
        disk.remove(name).unwrap();
    }
    disk.create("pages-999999999999", 8192).unwrap();
    let target = open(&SimulatedDisk::new(5)).unwrap();
    let made = salvage_on(&device(&disk), Path::new("disk"), &target.engine).unwrap();
    assert!(!made.is_complete());
    assert!(!target.state().is_empty());
}
