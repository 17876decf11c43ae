//! The past of a store: kept, read, compared, and given up.

mod diffs;
mod kept;
mod model;
mod revisions;
mod writers;
