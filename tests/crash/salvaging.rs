//! What is brought out of a store that lost something: everything else, nothing that was not written, and a list of what is not there.

use super::harness::{Opened, config, contents, copy, open_with};
use super::verifying::{verify, verify_with};
use crate::engine::config::Config;
use crate::engine::salvage::{Salvaged, salvage_on};
use crate::io::{Device, SimulatedDisk};
use crate::{FindingKind, Lost};
use bson::doc;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Every document and key with its version counter, by collection.
pub(super) type Held = BTreeMap<(String, String), String>;

pub(super) fn held(opened: &Opened) -> Held {
    let snapshot = opened.db.snapshot().unwrap();
    let mut held = Held::new();
    for name in opened.db.collection_names().unwrap() {
        let collection = opened.db.collection(&name).unwrap();
        for document in snapshot.collection(&collection).unwrap().scan() {
            let document = document.unwrap();
            let id = document.id().unwrap().to_string();
            held.insert(
                (name.clone(), id),
                format!("{} {}", document.version(), document.to_json().unwrap()),
            );
        }
    }
    for name in opened.db.keyspace_names().unwrap() {
        let keyspace = opened.db.keyspace(&name).unwrap();
        for (key, value) in snapshot.keyspace(&keyspace).unwrap().range::<&[u8]>(..) {
            held.insert((name.clone(), format!("{key:?}")), format!("{value:?}"));
        }
    }
    held
}

/// Salvages, and says what is in the new store, which is sound; the old one is as it was.
pub(super) fn salvage(old: &SimulatedDisk, context: &str) -> Option<(Salvaged, Held)> {
    salvage_with(old, &config(), context)
}

/// The same with the key of both, if they have one.
pub(super) fn salvage_with(old: &SimulatedDisk, config: &Config, context: &str) -> Option<(Salvaged, Held)> {
    let before = contents(old);
    let (disk, device) = (SimulatedDisk::new(2), Arc::new(old.clone()) as Arc<dyn Device>);
    let target = open_with(&disk, config.clone()).unwrap();
    let salvaged = salvage_on(&device, Path::new("disk"), &target.engine).ok()?;
    assert!(contents(old) == before, "the old store was changed: {context}");
    let found = target.db.verify().unwrap();
    assert!(found.is_sound(), "{:#?}: {context}", found.findings);
    let held = held(&target);
    drop(target);
    let found = verify_with(&disk, config);
    assert!(found.is_sound(), "{:#?}: {context}", found.findings);
    Some((salvaged, held))
}

/// A store with what is in it now, and every document with each version that it ever had.
pub(super) struct Written {
    pub(super) disk: SimulatedDisk,
    pub(super) now: Held,
    pub(super) ever: BTreeMap<(String, String), Vec<String>>,
}

impl Written {
    pub(super) fn on(config: Config, write: impl Fn(&Opened, &mut dyn FnMut(&Opened))) -> Written {
        let disk = SimulatedDisk::new(1);
        let opened = open_with(&disk, config).unwrap();
        let mut ever: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        write(&opened, &mut |opened| {
            for (key, value) in held(opened) {
                ever.entry(key).or_default().push(value);
            }
        });
        let now = held(&opened);
        for (key, value) in &now {
            ever.entry(key.clone()).or_default().push(value.clone());
        }
        opened.db.clone().close().unwrap();
        drop(opened);
        Written { disk: copy(&disk), now, ever }
    }

    /// Everything that is held was written at some time; names that were lost count as any.
    pub(super) fn assert_written(&self, held: &Held, context: &str) {
        for ((name, id), value) in held {
            let known = |((of, key), values): (&(String, String), &Vec<String>)| {
                (of == name || name.starts_with("recovered-")) && key == id && values.contains(value)
            };
            assert!(self.ever.iter().any(known), "{name} {id} never was {value}: {context}");
        }
    }
}

/// Two checkpoints with changes and deletions between them, and commits behind.
fn standard() -> Written {
    Written::on(config(), |opened, look| {
        let towns = opened.db.collection("towns").unwrap();
        let bytes = opened.db.keyspace("bytes").unwrap();
        opened.db.collection("empty").unwrap();
        for id in 0..200 {
            towns.insert(doc! { "_id": id, "text": "x".repeat(200) }).unwrap();
        }
        towns.insert(doc! { "_id": "long", "text": "l".repeat(20_000) }).unwrap();
        bytes.put(b"key", b"value").unwrap();
        look(opened);
        opened.db.checkpoint().unwrap();
        for id in (0..200).step_by(3) {
            towns.upsert(doc! { "_id": id, "text": "y".repeat(210) }).unwrap();
        }
        for id in (0..200).step_by(20) {
            towns.delete(id).unwrap();
        }
        look(opened);
        opened.db.checkpoint().unwrap();
        for id in 300..320 {
            towns.upsert(doc! { "_id": id, "text": "z".repeat(200) }).unwrap();
        }
    })
}

/// The pages of this kind that the checkpoint leads to: damage there is found.
fn used_pages(disk: &SimulatedDisk, kind: u8) -> Vec<(String, u64)> {
    let mut used = Vec::new();
    for (name, bytes) in contents(disk).iter().filter(|(name, _)| name.starts_with("pages-")) {
        for (at, _) in bytes.chunks(8_192).enumerate().filter(|(_, page)| page[4] == kind) {
            let offset = at as u64 * 8_192 + 8_100;
            disk.corrupt(name, offset, 1);
            if !verify(disk).is_sound() {
                used.push((name.clone(), offset));
            }
            disk.corrupt(name, offset, 1);
        }
    }
    used
}

#[test]
fn a_sound_store_comes_over_whole() {
    let written = standard();
    let (salvaged, held) = salvage(&written.disk, "sound").unwrap();
    assert!(salvaged.is_complete(), "{:#?}", salvaged.findings);
    assert_eq!(held, written.now);
    let names: Vec<_> = salvaged.keyspaces.iter().map(|space| (&*space.name, space.entries)).collect();
    assert_eq!(names, [("towns", 191 + 20), ("bytes", 1), ("empty", 0)]);
}

#[test]
fn a_leaf_that_is_gone_costs_its_documents_or_brings_old_ones_that_are_listed() {
    let written = standard();
    let leaves = used_pages(&written.disk, 3);
    assert!(leaves.len() > 5);
    let mut uncertain = 0;
    for (name, offset) in leaves {
        let disk = copy(&written.disk);
        disk.corrupt(&name, offset, 1);
        let context = format!("{name} {offset}");
        let (salvaged, held) = salvage(&disk, &context).unwrap();
        assert!(!salvaged.is_complete() && !salvaged.findings.is_empty(), "{context}");
        written.assert_written(&held, &context);
        let listed = |key: &(String, String)| {
            salvaged.uncertain.iter().any(|found| {
                let id = crate::DocumentId::from_key(&found.key).map_or(String::new(), |id| id.to_string());
                found.keyspace == key.0 && (id == key.1 || !found.is_collection)
            })
        };
        for (key, value) in &held {
            let is_certain = !listed(key) && !key.0.starts_with("recovered-");
            assert!(!is_certain || written.now.get(key) == Some(value), "{key:?}: {context}");
        }
        uncertain += salvaged.uncertain.len();
    }
    assert!(uncertain > 10, "{uncertain}");
}

#[test]
fn below_a_branch_that_is_gone_the_leaves_are_found() {
    let written = standard();
    let (name, offset) = used_pages(&written.disk, 2).remove(0);
    written.disk.corrupt(&name, offset, 1);
    let (salvaged, held) = salvage(&written.disk, "branch").unwrap();
    assert!(
        written.now.iter().all(|(key, value)| held.get(key) == Some(value)),
        "all leaves are still there"
    );
    written.assert_written(&held, "branch");
    let towns = &salvaged.keyspaces[0];
    assert!(towns.uncertain >= 191 && towns.entries >= 211, "{towns:?}");
}

#[test]
fn without_the_catalog_collections_are_called_by_their_numbers() {
    let written = standard();
    let of_catalog = |(name, offset): &(String, u64)| {
        let at = (offset / 8_192 * 8_192) as usize;
        contents(&written.disk)[name][at + 28..at + 32] == [0; 4]
    };
    let (name, offset) = used_pages(&written.disk, 3).into_iter().find(of_catalog).unwrap();
    // The older leaf of the catalog, which may be there still, goes too.
    for (file, bytes) in contents(&written.disk).iter().filter(|(name, _)| name.starts_with("pages-")) {
        for (at, page) in bytes.chunks(8_192).enumerate() {
            let is_there = (file, at as u64) == (&name, offset / 8_192);
            if is_there || page[4] == 3 && page[28..32] == [0; 4] {
                written.disk.corrupt(file, at as u64 * 8_192 + 8_100, 1);
            }
        }
    }
    let (salvaged, held) = salvage(&written.disk, "catalog").unwrap();
    let names: Vec<_> =
        salvaged.keyspaces.iter().map(|space| (&*space.name, space.is_collection, space.entries)).collect();
    assert_eq!(names, [("recovered-1", true, 211), ("recovered-2", false, 1)]);
    written.assert_written(&held, "catalog");
    assert_eq!(held.len(), 212);
}

#[test]
fn without_one_of_its_files_the_rest_is_brought_over() {
    let written = standard();
    for name in contents(&written.disk).keys() {
        let disk = copy(&written.disk);
        disk.remove(name).unwrap();
        let (salvaged, held) = salvage(&disk, name).unwrap_or_else(|| panic!("{name}"));
        written.assert_written(&held, name);
        match &name[..4] {
            "stor" => {
                assert!(held == written.now && salvaged.findings[0].kind == FindingKind::Store);
                assert_eq!(salvaged.findings[0].lost, Lost::Nothing);
            }
            "mani" => {
                let is_told = salvaged.findings.iter().any(|finding| finding.lost == Lost::Checkpoint);
                assert!(is_told, "{:#?}", salvaged.findings);
                assert!(
                    written.now.iter().all(|(key, value)| held.get(key) == Some(value)),
                    "all pages are there"
                );
            }
            _ => assert!(held.len() > 30, "{name}: {}", held.len()),
        }
    }
}

#[test]
fn commits_behind_a_damaged_place_of_the_log_come_over() {
    let written = Written::on(config(), |opened, look| {
        let towns = opened.db.collection("towns").unwrap();
        for id in 0..30 {
            towns.insert(doc! { "_id": id, "text": format!("town {id:03}") }).unwrap();
            look(opened);
        }
        // In chunks, of which one will be damaged.
        let large: Vec<_> = (0..40).map(|id| doc! { "_id": 100 + id, "text": "q".repeat(1_000) }).collect();
        towns.insert_many(large).unwrap();
        towns.insert(doc! { "_id": 200 }).unwrap();
    });
    let corrupt = |needle: &[u8]| {
        let disk = copy(&written.disk);
        let (name, at) = contents(&disk)
            .into_iter()
            .find_map(|(name, bytes)| Some((name, bytes.windows(needle.len()).position(|w| w == needle)?)))
            .unwrap();
        disk.corrupt(&name, at as u64, 1);
        salvage(&disk, "log").unwrap()
    };
    let (salvaged, held) = corrupt(b"town 015");
    assert_eq!(salvaged.findings.len(), 1, "{:#?}", salvaged.findings);
    assert!(matches!(salvaged.findings[0].lost, Lost::Positions { to: Some(_), .. }));
    assert_eq!(held.len(), written.now.len() - 1);
    written.assert_written(&held, "log");
    let (salvaged, held) = corrupt(&[b'q'; 900]);
    let kinds: Vec<_> = salvaged.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [FindingKind::Frame, FindingKind::Commit], "{:#?}", salvaged.findings);
    assert_eq!(held.len(), 31, "the large transaction is gone wholly");
}

#[test]
fn what_is_no_store_is_refused() {
    let disk = SimulatedDisk::new(1);
    assert!(salvage(&disk, "nothing").is_none());
}
