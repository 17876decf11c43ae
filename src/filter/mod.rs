//! Filters: conditions on documents, asked of raw BSON in place.
//!
//! | module | job |
//! | --- | --- |
//! | `field` | the builder |
//! | `operand` | what a field is compared with: a value, or one that is given later |
//! | `read`, `write` | from MongoDB's query syntax, and back to it |
//! | `tree` | the one normal form that both lead to, and its limits |
//! | `evaluate`, `walk` | whether a document matches; which values a path leads to |
//! | `pattern`, `types` | regular expressions; sets of BSON types |
//!
//! Each condition on a path is a test that one of the values that the path leads to has to pass; all else is `and`, `or` and `not` of such tests. So `$ne` is
//! "no value is equal", and `$all` several tests. `docs/filters.md` has the semantics, with examples that are tests.
//!
//! # What it does not do
//!
//! It plans nothing, computes nothing (`$expr`, `$where`, `$mod`), and knows no collation.

mod error;
mod evaluate;
mod field;
mod operand;
mod pattern;
pub(crate) mod read;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
pub(crate) mod tree;
mod types;
pub(crate) mod walk;
pub(crate) mod write;

use std::fmt;
use std::str::FromStr;

use bson::{Bson, Document, RawBsonRef, RawDocument};

use self::tree::{Subject, Tree};
use crate::document::{self, IntoDocument, Json, Limits};
use crate::sync::Arc;

pub use error::FilterError;
pub use field::{FilterField, element, field};
pub use operand::{Operand, param};

/// A filter is itself a document, of any depth that a document can have.
const LIMITS: Limits = Limits { max_document_bytes: 16 << 20, max_depth: Limits::DEPTH_CEILING };

/// A condition that a document meets or does not meet.
///
/// It is built from [`field`], or read from MongoDB's query syntax; both are the same thing in the end, and it can be written again in that
/// syntax.
///
/// ```
/// use skipstone::bson::{doc, rawdoc};
/// use skipstone::{Filter, field};
///
/// let built = field("age").ge(30).and(field("city").eq("Nairobi"));
/// let read: Filter = r#"{"age": {"$gte": 30}, "city": "Nairobi"}"#.parse()?;
/// assert_eq!(built.to_document()?, read.to_document()?);
///
/// assert!(built.matches(&rawdoc! { "age": 41, "city": "Nairobi" }));
/// assert!(built.matches(&rawdoc! { "age": 30.5, "city": ["Mombasa", "Nairobi"] }));
/// assert!(!built.matches(&rawdoc! { "age": "41", "city": "Nairobi" }));
/// # Ok::<(), skipstone::FilterError>(())
/// ```
///
/// # What a path leads to
///
/// A path goes through objects by name. An array on the way is asked for its elements: each object in it is asked for the rest of
/// the path, and a segment that is a number also names the element of that position. An array at the end stands for each of its elements, and for itself.
/// A test holds if one of these values passes it. A negated one (`ne`, `nin`, [`not`](Filter::not)) holds if none does.
///
/// # How values compare
///
/// By [`order_key`](crate::document::order_key): numbers of all types by value. `lt`, `le`, `gt` and `ge` hold only between values of one type (numbers are one type,
/// strings and symbols too), and never for NaN, but that it is `le` and `ge` itself. Null, undefined and a field that is not there are the same. MinKey and
/// MaxKey are below and above everything.
///
/// # Mistakes in building
///
/// A path that is none, a regular expression that does not compile: the builder keeps the first such mistake, and [`check`](Filter::check) reports it. Whatever takes a filter
/// checks it first. A filter with a mistake matches nothing, negated or not. A filter that was read has none.
#[derive(Debug, Clone)]
#[must_use]
pub struct Filter {
    /// Boxed, for queries are moved about.
    outcome: Result<Arc<Tree>, Box<FilterError>>,
}

impl Filter {
    /// The filter that every document matches: `{}`.
    pub fn all() -> Filter {
        Filter::of(Ok(Tree::all()))
    }

    /// Reads MongoDB's query syntax, from BSON, JSON or any serde type; extended JSON forms such as `{"$oid": "…"}` are values.
    ///
    /// Understood are `$and`, `$or`, `$nor`, `$not`, `$eq`, `$ne`, `$lt`, `$lte`, `$gt`, `$gte`, `$in`, `$nin`, `$exists`, `$type`, `$regex` with `$options`, `$elemMatch`,
    /// `$size` and `$all`; a value, or a regular expression, in the place of operators; several entries for `$and`.
    ///
    /// ```
    /// use skipstone::bson::doc;
    /// use skipstone::{Filter, FilterError};
    ///
    /// let filter = Filter::from_document(doc! { "tags": { "$in": ["spa", "coast"] }, "mayor.since": { "$lt": 2020 } })?;
    /// assert!(filter.matches(&skipstone::bson::rawdoc! { "tags": ["coast"], "mayor": { "since": 2011 } }));
    ///
    /// let refused = Filter::from_document(doc! { "$or": [{ "age": { "$above": 30 } }] }).unwrap_err();
    /// assert!(matches!(&refused, FilterError::Operator { at, .. } if at == "$or.0.age.$above"));
    /// # Ok::<(), FilterError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Every [`FilterError`], with the place in the filter and what is allowed there.
    pub fn from_document(document: impl IntoDocument) -> Result<Filter, FilterError> {
        let tree = read::read(&document.into_document(&LIMITS)?)?;
        Ok(Filter::of(Ok(tree)))
    }

    /// In MongoDB's query syntax, in a normal form: what reading it and writing it again does not change.
    ///
    /// # Errors
    ///
    /// Those of [`check`](Filter::check).
    pub fn to_document(&self) -> Result<Document, FilterError> {
        self.checked_tree().map(|tree| write::write(&tree.node))
    }

    /// Whether a document matches. It is read in place, as far as the paths need it.
    ///
    /// Allocates nothing, unless decimals are compared or a regular expression needs room. What cannot be read of a malformed document counts as not there.
    pub fn matches(&self, document: &RawDocument) -> bool {
        self.checked_tree().is_ok_and(|tree| tree.node.matches(RawBsonRef::Document(document)))
    }

    /// Whether it was built without a mistake.
    ///
    /// ```
    /// use skipstone::{FilterError, field};
    ///
    /// let filter = field("name").regex("(unclosed").not().or(field("age").ge(30));
    /// assert!(matches!(filter.check(), Err(FilterError::Regex { at, .. }) if at == "name.$regex"));
    /// ```
    ///
    /// # Errors
    ///
    /// The first mistake; [`FilterError::Element`] if [`element`] stands outside [`elem_match`](FilterField::elem_match).
    pub fn check(&self) -> Result<(), FilterError> {
        self.checked_tree().map(drop)
    }

    /// Both.
    pub fn and(self, other: Filter) -> Filter {
        self.join(other, Tree::and)
    }

    /// One of the two, or both.
    pub fn or(self, other: Filter) -> Filter {
        self.join(other, Tree::or)
    }

    /// What this one does not match.
    #[expect(clippy::should_implement_trait, reason = "it goes on with the sentence: field(…).eq(…).not()")]
    pub fn not(self) -> Filter {
        Filter::of(self.into_tree().and_then(Tree::not))
    }

    fn join(self, other: Filter, join: fn(Tree, Tree) -> Result<Tree, FilterError>) -> Filter {
        Filter::of(self.into_tree().and_then(|one| join(one, other.into_tree()?)))
    }

    fn of(outcome: Result<Tree, FilterError>) -> Filter {
        Filter { outcome: outcome.map(Arc::new).map_err(Box::new) }
    }

    fn into_tree(self) -> Result<Tree, FilterError> {
        self.outcome.map(Arc::unwrap_or_clone).map_err(|mistake| *mistake)
    }

    /// How many values are to be given for its parameters.
    pub(crate) fn parameters(&self) -> usize {
        self.outcome.as_ref().map_or(0, |tree| tree.parameters)
    }

    /// The same with values in the place of its parameters, which must be as many.
    pub(crate) fn bound(&self, values: impl IntoIterator<Item = Bson>) -> Result<Filter, FilterError> {
        let tree = self.outcome.as_ref().map_err(|mistake| FilterError::clone(mistake))?;
        let (values, levels) = operand::raw_values(values)?;
        if values.len() != tree.parameters {
            return Err(FilterError::Values { expected: tree.parameters, given: values.len() });
        }
        Ok(Filter::of(Ok(tree.bound(&values, levels)?)))
    }

    pub(crate) fn checked_tree(&self) -> Result<&Tree, FilterError> {
        match &self.outcome {
            Ok(tree) if tree.subject == Some(Subject::Element) => {
                Err(FilterError::Element { reason: "it stands outside elem_match" })
            }
            Ok(tree) if tree.parameters > 0 => {
                Err(FilterError::Values { expected: tree.parameters, given: 0 })
            }
            Ok(tree) => Ok(tree),
            Err(mistake) => Err(FilterError::clone(mistake)),
        }
    }
}

impl Default for Filter {
    /// [`Filter::all`].
    fn default() -> Filter {
        Filter::all()
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    /// [`Filter::from_document`] of JSON.
    fn from_str(json: &str) -> Result<Filter, FilterError> {
        Filter::from_document(Json(json))
    }
}

impl fmt::Display for Filter {
    /// [`Filter::to_document`] as a line of relaxed extended JSON; of a filter with a mistake, what is wrong.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_json() {
            Ok(json) => f.write_str(&json),
            Err(error) => write!(f, "no filter: {error}"),
        }
    }
}

impl Filter {
    fn to_json(&self) -> Result<String, FilterError> {
        let raw = self.to_document()?.into_document(&LIMITS)?;
        let mut json = Vec::new();
        document::raw_to_json(&raw, &mut json)?;
        Ok(String::from_utf8(json).expect("the writer writes UTF-8"))
    }
}
