//! The data of all figures on records: random ids of 16 bytes, values of 100 bytes; and our store full of them.

use super::Result;
use fastrand::Rng;
use skipstone::{Builder, Database, Durability, Keyspace, TransactionOptions};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::RwLock;
use std::time::Duration;

pub(crate) type Id = [u8; 16];

pub(crate) const VALUE_BYTES: usize = 100;
const BATCH: usize = 256;

/// A value: a counter, the id, and the same bytes over and over.
pub(crate) type Contents = [u8; VALUE_BYTES];

/// As many ids as there are to be records; the same ones in each run.
pub(crate) fn ids(records: usize) -> Vec<Id> {
    let mut rng = Rng::with_seed(0x51CC_5704);
    (0..records).map(|_| rng.u128(..).to_le_bytes()).collect()
}

/// The value of an id, with its counter at `count`.
pub(crate) fn value(id: &Id, count: u64) -> Contents {
    let mut value = [id[0]; VALUE_BYTES];
    value[..8].copy_from_slice(&count.to_le_bytes());
    value[8..24].copy_from_slice(id);
    value
}

/// The counter in a value.
pub(crate) fn count_in(value: &[u8]) -> u64 {
    u64::from_le_bytes(*value.first_chunk().expect("values hold a counter"))
}

/// Whether this is the value of that id, as far as one byte near its beginning tells.
#[inline]
pub(crate) fn is_value_of(id: &Id, value: &[u8]) -> bool {
    value[8] == id[0]
}

/// The map that has no versions, no log and no transactions, under the usual lock.
pub(crate) type Tree = RwLock<BTreeMap<Id, Vec<u8>>>;

pub(crate) fn tree(ids: &[Id]) -> Tree {
    RwLock::new(ids.iter().map(|id| (*id, value(id, 0).to_vec())).collect())
}

/// A store in a folder whose log nobody cuts but by asking: for figures of the commit path alone, or of a checkpoint that is asked for.
pub(crate) fn logged_only(path: &Path) -> Builder {
    let builder = Database::builder().path(path).checkpoint_at_close(false);
    builder.checkpoint_log_bytes(u64::MAX).checkpoint_interval(Duration::MAX)
}

/// Our store with a record for each id.
pub(crate) struct Ours {
    pub(crate) db: Database,
    pub(crate) records: Keyspace,
}

/// The way of transactions that measure everything but the disk.
pub(crate) fn unlogged() -> TransactionOptions {
    TransactionOptions::new().durability(Durability::None)
}

impl Ours {
    pub(crate) fn load(builder: Builder, ids: &[Id]) -> Result<Ours> {
        let db = builder.open()?;
        let records = db.keyspace("records")?;
        for batch in ids.chunks(BATCH) {
            db.transact_with(unlogged(), |tx| {
                let mut records = tx.keyspace(&records)?;
                batch.iter().try_for_each(|id| records.put(id, &value(id, 0)))
            })?;
        }
        let ours = Ours { db, records };
        ours.check(ids)?;
        Ok(ours)
    }

    /// A blind update of one record, as one transaction.
    #[inline]
    pub(crate) fn put(&self, id: &Id, value: &Contents, durability: Durability) {
        self.records.put_with(id, value, durability).expect("a put fails for a broken disk only");
    }

    /// Every record is there and is its own; returns the sum of the counters.
    pub(crate) fn check(&self, ids: &[Id]) -> Result<u64> {
        let snapshot = self.db.snapshot()?;
        let mut sum = 0;
        for id in ids {
            let value = snapshot.get(&self.records, id)?.ok_or("a record is missing")?;
            if value[8..24] != id[..] || value.len() != VALUE_BYTES {
                return Err("a record has another's value".into());
            }
            sum += count_in(value);
        }
        Ok(sum)
    }
}
