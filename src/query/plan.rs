//! How a query is answered.

use super::order::Order;
use super::ranges::{IndexRanges, KeyRange, conditions};
use super::request::{Answer, Query};
use super::view::View;
use crate::filter::tree::Node;
use crate::index::set::Kept;
use crate::map::Towards;
use crate::sync::Arc;
use bson::{RawBsonRef, RawDocument};
use smallvec::{SmallVec, smallvec};

/// Where documents come from.
#[derive(Clone)]
pub(super) enum Access {
    /// The documents themselves, by ranges of their ids.
    Documents(Walk),
    /// The entries of an index.
    Index(Arc<Kept>, Walk),
    /// The first, as far as their documents are in all the others: those are read first, and their ids kept.
    Intersection(Arc<Kept>, Walk, Vec<(Arc<Kept>, Walk)>),
    /// One for each alternative of a filter. A document comes by the first of those that it matches.
    Union(Vec<(Access, Node)>),
}

impl Access {
    /// The walks of indexes that it is made of.
    pub(super) fn walks(&self) -> SmallVec<[(&Arc<Kept>, &Walk); 2]> {
        match self {
            Access::Documents(_) => SmallVec::new(),
            Access::Index(index, walk) => smallvec![(index, walk)],
            Access::Intersection(index, walk, others) => std::iter::once((index, walk))
                .chain(others.iter().map(|(index, walk)| (index, walk)))
                .collect(),
            Access::Union(branches) => branches.iter().flat_map(|(access, _)| access.walks()).collect(),
        }
    }
}

/// Which keys, which way.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    /// In the order of the keys, and apart.
    pub(super) ranges: Arc<[KeyRange]>,
    pub(super) towards: Towards,
    /// Whether a document may have several entries.
    pub(super) are_several: bool,
    /// Whether conditions on one field were put together, for a document has one entry.
    pub(super) are_joined: bool,
    /// In how many fields, from the first, the keys of each range agree, and how many fields are limited at all.
    pub(super) points: usize,
    pub(super) limited: usize,
    /// How many entries are expected.
    pub(super) entries: f64,
}

impl Walk {
    pub(super) fn of(found: IndexRanges, towards: Towards, are_several: bool, entries: f64) -> Walk {
        let IndexRanges { points, limited, are_joined, .. } = found;
        Walk { ranges: found.into_shared(), towards, are_several, are_joined, points, limited, entries }
    }
}

/// See the module.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) access: Access,
    pub(super) query: Query,
    /// Which of the filter's conditions the access does not see to.
    pub(super) residual: SmallVec<[usize; 4]>,
    /// Whether the access gives one document at most, whatever the documents are like.
    pub(super) is_one_entry: bool,
    /// Whether the entries of the index that is walked give the answer: each stands for one document, and has what is wanted of it. Where one does not, its
    /// document is fetched.
    pub(super) is_covering: bool,
    /// In which order the results come, if in any.
    pub(super) order: Option<Order>,
    /// Whether they have to be sorted for that.
    pub(super) is_sorted: bool,
    /// How many documents are expected, and what it costs to come by them, in nanoseconds, roughly.
    pub(super) results: f64,
    pub(super) cost: f64,
}

/// Which conditions are left, if the access sees to some.
pub(super) fn residual(is_met: &[bool], view: View<'_, '_>) -> impl Iterator<Item = usize> {
    let is_left = move |(at, is_met): (usize, &bool)| (!(*is_met && view.is_one_moment())).then_some(at);
    is_met.iter().enumerate().filter_map(is_left)
}

impl Plan {
    /// The same for other values of the query.
    pub(super) fn with(&self, access: Access, query: Query) -> Plan {
        let (residual, order) = (self.residual.clone(), self.order.clone());
        Plan { access, query, residual, order, ..*self }
    }

    /// Whether it says itself how many rows of the access are read, whatever the values are.
    pub(super) fn is_bounded(&self) -> bool {
        let is_limited = self.query.limit.is_some() && !self.is_sorted && self.residual.is_empty();
        self.is_one_entry || is_limited
    }

    /// Whether a document that the access gave matches.
    pub(super) fn matches(&self, document: &RawDocument) -> bool {
        let conditions = self.conditions();
        self.residual.iter().all(|&at| conditions[at].matches(RawBsonRef::Document(document)))
    }

    /// How many rows of the access are wanted, as far as can be said.
    pub(super) fn wanted(&self) -> usize {
        let limit = self.query.limit.filter(|_| !self.is_sorted);
        let rows = limit.map(|limit| limit.saturating_add(self.query.offset));
        rows.map_or(0, |rows| usize::try_from(rows).unwrap_or(usize::MAX))
    }

    pub(super) fn conditions(&self) -> &[Node] {
        conditions(&self.query.filter.checked_tree().expect("it was checked when it was planned").node)
    }

    /// What is walked, if its entries need only be counted.
    pub(super) fn counted(&self) -> Option<(&Arc<Kept>, &Walk)> {
        self.covering().filter(|_| self.query.answer == Answer::Count && self.residual.is_empty())
    }

    /// What is walked, if its entries give the answer.
    pub(super) fn covering(&self) -> Option<(&Arc<Kept>, &Walk)> {
        match &self.access {
            Access::Index(index, walk) if self.is_covering => Some((index, walk)),
            _ => None,
        }
    }
}
