//! Files that grow as they are written, and writes that a later flush makes durable, as crashes and faults find them.

use super::*;

const LEN: usize = BYTES as usize;

/// The contents of `f` after a power loss.
fn lost_power(disk: &SimulatedDisk, outcome: CrashOutcome) -> Vec<u8> {
    contents(&disk.after_crash(outcome), "f")
}

#[test]
fn what_was_written_is_lost_or_kept_until_it_is_flushed() {
    let (disk, file) = disk_with_file(3);
    file.write(BLOCK as u64, &[&blocks(1, 1), &blocks(1, 2)]).unwrap();
    let new = [&blocks(1, 0)[..], &blocks(1, 1), &blocks(1, 2), &blocks(1, 0)].concat();
    assert_eq!(contents(&disk, "f"), new);
    assert_eq!(disk.unflushed(), 2 * BLOCK / 512);
    assert_eq!(lost_power(&disk, CrashOutcome::DropAll), [0; LEN]);
    assert_eq!(lost_power(&disk, CrashOutcome::KeepAll), new);
    disk.open("f").unwrap().flush().unwrap();
    assert_eq!(disk.unflushed(), 0);
    assert_eq!(lost_power(&disk, CrashOutcome::DropAll), new);
}

#[test]
fn a_durable_write_leaves_the_others_to_their_flush() {
    let (disk, file) = disk_with_file(3);
    file.write(0, &[&blocks(3, 1)]).unwrap();
    file.write_durable(BLOCK as u64, &[&blocks(1, 2)]).unwrap();
    let found = lost_power(&disk, CrashOutcome::DropAll);
    assert_eq!(found, [&blocks(1, 0)[..], &blocks(1, 2), &blocks(2, 0)].concat());
    file.flush().unwrap();
    let found = lost_power(&disk, CrashOutcome::DropAll);
    assert_eq!(found, [&blocks(1, 1)[..], &blocks(1, 2), &blocks(1, 1), &blocks(1, 0)].concat());
}

#[test]
fn zeros_are_durable_at_once() {
    let (disk, file) = disk_with_file(3);
    file.write(0, &[&blocks(4, 1)]).unwrap();
    file.zero_fill().unwrap();
    assert_eq!(lost_power(&disk, CrashOutcome::DropAll), [0; LEN]);
}

#[test]
fn a_flush_covers_no_other_file() {
    let (disk, file) = disk_with_file(3);
    let other = disk.create("g", BYTES).unwrap();
    file.write(0, &[&blocks(1, 1)]).unwrap();
    other.flush().unwrap();
    assert_eq!(lost_power(&disk, CrashOutcome::DropAll), [0; LEN]);
}

#[test]
fn after_a_failed_flush_a_later_one_saves_nothing() {
    let lost = |seed| {
        let (disk, file) = disk_with_file(seed);
        disk.fail(0, Fault::FlushEio, Repeat::Once);
        file.write(0, &[&blocks(4, 1)]).unwrap();
        let error = file.flush().unwrap_err();
        assert_eq!(error.operation(), IoOperation::Flush);
        assert!(error.to_string().contains(&format!("seed {seed}")), "{error}");
        file.flush().unwrap();
        assert_eq!(contents(&disk, "f"), [1; LEN], "reads go on showing it, seed {seed}");
        lost_power(&disk, CrashOutcome::KeepAll) != [1; LEN]
    };
    assert!((0..20).any(lost));
}

#[test]
fn a_failed_durable_write_may_lose_what_others_had_written() {
    let lost = |seed| {
        let (disk, file) = disk_with_file(seed);
        file.write(0, &[&blocks(1, 1)]).unwrap();
        disk.fail(0, Fault::FlushEio, Repeat::Once);
        file.write_durable(BLOCK as u64, &[&blocks(1, 2)]).unwrap_err();
        file.flush().unwrap();
        lost_power(&disk, CrashOutcome::KeepAll)[..BLOCK] != blocks(1, 1)[..]
    };
    assert!((0..20).any(lost));
}

#[test]
fn writes_and_flushes_are_operations_of_their_own_and_report_their_own_faults() {
    let (disk, file) = disk_with_file(5);
    let begun = disk.operations();
    for (fault, kind) in [(Fault::WriteEio, ErrorKind::Other), (Fault::NoSpace, ErrorKind::StorageFull)] {
        disk.fail(0, fault, Repeat::Once);
        file.flush().unwrap();
        let error = file.write(BLOCK as u64, &[&blocks(1, 1)]).unwrap_err();
        assert_eq!((error.operation(), error.kind()), (IoOperation::Write, kind));
        assert_eq!(error.offset(), Some(BLOCK as u64));
    }
    assert_eq!(disk.operations(), begun + 4);
    disk.fail(0, Fault::FlushEio, Repeat::Once);
    file.write(0, &[&blocks(1, 1)]).unwrap();
    file.flush().unwrap_err();
    assert_eq!(disk.operations(), begun + 6);
}

#[test]
fn short_and_interrupted_writes_are_completed() {
    for fault in [Fault::ShortWrite, Fault::Interrupted] {
        let (disk, file) = disk_with_file(5);
        disk.fail(0, fault, Repeat::Forever);
        for round in 1..10 {
            file.write(0, &[&blocks(2, round), &blocks(2, round)]).unwrap();
            assert_eq!(contents(&disk, "f"), [round; LEN]);
        }
        assert!(disk.faults_struck() > 0);
        file.flush().unwrap();
        assert_eq!(lost_power(&disk, CrashOutcome::DropAll), [9; LEN]);
    }
}

#[test]
fn a_crash_or_fault_in_a_creation_leaves_no_file_or_one_of_full_length() {
    let whole = SimulatedDisk::new(0);
    whole.create("f", BYTES).unwrap();
    assert_eq!(whole.operations(), 2, "the name and its flush: no block is written");
    assert_eq!(whole.after_crash(CrashOutcome::DropAll).open("f").unwrap().len(), BYTES);
    let mut found = BTreeSet::new();
    for crash_at in 0..2 {
        let disk = SimulatedDisk::new(1);
        disk.crash_after(crash_at);
        assert!(disk.create("f", BYTES).is_err());
        for outcome in [CrashOutcome::KeepAll, CrashOutcome::DropAll] {
            let after = disk.after_crash(outcome);
            let there = after.open("f").map(|file| file.len()).ok();
            assert!(there.is_none_or(|len| len == BYTES), "crash at {crash_at}, {outcome:?}");
            found.insert(there);
        }
    }
    assert_eq!(found.len(), 2, "both are possible: {found:?}");

    let disk = SimulatedDisk::new(1);
    disk.fail(0, Fault::NoSpace, Repeat::Once);
    let full = disk.create("f", BYTES).err().unwrap();
    assert_eq!((full.operation(), full.kind()), (IoOperation::Create, ErrorKind::StorageFull));
    assert_eq!(disk.list().unwrap(), Vec::<String>::new());
    disk.create("f", BYTES).unwrap();
}

#[test]
fn a_growing_file_takes_up_the_blocks_that_were_written_wherever_they_are() {
    let disk = SimulatedDisk::new(5);
    disk.set_capacity_bytes(4 * BLOCK);
    let at = |block: usize| (block * BLOCK) as u64;
    let file = disk.create("f", at(16)).unwrap();
    file.write(at(8), &[&blocks(2, 1)]).unwrap();
    file.write(at(0), &[&blocks(1, 2)]).unwrap();
    file.write(at(7), &[&blocks(3, 3)]).unwrap();
    let no_room = |disk: &SimulatedDisk| {
        let file = disk.open("f").unwrap();
        for (first, count, refused) in [(10, 1, 10), (8, 4, 10), (1, 1, 1), (0, 3, 1), (6, 2, 6)] {
            let error = file.write(at(first), &[&blocks(count, 4)]).unwrap_err();
            assert_eq!((error.kind(), error.offset()), (ErrorKind::StorageFull, Some(at(refused))));
        }
        file.write(at(7), &[&blocks(3, 4)]).unwrap();
        assert_eq!(disk.create_zeroed("g", at(1)).err().unwrap().kind(), ErrorKind::StorageFull);
    };
    no_room(&disk);
    file.flush().unwrap();
    no_room(&disk.after_crash(CrashOutcome::DropAll));

    disk.create("g", at(16)).unwrap();
    assert_eq!(disk.open("g").unwrap().write(at(3), &[&blocks(1, 5)]).unwrap_err().offset(), Some(at(3)));
    disk.remove("f").unwrap();
    disk.open("g").unwrap().write(at(3), &[&blocks(4, 5)]).unwrap();
}

/// What a flush acknowledged is there after a crash in any later operation, and nothing but what was written is touched.
#[test]
fn what_was_flushed_survives_a_crash_in_any_operation() {
    let rounds = |disk: &SimulatedDisk| -> u8 {
        let mut flushed = 0;
        let mut steps = || -> Result<(), IoError> {
            let file = disk.create("f", BYTES)?;
            for round in 1..4 {
                file.write(2 * BLOCK as u64, &[&blocks(1, round)])?;
                file.write(0, &[&blocks(2, round)])?;
                file.flush()?;
                flushed = round;
            }
            Ok(())
        };
        assert_eq!(steps().is_err(), disk.has_crashed(), "nothing fails but by the crash");
        flushed
    };
    let whole = SimulatedDisk::new(0);
    assert_eq!(rounds(&whole), 3);
    let stale = contents(&whole, "f")[LEN - 1];
    assert_eq!(whole.operations(), 2 + 3 * 3 + 1, "and the read");
    for crash_at in 0..2 + 3 * 3 {
        let disk = SimulatedDisk::new(crash_at);
        disk.crash_after(crash_at);
        let flushed = rounds(&disk);
        for outcome in (0..40).map(CrashOutcome::Random).chain([CrashOutcome::KeepAll]) {
            let after = disk.after_crash(outcome);
            if crash_at < 2 && after.list().unwrap().is_empty() {
                continue;
            }
            let found = contents(&after, "f");
            let old = if flushed == 0 { stale } else { flushed };
            let possible = |byte: &u8| *byte == old || *byte == flushed + 1;
            assert!(found[..3 * BLOCK].iter().all(possible), "crash at {crash_at}, {outcome:?}");
            assert!(found[3 * BLOCK..].iter().all(|byte| *byte == stale));
        }
    }
}
