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

    /// Of a change of a document that matches before it or after it: a feed from now on tells of no others.
    fn of(filter: &Filter, change: &Change) -> LivePatch {
        let position = change.position();
        let matches = |document: &&Document| filter.matches(document.raw());
        let before = change.before().filter(matches);
        match (before, change.after().filter(matches).cloned()) {
            (None, Some(document)) => LivePatch::Enter { position, document },
            (Some(_), Some(document)) => LivePatch::Change { position, document },
            (_, None) => LivePatch::Leave { position, id: change.id().clone() },
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
        Ok(self.changes.next_within(time)?.map(|change| LivePatch::of(&self.filter, &change)))
    }
}

impl Iterator for LiveQuery {
    type Item = Result<LivePatch>;

    /// Waits for the next patch. Never none.
    fn next(&mut self) -> Option<Result<LivePatch>> {
        Some(self.changes.next()?.map(|change| LivePatch::of(&self.filter, &change)))
    }
}

impl Stream for LiveQuery {
    type Item = Result<LivePatch>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<LivePatch>>> {
        let LiveQuery { changes, filter, .. } = self.get_mut();
        let change = Pin::new(changes).poll_next(context);
        change.map(|next| next.map(|change| change.map(|change| LivePatch::of(filter, &change))))
    }
}
