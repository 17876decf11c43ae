//! An open store: its files, its records, its log, and the threads that keep it tidy.
//!
//! - `config`, `open`, `store_file`: from a path to files. `recovery`: from files to records. `verify`: what the files hold, without opening.
//! - `catalog`: names. `maintenance`: the flusher and the sweep.

pub(crate) mod catalog;
pub(crate) mod config;
pub(crate) mod error;
mod maintenance;
mod open;
pub(crate) mod recovery;
mod store_file;
pub(crate) mod verify;

use crate::io::{Device, DirLock, IoError};
use crate::log::{Log, Urgency};
use crate::lsn::{LogEnd, Lsn};
use crate::mvcc::store::{Space, Store, Swept};
use crate::options::{Durability, Isolation};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Mutex, lock};
use crate::txn::commit::{Committed, Failed, Ground};
use crate::txn::{self, Txn};
use catalog::Kind;
use config::Config;
use error::OpenError;
use maintenance::Maintenance;
use recovery::Recovery;
use std::path::Path;

/// See the module. Dropped when the last handle, transaction and snapshot are gone.
pub(crate) struct Engine {
    config: Config,
    recovery: Recovery,
    device_name: &'static str,
    closed: AtomicBool,
    /// Held while a name is added.
    naming: Mutex<()>,
    maintenance: Maintenance,
    store: Arc<Store>,
    log: Option<Arc<Log>>,
    /// The last to go: from then on others may open the directory.
    _lock: Option<DirLock>,
}

impl Engine {
    pub(crate) fn open(config: Config) -> Result<Engine, OpenError> {
        config.check()?;
        let Some(path) = config.path.clone() else {
            let end = Arc::new(LogEnd::new(Lsn::new(Lsn::ALIGN)));
            let store = Arc::new(Store::new(end, config.retained_bytes));
            return Ok(Engine::start(config, Recovery::default(), "none", store, None, None));
        };
        let opened = open::open_directory(&path, &config)?;
        Engine::open_on(opened.device, &path, config, Some(opened.lock))
    }

    /// Opens the store on a device; `dir` is what messages call it.
    pub(crate) fn open_on(
        device: Arc<dyn Device>,
        dir: &Path,
        config: Config,
        lock: Option<DirLock>,
    ) -> Result<Engine, OpenError> {
        let segments = open::open_segments(&device, dir, &config)?;
        let (store, log, recovery) =
            recovery::recover(segments, dir, config.ring_bytes as usize, config.retained_bytes)?;
        Ok(Engine::start(config, recovery, device.name(), Arc::new(store), Some(Arc::new(log)), lock))
    }

    fn start(
        config: Config,
        recovery: Recovery,
        device_name: &'static str,
        store: Arc<Store>,
        log: Option<Arc<Log>>,
        lock: Option<DirLock>,
    ) -> Engine {
        let maintenance = Maintenance::start(&config, &store, log.as_ref());
        Engine {
            config,
            recovery,
            device_name,
            closed: AtomicBool::new(false),
            naming: Mutex::new(()),
            maintenance,
            store,
            log,
            _lock: lock,
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// What the store's files are reached by; `none` in memory.
    pub(crate) fn device_name(&self) -> &'static str {
        self.device_name
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn log(&self) -> Option<&Arc<Log>> {
        self.log.as_ref()
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        // Acquire: pairs with the swap in `close`.
        self.closed.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn begin(&self, isolation: Isolation) -> Txn<'_> {
        Txn::begin(self.ground(), isolation)
    }

    /// Commits, and returns when that is acknowledged at `durability`.
    pub(crate) fn commit<'s>(&self, txn: Txn<'s>, durability: Durability) -> Result<Committed, Failed<'s>> {
        let committed = txn.commit()?;
        self.acknowledge(committed, durability).map_err(Failed::Log)?;
        Ok(committed)
    }

    /// Commits, and sees to it that the commit becomes durable, without waiting for that.
    pub(crate) fn commit_async<'s>(&self, txn: Txn<'s>) -> Result<Committed, Failed<'s>> {
        let committed = txn.commit()?;
        if let Some(log) = &self.log
            && log.durable() < committed.end
        {
            log.flush_in_time(committed.end, Urgency::Now).map_err(Failed::Log)?;
        }
        Ok(committed)
    }

    /// Writes one key, whatever is there, and returns when that is acknowledged at `durability`.
    pub(crate) fn put_alone<'s>(
        &'s self,
        space: &'s Space,
        key: &[u8],
        value: Option<&[u8]>,
        durability: Durability,
    ) -> Result<Committed, Failed<'s>> {
        let committed = txn::put_alone(self.ground(), space, key, value)?;
        self.acknowledge(committed, durability).map_err(Failed::Log)?;
        Ok(committed)
    }

    fn ground(&self) -> Ground<'_> {
        Ground { store: &self.store, log: self.log.as_deref() }
    }

    fn acknowledge(&self, committed: Committed, durability: Durability) -> Result<(), IoError> {
        match (&self.log, durability) {
            (None, _) | (_, Durability::None) => {}
            (Some(log), Durability::Buffered) => log.flush_in_time(committed.end, Urgency::Soon)?,
            (Some(log), Durability::Sync) => log.wait_durable(committed.end)?,
        }
        Ok(())
    }

    /// Everything below is on stable storage; in memory nothing ever is.
    pub(crate) fn durable_position(&self) -> Lsn {
        self.log.as_ref().map_or(Lsn::ZERO, |log| log.durable())
    }

    /// The first write or flush that failed, since which the store is read-only.
    pub(crate) fn failure(&self) -> Option<IoError> {
        self.log.as_ref().and_then(|log| log.check().err())
    }

    /// Returns once everything below `end` is durable. In memory there is nothing to wait for.
    pub(crate) fn wait_durable(&self, end: Lsn) -> Result<(), IoError> {
        self.log.as_ref().map_or(Ok(()), |log| log.wait_durable(end))
    }

    /// The number of a name, if it is there.
    pub(crate) fn find(&self, kind: Kind, name: &str) -> Option<u32> {
        catalog::find(&self.store.snapshot(), &self.store, kind, name)
    }

    /// The number of a name, which is added if it is not there.
    pub(crate) fn find_or_add(&self, kind: Kind, name: &str) -> Result<u32, Failed<'_>> {
        if let Some(number) = self.find(kind, name) {
            return Ok(number);
        }
        let _alone = lock(&self.naming);
        if let Some(number) = self.find(kind, name) {
            return Ok(number);
        }
        let mut txn = self.begin(Isolation::Snapshot);
        let number = catalog::add(&mut txn, &self.store, kind, name);
        self.commit(txn, self.config.durability)?;
        Ok(number)
    }

    /// Prunes every record, now.
    pub(crate) fn sweep(&self) -> Swept {
        self.store.sweep(|| true)
    }

    /// Makes everything durable and lets the threads go. The first call does it, later ones do nothing.
    pub(crate) fn close(&self) -> Result<(), IoError> {
        // AcqRel: one caller closes; whoever sees the flag sees that it was set before the log was.
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let flushed = self.log.as_ref().map_or(Ok(()), |log| log.close());
        self.maintenance.stop();
        flushed
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Nobody is left to be told; what was acknowledged as durable is.
        let _ = self.close();
        // What was committed while somebody else closed the store.
        let _ = self.wait_durable(self.store.end().load());
    }
}
