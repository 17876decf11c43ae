//! Verifying a store that is open: what is wrong in memory, on the disk, or between the two is found.

use super::harness::{
    History, Opened, config, contents, open, open_with, overwrite, provider, put, sealed_pages,
};
use crate::engine::config::Config;
use crate::io::{BLOCK, CrashOutcome, Device, SimulatedDisk};
use crate::mvcc::chain::{ANY_BASE, Record};
use crate::mvcc::version::Version;
use crate::sync::epoch;
use crate::{Database, Durability, Finding, FindingKind, Lost, Lsn, Retention};
use bson::doc;

/// A checkpoint in between, so that both pages and log have something that counts.
fn opened(disk: &SimulatedDisk) -> Opened {
    opened_with(disk, config())
}

fn opened_with(disk: &SimulatedDisk, config: Config) -> Opened {
    let opened =
        open_with(disk, Config { retention: Some(Retention::new().bytes(1 << 30)), ..config }).unwrap();
    let documents = opened.db.collection("documents").unwrap();
    for round in 0..3 {
        for id in 0..200 {
            documents.upsert(doc! { "_id": id, "round": round, "text": "x".repeat(100) }).unwrap();
        }
        documents.delete(round).unwrap();
        if round < 2 {
            opened.db.checkpoint().unwrap();
        }
    }
    opened
}

fn findings(opened: &Opened) -> Vec<Finding> {
    let mut found = opened.db.verify().unwrap();
    found.findings.sort_by_key(|finding| finding.kind);
    found.findings
}

#[test]
fn a_sound_store_is_counted() {
    let disk = SimulatedDisk::new(1);
    let opened = opened(&disk);
    let found = opened.db.verify().unwrap();
    assert!(found.is_sound(), "{:#?}", found.findings);
    assert_eq!((found.records, found.end), (200, opened.db.position()));
    assert!(found.pages > 4 && found.entries > 190 && found.writes > 200 && found.segments > 0, "{found:?}");
    let memory = Database::in_memory();
    memory.collection("c").unwrap().insert(doc! { "_id": 1 }).unwrap();
    let found = memory.verify().unwrap();
    assert!(found.is_sound() && found.records == 2 && found.pages == 0, "{found:?}");
    memory.clone().close().unwrap();
    assert!(memory.verify().is_err());
}

#[test]
fn every_history_is_sound() {
    for history in [History::standard(), History::uneven(60), History::with_checkpoints()] {
        let disk = SimulatedDisk::new(1);
        let opened = open(&disk).unwrap();
        assert_eq!(history.run(&opened).error, None);
        assert_eq!(findings(&opened), []);
        assert!(opened.db.checkpoint().unwrap().is_some());
        assert_eq!(findings(&opened), []);
        let crashed = disk.after_crash(CrashOutcome::DropAll);
        assert_eq!(findings(&open(&crashed).unwrap()), []);
    }
}

#[test]
fn a_record_that_was_never_logged_is_found() {
    let disk = SimulatedDisk::new(1);
    let opened = opened(&disk);
    let spaces = opened.engine.store().spaces();
    let space = spaces.iter().find(|space| space.name() == "documents").unwrap();
    let (mut key, value) = (Vec::new(), crate::document::stored::encode(1, &bson::rawdoc! { "_id": 777 }));
    crate::DocumentId::from(777).to_key(&mut key).unwrap();
    space.recover(&key, Lsn::new(64), Some(&value));
    let found = findings(&opened);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].kind == FindingKind::Memory && found[0].what.contains("keys, and the pages"),
        "{}",
        found[0]
    );
}

#[test]
fn a_value_that_differs_from_the_disk_is_found_whichever_holds_it() {
    for (id, kind) in [(50, "log"), (50, "pages")] {
        let disk = SimulatedDisk::new(1);
        let opened = opened(&disk);
        if kind == "pages" {
            opened.db.checkpoint().unwrap();
        }
        let spaces = opened.engine.store().spaces();
        let space = spaces.iter().find(|space| space.name() == "documents").unwrap();
        let mut key = Vec::new();
        crate::DocumentId::from(id).to_key(&mut key).unwrap();
        let value = crate::document::stored::encode(9, &bson::rawdoc! { "_id": id });
        install(space, &key, &value, opened.db.position());
        // What is committed at the end is seen by later snapshots only.
        opened.db.collection("documents").unwrap().delete(0).unwrap();
        opened.db.collection("documents").unwrap().upsert(doc! { "_id": "later" }).unwrap();
        let found = findings(&opened);
        assert_eq!(found.len(), 1, "{kind}: {found:#?}");
        assert_eq!(found[0].lost.to_string(), format!("documents of `documents`: {id}"), "{kind}");
    }
}

fn install(space: &crate::mvcc::store::Space, key: &[u8], value: &[u8], lsn: Lsn) {
    let guard = epoch::pin();
    let version = Version::new(Some(value));
    // SAFETY: made right above, and nobody else's.
    unsafe { version.as_ref() }.set_stamp(lsn);
    let record = space.records().get_or_insert(key, Record::new, &guard);
    assert!(record.install(version, ANY_BASE, &guard).is_ok());
}

#[test]
fn versions_out_of_order_are_found() {
    let db = Database::in_memory();
    let keys = db.keyspace("keys").unwrap();
    for n in 0..3_u8 {
        keys.put(b"key", &[n]).unwrap();
    }
    assert!(db.verify().unwrap().is_sound());
    let disk = SimulatedDisk::new(1);
    let opened = opened(&disk);
    let spaces = opened.engine.store().spaces();
    let space = spaces.iter().find(|space| space.name() == "documents").unwrap();
    let mut key = Vec::new();
    crate::DocumentId::from(60).to_key(&mut key).unwrap();
    install(space, &key, &crate::document::stored::encode(1, &bson::rawdoc! { "_id": 60 }), Lsn::new(64));
    let found = findings(&opened);
    assert!(found.iter().any(|finding| finding.what.contains("order of their commits")), "{found:#?}");
}

#[test]
fn damage_on_the_disk_is_found_while_the_store_is_open() {
    [config(), sealed_pages()].into_iter().for_each(damage_on_the_disk_is_found);
}

fn damage_on_the_disk_is_found(config: Config) {
    let disk = SimulatedDisk::new(1);
    let opened = opened_with(&disk, config);
    let files = contents(&disk);
    let page = |kind: u8| {
        let of_pages = files.iter().filter(|(name, _)| name.starts_with("pages-"));
        let all = of_pages.flat_map(|(name, bytes)| {
            bytes.chunks(8_192).enumerate().map(move |(at, page)| (name, at as u64 * 8_192, page))
        });
        // The newest one is in use.
        let position = |page: &[u8]| u64::from_le_bytes(page[16..24].try_into().unwrap());
        let newest = all.filter(|(.., page)| page[4] == kind).max_by_key(|(.., page)| position(page));
        newest.map(|(name, at, _)| (name.clone(), at + 8_000)).unwrap()
    };
    let (name, offset) = page(2);
    disk.corrupt(&name, offset, 1);
    let found = findings(&opened);
    assert!(found.len() == 1 && found[0].kind == FindingKind::Page, "{found:#?}");
    disk.corrupt(&name, offset, 1);
    assert_eq!(findings(&opened), []);
    let segment = files.keys().rfind(|name| name.starts_with("log-")).unwrap();
    // Segments before that may be spare.
    for name in files.keys().filter(|name| !name.starts_with("log-") || *name == segment) {
        disk.corrupt(name, 40, 1);
        let found = findings(&opened);
        assert!(found.len() == 1 && found[0].file.as_ref() == Some(name), "{name}: {found:#?}");
        disk.corrupt(name, 40, 1);
    }
    opened.commit(&[put("a", "b")], Durability::Sync).unwrap();
    let log = files[segment].iter().rposition(|&byte| byte != 0).unwrap() as u64;
    disk.corrupt(segment, log - 60, 1);
    let found = findings(&opened);
    assert!(found.len() == 1 && found[0].kind == FindingKind::Frame, "{found:#?}");
    disk.corrupt(segment, log - 60, 1);
    assert_eq!(findings(&opened), []);
}

/// Nothing behind it says that it was durable; that the store waited for it does.
#[test]
fn a_frame_that_is_wrong_in_the_midst_of_one_flush_hides_none_behind_it() {
    for config in [config(), sealed_pages()] {
        let disk = SimulatedDisk::new(1);
        let opened = open_with(&disk, config).unwrap();
        opened.commit(&[put("a", "1")], Durability::Sync).unwrap();
        let commits: Vec<Lsn> =
            (0..8_u8).map(|n| opened.commit(&[put([n], [n; 50])], Durability::None).unwrap()).collect();
        let whole = opened.db.verify().unwrap();
        assert!(whole.is_sound(), "{:#?}", whole.findings);
        disk.corrupt("log-000000000000", BLOCK as u64 + commits[3].get() + 40, 1);
        let found = opened.db.verify().unwrap();
        assert_eq!(found.findings.len(), 1, "{:#?}", found.findings);
        let lost = Lost::Positions { from: commits[3], to: Some(commits[4]) };
        assert_eq!((found.findings[0].kind, &found.findings[0].lost), (FindingKind::Frame, &lost));
        assert_eq!(found.commits, whole.commits - 1);
    }
}

/// An older file of the data keys in the place of the last one, and one that is gone: the next opening would not succeed.
#[test]
fn another_file_of_keys_is_found() {
    let disk = SimulatedDisk::new(1);
    let opened = opened_with(&disk, sealed_pages());
    let old = contents(&disk)["keys"].clone();
    opened.db.rotate_key(&provider(2)).unwrap();
    assert_eq!(findings(&opened), []);
    overwrite(&disk, "keys", 0, &old);
    let is_told = |words: &str| {
        let found = findings(&opened);
        assert!(found.len() == 1 && found[0].file.as_deref() == Some("keys"), "{found:#?}");
        assert!(found[0].kind == FindingKind::Store && found[0].what.contains(words), "{}", found[0]);
    };
    is_told("not what was written there last");
    disk.remove("keys").unwrap();
    is_told("missing");
    // It is written again whenever the key is changed.
    opened.db.rotate_key(&provider(3)).unwrap();
    assert_eq!(findings(&opened), []);
}
