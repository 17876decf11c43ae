//! What an index is: fields in an order, and how it treats documents that share them or lack them.

use crate::document::order_key::Direction;
use crate::document::{DocumentError, FieldPath};
use crate::filter::read::why_unusable;
use crate::filter::{Filter, FilterError};
use bson::{Bson, RawDocument, doc};

/// The most fields that an index may have.
const FIELDS_MAX: usize = 32;

/// The definition of a secondary index.
///
/// Documents are ordered by the fields, one after the other: values of all types, by the order of [`order_key`](crate::document::order_key). A field that a document lacks counts as null.
/// An array has an entry for each of its elements, and so do the documents within one; an empty one counts as undefined. Only one field of an index may lead to several values.
///
/// ```
/// use skipstone::Index;
///
/// let index = Index::on("country")?.and_descending("people")?;
/// assert_eq!(index.name(), "country_people_desc");
/// # Ok::<(), skipstone::DocumentError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Index {
    name: Option<String>,
    fields: Vec<IndexField>,
    unique: bool,
    sparse: bool,
    filter: Option<Filter>,
    /// Whether its entries say how fields are made again from them. Those of indexes that were created by earlier versions do not.
    restorable: bool,
}

/// A field of an index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IndexField {
    /// Where it is in a document.
    pub path: FieldPath,
    /// In which direction the index orders it.
    pub direction: Direction,
}

impl Index {
    const EMPTY: Index = Index {
        name: None,
        fields: Vec::new(),
        unique: false,
        sparse: false,
        filter: None,
        restorable: true,
    };

    /// On a field, smallest first.
    ///
    /// # Errors
    /// A path that names no field, or one that no filter can ask for: it begins with `$`.
    pub fn on(path: &str) -> Result<Index, DocumentError> {
        Index::EMPTY.with(path, Direction::Ascending)
    }

    /// On a field, largest first.
    ///
    /// # Errors
    /// A path that names no field, or one that no filter can ask for: it begins with `$`.
    pub fn on_descending(path: &str) -> Result<Index, DocumentError> {
        Index::EMPTY.with(path, Direction::Descending)
    }

    /// Orders what is equal so far by another field, smallest first.
    ///
    /// # Errors
    /// A path that names no field, one that no filter can ask for, or one that is there already; more than 32 fields.
    pub fn and(self, path: &str) -> Result<Index, DocumentError> {
        self.with(path, Direction::Ascending)
    }

    /// Orders what is equal so far by another field, largest first.
    ///
    /// # Errors
    /// A path that names no field, one that no filter can ask for, or one that is there already; more than 32 fields.
    pub fn and_descending(self, path: &str) -> Result<Index, DocumentError> {
        self.with(path, Direction::Descending)
    }

    fn with(mut self, path: &str, direction: Direction) -> Result<Index, DocumentError> {
        let field = IndexField { path: path.parse()?, direction };
        let problem = |reason| Err(DocumentError::Path { path: path.to_owned(), reason });
        if let Some(reason) = why_unusable(&field.path) {
            return problem(reason);
        }
        if self.fields.iter().any(|known| known.path == field.path) {
            return problem("it is in the index already");
        }
        if self.fields.len() == FIELDS_MAX {
            return problem("an index has 32 fields at most");
        }
        self.fields.push(field);
        Ok(self)
    }

    /// No two documents may have the same values in all fields. A field that is missing is a value too, null; make it sparse to let documents without the fields be.
    pub fn unique(mut self) -> Index {
        self.unique = true;
        self
    }

    /// Documents that have none of the fields are left out.
    pub fn sparse(mut self) -> Index {
        self.sparse = true;
        self
    }

    /// Documents that do not match the filter are left out. A query can use the index if its filter asks for what this one does, and perhaps more.
    ///
    /// # Errors
    /// A filter that was built with a mistake.
    pub fn partial(mut self, filter: Filter) -> Result<Index, FilterError> {
        filter.check()?;
        self.filter = Some(filter);
        Ok(self)
    }

    /// Gives it a name, instead of one that is made of its fields.
    pub fn named(mut self, name: impl Into<String>) -> Index {
        self.name = Some(name.into());
        self
    }

    /// The name: what was given, or the paths of its fields, joined by underscores, with `_desc` behind those that are descending.
    pub fn name(&self) -> String {
        let of_field = |field: &IndexField| match field.direction {
            Direction::Ascending => field.path.to_string(),
            Direction::Descending => format!("{}_desc", field.path),
        };
        let made = || self.fields.iter().map(of_field).collect::<Vec<_>>().join("_");
        self.name.clone().unwrap_or_else(made)
    }

    /// Its fields, in order.
    pub fn fields(&self) -> &[IndexField] {
        &self.fields
    }

    /// Whether no two documents may have the same values.
    pub fn is_unique(&self) -> bool {
        self.unique
    }

    /// Whether documents that have none of the fields are left out.
    pub fn is_sparse(&self) -> bool {
        self.sparse
    }

    /// Which documents it holds, if not all.
    pub fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    pub(crate) fn is_restorable(&self) -> bool {
        self.restorable
    }

    /// As an earlier version made it.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(crate) fn of_an_earlier_version(self) -> Index {
        Index { restorable: false, ..self }
    }

    /// As the catalog has it, but for the name.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let fields = self.fields.iter().map(|field| {
            let segments = field.path.segments().iter().map(|segment| Bson::from(segment.as_str()));
            let descending = field.direction == Direction::Descending;
            Bson::from(doc! { "path": segments.collect::<Vec<_>>(), "descending": descending })
        });
        let fields = fields.collect::<Vec<_>>();
        let mut definition = doc! { "fields": fields, "unique": self.unique, "sparse": self.sparse };
        if let Some(filter) = &self.filter {
            definition.insert("filter", filter.to_document().expect("it was checked"));
        }
        if self.restorable {
            definition.insert("restorable", true);
        }
        bson::serialize_to_vec(&definition).expect("a definition is a small document")
    }

    /// Reads what the catalog has, which may be anything.
    pub(crate) fn decode(name: &str, bytes: &[u8]) -> Option<Index> {
        let raw = RawDocument::from_bytes(bytes).ok()?;
        let mut fields = Vec::new();
        for field in raw.get_array("fields").ok()? {
            let field = field.ok()?.as_document()?;
            let segments = field.get_array("path").ok()?.into_iter();
            let segments = segments.map(|segment| Some(segment.ok()?.as_str()?.to_owned()));
            let path = FieldPath::from_segments(segments.collect::<Option<Vec<_>>>()?).ok()?;
            let direction = match field.get_bool("descending").ok()? {
                true => Direction::Descending,
                false => Direction::Ascending,
            };
            fields.push(IndexField { path, direction });
        }
        let filter = match raw.get("filter").ok()? {
            None => None,
            Some(filter) => Some(Filter::from_document(filter.as_document()?).ok()?),
        };
        let restorable = match raw.get("restorable").ok()? {
            None => false,
            Some(restorable) => restorable.as_bool()?,
        };
        let is_sound = (1..=FIELDS_MAX).contains(&fields.len());
        is_sound.then_some(Index {
            name: Some(name.to_owned()),
            fields,
            unique: raw.get_bool("unique").ok()?,
            sparse: raw.get_bool("sparse").ok()?,
            filter,
            restorable,
        })
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_wrote_and_refuses_what_is_cut() {
        let index = Index::on("a.b").unwrap().and_descending("c").unwrap().unique().sparse().named("x");
        let index = index.partial(crate::filter::field("d").ge(1)).unwrap();
        let bytes = index.encode();
        let read = Index::decode("x", &bytes).unwrap();
        assert_eq!((read.name(), read.encode()), (index.name(), bytes.clone()));
        for len in 0..bytes.len() {
            assert!(Index::decode("x", &bytes[..len]).is_none(), "{len} bytes");
        }
        let earlier =
            doc! { "fields": [{ "path": ["a"], "descending": false }], "unique": false, "sparse": false };
        let earlier = Index::decode("x", &bson::serialize_to_vec(&earlier).unwrap()).unwrap();
        assert_eq!((earlier.is_restorable(), read.is_restorable()), (false, true));
        let senseless = bson::serialize_to_vec(&doc! { "fields": [], "unique": false, "sparse": false });
        assert!(Index::decode("x", &senseless.unwrap()).is_none());
    }

    #[test]
    fn paths_that_name_nothing_or_are_there_twice_are_refused() {
        assert!(Index::on("").is_err());
        for path in ["$x", "$", "$x.a"] {
            let refused = Index::on("a").unwrap().and(path).unwrap_err();
            assert!(matches!(&refused, DocumentError::Path { path: of, .. } if of == path), "{refused}");
            assert!(Index::on(path).is_err() && Index::on_descending(path).is_err());
            assert!(crate::filter::field(path).eq(1).check().is_err());
        }
        // What a filter can ask for can be indexed.
        for path in ["a.$x", "a.0", "x$", "a..b", "."] {
            assert!(Index::on(path).is_ok() && crate::filter::field(path).eq(1).check().is_ok(), "{path}");
        }
        assert!(Index::on("a").unwrap().and_descending("a").is_err());
        let many = (0..FIELDS_MAX - 1).try_fold(Index::on("f").unwrap(), |i, n| i.and(&format!("f{n}")));
        assert!(many.unwrap().and("one_more").is_err());
    }
}
