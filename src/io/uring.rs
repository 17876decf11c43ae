//! Linux's device: direct writes that are durable when they return, and io_uring where several pieces pay.
//!
//! What goes which way was measured (2-core virtual machine, ext4 on a virtual NVMe disk, Linux 6.18, medians of
//! five rounds, the variants interleaved, µs unless said):
//!
//! | durable write of | `pwritev2(RWF_DSYNC)` | the same through the ring | 256 KiB pieces, 8 in flight, each DSYNC | pieces, then `fdatasync` |
//! | --- | --- | --- | --- | --- |
//! | 4 KiB | 164 | 174 | | |
//! | 64 KiB | 166 | 195 | | |
//! | 1 MiB | 409 | 427 | 529 | 401 |
//! | 4 MiB | 1310 | 1378 | 1960 | 1586 |
//!
//! So a durable write is one `pwritev2`, however large: the kernel splits it by itself, and a flush per piece only
//! adds flushes. Zero filling (64 MiB, then one `fdatasync`) reaches 1.4 GB/s with one 1 MiB piece in flight and
//! 1.6 GB/s with four; large reads 2.6 and 3.0 GB/s. Those two use the ring, and so do large writes that a later flush
//! makes durable, which are what zero filling is. A reader or writer that finds the ring in use goes without it: those
//! that run in parallel have their pieces in flight anyway.
//!
//! Direct I/O is tried on each file, by reading a block; a file system that refuses it gets the same writes through
//! the page cache, `RWF_DSYNC` all the same. So does a file whose length is no multiple of [`BLOCK`], which is not
//! one of ours and can only be read.

use super::directory::{Access, Directory};
use super::pieces::TransferError;
use super::raw::{self, RawFile};
use super::ring::{PIECE_BYTES, Ring};
use super::{AlignedBuf, BLOCK, BlockFile, IoError, IoOperation, request};
use crate::sync::{Arc, Mutex, lock};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{ReadWriteFlags, pwritev2};
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// `pwritev2` takes no more parts than this (`IOV_MAX`).
const PARTS_MAX: usize = 1024;
/// An unaligned read goes through an aligned buffer of at most this many bytes.
const BOUNCE_BYTES_MAX: usize = 4 * PIECE_BYTES;

/// A directory, reached with direct I/O, and one ring for it.
pub(super) type UringDevice = Directory<Uring>;

pub(super) struct Uring {
    ring: Arc<Mutex<Ring>>,
    /// Whether direct I/O is tried at all; tests turn it off to run what refusing file systems get.
    try_direct: bool,
}

/// Whether this kernel has an io_uring that this process may use.
pub(super) fn available() -> bool {
    Ring::new().is_ok()
}

impl UringDevice {
    pub(super) fn open(dir: &Path) -> Result<UringDevice, IoError> {
        let ring = Ring::new().map_err(|error| IoError::new(IoOperation::Ring, dir, error))?;
        Directory::with(Uring { ring: Arc::new(Mutex::new(ring)), try_direct: true }, dir)
    }
}

impl Access for Uring {
    const NAME: &'static str = "io_uring";

    fn adopt(&self, file: File, path: PathBuf, len: u64) -> Result<Box<dyn BlockFile>, IoError> {
        let try_direct = self.try_direct && len > 0 && len.is_multiple_of(BLOCK as u64);
        let direct = try_direct
            && go_direct(&file).map_err(|error| IoError::at(IoOperation::Read, &path, 0, error))?;
        Ok(Box::new(UringFile { file, path, len, direct, ring: Arc::clone(&self.ring) }))
    }

    fn zero_fill(&self, file: &File, path: &Path, bytes: u64) -> Result<(), IoError> {
        let failed = |error| IoError::at(IoOperation::Write, path, 0, error);
        // Through the page cache, for `go_direct` to have a block to read.
        file.write_all_at(&[0; BLOCK], 0).map_err(failed)?;
        if self.try_direct {
            go_direct(file).map_err(failed)?;
        }
        write_zeros(&self.ring, file, path, bytes)
    }
}

/// Writes `bytes` zeros from the start of the file, several pieces at once, then flushes.
fn write_zeros(ring: &Mutex<Ring>, file: &File, path: &Path, bytes: u64) -> Result<(), IoError> {
    lock(ring)
        .write_zeros(file, bytes, &AlignedBuf::zeroed(PIECE_BYTES))
        .map_err(|TransferError { start, source }| IoError::at(IoOperation::Write, path, start, source))?;
    raw::flush(file, path)
}

/// Switches a file of at least one block to direct I/O, if its file system takes part; some agree and then refuse to
/// read.
fn go_direct(file: &File) -> io::Result<bool> {
    let flags = fcntl_getfl(file)?;
    match fcntl_setfl(file, flags | OFlags::DIRECT) {
        Ok(()) => {}
        Err(rustix::io::Errno::INVAL) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    match file.read_exact_at(&mut AlignedBuf::zeroed(BLOCK), 0) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            fcntl_setfl(file, flags)?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

struct UringFile {
    file: File,
    path: PathBuf,
    len: u64,
    /// Whether reads, too, must be aligned.
    direct: bool,
    ring: Arc<Mutex<Ring>>,
}

impl UringFile {
    /// Fills `buf` from `offset`, both of them as aligned as the file needs it.
    fn read_aligned(&self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        let failed = |offset, error| IoError::at(IoOperation::Read, &self.path, offset, error);
        if is_large(buf)
            && let Ok(mut ring) = self.ring.try_lock()
        {
            return ring
                .read(&self.file, offset, buf)
                .map_err(|TransferError { start, source }| failed(offset + start, source));
        }
        self.file.read_exact_at(buf, offset).map_err(|error| failed(offset, error))
    }

    /// The file as `pwritev2` writes it.
    fn raw(&self, flags: ReadWriteFlags) -> Pwritev2<'_> {
        Pwritev2 { file: &self.file, flags }
    }

    /// Writes one large part, or any number of small ones, without making them durable.
    fn write_run(&self, offset: u64, parts: &[&[u8]]) -> Result<(), IoError> {
        if let &[part] = parts
            && is_large(part)
            && let Ok(mut ring) = self.ring.try_lock()
        {
            return ring.write(&self.file, offset, part).map_err(|TransferError { start, source }| {
                IoError::at(IoOperation::Write, &self.path, offset + start, source)
            });
        }
        raw::write_all(&self.raw(ReadWriteFlags::empty()), &self.path, offset, parts)
    }

    /// Fills `buf` from `offset` by way of aligned memory.
    fn read_through_bounce(&self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        let mut skip = (offset % BLOCK as u64) as usize;
        let mut block_offset = offset - skip as u64;
        let mut rest = buf;
        let mut bounce =
            AlignedBuf::zeroed((skip + rest.len()).next_multiple_of(BLOCK).min(BOUNCE_BYTES_MAX));
        while !rest.is_empty() {
            let window = (skip + rest.len()).next_multiple_of(BLOCK).min(bounce.len());
            self.read_aligned(block_offset, &mut bounce[..window])?;
            let (filled, unfilled) = rest.split_at_mut(rest.len().min(window - skip));
            filled.copy_from_slice(&bounce[skip..skip + filled.len()]);
            block_offset += window as u64;
            skip = 0;
            rest = unfilled;
        }
        Ok(())
    }
}

/// Whether a part is worth several pieces in flight.
fn is_large(part: &[u8]) -> bool {
    part.len() > PIECE_BYTES
}

impl BlockFile for UringFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        request::check_read(&self.path, self.len, offset, buf)?;
        let aligned = (offset as usize | buf.len() | buf.as_ptr().addr()).is_multiple_of(BLOCK);
        if aligned || !self.direct {
            self.read_aligned(offset, buf)
        } else {
            self.read_through_bounce(offset, buf)
        }
    }

    fn write_durable(&self, offset: u64, parts: &[&[u8]]) -> Result<(), IoError> {
        request::check_write(&self.path, self.len, offset, parts)?;
        raw::write_then_flush(&self.raw(ReadWriteFlags::DSYNC), &self.path, offset, parts)
    }

    fn write(&self, offset: u64, parts: &[&[u8]]) -> Result<(), IoError> {
        request::check_write(&self.path, self.len, offset, parts)?;
        let mut position = offset;
        for run in parts.chunk_by(|one, next| !is_large(one) && !is_large(next)) {
            self.write_run(position, run)?;
            position += run.iter().map(|part| part.len() as u64).sum::<u64>();
        }
        Ok(())
    }

    fn zero_fill(&self) -> Result<(), IoError> {
        write_zeros(&self.ring, &self.file, &self.path, self.len)
    }

    fn discard(&self, offset: u64, bytes: u64) -> Result<(), IoError> {
        request::check_discard(&self.path, self.len, offset, bytes)?;
        raw::discard(&self.file, &self.path, offset, bytes)
    }

    fn flush(&self) -> Result<(), IoError> {
        raw::flush(&self.raw(ReadWriteFlags::empty()), &self.path)
    }
}

/// A file that is written with `pwritev2`, by these flags.
struct Pwritev2<'a> {
    file: &'a File,
    flags: ReadWriteFlags,
}

impl RawFile for Pwritev2<'_> {
    fn write_some(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let parts = &parts[..parts.len().min(PARTS_MAX)];
        Ok(pwritev2(self.file, parts, offset, self.flags)?)
    }

    fn flush(&self) -> io::Result<()> {
        if self.flags.contains(ReadWriteFlags::DSYNC) {
            // Each write was durable when it returned, its length too.
            return Ok(());
        }
        self.file.sync_data()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::io::{Device, contract};

    fn open(dir: &Path) -> Result<Box<dyn Device>, IoError> {
        Ok(Box::new(UringDevice::open(dir)?))
    }

    fn open_refusing_direct(dir: &Path) -> Result<Box<dyn Device>, IoError> {
        let mut device = UringDevice::open(dir)?;
        device.access.try_direct = false;
        Ok(Box::new(device))
    }

    #[test]
    fn keeps_the_contract() {
        let dir = tempfile::tempdir().unwrap();
        contract::check(&*open(dir.path()).unwrap());
        contract::check_directory(open);
        contract::check_read_only(open);
    }

    #[test]
    fn keeps_the_contract_where_direct_io_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        contract::check(&*open_refusing_direct(dir.path()).unwrap());
        contract::check_directory(open_refusing_direct);
    }

    #[test]
    fn more_parts_than_one_call_takes_are_all_written() {
        let dir = tempfile::tempdir().unwrap();
        let device = open(dir.path()).unwrap();
        let blocks = PARTS_MAX + 3;
        let file = device.create_zeroed("f", (blocks * BLOCK) as u64).unwrap();
        let mut one = AlignedBuf::zeroed(BLOCK);
        for durable in [true, false] {
            let value = 3 + u8::from(durable);
            one.fill(value);
            let parts = vec![&one[..]; blocks];
            if durable { file.write_durable(0, &parts) } else { file.write(0, &parts) }.unwrap();
            let mut found = vec![0; blocks * BLOCK];
            file.read_at(0, &mut found).unwrap();
            assert!(found.iter().all(|&byte| byte == value), "durable: {durable}");
        }
    }

    #[test]
    fn large_writes_with_the_ring_free_and_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let device = UringDevice::open(dir.path()).unwrap();
        let written = contract::pattern(6 * PIECE_BYTES + 3 * BLOCK);
        for in_use in [false, true] {
            let busy = in_use.then(|| device.access.ring.lock().unwrap());
            let name = if in_use { "without" } else { "with" };
            let file = device.create(name, written.len() as u64).unwrap();
            file.write(0, &[&written]).unwrap();
            file.flush().unwrap();
            drop(busy);
            let mut found = vec![0; written.len()];
            file.read_at(0, &mut found).unwrap();
            assert!(found == written[..], "ring in use: {in_use}");
        }
    }

    #[test]
    fn a_failed_write_through_the_ring_says_where() {
        let dir = tempfile::tempdir().unwrap();
        let device = UringDevice::open(dir.path()).unwrap();
        std::fs::write(dir.path().join("f"), vec![0; 8 * PIECE_BYTES]).unwrap();
        let path = dir.path().join("f");
        let read_only = File::open(&path).unwrap();
        let file = device.access.adopt(read_only, path, 8 * PIECE_BYTES as u64).unwrap();
        let block = AlignedBuf::zeroed(BLOCK);
        let large = AlignedBuf::zeroed(6 * PIECE_BYTES);
        let error = file.write(BLOCK as u64, &[&large, &block]).unwrap_err();
        assert_eq!(error.operation(), IoOperation::Write);
        let places: Vec<u64> = (0..6).map(|piece| (BLOCK + piece * PIECE_BYTES) as u64).collect();
        assert!(places.contains(&error.offset().unwrap()), "{error}");
        assert_eq!(file.write(0, &[&block]).unwrap_err().offset(), Some(0));
    }

    #[test]
    fn direct_io_is_used_for_files_that_grow_as_for_those_of_zeros() {
        let dir = tempfile::tempdir().unwrap();
        let device = UringDevice::open(dir.path()).unwrap();
        device.create("grows", BLOCK as u64).unwrap();
        device.create_zeroed("zeros", BLOCK as u64).unwrap();
        let direct = |name| go_direct(&File::open(dir.path().join(name)).unwrap()).unwrap();
        assert_eq!(direct("grows"), direct("zeros"));
    }

    #[test]
    fn unaligned_reads_longer_than_the_bounce_buffer_and_a_ring_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let device = UringDevice::open(dir.path()).unwrap();
        let bytes = 2 * BOUNCE_BYTES_MAX + 3 * BLOCK;
        let file = device.create_zeroed("f", bytes as u64).unwrap();
        let written = contract::pattern(bytes);
        file.write_durable(0, &[&written]).unwrap();
        for in_use in [false, true] {
            let busy = in_use.then(|| device.access.ring.lock().unwrap());
            let mut found = vec![0; bytes - 1001];
            file.read_at(1000, &mut found).unwrap();
            assert!(found == written[1000..bytes - 1], "ring in use: {}", busy.is_some());
        }
    }

    #[test]
    fn direct_io_is_not_used_where_it_is_refused() {
        // Files in /proc refuse the flag.
        let file = File::open("/proc/self/status").unwrap();
        assert!(!go_direct(&file).unwrap());
        assert!(!fcntl_getfl(&file).unwrap().contains(OFlags::DIRECT));
    }
}
