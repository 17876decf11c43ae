//! What can be said on the command line.
//!
//! What is said to a store that may be open already is in `store`; it is the same in the shell. How queries are said is in `queries`, and how changes are watched in `watch`.

mod queries;
mod store;
mod watch;

use crate::exit;
use clap::error::{ContextKind, ContextValue};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::SystemTime;

pub(crate) use queries::{
    AggregateArgs, CreateIndexArgs, DropIndexArgs, FindArgs, Named, RemoveArgs, UpdateArgs,
};
pub(crate) use store::{
    CollectionArgs, DiffArgs, ExportArgs, GetArgs, HistoryArgs, IdType, IdTypeArg, In, IndexCommand, NoArgs,
    PutArgs, ScanArgs, StoreCommand,
};
pub(crate) use watch::{Beginning, WatchArgs};

/// Of a value that is refused no more than so many characters are shown.
const SHOWN_MAX: usize = 60;

/// The same for people, who need not see all of a long value again: the reason says where in it the mistake is.
pub(crate) fn shortened(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue)
        && let Some((end, _)) = value.char_indices().nth(SHOWN_MAX)
    {
        let shown = format!("{}…", &value[..end]);
        error.insert(ContextKind::InvalidValue, ContextValue::String(shown));
    }
    error
}

/// Skipstone: an embedded document store, from the command line.
///
/// A store is a directory, and one process at a time has it open. Without a terminal on standard output, results are JSON,
/// one value a line. Messages go to standard error.
#[derive(Parser)]
#[command(name = "skipstone", version, after_help = exit::TABLE, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) style: StyleArgs,
}

#[derive(Args)]
pub(crate) struct StyleArgs {
    /// Write JSON lines, on a terminal too.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Write for people, into a pipe or file too.
    #[arg(long, global = true, conflicts_with = "json")]
    pub(crate) human: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Put the records of a file into a collection; makes the store and the collection if they are missing.
    Import(ImportArgs),
    #[command(flatten)]
    Store(Box<StoreCommand<StoreArgs>>),
    /// Work with a store line by line: the commands above, without the directory. Reads a script where there is no terminal.
    Shell(ShellArgs),
    /// Write what changed since the last checkpoint into pages: the next opening is faster, and the log before is used again.
    Checkpoint(CheckpointArgs),
    /// Copy a store that nobody has open to an empty directory, or what a backup before does not have; whole or not at all.
    Backup(BackupArgs),
    /// Make a store out of a full backup and those that go on from it, as it was at its end, at a position, or at a time.
    Restore(RestoreArgs),
    /// Change the key of an encrypted store that nobody has open, and write everything anew with a new data key.
    RotateKey(RotateKeyArgs),
    /// Check everything in a store that nobody has open, and list what is wrong: where, and what is lost by it.
    Verify(StoreArgs),
    /// Bring everything that can be read out of a damaged store into a new one, and list what cannot. The damaged store is left as it is.
    Salvage(SalvageArgs),
    /// A tour on real records: import, reads, transfers, a crash and the recovery, with figures.
    Demo(DemoArgs),
}

#[derive(Args)]
pub(crate) struct StoreArgs {
    /// The store's directory.
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
}

#[derive(Args)]
pub(crate) struct CheckpointArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) pages: PagesArgs,
}

/// How what is written to pages is written.
#[derive(Args)]
pub(crate) struct PagesArgs {
    /// How pages are compressed from now on; those that are there stay as they are until they are rewritten [default: as before, not at all in a new store].
    #[arg(long, value_enum)]
    pub(crate) compression: Option<CompressionArg>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum CompressionArg {
    /// Not at all.
    None,
    /// LZ4: fewer pages, for more computing.
    Lz4,
}

/// Where the key of an encrypted store comes from.
#[derive(Args)]
pub(crate) struct KeyArgs {
    /// The store is encrypted, or made so, with the key in this file: 32 bytes, or 64 hexadecimal digits.
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// The same with the key in this environment variable: 64 hexadecimal digits.
    #[arg(long, value_name = "NAME", conflicts_with = "key_file")]
    pub(crate) key_env: Option<String>,
}

#[derive(Args)]
pub(crate) struct RotateKeyArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) pages: PagesArgs,
    /// The file with the key that the store gets.
    #[arg(long, value_name = "FILE", required_unless_present = "new_key_env")]
    pub(crate) new_key_file: Option<PathBuf>,
    /// The environment variable with the key that the store gets.
    #[arg(long, value_name = "NAME", conflicts_with = "new_key_file")]
    pub(crate) new_key_env: Option<String>,
}

#[derive(Args)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The directory to copy it to: empty, or not there yet.
    pub(crate) target: PathBuf,
    /// Copy only what this backup does not have, which is the last one that was made [default: everything].
    #[arg(long, value_name = "PREVIOUS")]
    pub(crate) since: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct RestoreArgs {
    /// The directories of the backups, in the order in which they were made, the full one first; then the one to make the store in, empty or not there yet.
    #[arg(required = true, num_args = 2.., value_names = ["BACKUP", "TARGET"])]
    pub(crate) dirs: Vec<PathBuf>,
    /// Restore what was committed below this position [default: everything].
    #[arg(long, value_name = "N", conflicts_with = "to_time")]
    pub(crate) to_position: Option<u64>,
    /// Restore what was committed at this time, but for the last second before: RFC 3339, or milliseconds since 1970.
    #[arg(long, value_name = "TIME", value_parser = crate::commands::restore::parse_time)]
    pub(crate) to_time: Option<SystemTime>,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
}

#[derive(Args)]
pub(crate) struct SalvageArgs {
    /// The damaged store's directory.
    pub(crate) old: PathBuf,
    /// The directory for the new store: empty, or not there yet.
    pub(crate) new: PathBuf,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
}

#[derive(Args)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The collection's name.
    pub(crate) collection: String,
    /// The file to read; `-` is standard input.
    pub(crate) file: PathBuf,
    /// Take each document's id from this field, which stays in the document [default: its `_id`, else a new UUID].
    #[arg(long, value_name = "FIELD")]
    pub(crate) id: Option<String>,
    /// Documents per transaction. A batch ends earlier when its text reaches 16 MiB.
    #[arg(long, value_name = "N", default_value = "256")]
    pub(crate) batch: NonZeroUsize,
    /// When a transaction counts as done. Whatever is said here, all is on stable storage when the import is finished.
    #[arg(long, value_enum, default_value = "sync")]
    pub(crate) durability: DurabilityArg,
    /// What to do with a record that cannot be imported. `stop` leaves out its whole batch; earlier batches stay.
    #[arg(long, value_enum, default_value = "stop")]
    pub(crate) on_error: OnError,
    /// Print the id of each document, a line each, once it is on stable storage. The summary goes to standard error.
    #[arg(long)]
    pub(crate) ack: bool,
    /// Threads that parse and write, a batch each at a time.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) writers: NonZeroUsize,
    #[command(flatten)]
    pub(crate) pages: PagesArgs,
    #[command(flatten)]
    pub(crate) input: InputArgs,
}

#[derive(Args)]
pub(crate) struct InputArgs {
    /// The input's format [default: CSV if the file's name ends in .csv, else a JSON array if it begins with `[`, else NDJSON].
    #[arg(long, value_enum)]
    pub(crate) format: Option<InputFormat>,
    /// What the cells of CSV become: numbers, booleans and nulls where they look like it and nothing is lost, or always text.
    #[arg(long, value_enum, default_value = "typed")]
    pub(crate) cells: Cells,
}

#[derive(Args)]
pub(crate) struct ShellArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Keep the lines in this file, for the next time [default: they are forgotten at the end].
    #[arg(long, value_name = "FILE")]
    pub(crate) history: Option<PathBuf>,
    /// Keep so many bytes of the log readable as history, for `find --at`, from now on [default: as before, 0 in a new store].
    #[arg(long, value_name = "BYTES")]
    pub(crate) retain_history: Option<u64>,
}

#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Make the store in this directory, which must be empty or missing, and keep it [default: a temporary one, removed at the end].
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
    /// Keep the temporary directory.
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum InputFormat {
    /// One JSON object a line.
    Ndjson,
    /// One JSON array of objects.
    Json,
    /// Comma-separated values; the first row names the columns.
    Csv,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Cells {
    /// What they look like.
    Typed,
    /// Text.
    Text,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum DurabilityArg {
    /// On stable storage.
    Sync,
    /// In memory; on stable storage a moment later.
    Buffered,
    /// In memory; on stable storage at the end.
    None,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum OnError {
    /// Stop the import.
    Stop,
    /// Say so, and go on with the next record.
    Skip,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }
}
