//! A file of a damaged store: what is left of it, to be read and never to be written.
//!
//! What the disk does not give, what lies behind the file's end, and all of a file that is missing reads as zeros: so whoever reads goes on,
//! and the checksums say what is not there. The first failure of the disk is kept.

use super::{BLOCK, BlockFile, IoError, IoOperation};
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;

/// See the module.
pub(crate) struct Remains {
    name: PathBuf,
    file: Option<Box<dyn BlockFile>>,
    bytes: u64,
    failed: OnceLock<IoError>,
}

impl Remains {
    /// What is left of a file that should have so many bytes.
    pub(crate) fn new(name: &str, file: Option<Box<dyn BlockFile>>, bytes: u64) -> Remains {
        Remains { name: name.into(), file, bytes, failed: OnceLock::new() }
    }

    /// The first read that the disk refused.
    pub(crate) fn failed(&self) -> Option<&IoError> {
        self.failed.get()
    }

    /// Fills what is there; the rest is left alone.
    fn read_block(&self, offset: u64, block: &mut [u8]) {
        let Some(file) = &self.file else { return };
        let there = file.len().saturating_sub(offset).min(block.len() as u64) as usize;
        if let Err(error) = file.read_at(offset, &mut block[..there]) {
            block.fill(0);
            let _ = self.failed.set(error);
        }
    }

    fn refuse(&self, operation: IoOperation) -> Result<(), IoError> {
        let refused = io::Error::new(io::ErrorKind::PermissionDenied, "a damaged store is only read");
        Err(IoError::new(operation, &self.name, refused))
    }
}

impl BlockFile for Remains {
    fn len(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        let is_whole = self.file.as_ref().is_some_and(|file| file.read_at(offset, buf).is_ok());
        if is_whole {
            return Ok(());
        }
        buf.fill(0);
        let mut at = offset;
        let mut rest = buf;
        while !rest.is_empty() {
            let here = rest.len().min(BLOCK - (at % BLOCK as u64) as usize);
            let (block, behind) = rest.split_at_mut(here);
            self.read_block(at, block);
            (at, rest) = (at + here as u64, behind);
        }
        Ok(())
    }

    fn write_durable(&self, _offset: u64, _parts: &[&[u8]]) -> Result<(), IoError> {
        self.refuse(IoOperation::Write)
    }

    fn write(&self, _offset: u64, _parts: &[&[u8]]) -> Result<(), IoError> {
        self.refuse(IoOperation::Write)
    }

    fn zero_fill(&self) -> Result<(), IoError> {
        self.refuse(IoOperation::Write)
    }

    fn discard(&self, _offset: u64, _bytes: u64) -> Result<(), IoError> {
        self.refuse(IoOperation::Write)
    }

    fn flush(&self) -> Result<(), IoError> {
        self.refuse(IoOperation::Flush)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::io::{AlignedBuf, Device, Fault, Repeat, SimulatedDisk};

    const BYTES: usize = 4 * BLOCK;

    fn disk() -> SimulatedDisk {
        let disk = SimulatedDisk::new(1);
        let file = disk.create_zeroed("f", BYTES as u64).unwrap();
        let mut ones = AlignedBuf::zeroed(BYTES);
        ones.fill(1);
        file.write_durable(0, &[&ones]).unwrap();
        disk
    }

    fn read(remains: &Remains, offset: u64, bytes: usize) -> Vec<u8> {
        let mut found = vec![9; bytes];
        remains.read_at(offset, &mut found).unwrap();
        found
    }

    #[test]
    fn what_is_behind_the_end_or_missing_is_zeros() {
        let longer = Remains::new("f", Some(disk().open("f").unwrap()), BYTES as u64 + 5000);
        let found = read(&longer, 8, BYTES + 4000);
        assert!(found[..BYTES - 8].iter().all(|&byte| byte == 1));
        assert!(found[BYTES - 8..].iter().all(|&byte| byte == 0));
        let missing = Remains::new("f", None, BYTES as u64);
        assert_eq!((read(&missing, 3, 5000), missing.len()), (vec![0; 5000], BYTES as u64));
    }

    #[test]
    fn a_block_that_the_disk_refuses_is_zeros_and_told_of() {
        let disk = disk();
        let remains = Remains::new("f", Some(disk.open("f").unwrap()), BYTES as u64);
        disk.fail(0, Fault::ReadEio, Repeat::Forever);
        assert_eq!(read(&remains, 0, BYTES), vec![0; BYTES]);
        assert!(remains.failed().is_some());
    }

    #[test]
    fn nothing_is_written() {
        let disk = disk();
        let remains = Remains::new("f", Some(disk.open("f").unwrap()), BYTES as u64);
        let block = AlignedBuf::zeroed(BLOCK);
        assert!(remains.write(0, &[&block]).is_err() && remains.write_durable(0, &[&block]).is_err());
        assert!(remains.zero_fill().is_err() && remains.flush().is_err());
        assert_eq!(read(&remains, 0, BLOCK), vec![1; BLOCK]);
    }
}
