//! Whether the indexes of a store hold what its documents say, no more and no less.
//!
//! Documents and entries come in any order, each once. What the documents say is added up, and so is what the indexes hold: hashes of entries, by
//! which two sums that are equal came from the same entries, but for a chance of one in 2^64.

use super::catalog::{CATALOG_SPACE, IndexRecord};
use super::check::Names;
use super::finding::{Finding, FindingKind, Findings, Lost};
use crate::document::stored;
use crate::index::entry::{self, SEVERAL_KEY};
use crate::index::set::Phase;
use crate::lsn::Lsn;
use foldhash::quality::FixedState;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;

/// How many positions of the past are looked at besides the oldest.
const PAST_POSITIONS: u64 = 8;

/// Positions of a past that can be read from `oldest` on, the newest first, to the oldest.
pub(super) fn past_positions(oldest: Lsn, now: Lsn) -> Vec<Lsn> {
    if oldest >= now {
        return Vec::new();
    }
    let step = (now.get() - oldest.get()) / (PAST_POSITIONS + 1);
    let at = |part: u64| Lsn::new((oldest.get() + part * step).next_multiple_of(Lsn::ALIGN));
    let mut positions: Vec<Lsn> = (0..=PAST_POSITIONS).rev().map(at).filter(|at| *at < now).collect();
    positions.dedup();
    positions
}

/// Entries, summed up.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Sum {
    count: u64,
    hashes: u64,
    /// Whether one of them belongs to a document that has several.
    are_several: bool,
}

impl Sum {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.count += 1;
        self.hashes = self.hashes.wrapping_add(FixedState::default().hash_one((key, value)));
    }
}

/// One index.
struct Tally {
    record: IndexRecord,
    /// By the documents.
    expected: Sum,
    found: Sum,
    /// Documents that have no place in it.
    misplaced: u64,
}

/// Takes what is under a key of a keyspace.
pub(super) type TakeEntry<'a> = &'a mut (dyn FnMut(u32, &[u8], &[u8]) + Send + 'a);

/// See the module.
pub(super) struct Agreement {
    /// By the numbers of their collections.
    tallies: BTreeMap<u32, Vec<Tally>>,
}

impl Agreement {
    /// Of a state, the entries of which `each` hands out: of the catalog, and of the keyspaces that it says.
    pub(super) fn of<E>(
        mut each: impl FnMut(&BTreeSet<u32>, TakeEntry<'_>) -> Result<(), E>,
    ) -> Result<Agreement, E> {
        let mut records = Vec::new();
        each(&BTreeSet::from([CATALOG_SPACE]), &mut |_, key, value| {
            records.extend(IndexRecord::parse(key, value));
        })?;
        let mut agreement = Agreement::new(records);
        each(&agreement.spaces(), &mut |space, key, value| agreement.add(space, key, value))?;
        Ok(agreement)
    }

    /// About those of the indexes that queries use.
    fn new(indexes: impl IntoIterator<Item = IndexRecord>) -> Agreement {
        let mut tallies: BTreeMap<u32, Vec<Tally>> = BTreeMap::new();
        for record in indexes.into_iter().filter(|record| record.phase == Phase::Ready) {
            let (expected, found) = Default::default();
            let tally = Tally { record, expected, found, misplaced: 0 };
            tallies.entry(tally.record.collection).or_default().push(tally);
        }
        Agreement { tallies }
    }

    /// The keyspaces whose entries have to be added.
    fn spaces(&self) -> BTreeSet<u32> {
        let indexes = self.tallies.values().flatten().map(|tally| tally.record.number);
        self.tallies.keys().copied().chain(indexes).collect()
    }

    /// Takes a document, or an entry of an index.
    fn add(&mut self, space: u32, key: &[u8], value: &[u8]) {
        if let Some(tallies) = self.tallies.get_mut(&space) {
            tallies.iter_mut().for_each(|tally| tally.add_document(key, value));
        } else if let Some(tally) = self.tallies.values_mut().flatten().find(|t| t.record.number == space) {
            if *key == *SEVERAL_KEY {
                tally.found.are_several = true;
            } else {
                tally.found.add(key, value);
            }
        }
    }

    /// Notes the indexes that do not agree, as of a position of the past, if it is one: without those that are known to be wrong, which grow by what is found.
    pub(super) fn finish(
        self,
        position: Option<Lsn>,
        wrong: &mut BTreeSet<u32>,
        names: &Names,
        findings: &mut Findings,
    ) {
        for tally in self.tallies.into_values().flatten() {
            let Some(what) = tally.problem().filter(|_| wrong.insert(tally.record.number)) else { continue };
            let (index, collection) = (tally.record.definition.name(), names.shown(tally.record.collection));
            let what = match position {
                None => format!("index `{index}` of `{collection}` {what}; drop it, and create it again"),
                Some(position) => format!(
                    "index `{index}` of `{collection}` {what}, as of position {position} and maybe others; later ones are right, as \
                     far as was looked"
                ),
            };
            let (kind, lost) = (FindingKind::Index, Lost::Nothing);
            findings.add(Finding { kind, file: None, offset: None, what, lost });
        }
    }
}

impl Tally {
    fn add_document(&mut self, id: &[u8], value: &[u8]) {
        let Some((_, document)) = stored::decode(value) else { return };
        match entry::keys(&self.record.definition, document, id) {
            Ok(keys) => {
                let value = entry::value(&self.record.definition, id, &keys);
                keys.keys.iter().for_each(|key| self.expected.add(key, &value));
                self.expected.are_several |= keys.are_several();
            }
            Err(_) => self.misplaced += 1,
        }
    }

    fn problem(&self) -> Option<String> {
        let (expected, found) = (self.expected, self.found);
        if self.misplaced > 0 {
            return Some(format!("has no place for {} of the documents", self.misplaced));
        }
        if expected.count != found.count {
            return Some(format!("has {} entries, and by the documents {}", found.count, expected.count));
        }
        if expected.hashes != found.hashes {
            return Some("has other entries than the documents say".to_owned());
        }
        let is_unsaid = expected.are_several && !found.are_several;
        is_unsaid.then(|| "does not say that a document has several entries".to_owned())
    }
}
