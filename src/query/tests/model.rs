//! What is asked at random, and the answer that asking each document gives.

use super::random::{path, test};
use crate::bson::{Bson, Document, RawDocumentBuf, doc};
use crate::document::order_key::{Direction, encode};
use crate::{Filter, Query, field};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn filter() -> impl Strategy<Value = Filter> {
    let leaf = prop_oneof![8 => test(), 1 => Just(Filter::all())];
    let nested = leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| a.and(b)),
            2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| a.or(b)),
            1 => inner.prop_map(Filter::not),
        ]
    });
    // What one index or several say all of.
    let joined = |join: fn(Filter, Filter) -> Filter| {
        vec(range(), 1..5).prop_map(move |ranges| ranges.into_iter().reduce(join).expect("there is one"))
    };
    prop_oneof![2 => nested, 1 => joined(Filter::and), 1 => joined(Filter::or)]
}

/// A condition that limits each index on its path.
fn range() -> impl Strategy<Value = Filter> {
    (path(), 0..5, 0..5).prop_map(|(path, kind, n)| match kind {
        0 => field(path).ge(n),
        1 => field(path).lt(n),
        2 => field(path).in_([n, n + 2]),
        _ => field(path).eq(n),
    })
}

#[derive(Debug, Clone)]
pub(super) struct Asked {
    filter: Filter,
    sort: Vec<(&'static str, bool)>,
    skip: u64,
    limit: Option<u64>,
}

impl Asked {
    pub(super) fn query(&self) -> Query {
        let towards = |query: Query, (path, descending): &(&'static str, bool)| {
            if *descending { query.sort_desc(path) } else { query.sort(path) }
        };
        self.page_of(&self.sort.iter().fold(Query::new(self.filter.clone()), towards))
    }

    /// A query with this offset and limit.
    pub(super) fn page_of(&self, query: &Query) -> Query {
        let query = query.clone().skip(self.skip);
        self.limit.map_or(query.clone(), |limit| query.limit(limit))
    }

    /// The same without offset and limit.
    pub(super) fn whole(&self) -> Asked {
        Asked { skip: 0, limit: None, ..self.clone() }
    }

    /// Of some rows those that offset and limit leave.
    pub(super) fn page<'r, T>(&self, rows: &'r [T]) -> &'r [T] {
        let rows = &rows[rows.len().min(self.skip as usize)..];
        &rows[..self.limit.map_or(rows.len(), |limit| rows.len().min(limit as usize))]
    }

    /// What matches, without offset and limit.
    pub(super) fn answer(&self, documents: &BTreeMap<i32, Document>) -> Answer {
        let matches = |document: &Document| self.filter.matches(&RawDocumentBuf::try_from(document).unwrap());
        let matching = documents.iter().filter(|(_, document)| matches(document));
        let places: BTreeMap<_, _> =
            matching.map(|(id, document)| (*id, place(document, &self.sort))).collect();
        let mut in_order: Vec<_> = places.values().cloned().collect();
        in_order.sort();
        Answer { places, in_order }
    }
}

/// What a document is ordered by.
type Place = Vec<Vec<u8>>;

/// The documents that match, and what they are ordered by. Where they agree in it, any order will do.
pub(super) struct Answer {
    places: BTreeMap<i32, Place>,
    in_order: Vec<Place>,
}

impl Answer {
    pub(super) fn ids(&self) -> Vec<i32> {
        self.places.keys().copied().collect()
    }

    /// Whether these are what a page of it may hold, in an order that it may have.
    pub(super) fn has_page(&self, asked: &Asked, found: &[i32]) -> bool {
        let places: Option<Vec<_>> = found.iter().map(|id| self.places.get(id)).collect();
        let once: BTreeSet<_> = found.iter().collect();
        once.len() == found.len()
            && places.is_some_and(|places| places.into_iter().eq(asked.page(&self.in_order)))
    }
}

pub(super) fn asked() -> impl Strategy<Value = Asked> {
    let sort = vec((path(), any::<bool>()), 0..3).prop_map(|mut sort| {
        sort.dedup_by_key(|(path, _)| *path);
        if sort.len() == 2 && sort[0].0 == sort[1].0 {
            sort.pop();
        }
        sort
    });
    // Several ranges of an index that has the order, too.
    let of_ranges = (path(), 0..5, any::<bool>())
        .prop_map(|(path, n, descending)| (field(path).in_([n, n + 2]), vec![(path, descending)]));
    paged(prop_oneof![4 => (filter(), sort), 1 => of_ranges])
}

/// One field alone, which has such a value, or one of two.
pub(super) fn asked_for(
    path: impl Strategy<Value = &'static str>,
    value: impl Strategy<Value = Bson>,
) -> impl Strategy<Value = Asked> {
    let filter = (path, vec(value, 1..3)).prop_map(|(path, mut values)| match values.len() {
        1 => field(path).eq(values.remove(0)),
        _ => field(path).in_(values),
    });
    paged(filter.prop_map(|filter| (filter, Vec::new())))
}

fn paged(
    ordered: impl Strategy<Value = (Filter, Vec<(&'static str, bool)>)>,
) -> impl Strategy<Value = Asked> {
    (ordered, 0..3_u64, proptest::option::of(0..8_u64)).prop_map(|((filter, sort), skip, limit)| Asked {
        filter,
        sort,
        skip,
        limit,
    })
}

/// By what a document is ordered: of several values the one that comes first.
fn place(document: &Document, sort: &[(&str, bool)]) -> Place {
    fn collect(value: &Bson, segments: &[&str], found: &mut Vec<Option<Bson>>) {
        let Some((first, rest)) = segments.split_first() else {
            match value {
                Bson::Array(elements) if !elements.is_empty() => {
                    found.extend(elements.iter().cloned().map(Some))
                }
                value => found.push(Some(value.clone())),
            }
            return;
        };
        match value {
            Bson::Document(inner) => match inner.get(*first) {
                Some(value) => collect(value, rest, found),
                None => found.push(None),
            },
            Bson::Array(elements) => {
                for (at, element) in elements.iter().enumerate() {
                    if matches!(element, Bson::Document(_)) {
                        collect(element, segments, found);
                    }
                    // No longer path goes through a position.
                    if *first == at.to_string() {
                        found.push(Some(element.clone()));
                    }
                }
            }
            _ => found.push(None),
        }
    }
    let key = |(path, descending): &(&str, bool)| {
        let segments: Vec<_> = path.split('.').collect();
        let mut found = Vec::new();
        collect(&Bson::Document(document.clone()), &segments, &mut found);
        let encoded = found.into_iter().map(|value| {
            let value = match value {
                None | Some(Bson::Undefined) => Bson::Null,
                Some(Bson::Array(elements)) if elements.is_empty() => Bson::Undefined,
                Some(value) => value,
            };
            let raw = RawDocumentBuf::try_from(&doc! { "v": value }).unwrap();
            let mut key = Vec::new();
            let direction = if *descending { Direction::Descending } else { Direction::Ascending };
            encode(raw.get("v").unwrap().unwrap(), direction, &mut key);
            key
        });
        let nothing = || vec![if *descending { !0x10 } else { 0x10 }];
        encoded.min().unwrap_or_else(nothing)
    };
    sort.iter().map(key).collect()
}
