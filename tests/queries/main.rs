//! Queries: the same answer by every plan, whatever indexes there are, and the answer that asking each document gives.

mod analyzed;
mod answers;
mod beside_writers;
mod covering;
mod cursors;
mod hostile;
mod mistakes;
mod prepared;
#[path = "../../src/query/tests/random.rs"]
mod random;
mod streams;
mod ways;
