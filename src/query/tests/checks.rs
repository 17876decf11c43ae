//! A query by every plan, and in every way in which the documents of a plan can be had.

use super::met::Met;
use super::model::{Answer, Asked};
use crate::bson::{Bson, Document};
use crate::index::set::Indexes;
use crate::mvcc::store::Space;
use crate::query::execute::{self, Ground, Row};
use crate::query::meter::Meter;
use crate::query::plan::{Access, Plan};
use crate::query::planner::Planner;
use crate::query::request::{Query, QueryError};
use crate::query::view::View;
use crate::query::{ExplainedStep, Explanation, Grouping, Looked, Planned, PreparedQuery, Summary, parallel};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

pub(super) type Checked = Result<(), TestCaseError>;

/// A collection as somebody sees it, to be asked by every plan.
#[derive(Clone, Copy)]
pub(super) struct Seen<'t, 's> {
    pub(super) view: View<'t, 's>,
    pub(super) store: u64,
    pub(super) space: &'s Space,
    pub(super) met: &'t Met,
}

impl<'t, 's: 't> Seen<'t, 's> {
    /// Every plan gives what asking each document gives, whole, in pages, and behind a cursor.
    pub(super) fn check(self, asked: &Asked, documents: &BTreeMap<i32, Document>) -> Checked {
        let (whole, answer) = (asked.whole(), asked.answer(documents));
        for planned in self.plans(&whole.query())? {
            check_whole(&planned, &whole, &answer)?;
            self.check_divided(&planned, &whole, &answer)?;
        }
        self.check_answers(asked, &answer)?;
        let mut cursors = Vec::new();
        for planned in self.plans(&asked.query())? {
            let rows: Vec<_> = run(&planned)?;
            let page: Vec<i32> = rows.iter().map(id).collect();
            prop_assert!(answer.has_page(asked, &page), "{:?} by {}", page, shown(&planned));
            prop_assert_eq!(counted(&planned)?, page.len(), "by {}", shown(&planned));
            // All in the order of this plan, in which a cursor has its place.
            let in_order = self.planned(Plan { query: whole.query(), ..Plan::clone(&planned.plan) });
            let in_order = ids(&in_order)?;
            let cursor = rows.last().map(|last| planned.into_cursors().behind(last)).transpose();
            if let Some(cursor) = cursor.map_err(failed)?.flatten()
                && !cursors.contains(&cursor)
            {
                let last = in_order.iter().position(|id| Some(id) == page.last()).expect("it is there");
                self.check_behind(asked, &whole.query().after(cursor.clone()), &in_order[last + 1..])?;
                cursors.push(cursor);
            }
        }
        Ok(())
    }

    /// All plans of a query: those that are weighed, without a hint and with each, and the one that is taken, by a prepared query too, which is asked twice.
    pub(super) fn plans(self, query: &Query) -> Result<Vec<Planned<'t, 's>>, TestCaseError> {
        let place = (self.store, self.space);
        let names = Indexes::of(self.space).current().iter().map(|index| index.name.clone());
        let mut queries: Vec<_> = names.map(|name| query.clone().use_index(name)).collect();
        queries.extend([query.clone().use_scan(), query.clone()]);
        let mut all = Vec::new();
        for query in queries {
            let planner = Planner::new(self.view, place, &query).map_err(failed)?;
            let weighed = match planner.plans() {
                Err(QueryError::CannotUse { .. }) => continue,
                weighed => weighed.map_err(failed)?,
            };
            all.extend(weighed.into_iter().map(|plan| self.planned(plan)));
            let prepared = Query::from(&PreparedQuery::new(query.clone()).map_err(failed)?);
            for query in [query, prepared.clone(), prepared] {
                all.push(Planned::new(self.view, place, query).map_err(failed)?);
            }
        }
        all.iter().for_each(|planned| self.met.note(&planned.plan));
        Ok(all)
    }

    pub(super) fn planned(self, plan: Plan) -> Planned<'t, 's> {
        let ground = Ground { view: self.view, collection: self.space, wanted: plan.wanted() };
        Planned { plan: Arc::new(plan), ground, store: self.store }
    }

    /// A plan on several threads, if it can be divided.
    fn check_divided(self, planned: &Planned<'t, 's>, whole: &Asked, answer: &Answer) -> Checked {
        let long = self.planned(long(&planned.plan));
        let of_part = |part: &Arc<Plan>, ground: Ground<'t, 's>| {
            execute::matching(part, ground, Meter::default()).map(|row| id(&row)).collect::<Vec<_>>()
        };
        let Some(parts) = parallel::of_parts(&long.plan, long.ground, &of_part) else { return Ok(()) };
        if parts.len() > 1 {
            self.met.note_divided(&long.plan);
        }
        prop_assert_eq!(parts.concat(), of_part(&planned.plan, planned.ground), "by {}", shown(&long));
        check_whole(&long, whole, answer)
    }

    /// What comes behind a place: the same by every plan, and in the order of the plan that the place is of.
    fn check_behind(self, asked: &Asked, behind: &Query, rest: &[i32]) -> Checked {
        for planned in self.plans(behind)? {
            prop_assert_eq!(&*ids(&planned)?, rest, "by {}", shown(&planned));
            prop_assert_eq!(counted(&planned)?, rest.len(), "by {}", shown(&planned));
            prop_assert_eq!(handed(&planned)?, sorted(rest.to_vec()), "by {}", shown(&planned));
        }
        for planned in self.plans(&asked.page_of(behind))? {
            prop_assert_eq!(&*ids(&planned)?, asked.page(rest), "by {}", shown(&planned));
            prop_assert_eq!(counted(&planned)?, asked.page(rest).len(), "by {}", shown(&planned));
        }
        Ok(())
    }
}

/// Everything that a plan gives, however it is asked for.
fn check_whole(planned: &Planned<'_, '_>, whole: &Asked, answer: &Answer) -> Checked {
    let (all, found, by) = (answer.ids(), ids(planned)?, shown(planned));
    prop_assert!(answer.has_page(whole, &found), "{:?} by {}", found, by);
    prop_assert_eq!(stepwise(planned)?, found, "step by step by {}", by);
    prop_assert_eq!(counted(planned)?, all.len(), "counted by {}", by);
    prop_assert_eq!(&handed(planned)?, &all, "handed to threads by {}", by);
    let values = planned.distinct(&"_id".parse().unwrap()).map_err(failed)?;
    prop_assert_eq!(values, all.iter().copied().map(Bson::Int32).collect::<Vec<_>>(), "values by {}", by);
    let groups = planned.group(&Grouping::by(["b"]).count("n")).map_err(failed)?;
    let grouped: i64 = groups.iter().map(|group| group.get_i64("n").unwrap()).sum();
    prop_assert_eq!(grouped as usize, all.len(), "grouped by {}", by);
    let analyzed = planned.explain_analyze(None).map_err(failed)?;
    prop_assert_eq!(analyzed.root.actual_rows, Some(all.len() as u64), "{}", analyzed);
    let is_counted = matches!(planned.ground.view, View::Snapshot(_));
    prop_assert!(is_measured(&analyzed.root, is_counted), "{}", analyzed);
    let path = "_id".parse().unwrap();
    let analyzed = planned.explain_analyze(Some(Summary::Values(&path))).map_err(failed)?;
    prop_assert_eq!(analyzed.root.actual_rows, Some(all.len() as u64), "{}", analyzed);
    prop_assert!(is_measured(&analyzed.root, is_counted), "{}", analyzed);
    Ok(())
}

/// Whether each step says what it came to, and no less than those before it.
fn is_measured(step: &ExplainedStep, is_counted: bool) -> bool {
    let reads = ["scan", "index", "fetch"].contains(&step.name);
    let of_inputs: u64 = step.inputs.iter().filter_map(|input| input.actual_rows).sum();
    let before: u64 = step.inputs.iter().filter_map(|input| input.time_ns).sum();
    step.versions.is_some() == (is_counted && reads)
        // What is read at a snapshot is the first version that is met, or one behind it.
        && step.versions.is_none_or(|versions| step.actual_rows <= Some(versions))
        && (step.inputs.is_empty() || step.actual_rows <= Some(of_inputs))
        && Some(before) <= step.time_ns
        && step.inputs.iter().all(|input| is_measured(input, is_counted))
}

/// What is taken to be so long that it is worth several threads.
pub(super) fn long(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    if let Access::Documents(walk) | Access::Index(_, walk) = &mut plan.access {
        walk.entries = f64::MAX;
    }
    plan
}

/// The plan, for whoever reads of a failure.
pub(super) fn shown(planned: &Planned<'_, '_>) -> Explanation {
    planned.explain(None)
}

pub(super) fn run<'t, 's: 't>(planned: &Planned<'t, 's>) -> Result<Vec<Row<'t>>, TestCaseError> {
    Ok(planned.run().map_err(failed)?.collect())
}

fn ids(planned: &Planned<'_, '_>) -> Result<Vec<i32>, TestCaseError> {
    Ok(run(planned)?.iter().map(id).collect())
}

pub(super) fn counted(planned: &Planned<'_, '_>) -> Result<usize, TestCaseError> {
    Ok(planned.count().map_err(failed)? as usize)
}

/// What several threads are handed, in the order of the ids.
fn handed(planned: &Planned<'_, '_>) -> Result<Vec<i32>, TestCaseError> {
    let handed = Mutex::new(Vec::new());
    planned.for_each(&|row| handed.lock().unwrap().push(id(&row))).map_err(failed)?;
    Ok(sorted(handed.into_inner().unwrap()))
}

fn stepwise(planned: &Planned<'_, '_>) -> Result<Vec<i32>, TestCaseError> {
    let mut steps = planned.run_stepwise().map_err(failed)?;
    let mut ids = Vec::new();
    loop {
        match steps.look() {
            Looked::Row(row) => ids.push(id(&row)),
            Looked::Nothing => {}
            Looked::End => return Ok(ids),
        }
    }
}

pub(super) fn id(row: &Row<'_>) -> i32 {
    execute::document(row).unwrap().get_i32("_id").unwrap()
}

fn sorted(mut ids: Vec<i32>) -> Vec<i32> {
    ids.sort_unstable();
    ids
}

pub(super) fn failed(error: QueryError) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}
