//! `index`: created, dropped and listed.

use crate::args::{CollectionArgs, CreateIndexArgs, DropIndexArgs};
use crate::error::CliError;
use crate::output::{Output, Style};
use crate::progress::Progress;
use crate::store::Access;
use indicatif::HumanCount;
use serde_json::{Value, json};
use skipstone::document::order_key::Direction;
use skipstone::{Collection, Error, Index, IndexError, IndexField, IndexInfo};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// From one look at the progress to the next.
const STEP: Duration = Duration::from_millis(100);

pub(crate) fn create(store: Access<'_>, args: &CreateIndexArgs, style: Style) -> Result<(), CliError> {
    let index = definition(args)?;
    let name = index.name();
    let (db, collection) = store.open_collection(&args.collection)?;
    let begun = Instant::now();
    build(&collection, index)?;
    let built = info(&collection, &name).map_or(0, |info| info.built);
    db.close()?;
    let seconds = begun.elapsed().as_secs_f64();
    let human = format!(
        "index `{name}` of `{}` created: {} documents in {seconds:.2} s",
        args.collection,
        HumanCount(built)
    );
    let json =
        json!({ "collection": args.collection, "index": name, "documents": built, "seconds": seconds });
    Output::report(style, &human, &json)
}

fn definition(args: &CreateIndexArgs) -> Result<Index, CliError> {
    if args.desc && args.fields.len() > 1 {
        return Err(CliError::WhichDescending);
    }
    let mut index: Option<Index> = None;
    for by in &args.fields {
        let made = match (index, args.desc || by.direction == Direction::Descending) {
            (None, false) => Index::on(&by.field),
            (None, true) => Index::on_descending(&by.field),
            (Some(index), false) => index.and(&by.field),
            (Some(index), true) => index.and_descending(&by.field),
        };
        index = Some(made.map_err(CliError::Argument)?);
    }
    let mut index = index.expect("a field is required");
    if args.unique {
        index = index.unique();
    }
    if args.sparse {
        index = index.sparse();
    }
    if let Some(filter) = &args.filter {
        index = index.partial(filter.clone()).expect("a filter that was read has no mistake");
    }
    Ok(match &args.name {
        Some(name) => index.named(name),
        None => index,
    })
}

/// Creates an index, and shows how far it is.
fn build(collection: &Collection, index: Index) -> Result<(), CliError> {
    let name = index.name();
    let progress = Progress::of_documents(collection.count()?);
    let built = || info(collection, &name).map_or(0, |info| info.built);
    Ok(shown(&progress, built, || collection.create_index(index))?)
}

/// Does something that takes long, and shows how far it is.
fn shown<T: Send>(progress: &Progress, position: impl Fn() -> u64, work: impl FnOnce() -> T + Send) -> T {
    // Nothing is sent: it ends with the thread that has it, and whoever waits for it wakes up.
    let (at_work, is_at_work) = mpsc::channel::<()>();
    let done = thread::scope(|scope| {
        let worker = scope.spawn(move || {
            let _at_work = at_work;
            work()
        });
        loop {
            progress.set(position());
            if is_at_work.recv_timeout(STEP) != Err(RecvTimeoutError::Timeout) {
                break;
            }
        }
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    progress.finish();
    done
}

fn info(collection: &Collection, name: &str) -> Option<IndexInfo> {
    collection.indexes().into_iter().find(|info| info.index.name() == name)
}

pub(crate) fn drop(store: Access<'_>, args: &DropIndexArgs, style: Style) -> Result<(), CliError> {
    let (db, collection) = store.open_collection(&args.collection)?;
    let progress = Progress::of_entries(info(&collection, &args.name).map_or(0, |info| info.entries));
    let dropped = || info(&collection, &args.name).and_then(|info| info.dropped).unwrap_or(0);
    let gone = shown(&progress, dropped, || collection.drop_index(&args.name));
    gone.map_err(|error| not_dropped(error, &collection, args))?;
    db.close()?;
    let human = format!("index `{}` of `{}` dropped", args.name, args.collection);
    Output::report(style, &human, &json!({ "collection": args.collection, "dropped": args.name }))
}

/// Of an index that is not there: which are.
fn not_dropped(error: Error, collection: &Collection, args: &DropIndexArgs) -> CliError {
    match error {
        Error::Index { cause, .. } if matches!(*cause, IndexError::NotFound { .. }) => CliError::NoIndex {
            collection: args.collection.clone(),
            name: args.name.clone(),
            there: collection.indexes().iter().map(|info| info.index.name()).collect(),
        },
        error => error.into(),
    }
}

pub(crate) fn list(store: Access<'_>, args: &CollectionArgs, style: Style) -> Result<(), CliError> {
    let (db, collection) = store.open_collection(&args.collection)?;
    let indexes = collection.indexes();
    db.close()?;
    let mut output = Output::new(style);
    for info in &indexes {
        output.result(&for_people(info), &for_programs(info))?;
    }
    if indexes.is_empty() && style != Style::Json {
        output.text(format!("`{}` has no index\n", args.collection))?;
    }
    output.finish()
}

/// A field as `index create` takes it.
fn written(field: &IndexField) -> String {
    match field.direction {
        Direction::Ascending => field.path.to_string(),
        Direction::Descending => format!("{}:desc", field.path),
    }
}

fn for_programs(info: &IndexInfo) -> Value {
    let filter = info.index.filter().map(ToString::to_string);
    let filter: Option<Value> =
        filter.map(|json| serde_json::from_str(&json).expect("a filter is written as JSON"));
    json!({
        "index": info.index.name(),
        "fields": info.index.fields().iter().map(written).collect::<Vec<_>>(),
        "unique": info.index.is_unique(),
        "sparse": info.index.is_sparse(),
        "where": filter,
        "ready": info.is_ready,
        "entries": info.entries,
        "can_cover": info.can_cover,
    })
}

fn for_people(info: &IndexInfo) -> String {
    let index = &info.index;
    let fields: Vec<String> = index.fields().iter().map(written).collect();
    let mut line = format!("{}  on {}", index.name(), fields.join(", "));
    if index.is_unique() {
        line.push_str("; unique");
    }
    if index.is_sparse() {
        line.push_str("; sparse");
    }
    if let Some(filter) = index.filter() {
        line.push_str(&format!("; where {filter}"));
    }
    if !info.can_cover {
        line.push_str("; covers no fields");
    }
    match info.dropped {
        Some(dropped) => line.push_str(&format!("; being dropped, {} entries so far", HumanCount(dropped))),
        None if info.is_ready => line.push_str(&format!("; entries: {}", HumanCount(info.entries))),
        None => line.push_str(&format!("; being built, {} documents so far", HumanCount(info.built))),
    }
    line
}
