//! Many entries that lead to one and the same long value: found out before the value was read more than once.

use super::harness::*;
use crate::Durability;
use crate::checkpoint::PAGE_BYTES;
use crate::engine::config::Config;
use crate::io::SimulatedDisk;

const VALUE_BYTES: usize = 4 << 20;

/// Makes every entry of a leaf lead to where one of them leads.
fn leaf_with_shared_chain(page: &mut [u8], store: &[u8], value: u32) -> bool {
    let slots = u16::from_le_bytes(page[6..8].try_into().unwrap()) as usize;
    let cells = 56 + 2 * slots;
    let mut keys = Vec::new();
    let mut link = None;
    for slot in 0..slots {
        let at = cells + u16::from_le_bytes(page[56 + 2 * slot..][..2].try_into().unwrap()) as usize;
        let key_len = u16::from_le_bytes(page[at..][..2].try_into().unwrap()) as usize;
        let len = u32::from_le_bytes(page[at + 2..][..4].try_into().unwrap());
        let lsn = page[at + 6..at + 14].to_vec();
        let key = page[at + 14..][..key_len].to_vec();
        if len >> 31 == 1 {
            link = Some(page[at + 14 + key_len..][..20].to_vec());
        }
        keys.push((key, lsn));
    }
    let Some(link) = link else { return false };
    let (mut slots_out, mut cells_out) = (Vec::new(), Vec::new());
    for (key, lsn) in &keys {
        slots_out.extend_from_slice(&(cells_out.len() as u16).to_le_bytes());
        cells_out.extend_from_slice(&(key.len() as u16).to_le_bytes());
        cells_out.extend_from_slice(&(value | 1 << 31).to_le_bytes());
        cells_out.extend_from_slice(lsn);
        cells_out.extend_from_slice(key);
        cells_out.extend_from_slice(&link);
    }
    let body = [slots_out, cells_out].concat();
    let free = 8192 - 56 - body.len();
    page[56..].fill(0);
    page[56..56 + body.len()].copy_from_slice(&body);
    page[24..26].copy_from_slice(&(free as u16).to_le_bytes());
    seal_page(page, store);
    true
}

#[test]
fn one_chain_of_many_entries() {
    let config = Config {
        extent_bytes: 1024 * PAGE_BYTES as u64,
        ring_bytes: 1 << 20,
        segment_bytes: 8 << 20,
        ..config()
    };
    let disk = SimulatedDisk::new(1);
    let opened = open_with(&disk, config.clone()).unwrap();
    opened.commit(&[put("big", bytes(1, VALUE_BYTES))], Durability::Sync).unwrap();
    let many: Vec<_> = (0..150).map(|n| put(format!("c{n:04}"), bytes(n, 30))).collect();
    opened.commit(&many, Durability::Sync).unwrap();
    opened.db.checkpoint().unwrap();
    drop(opened);
    let files = contents(&disk);
    let id = files["store"][16..32].to_vec();
    let mut changed = 0;
    for (name, content) in files.iter().filter(|(name, _)| name.starts_with("pages-")) {
        for number in 1..content.len() / PAGE_BYTES {
            let mut page = content[number * PAGE_BYTES..][..PAGE_BYTES].to_vec();
            if page[4] == 3 && leaf_with_shared_chain(&mut page, &id, VALUE_BYTES as u32) {
                overwrite(&disk, name, number * PAGE_BYTES, &page);
                changed += 1;
            }
        }
    }
    assert_eq!(changed, 1);
    drop(files);
    let before = disk.operations();
    let error = open_with(&disk, config).err().unwrap().to_string();
    assert!(error.contains("two places"), "{error}");
    // To read it for each entry would take 77,000.
    let operations = disk.operations() - before;
    assert!(operations < 2_000, "{operations}");
}
