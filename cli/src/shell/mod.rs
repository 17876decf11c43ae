//! `shell`: the program's commands, line by line, on a store that stays open.
//!
//! | module | job |
//! | --- | --- |
//! | `words` | a line cut into words, and whether it goes on |
//! | `editor` | lines from a terminal: history, completion |
//! | `complete` | what could stand at a place in a line |
//!
//! Without a terminal the lines are a script, which ends at the first one that fails.

mod complete;
mod editor;
mod words;

use crate::args::{self, NoArgs, ShellArgs, StoreCommand, StyleArgs};
use crate::commands;
use crate::error::CliError;
use crate::input::InputError;
use crate::output::{Output, Style};
use crate::store::{self, Access};
use clap::{Parser, Subcommand};
use skipstone::Database;
use std::io::{self, BufRead, IsTerminal};
use std::path::Path;
use words::Words;

/// The program's commands, without the directory of the store.
///
/// JSON needs no quotes, and goes on over several lines until its braces are closed.
#[derive(Parser)]
#[command(name = "", no_binary_name = true, disable_version_flag = true, max_term_width = 110)]
struct Line {
    #[command(subcommand)]
    command: LineCommand,
    #[command(flatten)]
    style: StyleArgs,
}

#[derive(Subcommand)]
enum LineCommand {
    #[command(flatten)]
    Store(Box<StoreCommand<NoArgs>>),
    /// Leave the shell.
    #[command(visible_alias = "quit")]
    Exit,
}

/// A store that stays open, and what results look like.
struct Session<'a> {
    db: &'a Database,
    dir: &'a Path,
    style: Style,
}

/// Whether there is a next line.
#[derive(PartialEq, Eq)]
enum Flow {
    GoesOn,
    Ends,
}

pub(crate) fn run(args: &ShellArgs, style: Style) -> Result<(), CliError> {
    let builder = store::builder(&args.store.dir, &args.store.key).create(false);
    let builder = match args.retain_history {
        Some(bytes) => builder.retain_history_bytes(bytes),
        None => builder,
    };
    let db = builder.open()?;
    let session = Session { db: &db, dir: &args.store.dir, style: style.with_tables() };
    let outcome = if io::stdin().is_terminal() && io::stdout().is_terminal() {
        editor::run(&session, args.history.as_deref())
    } else {
        script(&session, io::stdin().lock())
    };
    outcome.and(db.close().map_err(CliError::from))
}

/// Runs the lines of a script.
fn script(session: &Session<'_>, input: impl BufRead) -> Result<(), CliError> {
    let mut words = Words::default();
    let mut first = 1;
    for (number, line) in (1..).zip(input.lines()) {
        let line = line.map_err(|source| InputError::Io { name: "standard input".to_owned(), source })?;
        words.read(&line);
        words.read("\n");
        if words.are_unfinished() {
            continue;
        }
        if session.run(std::mem::take(&mut words)).map_err(|error| error.at_line(first))? == Flow::Ends {
            return Ok(());
        }
        first = number + 1;
    }
    match words.finish() {
        Ok(_) => Ok(()),
        Err(error) => Err(CliError::from(error).at_line(first)),
    }
}

impl Session<'_> {
    /// Runs one line.
    fn run(&self, words: Words) -> Result<Flow, CliError> {
        let words = words.finish()?;
        if words.is_empty() {
            return Ok(Flow::GoesOn);
        }
        let line = match Line::try_parse_from(words) {
            Ok(line) => line,
            Err(error) if error.use_stderr() => return Err(refused(&args::shortened(error))),
            Err(help) => {
                let mut output = Output::new(self.style);
                output.text(help.to_string())?;
                output.finish()?;
                return Ok(Flow::GoesOn);
            }
        };
        match &line.command {
            LineCommand::Exit => Ok(Flow::Ends),
            LineCommand::Store(command) => {
                let access = |_: &NoArgs| Access::Shared { db: self.db, dir: self.dir };
                commands::run(command, access, self.style_of(&line.style))?;
                Ok(Flow::GoesOn)
            }
        }
    }

    /// What the line says, else what the shell was started with.
    fn style_of(&self, args: &StyleArgs) -> Style {
        match (args.json, args.human) {
            (false, false) => self.style,
            _ => Style::of(args).with_tables(),
        }
    }
}

/// What the parser says of a line, in short.
fn refused(error: &clap::Error) -> CliError {
    use clap::error::ErrorKind;
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return CliError::Command { problem: "the command is not complete".to_owned() };
    }
    let text = error.to_string();
    let problem = text.split("\n\n").next().unwrap_or_default();
    let problem = problem.strip_prefix("error: ").unwrap_or(problem);
    CliError::Command { problem: problem.split_whitespace().collect::<Vec<_>>().join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Line::command().debug_assert();
    }
}
