//! The one door to atomics.

pub(crate) mod atomic {
    pub(crate) use std::sync::atomic::*;
}
