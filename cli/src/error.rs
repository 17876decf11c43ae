//! Why a command failed: one line for people, one code for scripts.

use crate::exit::Exit;
use crate::input::InputError;
use rustyline::error::ReadlineError;
use skipstone::document::DocumentError;
use skipstone::{
    BackupError, ChainError, CheckpointError, Error, Finding, IndexError, LockError, LogError, OpenError,
    QueryError, RestoreError, RotateKeyError, SalvageError,
};
use std::io;
use std::path::PathBuf;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Store(#[from] Error),
    #[error(transparent)]
    Restore(#[from] RestoreError),
    #[error(transparent)]
    Input(#[from] InputError),
    #[error("{name}: {source}")]
    Document { name: String, source: DocumentError },
    #[error("{text:?} is not {what}, which `--id-type` asks for")]
    Id { text: String, what: &'static str },
    #[error("`{collection}` has no document with the {kind} id {id}{hint}")]
    NoDocument { collection: String, kind: &'static str, id: String, hint: &'static str },
    #[error("the log says nothing of the id {id} of `{collection}`: it goes back to position {from}")]
    NotInLog { collection: String, id: String, from: u64 },
    #[error("the store `{}` has no collection `{name}`; {}", dir.display(), those_there(there))]
    NoCollection { dir: PathBuf, name: String, there: Vec<String> },
    #[error("{reason}; the import stopped after {imported} documents{}", record_advice(*.can_skip))]
    Stopped { reason: String, imported: u64, exit: Exit, can_skip: bool },
    #[error("cannot {operation} `{}`: {source}", path.display())]
    File { operation: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    #[error("`{}` is not empty; the demo makes a store of its own, give an empty directory or a path that does not exist yet", dir.display())]
    DemoDir { dir: PathBuf },
    #[error("the store `{}` is damaged: {first}; restore a backup, or bring out what is left with `skipstone salvage`", dir.display())]
    Damaged { dir: PathBuf, first: Box<Finding> },
    #[error(transparent)]
    Salvage(#[from] SalvageError),
    #[error("not everything of `{}` could be brought to `{}`: {places} places are damaged, {uncertain} keys may be old or deleted", old.display(), new.display())]
    Incomplete { old: PathBuf, new: PathBuf, places: u64, uncertain: u64 },
    #[error("the demo failed: {0}")]
    Demo(String),
    #[error(transparent)]
    Argument(DocumentError),
    #[error(
        "`diff` goes from the earlier moment to the later one, and position {from} comes after {to}: swap the two"
    )]
    Backwards { from: u64, to: u64 },
    #[error("`{collection}` has no index `{name}`; {}", those_there(there))]
    NoIndex { collection: String, name: String, there: Vec<String> },
    #[error("`--desc` is for an index of one field; of several, say which: `FIELD:desc`")]
    WhichDescending,
    #[error("standard input has the commands; give `put` the document itself, or a file")]
    InputTaken,
    #[error("{problem}; `help` says what there is")]
    Command { problem: String },
    #[error("line {line}: {source}")]
    Line { line: u64, source: Box<CliError> },
    #[error("cannot edit lines here: {0}")]
    Editor(#[from] ReadlineError),
}

impl From<OpenError> for CliError {
    fn from(error: OpenError) -> CliError {
        CliError::Store(error.into())
    }
}

impl CliError {
    pub(crate) fn file(operation: &'static str, path: impl Into<PathBuf>, source: io::Error) -> CliError {
        CliError::File { operation, path: path.into(), source }
    }

    /// The same, with the line of a script that it is about.
    pub(crate) fn at_line(self, line: u64) -> CliError {
        CliError::Line { line, source: Box::new(self) }
    }

    /// What the program ends with.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            CliError::Store(error) => of_store(error),
            CliError::Restore(error) => of_restore(error),
            CliError::Input(InputError::Io { source, .. }) | CliError::File { source, .. } => of_io(source),
            CliError::Input(_) | CliError::Document { .. } => Exit::BadInput,
            CliError::Id { .. }
            | CliError::DemoDir { .. }
            | CliError::Argument(_)
            | CliError::WhichDescending
            | CliError::Backwards { .. }
            | CliError::InputTaken
            | CliError::Command { .. } => Exit::Usage,
            CliError::Line { source, .. } => source.exit(),
            CliError::Editor(_) => Exit::System,
            CliError::NoDocument { .. }
            | CliError::NotInLog { .. }
            | CliError::NoCollection { .. }
            | CliError::NoIndex { .. } => Exit::NotFound,
            CliError::Stopped { exit, .. } => *exit,
            CliError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::OutputClosed,
            CliError::Output(_) => Exit::System,
            CliError::Damaged { .. } | CliError::Incomplete { .. } => Exit::Damaged,
            CliError::Salvage(SalvageError::New(OpenError::NotEmpty { .. })) => Exit::Conflict,
            CliError::Salvage(SalvageError::Old(error) | SalvageError::New(error)) => of_open(error),
            CliError::Salvage(_) => Exit::System,
            CliError::Demo(_) => Exit::Failed,
        }
    }
}

fn of_store(error: &Error) -> Exit {
    match error {
        Error::Open(error) => of_open(error),
        Error::NotFound { .. }
        | Error::HistoryGone { .. }
        | Error::NotReached { .. }
        | Error::TimeNotReached { .. } => Exit::NotFound,
        Error::Conflict { .. } | Error::AlreadyExists { .. } | Error::VersionMismatch { .. } => {
            Exit::Conflict
        }
        Error::Document(_) | Error::RefusedInBatch { .. } => Exit::BadInput,
        Error::NotADocument { .. } => Exit::Damaged,
        Error::Index { cause, .. } => of_index(cause),
        Error::Query(error) => of_query(error),
        Error::ReadOnly { .. } => Exit::System,
        Error::Checkpoint { cause, .. } => of_checkpoint(cause),
        Error::Backup { cause, .. } => of_backup(cause),
        Error::RotateKey(error) => of_rotation(error),
        Error::Name { .. } | Error::NoFeedCursor | Error::ForeignCursor => Exit::Usage,
        Error::Log(cause) => of_log(cause),
        _ => Exit::Failed,
    }
}

fn of_index(error: &IndexError) -> Exit {
    match error {
        IndexError::NotFound { .. } => Exit::NotFound,
        IndexError::Exists { .. } | IndexError::Duplicate { .. } => Exit::Conflict,
        IndexError::Entry { .. } => Exit::BadInput,
        IndexError::Log(_) => Exit::System,
        _ => Exit::Failed,
    }
}

fn of_query(error: &QueryError) -> Exit {
    match error {
        QueryError::Filter(_)
        | QueryError::Path(_)
        | QueryError::NamedTwice { .. }
        | QueryError::ResultName { .. }
        | QueryError::CannotUse { .. }
        | QueryError::Cursor { .. } => Exit::Usage,
        _ => Exit::Failed,
    }
}

fn of_open(error: &OpenError) -> Exit {
    match error {
        OpenError::Missing { .. }
        | OpenError::NotADirectory { .. }
        | OpenError::Foreign { .. }
        | OpenError::IsBackup { .. } => Exit::NotFound,
        OpenError::Newer { .. } | OpenError::Damaged { .. } => Exit::Damaged,
        OpenError::Locked(LockError::Held { .. }) => Exit::InUse,
        OpenError::KeyNeeded { .. }
        | OpenError::WrongKey { .. }
        | OpenError::NotEncrypted { .. }
        | OpenError::Key(_) => Exit::Key,
        OpenError::Log(error) => of_log(error),
        OpenError::Checkpoint(error) => of_checkpoint(error),
        OpenError::Io(_) | OpenError::Locked(_) => Exit::System,
        _ => Exit::Failed,
    }
}

fn of_log(error: &LogError) -> Exit {
    match error {
        LogError::Damaged { .. } | LogError::Unauthentic { .. } | LogError::Senseless { .. } => Exit::Damaged,
        LogError::Io(_) => Exit::System,
        _ => Exit::Failed,
    }
}

fn of_checkpoint(error: &CheckpointError) -> Exit {
    match error {
        CheckpointError::Newer { .. } | CheckpointError::Damaged { .. } => Exit::Damaged,
        CheckpointError::Log(error) => of_log(error),
        CheckpointError::Io(_) | CheckpointError::Threads { .. } => Exit::System,
        _ => Exit::Failed,
    }
}

fn of_backup(error: &BackupError) -> Exit {
    match error {
        BackupError::Target(OpenError::NotEmpty { .. }) => Exit::Conflict,
        BackupError::Target(error) => of_open(error),
        BackupError::Checkpoint(error) => of_checkpoint(error),
        BackupError::Log(error) => of_log(error),
        BackupError::Previous(error) => of_chain(error),
        BackupError::Io(_) => Exit::System,
        _ => Exit::Failed,
    }
}

fn of_chain(error: &ChainError) -> Exit {
    match error {
        ChainError::Open(error) => of_open(error),
        ChainError::Unreadable { cause, .. } => of_open(cause),
        ChainError::NotABackup { .. } => Exit::NotFound,
        // Each of them is good, and they do not go together.
        _ => Exit::Conflict,
    }
}

fn of_restore(error: &RestoreError) -> Exit {
    match error {
        RestoreError::Chain(error) => of_chain(error),
        RestoreError::NotCovered { .. } => Exit::NotFound,
        RestoreError::Target(OpenError::NotEmpty { .. }) => Exit::Conflict,
        RestoreError::Target(error) => of_open(error),
        RestoreError::Checkpoint(error) => of_checkpoint(error),
        RestoreError::Io(_) => Exit::System,
        _ => Exit::Failed,
    }
}

fn of_rotation(error: &RotateKeyError) -> Exit {
    match error {
        RotateKeyError::NotEncrypted | RotateKeyError::Key(_) => Exit::Key,
        RotateKeyError::Io(_) => Exit::System,
        RotateKeyError::Checkpoint(error) => of_checkpoint(error),
        _ => Exit::Failed,
    }
}

fn of_io(error: &io::Error) -> Exit {
    match error.kind() {
        io::ErrorKind::NotFound => Exit::NotFound,
        // CSV that cannot be read as such, and the like.
        io::ErrorKind::InvalidData => Exit::BadInput,
        _ => Exit::System,
    }
}

fn those_there(names: &[String]) -> String {
    match names {
        [] => "it has none at all".to_owned(),
        names => format!("it has {}", names.join(", ")),
    }
}

fn record_advice(can_skip: bool) -> &'static str {
    match can_skip {
        true => ", none of this record's batch is among them; mend the record, or pass `--on-error skip`",
        false => "",
    }
}
