//! The builder: operators on a field, each of them a filter.
//!
//! Comparisons are made of their operand (`operand`). Every other method says its operator as a document would, and hands it to the reader of documents. So there is one
//! meaning of an operator, and one place that checks its operand.

use bson::{Bson, doc};

use super::operand::Operand;
use super::pattern::{prefix_pattern, substring_pattern};
use super::read::{self, usable_path};
use super::tree::Comparison;
use super::{Filter, FilterError, LIMITS};
use crate::document::{DocumentError, FieldPath, IntoDocument};

/// The field that a path leads to, for a condition on it.
///
/// ```
/// use skipstone::{bson::rawdoc, field};
///
/// let spas = field("tags").eq("spa").and(field("mayor.since").lt(2020));
/// assert!(spas.matches(&rawdoc! { "tags": ["cathedral", "spa"], "mayor": { "since": 2009 } }));
/// ```
///
/// A path that is none is reported by [`Filter::check`].
pub fn field<P: TryInto<FieldPath>>(path: P) -> FilterField
where
    DocumentError: From<P::Error>,
{
    let path = path.try_into().map_err(|error| FilterError::from_path(error.into()));
    FilterField { path: path.and_then(usable_path).map(Some) }
}

/// An element of an array, itself, for a condition within [`elem_match`](FilterField::elem_match).
///
/// ```
/// use skipstone::{bson::rawdoc, element, field};
///
/// let one_grade_in_range = field("grades").elem_match(element().ge(80).and(element().lt(85)));
/// assert!(one_grade_in_range.matches(&rawdoc! { "grades": [70, 82] }));
/// assert!(!one_grade_in_range.matches(&rawdoc! { "grades": [70, 90] }));
/// ```
pub fn element() -> FilterField {
    FilterField { path: Ok(None) }
}

/// What a condition is about: made by [`field`] and [`element`]. Each method is a condition on it.
#[derive(Debug, Clone)]
#[must_use]
pub struct FilterField {
    path: Result<Option<FieldPath>, FilterError>,
}

impl FilterField {
    /// Equal; null is also equal to a field that is not there.
    pub fn eq(self, value: impl Into<Operand>) -> Filter {
        self.compare(Comparison::Equal, value.into())
    }

    /// No value is equal.
    pub fn ne(self, value: impl Into<Operand>) -> Filter {
        self.eq(value).not()
    }

    /// Less, and of the same type.
    pub fn lt(self, value: impl Into<Operand>) -> Filter {
        self.compare(Comparison::Less, value.into())
    }

    /// Less or equal, and of the same type.
    pub fn le(self, value: impl Into<Operand>) -> Filter {
        self.compare(Comparison::LessOrEqual, value.into())
    }

    /// Greater, and of the same type.
    pub fn gt(self, value: impl Into<Operand>) -> Filter {
        self.compare(Comparison::Greater, value.into())
    }

    /// Greater or equal, and of the same type.
    pub fn ge(self, value: impl Into<Operand>) -> Filter {
        self.compare(Comparison::GreaterOrEqual, value.into())
    }

    /// Equal to one of these. A regular expression among them stands for the text that it matches.
    ///
    /// Costs a binary search in the list.
    pub fn in_<V: Into<Bson>>(self, values: impl IntoIterator<Item = V>) -> Filter {
        self.operator("$in", list(values))
    }

    /// No value is equal to any of these.
    pub fn not_in<V: Into<Bson>>(self, values: impl IntoIterator<Item = V>) -> Filter {
        self.in_(values).not()
    }

    /// There, be it null.
    pub fn exists(self) -> Filter {
        self.operator("$exists", true)
    }

    /// Of a type, or one of a list of types, by MongoDB's names or numbers; `number` is any type of number.
    ///
    /// ```
    /// use skipstone::{bson::rawdoc, field};
    ///
    /// assert!(field("n").type_("number").matches(&rawdoc! { "n": 1.5 }));
    /// assert!(!field("n").type_(vec!["int", "long"]).matches(&rawdoc! { "n": 1.5 }));
    /// ```
    pub fn type_(self, types: impl Into<Bson>) -> Filter {
        self.operator("$type", types)
    }

    /// Text that begins so. Written as a regular expression.
    pub fn starts_with(self, prefix: &str) -> Filter {
        self.regex(&prefix_pattern(prefix))
    }

    /// Text in which this stands somewhere. Written as a regular expression.
    pub fn contains(self, text: &str) -> Filter {
        self.regex(&substring_pattern(text))
    }

    /// Text that a regular expression matches somewhere; or a stored regular expression that is the same.
    ///
    /// The syntax is that of the `regex` crate, without look-around and backreferences. `(?i)` in front makes it blind to case.
    pub fn regex(self, pattern: &str) -> Filter {
        self.operator("$regex", pattern)
    }

    /// The same with options: `i` blind to case, `m` `^` and `$` at each line, `s` the dot matches a line's end too, `x` white space and comments do not count.
    pub fn regex_with(self, pattern: &str, options: &str) -> Filter {
        self.operators(doc! { "$regex": pattern, "$options": options })
    }

    /// An array of this many elements.
    pub fn size(self, elements: u32) -> Filter {
        self.operator("$size", elements)
    }

    /// Has all of these: for an array, each is equal to an element. A regular expression among them stands for the text that it matches. Without any value nothing matches.
    pub fn all<V: Into<Bson>>(self, values: impl IntoIterator<Item = V>) -> Filter {
        self.operator("$all", list(values))
    }

    /// An array of which one element alone meets the whole condition: by its fields ([`field`]), or itself ([`element`]).
    ///
    /// ```
    /// use skipstone::{bson::rawdoc, field};
    ///
    /// let order = field("items").elem_match(field("sku").eq("A7").and(field("count").ge(3)));
    /// assert!(order.matches(&rawdoc! { "items": [{ "sku": "A7", "count": 5 }] }));
    /// assert!(!order.matches(&rawdoc! { "items": [{ "sku": "A7", "count": 1 }, { "sku": "B2", "count": 5 }] }));
    /// ```
    pub fn elem_match(self, condition: Filter) -> Filter {
        let outcome = self.path.and_then(|path| condition.into_tree()?.into_element_of(path.as_ref()));
        Filter::of(outcome)
    }

    fn compare(self, comparison: Comparison, operand: Operand) -> Filter {
        Filter::of(self.path.and_then(|path| operand.test(path.as_ref(), comparison)))
    }

    fn operator(self, name: &str, operand: impl Into<Bson>) -> Filter {
        self.operators(doc! { name: operand.into() })
    }

    fn operators(self, document: bson::Document) -> Filter {
        let outcome = self.path.and_then(|path| {
            let raw = document.into_document(&LIMITS)?;
            read::read_operators(path.as_ref(), &raw).map_err(|error| match &path {
                Some(path) => error.within(&path.to_string()),
                None => error,
            })
        });
        Filter::of(outcome)
    }
}

fn list<V: Into<Bson>>(values: impl IntoIterator<Item = V>) -> Bson {
    Bson::Array(values.into_iter().map(Into::into).collect())
}
