//! Change feeds: what is committed, in the order of commits, for whoever takes it.

use super::value::{DocRef, Document};
use super::{Collection, Database, Error, Result, Snapshot};
use crate::document::DocumentId;
use crate::engine::Engine;
use crate::engine::catalog::{self, Kind};
use crate::engine::feed::{Before, Changed, Feed, FeedError, From};
use crate::filter::Filter;
use crate::lsn::Lsn;
use crate::mvcc::snapshot as mvcc;
use crate::options::Moment;
use crate::query::QueryError;
use crate::sync::Arc;
use crate::sync::thread;
use futures_core::Stream;
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

pub use super::feed_cursor::FeedCursor;

/// From where on to watch, and for which changes.
///
/// ```
/// # use skipstone::{Watch, field};
/// let watch = Watch::new().matching(field("city").eq("Nairobi"));
/// # let _ = watch;
/// ```
#[derive(Clone)]
#[must_use = "it does nothing before it is given to `watch`"]
pub struct Watch {
    from: From,
    /// What is seen there, if somebody holds it.
    seen: Option<mvcc::Snapshot>,
    /// The one that all that belongs to.
    store: Option<u64>,
    filter: Option<Filter>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("from", &self.from)
            .field("filter", &self.filter)
            .finish_non_exhaustive()
    }
}

impl Default for Watch {
    fn default() -> Watch {
        Watch::new()
    }
}

impl Watch {
    /// Every change that is committed from now on.
    pub fn new() -> Watch {
        Watch { from: From::Now, seen: None, store: None, filter: None }
    }

    /// Everything that a snapshot does not see.
    ///
    /// The feed shares the snapshot until it has told what was committed by the time it began, so that it is known of each change what was there before.
    pub fn behind(self, snapshot: &Snapshot<'_>) -> Watch {
        let (seen, store) = (Some(snapshot.seen().clone()), Some(snapshot.store_identity()));
        Watch { from: From::Position(snapshot.position()), seen, store, ..self }
    }

    /// From the first commit at or above a position on.
    ///
    /// In a store on a disk this reads the log from the last checkpoint on, and may wait for one that is under way.
    pub fn from_position(self, position: Lsn) -> Watch {
        Watch { from: From::Position(position), seen: None, store: None, ..self }
    }

    /// From where another feed of this store was left off, also before it was opened last.
    pub fn after(self, cursor: &FeedCursor) -> Watch {
        Watch { from: From::Place(cursor.place), seen: None, store: Some(cursor.store), ..self }
    }

    /// Only of documents that match, before the change or after it. Where it is not known what was there before, the change is told all the same.
    pub fn matching(self, filter: impl Into<Filter>) -> Watch {
        Watch { filter: Some(filter.into()), ..self }
    }
}

/// A change of one document.
#[derive(Clone, Debug)]
pub struct Change {
    position: Lsn,
    index: u32,
    collection: Arc<str>,
    id: DocumentId,
    before: Option<Option<Document>>,
    after: Option<Document>,
}

/// What became of a document.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ChangeKind {
    /// It was not there before.
    Inserted,
    /// It was there, and is.
    Updated,
    /// It is not there any more.
    Deleted,
}

impl Change {
    /// Where it was committed. Changes of one transaction have one position, and follow each other.
    pub fn position(&self) -> Lsn {
        self.position
    }

    /// The name of the collection.
    pub fn collection(&self) -> &str {
        &self.collection
    }

    /// The document's id.
    pub fn id(&self) -> &DocumentId {
        &self.id
    }

    /// What became of the document.
    pub fn kind(&self) -> ChangeKind {
        match (&self.before, &self.after) {
            (_, None) => ChangeKind::Deleted,
            (Some(None), Some(_)) => ChangeKind::Inserted,
            (Some(Some(_)), Some(_)) => ChangeKind::Updated,
            (None, Some(after)) if after.version() == 1 => ChangeKind::Inserted,
            (None, Some(_)) => ChangeKind::Updated,
        }
    }

    /// The document as it was before; none if it was not there, or if that is not known: see [`Change::is_before_known`].
    pub fn before(&self) -> Option<&Document> {
        self.before.as_ref()?.as_ref()
    }

    /// Whether it is known what was there before. It is, but for changes of the past whose versions are gone: those that a feed goes on with after the store was
    /// opened again, up to the first change of each document.
    pub fn is_before_known(&self) -> bool {
        self.before.is_some()
    }

    /// The document as it is now; none if it was deleted.
    pub fn after(&self) -> Option<&Document> {
        self.after.as_ref()
    }
}

/// A feed of changes, in the order of their commits: as an iterator that waits, with a limit to the wait ([`Changes::next_within`]), or as a
/// [`Stream`].
///
/// It holds up nobody. What is told is on stable storage, or committed in a store in memory. It holds two snapshots, and what it told of documents that
/// were changed since the first of them. After an error it is over, but for [`Error::ReadOnly`] and [`Error::Closed`], which stay.
pub struct Changes {
    engine: Arc<Engine>,
    feed: Feed,
    of: Wanted,
    filter: Option<Filter>,
    ready: VecDeque<Change>,
    /// The last one that was taken, while others of its commit are ready.
    taken: Option<u32>,
    blocking: Option<(thread::ThreadId, Waker)>,
}

/// Which keyspaces are told of.
enum Wanted {
    One(u32, Arc<str>),
    /// Collections by their numbers; none for what is not one.
    All(HashMap<u32, Option<Arc<str>>>),
}

impl Wanted {
    fn name(&mut self, engine: &Engine, space: u32) -> Option<Arc<str>> {
        let names = match self {
            Wanted::One(number, name) => return (*number == space).then(|| Arc::clone(name)),
            Wanted::All(names) => names,
        };
        if !names.contains_key(&space) {
            // A name is committed before anything under its number.
            let known = catalog::list(&engine.store().snapshot(), engine.store(), Kind::Collection);
            names.extend(known.into_iter().map(|(name, number)| (number, Some(Arc::from(name)))));
        }
        names.entry(space).or_insert(None).clone()
    }
}

impl Database {
    /// What is committed in all collections, in the order of commits.
    ///
    /// ```
    /// # use skipstone::{ChangeKind, Database, Watch, bson::doc};
    /// let db = Database::in_memory();
    /// let mut changes = db.watch(Watch::new())?;
    /// db.collection("towns")?.insert(doc! { "_id": "aachen" })?;
    /// let change = changes.next().expect("a feed has no end")?;
    /// assert_eq!((change.collection(), change.kind()), ("towns", ChangeKind::Inserted));
    /// # Ok::<(), skipstone::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::HistoryGone`] with the oldest position that a feed can begin at, [`Error::NotReached`], [`Error::ForeignCursor`]; a mistake in the filter.
    pub fn watch(&self, watch: Watch) -> Result<Changes> {
        Changes::open(&self.engine, Wanted::All(HashMap::new()), watch)
    }
}

impl Collection {
    /// What is committed in this collection, in the order of commits.
    ///
    /// # Errors
    /// As [`Database::watch`].
    pub fn watch(&self, watch: Watch) -> Result<Changes> {
        Changes::open(&self.0.engine, Wanted::One(self.0.space().id(), self.name().into()), watch)
    }
}

impl Changes {
    fn open(engine: &Arc<Engine>, of: Wanted, watch: Watch) -> Result<Changes> {
        super::check_open(engine)?;
        if let Some(filter) = &watch.filter {
            filter.check().map_err(QueryError::from)?;
        }
        if watch.store.is_some_and(|store| store != engine.identity()) {
            return Err(Error::ForeignCursor);
        }
        let end = engine.store().end().load();
        if let Some(position) = watch.from.at().filter(|at| *at > end) {
            return Err(Error::NotReached { position, end });
        }
        let feed = Feed::open(engine, watch.from, watch.seen).map_err(|error| failed(engine, error))?;
        let (filter, ready, taken, blocking) = (watch.filter, VecDeque::new(), None, None);
        Ok(Changes { engine: Arc::clone(engine), feed, of, filter, ready, taken, blocking })
    }

    pub(super) fn feed(&self) -> &Feed {
        &self.feed
    }

    /// The next change if there is one by now.
    ///
    /// # Errors
    /// [`Error::HistoryGone`] if the feed came too late for what it was to tell next; [`Error::ReadOnly`], [`Error::Closed`].
    pub fn try_next(&mut self) -> Result<Option<Change>> {
        loop {
            if let Some(change) = self.ready.pop_front() {
                self.taken = (!self.ready.is_empty()).then_some(change.index);
                return Ok(Some(change));
            }
            let (engine, of) = (&*self.engine, &mut self.of);
            // Before anything is looked for: what is not found then will not come.
            let is_closed = engine.is_closed();
            let next = self.feed.next(engine, |space| of.name(engine, space).is_some());
            let next = next.map_err(|error| failed(engine, error))?;
            match next {
                Some((position, changed)) => self.take(position, changed)?,
                None if is_closed => return Err(Error::Closed),
                None => return Ok(None),
            }
        }
    }

    fn take(&mut self, position: Lsn, changed: Vec<Changed>) -> Result<()> {
        for Changed { index, space, key, before, after } in changed {
            let Some(collection) = self.of.name(&self.engine, space) else { continue };
            let document = |value, lsn| DocRef::new(Cow::Owned(value), lsn, &collection, &key);
            let before = match before {
                Before::Known(value) => Some(value.map(|value| document(value, None)).transpose()?),
                Before::Unknown => None,
            };
            let after = after.map(|value| document(value, Some(position))).transpose()?;
            let id = DocumentId::from_key(&key)?;
            let change = Change { position, index, collection: Arc::clone(&collection), id, before, after };
            if self.filter.as_ref().is_none_or(|filter| is_wanted(filter, &change)) {
                self.ready.push_back(change);
            }
        }
        Ok(())
    }

    /// The next change, if one comes within this time; none if not.
    ///
    /// # Errors
    /// As [`Changes::try_next`].
    pub fn next_within(&mut self, time: Duration) -> Result<Option<Change>> {
        self.next_until(Instant::now().checked_add(time))
    }

    /// Waits for ever without a deadline.
    fn next_until(&mut self, deadline: Option<Instant>) -> Result<Option<Change>> {
        let waker = self.blocking_waker();
        loop {
            if let Some(change) = self.look_or_wait(&waker)? {
                return Ok(Some(change));
            }
            match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(Duration::ZERO) => return Ok(None),
                Some(left) => thread::park_timeout(left),
            }
        }
    }

    /// The next change, or none, and then the waker will be woken.
    fn look_or_wait(&mut self, waker: &Waker) -> Result<Option<Change>> {
        loop {
            if let Some(change) = self.try_next()? {
                return Ok(Some(change));
            }
            let may_have_more = self.feed.wait(&self.engine, waker);
            let may_have_more = may_have_more.map_err(|error| failed(&self.engine, error))?;
            // Who closes the store does so before he wakes.
            if !may_have_more && !self.engine.is_closed() {
                return Ok(None);
            }
        }
    }

    fn blocking_waker(&mut self) -> Waker {
        let current = thread::current();
        match &self.blocking {
            Some((id, waker)) if *id == current.id() => waker.clone(),
            _ => {
                let waker = Waker::from(Arc::new(Unpark(current.clone())));
                self.blocking = Some((current.id(), waker.clone()));
                waker
            }
        }
    }

    /// The place behind the last change that was taken, for [`Watch::after`]: also when the store was closed and opened again, as long as its log goes back so far.
    ///
    /// It moves on over changes that the feed has passed over, so take a new one now and then, even if nothing was told.
    pub fn cursor(&self) -> FeedCursor {
        FeedCursor { store: self.engine.identity(), place: self.feed.place(self.taken) }
    }
}

fn is_wanted(filter: &Filter, change: &Change) -> bool {
    let matches =
        |document: Option<&Document>| document.is_some_and(|document| filter.matches(document.raw()));
    matches(change.after()) || matches(change.before()) || !change.is_before_known()
}

fn failed(engine: &Engine, error: FeedError) -> Error {
    match error {
        FeedError::Gone { position, oldest } => {
            let (asked, oldest_time) = (Moment::Position(position), engine.history().time_of(oldest));
            Error::HistoryGone { asked, oldest, oldest_time }
        }
        FeedError::Log(cause) => Error::Log(cause),
        FeedError::Io(cause) => Error::ReadOnly { cause },
    }
}

/// Wakes a thread that waits.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Iterator for Changes {
    type Item = Result<Change>;

    /// Waits for the next change. Never none.
    fn next(&mut self) -> Option<Result<Change>> {
        self.next_until(None).transpose()
    }
}

impl Stream for Changes {
    type Item = Result<Change>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Change>>> {
        match self.get_mut().look_or_wait(context.waker()) {
            Ok(None) => Poll::Pending,
            found => Poll::Ready(found.transpose()),
        }
    }
}
