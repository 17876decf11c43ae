//! What every device must do, as one suite that each of them runs.

mod unflushed;

use super::{AlignedBuf, BLOCK, BlockFile, Device, IoError, IoOperation, request};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

const FILE_BYTES: u64 = 16 * BLOCK as u64;

/// A block of one byte's value, aligned.
fn blocks(count: usize, value: u8) -> AlignedBuf {
    let mut buffer = AlignedBuf::zeroed(count * BLOCK);
    buffer.fill(value);
    buffer
}

/// Bytes that say where they belong, aligned: neighbouring blocks differ, and so do the pieces of a transfer, which are
/// a power of two long.
pub(super) fn pattern(bytes: usize) -> AlignedBuf {
    let mut buffer = AlignedBuf::zeroed(bytes);
    for (index, byte) in buffer.iter_mut().enumerate() {
        *byte = (index * 7 + (index >> 12) * 3 + (index >> 20) * 89) as u8;
    }
    buffer
}

fn contents(file: &dyn BlockFile) -> Vec<u8> {
    let mut bytes = vec![0xEE; file.len() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

fn error<T>(result: Result<T, IoError>) -> IoError {
    result.err().expect("an error")
}

/// Runs `body` with `dir` read-only, on a thread that has no right to write there all the same, as root has.
pub(super) fn without_privileges(dir: &Path, body: impl FnOnce() + Send) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o555)).unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            #[cfg(target_os = "linux")]
            if std::os::unix::fs::MetadataExt::uid(&fs::metadata(dir).unwrap()) == 0 {
                rustix::thread::set_thread_uid(rustix::fs::Uid::from_raw(65534)).unwrap();
            }
            body();
        });
        thread.join().unwrap();
    });
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Everything that can be asked of a device that begins empty.
pub(super) fn check(device: &dyn Device) {
    assert_eq!(device.list().unwrap(), Vec::<String>::new());
    creates_opens_renames_and_removes(device);
    reads_what_was_written(device);
    refuses_bad_reads_and_writes(device);
    refuses_bad_names(device);
    writes_large_batches(device);
    serves_many_threads(device);
    unflushed::check(device);
    assert_eq!(device.list().unwrap(), Vec::<String>::new());
}

fn creates_opens_renames_and_removes(device: &dyn Device) {
    let file = device.create_zeroed("b", FILE_BYTES).unwrap();
    assert_eq!(file.len(), FILE_BYTES);
    assert!(contents(&*file).iter().all(|&byte| byte == 0));
    device.create_zeroed("a", BLOCK as u64).unwrap();
    assert_eq!(device.list().unwrap(), ["a", "b"]);

    let taken = error(device.create_zeroed("a", FILE_BYTES));
    assert_eq!((taken.operation(), taken.kind()), (IoOperation::Create, ErrorKind::AlreadyExists));
    let taken = error(device.rename("b", "a"));
    assert_eq!((taken.operation(), taken.kind()), (IoOperation::Rename, ErrorKind::AlreadyExists));
    assert_eq!(device.open("a").unwrap().len(), BLOCK as u64, "the file in the way is untouched");

    file.write_durable(0, &[&blocks(1, 5)]).unwrap();
    device.rename("b", "c").unwrap();
    assert_eq!(device.list().unwrap(), ["a", "c"]);
    let renamed = device.open("c").unwrap();
    assert_eq!(contents(&*renamed)[..BLOCK], blocks(1, 5)[..]);
    file.write_durable(0, &[&blocks(1, 6)]).unwrap();
    assert_eq!(
        contents(&*renamed)[..BLOCK],
        blocks(1, 6)[..],
        "a file that is open goes on under its new name"
    );

    device.replace("c", "a").unwrap();
    assert_eq!(device.list().unwrap(), ["a"]);
    assert_eq!(contents(&*device.open("a").unwrap())[..BLOCK], blocks(1, 6)[..], "it took the other's place");
    device.replace("a", "c").unwrap();
    assert_eq!(device.list().unwrap(), ["c"], "or a name that was free");

    device.remove("c").unwrap();
    let missing = [
        error(device.open("a")),
        error(device.rename("a", "d")),
        error(device.replace("a", "d")),
        error(device.remove("a")),
    ];
    for missing in missing {
        assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
    }
    for bytes in [0, 1, FILE_BYTES + 512] {
        assert_eq!(error(device.create_zeroed("odd", bytes)).kind(), ErrorKind::InvalidInput);
    }
}

fn reads_what_was_written(device: &dyn Device) {
    let file = device.create_zeroed("f", FILE_BYTES).unwrap();
    let (one, two) = (blocks(1, 1), blocks(2, 2));
    file.write_durable(BLOCK as u64, &[&one, &two]).unwrap();
    file.write_durable(FILE_BYTES - BLOCK as u64, &[&one]).unwrap();
    file.write_durable(0, &[]).unwrap();
    let mut expected = vec![0; FILE_BYTES as usize];
    expected[BLOCK..2 * BLOCK].fill(1);
    expected[2 * BLOCK..4 * BLOCK].fill(2);
    expected[15 * BLOCK..].fill(1);
    assert_eq!(contents(&*file), expected);
    assert_eq!(contents(&*device.open("f").unwrap()), expected);
    for (offset, len) in
        [(0, 0), (1, 1), (BLOCK - 3, 7), (BLOCK, BLOCK), (4095, 3 * BLOCK), (FILE_BYTES as usize, 0)]
    {
        let mut bytes = vec![0xEE; len];
        file.read_at(offset as u64, &mut bytes).unwrap();
        assert_eq!(bytes, expected[offset..offset + len], "{len} bytes at {offset}");
    }
    device.remove("f").unwrap();
}

fn refuses_bad_reads_and_writes(device: &dyn Device) {
    let file = device.create_zeroed("f", FILE_BYTES).unwrap();
    for (offset, len) in [(FILE_BYTES, 1), (FILE_BYTES - 1, 2), (u64::MAX, 1), (u64::MAX - 8, 16)] {
        let beyond = error(file.read_at(offset, &mut vec![0; len]));
        assert_eq!((beyond.operation(), beyond.kind()), (IoOperation::Read, ErrorKind::UnexpectedEof));
        assert_eq!(beyond.offset(), Some(offset));
    }
    let block = blocks(2, 9);
    let bad: [(u64, &[&[u8]]); 6] = [
        (512, &[&block[..BLOCK]]),
        (0, &[&block[..100]]),
        (0, &[&block[1..BLOCK + 1]]),
        (FILE_BYTES, &[&block[..BLOCK]]),
        (FILE_BYTES - BLOCK as u64, &[&block[..BLOCK], &block[BLOCK..]]),
        (u64::MAX - BLOCK as u64 + 1, &[&block[..BLOCK]]),
    ];
    for (offset, parts) in bad {
        for refused in [error(file.write_durable(offset, parts)), error(file.write(offset, parts))] {
            assert_eq!((refused.operation(), refused.kind()), (IoOperation::Write, ErrorKind::InvalidInput));
            assert_eq!(refused.offset(), Some(offset));
        }
    }
    assert!(contents(&*file).iter().all(|&byte| byte == 0), "a refused write has written nothing");
    device.remove("f").unwrap();
}

fn refuses_bad_names(device: &dyn Device) {
    for name in ["", ".", "..", "a/b", "../a", "a\0b", request::LOCK_FILE, request::UNFINISHED_FILE] {
        let refusals = [
            error(device.open(name)),
            error(device.create_zeroed(name, FILE_BYTES)),
            error(device.create(name, FILE_BYTES)),
            error(device.rename(name, "x")),
            error(device.rename("x", name)),
            error(device.replace(name, "x")),
            error(device.replace("x", name)),
            error(device.remove(name)),
        ];
        for refused in refusals {
            assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{name:?}: {refused}");
        }
    }
}

/// Large enough that a device may split it and have several pieces in flight.
fn writes_large_batches(device: &dyn Device) {
    const LARGE: usize = 800;
    let file = device.create_zeroed("large", (LARGE * BLOCK) as u64).unwrap();
    let mut batch = AlignedBuf::zeroed((LARGE - 2) * BLOCK);
    for (index, block) in batch.chunks_mut(BLOCK).enumerate() {
        block.fill(index as u8 ^ (index >> 8) as u8 ^ 0x5A);
    }
    let (first, second) = batch.split_at(301 * BLOCK);
    file.write_durable(BLOCK as u64, &[first, second]).unwrap();
    let found = contents(&*file);
    assert!(found[BLOCK..(LARGE - 1) * BLOCK] == batch[..], "every block is where it belongs");
    assert!(found[..BLOCK].iter().chain(&found[(LARGE - 1) * BLOCK..]).all(|&byte| byte == 0));
    device.remove("large").unwrap();
}

fn serves_many_threads(device: &dyn Device) {
    let file = device.create_zeroed("f", FILE_BYTES).unwrap();
    std::thread::scope(|scope| {
        for n in 0..4_u64 {
            let file = &file;
            scope.spawn(move || {
                for round in 0..8 {
                    let block = blocks(1, (n * 8 + round) as u8);
                    let mut found = vec![0; BLOCK];
                    file.write_durable(n * BLOCK as u64, &[&block]).unwrap();
                    file.read_at(n * BLOCK as u64, &mut found).unwrap();
                    assert_eq!(found, block[..]);
                }
            });
        }
    });
    device.remove("f").unwrap();
}

/// What holds of the devices that keep their files in a directory of the system.
pub(super) fn check_directory(open: impl Fn(&Path) -> Result<Box<dyn Device>, IoError>) {
    let dir = tempfile::tempdir().unwrap();
    let missing = error(open(&dir.path().join("missing")));
    assert_eq!((missing.operation(), missing.kind()), (IoOperation::Open, ErrorKind::NotFound));
    fs::write(dir.path().join("plain"), "text").unwrap();
    assert_eq!(error(open(&dir.path().join("plain"))).kind(), ErrorKind::NotADirectory);

    fs::create_dir(dir.path().join("folder")).unwrap();
    let unfinished = dir.path().join(request::UNFINISHED_FILE);
    fs::write(&unfinished, vec![7; 100_000]).unwrap();
    let device = open(dir.path()).unwrap();
    assert_eq!(device.list().unwrap(), ["plain"], "neither folders nor what a crash left unfinished");
    assert_eq!(error(device.open("folder")).operation(), IoOperation::Open);
    let plain = device.open("plain").unwrap();
    assert_eq!(contents(&*plain), b"text", "a file of odd length can be read");

    let file = device.create_zeroed("f", FILE_BYTES).unwrap();
    assert!(
        contents(&*file).iter().all(|&byte| byte == 0),
        "nothing of the unfinished file is left in the new one"
    );
    assert!(!unfinished.exists());
    assert_eq!(fs::metadata(dir.path().join("f")).unwrap().len(), FILE_BYTES);
    fs::OpenOptions::new().write(true).open(dir.path().join("f")).unwrap().set_len(BLOCK as u64).unwrap();
    let cut = error(file.read_at(0, &mut vec![0; FILE_BYTES as usize]));
    assert_eq!(cut.kind(), ErrorKind::UnexpectedEof, "a file that was cut behind our back is noticed");
    unflushed::check_directory(open);
}

/// What a directory that must not be written answers.
pub(super) fn check_read_only(open: impl Fn(&Path) -> Result<Box<dyn Device>, IoError> + Send + Sync) {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).unwrap().create_zeroed("f", FILE_BYTES).unwrap();
    without_privileges(dir.path(), || {
        let device = open(dir.path()).unwrap();
        for (refused, operation) in [
            (error(device.create_zeroed("g", FILE_BYTES)), IoOperation::Create),
            (error(device.create("g", FILE_BYTES)), IoOperation::Create),
            (error(device.rename("f", "g")), IoOperation::Rename),
            (error(device.remove("f")), IoOperation::Remove),
        ] {
            assert_eq!(
                (refused.operation(), refused.kind()),
                (operation, ErrorKind::PermissionDenied),
                "{refused}"
            );
        }
    });
    assert_eq!(open(dir.path()).unwrap().list().unwrap(), ["f"], "nothing has changed");
}
