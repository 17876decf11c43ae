//! What can be wrong with a document, an id, a path or a patch.
//!
//! One enum for the whole `document` layer, because every call of it fails for the same small set of reasons. Each
//! variant says what, where, and what would be accepted instead.

use std::convert::Infallible;

use super::DocumentId;

/// Why a document, an id, a field path or a patch was refused. The store is unchanged.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// The text is not JSON, or an extended JSON form in it has contents that its type does not allow.
    #[error("malformed JSON at line {line}, column {column}: {reason}")]
    #[non_exhaustive]
    MalformedJson {
        /// Line, from 1; 0 if the text had no lines to count (a value that was parsed elsewhere).
        line: usize,
        /// Column in bytes, from 1; 0 like `line`.
        column: usize,
        /// What is wrong there.
        reason: String,
    },

    /// The bytes are not BSON.
    #[error("malformed BSON at byte {offset}: {reason}")]
    #[non_exhaustive]
    MalformedBson {
        /// Offset from the start of the outermost document, or of the key, in bytes.
        offset: usize,
        /// What is wrong there.
        reason: String,
    },

    /// Text that should be UTF-8 is not.
    #[error("invalid UTF-8 at byte {offset}: text must be UTF-8, other bytes belong in a binary value")]
    #[non_exhaustive]
    NotUtf8 {
        /// Offset of the first bad byte from the start of the input.
        offset: usize,
    },

    /// A document must be an object (a map of fields to values).
    #[error("a document must be an object, found {found}")]
    #[non_exhaustive]
    NotAnObject {
        /// The type that was found.
        found: String,
    },

    /// One object names a field twice.
    #[error("field {name:?} appears twice in one object, which ends at line {line}, column {column}")]
    #[non_exhaustive]
    DuplicateField {
        /// The name.
        name: String,
        /// Line of the object's end, from 1; 0 if there were no lines to count.
        line: usize,
        /// Column of the object's end in bytes, from 1; 0 like `line`.
        column: usize,
    },

    /// An `_id` of a type that cannot be an id.
    #[error("an id cannot be of type {found}: use a UUID, a string, an integer or bytes")]
    #[non_exhaustive]
    IdType {
        /// The type that was found.
        found: &'static str,
    },

    /// An update or replacement would give a document another id.
    #[error("the id of a document cannot change: it is {stored}, the new document says {given}")]
    #[non_exhaustive]
    IdChanged {
        /// The id that the document has.
        stored: DocumentId,
        /// The id in the new document.
        given: DocumentId,
    },

    /// An encoded key is too long.
    #[error("the key takes {length_bytes} bytes, the limit is {limit_bytes}")]
    #[non_exhaustive]
    KeyTooLong {
        /// Its length as encoded.
        length_bytes: usize,
        /// The longest that is allowed.
        limit_bytes: usize,
    },

    /// A document is too large.
    #[error("the document takes {size_bytes} bytes or more as BSON, the limit is {limit_bytes}")]
    #[non_exhaustive]
    TooLarge {
        /// Its size as BSON, as far as it was read.
        size_bytes: usize,
        /// The largest that is allowed.
        limit_bytes: usize,
    },

    /// Objects and arrays are nested too deep.
    #[error("objects and arrays are nested more than {limit} levels deep")]
    #[non_exhaustive]
    TooDeep {
        /// The deepest level that is allowed; the document itself is level 1.
        limit: usize,
    },

    /// A field name contains a NUL, which BSON cannot hold. Every other name is allowed, the empty one too.
    #[error("field name {name:?} contains a NUL character, which BSON does not allow in a name")]
    #[non_exhaustive]
    FieldName {
        /// The name.
        name: String,
    },

    /// A field path cannot be used.
    #[error("field path {path:?}: {reason}")]
    #[non_exhaustive]
    Path {
        /// The path as given.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// A patch does not fit the document it was applied to.
    #[error("cannot patch {path:?}: {reason}")]
    #[non_exhaustive]
    Patch {
        /// The path of the operation that failed.
        path: String,
        /// Why it failed.
        reason: String,
    },

    /// A number does not fit the type that has to hold it.
    #[error("the number {number} does not fit {target}")]
    #[non_exhaustive]
    NumberRange {
        /// The number, as text.
        number: String,
        /// What it had to fit.
        target: &'static str,
    },

    /// A Rust value could not be turned into a document, or a document into the Rust type.
    #[error("{reason}")]
    #[non_exhaustive]
    Serde {
        /// What serde reported.
        reason: String,
    },
}

impl DocumentError {
    pub(crate) fn bson(offset: usize, reason: impl Into<String>) -> DocumentError {
        DocumentError::MalformedBson { offset, reason: reason.into() }
    }

    pub(crate) fn patch(path: impl ToString, reason: impl Into<String>) -> DocumentError {
        DocumentError::Patch { path: path.to_string(), reason: reason.into() }
    }
}

impl From<Infallible> for DocumentError {
    fn from(never: Infallible) -> DocumentError {
        match never {}
    }
}
