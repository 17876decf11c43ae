//! Changes to single fields of a document, applied to its raw bytes.
//!
//! Each operation rewrites the document once: elements that the path does not touch are copied as bytes, containers
//! on the path get new lengths. Operations apply in the order given, each to the result of the one before. If any
//! fails the whole patch fails, and nothing has changed.

mod change;
mod overlap;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

use bson::{Bson, RawBsonRef, RawDocument, RawDocumentBuf};

pub(crate) use self::overlap::Increments;

use self::change::{Action, Change};
use super::codec::{ID_FIELD, Limits, validate};
use super::path::parse_index;
use super::raw::{begin_document, begin_element, elements_with_bytes, end_document, type_name};
use super::{DocumentError, FieldPath};
use crate::sync::Arc;

const OBJECT: u8 = 0x03;
const ARRAY: u8 = 0x04;
const NULL: u8 = 0x0a;

/// Changes to fields by path, built step by step.
///
/// On the way to a field, missing objects are created; a field that is there and is neither object nor array is an error (but
/// for `unset`, which then has nothing to do). In an array a position names an element, and the position just behind
/// the last one a new element. The field `_id` cannot be changed.
///
/// A mistake in building (a path that is none, a value that BSON cannot hold) is kept and reported by [`Patch::apply`].
///
/// ```
/// use skipstone::document::{Limits, Patch};
///
/// let town = bson::rawdoc! { "name": "Aachen", "visits": 1 };
/// let patch = Patch::new().inc("visits", 1).set("mayor.since", 2020).push("tags", "spa");
/// let patched = patch.apply(&town, &Limits::default())?;
/// assert_eq!(
///     patched,
///     bson::rawdoc! { "name": "Aachen", "visits": 2, "mayor": { "since": 2020 }, "tags": ["spa"] },
/// );
/// # Ok::<(), skipstone::document::DocumentError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Patch {
    /// Shared by all copies.
    operations: Vec<Arc<Operation>>,
    /// The first mistake made in building.
    mistake: Option<DocumentError>,
}

#[derive(Debug, Clone)]
struct Operation {
    path: FieldPath,
    action: Action,
}

impl Patch {
    /// A patch that changes nothing yet.
    pub fn new() -> Patch {
        Patch::default()
    }

    /// Gives a field this value, whether it was there or not.
    pub fn set<P: TryInto<FieldPath>>(self, path: P, value: impl Into<Bson>) -> Patch
    where
        DocumentError: From<P::Error>,
    {
        self.add(path, Action::set(value.into()))
    }

    /// Removes a field if it is there. An element of an array becomes null, so that the others keep their positions.
    pub fn unset<P: TryInto<FieldPath>>(self, path: P) -> Patch
    where
        DocumentError: From<P::Error>,
    {
        self.add(path, Ok(Action::Unset))
    }

    /// Adds to a number; a missing field becomes `by`.
    ///
    /// An Int32 that overflows becomes an Int64, an Int64 that does is an error. An integer and a double make a double. Decimals are
    /// not added to.
    pub fn inc<P: TryInto<FieldPath>>(self, path: P, by: impl Into<Bson>) -> Patch
    where
        DocumentError: From<P::Error>,
    {
        self.add(path, Action::inc(by.into()))
    }

    /// Appends to an array; a missing field becomes an array of one.
    pub fn push<P: TryInto<FieldPath>>(self, path: P, value: impl Into<Bson>) -> Patch
    where
        DocumentError: From<P::Error>,
    {
        self.add(path, Action::push(value.into()))
    }

    /// Appends to an array unless an element compares equal (see [`order_key`](super::order_key): 1 and 1.0 do); a missing
    /// field becomes an array of one.
    pub fn add_to_set<P: TryInto<FieldPath>>(self, path: P, value: impl Into<Bson>) -> Patch
    where
        DocumentError: From<P::Error>,
    {
        self.add(path, Action::add_to_set(value.into()))
    }

    fn add<P: TryInto<FieldPath>>(mut self, path: P, action: Result<Action, DocumentError>) -> Patch
    where
        DocumentError: From<P::Error>,
    {
        match path.try_into().map_err(DocumentError::from).and_then(|path| operation(path, action)) {
            Ok(operation) => self.operations.push(Arc::new(operation)),
            Err(mistake) => self.mistake = self.mistake.or(Some(mistake)),
        }
        self
    }

    /// The patched document. `document` itself stays as it is.
    ///
    /// Costs one copy of the document per operation, and a check of the result.
    ///
    /// # Errors
    ///
    /// [`DocumentError::Patch`] with the path of the operation that does not fit, the mistake made in building if there was
    /// one, and those of [`validate`] for the result.
    pub fn apply(&self, document: &RawDocument, limits: &Limits) -> Result<RawDocumentBuf, DocumentError> {
        if let Some(mistake) = &self.mistake {
            return Err(mistake.clone());
        }
        let mut patched = document.to_owned();
        for operation in &self.operations {
            let mut out = Vec::with_capacity(patched.as_bytes().len() + 64);
            operation.rewrite(&patched, Container::Object, operation.path.segments(), &mut out)?;
            patched = operation.finish(out, limits)?;
        }
        validate(patched.as_bytes(), limits)?;
        Ok(patched)
    }
}

fn operation(path: FieldPath, action: Result<Action, DocumentError>) -> Result<Operation, DocumentError> {
    if path.segments()[0] == ID_FIELD {
        return Err(DocumentError::patch(path, "the id of a document cannot change"));
    }
    match action {
        Ok(action) => Ok(Operation { path, action }),
        Err(DocumentError::Patch { reason, .. }) => Err(DocumentError::patch(path, reason)),
        Err(other) => Err(other),
    }
}

/// What an element's name means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Object,
    Array,
}

impl Operation {
    fn fail<T>(&self, reason: impl Into<String>) -> Result<T, DocumentError> {
        Err(DocumentError::patch(&self.path, reason))
    }

    fn finish(&self, out: Vec<u8>, limits: &Limits) -> Result<RawDocumentBuf, DocumentError> {
        limits.check_bytes(out.len())?;
        RawDocumentBuf::from_bytes(out).map_err(|error| DocumentError::bson(0, error.to_string()))
    }

    /// Appends `document` with the change made at `segments`. As deep as the path is long, which has a limit.
    fn rewrite(
        &self,
        document: &RawDocument,
        container: Container,
        segments: &[String],
        out: &mut Vec<u8>,
    ) -> Result<(), DocumentError> {
        let (name, deeper) = segments.split_first().expect("a path goes on until its last segment");
        let position = parse_index(name);
        if container == Container::Array && position.is_none() && self.action.creates() {
            return self.fail(format!("{name:?} is not a position in an array"));
        }
        let start = begin_document(out);
        let (mut found, mut count) = (false, 0);
        for element in elements_with_bytes(document) {
            let (element, bytes) = element?;
            let hit = match container {
                Container::Object => !found && element.key().as_str() == name,
                Container::Array => position == Some(count),
            };
            count += 1;
            if !hit {
                out.extend_from_slice(bytes);
                continue;
            }
            found = true;
            let value = element.value().map_err(|error| DocumentError::bson(start, error.to_string()))?;
            self.rewrite_element((element.key().as_str(), value, bytes), container, deeper, out)?;
        }
        if !found {
            if container == Container::Array && position != Some(count) && self.action.creates() {
                return self.fail(format!("position {name} is beyond the end of an array of {count}"));
            }
            self.append(name, deeper, out)?;
        }
        end_document(out, start);
        Ok(())
    }

    /// Appends one element that is on the path.
    fn rewrite_element(
        &self,
        (name, value, bytes): (&str, RawBsonRef<'_>, &[u8]),
        container: Container,
        deeper: &[String],
        out: &mut Vec<u8>,
    ) -> Result<(), DocumentError> {
        if deeper.is_empty() {
            match self.change(Some(value))? {
                Change::Keep => out.extend_from_slice(bytes),
                Change::Remove if container == Container::Array => begin_element(out, NULL, name),
                Change::Remove => {}
                Change::Put(value) => {
                    begin_element(out, value.kind, name);
                    out.extend_from_slice(&value.bytes);
                }
            }
            return Ok(());
        }
        match value {
            RawBsonRef::Document(inner) => {
                begin_element(out, OBJECT, name);
                self.rewrite(inner, Container::Object, deeper, out)
            }
            RawBsonRef::Array(inner) => {
                begin_element(out, ARRAY, name);
                let inner = RawDocument::from_bytes(inner.as_bytes())
                    .map_err(|error| DocumentError::bson(0, error.to_string()))?;
                self.rewrite(inner, Container::Array, deeper, out)
            }
            _ if !self.action.creates() => {
                out.extend_from_slice(bytes);
                Ok(())
            }
            other => {
                let kind = type_name(other.element_type());
                self.fail(format!("{name:?} on the way is of type {kind}, neither object nor array"))
            }
        }
    }

    /// Appends an element that was not there, with the objects that lead to the field.
    fn append(&self, name: &str, deeper: &[String], out: &mut Vec<u8>) -> Result<(), DocumentError> {
        let Change::Put(value) = self.change(None)? else { return Ok(()) };
        let mut opened = Vec::with_capacity(deeper.len());
        let mut name = name;
        for next in deeper {
            begin_element(out, OBJECT, name);
            opened.push(begin_document(out));
            name = next;
        }
        begin_element(out, value.kind, name);
        out.extend_from_slice(&value.bytes);
        for start in opened.into_iter().rev() {
            end_document(out, start);
        }
        Ok(())
    }

    fn change(&self, current: Option<RawBsonRef<'_>>) -> Result<Change, DocumentError> {
        self.action.change(current).or_else(|reason| self.fail(reason))
    }
}
