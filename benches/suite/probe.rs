//! What the disk can do: one synchronous write of 4 KiB after the other, past the page cache, to a file filled with zeros.

use super::Result;
use super::drive::histogram;
use hdrhistogram::Histogram;
use rustix::fs::OFlags;
use rustix::io::ReadWriteFlags;
use std::fs::{File, OpenOptions};
use std::io::{IoSlice, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

const BLOCK_BYTES: usize = 4096;
const FILE_BYTES: usize = 64 << 20;

#[repr(align(4096))]
struct Block([u8; BLOCK_BYTES]);

/// The file that is written to, round and round.
pub(crate) struct Probe {
    file: File,
    block: Box<Block>,
    offset: u64,
}

/// What one thread reached that way.
pub(crate) struct Probed {
    pub(crate) per_second: f64,
    pub(crate) latency_ns: Histogram<u64>,
}

impl Probe {
    pub(crate) fn new(path: &Path) -> Result<Probe> {
        let mut file = File::create(path)?;
        file.write_all(&vec![0; FILE_BYTES])?;
        file.sync_all()?;
        let direct = OFlags::DIRECT.bits() as i32;
        let file = OpenOptions::new().write(true).custom_flags(direct).open(path)?;
        Ok(Probe { file, block: Box::new(Block([0xA5; BLOCK_BYTES])), offset: 0 })
    }

    pub(crate) fn run(&mut self, time: Duration) -> Result<Probed> {
        let (mut writes, mut latency_ns, began) = (0_u64, histogram(), Instant::now());
        while began.elapsed() < time {
            let each = Instant::now();
            let block = [IoSlice::new(&self.block.0)];
            let written = rustix::io::pwritev2(&self.file, &block, self.offset, ReadWriteFlags::DSYNC)?;
            if written != BLOCK_BYTES {
                return Err("the disk took a part of a block".into());
            }
            latency_ns.saturating_record(each.elapsed().as_nanos() as u64);
            self.offset = (self.offset + BLOCK_BYTES as u64) % FILE_BYTES as u64;
            writes += 1;
        }
        Ok(Probed { per_second: writes as f64 / began.elapsed().as_secs_f64(), latency_ns })
    }
}
