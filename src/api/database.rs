//! The store as a caller holds it.

use super::retry::retry;
use super::space::SpaceHandle;
use super::{Builder, Collection, Error, Keyspace, Result, Snapshot, Stats, Transaction};
use crate::crypt::KeyProvider;
use crate::engine::Engine;
use crate::engine::backup::Backup;
use crate::engine::catalog::{self, Kind};
use crate::engine::checkpointer::Checkpoint;
use crate::engine::config::Config;
use crate::engine::error::CloseError;
use crate::engine::recovery::Recovery;
use crate::engine::verify::Verified;
use crate::lsn::Lsn;
use crate::options::TransactionOptions;
use crate::sync::Arc;
use std::path::Path;

/// The longest name of a collection, keyspace or index, in bytes.
const NAME_BYTES_MAX: usize = 255;

pub(super) fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Error::Name { name: name.to_owned(), max: NAME_BYTES_MAX });
    }
    Ok(())
}

/// An open store.
///
/// Cheap to clone, and shared between threads: every clone is the same store. The store is closed by [`Database::close`], or when the last
/// handle is dropped: the database, its collections and its keyspaces.
///
/// ```
/// use skipstone::{Database, bson::doc};
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("store");
/// let db = Database::open(&path)?;
/// let towns = db.collection("towns")?;
/// towns.insert(doc! { "_id": "aachen", "people": 249_070 })?;
/// drop(towns);
/// db.close()?;
///
/// let db = Database::open(&path)?;
/// assert!(db.collection("towns")?.exists("aachen")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Database {
    pub(super) engine: Arc<Engine>,
}

impl Database {
    /// A new store in memory.
    pub fn in_memory() -> Database {
        Database::with(Config::default()).expect("a store in memory has nothing that can fail to open")
    }

    /// Opens the store in a directory, which is created if it does not exist (its parent must).
    ///
    /// One process at a time: a second opener gets an error that names the first.
    ///
    /// # Errors
    /// [`OpenError`](crate::OpenError).
    pub fn open(path: impl AsRef<Path>) -> Result<Database> {
        Database::builder().path(path.as_ref()).open()
    }

    /// All settings.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(super) fn with(config: Config) -> Result<Database> {
        Ok(Database { engine: Arc::new(Engine::open(config)?) })
    }

    pub(crate) fn from_engine(engine: Arc<Engine>) -> Database {
        Database { engine }
    }

    /// The collection of this name, created if there is none.
    ///
    /// # Errors
    /// [`Error::Name`]; [`Error::ReadOnly`] or [`Error::NoNumberLeft`] if it would have to be created.
    pub fn collection(&self, name: &str) -> Result<Collection> {
        self.named(Kind::Collection, name).map(Collection)
    }

    /// The keyspace of this name, created if there is none.
    ///
    /// # Errors
    /// [`Error::Name`]; [`Error::ReadOnly`] or [`Error::NoNumberLeft`] if it would have to be created.
    pub fn keyspace(&self, name: &str) -> Result<Keyspace> {
        self.named(Kind::Keyspace, name).map(Keyspace)
    }

    /// The collection of this name, if there is one.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn find_collection(&self, name: &str) -> Result<Option<Collection>> {
        Ok(self.find(Kind::Collection, name)?.map(Collection))
    }

    /// The keyspace of this name, if there is one.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn find_keyspace(&self, name: &str) -> Result<Option<Keyspace>> {
        Ok(self.find(Kind::Keyspace, name)?.map(Keyspace))
    }

    fn named(&self, kind: Kind, name: &str) -> Result<SpaceHandle> {
        super::check_open(&self.engine)?;
        check_name(name)?;
        let number = self.engine.find_or_add(kind, name).map_err(super::failed)?;
        let number = number.ok_or_else(|| Error::NoNumberLeft { name: name.to_owned() })?;
        Ok(SpaceHandle::new(self.engine.clone(), name, number))
    }

    fn find(&self, kind: Kind, name: &str) -> Result<Option<SpaceHandle>> {
        super::check_open(&self.engine)?;
        let number = self.engine.find(kind, name);
        Ok(number.map(|number| SpaceHandle::new(self.engine.clone(), name, number)))
    }

    /// The names of all collections, in order.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn collection_names(&self) -> Result<Vec<String>> {
        self.names(Kind::Collection)
    }

    /// The names of all keyspaces, in order.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn keyspace_names(&self) -> Result<Vec<String>> {
        self.names(Kind::Keyspace)
    }

    fn names(&self, kind: Kind) -> Result<Vec<String>> {
        super::check_open(&self.engine)?;
        let store = self.engine.store();
        Ok(catalog::list(&store.snapshot(), store, kind).into_iter().map(|(name, _)| name).collect())
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn begin(&self) -> Result<Transaction<'_>> {
        self.begin_with(TransactionOptions::new())
    }

    /// Begins a transaction with settings of its own.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn begin_with(&self, options: TransactionOptions) -> Result<Transaction<'_>> {
        super::check_open(&self.engine)?;
        let config = self.engine.config();
        let isolation = options.isolation.unwrap_or(config.isolation);
        Ok(Transaction::new(&self.engine, isolation, options.durability.unwrap_or(config.durability)))
    }

    /// Runs `body` in a transaction and commits it; tries again, after a short random pause that grows, when another transaction comes in between.
    ///
    /// `body` may be called several times. An error that it returns, other than a conflict, rolls the transaction back.
    ///
    /// # Errors
    /// What `body` fails with; [`Error::Conflict`] when the limit of [`Builder::retries`] is reached; [`Error::ReadOnly`].
    pub fn transact<T>(&self, body: impl FnMut(&mut Transaction<'_>) -> Result<T>) -> Result<T> {
        self.transact_with(TransactionOptions::new(), body)
    }

    /// [`Database::transact`] with settings of its own.
    ///
    /// # Errors
    /// As there.
    pub fn transact_with<T>(
        &self,
        options: TransactionOptions,
        mut body: impl FnMut(&mut Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        retry(self.engine.config().retries_max, || {
            let mut transaction = self.begin_with(options)?;
            let result = body(&mut transaction)?;
            transaction.commit()?;
            Ok(result)
        })
    }

    /// Opens a snapshot of everything that is committed by now.
    ///
    /// # Errors
    /// [`Error::Closed`].
    #[inline]
    pub fn snapshot(&self) -> Result<Snapshot<'_>> {
        super::check_open(&self.engine)?;
        Ok(Snapshot::new(&self.engine, self.engine.store().snapshot()))
    }

    /// The log's end: everything committed so far is below it.
    pub fn position(&self) -> Lsn {
        self.engine.store().end().load()
    }

    /// Everything below is on stable storage. Zero for a store in memory.
    pub fn durable_position(&self) -> Lsn {
        self.engine.durable_position()
    }

    /// Returns once everything below `position` is on stable storage; in memory, at once.
    ///
    /// After reading through a snapshot, waiting for the snapshot's position makes sure that what was read lasts.
    ///
    /// # Errors
    /// [`Error::ReadOnly`] if the log failed, [`Error::NotReached`].
    pub fn wait_durable(&self, position: Lsn) -> Result<()> {
        let end = self.position();
        if position > end {
            return Err(Error::NotReached { position, end });
        }
        self.engine.wait_durable(position).map_err(|cause| Error::ReadOnly { cause })
    }

    /// What opening the store did.
    pub fn recovery(&self) -> &Recovery {
        self.engine.recovery()
    }

    /// Figures of this moment.
    pub fn stats(&self) -> Stats {
        Stats::of(&self.engine)
    }

    /// Prunes every version that nobody can see any more, now, rather than when a writer or the sweep comes by. Walks the whole store.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn sweep(&self) -> Result<()> {
        super::check_open(&self.engine)?;
        self.engine.sweep();
        Ok(())
    }

    /// Takes a checkpoint of everything that is committed by now, so that the log before it can go; none in memory. The store takes them by itself, see
    /// [`Builder::checkpoint_log_bytes`].
    ///
    /// Nobody waits for it but the caller: readers and writers go on. It costs what changed since the last one: the log since then is read, and the
    /// pages of 8 KiB that hold what changed are written, with the branches above them. Waits for one that is under way.
    ///
    /// # Errors
    /// [`Error::Checkpoint`]; the last one and the log are as they were then, and nothing is lost. [`Error::Closed`].
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// let db = skipstone::Database::open(dir.path().join("store"))?;
    /// db.collection("towns")?.insert(bson::doc! { "_id": "aachen" })?;
    /// let checkpoint = db.checkpoint()?.expect("the store is on a disk");
    /// assert!(checkpoint.entries >= 1 && db.stats().checkpoint_position == Some(checkpoint.position));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        super::check_open(&self.engine)?;
        self.engine.checkpoint().map_err(|cause| Error::Checkpoint { cause: Box::new(cause) })
    }

    /// Copies everything that is committed by now, and maybe more, to `target`, which is made if it is missing and must be empty. The copy is a store: open it where it is, or
    /// put it in the place of the one that was lost.
    ///
    /// Readers and writers go on, and so do checkpoints. A checkpoint is taken and its pages are copied, then the log behind it, up to where it is durable by then; all of it is checked. So the copy can be
    /// restored to any moment between the checkpoint and its end, too, by [`restore`](crate::restore), and incremental backups can go on from it ([`Database::back_up_since`]). What
    /// the copying holds fast takes up room until it is done: pages that would be written over, and the log. [`Builder::checkpoint_bytes_per_second`] holds for the copying
    /// too, until the store is being closed. The copy is there wholly or not at all.
    ///
    /// # Errors
    /// [`Error::Backup`], [`Error::InMemory`], [`Error::Closed`].
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use skipstone::Database;
    ///
    /// let db = Database::open(dir.path().join("store"))?;
    /// db.collection("towns")?.insert(bson::doc! { "_id": "aachen" })?;
    /// let backup = db.back_up(dir.path().join("copy"))?;
    /// db.collection("towns")?.insert(bson::doc! { "_id": "bonn" })?;
    ///
    /// let copy = Database::open(dir.path().join("copy"))?;
    /// assert_eq!(copy.collection("towns")?.count()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn back_up(&self, target: impl AsRef<Path>) -> Result<Backup> {
        self.back_up_from(None, target.as_ref())
    }

    /// Copies to `target`, which is made if it is missing and must be empty, what the backup at `previous` does not have: the pages that were written after its
    /// checkpoint, and the log from its end on. Together they are a chain, which [`restore`](crate::restore) makes a store of. Nothing at `previous` is changed, nor read but for
    /// its file `backup`.
    ///
    /// What is copied, and how, is as with [`Database::back_up`]; it costs what changed. If the store has given up a part of the log in between, the
    /// chain cannot be restored to positions there: [`Backup::gap`] says so, and [`Builder::backup_log_bytes`] prevents it.
    ///
    /// # Errors
    /// [`Error::Backup`], [`Error::InMemory`], [`Error::Closed`]. [`BackupError::Previous`](crate::BackupError::Previous) if this is not the store that was backed up: take a full backup then.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use skipstone::Database;
    ///
    /// let db = Database::open(dir.path().join("store"))?;
    /// db.back_up(dir.path().join("sunday"))?;
    /// db.collection("towns")?.insert(bson::doc! { "_id": "aachen" })?;
    /// let backup = db.back_up_since(dir.path().join("sunday"), dir.path().join("monday"))?;
    /// assert_eq!(backup.gap, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn back_up_since(&self, previous: impl AsRef<Path>, target: impl AsRef<Path>) -> Result<Backup> {
        self.back_up_from(Some(previous.as_ref()), target.as_ref())
    }

    fn back_up_from(&self, previous: Option<&Path>, target: &Path) -> Result<Backup> {
        super::check_open(&self.engine)?;
        let backup = self.engine.back_up(previous, target);
        backup.map_err(|cause| Error::Backup { cause: Box::new(cause) })?.ok_or(Error::InMemory)
    }

    /// Makes the provider's key the key of this store, which is encrypted: from then on the old one opens nothing. The data gets a new key too.
    ///
    /// Readers and writers go on. The file of the data keys is replaced, the log goes on with a new data key, and a checkpoint is taken that
    /// writes every page anew: it costs what the store takes on the disk, twice while it is under way. The old data key goes when neither
    /// pages nor log need it; if a large transaction holds that up, at a later checkpoint. Waits for a checkpoint or backup that is under way.
    ///
    /// Backups that were made before keep the old key. Whatever fails or crashes, one of the two keys opens the store.
    ///
    /// # Errors
    /// [`Error::RotateKey`], which says which key is in force; [`Error::Closed`].
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use skipstone::{Database, MasterKey};
    ///
    /// let key = |byte| move || Ok(MasterKey::from_bytes(&[byte; 32])); // yours are random
    /// let open = |byte| Database::builder().path(dir.path().join("store")).encryption(key(byte)).open();
    /// let db = open(1)?;
    /// db.rotate_key(&key(2))?;
    /// db.close()?;
    /// assert!(open(1).is_err() && open(2).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rotate_key(&self, provider: &dyn KeyProvider) -> Result<Checkpoint> {
        super::check_open(&self.engine)?;
        Ok(self.engine.rotate_key(provider)?)
    }

    /// Checks everything that the store holds, in memory and on the disk, and lists what is wrong: see [`verify`](crate::verify), which does it
    /// for a store that nobody has open. Here it is checked besides that the versions of each record are in order, that scans and point reads see
    /// the same, and that the checkpoint and the log behind it hold just what a snapshot sees.
    ///
    /// Readers and writers go on. It costs a walk of all records; reading all pages in use, and the log since the checkpoint, with one thread
    /// in four cores; and the memory of a few words for each key in that log. A snapshot is open all the while, and no checkpoint is taken:
    /// the log grows, and closing the store waits for the end. In memory there are the records alone to check.
    ///
    /// # Errors
    /// [`Error::Closed`]; [`Error::Open`] for what keeps it from looking. What is wrong with the store is no error, but in
    /// [`Verified::findings`].
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// let db = skipstone::Database::open(dir.path().join("store"))?;
    /// db.collection("towns")?.insert(bson::doc! { "_id": "aachen" })?;
    /// let verified = db.verify()?;
    /// assert!(verified.is_sound() && verified.records == 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify(&self) -> Result<Verified> {
        super::check_open(&self.engine)?;
        Ok(self.engine.verify()?)
    }

    /// Makes everything durable and closes the store. From then on nothing begins and nothing commits, on any handle: such calls fail with
    /// [`Error::Closed`].
    ///
    /// What was open before can be read to its end: a collection or keyspace that was taken from a snapshot or a transaction, its scans, and
    /// the documents from there. [`CommitHandle`](crate::CommitHandle)s become ready. Positions, figures and [`Database::wait_durable`] answer on.
    ///
    /// The directory is free for another opener when the last handle, transaction and snapshot are dropped too.
    ///
    /// # Errors
    /// [`Error::ReadOnly`] if the last writes failed: what was acknowledged as durable is. [`Error::Checkpoint`] if all is in the log and the checkpoint
    /// failed that was to spare the next opening its replay. The store is closed all the same.
    pub fn close(self) -> Result<()> {
        self.engine.close().map_err(|error| match error {
            CloseError::Log(cause) => Error::ReadOnly { cause },
            CloseError::Checkpoint(cause) => Error::Checkpoint { cause: Box::new(cause) },
        })
    }
}
