//! Whether the indexes of a store that nobody has open hold what its documents say: now, and at some positions of the past that it keeps.
//!
//! ```text
//!   first anchor ──●───●── second anchor ──●───●── last checkpoint ──●───●── now
//!        └─ each state is what the newest checkpoint before it has, and what the log says from there on
//! ```
//!
//! The log is read once more, from the first anchor on, a stretch after the other; at each position the trees of what has indexes are walked. Of a store that
//! keeps no past there is one stretch, and one state.

use super::agreement::{Agreement, TakeEntry, past_positions};
use super::anchors::{Origin, position_of, start_of};
use super::check::Check;
use super::error::OpenError;
use super::finding::{Finding, Lost};
use super::found::Found;
use super::open;
use super::verify::{Walked, catalog_trees, check_log, check_trees};
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::loader;
use crate::checkpoint::pages::Pages;
use crate::io::Device;
use crate::log::segment::Segments;
use crate::lsn::Lsn;
use crate::map::Key;
use crate::sync::{Arc, Mutex, lock};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// Checks a store of which nothing is wrong; its log ends at `now`.
pub(super) fn check_indexes(
    check: &mut Check,
    (found, pages, now): (&Found, Option<&Pages>, Lsn),
    device: &Arc<dyn Device>,
    dir: &Path,
) -> Result<(), OpenError> {
    let past = open::find_past(device, dir, (&found.store, &found.binding), found.manifest.as_ref())?;
    let past =
        past.map(|(segments, anchors)| (segments.sealed_with(found.segments.keys().cloned()), anchors));
    if past.is_none() && !check.names.has_indexes() {
        return Ok(());
    }
    let (segments, anchors) =
        past.as_ref().map_or((&found.segments, &[][..]), |(log, anchors)| (log, anchors));
    let origins: Vec<&Origin> = anchors.iter().chain([&found.manifest]).collect();
    let mut positions = match past {
        Some(_) => past_positions(position_of(origins[0]), now),
        None => Vec::new(),
    };
    let mut states = Vec::new();
    for (at, origin) in origins.iter().enumerate() {
        let until = origins.get(at + 1).map(|next| position_of(next));
        // The newest come first.
        let of_stretch =
            positions.split_off(until.map_or(0, |until| positions.partition_point(|at| *at >= until)));
        if until.is_some() && of_stretch.is_empty() {
            continue;
        }
        let stretch = Stretch { pages, origin, log: (segments, dir), until };
        match stretch.read(check, of_stretch) {
            Ok(read) => states.extend(read),
            Err(error) => check.findings.add_error(error, Lost::Nothing)?,
        }
    }
    let mut wrong = BTreeSet::new();
    for (position, agreement) in states.into_iter().rev() {
        agreement.finish(position, &mut wrong, &check.names, &mut check.findings);
    }
    Ok(())
}

/// What the log has written last to each key.
type Newest = HashMap<(u32, Key), Option<Box<[u8]>>>;

/// The log from a checkpoint on, up to the next one or to the end.
#[derive(Clone, Copy)]
struct Stretch<'a> {
    pages: Option<&'a Pages>,
    origin: &'a Origin,
    log: (&'a Segments, &'a Path),
    until: Option<Lsn>,
}

/// Documents and indexes as of a position, or of now.
type State = (Option<Lsn>, Agreement);

impl Stretch<'_> {
    /// The states at some positions, the newest first, and that at the end if there is no other stretch behind; in their order. None if the past cannot
    /// be read: that is a finding.
    fn read(self, check: &mut Check, mut positions: Vec<Lsn>) -> Result<Vec<State>, OpenError> {
        // What was dropped later has a name here.
        let mut own = Check::default();
        if let Some((pages, manifest)) = self.pages.zip(self.origin.as_ref()) {
            let catalog = &manifest.trees[..catalog_trees(manifest)];
            check_trees(&mut own, (pages, manifest.position), catalog, &mut Walked::default(), |_, _| {})?;
        }
        let (mut newest, mut states) = (Newest::new(), Vec::new());
        let start = (start_of(self.origin), self.until);
        check_log(&mut own, self.log, start, position_of(self.origin), &mut |lsn, writes| {
            // What is seen at a position is what was committed below.
            while let Some(position) = positions.pop_if(|position| *position <= lsn) {
                states.push((Some(position), self.agreement(&newest)));
            }
            for write in writes {
                newest.insert((write.space, Key::from(write.key)), write.value.map(Box::from));
            }
        })?;
        states.extend(positions.into_iter().rev().map(|position| (Some(position), self.agreement(&newest))));
        if self.until.is_none() {
            states.push((None, self.agreement(&newest)));
        }
        check.names.add_older(own.names);
        if own.findings.count() > 0 {
            // Nothing of what there is now depends on it.
            let findings = own.findings.list.into_iter();
            findings.for_each(|finding| check.findings.add(Finding { lost: Lost::Nothing, ..finding }));
            return Ok(Vec::new());
        }
        states.into_iter().map(|(position, agreement)| Ok((position, agreement?))).collect()
    }

    fn agreement(self, newest: &Newest) -> Result<Agreement, CheckpointError> {
        Agreement::of(|spaces, take| self.each_entry(newest, spaces, take))
    }

    /// Hands out what is under each key of some keyspaces, when the log has written so much.
    fn each_entry(
        self,
        newest: &Newest,
        spaces: &BTreeSet<u32>,
        take: TakeEntry<'_>,
    ) -> Result<(), CheckpointError> {
        if let Some((pages, manifest)) = self.pages.zip(self.origin.as_ref()) {
            let trees = manifest.trees.iter().filter(|tree| spaces.contains(&tree.space));
            let shared = &Mutex::new(&mut *take);
            loader::load_trees((pages, manifest.position), trees, |space, _| {
                move |entry| {
                    if !newest.contains_key(&(space, Key::from(entry.key))) {
                        lock(shared)(space, entry.key, entry.value);
                    }
                }
            })?;
        }
        for ((space, key), value) in newest.iter().filter(|((space, _), _)| spaces.contains(space)) {
            value.iter().for_each(|value| take(*space, key, value));
        }
        Ok(())
    }
}
