//! One process at a time: a lock on the store's directory that names its holder.
//!
//! The lock is the operating system's, on the file `LOCK`: it ends with the process, however that ends, and so it
//! is never stale. What the file says (process id, since when, which program) is only for the message that a second
//! opener gets. A holder writes it just after taking the lock; whoever comes in that moment is told that the
//! directory is in use and not by whom, or the name of a holder that was killed before.
//!
//! The file stays when the lock is released: removing it would let two processes lock two files of that name.

use super::request::LOCK_FILE;
use super::{IoError, IoOperation};
use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// More than a holder ever writes. What is longer was not written by one.
const HOLDER_BYTES_MAX: usize = 512;
const COMMAND_CHARS_MAX: usize = 64;

/// A directory's lock, held until this is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct DirLock {
    file: File,
}

/// A store's directory could not be locked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process, or this one, has the store open.
    #[error("the store in `{}` is in use by {holder}; close it there, or wait until that process ends", .dir.display())]
    #[non_exhaustive]
    Held {
        /// The store's directory.
        dir: PathBuf,
        /// Who has it open.
        holder: LockHolder,
    },
    /// The lock file could not be opened, locked or written.
    #[error(transparent)]
    Io(#[from] IoError),
}

/// Who has a store open, as it introduced itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockHolder {
    /// The process id; `None` if the holder has not introduced itself yet.
    pub pid: Option<u32>,
    /// Since when, in UTC, as RFC 3339 writes it; empty if unknown.
    pub since: String,
    /// The name of the program; empty if unknown.
    pub command: String,
}

impl DirLock {
    /// Takes the lock of `dir`, at once or not at all. Its file is made if it is missing.
    pub(crate) fn acquire(dir: &Path) -> Result<DirLock, LockError> {
        let path = dir.join(LOCK_FILE);
        let failed = |error| IoError::new(IoOperation::Lock, &path, error);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = LockHolder::read_from(&file).map_err(failed)?;
                return Err(LockError::Held { dir: dir.to_path_buf(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error).into()),
        }
        file.set_len(0).map_err(failed)?;
        file.write_all_at(LockHolder::current().to_text().as_bytes(), 0).map_err(failed)?;
        Ok(DirLock { file })
    }
}

impl Drop for DirLock {
    fn drop(&mut self) {
        // So that nobody is named who has left.
        let _ = self.file.set_len(0);
        // Closing the file would do only if no other thread were starting a process: until that one has replaced
        // its image it has the file open too.
        let _ = self.file.unlock();
    }
}

impl LockHolder {
    fn current() -> LockHolder {
        let command = std::env::current_exe().ok().and_then(|exe| {
            let name = exe.file_name()?.to_string_lossy().into_owned();
            Some(name.chars().filter(|c| !c.is_control()).take(COMMAND_CHARS_MAX).collect())
        });
        LockHolder {
            pid: Some(std::process::id()),
            since: bson::DateTime::now().try_to_rfc3339_string().unwrap_or_default(),
            command: command.unwrap_or_default(),
        }
    }

    fn to_text(&self) -> String {
        let pid = self.pid.map(|pid| pid.to_string()).unwrap_or_default();
        format!("pid {pid}\nsince {}\ncommand {}\n", self.since, self.command)
    }

    fn read_from(file: &File) -> std::io::Result<LockHolder> {
        let mut bytes = Vec::new();
        file.take(HOLDER_BYTES_MAX as u64).read_to_end(&mut bytes)?;
        Ok(LockHolder::from_text(&String::from_utf8_lossy(&bytes)))
    }

    /// Takes from `text` what makes sense: anybody can write into the file.
    fn from_text(text: &str) -> LockHolder {
        let field = |name: &str| {
            let value =
                text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap_or_default();
            value.chars().filter(|c| !c.is_control()).take(COMMAND_CHARS_MAX).collect::<String>()
        };
        LockHolder { pid: field("pid").parse().ok(), since: field("since"), command: field("command") }
    }
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(pid) = self.pid else {
            return f.write_str("another process, which has not said its name yet");
        };
        let whose = if pid == std::process::id() { "this process" } else { "process" };
        write!(f, "{whose} {pid} (`{}`, since {})", self.command, self.since)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::io::contract::without_privileges;
    use std::fs;
    use std::io::{BufRead, BufReader, ErrorKind};
    use std::process::{Child, Command, Stdio};

    /// In a child process: the directory to lock until it is killed.
    const CHILD_DIR: &str = "SKIPSTONE_TEST_LOCK_DIR";

    fn held(dir: &Path) -> LockHolder {
        match DirLock::acquire(dir).unwrap_err() {
            LockError::Held { dir: named, holder } => {
                assert_eq!(named, dir);
                holder
            }
            other => panic!("expected the holder, got {other}"),
        }
    }

    /// Runs this test binary again, as a process that locks `dir`, says so, and waits to be killed.
    fn spawn_holder(dir: &Path) -> Child {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "io::lock::tests::holds_the_lock_when_told_to", "--nocapture"])
            .env(CHILD_DIR, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("locked")), "the child ended before it had the lock");
        child
    }

    /// The child of [`spawn_holder`]; run as an ordinary test it locks a directory of its own and ends.
    #[test]
    fn holds_the_lock_when_told_to() {
        let own = tempfile::tempdir().unwrap();
        let told = std::env::var_os(CHILD_DIR).map(PathBuf::from);
        let _lock = DirLock::acquire(told.as_deref().unwrap_or(own.path())).unwrap();
        println!("\nlocked");
        if told.is_some() {
            // Until it is killed, or until the test that started it has ended in some other way.
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        }
    }

    #[test]
    fn another_process_is_named_and_its_death_releases_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = spawn_holder(dir.path());
        let holder = held(dir.path());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(holder.pid, Some(child.id()));
        let exe = std::env::current_exe().unwrap();
        assert!(exe.file_name().unwrap().to_string_lossy().starts_with(&holder.command));
        assert!(holder.since.ends_with('Z') && holder.since.contains('T'), "{holder:?}");
        DirLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn the_same_process_is_kept_out_too_until_the_lock_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirLock::acquire(dir.path()).unwrap();
        let holder = held(dir.path());
        assert_eq!(holder.pid, Some(std::process::id()));
        let message = DirLock::acquire(dir.path()).unwrap_err().to_string();
        assert!(message.contains(&format!("this process {}", std::process::id())), "{message}");
        assert!(message.contains(&holder.since) && message.contains(&holder.command), "{message}");
        drop(lock);
        assert_eq!(fs::read(dir.path().join(LOCK_FILE)).unwrap(), b"", "nobody is named who has left");
        DirLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn the_lock_is_released_though_a_process_being_started_has_its_file_open_still() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirLock::acquire(dir.path()).unwrap();
        let inherited = lock.file.try_clone().unwrap();
        drop(lock);
        DirLock::acquire(dir.path()).unwrap();
        drop(inherited);
    }

    #[test]
    fn a_lock_file_with_rubbish_in_it_does_no_harm() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LOCK_FILE);
        let lock = DirLock::acquire(dir.path()).unwrap();
        for rubbish in
            [&b""[..], b"pid", b"pid x\ncommand \x1b[31m\xff", &[b'p'; 100_000], b"since \0\npid -1"]
        {
            fs::write(&path, rubbish).unwrap();
            let holder = held(dir.path());
            assert_eq!(holder.pid, None);
            assert!(!holder.to_string().contains('\x1b') && holder.command.len() <= 200);
        }
        drop(lock);
        fs::write(&path, "pid 1\nsince never\ncommand init\n").unwrap();
        let _lock = DirLock::acquire(dir.path()).unwrap();
        assert_eq!(held(dir.path()).pid, Some(std::process::id()), "what was written before is gone");
    }

    #[test]
    fn a_directory_that_cannot_be_written_or_is_missing_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        let LockError::Io(error) = DirLock::acquire(&missing).unwrap_err() else { panic!("nobody holds it") };
        assert_eq!((error.operation(), error.kind()), (IoOperation::Lock, ErrorKind::NotFound));
        without_privileges(dir.path(), || {
            let LockError::Io(error) = DirLock::acquire(dir.path()).unwrap_err() else {
                panic!("nobody holds it")
            };
            assert_eq!((error.operation(), error.kind()), (IoOperation::Lock, ErrorKind::PermissionDenied));
            assert!(error.to_string().contains("permission to read and write"), "{error}");
        });
    }
}
