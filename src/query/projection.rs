//! Which fields of a document are wanted: a pure function of raw BSON.
//!
//! The paths make a tree of names; a name without any below it is the end of a path. What the tree says of a document holds for each
//! document in an array, in arrays of arrays too, so that a number in a path is a name like any other.

use super::request::QueryError;
use crate::document::{DocumentError, FieldPath, ID_FIELD, Limits};
use bson::raw::CStr;
use bson::{RawArray, RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf};
use smallvec::SmallVec;
use std::collections::BTreeMap;

/// The fields that are wanted of a document.
///
/// Either those that are named, or all but those. `_id` is there unless it is left out. Fields keep their order; of several of one name the first
/// counts. A path goes through arrays: it means
/// the field in each document of the array. What else such an array has (numbers, say) is not on the path: it goes when fields are named to be kept, and stays when they
/// are named to be left out.
///
/// ```
/// use skipstone::Projection;
/// use skipstone::bson::rawdoc;
///
/// let town = rawdoc! { "_id": "ac", "name": "Aachen", "sights": [{ "name": "Dom", "year": 805 }, { "name": "Rathaus", "year": 1349 }] };
/// let some = Projection::include(["sights.name"])?.without_id();
/// assert_eq!(some.apply(&town)?, rawdoc! { "sights": [{ "name": "Dom" }, { "name": "Rathaus" }] });
/// let others = Projection::exclude(["sights.name", "name"])?;
/// assert_eq!(others.apply(&town)?, rawdoc! { "_id": "ac", "sights": [{ "year": 805 }, { "year": 1349 }] });
/// # Ok::<(), skipstone::QueryError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Projection {
    keeps: Keeps,
    named: Names,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Keeps {
    Named,
    Others,
}

/// The names at one level, with those below them.
#[derive(Clone, Default, Debug)]
struct Names(BTreeMap<String, Names>);

impl Projection {
    /// Keeps these fields, and `_id`.
    ///
    /// With no path: `_id` alone. Naming `_id` changes nothing.
    ///
    /// # Errors
    /// [`QueryError::Path`]; [`QueryError::NamedTwice`] for a path that is there twice, or leads through another one.
    pub fn include<'p>(paths: impl IntoIterator<Item = &'p str>) -> Result<Projection, QueryError> {
        let mut named = Names::of([ID_FIELD])?;
        for path in paths.into_iter().filter(|path| *path != ID_FIELD) {
            named.add(path)?;
        }
        Ok(Projection { keeps: Keeps::Named, named })
    }

    /// Keeps all but these fields. With `_id` among them it goes too.
    ///
    /// # Errors
    /// As [`Projection::include`].
    pub fn exclude<'p>(paths: impl IntoIterator<Item = &'p str>) -> Result<Projection, QueryError> {
        Ok(Projection { keeps: Keeps::Others, named: Names::of(paths)? })
    }

    /// Leaves `_id` out.
    pub fn without_id(mut self) -> Projection {
        match self.keeps {
            Keeps::Named => drop(self.named.0.remove(ID_FIELD)),
            Keeps::Others => drop(self.named.0.insert(ID_FIELD.to_owned(), Names::default())),
        }
        self
    }

    /// The paths of all that it keeps, if it says that.
    pub(crate) fn kept_paths(&self) -> Option<Vec<FieldPath>> {
        let mut paths = Vec::new();
        self.named.add_paths(&mut Vec::new(), &mut paths);
        (self.keeps == Keeps::Named).then_some(paths)
    }

    /// What is wanted of a document. Costs a copy of that, once for each level that a path goes down.
    ///
    /// # Errors
    /// A malformed document; one that is deeper than any that can be stored.
    pub fn apply(&self, document: &RawDocument) -> Result<RawDocumentBuf, QueryError> {
        Ok(self.keeps.of_document(document, &self.named, Limits::DEPTH_CEILING)?)
    }
}

impl Names {
    fn of<'p>(paths: impl IntoIterator<Item = &'p str>) -> Result<Names, QueryError> {
        let mut names = Names::default();
        paths.into_iter().try_for_each(|path| names.add(path))?;
        Ok(names)
    }

    /// Adds the paths that go on from here.
    fn add_paths(&self, way: &mut Vec<String>, paths: &mut Vec<FieldPath>) {
        for (name, below) in &self.0 {
            way.push(name.clone());
            match below.0.is_empty() {
                true => paths.push(FieldPath::from_segments(&*way).expect("it was made of a path")),
                false => below.add_paths(way, paths),
            }
            way.pop();
        }
    }

    fn add(&mut self, path: &str) -> Result<(), QueryError> {
        let parsed: FieldPath = path.parse()?;
        let (mut level, mut is_new) = (self, false);
        for segment in parsed.segments() {
            // What was there before and has nothing below it is the end of a path, which this one would lead through.
            if !is_new && !level.0.contains_key(segment) {
                is_new = true;
            } else if !is_new && level.0[segment].0.is_empty() {
                break;
            }
            level = level.0.entry(segment.clone()).or_default();
        }
        match is_new {
            true => Ok(()),
            false => Err(QueryError::NamedTwice { path: path.to_owned() }),
        }
    }
}

impl Keeps {
    fn of_document(
        self,
        document: &RawDocument,
        names: &Names,
        depth_left: usize,
    ) -> Result<RawDocumentBuf, DocumentError> {
        let deeper = below(depth_left)?;
        let (mut kept, mut met) = (RawDocumentBuf::new(), SmallVec::<[&CStr; 8]>::new());
        for element in document {
            let (name, value) = element.map_err(malformed)?;
            let named = names.0.get(name.as_str());
            if self == Keeps::Named && named.is_some() {
                // Of several fields of one name the first counts, whatever it is.
                if met.contains(&name) {
                    continue;
                }
                met.push(name);
            }
            match named {
                None if self == Keeps::Named => {}
                None => kept.append(name, value),
                Some(end) if end.0.is_empty() => {
                    if self == Keeps::Named {
                        kept.append(name, value);
                    }
                }
                Some(names) => match value {
                    RawBsonRef::Document(inner) => kept.append(name, self.of_document(inner, names, deeper)?),
                    RawBsonRef::Array(inner) => kept.append(name, self.of_array(inner, names, deeper)?),
                    other if self == Keeps::Others => kept.append(name, other),
                    _ => {}
                },
            }
        }
        Ok(kept)
    }

    fn of_array(
        self,
        array: &RawArray,
        names: &Names,
        depth_left: usize,
    ) -> Result<RawArrayBuf, DocumentError> {
        let deeper = below(depth_left)?;
        let mut kept = RawArrayBuf::new();
        for element in array {
            match element.map_err(malformed)? {
                RawBsonRef::Document(inner) => kept.push(self.of_document(inner, names, deeper)?),
                RawBsonRef::Array(inner) => kept.push(self.of_array(inner, names, deeper)?),
                other if self == Keeps::Others => kept.push(other),
                _ => {}
            }
        }
        Ok(kept)
    }
}

/// Levels are counted, for each takes room on the stack.
fn below(depth_left: usize) -> Result<usize, DocumentError> {
    depth_left.checked_sub(1).ok_or(DocumentError::TooDeep { limit: Limits::DEPTH_CEILING })
}

fn malformed(error: impl ToString) -> DocumentError {
    DocumentError::MalformedBson { offset: 0, reason: error.to_string() }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use bson::{Document, doc, rawdoc};

    fn town() -> RawDocumentBuf {
        rawdoc! {
            "_id": 1,
            "name": "Aachen",
            "mayor": { "name": "S", "since": 2020, "party": { "name": "P", "seats": 7 } },
            "tags": ["spa", { "name": "old", "n": 1 }, [{ "name": "x", "n": 2 }, 3], {}],
            "people": 249_070_i64,
        }
    }

    fn read(raw: &RawDocument) -> Document {
        Document::try_from(raw).unwrap()
    }

    #[test]
    fn what_is_named_is_kept_in_the_documents_order() {
        let cases = [
            (&[][..], rawdoc! { "_id": 1 }),
            (&["_id"], rawdoc! { "_id": 1 }),
            (&["people", "name", "_id"], rawdoc! { "_id": 1, "name": "Aachen", "people": 249_070_i64 }),
            (&["missing", "name.first", "tags.0"], rawdoc! { "_id": 1, "tags": [{}, [{}], {}] }),
            (
                &["mayor.party.seats", "mayor.since"],
                rawdoc! { "_id": 1, "mayor": { "since": 2020, "party": { "seats": 7 } } },
            ),
            (&["mayor.x"], rawdoc! { "_id": 1, "mayor": {} }),
            (&["tags.name"], rawdoc! { "_id": 1, "tags": [{ "name": "old" }, [{ "name": "x" }], {}] }),
        ];
        for (paths, expected) in cases {
            let kept = Projection::include(paths.iter().copied()).unwrap();
            assert_eq!(kept.apply(&town()).unwrap(), expected, "{paths:?}");
            let mut without_id = read(&expected);
            without_id.remove("_id");
            assert_eq!(read(&kept.without_id().apply(&town()).unwrap()), without_id);
        }
    }

    #[test]
    fn of_several_fields_of_one_name_the_first_counts() {
        let twice = |one: &RawDocumentBuf, other: &RawDocumentBuf| {
            let mut fields = RawDocumentBuf::new();
            one.iter().chain(other).map(Result::unwrap).for_each(|(name, value)| fields.append(name, value));
            fields
        };
        let (scalar, object) = (rawdoc! { "c": 5 }, rawdoc! { "c": { "a": 1 } });
        let kept =
            |path, document: &RawDocumentBuf| Projection::include([path]).unwrap().apply(document).unwrap();
        assert_eq!(kept("c.a", &twice(&scalar, &object)), rawdoc! {});
        assert_eq!(kept("c.a", &twice(&object, &scalar)), object);
        assert_eq!(kept("c", &twice(&scalar, &object)), scalar);
    }

    #[test]
    fn what_is_named_is_left_out_and_the_rest_stays_as_it_was() {
        let all = || read(&town());
        let without = |paths: &[&str]| {
            read(&Projection::exclude(paths.iter().copied()).unwrap().apply(&town()).unwrap())
        };
        assert_eq!(without(&[]), all());
        assert_eq!(without(&["missing", "name.first", "mayor.x.y", "tags.0"]), all());
        let mut expected = all();
        expected.remove("_id");
        expected.remove("mayor");
        assert_eq!(without(&["mayor", "_id"]), expected);
        let other = Projection::exclude(["mayor"]).unwrap().without_id();
        assert_eq!(read(&other.apply(&town()).unwrap()), expected);
        let mut expected = all();
        expected.insert("mayor", doc! { "since": 2020, "party": { "name": "P" } });
        expected.insert(
            "tags",
            vec![bson::bson!("spa"), bson::bson!({ "n": 1 }), bson::bson!([{ "n": 2 }, 3]), bson::bson!({})],
        );
        assert_eq!(without(&["mayor.name", "mayor.party.seats", "tags.name"]), expected);
    }

    #[test]
    fn paths_that_overlap_or_name_nothing_are_refused() {
        for paths in
            [&["a", "a"][..], &["a", "a.b"], &["a.b", "a"], &["a.b.c", "x", "a.b"], &["a.b", "a.b.c.d"]]
        {
            for made in
                [Projection::include(paths.iter().copied()), Projection::exclude(paths.iter().copied())]
            {
                let last = paths[paths.len() - 1];
                assert!(
                    matches!(&made, Err(QueryError::NamedTwice { path }) if path == last),
                    "{paths:?}: {made:?}"
                );
            }
        }
        assert!(matches!(Projection::include(["_id.x"]), Err(QueryError::NamedTwice { .. })));
        assert!(matches!(Projection::exclude([""]), Err(QueryError::Path(_))));
        assert!(Projection::include(["a.b", "a.c", "b.a", "a.d.e"]).is_ok());
    }

    #[test]
    fn what_is_malformed_or_bottomless_is_refused() {
        let all = Projection::exclude(["x.y"]).unwrap();
        let cut =
            RawDocument::from_bytes(b"\x0c\0\0\0\x02a\0\x09\0\0\0\0").expect("length and end are right");
        assert!(matches!(all.apply(cut), Err(QueryError::Path(DocumentError::MalformedBson { .. }))));
        let mut nested = RawArrayBuf::new();
        for _ in 0..Limits::DEPTH_CEILING {
            let mut outer = RawArrayBuf::new();
            outer.push(nested);
            nested = outer;
        }
        let deep = rawdoc! { "x": nested };
        assert!(matches!(all.apply(&deep), Err(QueryError::Path(DocumentError::TooDeep { .. }))));
    }
}
