//! The simulated disk does what it says, and the devices' loop stands up to it.

mod unflushed;

use super::*;
use crate::io::{AlignedBuf, BLOCK, BlockFile, Device, IoError, IoOperation, contract};
use std::collections::BTreeSet;
use std::io::ErrorKind;

const BYTES: u64 = 4 * BLOCK as u64;

fn blocks(count: usize, value: u8) -> AlignedBuf {
    let mut buffer = AlignedBuf::zeroed(count * BLOCK);
    buffer.fill(value);
    buffer
}

fn contents(disk: &SimulatedDisk, name: &str) -> Vec<u8> {
    let file = disk.open(name).unwrap();
    let mut bytes = vec![0xEE; file.len() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

/// A disk with one file of zeros, and that file.
fn disk_with_file(seed: u64) -> (SimulatedDisk, Box<dyn BlockFile>) {
    let disk = SimulatedDisk::new(seed);
    let file = disk.create_zeroed("f", BYTES).unwrap();
    (disk, file)
}

/// A write of ones to the first block, cut off in its flush.
fn disk_with_unflushed_block(seed: u64) -> SimulatedDisk {
    let (disk, file) = disk_with_file(seed);
    disk.crash_after(1);
    file.write_durable(0, &[&blocks(1, 1)]).unwrap_err();
    disk
}

#[test]
fn keeps_the_contract() {
    contract::check(&SimulatedDisk::new(1));
}

#[test]
fn keeps_the_contract_with_every_write_short_or_interrupted() {
    for seed in 0..4 {
        let disk = SimulatedDisk::new(seed);
        let fault = if seed % 2 == 0 { Fault::ShortWrite } else { Fault::Interrupted };
        disk.fail(0, fault, Repeat::Forever);
        contract::check(&disk);
    }
}

#[test]
fn every_subset_of_the_sectors_of_a_cut_off_write_is_found_after_a_crash() {
    let disk = disk_with_unflushed_block(7);
    assert_eq!(disk.unflushed(), BLOCK / 512);
    for mask in 0..1 << disk.unflushed() {
        let found = contents(&disk.after_crash(CrashOutcome::Subset(mask)), "f");
        for (index, sector) in found.chunks(512).enumerate() {
            let expected = if index < 8 && mask >> index & 1 == 1 { 1 } else { 0 };
            assert!(sector.iter().all(|&byte| byte == expected), "mask {mask:b}, sector {index}");
        }
    }
    let all = contents(&disk.after_crash(CrashOutcome::KeepAll), "f");
    assert_eq!(all[..BLOCK], blocks(1, 1)[..]);
    assert!(contents(&disk.after_crash(CrashOutcome::DropAll), "f").iter().all(|&byte| byte == 0));
}

#[test]
fn a_random_crash_keeps_drops_and_tears_sectors_and_repeats_itself() {
    let disk = disk_with_unflushed_block(7);
    let mut kinds = BTreeSet::new();
    for seed in 0..50 {
        let found = contents(&disk.after_crash(CrashOutcome::Random(seed)), "f");
        assert_eq!(found, contents(&disk.after_crash(CrashOutcome::Random(seed)), "f"), "seed {seed}");
        assert!(found[BLOCK..].iter().all(|&byte| byte == 0), "what was not written is not touched");
        for sector in found[..BLOCK].chunks(512) {
            let switches = sector.windows(2).filter(|pair| pair[0] != pair[1]).count();
            assert!(switches <= 1 && sector.iter().all(|&byte| byte <= 1), "seed {seed}");
            kinds.insert((sector[0], sector[511]));
        }
    }
    assert_eq!(kinds.len(), 4, "old, new, and torn both ways: {kinds:?}");
    let garbage = (0..50).any(|seed| {
        contents(&disk.after_crash(CrashOutcome::Garbage(seed)), "f")[..BLOCK].iter().any(|&byte| byte > 1)
    });
    assert!(garbage);
}

/// A short history, cut off in each of its operations: what was acknowledged is there after any crash.
#[test]
fn what_was_acknowledged_survives_a_crash_in_any_operation() {
    let history = |disk: &SimulatedDisk| -> usize {
        let mut acknowledged = 0;
        let mut steps = || -> Result<(), IoError> {
            let file = disk.create_zeroed("a", BYTES)?;
            acknowledged += 1;
            file.write_durable(0, &[&blocks(1, 1), &blocks(1, 2)])?;
            acknowledged += 1;
            disk.rename("a", "b")?;
            acknowledged += 1;
            file.write_durable(BLOCK as u64, &[&blocks(1, 3)])?;
            acknowledged += 1;
            disk.remove("b")?;
            acknowledged += 1;
            Ok(())
        };
        assert_eq!(steps().is_err(), disk.has_crashed(), "nothing fails but by the crash");
        acknowledged
    };
    let whole = SimulatedDisk::new(0);
    assert_eq!(history(&whole), 5);
    let operations = whole.operations();
    assert_eq!(operations, 4 + 2 + 2 + 2 + 2, "writes, flushes, changes of names and their flushes");
    for crash_at in 0..operations {
        let disk = SimulatedDisk::new(crash_at);
        disk.crash_after(crash_at);
        let acknowledged = history(&disk);
        assert!(disk.has_crashed());
        let outcomes =
            (0..40).map(CrashOutcome::Random).chain([CrashOutcome::KeepAll, CrashOutcome::DropAll]);
        for outcome in outcomes {
            let after = disk.after_crash(outcome);
            check_history(&after, acknowledged, &format!("crash at {crash_at}, {outcome:?}"));
        }
    }
}

/// Checks that steps `0..acknowledged` of the history above are there, and the next one in part at most.
fn check_history(disk: &SimulatedDisk, acknowledged: usize, context: &str) {
    let names = disk.list().unwrap();
    let possible: &[&[&str]] = match acknowledged {
        0 => &[&[], &["a"]],
        1 => &[&["a"]],
        2 => &[&["a"], &["b"]],
        3 => &[&["b"]],
        4 => &[&["b"], &[]],
        _ => &[&[]],
    };
    assert!(possible.iter().any(|list| *list == names), "{names:?}: {context}");
    let Some(name) = names.first() else { return };
    let found = contents(disk, name);
    let (first, second) = (&found[..BLOCK], &found[BLOCK..2 * BLOCK]);
    assert!(found[2 * BLOCK..].iter().all(|&byte| byte == 0), "{context}");
    match acknowledged {
        0 => assert!(found.iter().all(|&byte| byte == 0), "a named file is whole: {context}"),
        1 => {
            assert!(first.iter().all(|&byte| byte <= 1) && second.iter().all(|&byte| byte == 0 || byte == 2))
        }
        2 => {
            assert!(first.iter().all(|&byte| byte == 1) && second.iter().all(|&byte| byte == 2), "{context}")
        }
        3 => {
            assert!(first.iter().all(|&byte| byte == 1) && second.iter().all(|&byte| byte == 2 || byte == 3))
        }
        _ => {
            assert!(first.iter().all(|&byte| byte == 1) && second.iter().all(|&byte| byte == 3), "{context}")
        }
    }
}

#[test]
fn a_name_that_was_not_flushed_may_be_lost_or_kept() {
    let (disk, _file) = disk_with_file(3);
    disk.crash_after(1);
    let error = disk.rename("f", "g").unwrap_err();
    assert_eq!(error.operation(), IoOperation::Flush);
    assert_eq!(disk.unflushed(), 1);
    assert_eq!(disk.after_crash(CrashOutcome::Subset(0)).list().unwrap(), ["f"]);
    assert_eq!(disk.after_crash(CrashOutcome::Subset(1)).list().unwrap(), ["g"]);
}

#[test]
fn after_the_power_failed_nothing_works() {
    let (disk, file) = disk_with_file(3);
    disk.crash_after(0);
    file.write_durable(0, &[&blocks(1, 1)]).unwrap_err();
    let count = disk.operations();
    let block = blocks(1, 1);
    let errors = [
        file.write_durable(0, &[&block]).unwrap_err(),
        file.read_at(0, &mut [0; 8]).unwrap_err(),
        disk.rename("f", "g").unwrap_err(),
        disk.remove("f").unwrap_err(),
        disk.create_zeroed("g", BYTES).err().unwrap(),
    ];
    for error in errors {
        assert!(error.to_string().contains("power loss, seed 3"), "{error}");
    }
    assert_eq!(disk.operations(), count);
}

#[test]
fn each_fault_is_reported_by_the_operation_it_strikes_and_ends_when_it_is_to() {
    let write = |file: &dyn BlockFile| file.write_durable(0, &[&blocks(2, 1)]);
    for (fault, operation) in [
        (Fault::WriteEio, IoOperation::Write),
        (Fault::NoSpace, IoOperation::Write),
        (Fault::FlushEio, IoOperation::Flush),
    ] {
        let (disk, file) = disk_with_file(11);
        disk.fail(2, fault, Repeat::Once);
        write(&*file).unwrap();
        let error = write(&*file).unwrap_err();
        assert_eq!(error.operation(), operation);
        assert!(error.to_string().contains("seed 11"), "{error}");
        write(&*file).unwrap();
        disk.fail(0, fault, Repeat::Forever);
        assert!((0..5).all(|_| write(&*file).is_err()));
    }
    let (disk, file) = disk_with_file(11);
    disk.fail(0, Fault::ReadEio, Repeat::Once);
    write(&*file).unwrap();
    assert_eq!(file.read_at(8, &mut [0; 8]).unwrap_err().offset(), Some(8));
    file.read_at(8, &mut [0; 8]).unwrap();
}

#[test]
fn a_failed_flush_loses_data_that_the_cache_still_shows_and_a_later_flush_does_not_save() {
    let lost = (0..20).any(|seed| {
        let (disk, file) = disk_with_file(seed);
        disk.fail(0, Fault::FlushEio, Repeat::Once);
        file.write_durable(0, &[&blocks(1, 1)]).unwrap_err();
        file.write_durable(BLOCK as u64, &[&blocks(1, 2)]).unwrap();
        assert_eq!(contents(&disk, "f")[..BLOCK], blocks(1, 1)[..], "seed {seed}");
        assert_eq!(disk.unflushed(), 0, "seed {seed}");
        contents(&disk.after_crash(CrashOutcome::KeepAll), "f")[..BLOCK] != blocks(1, 1)[..]
    });
    assert!(lost);
}

#[test]
fn a_full_disk_refuses_new_files_takes_none_of_its_space_and_lets_old_ones_be_written() {
    let (disk, file) = disk_with_file(5);
    disk.set_capacity_bytes(BYTES as usize + 2 * BLOCK);
    for _ in 0..3 {
        let error = disk.create_zeroed("g", BYTES).err().unwrap();
        assert_eq!((error.kind(), error.offset()), (ErrorKind::StorageFull, Some(2 * BLOCK as u64)));
        assert!(error.to_string().contains("free some space"), "{error}");
    }
    assert_eq!(disk.list().unwrap(), ["f"]);
    file.write_durable(0, &[&blocks(4, 1)]).unwrap();
    disk.create_zeroed("g", 2 * BLOCK as u64).unwrap();
    disk.remove("f").unwrap();
    disk.create_zeroed("h", BYTES).unwrap();
    let after = disk.after_crash(CrashOutcome::DropAll);
    assert_eq!(after.create_zeroed("i", BYTES).err().unwrap().kind(), ErrorKind::StorageFull);
}

#[test]
fn flipped_bits_are_there_before_and_after_a_crash() {
    let (disk, _file) = disk_with_file(5);
    disk.corrupt("f", 1000, 0b101);
    for disk in [disk.clone(), disk.after_crash(CrashOutcome::DropAll)] {
        let found = contents(&disk, "f");
        assert_eq!(found.iter().map(|byte| u32::from(*byte)).sum::<u32>(), 5);
        assert_eq!(found[1000], 5);
    }
}

#[test]
fn a_held_write_has_done_nothing_and_goes_on_when_it_is_let() {
    let (disk, file) = disk_with_file(5);
    disk.block_writes();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3_u64)
            .map(|n| {
                let file = &file;
                scope.spawn(move || file.write_durable(n * BLOCK as u64, &[&blocks(1, 9)]))
            })
            .collect();
        disk.wait_for_blocked_writers(3);
        assert!(contents(&disk, "f").iter().all(|&byte| byte == 0), "reads go on, and see nothing");
        disk.unblock_writes();
        writers.into_iter().for_each(|writer| writer.join().unwrap().unwrap());
    });
    assert_eq!(contents(&disk, "f")[..3 * BLOCK], blocks(3, 9)[..]);
}
