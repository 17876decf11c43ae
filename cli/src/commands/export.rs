//! `export`: a collection as NDJSON, as of one moment.
//!
//! A file is written under another name and renamed when it is whole and on stable storage: whoever finds it finds
//! all of it, and an export that fails leaves what was there before. What is no plain file (a pipe, a device) is written to.

use crate::args::ExportArgs;
use crate::error::CliError;
use crate::output::{Output, Style, push_document_line};
use crate::progress::Progress;
use crate::store::Access;
use indicatif::{HumanBytes, HumanCount};
use serde_json::json;
use skipstone::{Collection, Database};
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// How much is written at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// Documents from one look at the progress to the next.
const DOCUMENTS_PER_STEP: u64 = 1024;

/// What was written.
#[derive(Default)]
struct Written {
    documents: u64,
    bytes: u64,
}

pub(crate) fn run(store: Access<'_>, args: &ExportArgs, style: Style) -> Result<(), CliError> {
    let (db, collection) = store.open_collection(&args.collection)?;
    if args.file.as_os_str() == "-" {
        let mut out = io::stdout().lock();
        write_all(&db, &collection, &mut out, &Progress::hidden(), CliError::Output)?;
        out.flush().map_err(CliError::Output)?;
        return db.close();
    }
    let written = to_file(&db, &collection, &args.file)?;
    db.close()?;
    let file = args.file.display().to_string();
    let human = format!(
        "{} documents, {} written to {file}",
        HumanCount(written.documents),
        HumanBytes(written.bytes)
    );
    let json = json!({ "file": file, "documents": written.documents, "bytes": written.bytes });
    Output::report(style, &human, &json)
}

fn to_file(db: &Database, collection: &Collection, path: &Path) -> Result<Written, CliError> {
    let failed = |error| CliError::file("write", path, error);
    let progress = Progress::of_documents(collection.count()?);
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        let mut file = File::options().write(true).open(path).map_err(failed)?;
        return write_all(db, collection, &mut file, &progress, failed);
    }
    let target = behind_links(path).map_err(failed)?;
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".skipstone-export-")
        // What the system's mask leaves of it, as for any new file.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(failed)?;
    let written = write_all(db, collection, file.as_file_mut(), &progress, failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&target).map_err(|error| failed(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    progress.finish();
    Ok(written)
}

/// Where a symbolic link leads, for the link itself should stay.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(path.to_path_buf()),
        other => other,
    }
}

fn write_all(
    db: &Database,
    collection: &Collection,
    out: &mut impl Write,
    progress: &Progress,
    failed: impl Fn(io::Error) -> CliError,
) -> Result<Written, CliError> {
    let snapshot = db.snapshot()?;
    let mut written = Written::default();
    let mut chunk = Vec::with_capacity(CHUNK_BYTES);
    for document in snapshot.collection(collection)?.scan() {
        push_document_line(document?.raw(), &mut chunk)?;
        written.documents += 1;
        if chunk.len() >= CHUNK_BYTES {
            out.write_all(&chunk).map_err(&failed)?;
            written.bytes += chunk.len() as u64;
            chunk.clear();
        }
        if written.documents.is_multiple_of(DOCUMENTS_PER_STEP) {
            progress.set(written.documents);
        }
    }
    out.write_all(&chunk).map_err(&failed)?;
    written.bytes += chunk.len() as u64;
    Ok(written)
}
