//! How the program ends: one code for each kind of outcome that a script may want to tell apart.

use std::process::ExitCode;

/// Why the program ended, as its exit code says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    /// Also what `clap` ends with by itself.
    Usage = 2,
    NotFound = 3,
    Conflict = 4,
    Damaged = 5,
    InUse = 6,
    BadInput = 7,
    System = 8,
    Key = 9,
    /// What a shell reports of a program that SIGPIPE ended.
    OutputClosed = 141,
}

/// The codes, for `--help`.
pub(crate) const TABLE: &str = "\
Exit codes:
    0  done
    1  failed for a reason not listed here; the message says why
    2  wrong usage: an argument is unknown, missing or malformed
    3  not found: the document, the collection, the index, the position, the store or the input file
    4  exists already, or conflicts with another change
    5  the store is damaged, or was written by a newer version
    6  the store is in use by another process
    7  the input is not what it should be: a document, a record or the whole file
    8  the system refused: permission, space, an I/O error
    9  the key is missing or wrong, or was given for a store that is not encrypted
  141  whoever read the output has closed it (no message)";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}
