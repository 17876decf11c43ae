//! Sums over documents that have something in common.

use super::execute::{Results, document};
use super::request::QueryError;
use crate::document::order_key::{self, Direction};
use crate::document::{self as documents, FieldPath};
use bson::{Bson, Document, RawBsonRef};
use std::collections::BTreeMap;

/// More groups than this are not kept.
const GROUPS_MAX: usize = 1 << 20;

/// What is made of the documents of a group.
#[derive(Clone, Debug)]
enum Aggregate {
    Count,
    Sum(FieldPath),
    Average(FieldPath),
    Least(FieldPath),
    Greatest(FieldPath),
}

/// Groups of documents that agree in some fields, and what to make of each group.
///
/// ```
/// # use skipstone::{Database, Grouping, Query, bson::doc};
/// let db = Database::in_memory();
/// let towns = db.collection("towns")?;
/// towns.insert_many([
///     doc! { "country": "KE", "people": 3 }, doc! { "country": "DE", "people": 9 }, doc! { "country": "KE", "people": 5 },
/// ])?;
/// let by_country = Grouping::by(["country"]).count("towns").sum("people", "people");
/// let groups = towns.group(&by_country, Query::all())?;
/// assert_eq!(groups[1], doc! { "_id": { "country": "KE" }, "towns": 2_i64, "people": 8_i64 });
/// # Ok::<(), skipstone::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Grouping {
    by: Result<Vec<FieldPath>, QueryError>,
    aggregates: Result<Vec<(String, Aggregate)>, QueryError>,
}

impl Grouping {
    /// A group for each combination of values of these fields; what is missing counts as null, an array as a whole. With no field: one group of all.
    pub fn by<'p>(paths: impl IntoIterator<Item = &'p str>) -> Grouping {
        let by = paths.into_iter().map(|path| Ok(path.parse()?)).collect();
        Grouping { by, aggregates: Ok(Vec::new()) }
    }

    /// How many documents, as `name`.
    pub fn count(self, name: &str) -> Grouping {
        self.with(name, || Ok(Aggregate::Count))
    }

    /// The sum of a field: of integers as Int64 while it fits, else as a double. What is no number counts for nothing.
    pub fn sum(self, name: &str, path: &str) -> Grouping {
        self.with(name, || Ok(Aggregate::Sum(path.parse()?)))
    }

    /// The average of a field, as a double: of those values that are numbers; null if there is none.
    pub fn avg(self, name: &str, path: &str) -> Grouping {
        self.with(name, || Ok(Aggregate::Average(path.parse()?)))
    }

    /// The least value of a field, by the order of [`order_key`](crate::document::order_key), of those that are there and not null; else null.
    pub fn min(self, name: &str, path: &str) -> Grouping {
        self.with(name, || Ok(Aggregate::Least(path.parse()?)))
    }

    /// The greatest one, likewise.
    pub fn max(self, name: &str, path: &str) -> Grouping {
        self.with(name, || Ok(Aggregate::Greatest(path.parse()?)))
    }

    fn with(self, name: &str, aggregate: impl FnOnce() -> Result<Aggregate, QueryError>) -> Grouping {
        let aggregates = self.aggregates.and_then(|mut aggregates| {
            if name == "_id" || aggregates.iter().any(|(known, _)| known == name) {
                return Err(QueryError::NamedTwice { path: name.to_owned() });
            }
            aggregates.push((name.to_owned(), aggregate()?));
            Ok(aggregates)
        });
        Grouping { aggregates, ..self }
    }

    /// The groups, in the order of their values.
    pub(super) fn run(&self, results: Results<'_>) -> Result<Vec<Document>, QueryError> {
        let by = self.by.as_ref().map_err(QueryError::clone)?;
        let aggregates = self.aggregates.as_ref().map_err(QueryError::clone)?;
        let mut groups: BTreeMap<Vec<u8>, (Document, Vec<Sum>)> = BTreeMap::new();
        if by.is_empty() {
            groups.insert(Vec::new(), (Document::new(), vec![Sum::default(); aggregates.len()]));
        }
        let mut key = Vec::new();
        for row in results {
            let row = row?;
            let Some(document) = document(&row) else { continue };
            key.clear();
            let values = by.iter().map(|path| documents::get(document, path).unwrap_or(RawBsonRef::Null));
            values.clone().for_each(|value| order_key::encode(value, Direction::Ascending, &mut key));
            if !groups.contains_key(&key) {
                if groups.len() == GROUPS_MAX {
                    return Err(QueryError::TooManyGroups { limit: GROUPS_MAX });
                }
                let id = by.iter().zip(values).map(|(path, value)| (path.to_string(), owned(value)));
                groups.insert(key.clone(), (id.collect(), vec![Sum::default(); aggregates.len()]));
            }
            let (_, sums) = groups.get_mut(&key).expect("it was put there");
            for ((_, aggregate), sum) in aggregates.iter().zip(sums) {
                aggregate.add(sum, |path| documents::get(document, path));
            }
        }
        let shown = |(id, sums): (Document, Vec<Sum>)| {
            let mut group = bson::doc! { "_id": id };
            let each = aggregates.iter().zip(sums);
            group.extend(each.map(|((name, aggregate), sum)| (name.clone(), aggregate.shown(sum))));
            group
        };
        Ok(groups.into_values().map(shown).collect())
    }
}

/// What has come together of a group.
#[derive(Clone, Default)]
struct Sum {
    count: i64,
    integers: i64,
    others: f64,
    /// An integer did not fit any more, or there was a number of another type.
    is_double: bool,
    best: Option<(Vec<u8>, Bson)>,
}

impl Sum {
    fn add(&mut self, number: RawBsonRef<'_>) {
        let integer = match number {
            RawBsonRef::Int32(integer) => Some(i64::from(integer)),
            RawBsonRef::Int64(integer) => Some(integer),
            _ => None,
        };
        let Some(double) = double(number) else { return };
        self.count += 1;
        match integer.and_then(|integer| self.integers.checked_add(integer)) {
            Some(sum) => self.integers = sum,
            None => {
                self.others += double;
                self.is_double = true;
            }
        }
    }

    fn total(&self) -> f64 {
        self.integers as f64 + self.others
    }

    fn keep(&mut self, value: RawBsonRef<'_>, is_better: fn(&[u8], &[u8]) -> bool) {
        if matches!(value, RawBsonRef::Null | RawBsonRef::Undefined) {
            return;
        }
        let mut key = Vec::new();
        order_key::encode(value, Direction::Ascending, &mut key);
        if self.best.as_ref().is_none_or(|(best, _)| is_better(&key, best)) {
            self.best = Some((key, owned(value)));
        }
    }
}

impl Aggregate {
    fn add<'d>(&self, sum: &mut Sum, get: impl Fn(&FieldPath) -> Option<RawBsonRef<'d>>) {
        match self {
            Aggregate::Count => sum.count += 1,
            Aggregate::Sum(path) | Aggregate::Average(path) => {
                get(path).into_iter().for_each(|value| sum.add(value))
            }
            Aggregate::Least(path) => get(path).into_iter().for_each(|value| sum.keep(value, |a, b| a < b)),
            Aggregate::Greatest(path) => {
                get(path).into_iter().for_each(|value| sum.keep(value, |a, b| a > b))
            }
        }
    }

    fn shown(&self, sum: Sum) -> Bson {
        match self {
            Aggregate::Count => Bson::Int64(sum.count),
            Aggregate::Sum(_) if sum.is_double => Bson::Double(sum.total()),
            Aggregate::Sum(_) => Bson::Int64(sum.integers),
            Aggregate::Average(_) if sum.count == 0 => Bson::Null,
            Aggregate::Average(_) => Bson::Double(sum.total() / sum.count as f64),
            Aggregate::Least(_) | Aggregate::Greatest(_) => sum.best.map_or(Bson::Null, |(_, value)| value),
        }
    }
}

/// The values of a field, each once, in order; of an array its elements.
pub(super) fn distinct(path: &FieldPath, results: Results<'_>) -> Result<Vec<Bson>, QueryError> {
    let mut values: BTreeMap<Vec<u8>, Bson> = BTreeMap::new();
    for row in results {
        let row = row?;
        let Some(value) = document(&row).and_then(|document| documents::get(document, path)) else {
            continue;
        };
        let mut add = |value: RawBsonRef<'_>| {
            let mut key = Vec::new();
            order_key::encode(value, Direction::Ascending, &mut key);
            values.entry(key).or_insert_with(|| owned(value));
        };
        match value {
            RawBsonRef::Array(array) => array.into_iter().map_while(Result::ok).for_each(add),
            value => add(value),
        }
        if values.len() > GROUPS_MAX {
            return Err(QueryError::TooManyGroups { limit: GROUPS_MAX });
        }
    }
    Ok(values.into_values().collect())
}

fn double(number: RawBsonRef<'_>) -> Option<f64> {
    match number {
        RawBsonRef::Int32(integer) => Some(integer.into()),
        RawBsonRef::Int64(integer) => Some(integer as f64),
        RawBsonRef::Double(double) => Some(double),
        RawBsonRef::Decimal128(decimal) => decimal.to_string().parse().ok(),
        _ => None,
    }
}

fn owned(value: RawBsonRef<'_>) -> Bson {
    Bson::try_from(value).unwrap_or(Bson::Null)
}
