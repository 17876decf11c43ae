//! Documents from JSON text into a store on disk by one thread, and that store opened again.

use super::Result;
use super::documents::texts;
use super::report::{Goal, Report, Row};
use super::series::Series;
use super::settings::Settings;
use skipstone::{Builder, Database, DocumentId, Durability, Json};
use std::hint::black_box;
use std::time::Instant;

/// Documents in one transaction.
const BATCH: usize = 256;
/// One document of so many is compared with what it was.
const COMPARED: usize = 97;

pub(crate) fn measure(settings: &Settings, report: &mut Report) -> Result<()> {
    let texts = texts(settings.documents);
    let text_bytes: usize = texts.iter().map(String::len).sum();
    let (mut import_rates, mut parse_rates) = <(Series, Series)>::default();
    let (mut close_seconds, mut open_seconds) = <(Series, Series)>::default();
    for _ in 0..settings.rounds {
        let began = Instant::now();
        for text in &texts {
            black_box(serde_json::from_str::<serde_json::Value>(text)?);
        }
        parse_rates.push(texts.len() as f64 / began.elapsed().as_secs_f64());

        let folder = settings.folder()?;
        let path = folder.path().join("store");
        let began = Instant::now();
        let (db, ids) = import(Database::builder().path(&path), &texts)?;
        import_rates.push(texts.len() as f64 / began.elapsed().as_secs_f64());
        let began = Instant::now();
        db.close()?;
        close_seconds.push(began.elapsed().as_secs_f64());
        let began = Instant::now();
        let db = Database::open(&path)?;
        open_seconds.push(began.elapsed().as_secs_f64());
        check(&db, &ids, &texts)?;
    }
    let row = Row::new("import JSON documents, 1 thread", "1/s", &import_rates);
    let row = row.against("serde_json::Value alone", &parse_rates);
    let row = row.detail("mean_text_bytes", (text_bytes / texts.len()) as u64);
    report.add(row.goal(Goal::AtLeast(150_000.0)));
    report.add(Row::new("close after the import", "s", &close_seconds));
    report.add(Row::new("open after the import", "s", &open_seconds).goal(Goal::AtMost(1.0)));
    Ok(())
}

/// A new store with all documents, and their ids.
pub(crate) fn import(builder: Builder, texts: &[String]) -> Result<(Database, Vec<DocumentId>)> {
    let db = builder.durability(Durability::Buffered).open()?;
    let collection = db.collection("documents")?;
    let mut ids = Vec::with_capacity(texts.len());
    for batch in texts.chunks(BATCH) {
        ids.extend(collection.insert_many(batch.iter().map(|text| Json(text.as_str())))?);
    }
    Ok((db, ids))
}

/// Every document is there, and some of them are looked at.
pub(crate) fn check(db: &Database, ids: &[DocumentId], texts: &[String]) -> Result<()> {
    let collection = db.collection("documents")?;
    let snapshot = db.snapshot()?;
    let documents = snapshot.collection(&collection)?;
    if documents.count() != texts.len() as u64 {
        return Err(format!("{} of {} documents are there", documents.count(), texts.len()).into());
    }
    for (id, text) in ids.iter().zip(texts).step_by(COMPARED) {
        let document = documents.get(id)?.ok_or("a document is missing")?;
        let mut found: serde_json::Value = serde_json::from_str(&document.to_json()?)?;
        found.as_object_mut().ok_or("a document is an object")?.remove("_id");
        if found != serde_json::from_str::<serde_json::Value>(text)? {
            return Err(format!("document {id} is not what was imported").into());
        }
    }
    Ok(())
}
