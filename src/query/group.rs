//! Sums over documents that have something in common, and the values of a field. Both can be made in parts, and put together in their order: the result is the same.

use super::execute::{Results, document};
use super::request::QueryError;
use super::sum::Sum;
use crate::document::order_key::{self, Direction};
use crate::document::{self as documents, FieldPath};
use bson::{Bson, Document, RawBsonRef, RawDocument};
use std::collections::BTreeMap;
use std::fmt;

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
        let by = paths.into_iter().try_fold(Vec::new(), |mut by: Vec<FieldPath>, path| {
            let path = path.parse()?;
            if by.contains(&path) {
                return Err(QueryError::NamedTwice { path: path.to_string() });
            }
            by.push(path);
            Ok(by)
        });
        Grouping { by, aggregates: Ok(Vec::new()) }
    }

    /// How many documents, as `name`: a field's name as it can be in a path, without a dot and without `$` before it. So are the names of the other results.
    pub fn count(self, name: &str) -> Grouping {
        self.with(name, || Ok(Aggregate::Count))
    }

    /// The sum of a field: of integers as Int64 if it fits, else as the double that is nearest to the exact sum. What is no number counts for nothing.
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
            if let Some(reason) = unfit(name) {
                return Err(QueryError::ResultName { name: name.to_owned(), reason });
            }
            if name == "_id" || aggregates.iter().any(|(known, _)| known == name) {
                return Err(QueryError::NamedTwice { path: name.to_owned() });
            }
            aggregates.push((name.to_owned(), aggregate()?));
            Ok(aggregates)
        });
        Grouping { aggregates, ..self }
    }

    /// The fields that are looked at.
    pub(crate) fn paths(&self) -> Result<Vec<FieldPath>, QueryError> {
        let by = self.by.as_ref().map_err(QueryError::clone)?;
        let aggregates = self.aggregates.as_ref().map_err(QueryError::clone)?;
        let of_aggregate = |(_, aggregate): &(String, Aggregate)| match aggregate {
            Aggregate::Count => None,
            Aggregate::Sum(path)
            | Aggregate::Average(path)
            | Aggregate::Least(path)
            | Aggregate::Greatest(path) => Some(path.clone()),
        };
        Ok(by.iter().cloned().chain(aggregates.iter().filter_map(of_aggregate)).collect())
    }

    /// The groups of some documents.
    pub(super) fn of(&self, results: Results<'_>) -> Result<Groups<'_>, QueryError> {
        let by = self.by.as_ref().map_err(QueryError::clone)?;
        let aggregates = self.aggregates.as_ref().map_err(QueryError::clone)?;
        let mut groups = Groups { by, aggregates, groups: BTreeMap::new() };
        if by.is_empty() {
            groups.at(&Vec::new(), Document::new)?;
        }
        let mut key = Vec::new();
        for row in results {
            if let Some(document) = document(&row) {
                groups.add(document, &mut key)?;
            }
        }
        Ok(groups)
    }
}

/// Why a result cannot be called so, if it cannot: as a field it could be asked for by no path.
fn unfit(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("it is empty"),
        name if name.starts_with('$') => Some("it begins with `$`, as operators do"),
        name if name.contains('.') => Some("it has a dot, which stands between the names of a path"),
        name if name.contains('\0') => Some("it has a zero byte, which no field's name has"),
        _ => None,
    }
}

/// Groups with what has come together of each.
pub(super) struct Groups<'g> {
    by: &'g [FieldPath],
    aggregates: &'g [(String, Aggregate)],
    groups: BTreeMap<Vec<u8>, (Document, Vec<Sums>)>,
}

impl Groups<'_> {
    fn add(&mut self, document: &RawDocument, key: &mut Vec<u8>) -> Result<(), QueryError> {
        let (by, aggregates) = (self.by, self.aggregates);
        key.clear();
        let values = by.iter().map(|path| documents::get(document, path).unwrap_or(RawBsonRef::Null));
        values.clone().for_each(|value| order_key::encode(value, Direction::Ascending, key));
        let id = || by.iter().zip(values).map(|(path, value)| (path.to_string(), owned(value))).collect();
        let sums = self.at(key, id)?;
        for ((_, aggregate), sums) in aggregates.iter().zip(sums) {
            aggregate.add(sums, |path| documents::get(document, path));
        }
        Ok(())
    }

    /// The sums of a group, which is made if it is not there.
    fn at(&mut self, key: &Vec<u8>, id: impl FnOnce() -> Document) -> Result<&mut Vec<Sums>, QueryError> {
        if !self.groups.contains_key(key) {
            if self.groups.len() == GROUPS_MAX {
                return Err(QueryError::TooManyGroups { limit: GROUPS_MAX });
            }
            self.groups.insert(key.clone(), (id(), vec![Sums::default(); self.aggregates.len()]));
        }
        Ok(&mut self.groups.get_mut(key).expect("it was put there").1)
    }

    /// The groups of these documents, and of others that come behind them.
    pub(super) fn merge(mut self, others: Self) -> Result<Self, QueryError> {
        let aggregates = self.aggregates;
        for (key, (id, more)) in others.groups {
            let sums = self.at(&key, || id)?;
            for ((_, aggregate), (sums, more)) in aggregates.iter().zip(sums.iter_mut().zip(more)) {
                aggregate.merge(sums, more);
            }
        }
        Ok(self)
    }

    /// In the order of their values.
    pub(super) fn shown(self) -> Vec<Document> {
        let aggregates = self.aggregates;
        let shown = |(id, sums): (Document, Vec<Sums>)| {
            let mut group = bson::doc! { "_id": id };
            let each = aggregates.iter().zip(sums);
            group.extend(each.map(|((name, aggregate), sums)| (name.clone(), aggregate.shown(sums))));
            group
        };
        self.groups.into_values().map(shown).collect()
    }
}

/// What has come together of a group, for one aggregate.
#[derive(Clone, Default)]
struct Sums {
    sum: Sum,
    best: Option<(Vec<u8>, Bson)>,
}

impl Sums {
    fn keep(&mut self, value: RawBsonRef<'_>, is_better: IsBetter) {
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

type IsBetter = fn(&[u8], &[u8]) -> bool;

impl Aggregate {
    fn add<'d>(&self, sums: &mut Sums, get: impl Fn(&FieldPath) -> Option<RawBsonRef<'d>>) {
        match self {
            Aggregate::Count => sums.sum.count += 1,
            Aggregate::Sum(path) | Aggregate::Average(path) => {
                get(path).into_iter().for_each(|value| sums.sum.add(value))
            }
            Aggregate::Least(path) | Aggregate::Greatest(path) => {
                get(path).into_iter().for_each(|value| sums.keep(value, self.is_better()))
            }
        }
    }

    fn is_better(&self) -> IsBetter {
        match self {
            Aggregate::Greatest(_) => |a, b| a > b,
            _ => |a, b| a < b,
        }
    }

    /// Adds what came together of later documents: of equal values the first stays.
    fn merge(&self, sums: &mut Sums, later: Sums) {
        sums.sum.merge(&later.sum);
        let best = later
            .best
            .filter(|(key, _)| sums.best.as_ref().is_none_or(|(best, _)| (self.is_better())(key, best)));
        sums.best = best.or(sums.best.take());
    }

    fn shown(&self, Sums { sum, best }: Sums) -> Bson {
        match self {
            Aggregate::Count => Bson::Int64(sum.count),
            Aggregate::Sum(_) => sum.integer().map_or_else(|| Bson::Double(sum.double()), Bson::Int64),
            Aggregate::Average(_) if sum.count == 0 => Bson::Null,
            Aggregate::Average(_) => Bson::Double(sum.double() / sum.count as f64),
            Aggregate::Least(_) | Aggregate::Greatest(_) => best.map_or(Bson::Null, |(_, value)| value),
        }
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Aggregate::Count => write!(f, "count"),
            Aggregate::Sum(path) => write!(f, "sum({path})"),
            Aggregate::Average(path) => write!(f, "avg({path})"),
            Aggregate::Least(path) => write!(f, "min({path})"),
            Aggregate::Greatest(path) => write!(f, "max({path})"),
        }
    }
}

/// Values, each once, in their order.
#[derive(Default)]
pub(super) struct Values(BTreeMap<Vec<u8>, Bson>);

impl Values {
    /// The values of a field; of an array its elements.
    pub(super) fn of(path: &FieldPath, results: Results<'_>) -> Result<Values, QueryError> {
        let mut values = Values::default();
        let mut key = Vec::new();
        for row in results {
            let Some(value) = document(&row).and_then(|document| documents::get(document, path)) else {
                continue;
            };
            match value {
                RawBsonRef::Array(array) => {
                    array.into_iter().map_while(Result::ok).for_each(|value| values.add(value, &mut key))
                }
                value => values.add(value, &mut key),
            }
            values.check()?;
        }
        Ok(values)
    }

    fn add(&mut self, value: RawBsonRef<'_>, key: &mut Vec<u8>) {
        key.clear();
        order_key::encode(value, Direction::Ascending, key);
        if !self.0.contains_key(key) {
            self.0.insert(key.clone(), owned(value));
        }
    }

    fn check(&self) -> Result<(), QueryError> {
        let are_few = self.0.len() <= GROUPS_MAX;
        are_few.then_some(()).ok_or(QueryError::TooManyGroups { limit: GROUPS_MAX })
    }

    /// These, and those of documents that come behind.
    pub(super) fn merge(mut self, others: Self) -> Result<Self, QueryError> {
        for (key, value) in others.0 {
            self.0.entry(key).or_insert(value);
        }
        self.check()?;
        Ok(self)
    }

    pub(super) fn shown(self) -> Vec<Bson> {
        self.0.into_values().collect()
    }
}

/// What is made of all results together, for whoever explains it.
#[derive(Clone, Copy)]
pub(crate) enum Summary<'q> {
    Groups(&'q Grouping),
    Values(&'q FieldPath),
}

impl Summary<'_> {
    /// The fields that are looked at.
    pub(crate) fn paths(self) -> Result<Vec<FieldPath>, QueryError> {
        match self {
            Summary::Groups(grouping) => grouping.paths(),
            Summary::Values(path) => Ok(vec![path.clone()]),
        }
    }

    /// How many groups or values there are.
    pub(super) fn count(self, results: Results<'_>) -> Result<u64, QueryError> {
        let count = match self {
            Summary::Groups(grouping) => grouping.of(results)?.groups.len(),
            Summary::Values(path) => Values::of(path, results)?.0.len(),
        };
        Ok(count as u64)
    }

    /// What the step is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Summary::Groups(_) => "group",
            Summary::Values(_) => "distinct",
        }
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grouping = match self {
            Summary::Groups(grouping) => grouping,
            Summary::Values(path) => return write!(f, "values of {path}"),
        };
        let by: Vec<_> = grouping.by.iter().flatten().map(ToString::to_string).collect();
        match &by[..] {
            [] => write!(f, "all together")?,
            by => write!(f, "by {}", by.join(", "))?,
        }
        let aggregates = grouping.aggregates.iter().flatten();
        aggregates.enumerate().try_for_each(|(at, (name, aggregate))| {
            write!(f, "{} {name} = {aggregate}", if at == 0 { ":" } else { "," })
        })
    }
}

fn owned(value: RawBsonRef<'_>) -> Bson {
    Bson::try_from(value).unwrap_or(Bson::Null)
}
