//! `history` and `diff`: what the log still says of the past, however often the store was opened since.

use crate::args::{DiffArgs, HistoryArgs};
use crate::error::CliError;
use crate::ids;
use crate::output::{self, Output, Style};
use crate::store::Access;
use serde_json::json;
use skipstone::bson::{self, Bson, DateTime, Document, doc};
use skipstone::{DocumentId, LoggedChange, Lsn, Revision};
use std::collections::BTreeMap;

pub(crate) fn history(store: Access<'_>, args: &HistoryArgs, style: Style) -> Result<(), CliError> {
    let wanted = ids::parse(&args.of.id, args.of.kind.id_type)?;
    let (db, collection) = store.open_collection(&args.of.collection)?;
    let (mut output, mut printed) = (Output::new(style), Ok(0_u64));
    let from = collection.logged(|change| {
        if change.id == wanted
            && let Ok(count) = &mut printed
        {
            *count += 1;
            if let Err(error) = line(&change).and_then(|line| output.value_line(&line)) {
                printed = Err(error);
            }
        }
        Ok(())
    })?;
    db.close()?;
    output.finish()?;
    if printed? == 0 {
        let (collection, id) = (args.of.collection.clone(), wanted.to_string());
        return Err(CliError::NotInLog { collection, id, from: beginning(from) });
    }
    tell_beginning(style, from);
    Ok(())
}

/// A revision as it is printed.
fn line(change: &LoggedChange) -> Result<Document, CliError> {
    let LoggedChange { revision, noted, .. } = change;
    Ok(doc! {
        "position": i64::try_from(revision.position.get()).unwrap_or(i64::MAX),
        "noted": noted.and_then(|time| DateTime::from_system_time(time).try_to_rfc3339_string().ok()),
        "version": revision.version().map(|version| i64::try_from(version).unwrap_or(i64::MAX)),
        "deleted": revision.is_deletion(),
        "document": document(revision)?,
    })
}

/// The document, or null if it was deleted.
fn document(revision: &Revision) -> Result<Bson, CliError> {
    revision.document.as_ref().map_or(Ok(Bson::Null), |found| Ok(Bson::Document(found.to()?)))
}

/// What is known of a document that changed between the two moments.
struct Changed {
    /// None if the log does not go back to it.
    before: Option<Revision>,
    after: Revision,
}

pub(crate) fn diff(store: Access<'_>, args: &DiffArgs, style: Style) -> Result<(), CliError> {
    let (db, collection) = store.open_collection(&args.collection)?;
    let from = db.logged_position(args.from)?;
    let to = args.to.map_or(Ok(db.position()), |to| db.logged_position(to))?;
    if from > to {
        return Err(CliError::Backwards { from: from.get(), to: to.get() });
    }
    let (mut last, mut changed) = (BTreeMap::new(), BTreeMap::<DocumentId, Changed>::new());
    let beginning = collection.logged(|LoggedChange { id, revision, .. }| {
        if (from..to).contains(&revision.position) {
            match changed.get_mut(&id) {
                Some(changed) => changed.after = revision,
                None => {
                    let before = last.remove(&id);
                    changed.insert(id, Changed { before, after: revision });
                }
            }
        } else if revision.position < from {
            last.insert(id, revision);
        }
        Ok(())
    })?;
    db.close()?;
    let mut output = Output::new(style);
    for (id, Changed { before, after }) in changed {
        // A log that goes back to its beginning says of everything before that it was not there.
        let before = match before {
            Some(before) => Some(document(&before)?),
            None => beginning.filter(|beginning| *beginning == Lsn::ZERO).map(|_| Bson::Null),
        };
        let after = Some(document(&after)?);
        if (&before, &after) == (&Some(Bson::Null), &Some(Bson::Null)) {
            continue;
        }
        let mut line = doc! { "_id": bson::serialize_to_bson(&id).expect("an id is a value") };
        line.extend(before.map(|before| ("before".to_owned(), before)));
        line.extend(after.map(|after| ("after".to_owned(), after)));
        output.value_line(&line)?;
    }
    output.finish()?;
    tell_beginning(style, beginning);
    Ok(())
}

/// A store that a command has open is on a disk, and so has a log.
fn beginning(from: Option<Lsn>) -> u64 {
    from.map_or(0, Lsn::get)
}

/// Says on standard error how far back the log goes.
fn tell_beginning(style: Style, from: Option<Lsn>) {
    let position = beginning(from);
    output::tell(&match style {
        Style::Json => json!({ "log_from": position }).to_string(),
        _ => format!("the log goes back to position {position}"),
    });
}
