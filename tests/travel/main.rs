//! The past of a store: kept, read, compared, and given up.

mod diffs;
mod kept;
mod model;
mod reopened;
mod revisions;
mod writers;
