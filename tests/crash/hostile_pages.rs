//! Pages and manifests that somebody changed on purpose, checksums and all: opening refuses them or makes sense of them, verifying finds what
//! opening refuses, and neither of them nor the next checkpoint panics, goes round in circles, or takes memory without end.

use super::harness::{History, bytes, contents, copy, open, overwrite, put, seal_manifest, seal_page};
use crate::Durability;
use crate::checkpoint::PAGE_BYTES;
use crate::engine::error::OpenError;
use crate::engine::verify::verify_on;
use crate::io::{Device, SimulatedDisk};
use std::path::Path;
use std::sync::Arc;

/// Changes some bytes where lengths, offsets and links are: at the beginning of a page and at its end.
fn change_page(page: &mut [u8], store: &[u8], random: &mut fastrand::Rng) {
    for _ in 0..random.usize(1..4) {
        let at =
            if random.bool() { random.usize(4..120) } else { random.usize(PAGE_BYTES - 400..PAGE_BYTES) };
        page[at] = match random.u8(0..3) {
            0 => random.u8(..),
            1 => page[at] ^ (1 << random.u8(0..8)),
            _ => [0, 0xff, 0x80, 1][random.usize(0..4)],
        };
    }
    seal_page(page, store);
}

/// Opens the store, and if that succeeds reads everything, writes to all places, and takes a checkpoint; returns whether it opened.
fn survives(disk: &SimulatedDisk, context: &str) -> bool {
    let verified = verify_on(&(Arc::new(copy(disk)) as Arc<dyn Device>), Path::new("disk"));
    let opened = match open(disk) {
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
    let writes: Vec<_> = state.keys().step_by(3).map(|key| put(key, bytes(1, 700))).collect();
    if opened.commit(&writes, Durability::Sync).is_ok() {
        // What was made sense of at opening may be found out here: an error then, and no harm.
        let _ = opened.db.checkpoint();
    }
    true
}

#[test]
fn changed_pages() {
    let (history, disk) = (History::with_checkpoints(), SimulatedDisk::new(0));
    assert_eq!(history.run_on(&disk).error, None);
    let found = contents(&disk);
    let store = &found["store"][16..32];
    let files: Vec<_> = found.iter().filter(|(name, _)| name.starts_with("pages-")).collect();
    let (mut random, mut opened) = (fastrand::Rng::with_seed(7), 0);
    for round in 0..2_500 {
        let changed = copy(&disk);
        let (name, content) = files[random.usize(0..files.len())];
        let page = random.usize(1..content.len() / PAGE_BYTES);
        let mut bytes = content[page * PAGE_BYTES..][..PAGE_BYTES].to_vec();
        change_page(&mut bytes, store, &mut random);
        overwrite(&changed, name, page * PAGE_BYTES, &bytes);
        opened += u32::from(survives(&changed, &format!("round {round}: {name}, page {page}")));
    }
    assert!((300..2_400).contains(&opened), "{opened} opened");
}

#[test]
fn changed_manifests() {
    let (history, disk) = (History::with_checkpoints(), SimulatedDisk::new(0));
    assert_eq!(history.run_on(&disk).error, None);
    let found = contents(&disk);
    let (name, manifest) = found.iter().find(|(name, _)| name.starts_with("manifest-")).unwrap();
    let (mut random, mut opened) = (fastrand::Rng::with_seed(8), 0);
    for round in 0..2_000 {
        let changed = copy(&disk);
        let mut content = manifest.clone();
        let trees = u32::from_le_bytes(content[84..88].try_into().unwrap()) as usize;
        for _ in 0..random.usize(1..3) {
            content[random.usize(8..88 + 32 * trees)] = [random.u8(..), 0, 0xff, 1][random.usize(0..4)];
        }
        seal_manifest(&mut content);
        overwrite(&changed, name, 0, &content);
        opened += u32::from(survives(&changed, &format!("round {round}")));
    }
    assert!((10..1_950).contains(&opened), "{opened} opened");
}
