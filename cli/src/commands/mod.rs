//! The commands, one a module.

mod aggregate;
pub(crate) mod backup;
mod changes;
pub(crate) mod checkpoint;
mod count;
mod delete;
mod export;
mod find;
mod get;
pub(crate) mod import;
mod index;
mod past;
mod put;
pub(crate) mod restore;
pub(crate) mod rotate_key;
pub(crate) mod salvage;
mod scan;
mod stats;
pub(crate) mod verify;
mod watch;

use crate::args::{In, IndexCommand, StoreCommand};
use crate::error::CliError;
use crate::output::Style;
use crate::store::Access;
use clap::Args;

/// Runs a command on the store that `access` makes of its place.
pub(crate) fn run<'a, P: Args>(
    command: &'a StoreCommand<P>,
    access: impl Fn(&'a P) -> Access<'a>,
    style: Style,
) -> Result<(), CliError> {
    match command {
        StoreCommand::Get(In { place, args }) => get::run(access(place), args, style),
        StoreCommand::Put(In { place, args }) => put::run(access(place), args, style),
        StoreCommand::Delete(In { place, args }) => delete::run(access(place), args, style),
        StoreCommand::Scan(In { place, args }) => scan::run(access(place), args, style),
        StoreCommand::Find(In { place, args }) => find::run(access(place), args, style),
        StoreCommand::History(In { place, args }) => past::history(access(place), args, style),
        StoreCommand::Diff(In { place, args }) => past::diff(access(place), args, style),
        StoreCommand::Count(In { place, args }) => count::run(access(place), args, style),
        StoreCommand::Aggregate(In { place, args }) => aggregate::run(access(place), args, style),
        StoreCommand::Update(In { place, args }) => changes::update(access(place), args, style),
        StoreCommand::Remove(In { place, args }) => changes::remove(access(place), args, style),
        StoreCommand::Index(IndexCommand::Create(In { place, args })) => {
            index::create(access(place), args, style)
        }
        StoreCommand::Index(IndexCommand::Drop(In { place, args })) => {
            index::drop(access(place), args, style)
        }
        StoreCommand::Index(IndexCommand::List(In { place, args })) => {
            index::list(access(place), args, style)
        }
        StoreCommand::Export(In { place, args }) => export::run(access(place), args, style),
        StoreCommand::Watch(In { place, args }) => watch::run(access(place), args, style),
        StoreCommand::Stats(In { place, .. }) => stats::run(access(place), style),
    }
}
