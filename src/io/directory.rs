//! The real devices: names, and which changes to them are durable. How the files are read and written is the part in
//! which they differ ([`Access`]).
//!
//! Each change is followed by a flush of the directory itself, or a power loss could undo it. A new file is filled
//! under a name of its own and gets the one asked for when it is whole and durable, so a name never leads to half a
//! file. Only one change is made at a time; the directory's lock keeps other processes out, so looking whether a
//! name is free and then taking it is safe.

use super::request::{self, UNFINISHED_FILE};
use super::{BlockFile, Device, IoError, IoOperation, raw};
use crate::sync::{Mutex, lock};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// How a device reaches the files of its directory.
pub(super) trait Access: Send + Sync {
    /// What the device is called in reports.
    const NAME: &'static str;

    /// An open file of `len` bytes, as the device reads and writes it.
    fn adopt(&self, file: File, path: PathBuf, len: u64) -> Result<Box<dyn BlockFile>, IoError>;

    /// Fills a new file with `bytes` zeros, written and durable on return.
    fn zero_fill(&self, file: &File, path: &Path, bytes: u64) -> Result<(), IoError>;
}

/// One directory, open.
pub(super) struct Directory<A> {
    pub(super) access: A,
    path: PathBuf,
    /// Opened once, for flushing.
    handle: File,
    /// Held while names change.
    changing: Mutex<()>,
}

impl<A: Access> Directory<A> {
    pub(super) fn with(access: A, path: &Path) -> Result<Directory<A>, IoError> {
        let failed = |error| IoError::new(IoOperation::Open, path, error);
        let handle = File::open(path).map_err(failed)?;
        if !handle.metadata().map_err(failed)?.is_dir() {
            return Err(failed(io::ErrorKind::NotADirectory.into()));
        }
        Ok(Directory { access, path: path.to_path_buf(), handle, changing: Mutex::new(()) })
    }

    /// Makes a file of `bytes` that `fill` gives its length and contents, durable both.
    fn make(
        &self,
        name: &str,
        bytes: u64,
        fill: impl FnOnce(&File, &Path) -> Result<(), IoError>,
    ) -> Result<Box<dyn BlockFile>, IoError> {
        request::check_name(IoOperation::Create, name)?;
        let path = self.path.join(name);
        request::check_new_len(&path, bytes)?;
        let _changing = lock(&self.changing);
        self.must_be_free(IoOperation::Create, &path)?;
        let unfinished = self.path.join(UNFINISHED_FILE);
        self.fill_and_name(&unfinished, &path, fill).inspect_err(|_| {
            // Gives the space back. What cannot be removed now is overwritten by the next creation.
            let _ = fs::remove_file(&unfinished);
        })?;
        self.open(name)
    }

    /// Fills a new file under a name nobody looks at, then gives it its own.
    fn fill_and_name(
        &self,
        unfinished: &Path,
        path: &Path,
        fill: impl FnOnce(&File, &Path) -> Result<(), IoError>,
    ) -> Result<(), IoError> {
        let failed = |error| IoError::new(IoOperation::Create, path, error);
        let mut options = OpenOptions::new();
        let file =
            options.read(true).write(true).create(true).truncate(true).open(unfinished).map_err(failed)?;
        fill(&file, path)?;
        fs::rename(unfinished, path).map_err(failed)?;
        self.flush_names()
    }

    fn change_name(
        &self,
        from: &str,
        to: &str,
        check: impl FnOnce(&Path) -> Result<(), IoError>,
    ) -> Result<(), IoError> {
        request::check_name(IoOperation::Rename, from)?;
        request::check_name(IoOperation::Rename, to)?;
        let (from, to) = (self.path.join(from), self.path.join(to));
        let _changing = lock(&self.changing);
        check(&to)?;
        fs::rename(&from, &to).map_err(|error| IoError::new(IoOperation::Rename, &from, error))?;
        self.flush_names()
    }

    fn must_be_free(&self, operation: IoOperation, path: &Path) -> Result<(), IoError> {
        match fs::symlink_metadata(path) {
            Ok(_) => Err(IoError::new(operation, path, io::ErrorKind::AlreadyExists.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(IoError::new(operation, path, error)),
        }
    }
}

impl<A: Access> Device for Directory<A> {
    fn list(&self) -> Result<Vec<String>, IoError> {
        let failed = |error| IoError::new(IoOperation::List, &self.path, error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // A name that is not UTF-8 is none of ours; it is shown as well as it can be.
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().map_err(failed)?.is_file() && !request::is_reserved(&name) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn open(&self, name: &str) -> Result<Box<dyn BlockFile>, IoError> {
        request::check_name(IoOperation::Open, name)?;
        let path = self.path.join(name);
        let failed = |error| IoError::new(IoOperation::Open, &path, error);
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a plain file")));
        }
        self.access.adopt(file, path, metadata.len())
    }

    fn create_zeroed(&self, name: &str, bytes: u64) -> Result<Box<dyn BlockFile>, IoError> {
        self.make(name, bytes, |file, path| self.access.zero_fill(file, path, bytes))
    }

    fn create(&self, name: &str, bytes: u64) -> Result<Box<dyn BlockFile>, IoError> {
        self.make(name, bytes, |file, path| {
            file.set_len(bytes).map_err(|error| IoError::new(IoOperation::Create, path, error))?;
            raw::flush(file, path)
        })
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), IoError> {
        self.change_name(from, to, |to| self.must_be_free(IoOperation::Rename, to))
    }

    fn replace(&self, from: &str, to: &str) -> Result<(), IoError> {
        self.change_name(from, to, |_| Ok(()))
    }

    fn remove(&self, name: &str) -> Result<(), IoError> {
        request::check_name(IoOperation::Remove, name)?;
        let path = self.path.join(name);
        let _changing = lock(&self.changing);
        fs::remove_file(&path).map_err(|error| IoError::new(IoOperation::Remove, &path, error))?;
        self.flush_names()
    }

    fn flush_names(&self) -> Result<(), IoError> {
        self.handle.sync_all().map_err(|error| IoError::new(IoOperation::Flush, &self.path, error))
    }

    fn name(&self) -> &'static str {
        A::NAME
    }
}
