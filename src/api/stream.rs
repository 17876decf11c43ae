//! Results of a query for asynchronous callers.

use super::value::{DocRef, Document};
use super::{Collection, Result};
use crate::lsn::Lsn;
use crate::mvcc::snapshot::Snapshot;
use crate::mvcc::store::Space;
use crate::query::view::View;
use crate::query::{Looked, Planned, Query, Stepwise};
use futures_core::Stream;
use std::pin::Pin;
use std::task::{Context, Poll};

/// So many documents are looked at in one poll.
const LOOKS: usize = 128;

/// The documents that a query gives, as of the moment when it was asked, as a [`Stream`] of copies.
///
/// Nothing is found before it is polled for, and a poll looks at 128 documents at most before it lets others go on (more where many of them come by several entries of an index, or in several branches of a union): it holds no more than some dozens of references, however
/// long the result is and however slow its reader. Dropping it ends the query. While it lives it keeps its snapshot.
#[must_use = "a stream does nothing unless it is polled"]
pub struct DocumentStream {
    /// Borrows from the two below: the first to go.
    results: Stepwise<'static>,
    snapshot: Box<Snapshot>,
    collection: Collection,
}

// SAFETY: everything in `results` may go to another thread: it was made of a snapshot and a plan, which are `Send` and `Sync`, and of bytes. Only views of transactions,
// and meters that are on, are not; neither is made here.
unsafe impl Send for DocumentStream {}

impl Collection {
    /// The documents that a query gives now, for asynchronous callers. An order that no index has is made before this returns.
    ///
    /// ```
    /// # use skipstone::{Database, Query, bson::doc, field};
    /// # use futures_core::Stream;
    /// # use std::{pin::Pin, task::{Context, Poll, Waker}};
    /// let db = Database::in_memory();
    /// let towns = db.collection("towns")?;
    /// towns.insert_many([doc! { "people": 3 }, doc! { "people": 9 }])?;
    /// let mut large = towns.stream(field("people").gt(5))?;
    /// # let mut context = Context::from_waker(Waker::noop());
    /// // `large.next().await`, with the extension traits of any runtime.
    /// let next = Pin::new(&mut large).poll_next(&mut context);
    /// assert!(matches!(next, Poll::Ready(Some(Ok(town))) if town.get("people").and_then(|n| n.as_i32()) == Some(9)));
    /// # Ok::<(), skipstone::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Collection::find`].
    pub fn stream(&self, query: impl Into<Query>) -> Result<DocumentStream> {
        super::check_open(&self.0.engine)?;
        let snapshot = Box::new(self.0.engine.store().snapshot());
        // SAFETY: in its box as long as the stream lives, and what borrows from it goes first.
        let seen: &'static Snapshot = unsafe { &*std::ptr::from_ref(&*snapshot) };
        // SAFETY: lives as long as the store, which the collection in the stream keeps.
        let space: &'static Space = unsafe { &*std::ptr::from_ref(self.0.space()) };
        let planned = Planned::new(View::Snapshot(seen), (self.0.engine.identity(), space), query.into())?;
        Ok(DocumentStream { results: planned.run_stepwise()?, snapshot, collection: self.clone() })
    }
}

impl DocumentStream {
    /// As of which position.
    pub fn position(&self) -> Lsn {
        self.snapshot.position()
    }
}

impl Stream for DocumentStream {
    type Item = Result<Document>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Document>>> {
        let stream = self.get_mut();
        for _ in 0..LOOKS {
            match stream.results.look() {
                Looked::Row(row) => {
                    let document = DocRef::new(row.value, row.lsn, stream.collection.name(), &row.key);
                    return Poll::Ready(Some(document.map(DocRef::into_owned)));
                }
                Looked::Nothing => {}
                Looked::End => return Poll::Ready(None),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
