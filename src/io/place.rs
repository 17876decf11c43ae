//! Making the directory of a new store.

use super::{IoError, IoOperation};
use std::fs::File;
use std::path::Path;

/// Makes a directory, durably; its parent must exist.
pub(crate) fn create_directory(path: &Path) -> Result<(), IoError> {
    let failed = |error| IoError::new(IoOperation::Create, path, error);
    std::fs::create_dir(path).map_err(failed)?;
    flush_entry(path)
}

/// Makes a directory's entry in its parent durable.
pub(crate) fn flush_entry(path: &Path) -> Result<(), IoError> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // The entry is durable once its directory is.
    File::open(parent)
        .and_then(|parent| parent.sync_all())
        .map_err(|error| IoError::new(IoOperation::Flush, parent, error))
}

/// Whether a file of this name in a store's directory belongs to this module.
pub(crate) fn is_reserved_name(name: &str) -> bool {
    super::request::is_reserved(name)
}
