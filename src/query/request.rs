//! What is asked for.

use super::cursor::Cursor;
use super::prepared::Prepared;
use super::projection::Projection;
use crate::document::order_key::Direction;
use crate::document::{DocumentError, FieldPath};
use crate::filter::{Filter, FilterError};
use crate::index::definition::IndexField;
use crate::sync::Arc;

/// Sorting takes so much memory at most, unless it says otherwise.
const SORT_BYTES_MAX: usize = 64 << 20;

/// Why a query was not answered.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The filter has a mistake.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A path names no field.
    #[error(transparent)]
    Path(#[from] DocumentError),
    /// A field is in the order, in the projection or in a grouping twice.
    #[error("`{path}` is named twice, or is a part of what is named; name it once")]
    #[non_exhaustive]
    NamedTwice {
        /// The path.
        path: String,
    },
    /// A result of a grouping cannot be called so.
    #[error("a result cannot be called {name:?}: {reason}")]
    #[non_exhaustive]
    ResultName {
        /// The name.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// What is to be sorted does not fit into the memory that sorting may take.
    #[error(
        "more than {limit_bytes} bytes would have to be sorted; an index on {fields} has the order already, a limit needs less, and `Query::sort_bytes_max` allows more"
    )]
    #[non_exhaustive]
    SortTooLarge {
        /// How much it may take.
        limit_bytes: usize,
        /// The fields of an index that would help, in order.
        fields: String,
    },
    /// There is no index of this name that the query could use.
    #[error("the query cannot use an index `{name}`: {reason}")]
    #[non_exhaustive]
    CannotUse {
        /// The name.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// The cursor is none of this query.
    #[error("the cursor does not belong to the query: {reason}")]
    #[non_exhaustive]
    Cursor {
        /// Why not.
        reason: &'static str,
    },
    /// There are too many groups to keep.
    #[error("there are more than {limit} groups; filter more, or group by fewer fields")]
    #[non_exhaustive]
    TooManyGroups {
        /// How many are allowed.
        limit: usize,
    },
}

/// How the planner is told what to do.
#[derive(Clone, Debug)]
pub(super) enum Hint {
    Index(String),
    Scan,
}

/// What is made of the documents that a query gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    Documents,
    Count,
    /// Of each document no more than these fields is looked at.
    Fields(Arc<[FieldPath]>),
}

impl Answer {
    /// What a projection keeps.
    pub(crate) fn of(projection: &Projection) -> Answer {
        projection.kept_paths().map_or(Answer::Documents, |paths| Answer::Fields(paths.into()))
    }
}

/// Which documents of a collection are asked for, in which order, and how many.
///
/// Without an order, documents come as they are found. A filter alone is a query too.
///
/// ```
/// # use skipstone::{Database, Query, bson::doc, field};
/// let db = Database::in_memory();
/// let towns = db.collection("towns")?;
/// towns.insert_many([doc! { "_id": "a", "people": 3 }, doc! { "_id": "b", "people": 9 }, doc! { "_id": "c", "people": 5 }])?;
/// let query = Query::new(field("people").ge(4)).sort_desc("people").limit(10);
/// let found: Vec<_> = towns.find(query)?.into_iter().map(|town| town.id()).collect::<Result<_, _>>()?;
/// assert_eq!(found, ["b".into(), "c".into()]);
/// # Ok::<(), skipstone::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Query {
    pub(super) filter: Filter,
    /// Or the first mistake in it.
    pub(super) order: Result<Arc<Vec<IndexField>>, Box<QueryError>>,
    pub(super) offset: u64,
    pub(super) limit: Option<u64>,
    pub(super) after: Option<Box<Cursor>>,
    pub(super) sort_bytes_max: usize,
    pub(super) hint: Option<Hint>,
    pub(super) answer: Answer,
    /// The plans that it may be answered by, if it was prepared.
    pub(super) prepared: Option<Arc<Prepared>>,
}

impl Query {
    /// Documents that match a filter.
    pub fn new(filter: Filter) -> Query {
        Query {
            filter,
            order: Ok(Arc::default()),
            offset: 0,
            limit: None,
            after: None,
            sort_bytes_max: SORT_BYTES_MAX,
            hint: None,
            answer: Answer::Documents,
            prepared: None,
        }
    }

    /// All documents.
    pub fn all() -> Query {
        Query::new(Filter::all())
    }

    /// Orders by a field, smallest first; after another one, what is equal by that. Values of different types have the order of
    /// [`order_key`](crate::document::order_key); what is missing counts as null; an array by its smallest element.
    pub fn sort(self, path: &str) -> Query {
        self.sort_towards(path, Direction::Ascending)
    }

    /// The same, largest first; an array by its largest element.
    pub fn sort_desc(self, path: &str) -> Query {
        self.sort_towards(path, Direction::Descending)
    }

    /// The same, in a direction.
    pub fn sort_towards(self, path: &str, direction: Direction) -> Query {
        let order = self.order.and_then(|mut order| {
            let path: FieldPath = path.parse().map_err(|error| Box::new(QueryError::Path(error)))?;
            if order.iter().any(|field: &IndexField| field.path == path) {
                return Err(Box::new(QueryError::NamedTwice { path: path.to_string() }));
            }
            Arc::make_mut(&mut order).push(IndexField { path, direction });
            Ok(order)
        });
        Query { order, prepared: None, ..self }
    }

    /// Leaves the first so many out. They are found all the same: to go on page by page, [`Query::after`] costs less.
    pub fn skip(self, offset: u64) -> Query {
        Query { offset, ..self }
    }

    /// So many at most.
    pub fn limit(self, limit: u64) -> Query {
        Query { limit: Some(limit), ..self }
    }

    /// The same, unless it says itself that fewer are wanted.
    pub(crate) fn at_most(self, limit: u64) -> Query {
        let limit = self.limit.map_or(limit, |own| own.min(limit));
        self.limit(limit)
    }

    /// Goes on behind the document that a cursor of the same query stands at: at what there is now, wherever that document is gone to.
    pub fn after(self, cursor: Cursor) -> Query {
        Query { after: Some(Box::new(cursor)), prepared: None, ..self }
    }

    /// How many bytes sorting may take, 64 MiB if it does not say. What an index has in order already takes none.
    pub fn sort_bytes_max(self, bytes: usize) -> Query {
        Query { sort_bytes_max: bytes, prepared: None, ..self }
    }

    /// Has the planner use this index.
    pub fn use_index(self, name: impl Into<String>) -> Query {
        Query { hint: Some(Hint::Index(name.into())), prepared: None, ..self }
    }

    /// Has the planner use no index.
    pub fn use_scan(self) -> Query {
        Query { hint: Some(Hint::Scan), prepared: None, ..self }
    }

    /// The same, for this to be made of the documents.
    pub(crate) fn answering(self, answer: Answer) -> Query {
        Query { answer, ..self }
    }

    /// The same with another filter.
    pub(super) fn with_filter(&self, filter: Filter) -> Query {
        Query {
            filter,
            order: self.order.clone(),
            offset: self.offset,
            limit: self.limit,
            after: self.after.clone(),
            sort_bytes_max: self.sort_bytes_max,
            hint: self.hint.clone(),
            answer: self.answer.clone(),
            prepared: self.prepared.clone(),
        }
    }

    pub(super) fn order(&self) -> Result<&[IndexField], QueryError> {
        self.order.as_ref().map(|order| &***order).map_err(|mistake| QueryError::clone(mistake))
    }
}

impl From<Filter> for Query {
    fn from(filter: Filter) -> Query {
        Query::new(filter)
    }
}
