//! What a store's files hold, without opening it for use: every header, every page of the checkpoint and every frame behind it is checked, and
//! all that is in them. What is wrong at one place hides nothing else.

use super::anchors;
use super::catalog::CATALOG_SPACE;
use super::check::{Check, CheckPages};
use super::config::{Config, Encryption};
use super::error::OpenError;
use super::finding::{Finding, FindingKind, Findings, Lost};
use super::found::{self, Found};
use super::open::{self, missing_segment};
use super::verify_past::check_indexes;
use crate::checkpoint::manifest::Manifest;
use crate::checkpoint::pages::Pages;
use crate::checkpoint::tree::Tree;
use crate::checkpoint::walk::{Entry, KeyRange, walk_tree};
use crate::checkpoint::{PageSet, free_map};
use crate::crypt::KeyProvider;
use crate::io::Device;
use crate::log::batch::Write;
use crate::log::reader::{End, Start, place};
use crate::log::resume::{self, Gap, Why};
use crate::log::segment::Segments;
use crate::log::streams::{self, Streams};
use crate::lsn::Lsn;
use crate::sync::{Arc, Mutex, lock};
use std::path::Path;

/// What was found in a store.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Verified {
    /// What is wrong: none in a store that is sound. No more than a thousand are listed.
    pub findings: Vec<Finding>,
    /// How many findings there were besides those that are listed.
    pub more_findings: u64,
    /// The position of the checkpoint: everything committed below is in its pages. Zero if there is none.
    pub checkpoint: Lsn,
    /// Documents and keys that were read from the checkpoint.
    pub entries: u64,
    /// Documents and keys that a snapshot of an open store sees, names in the catalog included.
    pub records: u64,
    /// Pages that the checkpoint leads to.
    pub pages: u64,
    /// Pages that are not in use.
    pub free_pages: u64,
    /// Segments of the log that are needed.
    pub segments: u64,
    /// Valid frames.
    pub frames: u64,
    /// Commits among them, behind the checkpoint.
    pub commits: u64,
    /// Writes in the commits.
    pub writes: u64,
    /// Where the log ends.
    pub end: Lsn,
    /// Bytes behind the end that were in flight when the store was killed; opening it will cut them.
    pub cut_bytes: u64,
    /// Whether the store was closed properly.
    pub closed: bool,
}

impl Verified {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Checks the store at `path`, which nobody may have open, and lists all that is wrong with it.
///
/// Checked are: every header and checksum; that the pages of the checkpoint form trees, each in order, all its leaves at one depth, no page in two
/// places; that there are as many entries as there should be; that the frames of the log follow each other, and that commits can be read from
/// them; the catalog; every document, all of it, against its id; and, if nothing else is wrong, that indexes hold what the documents say: now, and, if the store says that its
/// past is to be kept, at nine positions of that, the oldest among them. Whatever is wrong, everything else is looked at all the same.
///
/// Reads all of the checkpoint and all of the log behind it, on several threads; of a store with indexes the log once more, and the pages of these and of their documents. A past costs as much again for
/// each of those positions, and the log from its beginning on; nothing if none is kept. What the log wrote since one checkpoint takes memory. Changes nothing but the lock file.
///
/// # Errors
/// Only for what keeps it from looking: there is no store, somebody has it open ([`OpenError::Locked`]), it was written by a newer version, or
/// nothing is left that says whose files they are.
pub fn verify(path: impl AsRef<Path>) -> Result<Verified, OpenError> {
    verify_with(path.as_ref(), None)
}

/// The same for a store that is encrypted: every page and every frame must also be what was sealed there with its key.
///
/// # Errors
/// As [`verify`]; and if the key is not the store's, or the store is not encrypted.
pub fn verify_encrypted(
    path: impl AsRef<Path>,
    provider: impl KeyProvider + 'static,
) -> Result<Verified, OpenError> {
    verify_with(path.as_ref(), Some(Encryption(Arc::new(provider))))
}

fn verify_with(path: &Path, encryption: Option<Encryption>) -> Result<Verified, OpenError> {
    let config = Config { create: false, encryption, ..Config::default() };
    let opened = open::open_directory(path, &config)?;
    verify_on(&opened.device, path, &config)
}

/// The same of a store on a device; `dir` is what messages call it.
pub(crate) fn verify_on(
    device: &Arc<dyn Device>,
    dir: &Path,
    config: &Config,
) -> Result<Verified, OpenError> {
    let mut check = Check::default();
    let found = found::find(device, dir, config, &mut check.findings)?;
    let mut verified = Verified { segments: found.segments.count(), ..Verified::default() };
    let pages = found.open_pages(device, &mut check.findings)?;
    let checkpoint = pages.as_ref().zip(found.manifest.as_ref());
    if let Some((pages, manifest)) = checkpoint {
        let mut walked = check_pages(&mut check, (pages, manifest), |_, _| {})?;
        (verified.entries, verified.pages) = (walked.entries, walked.used.count());
        verified.checkpoint = manifest.position;
        anchors::check(&mut check.findings, pages, &found.older, &mut walked.used)?;
        verified.free_pages = pages.usable_count() - walked.used.count();
    }
    let log = check_found_log(&mut check, &found, dir, &mut |_, _| {})?;
    (verified.commits, verified.writes) = (log.commits, log.writes);
    if let Some(end) = log.end {
        (verified.frames, verified.end) = (end.frames, end.lsn);
        (verified.cut_bytes, verified.closed) = (end.cut_bytes, end.closed);
    }
    if check.findings.count() == 0 {
        check_indexes(&mut check, (&found, pages.as_ref(), verified.end), device, dir)?;
    }
    Ok(verified.with(check.findings))
}

impl Verified {
    pub(super) fn with(self, mut findings: Findings) -> Verified {
        findings.sort();
        Verified { findings: findings.list, more_findings: findings.more, ..self }
    }
}

/// What came of walking the trees.
#[derive(Default)]
pub(super) struct Walked {
    pub(super) used: PageSet,
    /// Those that were met.
    pub(super) entries: u64,
    /// Keys that could not be read.
    pub(super) lost: Vec<(u32, KeyRange)>,
}

/// Checks all pages of a checkpoint and what is in them; `good` gets the entries that pass, on several threads.
pub(super) fn check_pages(
    check: &mut Check,
    (pages, manifest): (&Pages, &Manifest),
    good: impl Fn(u32, &Entry<'_>) + Sync,
) -> Result<Walked, OpenError> {
    let mut walked = Walked::default();
    let (catalog, others) = manifest.trees.split_at(catalog_trees(manifest));
    // The catalog first: from there on it is known which keyspaces hold documents.
    for trees in [catalog, others] {
        check_trees(check, (pages, manifest.position), trees, &mut walked, &good)?;
    }
    // What a page that cannot be read leads to is in use all the same.
    if walked.lost.is_empty()
        && let Err(error) = free_map::check(pages, manifest, &mut walked.used)
    {
        check.findings.add_error(error.into(), Lost::Nothing)?;
    }
    Ok(walked)
}

/// The same of some trees, by what is known of names before.
pub(super) fn check_trees(
    check: &mut Check,
    (pages, position): (&Pages, Lsn),
    trees: &[Tree],
    walked: &mut Walked,
    good: impl Fn(u32, &Entry<'_>) + Sync,
) -> Result<(), OpenError> {
    let names = check.names.clone();
    for tree in trees {
        let visitor = CheckPages {
            pages,
            check: Mutex::new(&mut *check),
            names: (tree.space != CATALOG_SPACE).then_some(&names),
            good: &good,
            lost: Mutex::default(),
        };
        walked.entries += walk_tree((pages, position), tree, &mut walked.used, &visitor)?;
        walked.lost.append(&mut lock(&visitor.lost));
    }
    Ok(())
}

/// How many trees are the catalog's: it has the least number.
pub(super) fn catalog_trees(manifest: &Manifest) -> usize {
    manifest.trees.partition_point(|tree| tree.space == CATALOG_SPACE)
}

/// What came of reading the log.
#[derive(Default)]
pub(super) struct LogRead {
    /// None if nothing is left of it.
    pub(super) end: Option<End>,
    pub(super) commits: u64,
    pub(super) writes: u64,
    pub(super) has_gaps: bool,
}

/// What a commit wrote, as far as it passed.
pub(super) type OnCommit<'a> = &'a mut dyn FnMut(Lsn, &[Write<'_>]);

/// Checks the log of a store that was found.
pub(super) fn check_found_log(
    check: &mut Check,
    found: &Found,
    dir: &Path,
    on_commit: OnCommit<'_>,
) -> Result<LogRead, OpenError> {
    let position = found.manifest.as_ref().map_or(Lsn::ZERO, |manifest| manifest.position);
    let log = match found.log_start()? {
        Some(start) => check_log(check, (&found.segments, dir), (start, None), position, on_commit)?,
        None => LogRead::default(),
    };
    if let Some(end) = log.end.filter(|end| end.lsn < position) {
        let what = "the log ends before the position of the checkpoint".to_owned();
        let lost = Lost::Positions { from: position, to: None };
        check.add(FindingKind::Segment, Some(place(&found.segments, end.lsn)), what, lost);
    }
    if let Some((from, to)) = found.log_without_session()? {
        let what = "the log from here on cannot be read without the manifest, which says what its session began with";
        let lost = Lost::Positions { from, to };
        check.add(FindingKind::Frame, Some(place(&found.segments, from)), what.to_owned(), lost);
    }
    if found.has_lost_checkpoint && found.log_start()? == Some(Start::OF_LOG) && !log.has_gaps {
        // All of it is in the log.
        for finding in check.findings.list.iter_mut().filter(|finding| finding.lost == Lost::Checkpoint) {
            finding.lost = Lost::Nothing;
        }
    }
    found.finish(dir, &mut check.findings)?;
    Ok(log)
}

/// Checks the log from `start` to its end, or up to a position; the commits from `position` on with all that they wrote.
pub(super) fn check_log(
    check: &mut Check,
    (segments, dir): (&Segments, &Path),
    (start, limit): (Start, Option<Lsn>),
    position: Lsn,
    on_commit: OnCommit<'_>,
) -> Result<LogRead, OpenError> {
    let (mut read, mut gaps) = (LogRead::default(), Vec::new());
    let mut commits = Streams::new(segments, start, position);
    let end = resume::read_on(
        segments,
        start,
        limit,
        &mut |frames| {
            for (lsn, stream) in commits.read_each(frames) {
                read.commits += 1;
                let lost = Lost::Positions { from: lsn, to: Some(lsn.plus(Lsn::ALIGN)) };
                let stream = match stream {
                    Ok(stream) => stream,
                    Err(error) => {
                        check.findings.add_log_error(error, lost);
                        continue;
                    }
                };
                let mut writes = Vec::new();
                match streams::decode(segments, lsn, &stream, |write| writes.push(write)) {
                    Ok(()) => {
                        read.writes += writes.len() as u64;
                        writes.retain(|write| check_write(check, segments, lsn, write));
                        on_commit(lsn, &writes);
                    }
                    Err(error) => check.findings.add_log_error(error, lost),
                }
            }
            Ok(())
        },
        |gap| gaps.push(gap),
    )?;
    read.end = Some(end);
    read.has_gaps = !gaps.is_empty();
    for gap in gaps {
        add_gap(check, dir, gap)?;
    }
    Ok(read)
}

/// Whether a write of the log can be used.
fn check_write(check: &mut Check, segments: &Segments, lsn: Lsn, write: &Write<'_>) -> bool {
    let place = || Some(place(segments, lsn));
    match write.value {
        Some(value) => check.entry(write.space, write.key, value, place),
        None => true,
    }
}

fn add_gap(check: &mut Check, dir: &Path, gap: Gap) -> Result<(), OpenError> {
    let lost = Lost::Positions { from: gap.from, to: gap.to };
    match gap.why {
        Why::Damaged(error) => check.findings.add_log_error(error, lost),
        Why::MissingSegment(index) => check.findings.add_error(missing_segment(dir, index), lost)?,
    }
    Ok(())
}
