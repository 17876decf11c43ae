//! Queries that are asked again and again: their plan is kept.
//!
//! A plan is kept with what it was chosen by: the list of indexes, whether what is read lies behind the positions where they became ready, the statistics,
//! offset and limit. While all that is the same, other values need other ranges of the same keys only. They need another plan, which is chosen as for any
//! query, if
//!
//! - an index cannot be asked for them, or does not answer the same conditions (an array, NaN, null in a sparse index);
//! - a document has got several entries in an index by which the plan takes it to have one;
//! - they are expected to have many more entries than those that the plan was chosen for, and no limit ends the walk.

use super::estimate::expected_entries;
use super::plan::{Access, Plan, Walk, residual};
use super::planner::{Planner, has_several, id_index, is_whole_for};
use super::ranges::{self, conditions};
use super::request::{Answer, Query, QueryError};
use super::view::View;
use crate::index::set::{Indexes, Kept};
use crate::lsn::Lsn;
use crate::mvcc::store::Space;
use crate::sync::{Arc, Latest};
use bson::Bson;

/// More entries than so many times what was expected, and some, are worth another choice.
const ENTRIES_MORE: f64 = 8.0;
const ENTRIES_FEW: f64 = 64.0;

/// A query of a collection that keeps its plan, and may leave values open ([`param`](crate::param)): made by [`Collection::prepare`](crate::Collection::prepare).
///
/// [`PreparedQuery::bind`] gives a [`Query`] like any other, for every call that takes one: on the collection, at snapshots, in transactions. The plan is chosen
/// when it is asked first, and anew when indexes come or go, when their statistics are gathered anew, or when values need another one. Cheap to clone; the
/// copies share the plan.
///
/// ```
/// # use skipstone::{Database, Index, Query, bson::doc, field, param};
/// let db = Database::in_memory();
/// let towns = db.collection("towns")?;
/// towns.create_index(Index::on("name")?.unique())?;
/// towns.insert_many([doc! { "name": "Aachen", "people": 249_070 }, doc! { "name": "Bonn", "people": 331_885 }])?;
///
/// let by_name = towns.prepare(field("name").eq(param(0)))?;
/// for (name, people) in [("Aachen", 249_070), ("Bonn", 331_885)] {
///     let town = towns.first(by_name.bind([name])?)?.expect("it was inserted");
///     assert_eq!(town.get("people").and_then(|n| n.as_i32()), Some(people));
/// }
/// # Ok::<(), skipstone::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PreparedQuery {
    query: Query,
}

impl PreparedQuery {
    /// Checks what can be checked without values.
    pub(crate) fn new(query: Query) -> Result<PreparedQuery, QueryError> {
        query.order()?;
        let values = vec![Bson::Null; query.filter.parameters()];
        query.filter.bound(values)?.check()?;
        let prepared = Prepared { has_parameters: query.filter.parameters() > 0, kept: Default::default() };
        Ok(PreparedQuery { query: Query { prepared: Some(Arc::new(prepared)), ..query } })
    }

    /// How many values it takes.
    pub fn parameters(&self) -> usize {
        self.query.filter.parameters()
    }

    /// The query with these values for its parameters, in the order of their positions. An offset or a limit that it gets afterwards counts for the plan; whatever else
    /// it gets has it planned like any other.
    ///
    /// # Errors
    /// [`FilterError::Values`](crate::FilterError::Values) for too few or too many; a value that can be in no document.
    pub fn bind<V: Into<Bson>>(&self, values: impl IntoIterator<Item = V>) -> Result<Query, QueryError> {
        let filter = self.query.filter.bound(values.into_iter().map(Into::into))?;
        Ok(self.query.with_filter(filter))
    }
}

impl From<&PreparedQuery> for Query {
    /// The query as it is, for one without parameters: with them it is refused when it is asked.
    fn from(prepared: &PreparedQuery) -> Query {
        prepared.query.clone()
    }
}

/// The plans of a prepared query: for what is made of its documents one each, and others for the first document alone.
pub(super) struct Prepared {
    has_parameters: bool,
    kept: [Latest<Template>; 6],
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").finish_non_exhaustive()
    }
}

/// A plan, and what it was chosen by.
struct Template {
    plan: Arc<Plan>,
    /// All that there were, ready or not. Held, so that no other gets the address of one.
    indexes: Vec<Arc<Kept>>,
    gathered: u64,
    /// What is read lies behind the one and not behind the other, if there is another.
    from: Lsn,
    up_to: Option<Lsn>,
    is_one_moment: bool,
}

impl Prepared {
    /// The plan for values.
    pub(super) fn plan<'t, 's: 't>(
        &self,
        view: View<'t, 's>,
        (store, collection): (u64, &'s Space),
        query: Query,
    ) -> Result<Arc<Plan>, QueryError> {
        query.filter.checked_tree()?;
        let of_answer = match query.answer {
            Answer::Documents => 0,
            Answer::Count => 1,
            Answer::Fields(_) => 2,
        };
        let slot = &self.kept[of_answer * 2 + usize::from(query.limit == Some(1))];
        // Before the plan: what is gathered meanwhile has it chosen anew.
        let gathered = Indexes::of(collection).gathered();
        let known = slot.read(|known| {
            let holds =
                |known: &&Template| known.gathered == gathered && known.holds(view, collection, &query);
            let known = known.filter(holds)?;
            // Other values need other ranges.
            let access = match self.has_parameters {
                true => Some(known.access_for(view, collection, &query)?),
                false => None,
            };
            (access.is_some() || known.is_right(view, collection)).then(|| (Arc::clone(&known.plan), access))
        });
        match known {
            Some((plan, None)) => return Ok(plan),
            Some((plan, Some(access))) => return Ok(Arc::new(plan.with(access, query))),
            None => {}
        }
        let planner = Planner::new(view, (store, collection), &query)?;
        let plan = Arc::new(planner.plan()?);
        if !self.has_parameters || is_for_other_values(&plan) {
            slot.replace(Template::new(&plan, view, planner.listed, gathered));
        }
        Ok(plan)
    }
}

/// Whether the plan may do for other values too. A scan of everything does not: for them an index may say much.
fn is_for_other_values(plan: &Plan) -> bool {
    match &plan.access {
        Access::Documents(walk) => walk.limited > 0,
        Access::Index(..) => true,
        Access::Intersection(..) | Access::Union(..) => false,
    }
}

impl Template {
    /// `listed` is what the plan was chosen from: by now there may be another list.
    fn new(plan: &Arc<Plan>, view: View<'_, '_>, listed: &[Arc<Kept>], gathered: u64) -> Template {
        let (position, indexes) = (view.position(), listed.to_vec());
        let ready = || indexes.iter().filter_map(|index| index.ready);
        let from = ready().filter(|ready| *ready < position).max().unwrap_or(Lsn::ZERO);
        let up_to = ready().filter(|ready| *ready >= position).min();
        let (plan, is_one_moment) = (Arc::clone(plan), view.is_one_moment());
        Template { plan, indexes, gathered, from, up_to, is_one_moment }
    }

    /// Whether the choice would be made among the same ways.
    fn holds(&self, view: View<'_, '_>, collection: &Space, query: &Query) -> bool {
        let (current, position) = (Indexes::of(collection).current(), view.position());
        let same_index = |(one, other): (&Arc<Kept>, &Arc<Kept>)| Arc::ptr_eq(one, other);
        let planned = &self.plan.query;
        self.is_one_moment == view.is_one_moment()
            && (planned.offset, planned.limit, &planned.answer) == (query.offset, query.limit, &query.answer)
            && (self.from < position && self.up_to.is_none_or(|up_to| position <= up_to))
            && self.indexes.len() == current.len()
            && self.indexes.iter().zip(current).all(same_index)
    }

    /// Whether the plan still gives the right answer.
    fn is_right<'t, 's: 't>(&self, view: View<'t, 's>, collection: &'s Space) -> bool {
        let gained =
            |(kept, walk): (&Arc<Kept>, &Walk)| !walk.are_several && has_several(view, collection, kept);
        self.plan.is_one_entry || !self.plan.access.walks().into_iter().any(gained)
    }

    /// Where the plan has the documents for the values of a query; none if they need another plan.
    fn access_for<'t, 's: 't>(
        &self,
        view: View<'t, 's>,
        collection: &'s Space,
        query: &Query,
    ) -> Option<Access> {
        let plan = &self.plan;
        let tree = query.filter.checked_tree().ok()?;
        let conditions = conditions(&tree.node);
        let (definition, walk, kept) = match &plan.access {
            Access::Documents(walk) => (id_index(), walk, None),
            Access::Index(kept, walk) => (&kept.definition, walk, Some(kept)),
            Access::Intersection(..) | Access::Union(..) => return None,
        };
        let found = ranges::of_index(definition, conditions, walk.are_several);
        // None, one and several ranges are three things: for the order, and for whether the access gives one document.
        let is_alike = (found.points, found.limited) == (walk.points, walk.limited)
            && found.ranges.len().min(2) == walk.ranges.len().min(2)
            && residual(&found.is_met, view).eq(plan.residual.iter().copied())
            && is_whole_for(definition, conditions);
        if !is_alike || !self.is_right(view, collection) {
            return None;
        }
        let mut entries = walk.entries;
        if let Some(kept) = kept.filter(|_| !plan.is_bounded()) {
            entries = expected_entries(kept, collection, &found);
            if entries > walk.entries * ENTRIES_MORE + ENTRIES_FEW {
                return None;
            }
        }
        let walk = Walk::of(found, walk.towards, walk.are_several, entries);
        Some(match kept {
            Some(kept) => Access::Index(Arc::clone(kept), walk),
            None => Access::Documents(walk),
        })
    }
}
