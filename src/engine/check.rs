//! The one checker of what a store holds: entries of pages, writes of the log, records in memory.
//!
//! It is handed keys with their values, wherever they come from, and notes what is wrong with them. What is checked:
//! the catalog's own entries; that each keyspace has a name in it; lengths of keys; and all of each document.

use super::catalog::{self, CATALOG_SPACE, Kind};
use super::finding::{Finding, FindingKind, Findings, Lost};
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::pages::Pages;
use crate::checkpoint::walk::{Entry, Fault, KeyRange, Visit};
use crate::document::{MAX_KEY_BYTES, stored};
use crate::sync::{Mutex, lock};
use std::collections::{BTreeMap, BTreeSet};

/// What the catalog says of each number.
#[derive(Clone, Default, Debug)]
pub(crate) struct Names(BTreeMap<u32, (Kind, String)>);

impl Names {
    pub(crate) fn get(&self, space: u32) -> Option<(Kind, &str)> {
        self.0.get(&space).map(|(kind, name)| (*kind, &**name))
    }

    pub(super) fn has_indexes(&self) -> bool {
        self.0.values().any(|(kind, _)| *kind == Kind::Index)
    }

    fn is_unnamed(&self, space: u32) -> bool {
        space != CATALOG_SPACE && !self.0.contains_key(&space)
    }

    fn is_collection(&self, space: u32) -> bool {
        matches!(self.get(space), Some((Kind::Collection, _)))
    }

    /// What to call a keyspace.
    pub(crate) fn shown(&self, space: u32) -> String {
        match self.get(space) {
            Some((_, name)) => name.to_owned(),
            None if space == CATALOG_SPACE => "the catalog".to_owned(),
            None => format!("number {space}"),
        }
    }

    pub(crate) fn lost(&self, space: u32, keys: &KeyRange) -> Lost {
        Lost::Keys {
            keyspace: self.shown(space),
            is_collection: self.is_collection(space),
            low: keys.low.to_vec(),
            high: keys.high.as_ref().map(|high| high.to_vec()),
        }
    }

    /// Takes the names of an older catalog too, which may have some that are gone. No number is given away twice.
    pub(super) fn add_older(&mut self, older: Names) {
        for (number, name) in older.0 {
            self.0.entry(number).or_insert(name);
        }
    }

    /// Takes an entry of the catalog; what is wrong with it, if something is.
    fn learn(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let Some((kind, name, number)) = catalog::parse(key, value) else {
            return Err("an entry of the catalog is no name with a number".to_owned());
        };
        if kind == Kind::Retired {
            return Ok(());
        }
        let other = self.0.insert(number, (kind, name.to_owned()));
        match other.filter(|(other, other_name)| (*other, &**other_name) != (kind, name)) {
            Some((_, other)) => Err(format!("`{name}` and `{other}` have the same number in the catalog")),
            None => Ok(()),
        }
    }

    /// What is wrong with a value under its key, if something is.
    fn check(&self, space: u32, key: &[u8], value: &[u8]) -> Result<(), (FindingKind, String)> {
        if key.len() > MAX_KEY_BYTES {
            let what = format!("a key of {} bytes, and none is longer than {MAX_KEY_BYTES}", key.len());
            return Err((FindingKind::Entry, what));
        }
        match self.get(space) {
            Some((Kind::Collection, _)) => stored::check(key, value)
                .map_err(|error| (FindingKind::Document, format!("this is no document: {error}"))),
            Some((Kind::Keyspace | Kind::Index | Kind::Retired, _)) | None => Ok(()),
        }
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Check {
    pub(crate) names: Names,
    /// Keyspaces of which it was said that they have no name.
    unnamed: BTreeSet<u32>,
    pub(crate) findings: Findings,
}

/// Where something was found: file, offset.
pub(crate) type Place = Option<(String, u64)>;

impl Check {
    pub(crate) fn add(&mut self, kind: FindingKind, place: Place, what: String, lost: Lost) {
        let (file, offset) = place.map_or((None, None), |(file, offset)| (Some(file), Some(offset)));
        self.findings.add(Finding { kind, file, offset, what, lost });
    }

    /// Whether a value can be used, without a word if not.
    pub(super) fn is_good(&self, space: u32, key: &[u8], value: &[u8]) -> bool {
        let is_name = space != CATALOG_SPACE || catalog::parse(key, value).is_some();
        is_name && self.names.check(space, key, value).is_ok()
    }

    /// Takes an entry of the catalog.
    pub(super) fn learn(
        &mut self,
        space: u32,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), (FindingKind, String)> {
        match space {
            CATALOG_SPACE => self.names.learn(key, value).map_err(|what| (FindingKind::Entry, what)),
            _ => Ok(()),
        }
    }

    /// Checks a value under its key; `place` is asked when something is wrong. False if it cannot be used. That a keyspace has no name is
    /// said once.
    pub(crate) fn entry(
        &mut self,
        space: u32,
        key: &[u8],
        value: &[u8],
        place: impl FnOnce() -> Place,
    ) -> bool {
        let learned = self.learn(space, key, value);
        if self.names.is_unnamed(space) && key.len() <= MAX_KEY_BYTES && self.unnamed.insert(space) {
            let what = format!("the catalog has no name for keyspace number {space}");
            let lost = self.names.lost(space, &KeyRange { low: Box::default(), high: None });
            self.add(FindingKind::Entry, place(), what, lost);
            return true;
        }
        let checked = learned.and_then(|()| self.names.check(space, key, value));
        if let Err((kind, what)) = &checked {
            let lost = self.names.lost(space, &KeyRange::of_key(key));
            self.add(*kind, place(), what.clone(), lost);
        }
        checked.is_ok()
    }
}

/// Goes along on a walk of the trees, and goes on after each fault. `good` gets the entries that pass.
pub(crate) struct CheckPages<'a, G> {
    pub(crate) pages: &'a Pages,
    pub(crate) check: Mutex<&'a mut Check>,
    /// As the catalog has them, which was walked before; none while it is.
    pub(crate) names: Option<&'a Names>,
    pub(crate) good: G,
    /// Which keys cannot be read.
    pub(crate) lost: Mutex<Vec<(u32, KeyRange)>>,
}

impl<G: Fn(u32, &Entry<'_>) + Sync> CheckPages<'_, G> {
    fn entry(&self, space: u32, entry: &Entry<'_>) {
        let is_good = match self.names {
            // Mostly: without the lock.
            Some(names) if !names.is_unnamed(space) && names.check(space, entry.key, entry.value).is_ok() => {
                true
            }
            _ => {
                lock(&self.check).entry(space, entry.key, entry.value, || Some(self.pages.place(entry.page)))
            }
        };
        if is_good {
            (self.good)(space, entry);
        }
    }
}

impl<G: Fn(u32, &Entry<'_>) + Sync> Visit for CheckPages<'_, G> {
    type Run<'v>
        = Box<dyn FnMut(Entry<'_>) + 'v>
    where
        Self: 'v;

    fn begin(&self, space: u32, _run: usize) -> Self::Run<'_> {
        Box::new(move |entry| self.entry(space, &entry))
    }

    fn fault(&self, fault: Fault) -> Result<(), CheckpointError> {
        let mut check = lock(&self.check);
        let lost = check.names.lost(fault.space, &fault.keys);
        lock(&self.lost).push((fault.space, fault.keys));
        // What says nothing about the pages ends the walk.
        check.findings.add_error(fault.error.clone().into(), lost).map_err(|_| fault.error)
    }
}
