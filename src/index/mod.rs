//! Secondary indexes: keyspaces whose keys are made of the fields of a collection's documents.
//!
//! - `definition`: what an index is, for a caller and in the catalog.
//! - `entry`: from a document to its keys in an index. `restore`: and back, as far as they say what it has.
//! - `statistics`: what is known of the entries, for whoever plans.
//! - `set`: which indexes a collection has now, for whoever writes or reads it.
//!
//! | index | key | value |
//! | --- | --- | --- |
//! | unique | encoded fields | a flag or codes, then key of the document |
//! | any other | encoded fields, then key of the document | nothing, a flag, or codes |
//!
//! The flag says that the document has several entries. Codes say how fields are made again from the key.
//!
//! Entries are records like documents, written by the transaction that writes the document: the engine does that.

pub(crate) mod definition;
pub(crate) mod entry;
pub(crate) mod restore;
pub(crate) mod set;
pub(crate) mod statistics;
