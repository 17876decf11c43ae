//! The commands, one a module.

pub(crate) mod backup;
pub(crate) mod checkpoint;
pub(crate) mod count;
pub(crate) mod delete;
pub(crate) mod export;
pub(crate) mod get;
pub(crate) mod import;
pub(crate) mod put;
pub(crate) mod restore;
pub(crate) mod rotate_key;
pub(crate) mod salvage;
pub(crate) mod scan;
pub(crate) mod stats;
pub(crate) mod verify;
