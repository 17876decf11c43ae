//! Secondary indexes: keyspaces whose keys are made of the fields of a collection's documents.
//!
//! - `definition`: what an index is, for a caller and in the catalog.
//! - `entry`: from a document to its keys in an index.
//! - `statistics`: what is known of the entries, for whoever plans.
//! - `set`: which indexes a collection has now, for whoever writes or reads it.
//!
//! | index | key | value |
//! | --- | --- | --- |
//! | unique | encoded fields | key of the document |
//! | any other | encoded fields, then key of the document | nothing |
//!
//! Entries are records like documents, written by the transaction that writes the document: the engine does that.

pub(crate) mod definition;
pub(crate) mod entry;
pub(crate) mod set;
pub(crate) mod statistics;
