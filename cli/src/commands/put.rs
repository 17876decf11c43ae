//! `put`: one document is inserted, or replaces the one with its id.

use crate::args::PutArgs;
use crate::error::CliError;
use crate::ids;
use crate::output::{Output, Style};
use crate::store::Access;
use serde_json::json;
use skipstone::bson::RawDocumentBuf;
use skipstone::document::{self, DocumentError};
use skipstone::{DocumentId, Limits};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// No document that is accepted has longer text than this: 16 MiB as BSON, with room for JSON's longer forms.
const TEXT_BYTES_MAX: u64 = 64 << 20;

pub(crate) fn run(store: Access<'_>, args: &PutArgs, style: Style) -> Result<(), CliError> {
    let id = args.id.as_deref().map(|id| ids::parse(id, args.kind.id_type)).transpose()?;
    let from = Source::of(&args.file);
    if from == Source::StandardInput && matches!(store, Access::Shared { .. }) {
        return Err(CliError::InputTaken);
    }
    let refused = |source: DocumentError| CliError::Document { name: from.name(), source };
    let text = from.read().map_err(|error| CliError::file("read", &args.file, error))?;
    // All that can be wrong with it, before the store is touched.
    let (id, raw) = prepare(&text, id, &Limits::default()).map_err(refused)?;
    let (db, collection) = store.create_collection(&args.collection)?;
    collection.upsert(raw)?;
    db.close()?;
    Output::report(style, &format!("{id} put into `{}`", args.collection), &json!({ "put": id }))
}

fn prepare(
    text: &[u8],
    id: Option<DocumentId>,
    limits: &Limits,
) -> Result<(DocumentId, RawDocumentBuf), DocumentError> {
    let mut raw = document::json_to_raw(text, limits)?;
    if let Some(id) = id {
        raw = document::with_id(raw, &id, limits)?;
    }
    let (id, raw) = document::take_or_generate_id(raw, limits)?;
    id.to_key(&mut Vec::new())?;
    Ok((id, raw))
}

/// Where the document's text comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source<'a> {
    Argument(&'a OsStr),
    StandardInput,
    File(&'a Path),
}

impl Source<'_> {
    fn of(argument: &Path) -> Source<'_> {
        match argument.as_os_str().as_encoded_bytes() {
            b"-" => Source::StandardInput,
            [b'{', ..] => Source::Argument(argument.as_os_str()),
            _ => Source::File(argument),
        }
    }

    /// What messages call it.
    fn name(self) -> String {
        match self {
            Source::Argument(_) => "the document given".to_owned(),
            Source::StandardInput => "standard input".to_owned(),
            Source::File(path) => path.display().to_string(),
        }
    }

    fn read(self) -> io::Result<Vec<u8>> {
        match self {
            Source::Argument(text) => Ok(text.as_encoded_bytes().to_vec()),
            Source::StandardInput => read_all(io::stdin()),
            Source::File(path) => read_all(File::open(path)?),
        }
    }
}

fn read_all(source: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let read = source.take(TEXT_BYTES_MAX + 1).read_to_end(&mut text)?;
    if read as u64 > TEXT_BYTES_MAX {
        let message = format!("it is longer than {} MiB, which no document is", TEXT_BYTES_MAX >> 20);
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(text)
}
