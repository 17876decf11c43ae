//! Which device a store gets.

use super::portable::PortableDevice;
#[cfg(target_os = "linux")]
use super::uring::{self, UringDevice};
use super::{Device, IoError};
use std::path::Path;

/// The way a store reaches its files. It changes speed only: a store opens with any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum DeviceChoice {
    /// The fastest that works here: io_uring with direct I/O where the kernel has it and allows it, else the
    /// portable device.
    #[default]
    Auto,
    /// io_uring, direct I/O where the file system knows it, and writes that are durable by themselves. Opening the
    /// store fails where the kernel has no io_uring or forbids it.
    Uring,
    /// Plain `pwrite` and `fdatasync` through the page cache, which work everywhere.
    Portable,
}

/// Opens the directory of a store, which must exist.
pub(crate) fn open_device(dir: &Path, choice: DeviceChoice) -> Result<Box<dyn Device>, IoError> {
    match choice {
        DeviceChoice::Portable => Ok(Box::new(PortableDevice::open(dir)?)),
        DeviceChoice::Uring => open_uring(dir),
        DeviceChoice::Auto if uring_available() => open_uring(dir),
        DeviceChoice::Auto => Ok(Box::new(PortableDevice::open(dir)?)),
    }
}

#[cfg(target_os = "linux")]
fn open_uring(dir: &Path) -> Result<Box<dyn Device>, IoError> {
    Ok(Box::new(UringDevice::open(dir)?))
}

#[cfg(target_os = "linux")]
fn uring_available() -> bool {
    uring::available()
}

#[cfg(not(target_os = "linux"))]
fn open_uring(dir: &Path) -> Result<Box<dyn Device>, IoError> {
    let missing = std::io::Error::new(std::io::ErrorKind::Unsupported, "only Linux has io_uring");
    Err(IoError::new(super::IoOperation::Ring, dir, missing))
}

#[cfg(not(target_os = "linux"))]
fn uring_available() -> bool {
    false
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::io::{AlignedBuf, BLOCK};

    #[test]
    fn each_choice_opens_its_device_and_reads_what_the_others_wrote() {
        let dir = tempfile::tempdir().unwrap();
        let name = |choice| open_device(dir.path(), choice).unwrap().name();
        assert_eq!(name(DeviceChoice::Portable), "portable");
        assert_eq!(name(DeviceChoice::Auto), if uring_available() { "io_uring" } else { "portable" });

        let choices = [DeviceChoice::Portable, DeviceChoice::Auto, DeviceChoice::Portable];
        open_device(dir.path(), choices[0]).unwrap().create_zeroed("f", BLOCK as u64).unwrap();
        let mut block = AlignedBuf::zeroed(BLOCK);
        for (round, choice) in choices.into_iter().enumerate() {
            let file = open_device(dir.path(), choice).unwrap().open("f").unwrap();
            let mut found = vec![0xEE; BLOCK];
            file.read_at(0, &mut found).unwrap();
            assert_eq!(found, block[..]);
            block.fill(round as u8 + 1);
            file.write_durable(0, &[&block]).unwrap();
        }
    }
}
