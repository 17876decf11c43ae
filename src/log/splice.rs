//! One segment out of parts that lie in several files: a backup holds the log from where the one before ends.

use crate::io::{BlockFile, IoError, IoOperation};
use crate::sync::Arc;
use std::io::ErrorKind;
use std::path::Path;

/// See the module. It is read and never written.
pub(crate) struct Splice {
    /// Where each part begins, in order; it goes on to where the next one does. Each of the files is as long as the whole.
    parts: Vec<(u64, Arc<dyn BlockFile>)>,
}

impl Splice {
    /// None without a part.
    pub(crate) fn of(parts: Vec<(u64, Arc<dyn BlockFile>)>) -> Option<Splice> {
        debug_assert!(parts.is_sorted_by(|(a, _), (b, _)| a <= b));
        (!parts.is_empty()).then_some(Splice { parts })
    }

    fn refuse(operation: IoOperation) -> Result<(), IoError> {
        Err(IoError::new(operation, Path::new("a backup"), ErrorKind::ReadOnlyFilesystem.into()))
    }
}

impl BlockFile for Splice {
    fn len(&self) -> u64 {
        self.parts[0].1.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let next = self.parts.partition_point(|(from, _)| *from <= at);
            // What is before the first part is nobody's, and looked at by nobody.
            let (_, file) = &self.parts[next.saturating_sub(1)];
            let room = self.parts.get(next).map_or(u64::MAX, |(from, _)| from - at);
            let len = room.min(rest.len() as u64) as usize;
            let (part, behind) = rest.split_at_mut(len);
            file.read_at(at, part)?;
            (at, rest) = (at + len as u64, behind);
        }
        Ok(())
    }

    fn write_durable(&self, _offset: u64, _parts: &[&[u8]]) -> Result<(), IoError> {
        Splice::refuse(IoOperation::Write)
    }

    fn write(&self, _offset: u64, _parts: &[&[u8]]) -> Result<(), IoError> {
        Splice::refuse(IoOperation::Write)
    }

    fn zero_fill(&self) -> Result<(), IoError> {
        Splice::refuse(IoOperation::Write)
    }

    fn discard(&self, _offset: u64, _bytes: u64) -> Result<(), IoError> {
        Splice::refuse(IoOperation::Write)
    }

    fn flush(&self) -> Result<(), IoError> {
        Splice::refuse(IoOperation::Flush)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::io::{AlignedBuf, BLOCK, Device, SimulatedDisk};

    #[test]
    fn each_byte_comes_from_its_part() {
        let disk = SimulatedDisk::new(1);
        let file = |name: &str, byte| {
            let mut block = AlignedBuf::zeroed(BLOCK);
            block.fill(byte);
            let file = disk.create(name, BLOCK as u64).unwrap();
            file.write_durable(0, &[&block]).unwrap();
            Arc::from(file)
        };
        let splice = Splice::of(vec![(100, file("a", 1)), (104, file("b", 2)), (112, file("c", 3))]).unwrap();
        for (offset, len) in [(100, 30), (90, 14), (103, 2), (104, 8), (111, 1), (112, 100), (0, BLOCK)] {
            let mut found = vec![0; len];
            splice.read_at(offset, &mut found).unwrap();
            for (at, byte) in (offset..).zip(found) {
                assert_eq!(
                    byte,
                    if at < 104 {
                        1
                    } else if at < 112 {
                        2
                    } else {
                        3
                    },
                    "byte {at}"
                );
            }
        }
        assert!(splice.read_at(BLOCK as u64 - 1, &mut [0; 2]).is_err(), "beyond its end");
        assert!(splice.write(0, &[]).is_err() && splice.len() == BLOCK as u64);
        assert!(Splice::of(Vec::new()).is_none());
    }
}
