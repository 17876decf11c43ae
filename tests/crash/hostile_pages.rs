//! Pages and manifests that somebody changed on purpose, checksums and all: opening refuses them or makes sense of them, and neither that nor
//! the next checkpoint panics, goes round in circles, or takes memory without end.

use super::harness::{History, bytes, copy, open, put};
use crate::Durability;
use crate::checkpoint::PAGE_BYTES;
use crate::engine::error::OpenError;
use crate::io::{AlignedBuf, BLOCK, Device, SimulatedDisk};

fn read(disk: &SimulatedDisk, name: &str) -> AlignedBuf {
    let file = disk.open(name).unwrap();
    let mut bytes = AlignedBuf::zeroed(file.len() as usize);
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

fn names(disk: &SimulatedDisk, prefix: &str) -> Vec<String> {
    disk.list().unwrap().into_iter().filter(|name| name.starts_with(prefix)).collect()
}

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
    let crc = crc32c::crc32c_append(crc32c::crc32c(store), &page[4..]);
    page[..4].copy_from_slice(&crc.to_le_bytes());
}

/// Opens the store, and if that succeeds reads everything, writes to all places, and takes a checkpoint; returns whether it opened.
fn survives(disk: &SimulatedDisk, context: &str) -> bool {
    let opened = match open(disk) {
        Ok(opened) => opened,
        Err(OpenError::Checkpoint(_) | OpenError::Damaged { .. } | OpenError::Log(_)) => return false,
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
    let store = read(&disk, "store")[16..32].to_vec();
    let files = names(&disk, "pages-");
    let (mut random, mut opened) = (fastrand::Rng::with_seed(7), 0);
    for round in 0..2_500 {
        let changed = copy(&disk);
        let name = &files[random.usize(0..files.len())];
        let mut content = read(&changed, name);
        let page = random.usize(1..content.len() / PAGE_BYTES);
        change_page(&mut content[page * PAGE_BYTES..][..PAGE_BYTES], &store, &mut random);
        changed.open(name).unwrap().write_durable(0, &[&content]).unwrap();
        opened += u32::from(survives(&changed, &format!("round {round}: {name}, page {page}")));
    }
    assert!((300..2_400).contains(&opened), "{opened} opened");
}

#[test]
fn changed_manifests() {
    let (history, disk) = (History::with_checkpoints(), SimulatedDisk::new(0));
    assert_eq!(history.run_on(&disk).error, None);
    let name = &names(&disk, "manifest-")[0];
    let (mut random, mut opened) = (fastrand::Rng::with_seed(8), 0);
    for round in 0..2_000 {
        let changed = copy(&disk);
        let mut content = read(&changed, name);
        let trees = u32::from_le_bytes(content[84..88].try_into().unwrap()) as usize;
        let len = 88 + 32 * trees;
        for _ in 0..random.usize(1..3) {
            content[random.usize(8..len)] = [random.u8(..), 0, 0xff, 1][random.usize(0..4)];
        }
        // The number of trees may be another now.
        let trees = u32::from_le_bytes(content[84..88].try_into().unwrap()) as usize;
        let len = (88 + 32 * trees).min(BLOCK - 4);
        let crc = crc32c::crc32c(&content[..len]);
        content[len..len + 4].copy_from_slice(&crc.to_le_bytes());
        changed.open(name).unwrap().write_durable(0, &[&content]).unwrap();
        opened += u32::from(survives(&changed, &format!("round {round}")));
    }
    assert!((10..1_950).contains(&opened), "{opened} opened");
}
