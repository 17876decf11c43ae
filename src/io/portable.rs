//! The device that works on every Unix: `pwrite`, then `fdatasync`, through the page cache.
//!
//! It asks nothing of kernel or file system, and is chosen where io_uring is missing. A write costs one system call
//! more than through io_uring's device, and a copy.

use super::directory::{Access, Directory};
use super::{BlockFile, IoError, IoOperation, raw, request};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A directory, reached with plain system calls.
pub(super) type PortableDevice = Directory<Portable>;

pub(super) struct Portable;

impl PortableDevice {
    pub(super) fn open(dir: &Path) -> Result<PortableDevice, IoError> {
        Directory::with(Portable, dir)
    }
}

impl Access for Portable {
    const NAME: &'static str = "portable";

    fn adopt(&self, file: File, path: PathBuf, len: u64) -> Result<Box<dyn BlockFile>, IoError> {
        Ok(Box::new(PortableFile { file, path, len }))
    }

    fn zero_fill(&self, file: &File, path: &Path, bytes: u64) -> Result<(), IoError> {
        raw::zero_fill(file, path, bytes)
    }
}

struct PortableFile {
    file: File,
    path: PathBuf,
    len: u64,
}

impl BlockFile for PortableFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        request::check_read(&self.path, self.len, offset, buf)?;
        self.file
            .read_exact_at(buf, offset)
            .map_err(|error| IoError::at(IoOperation::Read, &self.path, offset, error))
    }

    fn write_durable(&self, offset: u64, parts: &[&[u8]]) -> Result<(), IoError> {
        request::check_write(&self.path, self.len, offset, parts)?;
        raw::write_then_flush(&self.file, &self.path, offset, parts)
    }

    fn write(&self, offset: u64, parts: &[&[u8]]) -> Result<(), IoError> {
        request::check_write(&self.path, self.len, offset, parts)?;
        raw::write_all(&self.file, &self.path, offset, parts)
    }

    fn zero_fill(&self) -> Result<(), IoError> {
        raw::zero_fill(&self.file, &self.path, self.len)
    }

    fn discard(&self, offset: u64, bytes: u64) -> Result<(), IoError> {
        request::check_discard(&self.path, self.len, offset, bytes)?;
        raw::discard(&self.file, &self.path, offset, bytes)
    }

    fn flush(&self) -> Result<(), IoError> {
        raw::flush(&self.file, &self.path)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::io::{Device, contract};

    fn open(dir: &Path) -> Result<Box<dyn Device>, IoError> {
        Ok(Box::new(PortableDevice::open(dir)?))
    }

    #[test]
    fn keeps_the_contract() {
        let dir = tempfile::tempdir().unwrap();
        contract::check(&*open(dir.path()).unwrap());
    }

    #[test]
    fn keeps_the_contract_of_a_real_directory() {
        contract::check_directory(open);
        contract::check_read_only(open);
    }
}
