//! What can be said to a store, on the command line and in the shell.
//!
//! `P` says where the store is: on the command line its directory and key, in the shell nothing.

use super::queries::{
    AggregateArgs, CreateIndexArgs, DropIndexArgs, FindArgs, RemoveArgs, UpdateArgs, limit, moment,
};
use super::watch::WatchArgs;
use clap::{Args, Subcommand, ValueEnum};
use skipstone::Moment;
use std::num::NonZeroU64;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum StoreCommand<P: Args> {
    /// Print one document.
    Get(In<P, GetArgs>),
    /// Insert or replace one document; makes the store and the collection if they are missing.
    Put(In<P, PutArgs>),
    /// Delete one document.
    Delete(In<P, GetArgs>),
    /// Print documents in the order of their ids: integers, then strings, then bytes and UUIDs.
    Scan(In<P, ScanArgs>),
    /// Print the documents that match a filter, in an order, by way of indexes where that is faster.
    Find(In<P, FindArgs>),
    /// Print what the log still says of one document: each time it was put or deleted, the oldest first.
    ///
    /// A line has the position; the time that was noted last before it, once a second while something is committed; the version; and the document
    /// as it was then, null if it was deleted. The log goes back to the last checkpoint, and further if the program that uses the store keeps
    /// history or log for backups; how far is said on standard error. What was put before that is not found, also if it is still there.
    /// The log is read as a whole.
    History(In<P, HistoryArgs>),
    /// Print the documents of a collection that changed between two moments, by what the log still says, in the order of their ids.
    ///
    /// A line has the id, the document before and after; null is none. Where the log does not go back to the document before, `before` is left
    /// out. A document that was written in between is printed, also if it is the same again. Both moments must be in the log, see `history`.
    /// What the log says of the collection up to the later one is held in memory.
    Diff(In<P, DiffArgs>),
    /// Print how many documents a collection holds.
    Count(In<P, CollectionArgs>),
    /// Print sums over the documents that match a filter, a line for each group.
    Aggregate(In<P, AggregateArgs>),
    /// Change the documents that match a filter, all or none.
    Update(In<P, UpdateArgs>),
    /// Delete the documents that match a filter, all or none.
    Remove(In<P, RemoveArgs>),
    /// Create, drop and list the indexes of a collection.
    #[command(subcommand)]
    Index(IndexCommand<P>),
    /// Write all documents of a collection as NDJSON, as they were at one moment.
    Export(In<P, ExportArgs>),
    /// Print what was changed since a position or a cursor, in the order of commits. It is over with what is there: one process at a time has a store open,
    /// so nothing new comes while this one has it.
    Watch(In<P, WatchArgs>),
    /// Print what is known of a store: its collections, its log, its checkpoint, what opening it did.
    Stats(In<P, NoArgs>),
}

#[derive(Subcommand)]
pub(crate) enum IndexCommand<P: Args> {
    /// Create an index, and wait until it holds every document. Whoever writes meanwhile goes on.
    Create(In<P, CreateIndexArgs>),
    /// Drop an index.
    Drop(In<P, DropIndexArgs>),
    /// Print the indexes of a collection.
    List(In<P, CollectionArgs>),
}

/// A command's arguments, behind where its store is.
#[derive(Args)]
pub(crate) struct In<P: Args, A: Args> {
    #[command(flatten)]
    pub(crate) place: P,
    #[command(flatten)]
    pub(crate) args: A,
}

/// Nothing.
#[derive(Args)]
#[group(skip)]
pub(crate) struct NoArgs {}

#[derive(Args)]
pub(crate) struct CollectionArgs {
    /// The collection's name.
    pub(crate) collection: String,
}

#[derive(Args)]
pub(crate) struct GetArgs {
    /// The collection's name.
    pub(crate) collection: String,
    /// The document's id: an integer or a UUID if it looks like one, else a string.
    #[arg(allow_negative_numbers = true)]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) kind: IdTypeArg,
}

#[derive(Args)]
pub(crate) struct HistoryArgs {
    #[command(flatten)]
    pub(crate) of: GetArgs,
}

#[derive(Args)]
pub(crate) struct DiffArgs {
    /// The collection's name.
    pub(crate) collection: String,
    /// From this moment on: a position of the log, or a time as in 2026-01-31T14:30:00Z, which is that of the last mark by then.
    #[arg(value_parser = moment)]
    pub(crate) from: Moment,
    /// Up to this one, which is not earlier [default: now].
    #[arg(value_parser = moment)]
    pub(crate) to: Option<Moment>,
}

#[derive(Args)]
pub(crate) struct IdTypeArg {
    /// What kind of id is meant. Bytes are written in hexadecimal.
    #[arg(long, value_enum)]
    pub(crate) id_type: Option<IdType>,
}

#[derive(Args)]
pub(crate) struct PutArgs {
    /// The collection's name.
    pub(crate) collection: String,
    /// The file with the document, one JSON object, or the document itself if it begins with `{`; `-` is standard input.
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,
    /// The document's id [default: its `_id`, else a new UUID].
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) kind: IdTypeArg,
}

#[derive(Args)]
pub(crate) struct ScanArgs {
    /// The collection's name.
    pub(crate) collection: String,
    /// From this id on, which is included.
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    pub(crate) from: Option<String>,
    /// Up to this id, which is not included.
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    pub(crate) to: Option<String>,
    #[command(flatten)]
    pub(crate) kind: IdTypeArg,
    /// From the last id to the first.
    #[arg(long)]
    pub(crate) reverse: bool,
    /// Print this many documents at most.
    #[arg(long, value_name = "N", value_parser = limit, allow_negative_numbers = true)]
    pub(crate) limit: Option<NonZeroU64>,
}

#[derive(Args)]
pub(crate) struct ExportArgs {
    /// The collection's name.
    pub(crate) collection: String,
    /// The file to write; it appears, or is replaced, when it is whole. `-` is standard output.
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum IdType {
    /// An integer of 64 bits.
    Int,
    /// Text.
    String,
    /// A UUID.
    Uuid,
    /// Bytes.
    Bytes,
}
