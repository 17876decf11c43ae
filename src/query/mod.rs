//! Queries: which documents, in which order, and how to come by them.
//!
//! | module | job |
//! | --- | --- |
//! | `request` | what is asked for: filter, order, offset, limit |
//! | `interval`, `ranges` | which keys of an index can meet a filter: pure |
//! | `estimate` | how much there is of something |
//! | `planner`, `plan` | how to come by the documents, by cost; how that is shown |
//! | `order` | the order of results, as keys |
//! | `view` | what is read: a snapshot, or a transaction |
//! | `execute`, `stream`, `sort`, `meter` | the documents, one after the other; what that came to |
//! | `parallel` | walks on several threads |
//! | `prepared` | queries that keep their plans |
//! | `cursor` | where to go on later |
//! | `explain` | a plan, for people and programs |
//! | `group`, `sum` | groups of documents, and values; sums that need no order |
//! | `projection` | which fields of a document are wanted: pure |

mod cursor;
mod estimate;
pub(crate) mod execute;
mod explain;
mod group;
mod interval;
mod meter;
mod order;
mod parallel;
mod plan;
mod planner;
mod prepared;
mod projection;
mod ranges;
mod request;
mod sort;
mod stream;
mod sum;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
pub(crate) mod view;

pub use cursor::Cursor;
pub use explain::{ExplainedStep, Explanation};
pub use group::Grouping;
pub use prepared::PreparedQuery;
pub use projection::Projection;
pub(crate) use request::Answer;
pub use request::{Query, QueryError};

use crate::document::FieldPath;
use crate::mvcc::store::Space;
use crate::sync::Arc;
use bson::Bson;
use execute::{Ground, Results, Row};
pub(crate) use group::Summary;
use group::{Groups, Values};
use meter::{Meter, Readings, Step};
use plan::Plan;
use planner::Planner;
use stream::Stream;
use view::View;

/// Results, one look at a time.
pub(crate) struct Stepwise<'t> {
    rows: Results<'t>,
    /// What rows have to match still.
    plan: Option<Arc<Plan>>,
    skip: u64,
    left: u64,
}

/// What one look came to.
pub(crate) enum Looked<'t> {
    Row(Row<'t>),
    /// At a row that is none of the results.
    Nothing,
    End,
}

impl<'t> Stepwise<'t> {
    pub(crate) fn look(&mut self) -> Looked<'t> {
        let Some(row) = self.rows.next().filter(|_| self.left > 0) else { return Looked::End };
        let matches =
            |plan: &Arc<Plan>| execute::document(&row).is_some_and(|document| plan.matches(document));
        if !self.plan.as_ref().is_none_or(matches) {
            return Looked::Nothing;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return Looked::Nothing;
        }
        self.left -= 1;
        Looked::Row(row)
    }
}

/// A query with its plan, for one view.
pub(crate) struct Planned<'t, 's> {
    plan: Arc<Plan>,
    ground: Ground<'t, 's>,
    store: u64,
}

impl<'t, 's: 't> Planned<'t, 's> {
    /// Plans a query; `store` tells stores apart.
    pub(crate) fn new(
        view: View<'t, 's>,
        (store, collection): (u64, &'s Space),
        mut query: Query,
    ) -> Result<Self, QueryError> {
        let plan = match query.prepared.take() {
            Some(prepared) => prepared.plan(view, (store, collection), query)?,
            None => Arc::new(Planner::new(view, (store, collection), &query)?.plan()?),
        };
        planner::note(view, collection, &plan);
        let ground = Ground { view, collection, wanted: plan.wanted() };
        Ok(Planned { plan, ground, store })
    }

    /// The results, one after the other; no more of each than the fields that are wanted, perhaps.
    pub(crate) fn run(&self) -> Result<Results<'t>, QueryError> {
        execute::run(&self.plan, self.ground, Meter::default())
    }

    /// The results for whoever looks at them by and by; what does not match stays among them, so that no look takes long.
    pub(crate) fn run_stepwise(&self) -> Result<Stepwise<'t>, QueryError> {
        let query = &self.plan.query;
        if self.plan.is_sorted {
            return Ok(Stepwise { rows: self.run()?, plan: None, skip: 0, left: u64::MAX });
        }
        let rows = execute::unfiltered(&self.plan, self.ground, Meter::default());
        let plan = Some(Arc::clone(&self.plan));
        let left = query.limit.unwrap_or(u64::MAX);
        Ok(Stepwise { rows: Results::all(rows), plan, skip: query.offset, left })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> Result<u64, QueryError> {
        self.count_on(self.ground, Meter::default())
    }

    fn count_on(&self, ground: Ground<'t, 's>, meter: Meter<'t>) -> Result<u64, QueryError> {
        let query = &self.plan.query;
        let most = query.limit.unwrap_or(u64::MAX);
        let wanted = usize::try_from(query.offset.saturating_add(most)).unwrap_or(usize::MAX);
        // Behind a cursor the order says what is a result.
        if query.after.is_some() {
            return Ok(execute::run(&self.plan, ground, meter)?.count() as u64);
        }
        let counted = match self.plan.counted() {
            _ if wanted == usize::MAX
                && !meter.is_on()
                && let Some(count) = parallel::count(&self.plan, ground) =>
            {
                count
            }
            Some((index, walk)) => execute::entry_count(index, walk, ground, wanted, meter) as u64,
            None => execute::matching(&self.plan, ground, meter).take(wanted).count() as u64,
        };
        Ok(counted.saturating_sub(query.offset).min(most))
    }

    /// Hands the results to several threads, in no order. Offset and limit count for nothing then.
    pub(crate) fn for_each(&self, each: &(impl Fn(Row<'t>) + Sync)) -> Result<(), QueryError> {
        // A walk in the order begins behind the cursor; any other comes by everything.
        let after = self.plan.query.after.as_ref().zip(self.plan.order.as_ref());
        let after = after.filter(|_| self.plan.is_sorted);
        let is_behind = |row: &Row<'t>| {
            after.is_none_or(|(cursor, order)| {
                execute::document(row).is_some_and(|document| order.key(document, &row.key) > cursor.key)
            })
        };
        let each = |row: Row<'t>| {
            if is_behind(&row) {
                each(row);
            }
        };
        if !parallel::for_each(&self.plan, self.ground, &each) {
            execute::matching(&self.plan, self.ground, Meter::default()).for_each(each);
        }
        Ok(())
    }

    /// The values of a field in the results.
    pub(crate) fn distinct(&self, path: &FieldPath) -> Result<Vec<Bson>, QueryError> {
        let values = self.in_parts(&|results| Values::of(path, results), Values::merge)?;
        Ok(values.shown())
    }

    pub(crate) fn group(&self, grouping: &Grouping) -> Result<Vec<bson::Document>, QueryError> {
        let groups = self.in_parts(&|results| grouping.of(results), Groups::merge)?;
        Ok(groups.shown())
    }

    /// What is made of all results, or of parts of them on several threads, put together in their order.
    fn in_parts<T: Send>(
        &self,
        make: &(impl Fn(Results<'t>) -> Result<T, QueryError> + Sync),
        merge: impl Fn(T, T) -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        let query = &self.plan.query;
        let is_all = (query.offset, query.limit) == (0, None) && query.after.is_none();
        let of_part = |part: &Arc<Plan>, ground: Ground<'t, 's>| {
            make(Results::all(execute::matching(part, ground, Meter::default())))
        };
        let parts = match is_all && !self.plan.is_sorted {
            true => parallel::of_parts(&self.plan, self.ground, &of_part),
            false => None,
        };
        let Some(parts) = parts else { return make(self.run()?) };
        let made = parts.into_iter().reduce(|one, next| merge(one?, next?));
        made.unwrap_or_else(|| make(self.run()?))
    }

    /// How it would be answered, and what is made of all results then.
    pub(crate) fn explain(&self, summary: Option<Summary<'_>>) -> Explanation {
        Explanation::of(&self.plan, Meter::default(), summary)
    }

    /// How it is answered, on this thread, with what each step comes to.
    pub(crate) fn explain_analyze(&self, summary: Option<Summary<'_>>) -> Result<Explanation, QueryError> {
        let readings = Readings::of(&self.plan.access);
        let meter = Meter::on(&readings);
        match summary {
            Some(summary) => {
                let made = meter.timed(Step::Summary, || summary.count(self.metered(meter)?))?;
                meter.add(Step::Summary, made);
            }
            None if self.plan.query.answer == Answer::Count => {
                let count = meter.timed(Step::Slice, || self.count_on(self.ground, meter))?;
                meter.add(Step::Slice, count);
            }
            None => self.metered(meter)?.for_each(drop),
        }
        Ok(Explanation::of(&self.plan, meter, summary))
    }

    /// The results, with what they come to.
    fn metered<'m>(&self, meter: Meter<'m>) -> Result<Results<'m>, QueryError>
    where
        't: 'm,
    {
        let results = meter.timed(Step::Slice, || execute::run(&self.plan, self.ground, meter))?;
        Ok(Results::all(meter.over(Step::Slice, || Stream::of(results))))
    }

    pub(crate) fn into_cursors(self) -> Cursors<'s> {
        Cursors { plan: self.plan, store: self.store, collection: self.ground.collection }
    }
}

/// Makes the cursors of a query.
pub(crate) struct Cursors<'s> {
    plan: Arc<Plan>,
    store: u64,
    collection: &'s Space,
}

impl Cursors<'_> {
    /// The place behind a row of the results, if they have an order.
    pub(crate) fn behind(&self, row: &Row<'_>) -> Result<Option<Cursor>, QueryError> {
        let Some(order) = &self.plan.order else { return Ok(None) };
        let Some(document) = execute::document(row) else { return Ok(None) };
        let fingerprint = planner::fingerprint(self.store, self.collection, &self.plan.query)?;
        Ok(Some(Cursor { fingerprint, order: order.clone(), key: order.key(document, &row.key) }))
    }
}
