//! What each isolation level allows, one script per anomaly: the listing is the specification.
//!
//! The names are those of Adya's theory, as the Hermitage suite uses them. A script interleaves transactions step by step in one thread and
//! says what each step answers, at read committed, snapshot and serializable where they differ:
//!
//! | anomaly | read committed | snapshot | serializable |
//! | --- | --- | --- | --- |
//! | G0 dirty write, G1a aborted read, G1b intermediate read, G1c circular information flow, OTV observed transaction vanishes | stops | stops | stops |
//! | PMP predicate-many-preceders, P4 lost update (of blind writes), G-single read skew | allows | stops | stops |
//! | G2-item write skew, G2 anti-dependency cycle | allows | allows | stops |
//!
//! A read and a write in one call (`Collection::update` and its like) lose no update under read committed either.

mod g0;
mod g1a;
mod g1b;
mod g1c;
mod g2;
mod g2_item;
mod g_single;
mod otv;
mod p4;
mod pmp;
mod real_time;
mod script;
mod serializable;
