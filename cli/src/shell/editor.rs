//! Lines from a terminal.

use super::complete::{Known, complete};
use super::words::Words;
use super::{Flow, Line, Session};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use clap::{Command, CommandFactory};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use skipstone::{Collection, Database};
use std::io;
use std::path::Path;

const PROMPT: &str = "skipstone> ";

/// Runs line after line, until there are no more. One that fails ends nothing.
pub(super) fn run(session: &Session<'_>, history: Option<&Path>) -> Result<(), CliError> {
    let mut grammar = Line::command();
    grammar.build();
    let config = Config::builder().completion_type(CompletionType::List).build();
    let mut editor: Editor<Help, DefaultHistory> = Editor::with_config(config)?;
    editor.set_helper(Some(Help { db: session.db.clone(), grammar }));
    if let Some(path) = history {
        load(&mut editor, path)?;
    }
    loop {
        let line = match editor.readline(PROMPT) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if editor.add_history_entry(&line)?
            && let Some(path) = history
        {
            editor.append_history(path).map_err(|error| of_history(path, error))?;
        }
        let mut words = Words::default();
        words.read(&line);
        match session.run(words) {
            Ok(Flow::GoesOn) => {}
            Ok(Flow::Ends) => return Ok(()),
            Err(error) if error.exit() == Exit::OutputClosed => return Err(error),
            Err(error) => output::tell(&format!("skipstone: {error}")),
        }
    }
}

/// The lines of the last time, if there was one.
fn load(editor: &mut Editor<Help, DefaultHistory>, path: &Path) -> Result<(), CliError> {
    match editor.load_history(path) {
        Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|error| of_history(path, error)),
    }
}

fn of_history(path: &Path, error: ReadlineError) -> CliError {
    match error {
        ReadlineError::Io(source) => CliError::file("keep the lines in", path, source),
        other => other.into(),
    }
}

/// What the editor asks while a line is written.
struct Help {
    db: Database,
    grammar: Command,
}

impl Completer for Help {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(complete(&line[..pos], &self.grammar, &self.db))
    }
}

impl Validator for Help {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let mut words = Words::default();
        words.read(context.input());
        Ok(match words.are_unfinished() {
            true => ValidationResult::Incomplete,
            false => ValidationResult::Valid(None),
        })
    }
}

impl Hinter for Help {
    type Hint = String;
}

impl Highlighter for Help {}

impl Helper for Help {}

impl Known for Database {
    fn collections(&self) -> Vec<String> {
        self.collection_names().unwrap_or_default()
    }

    fn indexes(&self, collection: &str) -> Vec<String> {
        let indexes = found(self, collection).map(|collection| collection.indexes()).unwrap_or_default();
        indexes.iter().map(|info| info.index.name()).collect()
    }

    fn fields(&self, collection: &str) -> Vec<String> {
        let indexes = found(self, collection).map(|collection| collection.indexes()).unwrap_or_default();
        let fields = indexes.iter().flat_map(|info| info.index.fields());
        fields.map(|field| field.path.to_string()).collect()
    }
}

fn found(db: &Database, collection: &str) -> Option<Collection> {
    // A name that cannot be looked up completes to nothing.
    db.find_collection(collection).ok().flatten()
}
