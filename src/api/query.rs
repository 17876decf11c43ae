//! Asking a collection: as of a snapshot, within a transaction, and on its own.

use super::Result;
use super::documents::Target;
use super::value::DocRef;
use crate::document::{DocumentId, FieldPath};
use crate::mvcc::store::Space;
use crate::query::execute::{Results, Row};
use crate::query::view::View;
use crate::query::{
    Answer, Cursor, Cursors, Explanation, Grouping, Planned, Projection, Query, QueryError, Summary,
};
use bson::{Bson, Document, RawDocumentBuf};

/// A collection as somebody sees it, to be asked.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'t, 's> {
    /// What tells stores apart.
    pub(crate) store: u64,
    pub(crate) space: &'s Space,
    pub(crate) view: View<'t, 's>,
}

impl<'t, 's: 't> Asked<'t, 's> {
    fn planned(self, query: Query) -> Result<Planned<'t, 's>> {
        Ok(Planned::new(self.view, (self.store, self.space), query)?)
    }

    pub(super) fn find(self, query: Query) -> Result<Matches<'t>> {
        let planned = self.planned(query)?;
        let results = planned.run()?;
        Ok(Matches { results, name: self.space.name(), last: None, cursors: planned.into_cursors() })
    }

    pub(super) fn find_projected(self, query: Query, projection: &Projection) -> Result<Projected<'t>> {
        let matches = self.find(query.answering(Answer::of(projection)))?;
        Ok(Projected { matches, projection: projection.clone() })
    }

    pub(super) fn for_each(self, query: Query, each: impl Fn(Result<DocRef<'t>>) + Sync) -> Result<()> {
        let name = self.space.name();
        let row = |row: Row<'t>| each(DocRef::new(row.value, row.lsn, name, &row.key));
        Ok(self.planned(query)?.for_each(&row)?)
    }

    pub(super) fn count(self, query: Query) -> Result<u64> {
        Ok(self.planned(query.answering(Answer::Count))?.count()?)
    }

    pub(super) fn first(self, query: Query) -> Result<Option<DocRef<'t>>> {
        self.find(query.at_most(1))?.next().transpose()
    }

    pub(super) fn any(self, query: Query) -> Result<bool> {
        Ok(self.count(query.at_most(1))? > 0)
    }

    pub(super) fn distinct(self, path: &str, query: Query) -> Result<Vec<Bson>> {
        let path: FieldPath = path.parse().map_err(QueryError::Path)?;
        let looked_at = Answer::Fields([path.clone()].into());
        Ok(self.planned(query.answering(looked_at))?.distinct(&path)?)
    }

    pub(super) fn group(self, grouping: &Grouping, query: Query) -> Result<Vec<Document>> {
        let looked_at = Answer::Fields(grouping.paths()?.into());
        Ok(self.planned(query.answering(looked_at))?.group(grouping)?)
    }

    pub(super) fn explain(self, query: Query, answer: Answer) -> Result<Explanation> {
        Ok(self.planned(query.answering(answer))?.explain(None))
    }

    pub(super) fn explain_analyze(self, query: Query, answer: Answer) -> Result<Explanation> {
        Ok(self.planned(query.answering(answer))?.explain_analyze(None)?)
    }

    pub(super) fn explain_distinct(self, path: &str, query: Query, analyze: bool) -> Result<Explanation> {
        let path = path.parse().map_err(QueryError::Path)?;
        self.explain_summary(Summary::Values(&path), query, analyze)
    }

    pub(super) fn explain_group(
        self,
        grouping: &Grouping,
        query: Query,
        analyze: bool,
    ) -> Result<Explanation> {
        self.explain_summary(Summary::Groups(grouping), query, analyze)
    }

    fn explain_summary(self, summary: Summary<'_>, query: Query, analyze: bool) -> Result<Explanation> {
        let planned = self.planned(query.answering(Answer::Fields(summary.paths()?.into())))?;
        Ok(if analyze { planned.explain_analyze(Some(summary))? } else { planned.explain(Some(summary)) })
    }

    /// The keys of all that match, before any of them is changed.
    pub(super) fn targets(self, query: Query) -> Result<Vec<Target>> {
        let target = |row: Row<'_>| {
            let key = row.key.into_owned();
            Ok(Target { id: DocumentId::from_key(&key)?, key })
        };
        self.planned(query)?.run()?.map(target).collect()
    }
}

/// The documents that a query gives, one after the other: found as they are asked for, unless they had to be sorted. Holds some dozens of references at
/// a time, and no lock.
pub struct Matches<'t> {
    results: Results<'t>,
    name: &'t str,
    last: Option<Row<'t>>,
    cursors: Cursors<'t>,
}

impl Matches<'_> {
    /// The place behind the last document that was taken, for [`Query::after`]; none before the first, and if the results are in no order: of a query that is answered
    /// by several indexes, or one over arrays. A query with an order always has one.
    ///
    /// # Errors
    /// None of those that have not been told before.
    pub fn cursor(&self) -> Result<Option<Cursor>> {
        let cursor = self.last.as_ref().map(|row| self.cursors.behind(row)).transpose()?;
        Ok(cursor.flatten())
    }
}

impl<'t> Iterator for Matches<'t> {
    type Item = Result<DocRef<'t>>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.results.next()?;
        let document = DocRef::new(row.value.clone(), row.lsn, self.name, &row.key);
        self.last = Some(row);
        Some(document)
    }
}

/// What is wanted of the documents that a query gives, one after the other. See [`SnapshotCollection::find_projected`](crate::SnapshotCollection::find_projected).
pub struct Projected<'t> {
    /// Or what an index has of them.
    matches: Matches<'t>,
    projection: Projection,
}

impl Projected<'_> {
    /// As [`Matches::cursor`].
    ///
    /// # Errors
    /// None of those that have not been told before.
    pub fn cursor(&self) -> Result<Option<Cursor>> {
        self.matches.cursor()
    }
}

impl Iterator for Projected<'_> {
    type Item = Result<RawDocumentBuf>;

    fn next(&mut self) -> Option<Self::Item> {
        let document = self.matches.next()?;
        Some(document.and_then(|document| Ok(self.projection.apply(document.raw())?)))
    }
}
