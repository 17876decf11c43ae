//! What is on the disk beside the log, and who needs it: the last checkpoint, the anchors, and backups that are under way.

use super::anchors::{Anchor, Origin, position_of, start_of};
use super::rotation::Rotation;
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::manifest;
use crate::checkpoint::pages::Pages;
use crate::checkpoint::{PageId, PageSet};
use crate::io::Device;
use crate::log::reader::Start;
use crate::lsn::Lsn;
use crate::sync::Arc;

/// Fewer free pages next to each other are not worth a hole in a file.
const DISCARDED_PAGES_MIN: u64 = 8;

/// A store's pages, as the last checkpoint left them.
pub(super) struct Kept {
    pub(super) pages: Arc<Pages>,
    pub(super) used: PageSet,
    /// None before the first one.
    pub(super) manifest: Origin,
    /// What the next opening has the past from, the oldest first.
    pub(super) anchors: Vec<Anchor>,
    /// The pages of an attempt whose manifest may be on the disk, whatever the directory shows: its naming failed, or reading it back. They are left
    /// alone until a later manifest is there for certain.
    pub(super) doubtful: PageSet,
    /// What backups that are under way read, until they let go of it: as little is written over or removed.
    pub(super) page_pins: Vec<Arc<PageSet>>,
    /// The same for the log, from there on.
    pub(super) log_pins: Vec<Arc<Lsn>>,
    /// A change of the data key that is under way.
    pub(super) rotation: Option<Rotation>,
    /// That of the next manifest: none is used twice.
    pub(super) next_number: u64,
    /// How much the log grew from the checkpoint before to the last one.
    pub(super) grown: u64,
}

impl Kept {
    pub(super) fn new(
        pages: Pages,
        (used, manifest): (PageSet, Origin),
        anchors: Vec<Anchor>,
        rotation: Option<Rotation>,
    ) -> Kept {
        let next_number = manifest.as_ref().map_or(1, |manifest| manifest.number + 1);
        Kept {
            pages: Arc::new(pages),
            used,
            manifest,
            anchors,
            doubtful: PageSet::default(),
            page_pins: Vec::new(),
            log_pins: Vec::new(),
            rotation,
            next_number,
            grown: 0,
        }
    }

    pub(super) fn start(&self) -> Start {
        start_of(&self.manifest)
    }

    pub(super) fn position(&self) -> Lsn {
        position_of(&self.manifest)
    }

    /// The pages that the last checkpoint does not use, and that are left alone all the same.
    pub(super) fn held(&mut self) -> PageSet {
        self.page_pins.retain(is_pinned);
        let mut held = self.doubtful.clone();
        self.page_pins.iter().for_each(|pages| held.add_all(pages));
        self.anchors.iter().for_each(|anchor| held.add_all(&anchor.used));
        held
    }

    /// From where on the log is to stay.
    pub(super) fn log_held(&mut self) -> Lsn {
        self.log_pins.retain(is_pinned);
        let pinned = self.log_pins.iter().fold(self.start().lsn, |from, pin| from.min(**pin));
        self.anchors.iter().fold(pinned, |from, anchor| from.min(start_of(&anchor.origin).lsn))
    }

    /// Removes manifests and extents that are no longer needed, and what an attempt that failed left behind; after that the pages that are
    /// neither in use nor held may be written over.
    pub(super) fn remove_leftovers(&mut self, device: &dyn Device) -> Result<(), CheckpointError> {
        let anchored = self.anchors.iter().map(|anchor| &anchor.origin);
        let numbers: Vec<u64> =
            anchored.chain([&self.manifest]).flatten().map(|manifest| manifest.number).collect();
        manifest::remove_others(device, &numbers)?;
        let held = self.held();
        let extents = self.pages.extents_of(&self.used).max(self.pages.extents_of(&held));
        Ok(self.pages.remove_extents_from(extents)?)
    }

    /// Gives back the room of pages that are free for certain.
    pub(super) fn discard_free_pages(&mut self) -> Result<(), CheckpointError> {
        let held = self.held();
        for extent in 0..self.pages.extents() {
            let usable = self.pages.usable(extent);
            let mut from = usable.start;
            while let Some(run) = self.used.free_run(from..usable.end, u64::MAX) {
                from = run.end;
                let is_worth_it = run.end - run.start >= DISCARDED_PAGES_MIN;
                if is_worth_it && !run.clone().any(|page| held.contains(PageId(page))) {
                    self.pages.discard(run)?;
                }
            }
        }
        Ok(())
    }
}

/// Whether somebody besides the list has it. Nobody takes it out of the list but for himself, so it stays so.
fn is_pinned<T>(pin: &Arc<T>) -> bool {
    Arc::strong_count(pin) > 1
}
