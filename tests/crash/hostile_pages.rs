//! Pages and manifests that somebody changed on purpose, checksums and all: opening refuses them or makes sense of them, verifying finds what
//! opening refuses, and neither of them nor the next checkpoint panics, goes round in circles, or takes memory without end. In an encrypted store no
//! such change is made sense of.

use super::harness::{
    History, bytes, compressed, config, contents, copy, manifest_end, open_with, overwrite, put,
    seal_manifest, seal_page, sealed_pages,
};
use crate::Durability;
use crate::checkpoint::PAGE_BYTES;
use crate::engine::config::Config;
use crate::engine::error::OpenError;
use crate::engine::verify::verify_on;
use crate::io::{Device, SimulatedDisk};
use std::path::Path;
use std::sync::Arc;

/// A store with checkpoints, and its files.
fn store(history: &History, config: &Config) -> SimulatedDisk {
    let disk = SimulatedDisk::new(0);
    assert_eq!(history.run_on_with(&disk, config.clone()).error, None);
    disk
}

/// The pages that were ever written, the first of each file left out: file and number in it.
fn pages(disk: &SimulatedDisk) -> Vec<(String, usize, Vec<u8>)> {
    let files = contents(disk).into_iter().filter(|(name, _)| name.starts_with("pages-"));
    let pages = files.flat_map(|(name, content)| {
        let pages = content.chunks(PAGE_BYTES).map(<[u8]>::to_vec).enumerate().skip(1);
        pages.map(|(number, page)| (name.clone(), number, page)).collect::<Vec<_>>()
    });
    pages.filter(|(.., page)| page.iter().any(|&byte| byte != 0)).collect()
}

/// Changes some bytes, mostly where lengths, offsets and links are.
fn change_page(page: &mut [u8], store: &[u8], random: &mut fastrand::Rng) {
    for _ in 0..random.usize(1..4) {
        let at = if random.bool() { random.usize(4..120) } else { random.usize(56..3_000) };
        page[at] = match random.u8(0..3) {
            0 => random.u8(..),
            1 => page[at] ^ (1 << random.u8(0..8)),
            _ => [0, 0xff, 0x80, 1][random.usize(0..4)],
        };
    }
    seal_page(page, store);
}

/// Opens the store, and if that succeeds reads everything, writes to all places, and takes a checkpoint; returns whether it opened.
/// Nothing is made sense of in an encrypted store but what is as it was.
fn survives(disk: &SimulatedDisk, (history, config): (&History, &Config), context: &str) -> bool {
    let verified = verify_on(&(Arc::new(copy(disk)) as Arc<dyn Device>), Path::new("disk"), config);
    let opened = match open_with(disk, config.clone()) {
        Ok(opened) => opened,
        Err(error @ (OpenError::Checkpoint(_) | OpenError::Damaged { .. } | OpenError::Log(_))) => {
            match verified {
                Ok(found) => assert!(!found.is_sound(), "{error}: {context}"),
                Err(same) => assert_eq!(same.to_string(), error.to_string(), "{context}"),
            }
            return false;
        }
        Err(error) => panic!("{error}: {context}"),
    };
    let state = opened.state();
    assert!(config.encryption.is_none() || state == *history.state(history.len()), "{context}");
    let writes: Vec<_> = state.keys().step_by(3).map(|key| put(key, bytes(1, 700))).collect();
    if opened.commit(&writes, Durability::Sync).is_ok() {
        // What was made sense of at opening may be found out here: an error then, and no harm.
        let _ = opened.db.checkpoint();
    }
    true
}

#[test]
fn changed_pages() {
    let history = History::with_checkpoints();
    for (config, rounds) in [(config(), 2_500), (compressed(), 2_500), (sealed_pages(), 1_000)] {
        let disk = store(&history, &config);
        let id = contents(&disk)["store"][16..32].to_vec();
        let pages = pages(&disk);
        let (mut random, mut opened) = (fastrand::Rng::with_seed(7), 0);
        for round in 0..rounds {
            let changed = copy(&disk);
            let (name, number, page) = &pages[random.usize(0..pages.len())];
            let mut bytes = page.clone();
            change_page(&mut bytes, &id, &mut random);
            overwrite(&changed, name, number * PAGE_BYTES, &bytes);
            let context = format!("round {round}: {name}, page {number}");
            opened += u32::from(survives(&changed, (&history, &config), &context));
        }
        assert!((rounds / 10..rounds * 19 / 20).contains(&opened), "{opened} of {rounds} opened");
    }
}

#[test]
fn changed_manifests() {
    let history = History::with_checkpoints();
    for config in [config(), sealed_pages()] {
        let disk = store(&history, &config);
        let found = contents(&disk);
        let (name, manifest) = found.iter().find(|(name, _)| name.starts_with("manifest-")).unwrap();
        let (mut random, mut opened) = (fastrand::Rng::with_seed(8), 0);
        for round in 0..2_000 {
            let changed = copy(&disk);
            let mut content = manifest.clone();
            for _ in 0..random.usize(1..3) {
                content[random.usize(8..manifest_end(manifest))] =
                    [random.u8(..), 0, 0xff, 1][random.usize(0..4)];
            }
            seal_manifest(&mut content);
            overwrite(&changed, name, 0, &content);
            opened += u32::from(survives(&changed, (&history, &config), &format!("round {round}")));
        }
        assert!(opened > 10, "those that change nothing, at least");
        assert!(opened < 1_000, "{opened} opened");
    }
}

/// Two pages of an encrypted store changed places: as they are, or each with what its header says of its place, and the right checksum.
#[test]
fn swapped_pages() {
    let (history, config) = (History::with_checkpoints(), sealed_pages());
    let disk = store(&history, &config);
    let id = contents(&disk)["store"][16..32].to_vec();
    let (pages, mut refused, mut tried) = (pages(&disk), 0, 0);
    for (index, one) in pages.iter().enumerate() {
        for other in &pages[index + 1..] {
            for as_they_are in [true, false] {
                let swapped = copy(&disk);
                for ((name, number, own), (.., page)) in [(one, other), (other, one)] {
                    let mut bytes = page.clone();
                    if !as_they_are {
                        bytes[4..32].copy_from_slice(&own[4..32]);
                        seal_page(&mut bytes, &id);
                    }
                    overwrite(&swapped, name, number * PAGE_BYTES, &bytes);
                }
                let context = format!("{} page {}, {} page {}", one.0, one.1, other.0, other.1);
                tried += 1;
                refused += u32::from(!survives(&swapped, (&history, &config), &context));
            }
        }
    }
    assert!(refused > tried / 2, "{refused} of {tried} refused");
}

/// The manifest of an older checkpoint, as it is, under the name of the last one; and pages and manifest of the older one together.
#[test]
fn a_manifest_of_an_older_checkpoint() {
    for config in [config(), sealed_pages()] {
        let (disk, mut past) = (SimulatedDisk::new(1), Vec::new());
        let opened = open_with(&disk, config.clone()).unwrap();
        for round in 0..4_u8 {
            opened.commit(&[put("a", [round; 100])], Durability::Sync).unwrap();
            opened.db.checkpoint().unwrap();
            past.extend(contents(&disk).into_iter().filter(|(name, _)| name.starts_with("manifest-")));
        }
        drop(opened);
        let (last, _) = past.last().unwrap().clone();
        for (name, manifest) in &past[..3] {
            let changed = copy(&disk);
            overwrite(&changed, &last, 0, manifest);
            let error =
                open_with(&changed, config.clone()).err().expect("it is another checkpoint's").to_string();
            assert!(error.contains("another number"), "{error}");
            let under_its_own = copy(&disk);
            overwrite(&under_its_own, &last, 0, manifest);
            under_its_own.rename(&last, name).unwrap();
            let found =
                open_with(&under_its_own, config.clone()).map(|opened| opened.state()[&b"a"[..]].clone());
            assert!(found.as_ref().is_err() || found.is_ok_and(|value| value == [3; 100]), "{name}");
        }
    }
}

/// Each part of each page of an encrypted store changed, with the checksum that belongs to it.
#[test]
fn a_flipped_byte_with_the_right_checksum() {
    let (history, config) = (History::with_checkpoints(), sealed_pages());
    let disk = store(&history, &config);
    let id = contents(&disk)["store"][16..32].to_vec();
    let (mut refused, mut tried) = (0, 0);
    for (name, number, page) in pages(&disk) {
        for at in (4..60).step_by(3).chain((60..PAGE_BYTES).step_by(501)) {
            let flipped = copy(&disk);
            let mut bytes = page.clone();
            bytes[at] ^= 1 << (at % 8);
            seal_page(&mut bytes, &id);
            overwrite(&flipped, &name, number * PAGE_BYTES, &bytes);
            tried += 1;
            refused +=
                u32::from(!survives(&flipped, (&history, &config), &format!("{name} {number} byte {at}")));
        }
    }
    assert!(refused > tried / 4, "{refused} of {tried} refused");
}
