//! Queries: which documents, in which order, and how to come by them.
//!
//! | module | job |
//! | --- | --- |
//! | `request` | what is asked for: filter, order, offset, limit |
//! | `interval`, `ranges` | which keys of an index can meet a filter: pure |
//! | `planner`, `plan` | how to come by the documents, by cost; how that is shown |
//! | `order` | the order of results, as keys |
//! | `view` | what is read: a snapshot, or a transaction |
//! | `execute`, `sort`, `meter` | the documents, one after the other; what that came to |
//! | `parallel` | walks on several threads |
//! | `cursor` | where to go on later |
//! | `explain` | a plan, for people and programs |
//! | `group` | sums over documents |
//! | `projection` | which fields of a document are wanted: pure |

mod cursor;
pub(crate) mod execute;
mod explain;
mod group;
mod interval;
mod meter;
mod order;
mod parallel;
mod plan;
mod planner;
mod projection;
mod ranges;
mod request;
mod sort;
pub(crate) mod view;

pub use cursor::Cursor;
pub use explain::{ExplainedStep, Explanation};
pub use group::Grouping;
pub use projection::Projection;
pub use request::{Query, QueryError};

use crate::mvcc::store::Space;
use crate::sync::Arc;
use bson::Bson;
use execute::{Ground, Results, Row};
use meter::Meter;
use plan::Plan;
use planner::Planner;
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
    pub(crate) fn look(&mut self) -> Result<Looked<'t>, QueryError> {
        let Some(row) = self.rows.next().filter(|_| self.left > 0).transpose()? else {
            return Ok(Looked::End);
        };
        let matches =
            |plan: &Arc<Plan>| execute::document(&row).is_some_and(|document| plan.matches(document));
        if !self.plan.as_ref().is_none_or(matches) {
            return Ok(Looked::Nothing);
        }
        if self.skip > 0 {
            self.skip -= 1;
            return Ok(Looked::Nothing);
        }
        self.left -= 1;
        Ok(Looked::Row(row))
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
        query: &Query,
    ) -> Result<Self, QueryError> {
        let plan = Planner::new(view, (store, collection), query)?.plan()?;
        let ground = Ground { view, collection, wanted: plan.wanted() };
        Ok(Planned { plan: Arc::new(plan), ground, store })
    }

    /// The results, one after the other.
    pub(crate) fn run(&self) -> Result<Results<'t>, QueryError> {
        execute::run(&self.plan, self.ground, &Meter::default())
    }

    /// The results for whoever looks at them by and by; what does not match stays among them, so that no look takes long.
    pub(crate) fn run_stepwise(&self) -> Result<Stepwise<'t>, QueryError> {
        let query = &self.plan.query;
        if self.plan.is_sorted {
            return Ok(Stepwise { rows: self.run()?, plan: None, skip: 0, left: u64::MAX });
        }
        let rows = execute::unfiltered(&self.plan, self.ground, &Meter::default());
        let plan = Some(Arc::clone(&self.plan));
        let left = query.limit.unwrap_or(u64::MAX);
        Ok(Stepwise { rows: Box::new(rows.map(Ok)), plan, skip: query.offset, left })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> Result<u64, QueryError> {
        let query = &self.plan.query;
        let most = query.limit.unwrap_or(u64::MAX);
        let wanted = usize::try_from(query.offset.saturating_add(most)).unwrap_or(usize::MAX);
        if query.after.is_some() {
            return self.run()?.try_fold(0, |count, row| row.map(|_| count + 1));
        }
        // The order makes no difference.
        let all =
            || execute::matching(&self.plan, self.ground, &Meter::default()).take(wanted).count() as u64;
        let counted = match self.plan.is_covered() {
            _ if wanted == usize::MAX
                && let Some(count) = parallel::count(&self.plan, self.ground) =>
            {
                count
            }
            Some((index, walk)) => execute::entry_count(index, walk, self.ground, wanted) as u64,
            None => all(),
        };
        Ok(counted.saturating_sub(query.offset).min(most))
    }

    /// Hands the results to several threads, in no order. Offset and limit count for nothing then.
    pub(crate) fn for_each(&self, each: &(impl Fn(Row<'t>) + Sync)) -> Result<(), QueryError> {
        let is_done = match self.ground.view {
            View::Snapshot(snapshot) => {
                parallel::for_each(&self.plan, (snapshot, self.ground.collection), each)
            }
            View::Txn(_) => false,
        };
        if !is_done {
            execute::matching(&self.plan, self.ground, &Meter::default()).for_each(each);
        }
        Ok(())
    }

    /// The values of a field in the results.
    pub(crate) fn distinct(&self, path: &str) -> Result<Vec<Bson>, QueryError> {
        group::distinct(&path.parse()?, self.run()?)
    }

    pub(crate) fn group(&self, grouping: &Grouping) -> Result<Vec<bson::Document>, QueryError> {
        grouping.run(self.run()?)
    }

    /// How it would be answered.
    pub(crate) fn explain(&self) -> Explanation {
        Explanation::of(&self.plan, &Meter::default(), None)
    }

    /// How it is answered, with what each step comes to.
    pub(crate) fn explain_analyze(&self) -> Result<Explanation, QueryError> {
        let meter = Meter::on();
        let results = execute::run(&self.plan, self.ground, &meter)?;
        let count = results.into_iter().try_fold(0, |count, row| row.map(|_| count + 1))?;
        Ok(Explanation::of(&self.plan, &meter, Some(count)))
    }

    /// A place behind a row of the results, if they have an order.
    pub(crate) fn cursor_behind(&self, row: &Row<'_>) -> Result<Option<Cursor>, QueryError> {
        let Some(order) = &self.plan.order else { return Ok(None) };
        let Some(document) = execute::document(row) else { return Ok(None) };
        let fingerprint = planner::fingerprint(self.store, self.ground.collection, &self.plan.query)?;
        Ok(Some(Cursor { fingerprint, order: order.clone(), key: order.key(document, &row.key) }))
    }
}
