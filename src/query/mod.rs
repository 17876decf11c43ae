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
        Ok(Planned { plan: Arc::new(plan), ground: Ground { view, collection }, store })
    }

    /// The results, one after the other.
    pub(crate) fn run(&self) -> Result<Results<'t>, QueryError> {
        execute::run(&self.plan, self.ground, &Meter::default())
    }

    /// How many there are.
    pub(crate) fn count(&self) -> Result<u64, QueryError> {
        let query = &self.plan.query;
        let most = query.limit.unwrap_or(u64::MAX);
        let counted = match self.plan.is_covered().filter(|_| query.after.is_none()) {
            Some((index, walk)) => {
                let wanted = query.offset.saturating_add(most);
                let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
                execute::entry_count(index, walk, self.ground, wanted) as u64
            }
            None => return Ok(self.run()?.try_fold(0, |count, row| row.map(|_| count + 1))?),
        };
        Ok(counted.saturating_sub(query.offset).min(most))
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
