//! Brings everything that can be read out of a damaged store into a new one.
//!
//! ```text
//!   trees:  every entry that the checkpoint's pages lead to
//!   leaves: where they lead no further, whole leaves of the lost ranges, the newest entry of each key: uncertain
//!   log:    every commit that can be read, in order, behind damaged places too
//! ```
//!
//! The old store is read only. The new one is written by transactions like any other: one for some of the entries, and one for each commit of
//! the log. So positions change; ids, values and the version counters of documents do not.

use super::Engine;
use super::catalog::{self, CATALOG_SPACE, IndexRecord, Kind};
use super::check::Check;
use super::config::{Config, Encryption};
use super::error::{CloseError, OpenError, SalvageError};
use super::finding::{Finding, FindingKind, Lost};
use super::found::{self, Found};
use super::indexing::IndexError;
use super::open;
use super::verify::{Walked, catalog_trees, check_found_log, check_trees};
use crate::checkpoint::pages::{self, Pages};
use crate::checkpoint::scan::scan;
use crate::checkpoint::walk::{Entry, KeyRange};
use crate::crypt::KeyProvider;
use crate::document::stored;
use crate::index::set::Phase;
use crate::io::{Device, DeviceChoice};
use crate::log::batch::Write;
use crate::lsn::Lsn;
use crate::map::{Key, Towards};
use crate::mvcc::store::Space;
use crate::options::{Durability, Isolation};
use crate::sync::{Arc, Mutex, lock};
use crate::txn::commit::Failed;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::path::Path;

/// So many uncertain keys are listed; the others are counted.
const UNCERTAIN_MAX: usize = 1_000;
/// Entries are committed when they take so many bytes.
const BATCH_BYTES: usize = 1 << 20;

/// What was brought out of a damaged store.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Salvaged {
    /// The collections and keyspaces of the new store.
    pub keyspaces: Vec<SalvagedKeyspace>,
    /// Commits of the log that were brought over.
    pub commits: u64,
    /// What is wrong with the old store, and what was lost by it. No more than a thousand are listed.
    pub findings: Vec<Finding>,
    /// How many findings there were besides those that are listed.
    pub more_findings: u64,
    /// Keys that were found in pages that no tree leads to any more: what they hold may be older than it was last, or deleted since. No more
    /// than a thousand are listed; each keyspace says how many it has.
    pub uncertain: Vec<UncertainKey>,
}

impl Salvaged {
    /// Whether everything is there, and certain.
    pub fn is_complete(&self) -> bool {
        self.findings.is_empty() && self.uncertain.is_empty()
    }
}

/// A collection or keyspace that was brought over.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SalvagedKeyspace {
    /// Its name. `recovered-7` if the catalog does not have that of number 7 any more.
    pub name: String,
    /// Whether it holds documents.
    pub is_collection: bool,
    /// Documents or keys in it.
    pub entries: u64,
    /// How many of them are uncertain.
    pub uncertain: u64,
}

/// A key of which it is not certain that it holds what it should.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct UncertainKey {
    /// The collection or keyspace.
    pub keyspace: String,
    /// Whether it holds documents.
    pub is_collection: bool,
    /// The key; of a document the encoding of its id, see [`DocumentId::from_key`](crate::DocumentId::from_key).
    pub key: Vec<u8>,
    /// When it was committed, in the old store.
    pub position: Lsn,
}

/// Brings everything that can be read out of the store at `old`, which nobody may have open, into a new one at `new`, which must not be there or be
/// an empty directory.
///
/// Everything goes over that the pages of the checkpoint lead to, and every commit that can be read from the log, also behind a damaged place, in
/// order. Where pages cannot be read, those below are looked for one by one, and the newest entry of each key is taken and listed as uncertain.
/// What is no document any more is left out, and listed. Collections whose name is lost are called `recovered-7`, after their number. It works without
/// the store's file, without a manifest, and without files of pages or of the log, as far as that is possible.
///
/// The old store is changed in no byte but the lock file. Documents keep their ids and their version counters; positions are those of
/// the new store. All of it is on stable storage on return. It costs the memory of a few words for each uncertain key.
///
/// # Errors
/// [`SalvageError`]. What is at `new` is not whole then, and may be removed.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// use skipstone::{Database, salvage};
///
/// let db = Database::open(dir.path().join("old"))?;
/// db.collection("towns")?.insert(bson::doc! { "_id": "aachen" })?;
/// db.close()?;
///
/// let salvaged = salvage(dir.path().join("old"), dir.path().join("new"))?;
/// assert!(salvaged.is_complete());
/// assert!(Database::open(dir.path().join("new"))?.collection("towns")?.exists("aachen")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn salvage(old: impl AsRef<Path>, new: impl AsRef<Path>) -> Result<Salvaged, SalvageError> {
    salvage_with(old.as_ref(), new.as_ref(), None)
}

/// The same for a store that is encrypted. The new one is encrypted too, with the same key. Without the file of the data keys, or the key, nothing can be
/// brought over.
///
/// # Errors
/// As [`salvage`]; and if the key is not the store's, or the store is not encrypted.
pub fn salvage_encrypted(
    old: impl AsRef<Path>,
    new: impl AsRef<Path>,
    provider: impl KeyProvider + 'static,
) -> Result<Salvaged, SalvageError> {
    salvage_with(old.as_ref(), new.as_ref(), Some(Encryption(Arc::new(provider))))
}

fn salvage_with(old: &Path, new: &Path, encryption: Option<Encryption>) -> Result<Salvaged, SalvageError> {
    let config = Config { create: false, encryption: encryption.clone(), ..Config::default() };
    let source = open::open_directory(old, &config).map_err(SalvageError::Old)?;
    let mut check = Check::default();
    let found = found::find(&source.device, old, &config, &mut check.findings).map_err(SalvageError::Old)?;
    let target = open::open_empty_directory(new, DeviceChoice::Auto).map_err(SalvageError::New)?;
    let config = Config { path: Some(new.to_path_buf()), encryption, ..Config::default() };
    let target = Engine::open_on(target.device, new, config, Some(target.lock)).map_err(SalvageError::New)?;
    let salvaged = bring_over((&source.device, old), (found, check), &target)?;
    target.close().map_err(|error| match error {
        CloseError::Log(cause) => SalvageError::Write(cause),
        CloseError::Checkpoint(cause) => SalvageError::New(cause.into()),
    })?;
    Ok(salvaged)
}

/// The same from a device to an open store that is empty; `dir` is what messages call the old one.
#[cfg(all(test, not(any(loom, shuttle))))]
pub(crate) fn salvage_on(
    source: &Arc<dyn Device>,
    dir: &Path,
    target: &Engine,
) -> Result<Salvaged, SalvageError> {
    let mut check = Check::default();
    let found = found::find(source, dir, target.config(), &mut check.findings).map_err(SalvageError::Old)?;
    bring_over((source, dir), (found, check), target)
}

fn bring_over(
    (device, dir): (&Arc<dyn Device>, &Path),
    (found, mut check): (Found, Check),
    target: &Engine,
) -> Result<Salvaged, SalvageError> {
    let writer = Mutex::new(Writer::new(target));
    let mut uncertain = from_pages(device, &found, &mut check, &writer).map_err(SalvageError::Old)?;
    let mut writer = writer.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut commits = 0;
    let read = check_found_log(&mut check, &found, dir, &mut |lsn, writes| {
        commits += 1;
        writer.commit_again(lsn, writes, &mut uncertain);
    });
    read.map_err(SalvageError::Old)?;
    let mut salvaged = writer.finish(&uncertain)?;
    std::mem::take(&mut salvaged.findings).into_iter().for_each(|finding| check.findings.add(finding));
    check.findings.sort();
    (salvaged.findings, salvaged.more_findings) = (check.findings.list, check.findings.more);
    salvaged.commits = commits;
    Ok(salvaged)
}

/// Keys that were found in pages by themselves, with the positions of their commits.
type Uncertain = HashMap<(u32, Key), Lsn>;

/// Which keys the trees do not lead to.
enum Missed {
    /// In each keyspace, in order and apart.
    Ranges(BTreeMap<u32, Vec<KeyRange>>),
    All,
}

impl Missed {
    fn ranges(mut lost: Vec<(u32, KeyRange)>) -> Missed {
        lost.sort_by(|(space, a), (other, b)| (space, &a.low).cmp(&(other, &b.low)));
        let mut spaces: BTreeMap<u32, Vec<KeyRange>> = BTreeMap::new();
        for (space, range) in lost {
            let ranges = spaces.entry(space).or_default();
            match ranges.last_mut().filter(|last| last.high.as_ref().is_none_or(|high| *high >= range.low)) {
                Some(last) => last.extend_to(range.high),
                None => ranges.push(range),
            }
        }
        Missed::Ranges(spaces)
    }

    fn contains(&self, space: u32, key: &[u8]) -> bool {
        let Missed::Ranges(spaces) = self else { return true };
        let ranges = spaces.get(&space).map_or(&[][..], |ranges| ranges);
        let behind = ranges.partition_point(|range| *range.low <= *key);
        ranges[..behind].last().is_some_and(|range| range.contains(key))
    }
}

/// Everything that pages hold: what the trees lead to, and what is found where they do not.
fn from_pages(
    device: &Arc<dyn Device>,
    found: &Found,
    check: &mut Check,
    writer: &Mutex<Writer<'_>>,
) -> Result<Uncertain, OpenError> {
    let mut uncertain = Uncertain::new();
    let walked = match (&found.manifest, found.open_pages(device, &mut check.findings)?) {
        (Some(manifest), Some(pages)) => Some((manifest, pages)),
        _ => None,
    };
    if let Some((manifest, pages)) = walked {
        let put = |space: u32, entry: &Entry<'_>| lock(writer).put(space, entry.key, entry.value);
        let (catalog, others) = manifest.trees.split_at(catalog_trees(manifest));
        let mut walked = Walked::default();
        // All that can be known of the catalog comes first: it says what the others are called, and which of them hold documents.
        for (is_catalog, trees) in [(true, catalog), (false, others)] {
            check_trees(check, (&pages, manifest.position), trees, &mut walked, put)?;
            if !walked.lost.is_empty() {
                let missed = Missed::ranges(std::mem::take(&mut walked.lost));
                from_leaves(
                    (&pages, manifest.position),
                    (is_catalog, &missed),
                    check,
                    writer,
                    &mut uncertain,
                );
            }
        }
    } else if found.has_lost_checkpoint
        && !found.has_whole_log()?
        && let Some(pages) = open_extents_there(device, found, check)?
    {
        for is_catalog in [true, false] {
            let position = Lsn::new(u64::MAX);
            from_leaves((&pages, position), (is_catalog, &Missed::All), check, writer, &mut uncertain);
        }
    }
    Ok(uncertain)
}

/// The newest entry of each key that was missed and is in a whole leaf, of the catalog or of all others, if it was committed below `position`.
fn from_leaves(
    (pages, position): (&Pages, Lsn),
    (is_catalog, missed): (bool, &Missed),
    check: &mut Check,
    writer: &Mutex<Writer<'_>>,
    uncertain: &mut Uncertain,
) {
    let wanted = |space: u32| (space == CATALOG_SPACE) == is_catalog;
    let mut newest = Uncertain::new();
    scan(pages, wanted, |space, entry| {
        let is_good = entry.lsn < position
            && missed.contains(space, entry.key)
            && check.is_good(space, entry.key, entry.value);
        if is_good {
            let lsn = newest.entry((space, Key::from(entry.key))).or_insert(entry.lsn);
            *lsn = entry.lsn.max(*lsn);
        }
    });
    scan(pages, wanted, |space, entry| {
        let key = (space, Key::from(entry.key));
        let is_newest = newest.get(&key) == Some(&entry.lsn) && !uncertain.contains_key(&key);
        let is_good = is_newest && check.is_good(space, entry.key, entry.value);
        if is_good && check.learn(space, entry.key, entry.value).is_ok() {
            lock(writer).put(space, entry.key, entry.value);
            uncertain.insert(key, entry.lsn);
        }
    });
}

/// The files of pages that are there, when no manifest says how many there should be.
fn open_extents_there(
    device: &Arc<dyn Device>,
    found: &Found,
    check: &mut Check,
) -> Result<Option<Pages>, OpenError> {
    let names = device.list()?;
    let of_pages = || names.iter().filter_map(|name| pages::parse_file_name(name));
    let length = of_pages().find_map(|extent| pages::read_extent_pages(&**device, &found.store.id, extent));
    let (Some(extent_pages), extents @ 1..) = (length, pages::extents_there(&names)) else { return Ok(None) };
    found::open_extents(device, &found.binding, (extent_pages, extents), &mut check.findings).map(Some)
}

/// A write that waits for others: keyspace, key, value unless it deletes.
type Pending = (u32, Key, Option<Box<[u8]>>);

/// Writes to the new store, under the numbers that keyspaces had in the old one.
struct Writer<'e> {
    target: &'e Engine,
    /// What the new catalog says of each number.
    named: BTreeMap<u32, (Kind, String)>,
    /// The indexes of the old store, which are built anew in the end.
    indexes: BTreeMap<u32, IndexRecord>,
    pending: Vec<Pending>,
    pending_bytes: usize,
    failed: Option<SalvageError>,
}

impl<'e> Writer<'e> {
    fn new(target: &'e Engine) -> Writer<'e> {
        let (named, indexes, pending) = Default::default();
        Writer { target, named, indexes, pending, pending_bytes: 0, failed: None }
    }

    /// Writes an entry, with others. A failure is told in the end.
    fn put(&mut self, space: u32, key: &[u8], value: &[u8]) {
        self.write(space, key, Some(value));
        if self.pending_bytes >= BATCH_BYTES {
            self.flush();
        }
    }

    /// Writes what a commit of the old store wrote, in one of the new one.
    fn commit_again(&mut self, lsn: Lsn, writes: &[Write<'_>], uncertain: &mut Uncertain) {
        self.flush();
        for write in writes {
            let key = (write.space, Key::from(write.key));
            if uncertain.get(&key).is_some_and(|found| *found >= lsn) {
                continue;
            }
            uncertain.remove(&key);
            self.write(write.space, write.key, write.value);
        }
        self.flush();
    }

    /// Takes a write, unless it is one to an index.
    fn write(&mut self, space: u32, key: &[u8], value: Option<&[u8]>) {
        let is_index = match space {
            CATALOG_SPACE => self.learn_index(key, value),
            _ => self.indexes.contains_key(&space),
        };
        if !is_index {
            if let Some(value) = value {
                self.name(space, key, value);
            }
            self.push(space, key, value);
        }
    }

    /// Whether an entry of the catalog is about an index.
    fn learn_index(&mut self, key: &[u8], value: Option<&[u8]>) -> bool {
        if let Some(record) = value.and_then(|value| IndexRecord::parse(key, value)) {
            self.indexes.insert(record.number, record);
        } else if value.is_none() {
            self.indexes.values_mut().filter(|record| record.key() == key).for_each(|record| {
                // Its entries may still come.
                record.phase = Phase::Dropping;
            });
        }
        catalog::is_about_indexes(key)
    }

    fn push(&mut self, space: u32, key: &[u8], value: Option<&[u8]>) {
        self.pending_bytes += key.len() + value.map_or(0, <[u8]>::len);
        self.pending.push((space, Key::from(key), value.map(Box::from)));
    }

    /// Sees to it that a keyspace has a name before anything is written to it.
    fn name(&mut self, space: u32, key: &[u8], value: &[u8]) {
        if space == CATALOG_SPACE {
            if let Some((kind, name, number)) = catalog::parse(key, value) {
                self.named.insert(number, (kind, name.to_owned()));
            }
        } else if !self.named.contains_key(&space) {
            let kind = if stored::check(key, value).is_ok() { Kind::Collection } else { Kind::Keyspace };
            let name = self.unused_name(kind, format!("recovered-{space}"));
            self.push(CATALOG_SPACE, &catalog::key(kind, &name), Some(&space.to_le_bytes()));
            self.named.insert(space, (kind, name));
        }
    }

    fn unused_name(&self, kind: Kind, mut name: String) -> String {
        while self.named.values().any(|(of, used)| *of == kind && *used == name) {
            name.push('+');
        }
        name
    }

    /// Commits what was put.
    fn flush(&mut self) {
        let writes = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        while self.failed.is_none() && !writes.is_empty() {
            let mut txn = self.target.begin(Isolation::Snapshot);
            for (space, key, value) in &writes {
                txn.put(self.target.store().space(*space), key, value.as_deref());
            }
            match self.target.commit_as_is(txn, Durability::None) {
                Ok(_) => return,
                Err(Failed::Log(error)) => self.failed = Some(SalvageError::Write(error)),
                // Nobody else writes here, but it is how a commit may end.
                Err(Failed::Conflict { .. }) => {}
            }
        }
    }

    /// Builds an index anew that the old store had. That it cannot be is a finding: something is lost, or was kept that should have gone.
    fn build_index(&self, record: &IndexRecord) -> Result<Option<Finding>, SalvageError> {
        // Without a name there is no document either.
        let Some((_, name)) = self.named.get(&record.collection) else { return Ok(None) };
        let collection = self.target.store().space(record.collection);
        let error = match self.target.create_index(collection, record.definition.clone()) {
            Ok(()) => return Ok(None),
            Err(IndexError::Log(error)) => return Err(SalvageError::Write(error)),
            Err(error) => error,
        };
        let what = format!("index `{}` of `{name}` was not built anew: {error}", record.definition.name());
        Ok(Some(Finding { kind: FindingKind::Index, file: None, offset: None, what, lost: Lost::Nothing }))
    }

    /// Makes all of it durable, and counts it.
    fn finish(mut self, uncertain: &Uncertain) -> Result<Salvaged, SalvageError> {
        self.flush();
        self.failed.take().map_or(Ok(()), Err)?;
        let ready = self.indexes.values().filter(|record| record.phase == Phase::Ready);
        let findings = ready.filter_map(|record| self.build_index(record).transpose());
        let findings = findings.collect::<Result<Vec<_>, _>>()?;
        self.target.wait_durable(self.target.store().end().load()).map_err(SalvageError::Write)?;
        let shown = |space: &u32| match self.named.get(space) {
            Some((kind, name)) => (name.clone(), *kind == Kind::Collection),
            None => ("the catalog".to_owned(), false),
        };
        let keyspaces = self.named.keys().map(|space| {
            let ((name, is_collection), of_space) = (shown(space), self.target.store().space(*space));
            let mine = uncertain.keys().filter(|(in_space, _)| in_space == space).count() as u64;
            SalvagedKeyspace { name, is_collection, entries: count(self.target, of_space), uncertain: mine }
        });
        let keyspaces = keyspaces.collect();
        let of_indexes = |space| self.indexes.contains_key(space);
        let mut keys: Vec<_> = uncertain.iter().filter(|((space, _), _)| !of_indexes(space)).collect();
        keys.sort_unstable();
        keys.truncate(UNCERTAIN_MAX);
        let uncertain = keys.into_iter().map(|((space, key), lsn)| {
            let (keyspace, is_collection) = shown(space);
            UncertainKey { keyspace, is_collection, key: key.to_vec(), position: *lsn }
        });
        Ok(Salvaged { keyspaces, findings, uncertain: uncertain.collect(), ..Salvaged::default() })
    }
}

fn count(target: &Engine, space: &Space) -> u64 {
    let snapshot = target.store().snapshot();
    snapshot.scan(space, (Bound::Unbounded, Bound::Unbounded), Towards::Greater).count() as u64
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_overlap_count_as_one() {
        let range = |low: &[u8], high: Option<&[u8]>| KeyRange { low: low.into(), high: high.map(Box::from) };
        let ranges = [
            (1, range(b"m", Some(b"p"))),
            (1, range(b"b", Some(b"d"))),
            (1, KeyRange::of_key(b"c")),
            (1, range(b"d", Some(b"e"))),
            (1, range(b"x", None)),
            (1, range(b"y", Some(b"z"))),
            (2, range(b"", None)),
        ];
        let missed = Missed::ranges(ranges.to_vec());
        for key in b'a'..=b'z' {
            let expected = ranges.iter().any(|(space, range)| *space == 1 && range.contains(&[key]));
            assert_eq!(missed.contains(1, &[key]), expected, "{}", key as char);
        }
        assert!(missed.contains(2, b"") && !missed.contains(3, b"a") && Missed::All.contains(3, b"a"));
    }
}
