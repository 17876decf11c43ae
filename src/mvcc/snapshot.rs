//! A snapshot: everything committed below its position, and nothing else, for as long as it lives.
//!
//! What it sees is not unlinked while its slot is registered (`active`), so what it returns borrows from it, and no
//! epoch guard outlives a call.

use super::active::Registration;
use super::chain::{Record, Tally, Visible};
use super::store::Space;
use crate::lsn::Lsn;
use crate::map::{FETCHED_TOGETHER, Key, Node, Towards};
use crate::sync::epoch::{self, Guard};
use crate::sync::prefetch;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::ops::Bound;

/// See the module. Cloning shares the slot.
#[derive(Clone)]
pub(crate) struct Snapshot(Registration);

/// Whoever looks at a value that is longer looks at these first.
const FIRST_BYTES: usize = 12;

/// A value as a snapshot sees it.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'s> {
    pub(crate) lsn: Lsn,
    pub(crate) value: &'s [u8],
}

impl Snapshot {
    #[inline]
    pub(super) fn new(registration: Registration) -> Snapshot {
        Snapshot(registration)
    }

    #[inline]
    pub(crate) fn position(&self) -> Lsn {
        self.0.position()
    }

    /// The value under `key`. One look-up, one chain walk, no write to shared memory.
    #[inline]
    pub(crate) fn get<'s>(&'s self, space: &'s Space, key: &[u8]) -> Option<Seen<'s>> {
        self.get_told(space, key, &())
    }

    /// The same; `tally` is told of the versions on the way.
    #[inline]
    pub(crate) fn get_told<'s>(
        &'s self,
        space: &'s Space,
        key: &[u8],
        tally: &impl Tally,
    ) -> Option<Seen<'s>> {
        self.entry_told(space, key, tally).map(|(_, seen)| seen)
    }

    /// The same, with the key as the map has it.
    #[inline]
    pub(crate) fn entry_told<'s>(
        &'s self,
        space: &'s Space,
        key: &[u8],
        tally: &impl Tally,
    ) -> Option<(&'s [u8], Seen<'s>)> {
        let guard = epoch::pin();
        let record = space.records().get(key, &guard)?;
        // A dead record holds nothing that anybody can see.
        let visible = record.visible_told(self.position(), &guard, tally).ok().flatten()?;
        let seen = self.keep(visible)?;
        Some((keep_key(self, record.key(), &guard), seen))
    }

    /// The values under some keys. What one after the other would wait for, the node, the version and the value's end, is fetched for all at a time.
    pub(crate) fn get_each<'s>(
        &'s self,
        space: &'s Space,
        keys: &[&[u8]],
    ) -> SmallVec<[Option<Seen<'s>>; FETCHED_TOGETHER]> {
        let guard = epoch::pin();
        let records = space.records().get_each(keys, &guard);
        records.iter().flatten().for_each(|record| record.prefetch_newest(FIRST_BYTES));
        let visible = |record: Option<&Node<Record>>| record?.visible(self.position(), &guard).ok().flatten();
        let found: SmallVec<[_; FETCHED_TOGETHER]> =
            records.into_iter().map(|record| self.keep(visible(record)?)).collect();
        // Whoever checks a document looks there first.
        found.iter().flatten().for_each(|seen| prefetch(seen.value.as_ptr_range().end.wrapping_sub(1)));
        found
    }

    /// What was under `key`: the versions that can be read at the snapshot's position and at those below it that are still kept, newest first, handed to
    /// `take` with nothing for a deletion. `oldest` says which position is the oldest that is kept; it is asked when the chain has been walked.
    ///
    /// So what a pruner unlinked meanwhile was superseded below that, and is not missed. What was superseded below it may be there by accident, or because
    /// an older snapshot sees it, and is passed over. A deletion below it is as if nothing had ever been there.
    pub(crate) fn history<T>(
        &self,
        space: &Space,
        key: &[u8],
        oldest: impl FnOnce() -> Lsn,
        mut take: impl FnMut(Lsn, Option<&[u8]>) -> T,
    ) -> Vec<T> {
        let guard = epoch::pin();
        // A dead record held nothing but a deletion that nobody can tell from nothing.
        let versions = space.records().get(key, &guard);
        let versions = versions.and_then(|record| record.committed_below(self.position(), &guard, &()).ok());
        let versions: SmallVec<[Visible<'_>; 8]> = versions.into_iter().flatten().collect();
        let oldest = oldest().min(self.position());
        let first_of_old = versions.iter().position(|visible| visible.lsn < oldest);
        let kept = match first_of_old.map(|at| (at, versions[at].version.payload())) {
            None => versions.len(),
            Some((at, None)) => at,
            Some((at, Some(_))) => at + 1,
        };
        versions[..kept].iter().map(|visible| take(visible.lsn, visible.version.payload())).collect()
    }

    /// A tombstone is nothing; anything else outlives the guard.
    #[inline]
    fn keep<'s>(&'s self, visible: Visible<'_>) -> Option<Seen<'s>> {
        debug_assert!(visible.lsn < self.position());
        let value = visible.version.payload()?;
        // SAFETY: the version is the newest below our position, which is registered until `self` is dropped: nobody unlinks it
        // before (`Horizon::is_garbage`), and payloads never change.
        let value = unsafe { &*std::ptr::from_ref(value) };
        Some(Seen { lsn: visible.lsn, value })
    }

    /// The entries of a range, in order.
    pub(crate) fn scan<'s>(
        &'s self,
        space: &'s Space,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        towards: Towards,
    ) -> Scan<'s> {
        let owned = |bound: Bound<&[u8]>| bound.map(Key::from);
        Scan {
            snapshot: self,
            space,
            low: owned(range.0),
            high: owned(range.1),
            towards,
            fetched: VecDeque::new(),
            batch: FIRST_BATCH,
            ended: false,
            tally: (),
        }
    }
}

impl<'s> Scan<'s> {
    /// The same; `tally` is told of the versions on the way.
    pub(crate) fn told<W>(self, tally: W) -> Scan<'s, W> {
        let Scan { snapshot, space, low, high, towards, fetched, batch, ended, tally: () } = self;
        Scan { snapshot, space, low, high, towards, fetched, batch, ended, tally }
    }

    /// Looks at so many entries at first, for whoever knows how many will be wanted.
    pub(crate) fn beginning_with(self, entries: usize) -> Self {
        Scan { batch: entries.clamp(FIRST_BATCH, LAST_BATCH), ..self }
    }
}

/// Entries looked at under one pin: few at first, for those who stop early, then more.
const FIRST_BATCH: usize = 8;
const LAST_BATCH: usize = 256;

/// An iterator over the entries of a range as a snapshot sees them. Pins for each batch, not between.
pub(crate) struct Scan<'s, W = ()> {
    snapshot: &'s Snapshot,
    space: &'s Space,
    low: Bound<Key>,
    high: Bound<Key>,
    towards: Towards,
    fetched: VecDeque<(&'s [u8], Seen<'s>)>,
    batch: usize,
    ended: bool,
    tally: W,
}

impl<'s, W: Tally> Scan<'s, W> {
    fn fetch(&mut self) {
        let guard = epoch::pin();
        let (snapshot, batch, tally) = (self.snapshot, self.batch, &self.tally);
        let range = (as_bytes(&self.low), as_bytes(&self.high));
        // Cold memory, mostly: it is asked for before the first is looked at.
        let mut met: SmallVec<[_; FIRST_BATCH]> = SmallVec::with_capacity(batch);
        self.ended = self.space.records().scan(range, self.towards, &guard, |key, record| {
            prefetch(std::ptr::from_ref(record));
            met.push((key, record));
            met.len() < batch
        });
        met.iter().for_each(|(_, record)| record.prefetch_newest(0));
        self.fetched.reserve(met.len());
        for (key, record) in &met {
            let visible = record.visible_told(snapshot.position(), &guard, tally).ok().flatten();
            if let Some(seen) = visible.and_then(|visible| snapshot.keep(visible)) {
                self.fetched.push_back((keep_key(snapshot, key, &guard), seen));
            }
        }
        let last = met.last().map(|(key, _)| (*key).clone());
        self.batch = (self.batch * 2).min(LAST_BATCH);
        if let Some(last) = last {
            match self.towards {
                Towards::Greater => self.low = Bound::Excluded(last),
                Towards::Lesser => self.high = Bound::Excluded(last),
            }
        }
    }
}

/// A key with a value that the snapshot sees stays in the map as long as the snapshot.
fn keep_key<'s>(_snapshot: &'s Snapshot, key: &[u8], _guard: &Guard) -> &'s [u8] {
    // SAFETY: a record dies only if its newest version is a tombstone below the oldest snapshot (`Record::bury`); with a version that
    // this snapshot sees it does not die before the snapshot, and so its entry, which holds the key, stays.
    unsafe { &*std::ptr::from_ref(key) }
}

pub(crate) fn as_bytes(bound: &Bound<Key>) -> Bound<&[u8]> {
    bound.as_ref().map(|key| &**key)
}

impl<'s, W: Tally> Iterator for Scan<'s, W> {
    type Item = (&'s [u8], Seen<'s>);

    fn next(&mut self) -> Option<Self::Item> {
        while self.fetched.is_empty() && !self.ended {
            self.fetch();
        }
        self.fetched.pop_front()
    }
}
