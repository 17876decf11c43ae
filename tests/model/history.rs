//! The model: every version of every key since the beginning, and transactions over it.
//!
//! Time is the number of commits so far. It says what isolation means in the simplest terms there are, and knows nothing of positions, chains or
//! pruning.

use crate::operations::{Key, Range, Space};
use skipstone::{ConflictKind, Isolation, Lsn};
use std::collections::BTreeMap;
use std::ops::Bound;

pub(crate) type Place = (Space, Key);

/// What is stored: the value, and for a document its version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stored {
    pub(crate) version: u64,
    pub(crate) value: u32,
}

/// Something committed: when, where in the log, and what; nothing for a deletion.
struct Version {
    time: usize,
    lsn: Lsn,
    stored: Option<Stored>,
}

#[derive(Default)]
pub(crate) struct History {
    versions: BTreeMap<Place, Vec<Version>>,
    commits: usize,
}

/// A write that is not committed: of what, and after which commit nobody else may have written the key; never for a blind write
/// under read committed.
#[derive(Clone, Copy)]
struct Write {
    stored: Option<Stored>,
    base: usize,
}

const BLIND: usize = usize::MAX;

pub(crate) struct Transaction {
    level: Isolation,
    began: usize,
    writes: BTreeMap<Place, Write>,
    /// What the writes were when each savepoint was opened, and whether it is open.
    savepoints: Vec<(BTreeMap<Place, Write>, bool)>,
    keys_read: Vec<Place>,
    ranges_read: Vec<(Space, Range)>,
}

/// Why a commit is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Refused {
    pub(crate) kind: ConflictKind,
    pub(crate) place: Place,
    pub(crate) winner: Lsn,
}

impl History {
    /// The number of commits so far.
    pub(crate) fn now(&self) -> usize {
        self.commits
    }

    pub(crate) fn at(&self, time: usize, place: Place) -> Option<Stored> {
        let versions = self.versions.get(&place)?;
        versions.iter().rev().find(|version| version.time <= time)?.stored
    }

    /// All entries of a space, in order.
    pub(crate) fn all_at(&self, time: usize, space: Space) -> Vec<(Key, Stored)> {
        let keys = self.versions.keys().filter(|place| place.0 == space);
        keys.filter_map(|&place| Some((place.1, self.at(time, place)?))).collect()
    }

    /// Who changed a key after a time, if somebody did.
    fn changed_since(&self, time: usize, place: Place) -> Option<Lsn> {
        self.versions.get(&place)?.last().filter(|version| version.time > time).map(|version| version.lsn)
    }

    /// Whether a transaction may commit: by its writes in the order of their places, then the keys that it read, then the ranges.
    pub(crate) fn judge(&self, transaction: &Transaction) -> Result<(), Refused> {
        if transaction.writes.is_empty() {
            return Ok(());
        }
        let refused = |kind, place, winner| Refused { kind, place, winner };
        for (&place, write) in &transaction.writes {
            if let Some(winner) = self.changed_since(write.base, place) {
                return Err(refused(ConflictKind::Write, place, winner));
            }
        }
        for &place in &transaction.keys_read {
            if let Some(winner) = self.changed_since(transaction.began, place) {
                return Err(refused(ConflictKind::Read, place, winner));
            }
        }
        for (space, range) in &transaction.ranges_read {
            let within = self.versions.keys().filter(|place| place.0 == *space && contains(range, place.1));
            for &place in within {
                if let Some(winner) = self.changed_since(transaction.began, place) {
                    return Err(refused(ConflictKind::Range, place, winner));
                }
            }
        }
        Ok(())
    }

    pub(crate) fn commit(&mut self, transaction: Transaction, lsn: Lsn) {
        if transaction.writes.is_empty() {
            return;
        }
        self.commits += 1;
        for (place, write) in transaction.writes {
            let version = Version { time: self.commits, lsn, stored: write.stored };
            self.versions.entry(place).or_default().push(version);
        }
    }
}

impl Transaction {
    pub(crate) fn begin(history: &History, level: Isolation) -> Transaction {
        Transaction {
            level,
            began: history.now(),
            writes: BTreeMap::new(),
            savepoints: Vec::new(),
            keys_read: Vec::new(),
            ranges_read: Vec::new(),
        }
    }

    /// When a statement that begins now reads.
    fn reads_at(&self, history: &History) -> usize {
        if self.level == Isolation::ReadCommitted { history.now() } else { self.began }
    }

    pub(crate) fn get(&mut self, history: &History, place: Place) -> Option<Stored> {
        if let Some(write) = self.writes.get(&place) {
            return write.stored;
        }
        if self.level == Isolation::Serializable {
            self.keys_read.push(place);
        }
        history.at(self.reads_at(history), place)
    }

    /// At most `entries_max` entries. What was read ends with the last one that was taken, unless there was none to take any more.
    pub(crate) fn scan(
        &mut self,
        history: &History,
        (space, range): (Space, Range),
        backwards: bool,
        entries_max: usize,
    ) -> Vec<(Key, Stored)> {
        let mut seen: BTreeMap<Key, Option<Stored>> =
            history.all_at(self.reads_at(history), space).into_iter().map(|(k, s)| (k, Some(s))).collect();
        seen.extend(self.writes.iter().filter(|(place, _)| place.0 == space).map(|(p, w)| (p.1, w.stored)));
        let mut entries: Vec<(Key, Stored)> = seen
            .into_iter()
            .filter(|(key, _)| contains(&range, *key))
            .filter_map(|(key, stored)| Some((key, stored?)))
            .collect();
        if backwards {
            entries.reverse();
        }
        let walked_to_its_end = entries.len() < entries_max;
        entries.truncate(entries_max);
        if self.level == Isolation::Serializable && entries_max > 0 {
            let read = match entries.last() {
                Some(&(last, _)) if !walked_to_its_end && backwards => (Bound::Included(last), range.1),
                Some(&(last, _)) if !walked_to_its_end => (range.0, Bound::Included(last)),
                _ => range,
            };
            self.ranges_read.push((space, read));
        }
        entries
    }

    /// Writes, whatever is there.
    pub(crate) fn put(&mut self, place: Place, stored: Option<Stored>) {
        let base = if self.level == Isolation::ReadCommitted { BLIND } else { self.began };
        self.write(place, stored, base);
    }

    /// Writes what was made of what [`Transaction::get`] answered just now.
    pub(crate) fn put_read(&mut self, history: &History, place: Place, stored: Option<Stored>) {
        self.write(place, stored, self.reads_at(history));
    }

    /// The first write of a key says what it was based on.
    fn write(&mut self, place: Place, stored: Option<Stored>, base: usize) {
        let base = self.writes.get(&place).map_or(base, |write| write.base);
        self.writes.insert(place, Write { stored, base });
    }

    pub(crate) fn savepoint(&mut self) {
        self.savepoints.push((self.writes.clone(), true));
    }

    /// Whether there was an open savepoint of this number.
    pub(crate) fn rollback_to(&mut self, number: usize) -> bool {
        let is_open = self.release(number);
        if is_open {
            self.writes = self.savepoints[number].0.clone();
        }
        is_open
    }

    pub(crate) fn release(&mut self, number: usize) -> bool {
        let is_open = self.savepoints[number].1;
        if is_open {
            self.savepoints[number..].iter_mut().for_each(|(_, open)| *open = false);
        }
        is_open
    }

    pub(crate) fn savepoint_count(&self) -> usize {
        self.savepoints.len()
    }
}

fn contains(range: &Range, key: Key) -> bool {
    std::ops::RangeBounds::contains(range, &key)
}
