//! The past: the store as it was, the versions of a document, what changed in a collection between two moments.

use super::documents::Target;
use super::value::{DocRef, Document};
use super::{Collection, Database, Error, Result, Snapshot, SnapshotCollection};
use crate::document::DocumentId;
use crate::engine::Engine;
use crate::engine::history::NoPosition;
use crate::engine::logged::Logged;
use crate::lsn::Lsn;
use crate::map::Towards;
use crate::mvcc::snapshot::{self, Scan, Seen};
use crate::mvcc::store::Space;
use crate::options::{Moment, Retention};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::iter::Peekable;
use std::ops::Bound;
use std::time::SystemTime;

impl Database {
    /// Opens a snapshot of the past, at a position or a time, as far as [`Builder::retain_history_bytes`](crate::Builder::retain_history_bytes) and
    /// [`Builder::retain_history_for`](crate::Builder::retain_history_for) keep it, from before the store was opened too. It is a snapshot as any other: queries use the indexes that were complete by then.
    ///
    /// A **position** is exact: everything committed below it is seen, and nothing else. It costs what [`Database::snapshot`] does.
    ///
    /// A **time** is looked up in a table of what was committed by when: once a second the store notes where its log ends, and then what time it is. The
    /// last such mark at or before the time counts. So nothing is seen that was committed after the time, and everything that was committed
    /// before the mark; of what was committed between the two, for up to a second, nothing. Of marks that are hours old some are dropped, so there it may
    /// be longer, up to a 256th of the age. Positions tell more: take [`Snapshot::position`] or that of a commit. Times count in whole milliseconds, and are those of the system's clock; while
    /// that is set back, the latest time holds for everything until it is reached again. Takes a lock for some instructions.
    ///
    /// # Errors
    /// [`Error::HistoryGone`] with the oldest position that can be read; [`Error::NotReached`] and [`Error::TimeNotReached`] for what is to come.
    ///
    /// ```
    /// use skipstone::{Database, Error, bson::doc};
    /// use std::time::{Duration, SystemTime};
    ///
    /// let db = Database::builder().retain_history_for(Duration::from_secs(3600)).open()?;
    /// let towns = db.collection("towns")?;
    /// towns.insert(doc! { "_id": "aachen" })?;
    /// let (position, time) = (db.position(), SystemTime::now());
    /// towns.delete("aachen")?;
    ///
    /// assert_eq!(db.at(position)?.collection(&towns)?.count(), 1);
    /// // As of a time, but for up to a second before it.
    /// assert!(db.at(time)?.collection(&towns)?.count() <= 1);
    /// let before = db.at(time - Duration::from_secs(3600)).err().expect("the store was not open then");
    /// assert!(matches!(before, Error::HistoryGone { .. }));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn at(&self, moment: impl Into<Moment>) -> Result<Snapshot<'_>> {
        super::check_open(&self.engine)?;
        let asked = moment.into();
        let position = match asked {
            Moment::Position(position) => position,
            Moment::Time(time) => match self.engine.history().position_by(time) {
                Ok(position) => position,
                Err(NoPosition::ToCome(now)) => return Err(Error::TimeNotReached { time, now }),
                Err(NoPosition::Gone) => return Err(self.history_gone(asked, self.oldest_position())),
            },
        };
        let end = self.position();
        if position > end {
            return Err(Error::NotReached { position, end });
        }
        let snapshot = self.engine.store().snapshot_at(position);
        let snapshot = snapshot.map_err(|gone| self.history_gone(asked, gone.oldest))?;
        Ok(Snapshot::new(&self.engine, snapshot))
    }

    /// The position of a moment, as far back as the log goes: for what [`Collection::logged`] says. A time means what it does in [`Database::at`]. One from before the
    /// opening is looked up in the log, all of which is read.
    ///
    /// # Errors
    /// [`Error::HistoryGone`] if the log does not go back so far; [`Error::TimeNotReached`], [`Error::NotReached`].
    pub fn logged_position(&self, moment: impl Into<Moment>) -> Result<Lsn> {
        super::check_open(&self.engine)?;
        let asked = moment.into();
        let oldest = self.engine.log().map_or(self.oldest_position(), |log| log.segments().oldest());
        let found = match asked {
            Moment::Position(position) if position > self.position() => {
                return Err(Error::NotReached { position, end: self.position() });
            }
            Moment::Position(position) => Some(position).filter(|position| *position >= oldest),
            Moment::Time(time) => match self.engine.history().position_by(time) {
                Ok(position) => Some(position),
                Err(NoPosition::ToCome(now)) => return Err(Error::TimeNotReached { time, now }),
                Err(NoPosition::Gone) => self.engine.logged_position_by(time),
            },
        };
        found.ok_or_else(|| self.history_gone(asked, oldest))
    }

    fn history_gone(&self, asked: Moment, oldest: Lsn) -> Error {
        Error::HistoryGone { asked, oldest, oldest_time: self.engine.history().time_of(oldest) }
    }

    /// The oldest position that [`Database::at`] can read now. It only grows.
    pub fn oldest_position(&self) -> Lsn {
        self.engine.store().active().oldest()
    }

    /// How much of the past is kept.
    pub fn retention(&self) -> Retention {
        self.engine.history().retention()
    }

    /// Sets how much of the past is kept from now on, whatever it was when the store was opened. From the next checkpoint on, which closing takes if need be, it is what
    /// an opening without a setting of its own goes by.
    ///
    /// More: what is gone does not come back, and from now on as much is kept. Less: what nobody may ask for any more goes as commits and the sweep come
    /// by, the log on the disk at the next checkpoint. Snapshots that are open see what they saw. Takes effect at once, but for threads that are committing just now.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn set_retention(&self, retention: Retention) -> Result<()> {
        super::check_open(&self.engine)?;
        self.engine.history().set_retention(retention);
        Ok(())
    }
}

/// What a document became at one moment.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Revision {
    /// Where that was committed: it is what snapshots above this position see, up to that of the next revision.
    pub position: Lsn,
    /// The document from then on; none if it was deleted.
    pub document: Option<Document>,
}

impl Revision {
    /// How often the document had been written since it was inserted, see [`DocRef::version`]; none if it was deleted.
    pub fn version(&self) -> Option<u64> {
        self.document.as_ref().map(DocRef::version)
    }

    /// Whether the document was deleted.
    pub fn is_deletion(&self) -> bool {
        self.document.is_none()
    }
}

impl Collection {
    /// What was under an id, as far back as the past is kept ([`Builder::retain_history_bytes`](crate::Builder::retain_history_bytes),
    /// [`Builder::retain_history_for`](crate::Builder::retain_history_for)): its revisions, the newest first, deletions among them.
    ///
    /// The last of them is what was there at the [oldest position](crate::Database::oldest_position) that can be read, if anything was. So each
    /// revision is what [`Database::at`](crate::Database::at) shows right behind its position, and none is left out in between. Without history kept it is what is there
    /// now, and perhaps what was there just before.
    ///
    /// Costs one look-up, and copies of all revisions, which are all in memory at once; while they are copied no memory is reclaimed.
    ///
    /// # Errors
    /// An id that cannot be a key.
    ///
    /// ```
    /// # use skipstone::{Database, bson::doc};
    /// let db = Database::builder().retain_history_bytes(1 << 20).open()?;
    /// let towns = db.collection("towns")?;
    /// towns.insert(doc! { "_id": "aachen", "people": 249_070 })?;
    /// towns.upsert(doc! { "_id": "aachen", "people": 252_769 })?;
    /// towns.delete("aachen")?;
    /// let history = towns.history("aachen")?;
    /// assert!(history[0].is_deletion());
    /// assert_eq!((history[1].version(), history[2].version()), (Some(2), Some(1)));
    /// let first = history[2].document.as_ref().and_then(|town| town.get("people")?.as_i32());
    /// assert_eq!(first, Some(249_070));
    /// # Ok::<(), skipstone::Error>(())
    /// ```
    pub fn history(&self, id: impl Into<DocumentId>) -> Result<Vec<Revision>> {
        let engine = &*self.0.engine;
        super::check_open(engine)?;
        history((engine, &engine.store().snapshot()), self.0.space(), &Target::new(id)?)
    }
}

/// What the log says that a document became.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct LoggedChange {
    /// Its id.
    pub id: DocumentId,
    /// What it became, and where.
    pub revision: Revision,
    /// What time was noted last before it: while something is committed that is done once a second. None if the log does not go back to that.
    pub noted: Option<SystemTime>,
}

impl Collection {
    /// Hands out what the log still says of this collection, in the order of the commits: each document that was put, as it was then, and each deletion. This
    /// goes back as far as the log does, which may be further than the past that [`Collection::history`] shows, and is so where none is kept: to the last
    /// checkpoint in any case. Ends with the
    /// first error of `each`. Returns from where on the log was read; none in memory, where there is none.
    ///
    /// Of a transaction that was too large for one frame, and is cut off in part where the log begins, nothing is said. An encrypted log
    /// begins with what was written since the opening before the last one, or since an earlier one that is wholly there.
    ///
    /// Reads all of the log, up to what is committed now, which is made durable first. No checkpoint is taken meanwhile.
    ///
    /// # Errors
    /// [`Error::Log`], [`Error::Closed`], and those of `each`.
    pub fn logged(&self, mut each: impl FnMut(LoggedChange) -> Result<()>) -> Result<Option<Lsn>> {
        let engine = &*self.0.engine;
        super::check_open(engine)?;
        let mut failed = Ok(());
        let from = engine.read_logged(self.0.space().id(), &mut |logged| {
            if failed.is_ok() {
                failed = self.logged_change(&logged).and_then(&mut each);
            }
        });
        failed.and(Ok(from?))
    }

    fn logged_change(&self, logged: &Logged<'_>) -> Result<LoggedChange> {
        let position = logged.position;
        let document =
            |value: &[u8]| DocRef::new(Cow::Owned(value.to_vec()), Some(position), self.name(), logged.key);
        let revision = Revision { position, document: logged.value.map(document).transpose()? };
        let (id, noted) = (DocumentId::from_key(logged.key)?, logged.noted);
        Ok(LoggedChange { id, revision, noted })
    }
}

impl<'s> SnapshotCollection<'s> {
    /// What was under an id up to this snapshot: as [`Collection::history`], without what was committed since. What the snapshot itself sees is
    /// there, whatever is kept of the past.
    ///
    /// # Errors
    /// An id that cannot be a key.
    pub fn history(&self, id: impl Into<DocumentId>) -> Result<Vec<Revision>> {
        history((self.engine, self.view.snapshot), self.view.space, &Target::new(id)?)
    }

    /// What is different in `after`, the same collection as of another snapshot: documents that were put, changed and deleted in between, in the order of
    /// their ids. Either may be the older one.
    ///
    /// A document that was written in between counts as different, also if it is the same again. Costs a scan of the collection in both; documents are
    /// compared by their positions alone. Holds some hundreds of references, and no lock.
    ///
    /// # Errors
    /// [`Error::DifferentCollections`].
    ///
    /// ```
    /// # use skipstone::{Database, bson::doc};
    /// let db = Database::builder().retain_history_bytes(1 << 20).open()?;
    /// let towns = db.collection("towns")?;
    /// towns.insert_many([doc! { "_id": 1 }, doc! { "_id": 2 }])?;
    /// let position = db.position();
    /// towns.delete(1)?;
    /// towns.insert(doc! { "_id": 3 })?;
    ///
    /// let (then, now) = (db.at(position)?, db.snapshot()?);
    /// for difference in then.collection(&towns)?.diff(&now.collection(&towns)?)? {
    ///     let difference = difference?;
    ///     assert_eq!((difference.before.is_some(), difference.after.is_some()), (difference.id == 1.into(), difference.id == 3.into()));
    /// }
    /// # Ok::<(), skipstone::Error>(())
    /// ```
    pub fn diff(&self, after: &SnapshotCollection<'s>) -> Result<Diff<'s>> {
        let space = self.view.space;
        if !std::ptr::eq(space, after.view.space) {
            let (first, second) = (space.name().to_owned(), after.view.space.name().to_owned());
            return Err(Error::DifferentCollections { first, second });
        }
        let scan = |snapshot: &'s snapshot::Snapshot| {
            snapshot.scan(space, (Bound::Unbounded, Bound::Unbounded), Towards::Greater).peekable()
        };
        Ok(Diff { before: scan(self.view.snapshot), after: scan(after.view.snapshot), name: space.name() })
    }
}

fn history(
    (engine, snapshot): (&Engine, &snapshot::Snapshot),
    space: &Space,
    target: &Target,
) -> Result<Vec<Revision>> {
    let oldest = || engine.store().active().oldest();
    let copies = snapshot.history(space, &target.key, oldest, |lsn, value| (lsn, value.map(<[u8]>::to_vec)));
    let revision = |(position, value): (Lsn, Option<Vec<u8>>)| {
        let document = |value| DocRef::new(Cow::Owned(value), Some(position), space.name(), &target.key);
        Ok(Revision { position, document: value.map(document).transpose()? })
    };
    copies.into_iter().map(revision).collect()
}

/// A document that two snapshots do not see the same.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Difference<'s> {
    /// Its id.
    pub id: DocumentId,
    /// What the first snapshot sees; none if it is not there.
    pub before: Option<DocRef<'s>>,
    /// What the second one sees; none if it is not there. One of the two is there.
    pub after: Option<DocRef<'s>>,
}

/// What changed in a collection between two snapshots, from [`SnapshotCollection::diff`].
pub struct Diff<'s> {
    before: Peekable<Scan<'s>>,
    after: Peekable<Scan<'s>>,
    name: &'s str,
}

/// A key with what is under it in the one snapshot, in the other, or in both.
type Pair<'s> = (&'s [u8], Option<Seen<'s>>, Option<Seen<'s>>);

impl<'s> Diff<'s> {
    /// The next key that either snapshot sees.
    fn pair(&mut self) -> Option<Pair<'s>> {
        let first = match (self.before.peek(), self.after.peek()) {
            (Some((before, _)), Some((after, _))) => before.cmp(after),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return None,
        };
        let before = if first.is_le() { self.before.next() } else { None };
        let after = if first.is_ge() { self.after.next() } else { None };
        let key = before.or(after)?.0;
        Some((key, before.map(|(_, seen)| seen), after.map(|(_, seen)| seen)))
    }

    fn difference(&self, (key, before, after): Pair<'s>) -> Result<Difference<'s>> {
        let document =
            |seen: Seen<'s>| DocRef::new(Cow::Borrowed(seen.value), Some(seen.lsn), self.name, key);
        let (before, after) = (before.map(document).transpose()?, after.map(document).transpose()?);
        Ok(Difference { id: DocumentId::from_key(key)?, before, after })
    }
}

impl<'s> Iterator for Diff<'s> {
    type Item = Result<Difference<'s>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let pair = self.pair()?;
            let (_, before, after) = pair;
            // A commit writes a key once: where the positions agree it is the same version.
            if before.map(|seen| seen.lsn) != after.map(|seen| seen.lsn) {
                return Some(self.difference(pair));
            }
        }
    }
}
