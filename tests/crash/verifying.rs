//! Verifying a store that is wrong at several places: each is found, with what is lost by it, and none hides another.

use super::harness::{
    History, Opened, SEGMENT_BYTES, bytes, config, contents, copy, open, open_with, overwrite, put,
    seal_manifest,
};
use crate::checkpoint::PAGE_BYTES;
use crate::engine::config::Config;
use crate::engine::error::OpenError;
use crate::engine::verify::{Verified, verify_on};
use crate::io::{BLOCK, Device, Fault, Repeat, SimulatedDisk};
use crate::{Collection, Durability, Finding, FindingKind, Lost};
use bson::doc;
use std::path::Path;
use std::sync::Arc;

pub(super) fn verify(disk: &SimulatedDisk) -> Verified {
    verify_with(disk, &config())
}

pub(super) fn verify_with(disk: &SimulatedDisk, config: &Config) -> Verified {
    let device: Arc<dyn Device> = Arc::new(disk.clone());
    verify_on(&device, Path::new("disk"), config).unwrap_or_else(|error| panic!("{error}"))
}

fn documents(opened: &Opened) -> Collection {
    opened.db.collection("documents").unwrap()
}

/// Enough documents for several leaves, one of them on pages of its own, with a checkpoint, and `behind` commits behind it.
fn store(behind: i32) -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    let opened = open(&disk).unwrap();
    let documents = documents(&opened);
    for id in 0..300 {
        documents.insert(doc! { "_id": id, "text": "x".repeat(100 + id as usize % 50) }).unwrap();
    }
    documents.insert(doc! { "_id": "long", "text": "y".repeat(30_000) }).unwrap();
    opened.db.checkpoint().unwrap();
    for id in 0..behind {
        documents.upsert(doc! { "_id": 1_000 + id, "text": "z".repeat(300) }).unwrap();
    }
    opened.db.clone().close().unwrap();
    drop((documents, opened));
    copy(&disk)
}

/// The pages of a file that hold something, by what kind they say they are.
fn pages_of_kind(disk: &SimulatedDisk, kind: u8) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (name, bytes) in contents(disk).iter().filter(|(name, _)| name.starts_with("pages-")) {
        let pages = bytes.chunks(PAGE_BYTES).enumerate();
        found
            .extend(pages.filter(|(_, page)| page[4] == kind).map(|(at, _)| (name.clone(), at * PAGE_BYTES)));
    }
    found
}

const BRANCH: u8 = 2;
const LEAF: u8 = 3;
const OVERFLOW: u8 = 4;

fn at<'f>(verified: &'f Verified, (name, offset): &(String, usize)) -> &'f Finding {
    let is_there =
        |finding: &&Finding| finding.file.as_ref() == Some(name) && finding.offset == Some(*offset as u64);
    verified
        .findings
        .iter()
        .find(is_there)
        .unwrap_or_else(|| panic!("{name} {offset}: {:#?}", verified.findings))
}

/// Where in the log the given text is.
fn in_log(disk: &SimulatedDisk, needle: &[u8]) -> (String, usize) {
    let find = |(name, bytes): (String, Vec<u8>)| {
        let at = bytes.windows(needle.len()).position(|window| window == needle)?;
        name.starts_with("log-").then_some((name, at))
    };
    contents(disk).into_iter().find_map(find).expect("it is in the log")
}

#[test]
fn each_of_several_places_is_found_and_hides_nothing() {
    let disk = store(40);
    let whole = verify(&disk);
    assert!(whole.is_sound(), "{:#?}", whole.findings);
    assert_eq!((whole.entries, whole.closed), (302, true));
    let leaves = pages_of_kind(&disk, LEAF);
    let of_documents = &leaves[leaves.len() / 2];
    let overflow = &pages_of_kind(&disk, OVERFLOW)[1];
    let (log, frame) = in_log(&disk, &b"z".repeat(300));
    disk.corrupt(&of_documents.0, of_documents.1 as u64 + 600, 1);
    disk.corrupt(&overflow.0, overflow.1 as u64 + 6_000, 1);
    disk.corrupt(&log, frame as u64, 1);
    let found = verify(&disk);
    assert_eq!(found.findings.len(), 3, "{:#?}", found.findings);
    let Lost::Keys { keyspace, is_collection: true, low, high: Some(high) } = &at(&found, of_documents).lost
    else {
        panic!("{:#?}", found.findings)
    };
    assert!(keyspace == "documents" && !low.is_empty() && low < high);
    assert_eq!(at(&found, overflow).lost.to_string(), "documents of `documents`: long");
    let frame = found.findings.iter().find(|finding| finding.kind == FindingKind::Frame).unwrap();
    let Lost::Positions { from, to: Some(to) } = frame.lost else { panic!("{frame:?}") };
    assert!(from < to && to.get() - from.get() < 1_000, "{frame:?}");
    assert!(found.entries < 301 && found.entries > 200, "{}", found.entries);
    assert_eq!((found.commits, found.end, found.closed), (whole.commits - 1, whole.end, true));
}

#[test]
fn a_branch_that_is_gone_takes_what_is_below_it_and_no_more() {
    let disk = store(0);
    let branches = pages_of_kind(&disk, BRANCH);
    assert_eq!(branches.len(), 1);
    disk.corrupt(&branches[0].0, branches[0].1 as u64 + 7_000, 1);
    let found = verify(&disk);
    assert_eq!(found.findings.len(), 1, "{:#?}", found.findings);
    assert_eq!(at(&found, &branches[0]).lost.to_string(), "documents of `documents`, all of them");
    assert_eq!(found.entries, 1, "the catalog is still there");
}

#[test]
fn what_the_disk_does_not_give_is_told() {
    let disk = store(40);
    let mut told = 0;
    for reads in 0..60 {
        let failing = copy(&disk);
        failing.fail(reads, Fault::ReadEio, Repeat::Forever);
        let device: Arc<dyn Device> = Arc::new(failing.clone());
        let found = verify_on(&device, Path::new("disk"), &config());
        let is_told = match &found {
            Ok(found) => found.findings.iter().any(|finding| finding.kind == FindingKind::Disk),
            Err(error) => matches!(error, OpenError::Io(_)),
        };
        assert!(is_told || failing.faults_struck() == 0, "{reads} reads: {found:#?}");
        told += u32::from(is_told);
        // A failure that comes once is tried again, or told.
        let failing = copy(&disk);
        failing.fail(reads, Fault::ReadEio, Repeat::Once);
        let device: Arc<dyn Device> = Arc::new(failing);
        if let Ok(found) = verify_on(&device, Path::new("disk"), &config()) {
            assert!(!found.is_sound() || found.entries == 302, "{reads} reads: {found:#?}");
        }
    }
    assert!(told > 10, "{told}");
}

#[test]
fn a_count_that_does_not_agree_is_found() {
    let (history, disk) = (History::with_checkpoints(), SimulatedDisk::new(0));
    assert_eq!(history.run_on(&disk).error, None);
    let all = contents(&disk);
    let (name, manifest) = all.iter().find(|(name, _)| name.starts_with("manifest-")).unwrap();
    let mut manifest = manifest.clone();
    // The trees are the end of the body, and the number of its entries is the end of a tree.
    let body_bytes = u32::from_le_bytes(manifest[72..76].try_into().unwrap()) as usize;
    manifest[80 + body_bytes - 8] += 1;
    seal_manifest(&mut manifest);
    overwrite(&disk, name, 0, &manifest);
    let found = verify(&disk);
    assert_eq!(found.findings.len(), 1, "{:#?}", found.findings);
    assert!(found.findings[0].what.contains("more entries than there are"), "{}", found.findings[0]);
}

/// Puts bytes under a key of the collection, as only a fault of the program could.
fn put_raw(opened: &Opened, key: &[u8], value: &[u8]) {
    let number = opened.engine.find(crate::engine::catalog::Kind::Collection, "documents").unwrap();
    let space = opened.engine.store().space(number);
    let put = opened.engine.put_alone(space, key, Some(value), Durability::Sync);
    assert!(put.is_ok());
}

#[test]
fn what_is_no_document_is_found_in_pages_and_in_the_log() {
    for checkpoint in [false, true] {
        let disk = SimulatedDisk::new(1);
        let opened = open(&disk).unwrap();
        documents(&opened).insert(doc! { "_id": 1 }).unwrap();
        let (mut key, value) = (Vec::new(), crate::document::stored::encode(1, &bson::rawdoc! { "_id": 2 }));
        crate::DocumentId::from(2).to_key(&mut key).unwrap();
        put_raw(&opened, &key, &value);
        put_raw(&opened, b"no id", &value);
        put_raw(&opened, b"nothing", b"");
        if checkpoint {
            opened.db.checkpoint().unwrap();
        }
        opened.db.clone().close().unwrap();
        let found = verify(&copy(&disk));
        assert_eq!(found.findings.len(), 2, "{:#?}", found.findings);
        for finding in &found.findings {
            assert_eq!(finding.kind, FindingKind::Document);
            let expected = if checkpoint { "pages-" } else { "log-" };
            assert!(finding.file.as_ref().unwrap().starts_with(expected) && finding.offset > Some(0));
        }
        let words: String = found.findings.iter().map(Finding::to_string).collect();
        assert!(
            words.contains("documents of `documents`: nothing") && words.contains("another key"),
            "{words}"
        );
    }
}

#[test]
fn a_keyspace_without_a_name_is_found() {
    let disk = SimulatedDisk::new(1);
    let opened = open(&disk).unwrap();
    assert!(
        opened.engine.put_alone(opened.engine.store().space(9), b"k", Some(b"v"), Durability::Sync).is_ok()
    );
    drop(opened);
    let found = verify(&disk);
    assert_eq!(found.findings.len(), 1, "{:#?}", found.findings);
    assert!(found.findings[0].what.contains("no name for keyspace number 9"), "{}", found.findings[0]);
}

/// Three segments of log, of which one is taken away.
#[test]
fn a_segment_that_is_gone_costs_what_was_in_it() {
    let disk = SimulatedDisk::new(1);
    let opened = open_with(&disk, Config { checkpoint_at_close: false, ..config() }).unwrap();
    for n in 0..60_u8 {
        opened.commit(&[put([n], bytes(n.into(), 4_000))], Durability::Sync).unwrap();
    }
    opened.db.clone().close().unwrap();
    drop(opened);
    let whole = verify(&disk);
    assert!(whole.is_sound() && whole.segments >= 4, "{whole:?}");
    let damaged = copy(&disk);
    damaged.remove("log-000000000001").unwrap();
    let found = verify(&damaged);
    assert_eq!(found.findings.len(), 1, "{:#?}", found.findings);
    assert_eq!(found.findings[0].file.as_deref(), Some("log-000000000001"));
    let Lost::Positions { from, to: Some(to) } = found.findings[0].lost else {
        panic!("{:?}", found.findings)
    };
    let data = SEGMENT_BYTES - BLOCK as u64;
    assert!(from.get() <= data && to.get() >= 2 * data && to.get() < 2 * data + 5_000, "{from} {to}");
    assert_eq!((found.end, found.closed), (whole.end, true));
    assert!(found.commits < whole.commits && found.commits > whole.commits - 20, "{found:?}");
}
