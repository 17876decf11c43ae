//! Indexes that do not hold what the documents say are found, and salvage builds them anew.

use super::harness::{Opened, SEGMENT_BYTES, copy, open};
use super::salvaging::salvage;
use super::verifying::verify;
use crate::checkpoint::manifest;
use crate::engine::catalog::{self, Kind};
use crate::engine::salvage::salvage_on;
use crate::index::entry::SEVERAL_KEY;
use crate::io::{Device, SimulatedDisk};
use crate::map::Towards;
use crate::options::{Durability, Isolation};
use crate::{Collection, Finding, FindingKind, Index, IndexError, Lost, Lsn, Patch, Retention, field};
use bson::doc;
use std::cell::Cell;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

fn documents(opened: &Opened) -> Collection {
    opened.db.collection("documents").unwrap()
}

/// An ordinary index and a unique one, on an array and on a value each.
fn store() -> (SimulatedDisk, Opened) {
    let disk = SimulatedDisk::new(1);
    let opened = open(&disk).unwrap();
    let documents = documents(&opened);
    for id in 0..50 {
        documents.insert(doc! { "_id": id, "v": id, "tags": [id % 3, "x"], "own": [id, -1 - id] }).unwrap();
    }
    for index in [Index::on("v").unwrap(), Index::on("tags").unwrap()] {
        documents.create_index(index).unwrap();
    }
    for index in [Index::on("v").unwrap().named("v once"), Index::on("own").unwrap()] {
        documents.create_index(index.unique()).unwrap();
    }
    (disk, opened)
}

/// The number of an index.
fn number(opened: &Opened, name: &str) -> u32 {
    let snapshot = opened.engine.store().snapshot();
    let indexes = catalog::indexes(&snapshot, opened.engine.store());
    indexes.into_iter().find(|(record, _)| record.definition.name() == name).unwrap().0.number
}

type Entry = (Vec<u8>, Vec<u8>);

fn entries(opened: &Opened, number: u32) -> Vec<Entry> {
    let snapshot = opened.engine.store().snapshot();
    let all = (Bound::Unbounded, Bound::Unbounded);
    let entries = snapshot.scan(opened.engine.store().space(number), all, Towards::Greater);
    entries.map(|(key, seen)| (key.to_vec(), seen.value.to_vec())).collect()
}

fn write(opened: &Opened, number: u32, key: &[u8], value: Option<&[u8]>) {
    let mut txn = opened.engine.begin(Isolation::Snapshot);
    txn.put(opened.engine.store().space(number), key, value);
    opened.engine.commit_as_is(txn, Durability::Sync).unwrap();
}

fn is_about(finding: &Finding, name: &str) -> bool {
    finding.kind == FindingKind::Index
        && finding.lost == Lost::Nothing
        && finding.what.contains(&format!("`{name}`"))
        && finding.what.contains("`documents`")
}

/// Makes an index wrong: it is found while the store is open, and when it is closed, from the log and from pages. The others are sound.
fn is_found(name: &str, spoil: impl Fn(&Opened, u32)) {
    for in_pages in [false, true] {
        let (disk, opened) = store();
        assert!(opened.db.verify().unwrap().is_sound());
        spoil(&opened, number(&opened, name));
        if in_pages {
            opened.db.checkpoint().unwrap();
        }
        let online = opened.db.verify().unwrap();
        drop(opened);
        for found in [online, verify(&disk)] {
            assert!(
                found.findings.len() == 1 && is_about(&found.findings[0], name),
                "{name}: {:#?}",
                found.findings
            );
        }
        // As the finding says.
        let opened = open(&disk).unwrap();
        let documents = documents(&opened);
        let index = documents.indexes().into_iter().find(|info| info.index.name() == name).unwrap().index;
        documents.drop_index(name).unwrap();
        documents.create_index(index).unwrap();
        assert!(opened.db.verify().unwrap().is_sound());
        drop((opened, documents));
        assert!(verify(&disk).is_sound());
    }
}

const NAMES: [&str; 4] = ["v", "tags", "v once", "own"];

#[test]
fn an_entry_that_is_missing_is_found() {
    for name in NAMES {
        is_found(name, |opened, number| {
            let (key, _) = entries(opened, number).pop().unwrap();
            write(opened, number, &key, None);
        });
    }
}

#[test]
fn an_entry_too_many_is_found() {
    for name in NAMES {
        is_found(name, |opened, number| {
            let (mut key, value) = entries(opened, number).pop().unwrap();
            key.push(1);
            write(opened, number, &key, Some(&value));
        });
    }
}

#[test]
fn an_entry_in_the_place_of_another_is_found() {
    for name in NAMES {
        is_found(name, |opened, number| {
            let (key, value) = entries(opened, number).pop().unwrap();
            write(opened, number, &key, None);
            write(opened, number, &[&key[..], &[1]].concat(), Some(&value));
        });
    }
}

#[test]
fn an_entry_of_another_document_is_found() {
    for name in ["v once", "own"] {
        is_found(name, |opened, number| {
            let all = entries(opened, number);
            let (key, _) = &all[all.len() - 1];
            write(opened, number, key, Some(&all[all.len() - 2].1));
        });
    }
}

#[test]
fn an_entry_that_does_not_say_that_there_are_others_is_found() {
    for name in ["tags", "own"] {
        is_found(name, |opened, number| {
            let (key, mut value) = entries(opened, number).pop().unwrap();
            assert_eq!(value[0], 1);
            value[0] = 0;
            write(opened, number, &key, Some(&value));
        });
        is_found(name, |opened, number| write(opened, number, SEVERAL_KEY, None));
    }
}

#[test]
fn that_several_were_there_once_is_no_finding() {
    let (disk, opened) = store();
    let documents = documents(&opened);
    for id in 0..50 {
        documents.replace(id, doc! { "v": id, "own": id }).unwrap();
    }
    assert!(opened.db.verify().unwrap().is_sound());
    drop((documents, opened));
    assert!(verify(&disk).is_sound());
}

#[test]
fn salvage_builds_them_anew() {
    for in_pages in [false, true] {
        let (disk, opened) = store();
        documents(&opened).create_index(Index::on("gone").unwrap()).unwrap();
        if in_pages {
            opened.db.checkpoint().unwrap();
        }
        documents(&opened).drop_index("gone").unwrap();
        documents(&opened).delete(7).unwrap();
        // An entry that is wrong is not brought over.
        let number = number(&opened, "v");
        let (key, _) = entries(&opened, number).pop().unwrap();
        write(&opened, number, &key, None);
        drop(opened);
        let disk = copy(&disk);
        let (salvaged, held) = salvage(&disk, "indexes").unwrap();
        assert!(salvaged.is_complete(), "{:#?}", salvaged.findings);
        assert_eq!(held.len(), 49);
        let names: Vec<_> = salvaged.keyspaces.iter().map(|space| &*space.name).collect();
        assert_eq!(names, ["documents"], "indexes are nobody's keyspaces");
        // Once more, to look at them.
        let (new, device) = (SimulatedDisk::new(2), Arc::new(disk.clone()) as Arc<dyn Device>);
        let target = open(&new).unwrap();
        salvage_on(&device, Path::new("disk"), &target.engine).unwrap();
        drop(target);
        let opened = open(&new).unwrap();
        let documents = documents(&opened);
        let mut found: Vec<_> =
            documents.indexes().iter().map(|info| (info.index.name(), info.index.is_unique())).collect();
        found.sort();
        let expected = [("own", true), ("tags", false), ("v", false), ("v once", true)];
        assert_eq!(found, expected.map(|(name, is_unique)| (name.to_owned(), is_unique)));
        assert!(opened.db.verify().unwrap().is_sound());
        let taken = documents.insert(doc! { "v": 9, "own": 1_000 }).unwrap_err();
        assert!(
            matches!(&taken, crate::Error::Index { cause, .. } if matches!(**cause, IndexError::Duplicate { .. }))
        );
    }
}

/// Two documents that are alike, as when a page that cannot be read had the newer version of one.
#[test]
fn one_that_cannot_be_built_is_a_finding_of_salvage() {
    let (disk, opened) = store();
    let collection = opened.engine.find(Kind::Collection, "documents").unwrap();
    let mut key = Vec::new();
    crate::DocumentId::Int(1_000).to_key(&mut key).unwrap();
    let raw = bson::serialize_to_vec(&doc! { "_id": 1_000_i64, "v": 3, "own": 1_000 }).unwrap();
    write(&opened, collection, &key, Some(&[&1_u64.to_le_bytes()[..], &raw].concat()));
    drop(opened);
    let (salvaged, held) = salvage(&copy(&disk), "a duplicate").unwrap();
    assert_eq!(held.len(), 51, "both documents are there");
    let [finding] = &salvaged.findings[..] else { panic!("{:#?}", salvaged.findings) };
    assert!(is_about(finding, "v once") && finding.what.contains("was not built anew"), "{finding:#?}");
    assert!(!salvaged.is_complete());
}

/// The entry was missing for a while; it is there again.
#[test]
fn one_that_was_wrong_in_the_past_alone_is_found_if_that_is_kept() {
    for is_kept in [true, false] {
        let (_, opened) = store();
        let retention = Retention::new().bytes(if is_kept { u64::MAX } else { 0 });
        opened.db.set_retention(retention).unwrap();
        let number = number(&opened, "v");
        let (key, value) = entries(&opened, number).pop().unwrap();
        write(&opened, number, &key, None);
        for n in 0..50 {
            documents(&opened).patch(n, &Patch::new().set("other", n)).unwrap();
        }
        write(&opened, number, &key, Some(&value));
        let at = opened.db.position();
        for n in 0..20 {
            documents(&opened).patch(n, &Patch::new().set("other", -n)).unwrap();
        }
        let found = opened.db.verify().unwrap().findings;
        if !is_kept {
            assert!(found.is_empty(), "{found:#?}");
            continue;
        }
        assert!(found.len() == 1 && is_about(&found[0], "v"), "{found:#?}");
        let said = found[0].what.split("as of position ").nth(1).unwrap().split_whitespace().next().unwrap();
        assert!(said.parse::<u64>().unwrap() <= at.get(), "{found:#?}");
        // When nobody can read there any more, nothing is wrong.
        opened.db.set_retention(Retention::new()).unwrap();
        documents(&opened).patch(1, &Patch::new().set("other", 0)).unwrap();
        opened.db.sweep().unwrap();
        assert!(opened.db.verify().unwrap().is_sound());
    }
}

/// A store that keeps its past, with checkpoints that serve it as anchors; `spoil` is called in the midst of that, and `mend` some checkpoints later.
fn keeping(spoil: impl Fn(&Opened), mend: impl Fn(&Opened)) -> SimulatedDisk {
    let (disk, opened) = store();
    opened.db.set_retention(Retention::new().bytes(4 * SEGMENT_BYTES)).unwrap();
    let write_some = |round: i32| {
        for n in 0..40 {
            documents(&opened)
                .patch(n, &Patch::new().set("other", "x".repeat(200)).set("v", n + 100 * round))
                .unwrap();
        }
        opened.db.checkpoint().unwrap();
    };
    (1..10).for_each(write_some);
    spoil(&opened);
    (10..20).for_each(write_some);
    mend(&opened);
    (20..25).for_each(write_some);
    documents(&opened).patch(1, &Patch::new().set("other", 1)).unwrap();
    disk
}

fn anchors(disk: &SimulatedDisk) -> usize {
    let names = disk.list().unwrap();
    names.iter().filter(|name| manifest::parse_file_name(name).is_some()).count()
}

/// An entry that was missing for a while is found in a store that is closed, too, if anybody could read what was there then.
#[test]
fn one_that_was_wrong_in_the_past_that_the_disk_keeps_is_found() {
    let (kept, at) = (Cell::new((0, Vec::new(), Vec::new())), Cell::new(Lsn::ZERO));
    let disk = keeping(
        |opened| {
            let number = number(opened, "tags");
            let (key, value) = entries(opened, number).pop().unwrap();
            write(opened, number, &key, None);
            kept.set((number, key, value));
        },
        |opened| {
            let (number, key, value) = kept.take();
            write(opened, number, &key, Some(&value));
            at.set(opened.db.position());
        },
    );
    assert_eq!(anchors(&disk), 3);
    let found = verify(&disk).findings;
    assert!(found.len() == 1 && is_about(&found[0], "tags"), "{found:#?}");
    let said = found[0].what.split("as of position ").nth(1).unwrap().split_whitespace().next().unwrap();
    assert!(said.parse::<u64>().unwrap() <= at.get().get(), "{found:#?}");
    // An opening reads that past, and finds the same.
    let opened = open(&disk).unwrap();
    assert!(opened.db.oldest_position() < at.get());
    let online = opened.db.verify().unwrap().findings;
    assert!(online.len() == 1 && is_about(&online[0], "tags"), "{online:#?}");
    // Nobody can read it from the next checkpoint on that gives it up.
    opened.db.set_retention(Retention::new()).unwrap();
    documents(&opened).delete(3).unwrap();
    opened.db.checkpoint().unwrap();
    drop(opened);
    assert!(verify(&disk).is_sound());
}

/// What the log alone says, between two checkpoints or behind the last one, counts by the position.
#[test]
fn one_that_was_wrong_and_mended_behind_one_checkpoint_is_found() {
    for with_checkpoint in [false, true] {
        let disk = keeping(|_| {}, |_| {});
        assert!(verify(&disk).is_sound());
        let opened = open(&disk).unwrap();
        let number = number(&opened, "tags");
        let (key, value) = entries(&opened, number).pop().unwrap();
        write(&opened, number, &key, None);
        for n in 0..200 {
            let other = Patch::new().set("other", format!("{n} {}", "x".repeat(200)));
            documents(&opened).patch(n % 40, &other).unwrap();
        }
        write(&opened, number, &key, Some(&value));
        if with_checkpoint {
            opened.db.checkpoint().unwrap();
        }
        documents(&opened).patch(1, &Patch::new().set("other", 1)).unwrap();
        drop(opened);
        let found = verify(&disk).findings;
        assert!(found.len() == 1 && is_about(&found[0], "tags"), "{found:#?}");
        assert!(found[0].what.contains("as of position"), "{found:#?}");
    }
}

/// Of an index that was dropped since, too, while it was there.
#[test]
fn one_that_is_gone_was_right_while_it_was_there() {
    for is_spoilt in [false, true] {
        let disk = keeping(
            |opened| {
                documents(opened).create_index(Index::on("v").unwrap().named("for a while")).unwrap();
                let number = number(opened, "for a while");
                if is_spoilt {
                    let (key, _) = entries(opened, number).pop().unwrap();
                    write(opened, number, &[&key[..], &[1]].concat(), Some(&[]));
                }
                documents(opened).delete_matching(field("_id").ge(40)).unwrap();
                let other = opened.db.collection("others").unwrap();
                other.create_index(Index::on("v").unwrap()).unwrap();
                other.insert(doc! { "v": 1 }).unwrap();
            },
            |opened| {
                documents(opened).drop_index("for a while").unwrap();
                documents(opened).create_index(Index::on("other").unwrap()).unwrap();
                for name in NAMES {
                    documents(opened).drop_index(name).unwrap();
                }
            },
        );
        let found = verify(&disk).findings;
        assert_eq!(found.len(), usize::from(is_spoilt), "{found:#?}");
        assert!(found.iter().all(|finding| is_about(finding, "for a while")), "{found:#?}");
        let online = open(&disk).unwrap().db.verify().unwrap().findings;
        assert_eq!(online.len(), found.len(), "{online:#?}");
    }
}

/// What the past alone needs is no loss of what is there now.
#[test]
fn damage_to_the_log_of_the_past_is_a_finding_by_which_nothing_is_lost() {
    let disk = keeping(|_| {}, |_| {});
    assert!(verify(&disk).is_sound());
    let logs: Vec<_> = disk.list().unwrap().into_iter().filter(|name| name.starts_with("log-")).collect();
    let mut found = 0;
    for name in &logs {
        let damaged = copy(&disk);
        damaged.corrupt(name, SEGMENT_BYTES / 2, 8);
        let findings = verify(&damaged).findings;
        let Ok(opened) = open(&damaged) else { continue };
        let is_lost = opened.db.recovery().lost_history.is_some();
        assert_eq!(is_lost, !findings.is_empty(), "{name}: {findings:#?}");
        assert!(findings.iter().all(|finding| finding.lost == Lost::Nothing), "{name}: {findings:#?}");
        found += usize::from(is_lost);
    }
    assert!(found > 3 && found < logs.len(), "{found} of {logs:?}");
}

/// What was not complete by then is not asked.
#[test]
fn an_index_that_became_ready_later_is_not_expected_in_the_past() {
    let disk = SimulatedDisk::new(1);
    let opened = open(&disk).unwrap();
    opened.db.set_retention(Retention::new().bytes(u64::MAX)).unwrap();
    let documents = documents(&opened);
    for id in 0..200 {
        documents.insert(doc! { "_id": id, "v": id, "tags": [id, "x"] }).unwrap();
    }
    for name in ["v", "tags"] {
        documents.create_index(Index::on(name).unwrap()).unwrap();
    }
    documents.delete(7).unwrap();
    documents.drop_index("v").unwrap();
    assert!(opened.db.verify().unwrap().is_sound());
}
