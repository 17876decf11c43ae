//! Queries: which documents are asked for.
//!
//! A filter is a pure function of one document. It knows of no store and no index.

pub(crate) mod filter;
