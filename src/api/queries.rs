//! Queries on a collection, each call a transaction or snapshot of its own.

use super::documents::Documents;
use super::query::Asked;
use super::value::Document;
use super::{Collection, Result};
use crate::document::Patch;
use crate::query::view::View;
use crate::query::{Answer, Explanation, Grouping, PreparedQuery, Projection, Query};
use crate::txn::Txn;
use bson::{Bson, RawDocumentBuf};

impl Collection {
    /// The documents that a query gives now, as copies. To have them one after the other, without a copy, see
    /// [`SnapshotCollection::find`](crate::SnapshotCollection::find).
    ///
    /// # Errors
    /// [`QueryError`](crate::QueryError): a mistake in the query; too much to sort.
    pub fn find(&self, query: impl Into<Query>) -> Result<Vec<Document>> {
        self.ask(|asked| asked.find(query.into())?.map(|found| Ok(found?.into_owned())).collect())
    }

    /// What a projection keeps of the documents that a query gives: exactly what [`Projection::apply`] makes of them. Reads no document where an index has all that is
    /// wanted: see [`SnapshotCollection::find_projected`](crate::SnapshotCollection::find_projected).
    ///
    /// ```
    /// # use skipstone::{Database, Index, Projection, bson::{doc, rawdoc}, field};
    /// let db = Database::in_memory();
    /// let towns = db.collection("towns")?;
    /// towns.create_index(Index::on("country")?.and("name")?)?;
    /// towns.insert(doc! { "_id": 1, "name": "Aachen", "country": "DE", "people": 249_070 })?;
    /// let names = Projection::include(["name"])?.without_id();
    /// let query = field("country").eq("DE");
    /// assert_eq!(towns.find_projected(query.clone(), &names)?, [rawdoc! { "name": "Aachen" }]);
    /// assert!(towns.explain_projected(query, &names)?.root.detail.contains("covering"));
    /// # Ok::<(), skipstone::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Collection::find`].
    pub fn find_projected(
        &self,
        query: impl Into<Query>,
        projection: &Projection,
    ) -> Result<Vec<RawDocumentBuf>> {
        self.ask(|asked| asked.find_projected(query.into(), projection)?.collect())
    }

    /// The first one.
    ///
    /// # Errors
    /// As [`Collection::find`].
    pub fn first(&self, query: impl Into<Query>) -> Result<Option<Document>> {
        self.ask(|asked| Ok(asked.first(query.into())?.map(|found| found.into_owned())))
    }

    /// Whether there is any.
    ///
    /// # Errors
    /// As [`Collection::find`].
    pub fn any(&self, query: impl Into<Query>) -> Result<bool> {
        self.ask(|asked| asked.any(query.into()))
    }

    /// How many there are. Reads no document if an index alone can say it.
    ///
    /// # Errors
    /// As [`Collection::find`].
    pub fn count_matching(&self, query: impl Into<Query>) -> Result<u64> {
        self.ask(|asked| asked.count(query.into()))
    }

    /// The values of a field in the documents that a query gives, each once, in order; of arrays their elements.
    ///
    /// # Errors
    /// As [`Collection::find`]; a path that is none; more than a million values.
    pub fn distinct(&self, path: &str, query: impl Into<Query>) -> Result<Vec<Bson>> {
        self.ask(|asked| asked.distinct(path, query.into()))
    }

    /// The documents that a query gives, summed up in groups, in the order of the groups' values.
    ///
    /// # Errors
    /// As [`Collection::find`]; a mistake in the grouping; more than a million groups.
    pub fn group(&self, grouping: &Grouping, query: impl Into<Query>) -> Result<Vec<bson::Document>> {
        self.ask(|asked| asked.group(grouping, query.into()))
    }

    /// How a query would be answered, without answering it.
    ///
    /// # Errors
    /// As [`Collection::find`].
    pub fn explain(&self, query: impl Into<Query>) -> Result<Explanation> {
        self.ask(|asked| asked.explain(query.into(), Answer::Documents))
    }

    /// Answers a query, and says what each step came to.
    ///
    /// # Errors
    /// As [`Collection::find`].
    pub fn explain_analyze(&self, query: impl Into<Query>) -> Result<Explanation> {
        self.ask(|asked| asked.explain_analyze(query.into(), Answer::Documents))
    }

    /// How [`Collection::count_matching`] would answer a query, without answering it: an index that says it alone has a step that is `covering`, and there is no
    /// `fetch`.
    ///
    /// # Errors
    /// As [`Collection::find`].
    pub fn explain_count(&self, query: impl Into<Query>) -> Result<Explanation> {
        self.ask(|asked| asked.explain(query.into(), Answer::Count))
    }

    /// Counts as [`Collection::count_matching`] does, on one thread, and says what each step came to.
    ///
    /// ```
    /// # use skipstone::{Database, Index, bson::doc, field};
    /// let db = Database::in_memory();
    /// let towns = db.collection("towns")?;
    /// towns.create_index(Index::on("people")?)?;
    /// towns.insert_many([doc! { "people": 3 }, doc! { "people": 9 }])?;
    /// let counted = towns.explain_analyze_count(field("people").gt(5))?.root;
    /// assert_eq!((counted.name, counted.actual_rows), ("index", Some(1)));
    /// assert!(counted.inputs.is_empty() && counted.detail.contains("covering"));
    /// # Ok::<(), skipstone::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Collection::find`].
    pub fn explain_analyze_count(&self, query: impl Into<Query>) -> Result<Explanation> {
        self.ask(|asked| asked.explain_analyze(query.into(), Answer::Count))
    }

    /// How [`Collection::find_projected`] would answer a query, without answering it: where an index has all that is wanted there is a step that is `covering`, and no `fetch`.
    ///
    /// # Errors
    /// As [`Collection::find`].
    pub fn explain_projected(&self, query: impl Into<Query>, projection: &Projection) -> Result<Explanation> {
        self.ask(|asked| asked.explain(query.into(), Answer::of(projection)))
    }

    /// Answers it so, and says what each step came to.
    ///
    /// # Errors
    /// As [`Collection::find`].
    pub fn explain_analyze_projected(
        &self,
        query: impl Into<Query>,
        projection: &Projection,
    ) -> Result<Explanation> {
        self.ask(|asked| asked.explain_analyze(query.into(), Answer::of(projection)))
    }

    /// How [`Collection::distinct`] would answer a query, without answering it: the last step is `distinct`, with the plan of the query as its input, `covering` where an
    /// index has the field.
    ///
    /// # Errors
    /// As [`Collection::distinct`].
    pub fn explain_distinct(&self, path: &str, query: impl Into<Query>) -> Result<Explanation> {
        self.ask(|asked| asked.explain_distinct(path, query.into(), false))
    }

    /// Answers it so, on one thread, and says what each step came to; `actual_rows` of `distinct` is how many values there are.
    ///
    /// # Errors
    /// As [`Collection::distinct`].
    pub fn explain_analyze_distinct(&self, path: &str, query: impl Into<Query>) -> Result<Explanation> {
        self.ask(|asked| asked.explain_distinct(path, query.into(), true))
    }

    /// How [`Collection::group`] would answer a query, without answering it: the last step is `group`, with the plan of the query as its input, `covering` where an index has
    /// all fields that are looked at.
    ///
    /// ```
    /// # use skipstone::{Database, Grouping, Index, Query, bson::doc};
    /// let db = Database::in_memory();
    /// let towns = db.collection("towns")?;
    /// towns.insert_many([doc! { "country": "KE" }, doc! { "country": "DE" }, doc! { "country": "KE" }])?;
    /// towns.create_index(Index::on("country")?)?;
    /// let by_country = Grouping::by(["country"]).count("towns");
    /// let explained = towns.explain_analyze_group(&by_country, Query::all().use_index("country"))?.root;
    /// assert_eq!((explained.name, explained.actual_rows), ("group", Some(2)));
    /// assert!(explained.inputs[0].detail.contains("covering"));
    /// # Ok::<(), skipstone::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Collection::group`].
    pub fn explain_group(&self, grouping: &Grouping, query: impl Into<Query>) -> Result<Explanation> {
        self.ask(|asked| asked.explain_group(grouping, query.into(), false))
    }

    /// Answers it so, on one thread, and says what each step came to; `actual_rows` of `group` is how many groups there are.
    ///
    /// # Errors
    /// As [`Collection::group`].
    pub fn explain_analyze_group(&self, grouping: &Grouping, query: impl Into<Query>) -> Result<Explanation> {
        self.ask(|asked| asked.explain_group(grouping, query.into(), true))
    }

    /// Prepares a query that will be asked often: its plan is kept, and values may be left open ([`param`](crate::param)). See [`PreparedQuery`].
    ///
    /// Plans nothing yet. Asked of another collection it is planned for that one, as often as the two take turns.
    ///
    /// # Errors
    /// [`QueryError`](crate::QueryError): a mistake in the query.
    pub fn prepare(&self, query: impl Into<Query>) -> Result<PreparedQuery> {
        super::check_open(&self.0.engine)?;
        Ok(PreparedQuery::new(query.into())?)
    }

    /// Patches all documents that a query gives, in one transaction; returns how many.
    ///
    /// # Errors
    /// As [`Collection::find`] and [`Collection::patch`]; then nothing is changed.
    pub fn patch_matching(&self, query: impl Into<Query>, patch: &Patch) -> Result<u64> {
        let query = query.into();
        self.change_matching(&query, |documents, txn, target| {
            documents.patch_found(txn, target, patch).map(drop)
        })
    }

    /// Deletes all documents that a query gives, in one transaction; returns how many.
    ///
    /// # Errors
    /// As [`Collection::find`]; then nothing is changed.
    pub fn delete_matching(&self, query: impl Into<Query>) -> Result<u64> {
        let query = query.into();
        self.change_matching(&query, |documents, txn, target| documents.delete(txn, target, None).map(drop))
    }

    fn ask<T>(&self, ask: impl for<'a> FnOnce(Asked<'a, 'a>) -> Result<T>) -> Result<T> {
        super::check_open(&self.0.engine)?;
        let snapshot = self.0.engine.store().snapshot();
        ask(Asked { store: self.0.engine.identity(), space: self.0.space(), view: View::Snapshot(&snapshot) })
    }

    fn change_matching(
        &self,
        query: &Query,
        change: impl for<'s> Fn(Documents<'s>, &mut Txn<'s>, &super::documents::Target) -> Result<()>,
    ) -> Result<u64> {
        let store = self.0.engine.identity();
        self.alone(|documents, txn| {
            let targets =
                Asked { store, space: documents.space, view: View::Txn(txn) }.targets(query.clone())?;
            targets.iter().try_for_each(|target| change(documents, txn, target))?;
            Ok(targets.len() as u64)
        })
    }
}
