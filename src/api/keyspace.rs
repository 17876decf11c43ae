//! A keyspace: ordered byte keys with a value each. Each call alone is a transaction.

use super::retry::retry;
use super::space::SpaceHandle;
use super::{Error, Result};
use crate::document::{Limits, MAX_KEY_BYTES};
use crate::options::Durability;
use crate::txn;

/// A named map from byte keys to byte values, ordered by key.
///
/// Cheap to clone; keeps the store. Keys have [`MAX_KEY_BYTES`] at most; those of up to 30 bytes are the fast ones. Ranges are read
/// through a [`Snapshot`](crate::Snapshot) or a [`Transaction`](crate::Transaction).
///
/// ```
/// # use skipstone::Database;
/// let db = Database::in_memory();
/// let counters = db.keyspace("counters")?;
/// counters.put(b"visits", b"1")?;
/// assert_eq!(counters.get(b"visits")?.as_deref(), Some(&b"1"[..]));
/// # Ok::<(), skipstone::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Keyspace(pub(super) SpaceHandle);

/// Fails for keys and values that are too large.
pub(super) fn check_sizes(key: &[u8], value: &[u8], limits: &Limits) -> Result<()> {
    if key.len() > MAX_KEY_BYTES {
        return Err(Error::KeyTooLong { len: key.len(), max: MAX_KEY_BYTES });
    }
    if value.len() > limits.bytes_max() {
        return Err(Error::ValueTooLarge { len: value.len(), max: limits.bytes_max() });
    }
    Ok(())
}

impl Keyspace {
    /// The name.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Writes a value, whatever is there.
    ///
    /// # Errors
    /// Keys and values that are too large.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.put_with(key, value, self.0.engine.config().durability)
    }

    /// [`Keyspace::put`], acknowledged at this durability.
    ///
    /// # Errors
    /// Keys and values that are too large.
    pub fn put_with(&self, key: &[u8], value: &[u8], durability: Durability) -> Result<()> {
        check_sizes(key, value, &self.0.engine.config().limits)?;
        self.write(key, Some(value), durability)
    }

    /// Deletes a key, whatever is there.
    ///
    /// # Errors
    /// A key that is too long.
    pub fn delete(&self, key: &[u8]) -> Result<()> {
        check_sizes(key, &[], &self.0.engine.config().limits)?;
        self.write(key, None, self.0.engine.config().durability)
    }

    fn write(&self, key: &[u8], value: Option<&[u8]>, durability: Durability) -> Result<()> {
        let engine = &*self.0.engine;
        retry(engine.config().retries_max, || {
            super::check_open(engine)?;
            let committed = engine.put_alone(self.0.space(), key, value, durability);
            committed.map(drop).map_err(super::failed)
        })
    }

    /// The newest committed value of a key, as a copy, by the rules of [`Collection::get`](crate::Collection::get).
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.get_with(key, <[u8]>::to_vec)
    }

    /// The newest committed value of a key, handed to `read` in place.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn get_with<T>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> T) -> Result<Option<T>> {
        super::check_open(&self.0.engine)?;
        Ok(txn::newest(self.0.space(), key, |_, value| read(value)))
    }
}
