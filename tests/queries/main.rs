//! Queries: the same answer by every plan, whatever indexes there are, and the answer that asking each document gives.

mod answers;
mod cursors;
mod differential;
mod hostile;
mod mistakes;
mod prepared;
mod streams;
mod ways;
