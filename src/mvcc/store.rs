//! All records of a store: its keyspaces, its live snapshots, and the end of its log.

use super::active::{Active, Gone};
use super::chain::Record;
use super::changes::Changes;
use super::era::Era;
use super::horizon::Horizon;
use super::prune::{self, Pruned};
use super::retained::Retained;
use super::snapshot::Snapshot;
use super::superseded::{self, StoreIdentity};
use super::version::Version;
use crate::lsn::{LogEnd, Lsn};
use crate::map::{self, Key, Map, Node, Towards};
use crate::sync::epoch::{self, Guard};
use crate::sync::garbage;
use crate::sync::{Arc, Mutex, lock};
use std::any::Any;
use std::fmt;
use std::ops::Bound;
use std::ptr::NonNull;
use std::sync::OnceLock;

/// Set in the number of a keyspace whose keys are walked in order and hardly ever asked for one by one: it has no directory. In the number, for recovery fills keyspaces
/// before it knows what they are.
pub(crate) const IN_ORDER: u32 = 1 << 31;

/// What a look-up comes by in one step.
#[cfg(all(target_pointer_width = "64", not(any(loom, shuttle))))]
const _: () = assert!(size_of::<Node<Record>>() == 64);

/// A keyspace: ordered keys with a record each.
pub(crate) struct Space {
    id: u32,
    /// For messages. Recovery makes spaces before it knows their names.
    name: OnceLock<Box<str>>,
    records: Map<Record>,
    /// Of the rules by which it is written.
    era: Era,
    /// What a layer above keeps with the space.
    attached: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Space {
    fn new(id: u32, records: usize) -> Space {
        let records = if id & IN_ORDER == 0 { Map::with_room(records) } else { Map::in_order() };
        Space { id, name: OnceLock::new(), records, era: Era::default(), attached: OnceLock::new() }
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Says what its user calls it, once and for all.
    pub(crate) fn named(&self, name: &str) -> &Space {
        let kept = self.name.get_or_init(|| name.into());
        debug_assert_eq!(**kept, *name);
        self
    }

    /// What its user calls it; empty before anybody uses it. One load.
    pub(crate) fn name(&self) -> &str {
        self.name.get().map_or("", |name| name)
    }

    pub(crate) fn era(&self) -> &Era {
        &self.era
    }

    /// What a layer above keeps with the space, always of the same type; made when it is asked for first.
    pub(crate) fn attached<T: Default + Send + Sync + 'static>(&self) -> &T {
        let attached = self.attached.get_or_init(|| Box::new(T::default()));
        attached.downcast_ref().expect("one type is attached to a space")
    }

    pub(crate) fn records(&self) -> &Map<Record> {
        &self.records
    }

    /// Takes a record that is dead out of the map.
    pub(crate) fn unlink(&self, record: &Node<Record>, guard: &Guard) {
        debug_assert!(record.is_dead());
        crate::sync::step(crate::sync::Step::Unlinking);
        self.records.retire(record, guard);
    }

    /// Prunes one record, and takes it out of the map if nothing is left of it.
    pub(crate) fn prune(&self, record: &Node<Record>, horizon: &Horizon, guard: &Guard) -> Pruned {
        let pruned = prune::prune(record, horizon, guard);
        if pruned.died {
            self.unlink(record, guard);
        }
        pruned
    }

    /// Fills the space with what recovery found: before it has any record, and before anybody else uses it.
    pub(crate) fn load(&self) -> Loading<'_> {
        Loading(self.records.load())
    }

    /// Puts what recovery found under `key`, none for a deletion; to be called in the order of the positions, before anybody else uses the space.
    pub(crate) fn recover(&self, key: &[u8], lsn: Lsn, value: Option<&[u8]>) {
        let version = committed_version(lsn, value);
        let guard = epoch::pin();
        let node = self.records.get_or_insert(key, Record::new, &guard);
        let installed = node.install(version, lsn, &guard);
        assert!(installed.is_ok(), "recovery puts the versions of a key in their order");
    }
}

fn committed_version(lsn: Lsn, value: Option<&[u8]>) -> NonNull<Version> {
    let version = Version::new(value);
    // SAFETY: made right above, and nobody else's.
    unsafe { version.as_ref() }.set_stamp(lsn);
    version
}

/// A space that is being filled, by several threads.
pub(crate) struct Loading<'s>(map::Loading<'s, Record>);

impl Loading<'_> {
    /// A run of entries, whose keys are behind those of every run with a lower number.
    pub(crate) fn run(&self, number: usize) -> Run<'_> {
        Run { loading: &self.0, number, nodes: Vec::new() }
    }
}

/// Entries in the order of their keys. They are in the space when this is dropped.
pub(crate) struct Run<'l> {
    loading: &'l map::Loading<'l, Record>,
    number: usize,
    nodes: Vec<Node<Record>>,
}

impl Run<'_> {
    /// Adds an entry; its key is the greatest so far.
    pub(crate) fn push(&mut self, key: &[u8], lsn: Lsn, value: &[u8]) {
        self.nodes.push(Node::to_load(key, Record::of(committed_version(lsn, Some(value)))));
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.loading.add(self.number, std::mem::take(&mut self.nodes), &epoch::pin());
    }
}

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Space").field("id", &self.id).field("name", &self.name()).finish_non_exhaustive()
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let guard = epoch::pin();
        self.records.dispose_with(&guard, prune::free_all);
    }
}

/// What a sweep did.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Swept {
    pub(crate) records: u64,
    pub(crate) versions: u64,
    pub(crate) died: u64,
}

/// See the module.
pub(crate) struct Store {
    identity: StoreIdentity,
    end: Arc<LogEnd>,
    active: Active,
    changes: Changes,
    retained: Retained,
    /// Boxed, so that a space's address is good as long as the store; never removed from.
    #[expect(clippy::vec_box, reason = "references to the spaces outlive the growth of the list")]
    spaces: Mutex<Vec<Box<Space>>>,
}

/// How many records a sweep visits under one pin.
const SWEEP_BATCH: usize = 64;
/// How many chunks of a growing directory it moves with them.
const SWEEP_MOVES: usize = 4;

impl Store {
    pub(crate) fn new(end: Arc<LogEnd>, retained_bytes: u64) -> Store {
        Store {
            identity: StoreIdentity::new(),
            end,
            active: Active::new(),
            changes: Changes::new(),
            retained: Retained::new(retained_bytes),
            spaces: Mutex::new(Vec::new()),
        }
    }

    #[inline]
    pub(crate) fn end(&self) -> &LogEnd {
        &self.end
    }

    pub(crate) fn active(&self) -> &Active {
        &self.active
    }

    /// What was committed, if there is no log that says so.
    pub(crate) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// The space with this id, made if there is none. A cold path: handles keep the reference.
    pub(crate) fn space(&self, id: u32) -> &Space {
        self.space_with_room(id, 0)
    }

    /// The same; if it is made, with room for so many records.
    pub(crate) fn space_with_room(&self, id: u32, records: usize) -> &Space {
        let mut spaces = lock(&self.spaces);
        let space = match spaces.iter().find(|space| space.id == id) {
            Some(space) => NonNull::from(&**space),
            None => {
                spaces.push(Box::new(Space::new(id, records)));
                NonNull::from(&**spaces.last().expect("pushed right above"))
            }
        };
        // SAFETY: boxed, and in the list as long as `self` lives.
        unsafe { space.as_ref() }
    }

    pub(crate) fn spaces(&self) -> Vec<&Space> {
        // SAFETY: boxed, and in the list as long as `self` lives.
        lock(&self.spaces).iter().map(|space| unsafe { NonNull::from(&**space).as_ref() }).collect()
    }

    /// Opens a snapshot of everything that is committed by now.
    #[inline]
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.active.register(&self.end))
    }

    /// Opens a snapshot of the past. Above the log's end there is nothing to see yet, so `at` must not be.
    pub(crate) fn snapshot_at(&self, at: Lsn) -> Result<Snapshot, Gone> {
        debug_assert!(at <= self.end.load());
        self.active.register_at(at).map(Snapshot::new)
    }

    /// Nothing below `oldest` can be read: versions from before that are missing.
    pub(crate) fn begin_history(&self, oldest: Lsn) {
        self.active.advance(oldest, &epoch::pin());
    }

    /// Says how much of the past stays readable: so many bytes, and everything from `floor` on, if there is one. What is gone stays so.
    pub(crate) fn retain(&self, bytes: u64, floor: Option<Lsn>) {
        self.retained.set(bytes, floor);
    }

    /// From where on the settings keep the past, whether it is there or not.
    pub(crate) fn retained_from(&self, guard: &Guard) -> Lsn {
        self.retained.from(self.end.load(), guard)
    }

    /// Raises the horizon as far as the retained history allows.
    pub(crate) fn advance_horizon<'g>(&self, guard: &'g Guard) -> &'g Horizon {
        self.active.advance(self.retained_from(guard), guard)
    }

    /// Prunes the record under `key`, which got a new version on top: with the next batch of them.
    pub(crate) fn prune_soon(&self, space: &Space, key: Key, guard: &mut Guard) {
        let Some(batch) = superseded::add(&self.identity, space, key) else {
            return;
        };
        guard.repin();
        let horizon = self.advance_horizon(guard);
        for (space, key) in batch {
            // SAFETY: added for this store, by a call of this function: one of its spaces, which live as long as it does.
            let space = unsafe { space.as_ref() };
            if let Some(record) = space.records.get(&key, guard) {
                let _ = space.prune(record, horizon, guard);
            }
        }
    }

    /// Prunes every record: the garbage that no writer came by to prune.
    ///
    /// `go_on` is asked between batches, and may take its time.
    pub(crate) fn sweep(&self, mut go_on: impl FnMut() -> bool) -> Swept {
        let mut swept = Swept::default();
        for space in self.spaces() {
            let mut after: Option<Key> = None;
            while let Some(last) = self.sweep_batch(space, after.as_ref(), &mut swept) {
                after = Some(last);
                if !go_on() {
                    return swept;
                }
            }
        }
        garbage::flush(&epoch::pin());
        swept
    }

    /// Visits the records after a key; returns the last one's key, none when there are no more.
    fn sweep_batch(&self, space: &Space, after: Option<&Key>, swept: &mut Swept) -> Option<Key> {
        let guard = epoch::pin();
        let horizon = self.advance_horizon(&guard);
        let low = after.map_or(Bound::Unbounded, |key| Bound::Excluded(&**key));
        let (mut left, mut last) = (SWEEP_BATCH, None);
        space.records.scan((low, Bound::Unbounded), Towards::Greater, &guard, |key, record| {
            let pruned = space.prune(record, horizon, &guard);
            swept.records += 1;
            swept.versions += pruned.versions as u64;
            swept.died += u64::from(pruned.died);
            last = Some(key);
            left -= 1;
            left > 0
        });
        // A store that gets no new keys would never finish what the last of them began.
        let _ = (0..SWEEP_MOVES).all(|_| space.records.move_directory(&guard));
        last.filter(|_| left == 0).cloned()
    }

    /// Runs something while nobody else gets at the list of spaces.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(crate) fn with_list_locked<T>(&self, run: impl FnOnce() -> T) -> T {
        let _locked = lock(&self.spaces);
        run()
    }

    /// How many records there are, roughly; those of deleted keys that wait for their end included.
    pub(crate) fn record_count(&self) -> usize {
        self.spaces().iter().map(|space| space.records.len()).sum()
    }
}
