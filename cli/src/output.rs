//! What commands print: for people on a terminal, JSON lines elsewhere.
//!
//! A failed write is an error like any other, so that a closed pipe ends the program quietly and nothing panics.

use crate::args::StyleArgs;
use crate::error::CliError;
use serde_json::Value;
use skipstone::bson::RawDocument;
use skipstone::document;
use std::io::{self, BufWriter, IsTerminal, Write};

/// Whom the output is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    Human,
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
}

/// Standard output, buffered until `finish`.
pub(crate) struct Output {
    style: Style,
    out: BufWriter<io::Stdout>,
    line: Vec<u8>,
}

impl Output {
    pub(crate) fn new(style: Style) -> Output {
        Output { style, out: BufWriter::with_capacity(64 << 10, io::stdout()), line: Vec::new() }
    }

    /// Prints one result and nothing else: a sentence for people, a value for programs.
    pub(crate) fn report(style: Style, human: &str, json: &Value) -> Result<(), CliError> {
        let mut output = Output::new(style);
        output.result(human, json)?;
        output.finish()
    }

    fn result(&mut self, human: &str, json: &Value) -> Result<(), CliError> {
        match self.style {
            Style::Human => writeln!(self.out, "{human}"),
            Style::Json => writeln!(self.out, "{json}"),
        }
        .map_err(CliError::Output)
    }

    /// One document on one line.
    pub(crate) fn document_line(&mut self, raw: &RawDocument) -> Result<(), CliError> {
        push_document_line(raw, &mut self.line)?;
        let written = self.out.write_all(&self.line);
        self.line.clear();
        written.map_err(CliError::Output)
    }

    /// One document, indented for people.
    pub(crate) fn document(&mut self, raw: &RawDocument) -> Result<(), CliError> {
        if self.style == Style::Json {
            return self.document_line(raw);
        }
        let mut json = Vec::new();
        document::raw_to_json(raw, &mut json).map_err(skipstone::Error::from)?;
        let value: Value = serde_json::from_slice(&json).expect("the library writes JSON");
        writeln!(self.out, "{value:#}").map_err(CliError::Output)
    }

    /// Writes out what is left.
    pub(crate) fn finish(mut self) -> Result<(), CliError> {
        self.out.flush().map_err(CliError::Output)
    }
}

/// Appends a document as a line of JSON.
pub(crate) fn push_document_line(raw: &RawDocument, out: &mut Vec<u8>) -> Result<(), CliError> {
    document::raw_to_json(raw, out).map_err(skipstone::Error::from)?;
    out.push(b'\n');
    Ok(())
}

/// A line on standard error, whatever becomes of it: there is no better place to say that it failed.
pub(crate) fn tell(message: &str) {
    let line: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let _ = writeln!(io::stderr(), "{line}");
}
