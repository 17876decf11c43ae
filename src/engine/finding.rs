//! What is wrong with a store: what, where, and what is lost by it.

use super::error::OpenError;
use crate::checkpoint::error::CheckpointError;
use crate::document::DocumentId;
use crate::io::IoError;
use crate::log::reader::LogError;
use crate::lsn::Lsn;
use std::fmt;
use std::path::Path;

/// So many findings are listed; the others are counted.
const FINDINGS_MAX: usize = 1_000;

/// One thing that is wrong with a store.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Finding {
    /// Which part of the store.
    pub kind: FindingKind,
    /// The file, if it is one file that is wrong.
    pub file: Option<String>,
    /// Where in the file, in bytes.
    pub offset: Option<u64>,
    /// What is wrong with it.
    pub what: String,
    /// What cannot be read any more, or not be relied upon.
    pub lost: Lost,
}

/// Which part of a store is wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum FindingKind {
    /// The file `store`.
    Store,
    /// A manifest.
    Manifest,
    /// A file of pages, as a whole.
    Extent,
    /// A page of the checkpoint.
    Page,
    /// Something in pages that are whole: a number, a name, an entry.
    Entry,
    /// A document.
    Document,
    /// A segment of the log, as a whole.
    Segment,
    /// An index, as a whole: it does not hold what the documents say.
    Index,
    /// A place in the log.
    Frame,
    /// What a commit in the log says.
    Commit,
    /// The records in memory.
    Memory,
    /// The disk does not give what it holds.
    Disk,
}

impl FindingKind {
    /// One word for it.
    pub fn name(self) -> &'static str {
        match self {
            FindingKind::Store => "store",
            FindingKind::Manifest => "manifest",
            FindingKind::Extent => "extent",
            FindingKind::Page => "page",
            FindingKind::Entry => "entry",
            FindingKind::Document => "document",
            FindingKind::Segment => "segment",
            FindingKind::Index => "index",
            FindingKind::Frame => "frame",
            FindingKind::Commit => "commit",
            FindingKind::Memory => "memory",
            FindingKind::Disk => "disk",
        }
    }
}

/// What is lost by something that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Lost {
    /// Nothing: what it says is known from elsewhere, or nothing depends on it.
    Nothing,
    /// The keys from one on up to another one, as they were at the checkpoint.
    #[non_exhaustive]
    Keys {
        /// The name of the collection or keyspace; its number if the catalog does not say.
        keyspace: String,
        /// Whether it holds documents.
        is_collection: bool,
        /// The first key that may be lost. Empty: from the beginning.
        low: Vec<u8>,
        /// The first key behind that is not. None: to the end.
        high: Option<Vec<u8>>,
    },
    /// What was committed at these positions.
    #[non_exhaustive]
    Positions {
        /// The first one.
        from: Lsn,
        /// The first one behind them. None: to the end of the log.
        to: Option<Lsn>,
    },
    /// Everything in the checkpoint.
    Checkpoint,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind.name())?;
        if let Some(file) = &self.file {
            write!(f, " in `{file}`")?;
        }
        if let Some(offset) = self.offset {
            write!(f, " at byte {offset}")?;
        }
        write!(f, ": {}; lost: {}", self.what, self.lost)
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lost::Nothing => f.write_str("nothing"),
            Lost::Checkpoint => f.write_str("everything in the checkpoint"),
            Lost::Positions { from, to: Some(to) } => {
                write!(f, "what was committed from position {from} up to position {to}")
            }
            Lost::Positions { from, to: None } => write!(f, "what was committed from position {from} on"),
            Lost::Keys { keyspace, is_collection, low, high } => {
                let what = if *is_collection { "documents" } else { "keys" };
                write!(f, "{what} of `{keyspace}`")?;
                let is_one = high.as_ref().is_some_and(|high| high.split_last() == Some((&0, &low[..])));
                if is_one {
                    return write!(f, ": {}", ShownKey(low, *is_collection));
                }
                if !low.is_empty() {
                    write!(f, " from {}", ShownKey(low, *is_collection))?;
                }
                match high {
                    Some(high) => write!(f, " up to {}", ShownKey(high, *is_collection)),
                    None if low.is_empty() => f.write_str(", all of them"),
                    None => f.write_str(" on"),
                }
            }
        }
    }
}

/// A key as people know it: the id of a document, else its bytes.
struct ShownKey<'a>(&'a [u8], bool);

impl fmt::Display for ShownKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DocumentId::from_key(self.0) {
            Ok(id) if self.1 => write!(f, "{id}"),
            _ => write!(f, "{}", self.0.escape_ascii()),
        }
    }
}

/// Findings, as many as are listed.
#[derive(Clone, Default, Debug)]
pub(crate) struct Findings {
    pub(crate) list: Vec<Finding>,
    /// How many more there were.
    pub(crate) more: u64,
}

impl Findings {
    pub(crate) fn add(&mut self, finding: Finding) {
        if self.list.len() < FINDINGS_MAX {
            self.list.push(finding);
        } else {
            self.more += 1;
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.list.len() as u64 + self.more
    }

    /// In the order of the files and the places in them: threads find them in any.
    pub(crate) fn sort(&mut self) {
        self.list.sort_by(|a, b| (&a.file, a.offset).cmp(&(&b.file, b.offset)));
    }

    /// Notes an error of opening, unless it is one that says nothing about the store.
    pub(crate) fn add_error(&mut self, error: OpenError, lost: Lost) -> Result<(), OpenError> {
        self.add(Finding { lost, ..finding_of(error)? });
        Ok(())
    }

    pub(crate) fn add_log_error(&mut self, error: LogError, lost: Lost) {
        self.add(Finding { lost, ..of_log(error) });
    }
}

fn named(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}

fn of_disk(error: &IoError) -> Finding {
    Finding {
        kind: FindingKind::Disk,
        file: named(error.file()),
        offset: error.offset(),
        what: error.to_string(),
        lost: Lost::Nothing,
    }
}

fn of_log(error: LogError) -> Finding {
    let (kind, file, offset, what) = match error {
        LogError::Io(error) => return of_disk(&error),
        LogError::Damaged { file, offset, .. } => {
            let what = "holds no valid frame, but later frames prove that it was durable";
            (FindingKind::Frame, file, offset, what.to_owned())
        }
        LogError::Unauthentic { file, offset, .. } => {
            let what = "holds a frame that was changed, or written with another key";
            (FindingKind::Frame, file, offset, what.to_owned())
        }
        LogError::Senseless { file, offset, what, .. } => {
            (FindingKind::Commit, file, offset, format!("the frame {what}"))
        }
    };
    Finding { kind, file: Some(file), offset: Some(offset), what, lost: Lost::Nothing }
}

/// What an error of opening says about the store. Those that do not say anything about it come back.
fn finding_of(error: OpenError) -> Result<Finding, OpenError> {
    let finding = |kind, file, offset, what: &str| Finding {
        kind,
        file,
        offset,
        what: what.to_owned(),
        lost: Lost::Nothing,
    };
    Ok(match error {
        OpenError::Damaged { file, what } => {
            let name = named(&file).unwrap_or_default();
            let kind = if name.starts_with("log-") { FindingKind::Segment } else { FindingKind::Store };
            finding(kind, Some(name), Some(0), what)
        }
        OpenError::Log(error) => of_log(error),
        OpenError::Checkpoint(CheckpointError::Damaged { file, offset, what }) => {
            let kind = match offset {
                _ if file.starts_with("manifest-") => FindingKind::Manifest,
                0 => FindingKind::Extent,
                _ => FindingKind::Page,
            };
            finding(kind, Some(file), Some(offset), what)
        }
        OpenError::Io(error) | OpenError::Checkpoint(CheckpointError::Io(error)) => of_disk(&error),
        OpenError::Checkpoint(CheckpointError::Log(error)) => of_log(error),
        other => return Err(other),
    })
}
