//! What commands print: for people on a terminal, JSON lines elsewhere.
//!
//! A failed write is an error like any other, so that a closed pipe ends the program quietly and nothing panics.

use crate::args::StyleArgs;
use crate::error::CliError;
use crate::table::Rows;
use serde_json::{Value, json};
use skipstone::bson::{self, RawDocument, RawDocumentBuf};
use skipstone::{Explanation, document};
use std::io::{self, BufWriter, IsTerminal, Write};

/// Whom the output is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    Human,
    /// The same, and documents are rows of a table.
    Table,
    Json,
}

impl Style {
    /// As asked for, else by what standard output is.
    pub(crate) fn of(args: &StyleArgs) -> Style {
        match (args.json, args.human || io::stdout().is_terminal()) {
            (false, true) => Style::Human,
            _ => Style::Json,
        }
    }

    /// For people who have asked for documents one after the other.
    pub(crate) fn with_tables(self) -> Style {
        if self == Style::Human { Style::Table } else { self }
    }
}

/// Standard output, buffered until `finish`.
pub(crate) struct Output {
    style: Style,
    out: BufWriter<io::Stdout>,
    line: Vec<u8>,
    rows: Rows,
}

impl Output {
    pub(crate) fn new(style: Style) -> Output {
        Output {
            style,
            out: BufWriter::with_capacity(64 << 10, io::stdout()),
            line: Vec::new(),
            rows: Rows::default(),
        }
    }

    /// Prints one result and nothing else: a sentence for people, a value for programs.
    pub(crate) fn report(style: Style, human: &str, json: &Value) -> Result<(), CliError> {
        let mut output = Output::new(style);
        output.result(human, json)?;
        output.finish()
    }

    /// One of several results: a sentence for people, a value for programs.
    pub(crate) fn result(&mut self, human: &str, json: &Value) -> Result<(), CliError> {
        match self.style {
            Style::Human | Style::Table => writeln!(self.out, "{human}"),
            Style::Json => writeln!(self.out, "{json}"),
        }
        .map_err(CliError::Output)
    }

    /// Text as it is.
    pub(crate) fn text(&mut self, text: impl AsRef<[u8]>) -> Result<(), CliError> {
        self.out.write_all(text.as_ref()).map_err(CliError::Output)
    }

    /// One document on one line, or as a row.
    pub(crate) fn document_line(&mut self, raw: &RawDocument) -> Result<(), CliError> {
        if self.style == Style::Table {
            self.rows.push(value(raw)?);
            return if self.rows.is_full() { self.table() } else { Ok(()) };
        }
        push_document_line(raw, &mut self.line)?;
        let written = self.out.write_all(&self.line);
        self.line.clear();
        written.map_err(CliError::Output)
    }

    /// The same with what is no document of the store.
    pub(crate) fn value_line(&mut self, value: &bson::Document) -> Result<(), CliError> {
        let raw = RawDocumentBuf::try_from(value).expect("what the library makes can be written");
        self.document_line(&raw)
    }

    /// Writes the rows so far.
    fn table(&mut self) -> Result<(), CliError> {
        match self.rows.take(terminal_width()) {
            Some(table) => writeln!(self.out, "{table}").map_err(CliError::Output),
            None => Ok(()),
        }
    }

    /// One document, indented for people.
    pub(crate) fn document(&mut self, raw: &RawDocument) -> Result<(), CliError> {
        if self.style == Style::Json {
            return self.document_line(raw);
        }
        writeln!(self.out, "{:#}", value(raw)?).map_err(CliError::Output)
    }

    /// Writes out what is left.
    pub(crate) fn finish(mut self) -> Result<(), CliError> {
        self.flush()
    }

    /// Writes out what there is by now.
    pub(crate) fn flush(&mut self) -> Result<(), CliError> {
        self.table()?;
        self.out.flush().map_err(CliError::Output)
    }
}

/// How many characters fit beside each other, if that is known.
fn terminal_width() -> Option<u16> {
    terminal_size::terminal_size().map(|(width, _)| width.0)
}

fn value(raw: &RawDocument) -> Result<Value, CliError> {
    let mut json = Vec::new();
    document::raw_to_json(raw, &mut json).map_err(skipstone::Error::from)?;
    Ok(serde_json::from_slice(&json).expect("the library writes JSON"))
}

/// Appends a document as a line of JSON.
pub(crate) fn push_document_line(raw: &RawDocument, out: &mut Vec<u8>) -> Result<(), CliError> {
    document::raw_to_json(raw, out).map_err(skipstone::Error::from)?;
    out.push(b'\n');
    Ok(())
}

/// Prints how a query is answered: as a tree for people, a value for programs.
pub(crate) fn explanation(explanation: &Explanation, style: Style) -> Result<(), CliError> {
    let mut output = Output::new(style);
    match style {
        Style::Json => output.value_line(&explanation.to_document())?,
        Style::Human | Style::Table => output.text(explanation.to_string())?,
    }
    output.finish()
}

/// Says on standard error where to go on: standard output has the results, and nothing else.
pub(crate) fn tell_cursor(cursor: &str, style: Style) {
    tell(&match style {
        Style::Json => json!({ "cursor": cursor }).to_string(),
        Style::Human | Style::Table => format!("go on with --after {cursor}"),
    });
}

/// A line on standard error, whatever becomes of it: there is no better place to say that it failed.
pub(crate) fn tell(message: &str) {
    let line: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let _ = writeln!(io::stderr(), "{line}");
}
