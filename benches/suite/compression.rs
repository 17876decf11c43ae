//! What compressing pages saves on the disk, and what it costs: documents of about a kilobyte, imported, written to pages by one checkpoint,
//! and loaded from them, compressed and not.

use super::Result;
use super::documents::texts;
use super::import;
use super::records::logged_only;
use super::report::{Report, Row};
use super::series::Series;
use super::settings::Settings;
use skipstone::Compression;

/// What came of the one or the other.
#[derive(Default)]
struct Figures {
    page_bytes: Series,
    checkpoint_seconds: Series,
    load_seconds: Series,
}

pub(crate) fn measure(settings: &Settings, report: &mut Report) -> Result<()> {
    let texts = texts(settings.documents);
    let (mut plain, mut packed) = <(Figures, Figures)>::default();
    for _ in 0..settings.rounds {
        measure_once(settings, &texts, Compression::None, &mut plain)?;
        measure_once(settings, &texts, Compression::Lz4, &mut packed)?;
    }
    let row = Row::new("compressed pages, after an import", "B", &packed.page_bytes);
    report.add(row.against("not compressed", &plain.page_bytes));
    let row = Row::new("checkpoint of everything, compressed", "s", &packed.checkpoint_seconds);
    report.add(row.against("not compressed", &plain.checkpoint_seconds));
    let row = Row::new("load a compressed checkpoint", "s", &packed.load_seconds);
    report.add(row.against("not compressed", &plain.load_seconds));
    Ok(())
}

fn measure_once(
    settings: &Settings,
    texts: &[String],
    compression: Compression,
    figures: &mut Figures,
) -> Result<()> {
    let folder = settings.folder()?;
    let path = folder.path().join("store");
    let (db, ids) = import::import(logged_only(&path).checkpoint_compression(compression), texts)?;
    let taken = db.checkpoint()?.ok_or("a store on a disk takes checkpoints")?;
    figures.page_bytes.push(taken.written_bytes as f64);
    figures.checkpoint_seconds.push(taken.time.as_secs_f64());
    db.close()?;
    let db = logged_only(&path).open()?;
    if db.recovery().writes > 0 || db.recovery().entries < texts.len() as u64 {
        return Err("the checkpoint does not hold every document".into());
    }
    figures.load_seconds.push(db.recovery().time.as_secs_f64());
    import::check(&db, &ids, texts)?;
    Ok(db.close()?)
}
