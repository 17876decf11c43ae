//! An open store: its files, its records, its log, and the threads that keep it tidy.
//!
//! - `config`, `open`, `store_file`: from a path to files. `recovery`: from files to records.
//! - `verify`: what the files hold, without opening, with `found`: which files there are; `verify_past`: whether indexes agree with documents, and did in the past; `verify_open`: what an open store holds. Both check by `check` and `agreement`, and report by `finding`. `salvage`: what is
//!   left of a damaged store, into a new one.
//! - `catalog`: names. `indexing`: secondary indexes, created, kept and dropped.
//! - `history`, `times`: how long the past is kept, and what time it was when. `anchors`: which checkpoints are kept for it.
//! - `logged`: what the log still says of the past.
//! - `checkpointer`: from records to files, with `kept`: what is there, and who needs it. `rotation`: a change of the data key. `maintenance`: the flusher, the sweep, the clock, and who takes checkpoints.
//! - `backup`: from those to other files. `descriptor`: what makes them a backup. `chain`, `restore`: from backups to a store.

mod agreement;
mod anchors;
pub(crate) mod backup;
pub(crate) mod catalog;
mod chain;
mod check;
pub(crate) mod checkpointer;
pub(crate) mod config;
pub(crate) mod descriptor;
pub(crate) mod error;
pub(crate) mod feed;
pub(crate) mod finding;
mod found;
pub(crate) mod history;
pub(crate) mod indexing;
mod kept;
pub(crate) mod logged;
mod maintenance;
mod open;
pub(crate) mod recovery;
pub(crate) mod restore;
mod rotation;
pub(crate) mod salvage;
mod store_file;
mod times;
pub(crate) mod verify;
mod verify_open;
mod verify_past;

use crate::checkpoint::error::CheckpointError;
use crate::crypt::KeyProvider;
use crate::index::set::Indexes;
use crate::io::{Device, DirLock, IoError};
use crate::log::{Log, Urgency};
use crate::lsn::{LogEnd, Lsn};
use crate::mvcc::store::{Space, Store, Swept};
use crate::options::{Durability, Isolation};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Mutex, lock};
use crate::txn::commit::{Committed, Failed, Ground};
use crate::txn::reapply::{self, Mended};
use crate::txn::{self, Txn};
use backup::Backup;
use catalog::Kind;
use checkpointer::{Checkpoint, Checkpointer};
use config::Config;
use descriptor::Descriptor;
use error::{BackupError, ChainError, CloseError, OpenError, RotateKeyError};
use history::{History, Past};
use indexing::{IndexError, maintain};
use maintenance::Maintenance;
use open::Opened;
use recovery::{Recovered, Recovery};
use std::path::Path;
use store_file::StoreFile;
use verify::Verified;

/// See the module. Dropped when the last handle, transaction and snapshot are gone.
pub(crate) struct Engine {
    config: Config,
    recovery: Recovery,
    device_name: &'static str,
    identity: u64,
    closed: AtomicBool,
    /// Held while a name is added.
    naming: Mutex<()>,
    /// Held while an index is created or dropped.
    indexing: Mutex<()>,
    maintenance: Maintenance,
    store: Arc<Store>,
    history: Arc<History>,
    /// None in memory.
    disk: Option<Disk>,
    /// The last to go: from then on others may open the directory.
    _lock: Option<DirLock>,
}

/// What a store on a disk has besides its records.
#[derive(Clone)]
struct Disk {
    store_file: StoreFile,
    log: Arc<Log>,
    checkpointer: Arc<Checkpointer>,
}

/// Why a transaction was not committed.
#[derive(Debug)]
pub(crate) enum NotCommitted<'s> {
    Failed(Failed<'s>),
    /// A collection got an index meanwhile in which one of the documents has no place.
    Index {
        collection: &'s Space,
        error: IndexError,
    },
}

impl<'s> From<Failed<'s>> for NotCommitted<'s> {
    fn from(failed: Failed<'s>) -> NotCommitted<'s> {
        NotCommitted::Failed(failed)
    }
}

/// Writes entries by the indexes that there are now, after documents or indexes have changed since they were written.
fn index_anew<'s>(txn: &mut Txn<'s>, collection: &'s Space) -> Result<(), NotCommitted<'s>> {
    if Indexes::of(collection).current().is_empty() && !txn.is_outdated(collection) {
        return Ok(());
    }
    maintain::anew(txn, collection).map_err(|error| NotCommitted::Index { collection, error })
}

/// Less log than this since the last checkpoint is replayed as fast as it is loaded.
const CLOSING_LOG_BYTES: u64 = 4 << 20;

impl Engine {
    pub(crate) fn open(config: Config) -> Result<Engine, OpenError> {
        config.check()?;
        let Some(path) = config.path.clone() else {
            let end = Arc::new(LogEnd::new(Lsn::new(Lsn::ALIGN)));
            let retention = config.retention.unwrap_or_default();
            let store = Arc::new(Store::new(end, retention.bytes));
            let history = History::begin(Arc::clone(&store), Past::default(), config.clock, retention);
            return Ok(Engine::start(config, Recovery::default(), "none", (store, history), None, None));
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
        let files = open::open_files(&device, dir, &config)?;
        let store_file = files.store;
        let retention = files.retention;
        let Recovered { store, log, kept, past, recovery } = recovery::recover(&device, files, dir, &config)?;
        let store = Arc::new(store);
        let history = History::begin(Arc::clone(&store), past, config.clock, retention);
        let name = device.name();
        let checkpointer = Checkpointer::new(device, &config, kept);
        let disk = Disk { store_file, log: Arc::new(log), checkpointer: Arc::new(checkpointer) };
        let engine = Engine::start(config, recovery, name, (store, history), Some(disk), lock);
        engine.attach_indexes();
        Ok(engine)
    }

    fn start(
        config: Config,
        recovery: Recovery,
        device_name: &'static str,
        (store, history): (Arc<Store>, History),
        disk: Option<Disk>,
        lock: Option<DirLock>,
    ) -> Engine {
        let history = Arc::new(history);
        let maintenance = Maintenance::start(&config, (&store, &history), disk.as_ref());
        Engine {
            config,
            recovery,
            device_name,
            identity: disk.as_ref().map_or_else(|| fastrand::u64(..), |disk| disk.store_file.number()),
            closed: AtomicBool::new(false),
            naming: Mutex::new(()),
            indexing: Mutex::new(()),
            maintenance,
            store,
            history,
            disk,
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

    /// Tells this store from others.
    pub(crate) fn identity(&self) -> u64 {
        self.identity
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    pub(crate) fn log(&self) -> Option<&Arc<Log>> {
        self.disk.as_ref().map(|disk| &disk.log)
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
    pub(crate) fn commit<'s>(
        &'s self,
        txn: Txn<'s>,
        durability: Durability,
    ) -> Result<Mended<'s>, NotCommitted<'s>> {
        let mended = reapply::commit(txn, &self.config.limits, index_anew)?;
        self.acknowledge(mended.committed, durability).map_err(Failed::Log)?;
        Ok(mended)
    }

    /// The same of a transaction that wrote no documents.
    pub(crate) fn commit_as_is<'s>(
        &self,
        txn: Txn<'s>,
        durability: Durability,
    ) -> Result<Committed, Failed<'s>> {
        let committed = txn.commit()?;
        self.acknowledge(committed, durability).map_err(Failed::Log)?;
        Ok(committed)
    }

    /// Commits, and sees to it that the commit becomes durable, without waiting for that.
    pub(crate) fn commit_async<'s>(&'s self, txn: Txn<'s>) -> Result<Committed, NotCommitted<'s>> {
        let Mended { committed, .. } = reapply::commit(txn, &self.config.limits, index_anew)?;
        if let Some(log) = self.log()
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
        Ground { store: &self.store, log: self.log().map(|log| &**log) }
    }

    fn acknowledge(&self, committed: Committed, durability: Durability) -> Result<(), IoError> {
        match (self.log(), durability) {
            (None, _) | (_, Durability::None) => {}
            (Some(log), Durability::Buffered) => log.flush_in_time(committed.end, Urgency::Soon)?,
            (Some(log), Durability::Sync) => log.wait_durable(committed.end)?,
        }
        Ok(())
    }

    /// Everything below is on stable storage; in memory nothing ever is.
    pub(crate) fn durable_position(&self) -> Lsn {
        self.log().map_or(Lsn::ZERO, |log| log.durable())
    }

    /// The first write or flush that failed, since which the store is read-only.
    pub(crate) fn failure(&self) -> Option<IoError> {
        self.log().and_then(|log| log.check().err())
    }

    /// Returns once everything below `end` is durable. In memory there is nothing to wait for.
    pub(crate) fn wait_durable(&self, end: Lsn) -> Result<(), IoError> {
        self.log().map_or(Ok(()), |log| log.wait_durable(end))
    }

    /// The number of a name, if it is there.
    pub(crate) fn find(&self, kind: Kind, name: &str) -> Option<u32> {
        catalog::find(&self.store.snapshot(), &self.store, kind, name)
    }

    /// The number of a name, which is added if it is not there; none if there is no number left for it.
    pub(crate) fn find_or_add(&self, kind: Kind, name: &str) -> Result<Option<u32>, Failed<'_>> {
        if let Some(number) = self.find(kind, name) {
            return Ok(Some(number));
        }
        let _alone = lock(&self.naming);
        if let Some(number) = self.find(kind, name) {
            return Ok(Some(number));
        }
        let mut txn = self.begin(Isolation::Snapshot);
        let Some(number) = catalog::add(&mut txn, &self.store, kind, name) else { return Ok(None) };
        self.commit_as_is(txn, self.config.durability)?;
        Ok(Some(number))
    }

    /// Prunes every record, now.
    pub(crate) fn sweep(&self) -> Swept {
        self.store.sweep(|| true)
    }

    /// Takes a checkpoint of everything that is committed by now; none in memory.
    pub(crate) fn checkpoint(&self) -> Result<Option<Checkpoint>, CheckpointError> {
        let Some(disk) = &self.disk else { return Ok(None) };
        disk.checkpointer.run((&self.store, &self.history), &disk.log).map(Some)
    }

    /// Copies everything that is committed by now to a directory that is made or empty, but for what the backup at `previous` has; none in memory.
    pub(crate) fn back_up(
        &self,
        previous: Option<&Path>,
        target: &Path,
    ) -> Result<Option<Backup>, BackupError> {
        let Some(disk) = &self.disk else { return Ok(None) };
        let previous = previous.map(|path| Ok::<_, ChainError>((path, chain::read_descriptor(path)?)));
        let previous = previous.transpose()?;
        let previous = previous.as_ref().map(|(path, previous)| (*path, previous));
        check_previous(disk, previous)?;
        // Locked until the backup is whole.
        let Opened { device, lock: _lock } = open::open_empty_directory(target, self.config.device)?;
        self.copy_to(disk, previous, &device).map(Some)
    }

    /// The same, to a device.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(crate) fn back_up_on(
        &self,
        previous: Option<(&Path, &Descriptor)>,
        target: &Arc<dyn Device>,
    ) -> Result<Option<Backup>, BackupError> {
        let Some(disk) = &self.disk else { return Ok(None) };
        check_previous(disk, previous)?;
        self.copy_to(disk, previous, target).map(Some)
    }

    fn copy_to(
        &self,
        disk: &Disk,
        previous: Option<(&Path, &Descriptor)>,
        target: &Arc<dyn Device>,
    ) -> Result<Backup, BackupError> {
        let log_from = previous.map(|(_, previous)| previous.end);
        let pinned = disk.checkpointer.run_and_pin((&self.store, &self.history), &disk.log, log_from)?;
        let source = (&disk.store_file, &*disk.log, &pinned);
        backup::make(source, previous, target, &disk.checkpointer.pace())
    }

    /// Makes `provider`'s key the store's, and writes everything anew with a new data key.
    pub(crate) fn rotate_key(&self, provider: &dyn KeyProvider) -> Result<Checkpoint, RotateKeyError> {
        let disk = self.disk.as_ref().ok_or(RotateKeyError::NotEncrypted)?;
        disk.checkpointer.rotate_key((&self.store, &self.history), &disk.log, provider)
    }

    /// Checks the records, and the files below them.
    pub(crate) fn verify(&self) -> Result<Verified, OpenError> {
        let dir = self.config.path.as_deref().unwrap_or(Path::new(""));
        verify_open::verify(&self.store, self.disk.as_ref(), dir)
    }

    /// The last checkpoint's position; zero before the first, none in memory.
    pub(crate) fn checkpoint_position(&self) -> Option<Lsn> {
        self.disk.as_ref().map(|disk| disk.checkpointer.position())
    }

    /// The last checkpoint that this process took, and why the last attempt failed, if it did.
    pub(crate) fn last_checkpoint(&self) -> (Option<Checkpoint>, Option<CheckpointError>) {
        self.disk.as_ref().map_or((None, None), |disk| disk.checkpointer.last())
    }

    /// So that the next opening has little to replay, and goes on with the compression that was asked for.
    fn checkpoint_at_close(&self) -> Result<(), CheckpointError> {
        let Some(disk) = self.disk.as_ref().filter(|_| self.config.checkpoint_at_close) else {
            return Ok(());
        };
        let is_due = disk.checkpointer.log_grown(self.store.end()) >= CLOSING_LOG_BYTES
            || disk.checkpointer.are_settings_new(&self.history);
        if is_due && self.failure().is_none() {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Makes everything durable and lets the threads go. The first call does it, later ones do nothing.
    pub(crate) fn close(&self) -> Result<(), CloseError> {
        // AcqRel: one caller closes; whoever sees the flag sees that it was set before the log was.
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        if let Some(disk) = &self.disk {
            disk.checkpointer.hurry();
        }
        let checkpointed = self.checkpoint_at_close();
        let flushed = self.log().map_or(Ok(()), |log| log.close());
        self.maintenance.stop();
        self.store.changes().wake_all();
        flushed?;
        Ok(checkpointed?)
    }
}

/// Refuses a backup that the store does not go on from, before anything is made for another one.
fn check_previous(disk: &Disk, previous: Option<(&Path, &Descriptor)>) -> Result<(), ChainError> {
    previous.map_or(Ok(()), |previous| {
        let keys = backup::fingerprint(&disk.log);
        backup::check_previous(previous, (&disk.store_file, keys), disk.log.durable())
    })
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Nobody is left to be told; what was acknowledged as durable is.
        let _ = self.close();
        // What was committed while somebody else closed the store.
        let end = self.store.end().load();
        let durable = self.wait_durable(end);
        if let (Some(disk), Ok(())) = (&self.disk, durable) {
            // What cannot be given back now may be the next time.
            let _ = disk.checkpointer.give_room_back(&disk.log, end);
        }
    }
}
