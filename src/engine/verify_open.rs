//! Verifying a store that is open: its records, the checkpoint and the log below them, and that they hold the same.
//!
//! Nobody waits for it but those who would take a checkpoint. A snapshot is held all the while, and compared with what the pages and the log
//! behind them give for its position:
//!
//! ```text
//!   records: versions descend, documents decode, scans and point reads see the same; indexes hold what the documents say, and did at some positions
//!            of the past that is kept
//!   log:     the newest write of each key since the checkpoint, with a hash of its value
//!   pages:   every entry that the log does not override is in the snapshot, value and all
//!   then     every write of the log is in the snapshot, and there are as many entries as the snapshot sees
//! ```

use super::Disk;
use super::agreement::{Agreement, past_positions};
use super::anchors;
use super::check::{Check, Place};
use super::checkpointer::on_own_threads;
use super::error::OpenError;
use super::finding::{FindingKind, Lost};
use super::kept::Kept;
use super::open::{check_segment, missing_segment, of_keys};
use super::store_file::{self, StoreFile};
use super::verify::{Verified, Walked, catalog_trees, check_log, check_pages, check_trees};
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::manifest::{self, Manifest};
use crate::checkpoint::walk::{Entry, KeyRange};
use crate::io::Device;
use crate::log::Log;
use crate::lsn::Lsn;
use crate::map::{Key, Towards};
use crate::mvcc::snapshot::{Seen, Snapshot};
use crate::mvcc::store::{Space, Store};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::epoch;
use crate::sync::{Arc, Mutex, lock};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::hash::BuildHasher;
use std::ops::Bound;
use std::path::Path;

/// How many records are visited under one pin.
const BATCH: usize = 64;

type Hasher = foldhash::fast::RandomState;

/// What the log says since the checkpoint: of each key the newest write, its value by a hash.
type Overlay = HashMap<(u32, Key), (Lsn, Option<u64>), Hasher>;

/// Verifies an open store; `dir` is what messages call it.
pub(super) fn verify(store: &Store, disk: Option<&Disk>, dir: &Path) -> Result<Verified, OpenError> {
    match disk {
        None => Ok(Open::new(store, dir).records().finish()),
        Some(disk) => disk.checkpointer.with_kept(|device, kept| {
            let verified = on_own_threads(|| {
                let open = Open::new(store, dir).records().headers(device, disk, kept);
                Ok(open.and_then(|open| open.files(kept, &disk.log)))
            });
            verified?
        }),
    }
}

struct Open<'a> {
    store: &'a Store,
    spaces: BTreeMap<u32, &'a Space>,
    dir: &'a Path,
    snapshot: Snapshot,
    /// Checkpoints before the last one that are on the disk.
    older: Vec<Manifest>,
    check: Check,
    verified: Verified,
}

impl<'a> Open<'a> {
    fn new(store: &'a Store, dir: &'a Path) -> Open<'a> {
        let snapshot = store.snapshot();
        let verified = Verified { end: snapshot.position(), ..Verified::default() };
        // After the snapshot: what it sees is in one of these.
        let spaces = store.spaces().into_iter().map(|space| (space.id(), space)).collect();
        Open { store, spaces, dir, snapshot, older: Vec::new(), check: Check::default(), verified }
    }

    fn finish(self) -> Verified {
        self.verified.with(self.check.findings)
    }

    /// Checks what is in memory.
    fn records(mut self) -> Open<'a> {
        // The catalog comes first, and says which of them hold documents.
        for space in self.spaces.values() {
            check_chains(&mut self.check, space);
            self.verified.records += check_seen(&mut self.check, &self.snapshot, space);
        }
        self.indexes();
        self
    }

    /// Checks that indexes hold what the documents say, and that they did in the past that is kept: each index that was complete by then.
    fn indexes(&mut self) {
        let (mut wrong, positions) = (BTreeSet::new(), self.past_positions());
        let (names, findings) = (&self.check.names, &mut self.check.findings);
        agreement(&self.spaces, &self.snapshot).finish(None, &mut wrong, names, findings);
        for position in positions {
            // Whatever goes while we look need not be looked at.
            let Ok(snapshot) = self.store.snapshot_at(position) else { return };
            agreement(&self.spaces, &snapshot).finish(Some(position), &mut wrong, names, findings);
        }
    }

    /// Positions of the past, if it is to be kept, the newest first.
    fn past_positions(&self) -> Vec<Lsn> {
        let now = self.snapshot.position();
        let (oldest, retained_from) = (self.store.active().oldest(), self.store.retained_from(&epoch::pin()));
        if retained_from < now { past_positions(oldest, now) } else { Vec::new() }
    }

    /// Checks what opening would ask of each file, as a whole.
    fn headers(mut self, device: &Arc<dyn Device>, disk: &Disk, kept: &Kept) -> Result<Open<'a>, OpenError> {
        let findings = &mut self.check.findings;
        let mut add = |error: OpenError| findings.add_error(error, Lost::Nothing);
        match StoreFile::read(&**device, self.dir) {
            Ok(read) if read == disk.store_file => {}
            Ok(_) => add(OpenError::Damaged {
                file: self.dir.join(store_file::NAME),
                what: "it is another store's",
            })?,
            Err(error) => add(error)?,
        }
        let (segments, mut damaged) = (disk.log.segments(), Vec::new());
        if let Some(Err(error)) = segments.keys().map(|keys| keys.check_file(&**device)) {
            add(of_keys(self.dir, error))?;
        }
        let first = segments.geometry().index_of(kept.start().lsn);
        for index in first..=segments.last().unwrap_or(first) {
            let checked =
                segments.get(index).map(|file| check_segment(&*file, self.dir, &disk.store_file, index));
            checked.unwrap_or_else(|| Err(missing_segment(self.dir, index))).or_else(&mut add)?;
        }
        kept.pages.check_extents(|error| damaged.push(error));
        if let Some(expected) = &kept.manifest {
            let read = manifest::find_past(&**device, kept.pages.binding(), &mut damaged)?;
            let is_same = read.as_ref() == Some(expected);
            if !is_same && damaged.is_empty() {
                let (file, what) = (manifest::file_name(expected.number), "is not what was written there");
                damaged.push(CheckpointError::Damaged { file, offset: 0, what });
            }
            for read in manifest::before(&**device, expected, kept.pages.binding())? {
                read.map_or_else(|error| damaged.push(error), |older| self.older.push(older));
            }
        }
        damaged.into_iter().try_for_each(|error| add(error.into()))?;
        Ok(self)
    }

    /// Checks what is on the disk, and that it holds what the snapshot sees, as far as it can be read.
    fn files(mut self, kept: &Kept, log: &Log) -> Result<Verified, OpenError> {
        let before = self.check.findings.count();
        self.verified.segments = log.segments().count();
        if let Err(error) = log.wait_durable(self.snapshot.position()) {
            self.check.findings.add_error(error.into(), Lost::Nothing)?;
            return Ok(self.finish());
        }
        self.learn_older_names(kept)?;
        let overlay = self.read_log(kept, log)?;
        let expected = match &kept.manifest {
            Some(manifest) => {
                let is_log_whole = self.check.findings.count() == before;
                self.compare_pages((kept, manifest), is_log_whole, &overlay)?
            }
            None => 0,
        };
        if self.check.findings.count() == before {
            self.compare_log(&overlay, expected);
        }
        Ok(self.finish())
    }

    /// The log may write to what the checkpoint has a name for, and which was dropped since. What is wrong with its pages is found later.
    fn learn_older_names(&mut self, kept: &Kept) -> Result<(), OpenError> {
        let Some(manifest) = &kept.manifest else { return Ok(()) };
        let (mut check, catalog) = (Check::default(), &manifest.trees[..catalog_trees(manifest)]);
        let pages = (&*kept.pages, manifest.position);
        check_trees(&mut check, pages, catalog, &mut Walked::default(), |_, _| {})?;
        self.check.names.add_older(check.names);
        Ok(())
    }

    /// The log from the checkpoint up to the snapshot.
    fn read_log(&mut self, kept: &Kept, log: &Log) -> Result<Overlay, OpenError> {
        let mut overlay = Overlay::default();
        let hasher = overlay.hasher().clone();
        let log_read = check_log(
            &mut self.check,
            (log.segments(), self.dir),
            (kept.start(), Some(self.snapshot.position())),
            kept.position(),
            &mut |lsn, writes| {
                for write in writes {
                    let value = write.value.map(|value| hasher.hash_one(value));
                    overlay.insert((write.space, Key::from(write.key)), (lsn, value));
                }
            },
        )?;
        (self.verified.commits, self.verified.writes) = (log_read.commits, log_read.writes);
        self.verified.frames = log_read.end.map_or(0, |end| end.frames);
        Ok(overlay)
    }

    /// Checks the pages; returns how many entries of theirs hold still at the snapshot's position.
    fn compare_pages(
        &mut self,
        (kept, manifest): (&Kept, &Manifest),
        is_log_whole: bool,
        overlay: &Overlay,
    ) -> Result<u64, OpenError> {
        let (spaces, snapshot) = (&self.spaces, &self.snapshot);
        let (hold, differ) = (AtomicU64::new(0), Mutex::new(Vec::new()));
        let compare = |space: u32, entry: &Entry<'_>| {
            // What the log would say of it is not known otherwise.
            if !is_log_whole || overlay.contains_key(&(space, Key::from(entry.key))) {
                return;
            }
            // Relaxed: read when all threads are done.
            hold.fetch_add(1, Ordering::Relaxed);
            let seen = spaces.get(&space).and_then(|space| snapshot.get(space, entry.key));
            if !seen.is_some_and(|seen| seen.lsn == entry.lsn && seen.value == entry.value) {
                lock(&differ).push((space, Key::from(entry.key), Some(kept.pages.place(entry.page))));
            }
        };
        let walked = check_pages(&mut self.check, (&kept.pages, manifest), compare)?;
        (self.verified.checkpoint, self.verified.entries) = (manifest.position, walked.entries);
        self.verified.pages = walked.used.count();
        let mut in_use = walked.used.clone();
        anchors::check(&mut self.check.findings, &kept.pages, &self.older, &mut in_use)?;
        self.verified.free_pages = kept.pages.usable_count() - in_use.count();
        let is_same = walked.used.iter().all(|page| kept.used.contains(page));
        if walked.lost.is_empty() && !(is_same && walked.used.count() == kept.used.count()) {
            let what =
                "pages that the checkpoint leads to are free in memory, or the other way round".to_owned();
            self.check.add(FindingKind::Memory, None, what, Lost::Nothing);
        }
        for (space, key, place) in lock(&differ).drain(..) {
            self.differs(space, &key, place);
        }
        // Relaxed: see above.
        Ok(hold.load(Ordering::Relaxed))
    }

    /// Whether the snapshot sees what the log says, and nothing besides that and the entries `in_pages`.
    fn compare_log(&mut self, overlay: &Overlay, in_pages: u64) {
        let mut expected = in_pages;
        for ((space, key), (lsn, value)) in overlay {
            expected += u64::from(value.is_some());
            let seen = self.spaces.get(space).and_then(|space| self.snapshot.get(space, key));
            let seen = seen.map(|seen| (seen.lsn, overlay.hasher().hash_one(seen.value)));
            if seen != value.map(|value| (*lsn, value)) {
                self.differs(*space, key, None);
            }
        }
        if expected != self.verified.records {
            let what = format!(
                "a snapshot sees {} keys, and the pages and the log hold {expected} for its position",
                self.verified.records
            );
            self.check.add(FindingKind::Memory, None, what, Lost::Nothing);
        }
    }

    fn differs(&mut self, space: u32, key: &[u8], place: Place) {
        let lost = self.check.names.lost(space, &KeyRange::of_key(key));
        let what = "what is in memory is not what the pages and the log hold".to_owned();
        self.check.add(FindingKind::Memory, place, what, lost);
    }
}

/// What indexes hold against what the documents say, as a snapshot sees both.
fn agreement(spaces: &BTreeMap<u32, &Space>, snapshot: &Snapshot) -> Agreement {
    let entries = |number: &u32| {
        let space = spaces.get(number).into_iter();
        space.flat_map(|space| snapshot.scan(space, (Bound::Unbounded, Bound::Unbounded), Towards::Greater))
    };
    let Ok(agreement) = Agreement::of(|numbers, take| {
        for number in numbers {
            entries(number).for_each(|(key, seen)| take(*number, key, seen.value));
        }
        Ok::<_, Infallible>(())
    });
    agreement
}

/// Whether the versions of each record descend.
fn check_chains(check: &mut Check, space: &Space) {
    let mut after: Option<Key> = None;
    loop {
        let guard = epoch::pin();
        let low = after.as_ref().map_or(Bound::Unbounded, |key| Bound::Excluded(&**key));
        let (mut left, mut last) = (BATCH, None);
        let is_over =
            space.records().scan((low, Bound::Unbounded), Towards::Greater, &guard, |key, record| {
                if !record.descends(&guard) {
                    let lost = check.names.lost(space.id(), &KeyRange::of_key(key));
                    let what = "the versions of the record are not in the order of their commits".to_owned();
                    check.add(FindingKind::Memory, None, what, lost);
                }
                last = Some(key.clone());
                left -= 1;
                left > 0
            });
        if is_over {
            return;
        }
        after = last;
    }
}

/// Checks what a snapshot sees of a keyspace, and that a look at each key finds the same; returns how many keys it sees.
fn check_seen(check: &mut Check, snapshot: &Snapshot, space: &Space) -> u64 {
    let mut count = 0;
    let same = |a: &Seen<'_>, b: &Seen<'_>| a.lsn == b.lsn && std::ptr::eq(a.value, b.value);
    for (key, seen) in snapshot.scan(space, (Bound::Unbounded, Bound::Unbounded), Towards::Greater) {
        count += 1;
        check.entry(space.id(), key, seen.value, || None);
        if !snapshot.get(space, key).is_some_and(|found| same(&found, &seen)) {
            let lost = check.names.lost(space.id(), &KeyRange::of_key(key));
            let what = "a look at the key does not find what a scan sees".to_owned();
            check.add(FindingKind::Memory, None, what, lost);
        }
    }
    count
}
