//! What is on the simulated disk, what only its cache knows, and what a power loss makes of the two.
//!
//! A write reaches the cache, sector by sector, and becomes durable when its file is flushed; a change of a name
//! becomes durable when the directory is. At a power loss each unflushed change meets its own fate, whatever the
//! order in which they were made: that is reordering.

use crate::io::BLOCK;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// A disk promises to write no more than this at once; what we are told it tears, it tears within it.
pub(super) const SECTOR: usize = 512;

/// What was on the disk before.
const STALE: u8 = 0xDB;

/// What a power loss leaves of the changes that were not flushed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CrashOutcome {
    /// Each sector is kept, dropped or torn (part new, part old), each change of a name kept or dropped.
    Random(u64),
    /// The same, but where a torn sector was to change it holds neither the new nor the old, but garbage. Bytes that are written
    /// again as they are stay: the log relies on that for the block that it fills up (see `log::ring`).
    Garbage(u64),
    /// Everything made it.
    KeepAll,
    /// Nothing did.
    DropAll,
    /// The changes whose bit is set, in the order in which they were made, were kept; there are 64 at most.
    Subset(u64),
}

/// A change that no flush has covered yet.
#[derive(Debug, Clone)]
enum Change {
    Sector { file: usize, index: usize, bytes: Box<[u8]> },
    Link { name: String, file: usize },
    Rename { from: String, to: String },
    Unlink { name: String },
}

#[derive(Debug, Clone)]
struct Contents {
    durable: Vec<u8>,
    cached: Vec<u8>,
    /// The numbers of the blocks that have been written, in part at least, and so take up space.
    allocated: BTreeSet<usize>,
}

type Names = BTreeMap<String, usize>;

/// The files of one directory. A file is known by its number; a name leads to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Platter {
    files: Vec<Contents>,
    durable_names: Names,
    names: Names,
    unflushed: Vec<Change>,
}

impl Platter {
    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// A file without a name, full of what was on the disk before.
    pub(super) fn add_file(&mut self, bytes: usize) -> usize {
        let stale = vec![STALE; bytes];
        self.files.push(Contents { durable: stale.clone(), cached: stale, allocated: BTreeSet::new() });
        self.files.len() - 1
    }

    /// Gives back the space of a file if no name leads to it.
    pub(super) fn release_unnamed(&mut self, file: usize) {
        if !self.names.values().any(|&named| named == file) {
            self.files[file].allocated.clear();
        }
    }

    pub(super) fn len(&self, file: usize) -> usize {
        self.files[file].cached.len()
    }

    pub(super) fn read(&self, file: usize, offset: usize, buf: &mut [u8]) {
        buf.copy_from_slice(&self.files[file].cached[offset..offset + buf.len()]);
    }

    /// How many bytes of a write of `len` at `offset` there is room for.
    pub(super) fn room_for(&self, file: usize, offset: usize, len: usize, capacity: usize) -> usize {
        let used: usize = self.files.iter().map(|contents| contents.allocated.len()).sum();
        let free = (capacity / BLOCK).saturating_sub(used);
        let allocated = &self.files[file].allocated;
        let first_without_room = blocks(offset, len).filter(|block| !allocated.contains(block)).nth(free);
        first_without_room.map_or(len, |block| (block * BLOCK).saturating_sub(offset))
    }

    pub(super) fn write(&mut self, file: usize, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        let contents = &mut self.files[file];
        contents.cached[offset..end].copy_from_slice(bytes);
        contents.allocated.extend(blocks(offset, bytes.len()));
        for index in offset / SECTOR..end.div_ceil(SECTOR) {
            let bytes = contents.cached[index * SECTOR..][..SECTOR].into();
            self.unflushed.push(Change::Sector { file, index, bytes });
        }
    }

    /// What was there is what was on the disk before, and takes up no space.
    pub(super) fn discard(&mut self, file: usize, offset: usize, len: usize) {
        self.write(file, offset, &vec![STALE; len]);
        self.files[file].allocated.retain(|block| !blocks(offset, len).contains(block));
    }

    pub(super) fn flip(&mut self, file: usize, offset: usize, xor_mask: u8) {
        self.files[file].durable[offset] ^= xor_mask;
        self.files[file].cached[offset] ^= xor_mask;
    }

    pub(super) fn link(&mut self, name: &str, file: usize) {
        self.change_name(Change::Link { name: name.into(), file });
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) {
        self.change_name(Change::Rename { from: from.into(), to: to.into() });
    }

    pub(super) fn unlink(&mut self, name: &str) {
        let file = self.names[name];
        self.change_name(Change::Unlink { name: name.into() });
        self.release_unnamed(file);
    }

    fn change_name(&mut self, change: Change) {
        apply_to_names(&mut self.names, &change);
        self.unflushed.push(change);
    }

    /// Makes what was written to the sectors of `range` (in bytes) of the file durable.
    pub(super) fn flush_file(&mut self, file: usize, range: &Range<usize>) {
        let sectors = range.start / SECTOR..range.end.div_ceil(SECTOR);
        let covered = |change: &Change| match change {
            Change::Sector { file: of, index, .. } => *of == file && sectors.contains(index),
            _ => false,
        };
        self.settle(covered, |_| Fate::Kept);
    }

    /// Makes the names durable.
    pub(super) fn flush_names(&mut self) {
        self.settle(|change| !matches!(change, Change::Sector { .. }), |_| Fate::Kept);
    }

    /// A flush that fails as Linux has it: of what it should have covered some is durable and some is not, the cache
    /// goes on showing all of it as if it were, and no later flush will make up for it. `None` means the names.
    pub(super) fn fail_flush(&mut self, file: Option<usize>, random: &mut fastrand::Rng) {
        let covered = |change: &Change| match change {
            Change::Sector { file: of, .. } => Some(*of) == file,
            _ => file.is_none(),
        };
        self.settle(covered, |_| if random.bool() { Fate::Kept } else { Fate::Dropped });
    }

    /// The changes of which a power loss could leave any subset: those of files that a name leads to, and of names.
    pub(super) fn unflushed(&self) -> usize {
        self.unflushed.iter().filter(|change| self.matters(change)).count()
    }

    fn matters(&self, change: &Change) -> bool {
        match change {
            Change::Sector { file, .. } => {
                self.names.values().chain(self.durable_names.values()).any(|named| named == file)
            }
            _ => true,
        }
    }

    /// The disk as it is found after a power loss.
    pub(super) fn after_power_loss(&self, outcome: CrashOutcome) -> Platter {
        let mut after = self.clone();
        after.unflushed.retain(|change| self.matters(change));
        let mut fates = Fates::new(outcome, after.unflushed.len());
        after.settle(|_| true, |index| fates.next(index));
        after.names = after.durable_names.clone();
        for number in 0..after.files.len() {
            let contents = &mut after.files[number];
            contents.cached.clone_from(&contents.durable);
            after.release_unnamed(number);
        }
        after
    }

    /// Takes the changes that `covered` names off the list, in order, and lets each meet its fate.
    fn settle(&mut self, covered: impl Fn(&Change) -> bool, mut fate: impl FnMut(usize) -> Fate) {
        let (settled, left) =
            std::mem::take(&mut self.unflushed).into_iter().partition(|change| covered(change));
        self.unflushed = left;
        let settled: Vec<Change> = settled;
        for (index, change) in settled.iter().enumerate() {
            match (fate(index), change) {
                (Fate::Dropped, _) => {}
                (fate, Change::Sector { file, index, bytes }) => {
                    fate.apply(&mut self.files[*file].durable[index * SECTOR..][..SECTOR], bytes);
                }
                (_, change) => apply_to_names(&mut self.durable_names, change),
            }
        }
    }
}

/// The numbers of the blocks in which `len` bytes at `offset` lie, of which there is at least one.
fn blocks(offset: usize, len: usize) -> Range<usize> {
    offset / BLOCK..(offset + len).div_ceil(BLOCK)
}

/// Leaves the names alone when what the change builds on was lost.
fn apply_to_names(names: &mut Names, change: &Change) {
    match change {
        Change::Link { name, file } => {
            names.insert(name.clone(), *file);
        }
        Change::Rename { from, to } => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
        Change::Unlink { name } => {
            names.remove(name);
        }
        Change::Sector { .. } => unreachable!("a sector is no name"),
    }
}

/// What becomes of one change.
enum Fate {
    Kept,
    Dropped,
    /// The first `new` bytes are new and the rest is old, or the other way round.
    Torn {
        at: usize,
        new_first: bool,
    },
    Garbage(u64),
}

impl Fate {
    fn apply(&self, sector: &mut [u8], bytes: &[u8]) {
        match *self {
            Fate::Dropped => {}
            Fate::Kept => sector.copy_from_slice(bytes),
            Fate::Torn { at, new_first: true } => sector[..at].copy_from_slice(&bytes[..at]),
            Fate::Torn { at, new_first: false } => sector[at..].copy_from_slice(&bytes[at..]),
            Fate::Garbage(seed) => {
                let mut random = fastrand::Rng::with_seed(seed);
                let changed = sector.iter_mut().zip(bytes).filter(|(old, new)| old != new);
                changed.for_each(|(old, _)| *old = random.u8(..));
            }
        }
    }
}

/// Deals out the fates that an outcome asks for.
struct Fates {
    outcome: CrashOutcome,
    random: fastrand::Rng,
}

impl Fates {
    fn new(outcome: CrashOutcome, changes: usize) -> Fates {
        let seed = match outcome {
            CrashOutcome::Random(seed) | CrashOutcome::Garbage(seed) => seed,
            CrashOutcome::Subset(_) => {
                assert!(changes <= 64, "{changes} unflushed changes have more subsets than a mask can name");
                0
            }
            CrashOutcome::KeepAll | CrashOutcome::DropAll => 0,
        };
        Fates { outcome, random: fastrand::Rng::with_seed(seed) }
    }

    fn next(&mut self, index: usize) -> Fate {
        let kept = match self.outcome {
            CrashOutcome::KeepAll => true,
            CrashOutcome::DropAll => false,
            CrashOutcome::Subset(mask) => mask >> index & 1 == 1,
            CrashOutcome::Random(_) | CrashOutcome::Garbage(_) => return self.random_fate(),
        };
        if kept { Fate::Kept } else { Fate::Dropped }
    }

    fn random_fate(&mut self) -> Fate {
        match self.random.u8(0..3) {
            0 => Fate::Kept,
            1 => Fate::Dropped,
            _ if matches!(self.outcome, CrashOutcome::Garbage(_)) => Fate::Garbage(self.random.u64(..)),
            _ => Fate::Torn { at: self.random.usize(1..SECTOR), new_first: self.random.bool() },
        }
    }
}
