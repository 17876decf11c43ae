//! The loop that turns raw writes, which may be short or interrupted, into a whole one, and a flush into a durable one.
//!
//! The flush of a durable write is issued only after every byte was accepted: flushing first and completing a short
//! write afterwards would acknowledge bytes that no flush covers. All devices run this loop, the simulated disk too, so the faults
//! that tests inject strike the code that real stores run.
//!
//! It retries nothing but interruptions (`EINTR`).

use super::{BLOCK, IoError, IoOperation};
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Zeros are written this many bytes at a time.
const ZERO_FILL_BYTES: usize = 64 * BLOCK;

/// The system calls that the loop is made of.
pub(super) trait RawFile {
    /// Writes a beginning of `parts`, which are not empty, at `offset`; returns how many bytes it was.
    fn write_some(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize>;

    /// Makes everything that was written durable, and the file's length, if the writes did not do so themselves.
    fn flush(&self) -> io::Result<()>;
}

/// Writes `parts` one after the other from `offset`, all of them, then flushes.
pub(super) fn write_then_flush(
    file: &impl RawFile,
    path: &Path,
    offset: u64,
    parts: &[&[u8]],
) -> Result<(), IoError> {
    write_all(file, path, offset, parts)?;
    flush(file, path)
}

/// Writes `bytes` zeros from the start of the file, then flushes.
pub(super) fn zero_fill(file: &impl RawFile, path: &Path, bytes: u64) -> Result<(), IoError> {
    let zeros = vec![0; ZERO_FILL_BYTES];
    for offset in (0..bytes).step_by(ZERO_FILL_BYTES) {
        let len = (bytes - offset).min(ZERO_FILL_BYTES as u64) as usize;
        write_all(file, path, offset, &[&zeros[..len]])?;
    }
    flush(file, path)
}

/// Writes `parts` one after the other from `offset`, all of them.
pub(super) fn write_all(
    file: &impl RawFile,
    path: &Path,
    offset: u64,
    parts: &[&[u8]],
) -> Result<(), IoError> {
    let mut slices: Vec<_> =
        parts.iter().filter(|part| !part.is_empty()).map(|part| IoSlice::new(part)).collect();
    let mut rest = &mut slices[..];
    let mut position = offset;
    while !rest.is_empty() {
        match file.write_some(rest, position) {
            Ok(0) => return Err(IoError::at(IoOperation::Write, path, position, nothing_written())),
            Ok(count) => {
                // Panics if the system claims to have written more than it was given.
                IoSlice::advance_slices(&mut rest, count);
                position += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(IoError::at(IoOperation::Write, path, position, error)),
        }
    }
    Ok(())
}

/// A write that makes no progress would be retried for ever.
fn nothing_written() -> io::Error {
    io::Error::new(io::ErrorKind::WriteZero, "the system accepted none of the bytes")
}

/// Makes everything that was written durable, and the file's length.
pub(super) fn flush(file: &impl RawFile, path: &Path) -> Result<(), IoError> {
    loop {
        match file.flush() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map_err(|error| IoError::new(IoOperation::Flush, path, error)),
        }
    }
}

/// Takes a part of a file off the disk, where the file system can; the file keeps its length.
#[cfg(target_os = "linux")]
pub(super) fn discard(file: &File, path: &Path, offset: u64, bytes: u64) -> Result<(), IoError> {
    use rustix::fs::FallocateFlags;
    if bytes == 0 {
        return Ok(());
    }
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    loop {
        match rustix::fs::fallocate(file, flags, offset, bytes) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(IoError::at(IoOperation::Discard, path, offset, error.into())),
        }
    }
}

/// Elsewhere there is no portable way to ask for it.
#[cfg(not(target_os = "linux"))]
pub(super) fn discard(_: &File, _: &Path, _: u64, _: u64) -> Result<(), IoError> {
    Ok(())
}

/// What every Unix offers.
impl RawFile for File {
    fn write_some(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        // Not every Unix has `pwritev`: the parts go one by one, and the loop above comes back for the others.
        self.write_at(&parts[0], offset)
    }

    fn flush(&self) -> io::Result<()> {
        self.sync_data()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::collections::VecDeque;

    /// A file that answers from a script, and keeps a record of what it was asked.
    #[derive(Default)]
    struct Scripted {
        answers: RefCell<VecDeque<io::Result<usize>>>,
        calls: RefCell<Vec<String>>,
    }

    impl Scripted {
        fn new(answers: impl IntoIterator<Item = io::Result<usize>>) -> Scripted {
            Scripted { answers: RefCell::new(answers.into_iter().collect()), calls: RefCell::default() }
        }

        fn next(&self, call: String) -> io::Result<usize> {
            self.calls.borrow_mut().push(call);
            self.answers.borrow_mut().pop_front().expect("no call beyond the script")
        }

        fn write(&self, offset: u64, parts: &[&[u8]]) -> Result<(), IoError> {
            write_then_flush(self, Path::new("f"), offset, parts)
        }
    }

    impl RawFile for Scripted {
        fn write_some(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
            let lengths: Vec<_> = parts.iter().map(|part| part.len().to_string()).collect();
            self.next(format!("write {} at {offset}", lengths.join("+")))
        }

        fn flush(&self) -> io::Result<()> {
            self.next("flush".into()).map(|_| ())
        }
    }

    fn interrupted() -> io::Error {
        io::Error::from_raw_os_error(libc::EINTR)
    }

    #[test]
    fn short_and_interrupted_writes_are_completed_before_the_one_flush() {
        let file = Scripted::new([
            Ok(1),
            Err(interrupted()),
            Ok(4607),
            Ok(512),
            Ok(3072),
            Err(interrupted()),
            Ok(0),
        ]);
        file.write(8192, &[&[1; BLOCK], &[], &[2; BLOCK]]).unwrap();
        assert_eq!(
            *file.calls.borrow(),
            [
                "write 4096+4096 at 8192",
                "write 4095+4096 at 8193",
                "write 4095+4096 at 8193",
                "write 3584 at 12800",
                "write 3072 at 13312",
                "flush",
                "flush"
            ]
        );
    }

    #[test]
    fn a_failed_write_is_not_retried_and_nothing_is_flushed() {
        let file = Scripted::new([Ok(512), Err(io::Error::from_raw_os_error(libc::EIO))]);
        let error = file.write(0, &[&[1; BLOCK], &[2; BLOCK]]).unwrap_err();
        assert_eq!((error.operation(), error.offset()), (IoOperation::Write, Some(512)));
        assert_eq!(file.calls.borrow().len(), 2);
    }

    #[test]
    fn a_write_that_waits_for_a_later_flush_is_completed_too_and_not_flushed() {
        let file =
            Scripted::new([Ok(BLOCK + 1), Err(interrupted()), Ok(BLOCK - 1), Err(interrupted()), Ok(0)]);
        write_all(&file, Path::new("f"), 0, &[&[1; BLOCK], &[2; BLOCK]]).unwrap();
        assert_eq!(
            *file.calls.borrow(),
            ["write 4096+4096 at 0", "write 4095 at 4097", "write 4095 at 4097"]
        );
        flush(&file, Path::new("f")).unwrap();
        assert_eq!(file.calls.borrow()[3..], ["flush", "flush"]);
    }

    #[test]
    fn a_failed_flush_is_not_retried() {
        let file = Scripted::new([Ok(BLOCK), Err(io::Error::from_raw_os_error(libc::EIO))]);
        let error = file.write(0, &[&[1; BLOCK]]).unwrap_err();
        assert_eq!(error.operation(), IoOperation::Flush);
        assert_eq!(file.calls.borrow().len(), 2);
    }

    #[test]
    fn a_write_without_progress_is_an_error() {
        let file = Scripted::new([Ok(0)]);
        assert_eq!(file.write(0, &[&[1; BLOCK]]).unwrap_err().kind(), io::ErrorKind::WriteZero);
    }

    #[test]
    fn zero_fill_covers_a_length_that_is_no_multiple_of_its_step() {
        let step = ZERO_FILL_BYTES as u64;
        let file = Scripted::new([Ok(ZERO_FILL_BYTES), Ok(BLOCK), Ok(0)]);
        zero_fill(&file, Path::new("f"), step + BLOCK as u64).unwrap();
        let expected = [format!("write {step} at 0"), format!("write {BLOCK} at {step}"), "flush".into()];
        assert_eq!(*file.calls.borrow(), expected);
    }
}
