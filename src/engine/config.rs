//! Every setting of a store, checked once.

use super::error::OpenError;
use crate::crypt::KeyProvider;
use crate::document::Limits;
use crate::io::{BLOCK, DeviceChoice};
use crate::log::clock::{self, Clock};
use crate::options::{Compression, Durability, Isolation, Retention};
use crate::sync::Arc;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// See `api::Builder`, which documents each.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// None for a store in memory.
    pub(crate) path: Option<PathBuf>,
    pub(crate) create: bool,
    pub(crate) device: DeviceChoice,
    pub(crate) isolation: Isolation,
    pub(crate) durability: Durability,
    pub(crate) buffered_interval: Duration,
    pub(crate) ring_bytes: u64,
    pub(crate) segment_bytes: u64,
    /// None: as the last checkpoint has it.
    pub(crate) retention: Option<Retention>,
    pub(crate) retries_max: u32,
    pub(crate) sweep_interval: Duration,
    pub(crate) limits: Limits,
    pub(crate) checkpoint_log_bytes: u64,
    pub(crate) checkpoint_interval: Duration,
    pub(crate) checkpoint_bytes_per_second: Option<u64>,
    pub(crate) checkpoint_at_close: bool,
    /// None: as the last checkpoint was.
    pub(crate) checkpoint_compression: Option<Compression>,
    pub(crate) backup_log_bytes: u64,
    /// The length of the files that hold pages. Counts until there is a checkpoint; an existing one keeps its own.
    pub(crate) extent_bytes: u64,
    /// None for a store that is not encrypted.
    pub(crate) encryption: Option<Encryption>,
    pub(crate) clock: Clock,
    /// How often the time is noted, and put into the log if that grows.
    pub(crate) time_interval: Duration,
}

/// Where the key comes from.
#[derive(Clone)]
pub(crate) struct Encryption(pub(crate) Arc<dyn KeyProvider>);

/// Says that there is a provider. What it may hold is its own business.
impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encryption(..)")
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            path: None,
            create: true,
            device: DeviceChoice::Auto,
            isolation: Isolation::Snapshot,
            durability: Durability::Sync,
            buffered_interval: Duration::from_millis(10),
            ring_bytes: 8 << 20,
            segment_bytes: 64 << 20,
            retention: None,
            retries_max: 10_000,
            sweep_interval: Duration::from_secs(1),
            limits: Limits::default(),
            checkpoint_log_bytes: 256 << 20,
            checkpoint_interval: Duration::from_secs(300),
            checkpoint_bytes_per_second: None,
            checkpoint_at_close: true,
            checkpoint_compression: None,
            backup_log_bytes: 0,
            extent_bytes: 64 << 20,
            encryption: None,
            clock: clock::system,
            time_interval: Duration::from_secs(1),
        }
    }
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let refuse = |setting, given, allowed| Err(OpenError::Setting { setting, given, allowed });
        if !self.ring_bytes.is_power_of_two() || !(1 << 16..=1 << 30).contains(&self.ring_bytes) {
            return refuse("ring_bytes", self.ring_bytes, "give a power of two from 64 KiB to 1 GiB");
        }
        if !self.segment_bytes.is_multiple_of(BLOCK as u64)
            || !(1 << 16..=1 << 36).contains(&self.segment_bytes)
        {
            return refuse(
                "segment_bytes",
                self.segment_bytes,
                "give a multiple of 4096 from 64 KiB to 64 GiB",
            );
        }
        Ok(())
    }
}
