//! Queries with every plan that there is, and not only with the cheapest: in the crate, for nobody else can have them all.

mod checks;
mod covering;
mod differential;
mod met;
mod model;
mod random;
