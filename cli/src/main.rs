//! The command-line program of Skipstone.
//!
//! | module | job |
//! | --- | --- |
//! | `args` | what can be said on the command line |
//! | `commands` | one module a command |
//! | `shell` | commands line by line |
//! | `demo` | the tour |
//! | `input` | records from NDJSON, JSON arrays and CSV |
//! | `ids`, `patches` | ids and patches as arguments |
//! | `findings` | what is wrong with a store |
//! | `output`, `table`, `progress` | what is shown, and where |
//! | `store` | opening stores and collections |
//! | `error`, `exit` | how it ends |
//!
//! Everything about documents and stores is the library's; nothing of it is repeated here.

mod args;
mod commands;
mod demo;
mod error;
mod exit;
mod findings;
mod ids;
mod input;
mod output;
mod patches;
mod progress;
mod shell;
mod store;
mod table;

use args::{Cli, Command};
use clap::Parser;
use error::CliError;
use exit::Exit;
use output::Style;
use std::process::ExitCode;
use store::Access;

/// A store frees in one thread what another took, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let exit = match run(Cli::try_parse().unwrap_or_else(|error| args::shortened(error).exit())) {
        Ok(()) => Exit::Done,
        Err(error) => {
            let exit = error.exit();
            if exit != Exit::OutputClosed {
                output::tell(&format!("skipstone: {error}"));
            }
            exit
        }
    };
    exit.into()
}

fn run(cli: Cli) -> Result<(), CliError> {
    let style = Style::of(&cli.style);
    match cli.command {
        Command::Import(args) => commands::import::run(&args, style),
        Command::Store(command) => commands::run(&command, Access::Own, style),
        Command::Shell(args) => shell::run(&args, style),
        Command::Backup(args) => commands::backup::run(&args, style),
        Command::Restore(args) => commands::restore::run(&args, style),
        Command::Checkpoint(args) => commands::checkpoint::run(&args, style),
        Command::RotateKey(args) => commands::rotate_key::run(&args, style),
        Command::Verify(args) => commands::verify::run(&args, style),
        Command::Salvage(args) => commands::salvage::run(&args, style),
        // A tour is for people, wherever its output goes.
        Command::Demo(args) => demo::run(&args, if cli.style.json { Style::Json } else { Style::Human }),
    }
}
