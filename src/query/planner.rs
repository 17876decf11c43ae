//! Choosing a plan: every way that gives the right answer is weighed, and the cheapest taken.
//!
//! Rules say which ways there are: an index counts if it is ready for what is read, leaves no document out that could match, and limits something, or has the
//! order that is wanted. Statistics say what each costs. What they do not say is guessed.

use super::estimate::{expected_entries, expected_keys, restorable_part, selectivity};
use super::interval::{Intervals, of_node};
use super::order::{Order, is_id};
use super::plan::{Access, Plan, Walk, residual};
use super::ranges::{self, IndexRanges, asks_for_a_value, conditions};
use super::request::{Answer, Hint, Query, QueryError};
use super::view::View;
use crate::document::{FieldPath, ID_FIELD};
use crate::filter;
use crate::filter::tree::{Node, Test};
use crate::index::definition::Index;
use crate::index::entry::SEVERAL_KEY;
use crate::index::restore;
use crate::index::set::{Indexes, Kept};
use crate::map::Towards;
use crate::mvcc::store::Space;
use crate::sync::Arc;
use smallvec::{SmallVec, smallvec};
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::OnceLock;

/// Nanoseconds for the next document of a scan with its filter; for the next entry of an index; for a document by its id, with others or alone; for what an entry has of
/// it; for the first entry of a range; for what is sorted, each.
const SCANNED: f64 = 300.0;
const ENTRY: f64 = 150.0;
const FETCHED: f64 = 700.0;
const FETCHED_ALONE: f64 = 1_200.0;
const RESTORED: f64 = 140.0;
const RANGE: f64 = 1_500.0;
const SORTED: f64 = 400.0;
/// If fewer of an index's entries have what is wanted, documents are fetched: some at a time.
const RESTORABLE_LEAST: f64 = 0.5;
/// Bytes that sorting takes for a document, roughly.
const SORTED_BYTES: f64 = 200.0;
/// More ids than this are not kept to be compared.
const INTERSECTED_MAX: f64 = 100_000.0;
/// More alternatives than this are not looked up one by one: each document is asked for all that come before its own.
const ALTERNATIVES_MAX: usize = 1024;

/// What is planned for.
pub(super) struct Planner<'p, 't, 's> {
    pub(super) view: View<'t, 's>,
    pub(super) collection: &'s Space,
    pub(super) query: &'p Query,
    answer: &'p Answer,
    conditions: &'p [Node],
    /// All indexes that there are, and those that can be used.
    pub(super) listed: &'s [Arc<Kept>],
    indexes: Vec<Arc<Kept>>,
    /// In which order results have to come.
    wanted: Option<Order>,
    /// Whether that names the id too.
    are_ids_wanted: bool,
}

/// A way to come by documents, with what it sees to.
struct Way {
    access: Access,
    is_met: SmallVec<[bool; 8]>,
    is_covering: bool,
    /// The order that it gives, if it gives one.
    order: Option<Order>,
    is_wanted: bool,
    /// Entries or documents that are read, what each costs, and what is there to pay before.
    rows: f64,
    row_cost: f64,
    first_cost: f64,
}

impl<'p, 't, 's: 't> Planner<'p, 't, 's> {
    /// `store` tells cursors of one store from those of another.
    pub(super) fn new(
        view: View<'t, 's>,
        (store, collection): (u64, &'s Space),
        query: &'p Query,
    ) -> Result<Self, QueryError> {
        let node = &query.filter.checked_tree()?.node;
        let fields = query.order()?;
        let wanted = match &query.after {
            Some(cursor) if cursor.fingerprint != fingerprint(store, collection, query)? => {
                return Err(QueryError::Cursor {
                    reason: "it is of another store, collection, filter or order",
                });
            }
            Some(cursor) => Some(cursor.order.clone()),
            // How many there are does not depend on the order.
            None if query.answer == Answer::Count => None,
            None => (!fields.is_empty()).then(|| Order::of_fields(fields)),
        };
        let are_ids_wanted = query.after.is_some() || fields.iter().any(is_id);
        let ready = |index: &&Arc<Kept>| index.ready.is_some_and(|ready| ready < view.position());
        let listed = Indexes::of(collection).current();
        let indexes = listed.iter().filter(ready).cloned().collect();
        let conditions = conditions(node);
        let answer = &query.answer;
        Ok(Planner { view, collection, query, answer, conditions, listed, indexes, wanted, are_ids_wanted })
    }

    /// The cheapest plan.
    pub(super) fn plan(&self) -> Result<Plan, QueryError> {
        if let Some(way) = self.one_entry() {
            // With more conditions than points two of them are on one field: then it is one as long as no document has several.
            let is_one = |walk: &Walk| self.conditions.len() <= walk.points;
            let is_one_entry = matches!(&way.access, Access::Index(_, walk) if is_one(walk));
            return Ok(Plan { is_one_entry, ..self.plan_of(way) });
        }
        let plans = self.plans()?;
        let cheapest = plans.into_iter().min_by(|a, b| a.cost.total_cmp(&b.cost));
        Ok(cheapest.expect("a scan is always a way"))
    }

    /// An index that has one document at most for the conditions: nothing is better.
    fn one_entry(&self) -> Option<Way> {
        let unique = self.indexes.iter().filter(|index| index.definition.is_unique());
        let found =
            unique.filter(|_| self.query.hint.is_none() && self.query.after.is_none()).find_map(|index| {
                let found = ranges::of_index(&index.definition, self.conditions, false);
                let is_one = found.ranges.len() <= 1 && found.points == index.definition.fields().len();
                // Two conditions on one field may be met by different entries of a document.
                let is_alone = || {
                    self.conditions.len() <= found.points || !has_several(self.view, self.collection, index)
                };
                (is_one && is_whole_for(&index.definition, self.conditions) && is_alone())
                    .then_some((index, found))
            });
        let (index, found) = found?;
        let order = Some(Order::of_index(&index.definition, Towards::Greater));
        let (is_covering, is_filtered) = (self.is_covering(index, &found, true), self.is_filtered(&found));
        let is_met = found.is_met.clone();
        let walk = Walk::of(found, Towards::Greater, false, 1.0);
        Some(Way {
            access: Access::Index(Arc::clone(index), walk),
            is_met,
            is_covering,
            order,
            is_wanted: true,
            rows: 1.0,
            row_cost: ENTRY + self.documents_cost(index, is_covering, is_filtered),
            first_cost: 0.0,
        })
    }

    /// All plans that give the right answer, or those that the hint leaves.
    pub(super) fn plans(&self) -> Result<Vec<Plan>, QueryError> {
        let mut ways = Vec::new();
        match &self.query.hint {
            Some(Hint::Scan) => self.add_scans(&mut ways),
            Some(Hint::Index(name)) => {
                self.add_index(self.index_named(name)?, true, &mut ways);
                let reason = "it leaves documents out that may match";
                if ways.is_empty() {
                    return Err(QueryError::CannotUse { name: name.clone(), reason });
                }
            }
            None => {
                self.add_scans(&mut ways);
                self.indexes.iter().for_each(|index| self.add_index(index, false, &mut ways));
                self.add_intersection(&mut ways);
                self.add_unions(&mut ways);
            }
        }
        Ok(ways.into_iter().map(|way| self.plan_of(way)).collect())
    }

    fn index_named(&self, name: &str) -> Result<&Arc<Kept>, QueryError> {
        let found = self.indexes.iter().find(|index| index.name == name);
        found.ok_or_else(|| QueryError::CannotUse {
            name: name.to_owned(),
            reason: "the collection has none, or it was not ready yet at the position that is read",
        })
    }

    fn towards(&self) -> [Towards; 2] {
        [Towards::Greater, Towards::Lesser]
    }

    /// The documents by their ids: all, or those that the filter names.
    fn add_scans(&self, ways: &mut Vec<Way>) {
        let found = ranges::of_index(id_index(), self.conditions, false);
        let documents = self.collection.records().len() as f64;
        let rows = match (found.limited, found.points) {
            (0, _) => documents,
            (_, 1) => found.ranges.len() as f64,
            _ => expected_keys(self.collection, &found.ranges).unwrap_or(documents),
        };
        for towards in self.towards() {
            let order = Order::of_ids(towards);
            let is_wanted = self.wanted.as_ref().is_none_or(|wanted| *wanted == order);
            if towards == Towards::Lesser && (self.wanted.is_none() || !is_wanted) {
                continue;
            }
            let walk = Walk::of(found.clone(), towards, false, rows);
            ways.push(Way {
                access: Access::Documents(walk),
                is_met: found.is_met.clone(),
                is_covering: false,
                order: Some(order),
                is_wanted,
                rows,
                row_cost: SCANNED,
                first_cost: RANGE * found.ranges.len() as f64,
            });
        }
    }

    /// An index, if it helps, or if it is asked for.
    fn add_index(&self, index: &Arc<Kept>, is_asked_for: bool, ways: &mut Vec<Way>) {
        if !is_whole_for(&index.definition, self.conditions) {
            return;
        }
        let (found, are_several) = self.ranges(index);
        let entries = expected_entries(index, self.collection, &found);
        let is_filtered = self.is_filtered(&found);
        for towards in self.towards() {
            let (order, is_wanted) = self.order_of(index, &found, are_several, towards);
            let is_covering = !are_several && self.is_covering(index, &found, is_wanted);
            let helps = found.limited > 0
                || is_asked_for
                || is_wanted && (self.wanted.is_some() || is_covering && !is_filtered);
            if !helps || towards == Towards::Lesser && !(self.wanted.is_some() && is_wanted) {
                continue;
            }
            let walk = Walk::of(found.clone(), towards, are_several, entries);
            ways.push(Way {
                access: Access::Index(Arc::clone(index), walk),
                is_met: found.is_met.clone(),
                is_covering,
                order,
                is_wanted,
                rows: entries,
                row_cost: ENTRY + self.documents_cost(index, is_covering, is_filtered),
                first_cost: RANGE * found.ranges.len() as f64,
            });
        }
    }

    /// Whether the entries in ranges of an index give the answer, if each stands for one document: what conditions and order ask of it besides, too.
    fn is_covering(&self, index: &Kept, found: &IndexRanges, is_ordered: bool) -> bool {
        let wanted: &[FieldPath] = match self.answer {
            Answer::Documents => return false,
            // Behind a cursor the order says what is a result.
            Answer::Count if self.query.after.is_some() => return false,
            Answer::Count => &[],
            Answer::Fields(paths) => paths,
        };
        let asked = residual(&found.is_met, self.view).flat_map(|at| self.conditions[at].paths());
        let order = self.wanted.as_ref().filter(|_| !is_ordered).map_or(&[][..], |order| &order.fields);
        let mut all = wanted.iter().chain(asked).chain(order.iter().map(|field| &field.path)).peekable();
        let is_counted = all.peek().is_none();
        self.view.is_one_moment()
            && restore::covers(&index.definition, all)
            && (is_counted || restorable_part(index) >= RESTORABLE_LEAST)
    }

    /// Whether there are conditions that ranges do not see to.
    fn is_filtered(&self, found: &IndexRanges) -> bool {
        residual(&found.is_met, self.view).next().is_some()
    }

    /// What it costs to come from an entry to what is wanted of its document.
    fn documents_cost(&self, index: &Kept, is_covering: bool, is_filtered: bool) -> f64 {
        match self.answer {
            Answer::Count if is_covering && !is_filtered => 0.0,
            _ if is_covering => {
                let restored = restorable_part(index);
                RESTORED * restored + FETCHED_ALONE * (1.0 - restored)
            }
            _ => FETCHED,
        }
    }

    fn ranges(&self, index: &Kept) -> (IndexRanges, bool) {
        let are_several = has_several(self.view, self.collection, index);
        (ranges::of_index(&index.definition, self.conditions, are_several), are_several)
    }

    /// The order that a walk of an index gives, and whether it will do.
    fn order_of(
        &self,
        index: &Kept,
        found: &IndexRanges,
        are_several: bool,
        towards: Towards,
    ) -> (Option<Order>, bool) {
        // The entry by which a document comes first may lie outside of the ranges.
        let order = (!are_several || found.limited == 0).then(|| Order::of_index(&index.definition, towards));
        let Some(wanted) = &self.wanted else { return (order, true) };
        let is_wanted = order.as_ref().is_some_and(|order| {
            if self.are_ids_wanted && order.ids != wanted.ids {
                return false;
            }
            if self.query.after.is_some() {
                return order == wanted;
            }
            let alike = if found.ranges.len() == 1 { found.points } else { 0 };
            let (fixed, varied) = order.fields.split_at(alike);
            let asked =
                wanted.fields.iter().filter(|field| !fixed.iter().any(|known| known.path == field.path));
            let mut given = varied.iter();
            asked.into_iter().all(|field| given.next() == Some(field))
                && !(self.are_ids_wanted && given.len() > 0)
        });
        (order, is_wanted)
    }

    /// Two indexes that say little each, and much together.
    fn add_intersection(&self, ways: &mut Vec<Way>) {
        let usable = self.indexes.iter().filter(|index| is_whole_for(&index.definition, self.conditions));
        let mut each: Vec<_> = usable
            .map(|index| (index, self.ranges(index)))
            .filter(|(_, (found, _))| found.limited > 0)
            .map(|(index, (found, are_several))| {
                (expected_entries(index, self.collection, &found), index, found, are_several)
            })
            .collect();
        each.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut pairs = each.into_iter();
        let (Some((few, one, found, several)), Some(other)) = (pairs.next(), pairs.next()) else { return };
        let (more, two, found_too, several_too) = other;
        let says_more = found_too.is_met.iter().zip(&found.is_met).any(|(two, one)| *two && !one);
        if !says_more || few > INTERSECTED_MAX {
            return;
        }
        let ranges = found.ranges.len() + found_too.ranges.len();
        let walk = |found, several, entries| Walk::of(found, Towards::Greater, several, entries);
        let documents = self.collection.records().len().max(1) as f64;
        let both = few * more / documents;
        ways.push(Way {
            access: Access::Intersection(
                Arc::clone(two),
                walk(found_too, several_too, more),
                vec![(Arc::clone(one), walk(found, several, few))],
            ),
            is_met: smallvec![false; self.conditions.len()],
            is_covering: false,
            order: None,
            is_wanted: self.wanted.is_none(),
            rows: both,
            row_cost: FETCHED,
            first_cost: ENTRY * 1.5 * (few + more) + RANGE * ranges as f64,
        });
    }

    /// For each condition that is a list of alternatives: a way for each of them.
    fn add_unions(&self, ways: &mut Vec<Way>) {
        for alternatives in self.conditions.iter().filter_map(|node| match node {
            Node::Or(nodes) if nodes.len() <= ALTERNATIVES_MAX => Some(nodes),
            _ => None,
        }) {
            let branches: Option<Vec<(Way, Node)>> =
                alternatives.iter().map(|node| Some((self.cheapest_index(node)?, node.clone()))).collect();
            let Some(branches) = branches else { continue };
            let total = |of: fn(&Way) -> f64| branches.iter().map(|(way, _)| of(way)).sum::<f64>();
            ways.push(Way {
                is_met: smallvec![false; self.conditions.len()],
                is_covering: false,
                order: None,
                is_wanted: self.wanted.is_none(),
                rows: total(|way| way.rows),
                row_cost: ENTRY + FETCHED,
                first_cost: total(|way| way.first_cost),
                access: Access::Union(branches.into_iter().map(|(way, node)| (way.access, node)).collect()),
            });
        }
    }

    /// The best index for one alternative.
    fn cheapest_index(&self, node: &Node) -> Option<Way> {
        // Its documents are asked which of the alternatives they match.
        let (conditions, answer) = (conditions(node), &Answer::Documents);
        let alone = Planner { conditions, answer, indexes: self.indexes.clone(), wanted: None, ..*self };
        let mut ways = Vec::new();
        alone.indexes.iter().for_each(|index| alone.add_index(index, false, &mut ways));
        alone.add_scans(&mut ways);
        ways.retain(|way| match &way.access {
            Access::Documents(walk) => walk.limited > 0,
            _ => true,
        });
        let cost = |way: &Way| way.first_cost + way.rows * way.row_cost;
        ways.into_iter().min_by(|a, b| cost(a).total_cmp(&cost(b)))
    }

    /// What it costs to sort so many of so many.
    fn sorting(&self, kept: f64, of: f64) -> f64 {
        let fits = kept * SORTED_BYTES <= self.query.sort_bytes_max as f64;
        if fits { of * SORTED } else { f64::MAX / 2.0 }
    }

    fn plan_of(&self, way: Way) -> Plan {
        let residual: SmallVec<[usize; 4]> = residual(&way.is_met, self.view).collect();
        let selectivity: f64 = residual.iter().map(|at| selectivity(&self.conditions[*at])).product();
        let is_sorted = !way.is_wanted;
        let results = way.rows * selectivity;
        let taken = self.query.limit.map(|limit| limit.saturating_add(self.query.offset) as f64);
        let needed = match taken {
            Some(taken) if !is_sorted => (taken / selectivity.max(1e-9)).min(way.rows),
            _ => way.rows,
        };
        let sorting = if is_sorted {
            self.sorting(taken.map_or(results, |taken| results.min(taken)), results)
        } else {
            0.0
        };
        let order = if is_sorted { self.wanted.clone() } else { way.order };
        Plan {
            access: way.access,
            query: self.query.clone(),
            residual,
            is_one_entry: false,
            is_covering: way.is_covering,
            order,
            is_sorted,
            results: taken.map_or(results, |taken| results.min(taken)),
            cost: way.first_cost + needed * way.row_cost + sorting,
        }
    }
}

/// Whether there may be a document with several entries. A look, which is noted for nobody: see [`note`].
pub(super) fn has_several<'t, 's: 't>(view: View<'t, 's>, collection: &'s Space, index: &Kept) -> bool {
    view.has_first(index.space(collection), SEVERAL_KEY)
}

/// Has a serializable transaction note what the answer depends on besides the ranges that are read: where conditions on one field were put together, a
/// document whose values meet them one by one may have its entries elsewhere.
pub(super) fn note<'t, 's: 't>(view: View<'t, 's>, collection: &'s Space, plan: &Plan) {
    let walks = plan.access.walks().into_iter();
    for (kept, _) in walks.filter(|(_, walk)| walk.are_joined && !walk.are_several) {
        view.get(kept.space(collection), SEVERAL_KEY);
    }
}

/// Whether every document that can meet the conditions has an entry.
pub(super) fn is_whole_for(index: &Index, conditions: &[Node]) -> bool {
    let is_there = !index.is_sparse() || asks_for_a_value(index, conditions);
    is_there
        && index.filter().is_none_or(|filter| {
            let asked = filter.checked_tree().map(|tree| ranges::conditions(&tree.node));
            asked.is_ok_and(|asked| asked.iter().all(|asked| is_implied(asked, conditions)))
        })
}

/// Whether one of the conditions holds only where this one does.
fn is_implied(asked: &Node, conditions: &[Node]) -> bool {
    let written = filter::write::write;
    let same = written(asked);
    let implies = |condition: &Node| {
        let Node::Test(Test { path: Some(path), .. }) = asked else { return false };
        let on_path = |test: &Test| test.path.as_ref() == Some(path);
        match (of_node(asked, &on_path), of_node(condition, &on_path)) {
            (Some(wide), Some(narrow)) => wide.are_exact && is_within(&narrow, &wide),
            _ => false,
        }
    };
    conditions.iter().any(|condition| implies(condition) || written(condition) == same)
}

/// What the documents themselves are: an index on their ids.
pub(super) fn id_index() -> &'static Index {
    static IDS: OnceLock<Index> = OnceLock::new();
    IDS.get_or_init(|| Index::on(ID_FIELD).expect("it is a path").unique())
}

fn is_within(narrow: &Intervals, wide: &Intervals) -> bool {
    narrow.list.iter().all(|interval| {
        let behind = wide.list.partition_point(|known| known.low <= interval.low);
        behind.checked_sub(1).is_some_and(|at| interval.high <= wide.list[at].high)
    })
}

/// What a cursor is bound to.
pub(super) fn fingerprint(store: u64, collection: &Space, query: &Query) -> Result<u64, QueryError> {
    let mut hasher = foldhash::quality::FixedState::default().build_hasher();
    (store, collection.id(), query.filter.to_string()).hash(&mut hasher);
    for field in query.order()? {
        (&field.path, field.direction).hash(&mut hasher);
    }
    Ok(hasher.finish())
}
