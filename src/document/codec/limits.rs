//! How large and how deep a document may be.

use crate::document::{DocumentError, stored};

/// The largest and deepest document that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest document as BSON, and the largest value of a keyspace, in bytes. Default 16 MiB. Values above [`Limits::BYTES_CEILING`] count
    /// as that.
    pub max_document_bytes: usize,
    /// The deepest nesting of objects and arrays; the document itself is level 1. Default 100. Values above
    /// [`Limits::DEPTH_CEILING`] count as that.
    pub max_depth: usize,
}

impl Limits {
    /// No limit on depth can be set above this: recursive readers of stored documents rely on it.
    pub const DEPTH_CEILING: usize = 120;

    /// No limit on bytes can be set above this, 2 GiB − 9: BSON's own length fields say no more than 2 GiB − 1, nor do the store's pages, and a
    /// document has its version in front.
    pub const BYTES_CEILING: usize = stored::VALUE_BYTES_MAX - stored::VERSION_BYTES;

    /// The limit on bytes that is in force.
    pub(crate) fn bytes_max(&self) -> usize {
        self.max_document_bytes.min(Limits::BYTES_CEILING)
    }

    /// The limit on depth that is in force.
    pub(crate) fn depth_max(&self) -> usize {
        self.max_depth.min(Limits::DEPTH_CEILING)
    }

    pub(crate) fn check_bytes(&self, size_bytes: usize) -> Result<(), DocumentError> {
        let limit_bytes = self.bytes_max();
        if size_bytes > limit_bytes {
            return Err(DocumentError::TooLarge { size_bytes, limit_bytes });
        }
        Ok(())
    }

    pub(crate) fn check_depth(&self, depth: usize) -> Result<(), DocumentError> {
        let limit = self.depth_max();
        if depth > limit {
            return Err(DocumentError::TooDeep { limit });
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { max_document_bytes: 16 << 20, max_depth: 100 }
    }
}
