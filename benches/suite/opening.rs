//! Opening a store: a checkpoint loaded, against reading and checksumming the same files alone; a log replayed.

use super::Result;
use super::records::{Id, Ours, logged_only, value};
use super::report::{Goal, Report, Row};
use super::series::Series;
use super::settings::Settings;
use super::stored_documents::StoredDocuments;
use rustix::fs::OFlags;
use skipstone::Durability;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Threads that read files alone: one for each core of the machine that the goal is for.
const READERS: usize = 2;
const PAGE_BYTES: usize = 8192;
/// As many pages as the loader reads at once.
const READ_BYTES: usize = 64 * PAGE_BYTES;
/// Where a file's first page says whose it is.
const STORE_ID: std::ops::Range<usize> = 72..88;
/// How often each record is written to the log that is replayed.
const WRITES: u64 = 2;

#[repr(align(4096))]
struct Buffer([u8; READ_BYTES]);

/// Opens a store at rest whose documents are all in its checkpoint.
pub(crate) fn measure_loading(
    settings: &Settings,
    report: &mut Report,
    path: &Path,
    check: impl Fn(&StoredDocuments) -> Result<()>,
) -> Result<()> {
    let (mut entry_rates, mut byte_rates, mut alone) = <(Series, Series, Series)>::default();
    let mut log_writes = 0;
    for _ in 0..settings.rounds {
        let pages = read_pages(path)?;
        alone.push(pages.bytes_per_second);
        let ours = StoredDocuments::open(logged_only(path))?;
        let recovery = ours.db.recovery();
        let (seconds, page_bytes) = (recovery.time.as_secs_f64(), recovery.pages * PAGE_BYTES as u64);
        if recovery.entries < settings.records as u64 || pages.whole_bytes < page_bytes {
            return Err("the checkpoint does not hold every document".into());
        }
        entry_rates.push(recovery.entries as f64 / seconds);
        byte_rates.push(page_bytes as f64 / seconds);
        log_writes = recovery.writes;
        check(&ours)?;
        ours.close()?;
    }
    let row = Row::new("load a checkpoint, documents", "1/s", &entry_rates).goal(Goal::AtLeast(1e6));
    report.add(row.detail("writes_in_the_log", log_writes));
    report.add(Row::new("load a checkpoint, pages", "B/s", &byte_rates).goal(Goal::AtLeast(4e8)));
    let row = Row::new("load a checkpoint, pages", "B/s", &byte_rates);
    report.add(row.against("read and checksum", &alone).goal(Goal::RatioAtLeast(0.6)));
    Ok(())
}

/// What came of reading all pages.
struct ReadPages {
    /// Pages that agree with their checksums; a file may hold some that were never written.
    whole_bytes: u64,
    /// Of whole pages.
    bytes_per_second: f64,
}

/// Reads the files that hold pages past the page cache, and checks each page's checksum.
fn read_pages(path: &Path) -> Result<ReadPages> {
    let files = page_files(path)?;
    let began = Instant::now();
    let next = AtomicUsize::new(0);
    let whole_bytes = std::thread::scope(|scope| {
        let readers = [(); READERS].map(|()| scope.spawn(|| read_parts(&files, &next)));
        let whole = readers.map(|reader| reader.join().expect("a reader only reads"));
        whole.into_iter().sum::<std::io::Result<u64>>()
    })?;
    Ok(ReadPages { whole_bytes, bytes_per_second: whole_bytes as f64 / began.elapsed().as_secs_f64() })
}

fn page_files(path: &Path) -> Result<Vec<File>> {
    let mut files = Vec::new();
    for entry in path.read_dir()? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("pages-") {
            let direct = OFlags::DIRECT.bits() as i32;
            files.push(OpenOptions::new().read(true).custom_flags(direct).open(entry.path())?);
        }
    }
    Ok(files)
}

/// Takes part after part of the files until none is left; returns the bytes of whole pages in them.
fn read_parts(files: &[File], next: &AtomicUsize) -> std::io::Result<u64> {
    let Some(first) = files.first() else { return Ok(0) };
    let parts = first.metadata()?.len().div_ceil(READ_BYTES as u64);
    let mut buffer = Box::new(Buffer([0; READ_BYTES]));
    first.read_exact_at(&mut buffer.0[..PAGE_BYTES], 0)?;
    let seed = crc32c::crc32c(&buffer.0[STORE_ID]);
    let mut whole_bytes = 0;
    loop {
        let part = next.fetch_add(1, Ordering::Relaxed) as u64; // nothing else is shared
        let Some(file) = files.get((part / parts) as usize) else { return Ok(whole_bytes) };
        let read = file.read_at(&mut buffer.0, part % parts * READ_BYTES as u64)?;
        let pages = buffer.0[..read].chunks_exact(PAGE_BYTES);
        let is_whole = |page: &&[u8]| page[..4] == crc32c::crc32c_append(seed, &page[4..]).to_le_bytes();
        whole_bytes += (pages.filter(is_whole).count() * PAGE_BYTES) as u64;
    }
}

/// Opens a store whose records are all in its log, each update a transaction of its own.
pub(crate) fn measure_replay(settings: &Settings, report: &mut Report, ids: &[Id]) -> Result<()> {
    let folder = settings.folder()?;
    let path = folder.path().join("store");
    let mut ours = open_records(&path)?;
    for count in 0..WRITES {
        ids.iter().for_each(|id| ours.put(id, &value(id, count), Durability::None));
    }
    let mut rates = Series::default();
    for _ in 0..settings.rounds {
        ours.db.close()?;
        drop(ours.records);
        ours = open_records(&path)?;
        let recovery = ours.db.recovery();
        if recovery.entries > 0 || recovery.writes < ids.len() as u64 * WRITES {
            return Err("the log does not hold every write".into());
        }
        rates.push(recovery.writes as f64 / recovery.time.as_secs_f64());
        if ours.check(ids)? != ids.len() as u64 * (WRITES - 1) {
            return Err("an older value came back".into());
        }
    }
    let row = Row::new("replay the log, updates of 100 bytes, one in a transaction", "1/s", &rates);
    report.add(row.goal(Goal::AtLeast(1e6)));
    Ok(())
}

fn open_records(path: &Path) -> Result<Ours> {
    let db = logged_only(path).open()?;
    let records = db.keyspace("records")?;
    Ok(Ours { db, records })
}
