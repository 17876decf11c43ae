//! Making the directory of a new store.

use super::{IoError, IoOperation};
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

/// Makes a directory, durably; its parent must exist.
pub(crate) fn create_directory(path: &Path) -> Result<(), IoError> {
    let failed = |error| IoError::new(IoOperation::Create, path, error);
    std::fs::create_dir(path).map_err(failed)?;
    flush_parent(path).inspect_err(|_| {
        // Or the next attempt would find it, and take it for somebody's who saw to it.
        let _ = std::fs::remove_dir(path);
    })
}

/// Makes the entry of a directory that is there durable in its parent. Where the parent may not be read, that is left to
/// whoever made the directory.
pub(crate) fn flush_entry(path: &Path) -> Result<(), IoError> {
    match flush_parent(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        flushed => flushed,
    }
}

fn flush_parent(path: &Path) -> Result<(), IoError> {
    // Asked of the directory itself: its path may be a link to elsewhere, or end in a dot.
    let parent = path.join("..");
    File::open(&parent)
        .and_then(|parent| parent.sync_all())
        .map_err(|error| IoError::new(IoOperation::Flush, &parent, error))
}

/// Whether a file of this name in a store's directory belongs to this module.
pub(crate) fn is_reserved_name(name: &str) -> bool {
    super::request::is_reserved(name)
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_however_the_directory_is_named() {
        let dir = tempfile::tempdir().unwrap();
        create_directory(&dir.path().join("store")).unwrap();
        for named in ["store", "store/", "store/.", "store/../store", "."] {
            flush_entry(&dir.path().join(named)).unwrap();
        }
        for named in [".", "..", "/"] {
            flush_entry(Path::new(named)).unwrap();
        }
    }

    /// Somebody with all rights may read it nevertheless, and then flushes it.
    #[cfg(unix)]
    #[test]
    fn a_parent_that_may_not_be_read_is_passed_over() {
        use std::fs::{Permissions, set_permissions};
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        create_directory(&store).unwrap();
        set_permissions(dir.path(), Permissions::from_mode(0o311)).unwrap();
        flush_entry(&store).unwrap();
        let made = create_directory(&dir.path().join("other"));
        assert_eq!(made.is_ok(), dir.path().join("other").exists(), "{made:?}");
        set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_directory_without_a_parent_to_make_it_in_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(create_directory(&dir.path().join("missing/store")).is_err());
    }
}
