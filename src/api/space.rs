//! What a collection and a keyspace have in common: a name, and records in one store.

use super::{Error, Result};
use crate::engine::Engine;
use crate::mvcc::store::Space;
use crate::sync::Arc;
use std::fmt;
use std::ptr::NonNull;

/// A handle to a space, which keeps its store.
#[derive(Clone)]
pub(super) struct SpaceHandle {
    pub(super) engine: Arc<Engine>,
    space: NonNull<Space>,
}

// SAFETY: a shared reference into the store that `engine` keeps alive.
unsafe impl Send for SpaceHandle {}
// SAFETY: as above.
unsafe impl Sync for SpaceHandle {}

impl SpaceHandle {
    pub(super) fn new(engine: Arc<Engine>, name: &str, number: u32) -> SpaceHandle {
        let space = NonNull::from(engine.store().space(number).named(name));
        SpaceHandle { engine, space }
    }

    #[inline]
    pub(super) fn space(&self) -> &Space {
        // SAFETY: spaces live as long as their store, which `engine` keeps alive.
        unsafe { self.space.as_ref() }
    }

    pub(super) fn name(&self) -> &str {
        self.space().name()
    }

    /// The space, for as long as the engine that a transaction or snapshot borrows; it must be this handle's.
    pub(super) fn within<'e>(&self, engine: &'e Engine) -> Result<&'e Space> {
        if !std::ptr::eq(engine, &*self.engine) {
            return Err(Error::ForeignHandle { name: self.name().to_owned() });
        }
        // SAFETY: spaces live as long as their store, which is `engine`'s.
        Ok(unsafe { self.space.as_ref() })
    }
}

impl fmt::Debug for SpaceHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Space").field("name", &self.name()).finish_non_exhaustive()
    }
}
