//! What was committed, in the order of positions, of a store that has no log: kept from when somebody first asked for it.
//!
//! ```text
//!   who asks:     kept = true ─► touches the log's end ─► opens a snapshot at p
//!   who commits:  installs ─► takes position q from the log's end ─► kept? ─► committed ─► an entry at q, which may be void
//! ```
//!
//! Both go through the log's end by read-modify-write. If the commit came first, q is below p: the snapshot sees it. If the touch came first, the commit sees that
//! entries are kept, and leaves one. So everything is either in the snapshot or among the entries from p on, and nothing is in both. An entry says where the next one is, without a gap, so a
//! reader knows which one that is, and that it has not come yet.
//!
//! Entries are bounded: beyond [`BYTES_MAX`] the oldest go, whoever may still want them.

use crate::lsn::{LogEnd, Lsn};
use crate::map::{Map, Towards};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::wakers::{Sleeper, Wakers};
use crate::sync::{Arc, TryLock, epoch};
use std::ops::Bound;
use std::task::Waker;

/// What entries may take in memory.
pub(crate) const BYTES_MAX: u64 = if cfg!(any(loom, shuttle)) { 1 << 10 } else { 64 << 20 };
/// What an entry takes besides its writes, roughly.
const ENTRY_BYTES: u64 = 160;
/// While nothing is kept. Positions begin behind it.
const NOTHING: u64 = 0;

/// See the module.
pub(crate) struct Changes {
    is_kept: AtomicBool,
    /// Entries below were given up, or never kept.
    oldest: AtomicU64,
    entries: Map<Entry>,
    bytes: AtomicU64,
    /// Held by who gives entries up.
    giving_up: TryLock<()>,
    waiting: Wakers,
}

/// What is kept of a range of positions that somebody took.
#[derive(Clone)]
struct Entry {
    /// Where the next one is.
    end: Lsn,
    /// The writes of a commit, as in a log; none if the range was taken in vain.
    writes: Option<Arc<Vec<u8>>>,
}

/// What comes next, and where what comes behind it.
pub(crate) enum Next {
    Commit(Arc<Vec<u8>>, Lsn),
    Void(Lsn),
    NotYet,
    /// Nothing below this position is kept.
    Gone(Lsn),
}

fn key(lsn: Lsn) -> [u8; 8] {
    lsn.get().to_be_bytes()
}

fn size(entry: &Entry) -> u64 {
    ENTRY_BYTES + entry.writes.as_ref().map_or(0, |writes| writes.len() as u64)
}

impl Changes {
    pub(crate) fn new() -> Changes {
        Changes {
            is_kept: AtomicBool::new(false),
            oldest: AtomicU64::new(NOTHING),
            entries: Map::with_room(0),
            bytes: AtomicU64::new(0),
            giving_up: TryLock::new(()),
            waiting: Wakers::new(),
        }
    }

    /// From now on entries are kept: of everything at or above the log's end as it is when this returns. Returns from where on they are.
    pub(crate) fn keep(&self, end: &LogEnd) -> Lsn {
        // Relaxed: released by `touch` to every commit that takes its position later.
        self.is_kept.store(true, Ordering::Relaxed);
        let from = end.touch();
        // Release: pairs with `oldest`, of nothing yet. Failure Acquire: as there; somebody else asked, below the log's end as it is now.
        let before = self.oldest.compare_exchange(NOTHING, from.get(), Ordering::Release, Ordering::Acquire);
        before.map_or_else(Lsn::new, |_| from)
    }

    /// Below, nothing is kept; none if nothing is.
    pub(crate) fn oldest(&self) -> Option<Lsn> {
        // Acquire: pairs with `give_up`: an entry that is gone is below.
        let oldest = self.oldest.load(Ordering::Acquire);
        (oldest != NOTHING).then_some(Lsn::new(oldest))
    }

    /// The caller has taken the positions from `lsn` up to `end`, and committed by `writes`, or not at all.
    #[inline]
    pub(crate) fn publish(&self, (lsn, end): (Lsn, Lsn), writes: impl FnOnce() -> Option<Vec<u8>>) {
        // Relaxed: acquired with the position, if it was set before that.
        if self.is_kept.load(Ordering::Relaxed) {
            self.put(lsn, Entry { end, writes: writes().map(Arc::new) });
        }
    }

    fn put(&self, lsn: Lsn, entry: Entry) {
        // Relaxed: a count, only compared with its bound.
        let bytes = self.bytes.fetch_add(size(&entry), Ordering::Relaxed) + size(&entry);
        self.entries.get_or_insert(&key(lsn), || entry.clone(), &epoch::pin());
        if bytes > BYTES_MAX {
            self.giving_up.try_with(|()| self.give_up());
        }
        self.waiting.wake_all();
    }

    /// Takes the oldest entries out until the others are within bounds.
    fn give_up(&self) {
        // Relaxed: as above.
        while self.bytes.load(Ordering::Relaxed) > BYTES_MAX {
            let guard = epoch::pin();
            let mut first = None;
            self.entries.scan((Bound::Unbounded, Bound::Unbounded), Towards::Greater, &guard, |_, node| {
                first = Some(node);
                false
            });
            let Some(node) = first else { return };
            // Release: pairs with `oldest`; before the entry goes. Never backwards: one that came late may lie before what is gone.
            self.oldest.fetch_max(node.end.get(), Ordering::Release);
            // Relaxed: as above.
            self.bytes.fetch_sub(size(node), Ordering::Relaxed);
            self.entries.retire(node, &guard);
        }
    }

    /// Where the entries begin that a reader needs who wants those from a position on.
    pub(crate) fn beginning(&self, at: Lsn) -> Lsn {
        let (guard, mut before) = (epoch::pin(), None);
        let range = (Bound::Unbounded, Bound::Included(&key(at)[..]));
        self.entries.scan(range, Towards::Lesser, &guard, |key, _| {
            before = key.first_chunk().map(|bytes| Lsn::new(u64::from_be_bytes(*bytes)));
            false
        });
        before.or(self.oldest()).map_or(at, |lsn| lsn.min(at))
    }

    /// The entry at a position, the first that the caller has not seen.
    pub(crate) fn next(&self, at: Lsn) -> Next {
        let guard = epoch::pin();
        match self.entries.get(&key(at), &guard).map(|node| Entry::clone(node)) {
            Some(Entry { end, writes: Some(writes) }) => return Next::Commit(writes, end),
            Some(Entry { end, writes: None }) => return Next::Void(end),
            None => {}
        }
        match self.oldest() {
            Some(oldest) if at >= oldest => Next::NotYet,
            oldest => Next::Gone(oldest.unwrap_or(at)),
        }
    }

    /// Has `waker` woken by the next entry. Look once more behind this.
    pub(crate) fn wait(&self, sleeper: &mut Sleeper, waker: &Waker) {
        self.waiting.add(sleeper, waker);
    }

    /// Wakes all who wait: there will be nothing more.
    pub(crate) fn wake_all(&self) {
        self.waiting.wake_all();
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// Of a thread that slept between its position and its entry.
    #[test]
    fn an_entry_that_comes_too_late_brings_nothing_back() {
        let (changes, end) = (Changes::new(), LogEnd::new(Lsn::new(8)));
        changes.keep(&end);
        let reserve = |bytes: u64| {
            let lsn = end.reserve(bytes);
            (lsn, lsn.plus(bytes))
        };
        let (asleep, large) = (reserve(8), vec![0; 1 << 20]);
        let put_large = |count| (0..count).for_each(|_| changes.publish(reserve(8), || Some(large.clone())));
        put_large(80);
        let oldest = changes.oldest().unwrap();
        assert!(oldest > asleep.0);
        // Up to the bound, so that the late one is all that goes.
        let room = BYTES_MAX - changes.bytes.load(Ordering::Relaxed) - ENTRY_BYTES; // a figure
        changes.publish(reserve(8), || Some(vec![0; room as usize]));
        changes.publish(asleep, || Some(vec![7]));
        assert_eq!(changes.oldest().unwrap(), oldest);
        assert!(matches!(changes.next(asleep.1), Next::Gone(_)));
    }

    #[test]
    fn entries_come_in_order_and_the_oldest_go() {
        let (changes, end) = (Changes::new(), LogEnd::new(Lsn::new(8)));
        let reserve = |bytes: u64| {
            let lsn = end.reserve(bytes);
            (lsn, lsn.plus(bytes))
        };
        changes.publish(reserve(8), || panic!("nobody has asked"));
        assert!(matches!(changes.next(Lsn::new(8)), Next::Gone(_)));
        changes.keep(&end);
        assert_eq!(changes.oldest(), Some(Lsn::new(16)));
        let (first, second) = (reserve(24), reserve(8));
        changes.publish(second, || None);
        assert!(matches!(changes.next(first.0), Next::NotYet));
        changes.publish(first, || Some(vec![7]));
        assert!(
            matches!(changes.next(first.0), Next::Commit(writes, end) if *writes == [7] && end == second.0)
        );
        assert!(matches!(changes.next(second.0), Next::Void(end) if end == second.1));

        let large = vec![0; 1 << 20];
        for _ in 0..80 {
            changes.publish(reserve(1 << 20), || Some(large.clone()));
        }
        let oldest = changes.oldest().unwrap();
        assert!(oldest > second.0 && matches!(changes.next(first.0), Next::Gone(gone) if gone == oldest));
        assert!(matches!(changes.next(oldest), Next::Commit(..)));
        assert!(changes.bytes.load(Ordering::Relaxed) <= BYTES_MAX); // a figure
    }
}
