//! The part of the suite about files that grow as they are written, and about writes that a later flush makes durable.

use super::{FILE_BYTES, blocks, contents, error, pattern};
use crate::io::{BLOCK, BlockFile, Device, IoError, IoOperation, request};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// More than any device writes at once, and than it has in flight.
const LARGE_BYTES: usize = (5 << 20) + BLOCK;

fn found(file: &dyn BlockFile, offset: usize, bytes: usize) -> Vec<u8> {
    let mut found = vec![0xEE; bytes];
    file.read_at(offset as u64, &mut found).unwrap();
    found
}

pub(super) fn check(device: &dyn Device) {
    creates_files_of_full_length(device);
    reads_what_was_written_and_flushed(device);
    writes_large_parts_among_small_ones(device);
    serves_many_writers(device);
    fills_with_zeros(device);
    gives_room_back(device);
}

fn gives_room_back(device: &dyn Device) {
    let batch = pattern(LARGE_BYTES);
    let file = device.create("f", LARGE_BYTES as u64).unwrap();
    file.write(0, &[&batch]).unwrap();
    file.discard(2 * BLOCK as u64, 3 * BLOCK as u64).unwrap();
    file.discard(0, 0).unwrap();
    file.flush().unwrap();
    assert_eq!(file.len(), LARGE_BYTES as u64);
    assert!(found(&*file, 0, 2 * BLOCK) == batch[..2 * BLOCK], "what is before stays");
    assert!(found(&*file, 5 * BLOCK, BLOCK) == batch[5 * BLOCK..6 * BLOCK], "what is behind stays");
    file.write(3 * BLOCK as u64, &[&batch[..BLOCK]]).unwrap();
    assert!(
        found(&*device.open("f").unwrap(), 3 * BLOCK, BLOCK) == batch[..BLOCK],
        "it is as good as before"
    );
    for (offset, bytes) in [(1, BLOCK as u64), (0, 512), (LARGE_BYTES as u64, BLOCK as u64)] {
        let refused = error(file.discard(offset, bytes));
        assert_eq!((refused.operation(), refused.kind()), (IoOperation::Discard, ErrorKind::InvalidInput));
    }
    device.remove("f").unwrap();
}

fn fills_with_zeros(device: &dyn Device) {
    let batch = pattern(LARGE_BYTES);
    let file = device.create("f", LARGE_BYTES as u64).unwrap();
    file.write(0, &[&batch]).unwrap();
    file.zero_fill().unwrap();
    assert!(contents(&*file).iter().all(|&byte| byte == 0));
    file.write(BLOCK as u64, &[&batch[..BLOCK]]).unwrap();
    assert!(found(&*device.open("f").unwrap(), BLOCK, BLOCK) == batch[..BLOCK], "it is as good as before");
    device.remove("f").unwrap();
}

fn creates_files_of_full_length(device: &dyn Device) {
    let file = device.create("grows", FILE_BYTES).unwrap();
    assert_eq!((file.len(), contents(&*file).len()), (FILE_BYTES, FILE_BYTES as usize));
    file.flush().unwrap();
    assert_eq!(device.list().unwrap(), ["grows"]);
    assert_eq!(device.open("grows").unwrap().len(), FILE_BYTES);
    device.create_zeroed("other", FILE_BYTES).unwrap();
    for taken in [error(device.create("grows", FILE_BYTES)), error(device.create("other", FILE_BYTES))] {
        assert_eq!((taken.operation(), taken.kind()), (IoOperation::Create, ErrorKind::AlreadyExists));
    }
    device.remove("other").unwrap();
    device.rename("grows", "other").unwrap();
    file.write(FILE_BYTES - BLOCK as u64, &[&blocks(1, 4)]).unwrap();
    file.flush().unwrap();
    let renamed = device.open("other").unwrap();
    assert_eq!(found(&*renamed, FILE_BYTES as usize - BLOCK, BLOCK), blocks(1, 4)[..]);
    device.remove("other").unwrap();
    for bytes in [0, 1, FILE_BYTES + 512] {
        assert_eq!(error(device.create("odd", bytes)).kind(), ErrorKind::InvalidInput);
    }
}

fn reads_what_was_written_and_flushed(device: &dyn Device) {
    let file = device.create("f", FILE_BYTES).unwrap();
    let (one, two, three) = (blocks(1, 1), blocks(2, 2), blocks(1, 3));
    // Not from the start on, and durable writes among the others.
    file.write(8 * BLOCK as u64, &[&one, &one[..0], &two]).unwrap();
    file.write(BLOCK as u64, &[&two]).unwrap();
    file.write_durable(2 * BLOCK as u64, &[&three]).unwrap();
    file.write(FILE_BYTES, &[]).unwrap();
    let other = device.open("f").unwrap();
    for step in ["written", "flushed by another handle", "flushed again"] {
        for file in [&file, &other] {
            let start = found(&**file, BLOCK, 2 * BLOCK);
            assert_eq!(start, [&blocks(1, 2)[..], &three].concat(), "{step}");
            assert_eq!(found(&**file, 8 * BLOCK, 3 * BLOCK), [&one[..], &two].concat(), "{step}");
        }
        other.flush().unwrap();
    }
    device.remove("f").unwrap();
}

fn writes_large_parts_among_small_ones(device: &dyn Device) {
    let batch = pattern(LARGE_BYTES + 3 * BLOCK + (2 << 20));
    let (first, rest) = batch.split_at(LARGE_BYTES);
    let (small, last) = rest.split_at(3 * BLOCK);
    let parts = [first, &small[..BLOCK], &small[BLOCK..], last];
    let file = device.create("large", (batch.len() + 2 * BLOCK) as u64).unwrap();
    file.write(BLOCK as u64, &parts).unwrap();
    assert!(found(&*file, BLOCK, batch.len()) == batch[..], "every block is where it belongs");
    file.flush().unwrap();
    assert!(found(&*device.open("large").unwrap(), BLOCK, batch.len()) == batch[..]);
    device.remove("large").unwrap();
}

fn serves_many_writers(device: &dyn Device) {
    const WRITERS: usize = 4;
    const SHARE: usize = (1 << 20) + 2 * BLOCK;
    let batch = pattern(WRITERS * SHARE);
    let file = device.create("f", batch.len() as u64).unwrap();
    std::thread::scope(|scope| {
        for (n, share) in batch.chunks(SHARE).enumerate() {
            let file = &file;
            scope.spawn(move || {
                let (large, small) = share.split_at(SHARE - BLOCK);
                file.write((n * SHARE) as u64, &[large]).unwrap();
                file.flush().unwrap();
                file.write((n * SHARE + large.len()) as u64, &[small]).unwrap();
            });
        }
    });
    file.flush().unwrap();
    assert!(contents(&*file) == batch[..]);
    device.remove("f").unwrap();
}

/// What holds of the devices that keep their files in a directory of the system.
pub(super) fn check_directory(open: impl Fn(&Path) -> Result<Box<dyn Device>, IoError>) {
    const BYTES: u64 = 64 << 20;
    let dir = tempfile::tempdir().unwrap();
    let unfinished = dir.path().join(request::UNFINISHED_FILE);
    fs::write(&unfinished, vec![7; 100_000]).unwrap();
    let device = open(dir.path()).unwrap();
    let file = device.create("grows", BYTES).unwrap();
    assert!(!unfinished.exists());
    assert!(found(&*file, 0, 100_000).iter().all(|&byte| byte == 0), "nothing of the unfinished file");
    assert!(found(&*file, BYTES as usize - BLOCK, BLOCK).iter().all(|&byte| byte == 0));

    let on_disk = || fs::metadata(dir.path().join("grows")).unwrap();
    assert_eq!(on_disk().len(), BYTES);
    let used_before = on_disk().blocks() * 512;
    assert!(used_before < 1 << 20, "{used_before} bytes are in use before anything was written");
    file.write(BYTES / 2, &[&pattern(LARGE_BYTES)]).unwrap();
    file.flush().unwrap();
    let used = on_disk().blocks() * 512;
    assert!(used > used_before && used < 2 * LARGE_BYTES as u64, "{used} bytes are in use");
    assert_eq!(on_disk().len(), BYTES);
}
