//! Bytes in and out: whatever a caller has becomes checked BSON, and BSON becomes whatever a caller wants.

mod limits;
mod validate;

pub use limits::Limits;
pub use validate::validate;
