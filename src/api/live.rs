//! Live queries: what matches a filter now, and then how that changes.

use super::query::Asked;
use super::value::Document;
use super::watch::{Change, Changes, Watch};
use super::{Collection, DocRef, Result};
use crate::document::DocumentId;
use crate::filter::Filter;
use crate::lsn::Lsn;
use crate::query::view::View;
use futures_core::Stream;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// The documents that match a filter, kept up to date by [`Patch`](LivePatch)es: first [`LiveQuery::initial`], then the patches, in the order of commits, as an
/// iterator that waits, with a limit to the wait, or as a [`Stream`].
///
/// What it tells is what the documents were, and are, at each position: initial result and patches together are the answer to the filter there.
pub struct LiveQuery {
    initial: Vec<Document>,
    position: Lsn,
    changes: Changes,
    filter: Filter,
}

/// How the result of a live query changes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LivePatch {
    /// A document matches that did not before, or was not there.
    Enter {
        /// Where that was committed.
        position: Lsn,
        /// The document.
        document: Document,
    },
    /// A document that matches was changed, and still does.
    Change {
        /// Where that was committed.
        position: Lsn,
        /// The document as it is now.
        document: Document,
    },
    /// A document does not match any more, or was deleted.
    Leave {
        /// Where that was committed.
        position: Lsn,
        /// Its id.
        id: DocumentId,
    },
}

impl LivePatch {
    /// Where it was committed.
    pub fn position(&self) -> Lsn {
        match self {
            LivePatch::Enter { position, .. }
            | LivePatch::Change { position, .. }
            | LivePatch::Leave { position, .. } => *position,
        }
    }

    fn of(filter: &Filter, change: &Change) -> Option<LivePatch> {
        let position = change.position();
        let matches = |document: &&Document| filter.matches(document.raw());
        let before = change.before().filter(matches).is_some();
        match (before, change.after().filter(matches)) {
            (false, None) => None,
            (false, Some(document)) => Some(LivePatch::Enter { position, document: document.clone() }),
            (true, Some(document)) => Some(LivePatch::Change { position, document: document.clone() }),
            (true, None) => Some(LivePatch::Leave { position, id: change.id().clone() }),
        }
    }
}

impl Collection {
    /// The documents that match a filter now, and then each change of that.
    ///
    /// ```
    /// # use skipstone::{Database, LivePatch, bson::doc, field};
    /// let db = Database::in_memory();
    /// let towns = db.collection("towns")?;
    /// towns.insert(doc! { "_id": "aachen", "people": 3 })?;
    /// let mut large = towns.live(field("people").gt(2))?;
    /// assert_eq!(large.initial().len(), 1);
    /// towns.delete("aachen")?;
    /// assert!(matches!(large.next(), Some(Ok(LivePatch::Leave { id, .. })) if id == "aachen".into()));
    /// # Ok::<(), skipstone::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Collection::find`].
    pub fn live(&self, filter: impl Into<Filter>) -> Result<LiveQuery> {
        let filter = filter.into();
        let changes = self.watch(Watch::new().matching(filter.clone()))?;
        let (snapshot, engine) = (changes.feed().snapshot(), &self.0.engine);
        let view = View::Snapshot(snapshot);
        let asked = Asked { store: engine.identity(), space: self.0.space(), view };
        let initial = asked.find(filter.clone().into())?.map(|found| found.map(DocRef::into_owned));
        let (initial, position) = (initial.collect::<Result<_>>()?, snapshot.position());
        Ok(LiveQuery { initial, position, changes, filter })
    }
}

impl LiveQuery {
    /// What matched when the query was made, in no order that is promised.
    pub fn initial(&self) -> &[Document] {
        &self.initial
    }

    /// Takes what matched when the query was made, which needs no room then any more.
    pub fn take_initial(&mut self) -> Vec<Document> {
        std::mem::take(&mut self.initial)
    }

    /// As of which position that was: patches are at or above.
    pub fn position(&self) -> Lsn {
        self.position
    }

    /// The next patch, if one comes within this time; none if not.
    ///
    /// # Errors
    /// As [`Changes::try_next`].
    pub fn next_within(&mut self, time: Duration) -> Result<Option<LivePatch>> {
        let deadline = std::time::Instant::now().checked_add(time);
        loop {
            let left = deadline.map_or(Duration::MAX, |deadline| {
                deadline.saturating_duration_since(std::time::Instant::now())
            });
            let Some(change) = self.changes.next_within(left)? else { return Ok(None) };
            if let Some(patch) = LivePatch::of(&self.filter, &change) {
                return Ok(Some(patch));
            }
        }
    }
}

impl Iterator for LiveQuery {
    type Item = Result<LivePatch>;

    /// Waits for the next patch. Never none.
    fn next(&mut self) -> Option<Result<LivePatch>> {
        loop {
            match self.changes.next()? {
                Ok(change) => {
                    if let Some(patch) = LivePatch::of(&self.filter, &change) {
                        return Some(Ok(patch));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Stream for LiveQuery {
    type Item = Result<LivePatch>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<LivePatch>>> {
        let live = self.get_mut();
        loop {
            match Pin::new(&mut live.changes).poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Some(Ok(change))) => {
                    if let Some(patch) = LivePatch::of(&live.filter, &change) {
                        return Poll::Ready(Some(Ok(patch)));
                    }
                }
            }
        }
    }
}
