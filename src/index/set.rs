//! Which indexes a collection has: a list that is replaced as a whole, and read with one load.
//!
//! An index goes through these phases, each of which is in the catalog too:
//!
//! ```text
//!   Building ──► Ready ──► Dropping ──► gone
//!       └──────────────────────▲
//! ```
//!
//! Writers keep those that are building and ready. Readers use those that are ready, if they read behind the position where it became so: an
//! older snapshot does not see all of its entries.

use super::definition::Index;
use super::entry::SEVERAL_KEY;
use super::statistics::Statistics;
use crate::lsn::Lsn;
use crate::mvcc::snapshot::Snapshot;
use crate::mvcc::store::Space;
use crate::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use crate::sync::{Arc, Latest, Mutex, epoch, lock};
use std::ptr::{self, NonNull};

/// How far an index is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    Building = b'b' as isize,
    Ready = b'r' as isize,
    Dropping = b'd' as isize,
}

impl Phase {
    pub(crate) fn from_byte(byte: u8) -> Option<Phase> {
        [Phase::Building, Phase::Ready, Phase::Dropping].into_iter().find(|phase| *phase as u8 == byte)
    }
}

/// An index that is kept.
pub(crate) struct Kept {
    pub(crate) definition: Index,
    pub(crate) name: String,
    space: NonNull<Space>,
    /// From which position on it holds everything; none while it is being built.
    pub(crate) ready: Option<Lsn>,
    /// Documents that the build has looked at.
    pub(crate) built: Arc<AtomicU64>,
    pub(crate) statistics: Arc<Latest<Statistics>>,
}

// SAFETY: a shared reference into the store, which outlives its lists of indexes.
unsafe impl Send for Kept {}
// SAFETY: as above.
unsafe impl Sync for Kept {}

impl Kept {
    pub(crate) fn new(definition: Index, space: &Space, ready: Option<Lsn>) -> Kept {
        let (name, space) = (definition.name(), NonNull::from(space));
        Kept { definition, name, space, ready, built: Arc::default(), statistics: Arc::default() }
    }

    /// How many entries it has, roughly, without the marker that there are several of a document.
    pub(crate) fn entry_count(&self, collection: &Space) -> u64 {
        let records = self.space(collection).records();
        let marker = records.has_first(SEVERAL_KEY, &epoch::pin());
        (records.len() as u64).saturating_sub(marker.into())
    }

    /// The same, from a position on ready.
    pub(crate) fn with_ready(&self, ready: Option<Lsn>) -> Kept {
        let (definition, name, space) = (self.definition.clone(), self.name.clone(), self.space);
        let (built, statistics) = (Arc::clone(&self.built), Arc::clone(&self.statistics));
        Kept { definition, name, space, ready, built, statistics }
    }

    /// Its entries, as long as those of its collection.
    pub(crate) fn space<'s>(&self, _collection: &'s Space) -> &'s Space {
        // SAFETY: spaces live as long as their store, which is the collection's.
        unsafe { self.space.as_ref() }
    }

    /// Gathers statistics, unless those that there are will do.
    pub(crate) fn refresh(&self, collection: &Space, snapshot: &Snapshot) {
        let space = self.space(collection);
        let entries = space.records().len();
        if self.statistics.read(|known| known.is_none_or(|known| known.is_outdated(entries))) {
            self.statistics.replace(Statistics::gather(&self.definition, space, snapshot));
            // Release: who sees the count plans by the new ones, or by newer ones.
            Indexes::of(collection).gathered.fetch_add(1, Ordering::Release);
        }
    }
}

/// An index that nobody keeps any more, while its entries go.
pub(crate) struct Dropping {
    pub(crate) index: Arc<Kept>,
    /// Entries that are gone.
    pub(crate) dropped: AtomicU64,
}

/// The indexes of a collection at one time.
#[derive(Default)]
pub(crate) struct IndexSet {
    pub(crate) indexes: Vec<Arc<Kept>>,
}

/// The indexes of a collection: attached to its space.
pub(crate) struct Indexes {
    /// None before the first.
    current: AtomicPtr<IndexSet>,
    /// All that ever were current: there are few, and somebody may still look at one.
    #[expect(clippy::vec_box, reason = "references to the sets outlive the growth of the list")]
    published: Mutex<Vec<Box<IndexSet>>>,
    /// Those that are being dropped.
    dropping: Mutex<Vec<Arc<Dropping>>>,
    /// How often statistics of one of them were gathered.
    gathered: AtomicU64,
}

impl Default for Indexes {
    fn default() -> Indexes {
        let current = AtomicPtr::new(ptr::null_mut());
        let (published, dropping) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        Indexes { current, published, dropping, gathered: AtomicU64::new(0) }
    }
}

impl Indexes {
    pub(crate) fn of(collection: &Space) -> &Indexes {
        collection.attached()
    }

    /// Those that are kept now.
    pub(crate) fn current(&self) -> &[Arc<Kept>] {
        // Acquire: pairs with `publish`.
        let current = self.current.load(Ordering::Acquire);
        // SAFETY: null, or one of `published`, which go with `self`.
        unsafe { current.as_ref() }.map_or(&[], |set| &set.indexes)
    }

    /// How often statistics were gathered: a plan from before may be chosen anew.
    pub(crate) fn gathered(&self) -> u64 {
        // Acquire: pairs with `Kept::refresh`.
        self.gathered.load(Ordering::Acquire)
    }

    /// Replaces the list.
    pub(crate) fn publish(&self, indexes: Vec<Arc<Kept>>) {
        let mut set = Box::new(IndexSet { indexes });
        let current = ptr::from_mut(&mut *set);
        lock(&self.published).push(set);
        // Release: publishes the list.
        self.current.store(current, Ordering::Release);
    }

    /// Those that are being dropped now.
    pub(crate) fn dropping(&self) -> Vec<Arc<Dropping>> {
        lock(&self.dropping).clone()
    }

    /// Says that an index is being dropped.
    pub(crate) fn begin_drop(&self, index: &Arc<Kept>) -> Arc<Dropping> {
        let dropping = Arc::new(Dropping { index: Arc::clone(index), dropped: AtomicU64::new(0) });
        lock(&self.dropping).push(Arc::clone(&dropping));
        dropping
    }

    /// Nothing is left of it.
    pub(crate) fn end_drop(&self, dropped: &Arc<Dropping>) {
        lock(&self.dropping).retain(|dropping| !Arc::ptr_eq(dropping, dropped));
    }

    /// Every index that was ever in the list.
    pub(crate) fn ever(&self) -> Vec<Arc<Kept>> {
        lock(&self.published).iter().flat_map(|set| &set.indexes).cloned().collect()
    }
}
