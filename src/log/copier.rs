//! Copies a part of the log to another directory, segment by segment, as it is.

use super::ring::block_floor;
use super::segment::{Geometry, Segments, StoreId, encode_header, file_name};
use crate::io::{AlignedBuf, BLOCK, BlockFile, Device, IoError};
use crate::lsn::Lsn;
use std::ops::Range;

/// How much is copied at a time.
const PIECE_BYTES: u64 = 1 << 20;

/// What is behind the end in the last segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Behind {
    /// Zeros, with their place on the disk: the log may go on there.
    Zeros,
    /// Anything: nobody reads on.
    Anything,
}

/// What is copied: from the block of `from` on, up to `to`, where everything is durable.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    pub(crate) from: Lsn,
    pub(crate) to: Lsn,
    pub(crate) behind: Behind,
}

/// Copies a part of the log; tells `wrote` of bytes as they are written, and returns how many were. All of it is durable on return. What the frames say is not looked at.
pub(crate) fn copy(
    segments: &Segments,
    part: Part,
    (target, store): (&dyn Device, &StoreId),
    wrote: &dyn Fn(u64),
) -> Result<u64, IoError> {
    let geometry = segments.geometry();
    let (first, last) = (geometry.index_of(part.from), geometry.index_of(part.to));
    let mut copied = 0;
    for index in first..=last {
        let range = part.within(geometry, index);
        let bytes = range.end.get() - range.start.get();
        // One that is written from front to end has its place on the disk by that.
        let is_full = bytes == geometry.data_bytes();
        let name = file_name(index);
        let file = if is_full || part.behind == Behind::Anything {
            target.create(&name, geometry.segment_bytes)?
        } else {
            target.create_zeroed(&name, geometry.segment_bytes)?
        };
        file.write(0, &[&encode_header(store, index, geometry)])?;
        // The last segment may have nothing of it.
        if bytes > 0 {
            let source = segments.existing(index)?;
            copy_bytes(&*source, &*file, (geometry.offset_of(range.start), bytes), wrote)?;
        }
        file.flush()?;
        copied += bytes;
    }
    Ok(copied)
}

impl Part {
    /// What is copied of a segment, from the beginning of a block on.
    fn within(&self, geometry: Geometry, index: u64) -> Range<Lsn> {
        let (first, behind) = (geometry.first(index), geometry.first(index + 1));
        first.max(block_floor(self.from))..behind.min(self.to)
    }
}

/// Copies bytes from a place on; the rest of their last block becomes zeros.
fn copy_bytes(
    source: &dyn BlockFile,
    target: &dyn BlockFile,
    (offset, bytes): (u64, u64),
    wrote: &dyn Fn(u64),
) -> Result<(), IoError> {
    let (mut at, end) = (offset, offset + bytes);
    while at < end {
        let len = PIECE_BYTES.min(end - at) as usize;
        let mut piece = AlignedBuf::zeroed(len.next_multiple_of(BLOCK));
        source.read_at(at, &mut piece[..len])?;
        target.write(at, &[&piece])?;
        wrote(len as u64);
        at += len as u64;
    }
    Ok(())
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::io::SimulatedDisk;
    use crate::sync::Arc;
    use std::collections::BTreeMap;

    #[test]
    fn a_part_is_copied_to_its_end_and_no_further() {
        let geometry = Geometry { segment_bytes: 3 * BLOCK as u64 };
        let data = geometry.data_bytes();
        let (source, store) = (SimulatedDisk::new(1), [7; 16]);
        let segments = Segments::new(Arc::new(source), store, geometry, BTreeMap::new(), Vec::new());
        for index in 0..4 {
            let mut bytes = AlignedBuf::zeroed(data as usize);
            bytes.fill(index as u8 + 1);
            segments.prepare(index).unwrap().write_durable(BLOCK as u64, &[&bytes]).unwrap();
        }
        for (from, to, behind) in [
            (0, data, Behind::Zeros),
            (data - 8, data + 8, Behind::Zeros),
            (BLOCK as u64, 4 * data - 8, Behind::Anything),
            (data + 16, data + 16, Behind::Anything),
        ] {
            let target = SimulatedDisk::new(2);
            let part = Part { from: Lsn::new(from), to: Lsn::new(to), behind };
            let block = from / BLOCK as u64 * BLOCK as u64;
            assert_eq!(copy(&segments, part, (&target, &store), &|_| ()).unwrap(), to - block);
            let names = target.list().unwrap();
            let first = from / data;
            assert_eq!(
                names.len() as u64,
                to / data - first + 1,
                "that of what comes next is there: {names:?}"
            );
            let mut found = Vec::new();
            for name in &names {
                let mut bytes = vec![0; geometry.segment_bytes as usize];
                target.open(name).unwrap().read_at(0, &mut bytes).unwrap();
                found.extend_from_slice(&bytes[BLOCK..]);
            }
            let expected = |at| if (block..to).contains(&at) { (at / data) as u8 + 1 } else { 0 };
            let is_looked_at = |at: &u64| behind == Behind::Zeros || (block..to).contains(at);
            let agrees = (first * data..)
                .zip(found)
                .filter(|(at, _)| is_looked_at(at))
                .all(|(at, byte)| byte == expected(at));
            assert!(agrees, "from {from} to {to}");
        }
    }
}
