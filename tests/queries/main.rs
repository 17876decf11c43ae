//! Queries: the same answer by every plan, whatever indexes there are, and the answer that asking each document gives.

mod answers;
mod differential;
mod mistakes;
mod streams;
