//! Queries: which documents, in which order, and how to come by them.
//!
//! | module | job |
//! | --- | --- |
//! | `request` | what is asked for: filter, order, offset, limit, projection |
//! | `interval`, `ranges` | which keys of an index can meet a filter: pure |
//! | `planner`, `plan` | how to come by the documents, by cost; how that is shown |
//! | `order` | the order of results, as keys |
//! | `view` | what is read: a snapshot, or a transaction |
//! | `execute`, `sort` | the documents, one after the other |
//! | `cursor` | where to go on later |
//! | `projection`, `group` | parts of documents; sums over them |

mod interval;
mod ranges;
