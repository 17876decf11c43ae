//! `scan`: documents in the order of their ids, a line each.

use crate::args::ScanArgs;
use crate::error::CliError;
use crate::ids;
use crate::output::{Output, Style};
use crate::store::Access;
use skipstone::{DocRef, DocumentId, SnapshotCollection};
use std::ops::Bound;

pub(crate) fn run(store: Access<'_>, args: &ScanArgs, style: Style) -> Result<(), CliError> {
    let parse = |id: &Option<String>| id.as_deref().map(|id| ids::parse(id, args.kind.id_type)).transpose();
    let range = (
        parse(&args.from)?.map_or(Bound::Unbounded, Bound::Included),
        parse(&args.to)?.map_or(Bound::Unbounded, Bound::Excluded),
    );
    let (db, collection) = store.open_collection(&args.collection)?;
    let mut output = Output::new(style);
    {
        let snapshot = db.snapshot()?;
        let documents = snapshot.collection(&collection)?;
        let limit = args.limit.map_or(usize::MAX, |limit| usize::try_from(limit.get()).unwrap_or(usize::MAX));
        for document in in_order(&documents, range, args.reverse)?.take(limit) {
            output.document_line(document?.raw())?;
        }
    }
    db.close()?;
    output.finish()
}

fn in_order<'s>(
    documents: &SnapshotCollection<'s>,
    range: (Bound<DocumentId>, Bound<DocumentId>),
    reverse: bool,
) -> Result<Box<dyn Iterator<Item = skipstone::Result<DocRef<'s>>> + 's>, CliError> {
    Ok(match reverse {
        false => Box::new(documents.range(range)?),
        true => Box::new(documents.range_rev(range)?),
    })
}
