//! One thread parked for good at each labelled step of each protocol: the others go on.
//!
//! `docs/concurrency.md` has the table of what may wait for what; each row of it is a test here.

mod commit_steps;
mod durable_steps;
mod harness;
mod housekeeping_steps;
mod unseen_commits;
