//! `put`: one document is inserted, or replaces the one with its id.

use crate::args::PutArgs;
use crate::error::CliError;
use crate::ids;
use crate::output::{Output, Style};
use crate::store;
use serde_json::json;
use skipstone::bson::RawDocumentBuf;
use skipstone::document::{self, DocumentError};
use skipstone::{DocumentId, Limits};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// No document that is accepted has longer text than this: 16 MiB as BSON, with room for JSON's longer forms.
const TEXT_BYTES_MAX: u64 = 64 << 20;

pub(crate) fn run(args: &PutArgs, style: Style) -> Result<(), CliError> {
    let id = args.id.as_deref().map(|id| ids::parse(id, args.kind.id_type)).transpose()?;
    let name =
        if args.file.as_os_str() == "-" { "standard input".into() } else { args.file.display().to_string() };
    let refused = |source: DocumentError| CliError::Document { name: name.clone(), source };
    let text = read(&args.file).map_err(|error| CliError::file("read", &args.file, error))?;
    // All that can be wrong with it, before the store is touched.
    let (id, raw) = prepare(&text, id, &Limits::default()).map_err(refused)?;
    let (db, collection) = store::create_collection(&args.target, None)?;
    collection.upsert(raw)?;
    db.close()?;
    Output::report(style, &format!("{id} put into `{}`", args.target.collection), &json!({ "put": id }))
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

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let read = if path.as_os_str() == "-" {
        io::stdin().take(TEXT_BYTES_MAX + 1).read_to_end(&mut text)
    } else {
        File::open(path)?.take(TEXT_BYTES_MAX + 1).read_to_end(&mut text)
    }?;
    if read as u64 > TEXT_BYTES_MAX {
        let message = format!("it is longer than {} MiB, which no document is", TEXT_BYTES_MAX >> 20);
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(text)
}
