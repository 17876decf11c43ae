//! Compressed blocks and free maps that somebody made on purpose, in pages with the right checksum: wrong lengths, blocks that are cut off, that unpack to
//! more than they say, or that refer to what is not there; maps that lead astray. Opening names the page, verifying lists it, salvage brings the rest.

use super::harness::*;
use super::salvaging::{Written, salvage};
use super::verifying::verify;
use crate::Lost;
use crate::checkpoint::PAGE_BYTES;
use crate::checkpoint::error::CheckpointError;
use crate::engine::error::OpenError;
use crate::io::SimulatedDisk;
use bson::doc;

const HEADER: usize = 56;
const LEAF: u8 = 3;
const OVERFLOW: u8 = 4;
const FREE_MAP: u8 = 5;
/// A leaf has so many bytes at most when it is unpacked.
const RAW_MAX: usize = 32_768;

/// Leaves that are compressed, and a value that is, on pages of its own.
fn store() -> Written {
    Written::on(compressed(), |opened, _| {
        let towns = opened.db.collection("towns").unwrap();
        for id in 0..400 {
            towns.insert(doc! { "_id": id, "text": format!("{id} {}", "abc ".repeat(50)) }).unwrap();
        }
        opened.db.keyspace("bytes").unwrap().put(b"long value", &value()).unwrap();
        opened.db.checkpoint().unwrap();
    })
}

/// Half noise, half zeros: it takes several pages also when it is compressed.
fn value() -> Vec<u8> {
    let mut value = bytes(1, 20_000);
    value.resize(40_000, 0);
    value
}

/// A page that is in use, as it lies in its file.
#[derive(Clone)]
struct Raw {
    file: String,
    offset: usize,
    bytes: Vec<u8>,
}

impl Raw {
    fn free(&self) -> usize {
        usize::from(u16::from_le_bytes([self.bytes[24], self.bytes[25]]))
    }

    fn body(&self) -> &[u8] {
        &self.bytes[HEADER..PAGE_BYTES - self.free()]
    }

    /// With another body, as far as that fits.
    fn with_body(&self, body: &[u8]) -> Raw {
        let mut page = self.clone();
        page.bytes[HEADER..].fill(0);
        page.bytes[HEADER..HEADER + body.len()].copy_from_slice(body);
        let free = u16::try_from(PAGE_BYTES - HEADER - body.len()).unwrap();
        page.bytes[24..26].copy_from_slice(&free.to_le_bytes());
        page
    }

    /// With another byte.
    fn with_byte(&self, at: usize, byte: u8) -> Raw {
        let mut page = self.clone();
        page.bytes[at] = byte;
        page
    }

    fn link(&self) -> [u8; 16] {
        self.bytes[8..24].try_into().unwrap()
    }
}

/// Puts a page back, with the checksum that belongs to it.
fn with(disk: &SimulatedDisk, page: &Raw) -> SimulatedDisk {
    let (disk, mut bytes) = (copy(disk), page.bytes.clone());
    seal_page(&mut bytes, &contents(&disk)["store"][16..32]);
    overwrite(&disk, &page.file, page.offset, &bytes);
    disk
}

/// All pages of this kind that the last checkpoint leads to, or its map is in.
fn pages(disk: &SimulatedDisk, kind: u8) -> Vec<Raw> {
    let mut found = Vec::new();
    for (file, content) in contents(disk).iter().filter(|(name, _)| name.starts_with("pages-")) {
        for (number, bytes) in content.chunks(PAGE_BYTES).enumerate().filter(|(_, page)| page[4] == kind) {
            let page = Raw { file: file.clone(), offset: number * PAGE_BYTES, bytes: bytes.to_vec() };
            let flipped = copy(disk);
            flipped.corrupt(file, page.offset as u64 + 60, 1);
            if !verify(&flipped).is_sound() {
                found.push(page);
            }
        }
    }
    found
}

/// Refused by opening, which names the page, and by verifying; and salvaged without it. Returns what is said of it.
fn refused(written: &Written, page: &Raw, context: &str) -> String {
    let disk = with(&written.disk, page);
    let Err(error) = open_with(&copy(&disk), compressed()) else { panic!("it opens: {context}") };
    let OpenError::Checkpoint(CheckpointError::Damaged { file, offset, what }) = error else {
        panic!("{error}: {context}")
    };
    let found = verify(&disk);
    let is_listed = found.findings.iter().any(|finding| {
        (finding.file.as_ref(), finding.offset, &*finding.what) == (Some(&file), Some(offset), what)
    });
    assert!(is_listed, "{what} at {file} {offset} is not in {:#?}: {context}", found.findings);
    let (salvaged, held) = salvage(&disk, context).unwrap();
    written.assert_written(&held, context);
    // Without the map all is there still: the trees say what is in use.
    let is_lost = found.findings.iter().any(|finding| finding.lost != Lost::Nothing);
    assert!(salvaged.is_complete() != is_lost && (is_lost || held == written.now), "{context}");
    let is_here = (&*file, offset) == (&*page.file, page.offset as u64);
    if is_here { what.to_owned() } else { format!("{what}, elsewhere") }
}

/// A block that unpacks to 255 times its length, nearly: one byte, and a match that repeats it.
fn bomb(block_bytes: usize) -> Vec<u8> {
    let mut block = vec![0xff; block_bytes];
    block[..4].copy_from_slice(&[0x1f, b'x', 1, 0]);
    block[block_bytes - 1] = 0;
    block
}

#[test]
fn leaves() {
    let written = store();
    let leaves = pages(&written.disk, LEAF);
    let compressed: Vec<_> = leaves.into_iter().filter(|page| page.bytes[5] == 1).collect();
    assert!(compressed.len() > 1, "{}", compressed.len());
    for page in [&compressed[0], &compressed[compressed.len() - 1]] {
        let (length, block) = page.body().split_at(2);
        let bytes = u16::from_le_bytes(length.try_into().unwrap());
        let made = |bytes: u16, block: &[u8]| [&bytes.to_le_bytes(), block].concat();
        let cut = |by: usize| made(bytes, &block[..block.len() - by]);
        let whole = [made(bytes + 1, block), made(bytes - 1, block), made(0, block), made(16, block)];
        let cut_off = [cut(1), cut(block.len() / 2), cut(block.len()), vec![1], Vec::new()];
        let longer =
            [[&made(bytes, block)[..], &[0]].concat(), [&made(bytes, block)[..], &[0x10, 9]].concat()];
        let nowhere = [
            made(300, &[0x1f, b'x', 0, 0, 255, 20, 0]),
            made(300, &[0x1f, b'x', 9, 0, 255, 20, 0]),
            made(300, &[0x0f, 255, 255, 255, 255, 0]),
            made(300, &[0xf0, 255, 255, 255, 255, 255]),
        ];
        let bombs = [made(RAW_MAX as u16, &bomb(8_000)), made(bytes, &bomb(8_000)), made(1, &bomb(8_000))];
        let bodies = whole.into_iter().chain(cut_off).chain(longer).chain(nowhere).chain(bombs);
        for (index, body) in bodies.enumerate() {
            let what = refused(&written, &page.with_body(&body), &format!("body {index}"));
            assert!(what.contains("compressed"), "{what}: body {index}");
        }
        for bytes in [RAW_MAX as u16 + 1, u16::MAX] {
            let what = refused(&written, &page.with_body(&made(bytes, block)), "too long");
            assert!(what.contains("longer than any page"), "{what}");
        }
        // It unpacks to what it says, and is no leaf.
        let zeros = lz4_flex::block::compress(&[0; RAW_MAX]);
        refused(&written, &page.with_body(&made(RAW_MAX as u16, &zeros)), "zeros");
        // Its flag says that it is not compressed, or its slots are others.
        for (at, byte) in [(5, 0), (5, 2), (6, 0), (7, 255)] {
            refused(&written, &page.with_byte(at, byte), &format!("byte {at}"));
        }
    }
}

#[test]
fn values() {
    let written = store();
    let key = b"long value";
    let at = |page: &Raw| page.bytes.windows(key.len()).position(|window| window == key);
    let leaf = pages(&written.disk, LEAF).into_iter().find(|page| at(page).is_some()).unwrap();
    assert_eq!(leaf.bytes[5], 0, "a leaf that is not compressed");
    let (length_at, stored_at) = (at(&leaf).unwrap() - 12, at(&leaf).unwrap() + key.len() + 16);
    let field = |at: usize| u32::from_le_bytes(leaf.bytes[at..at + 4].try_into().unwrap());
    let (bytes, stored) = (field(length_at) & (u32::MAX >> 1), field(stored_at));
    assert!(bytes == 40_000 && stored > 20_000 && stored < 24_000, "{bytes} {stored}");
    let refused = |bytes: u32, stored: u32, words: &str| {
        let mut changed = leaf.clone();
        changed.bytes[length_at..length_at + 4].copy_from_slice(&(bytes | 1 << 31).to_le_bytes());
        changed.bytes[stored_at..stored_at + 4].copy_from_slice(&stored.to_le_bytes());
        let what = refused(&written, &changed, &format!("{bytes} of {stored}"));
        assert!(what.contains(words), "{what}: {bytes} of {stored}");
    };
    refused(bytes + 1, stored, "not what was compressed");
    refused(bytes - 1, stored, "not what was compressed");
    refused(0, stored, "not what was compressed");
    refused(bytes, stored - 1, "not what was compressed");
    refused(bytes, 1, "longer than it can be");
    refused(bytes, 0, "longer than it can be");
    refused(stored * 255 + 1, stored, "longer than it can be");
    // So long it might be, and is not.
    refused(stored * 255, stored, "not what was compressed");
    refused(u32::MAX >> 1, stored, "longer than it can be");
    refused(bytes, 3 * 8_120 + 1, "");
    refused(bytes, u32::MAX, "more pages than there are");
    refused(u32::MAX >> 1, u32::MAX, "more pages than there are");
}

#[test]
fn parts_of_values() {
    let written = store();
    let parts = pages(&written.disk, OVERFLOW);
    assert_eq!(parts.len(), 3);
    let follows = |page: &Raw| parts.iter().any(|before| before.body()[..16] == page.link());
    for (index, page) in parts.iter().enumerate() {
        let (link, part) = page.body().split_at(16);
        let with_part = |part: &[u8]| page.with_body(&[link, part].concat());
        let context = format!("part {index}");
        // Where a block begins, its first bytes say what follows; within there may be literal bytes, and one is as good as another.
        if !follows(page) {
            let zeros = [&[0; 32], &part[32..]].concat();
            for part in [bomb(part.len()), zeros] {
                let what = refused(&written, &with_part(&part), &context);
                assert!(what.contains("not what was compressed"), "{what}");
            }
        }
        for body in [with_part(&part[..part.len() - 1]), with_part(&[]), page.with_body(&[])] {
            let what = refused(&written, &body, &context);
            assert!(what.contains("shorter than its part"), "{what}");
        }
        // To itself, to a page that is before it or far behind, to one that is none, and nowhere.
        let first = parts.iter().find(|page| !follows(page)).expect("a chain begins somewhere");
        for to in [page.link(), first.link(), [8; 16], [0xff; 16], [0; 16]] {
            let is_last = *link == [0; 16];
            if !is_last {
                refused(&written, &page.with_body(&[&to[..], part].concat()), &context);
            }
        }
    }
}

#[test]
fn free_maps() {
    let written = store();
    let maps = pages(&written.disk, FREE_MAP);
    let [map] = &maps[..] else { panic!("{} pages of the map", maps.len()) };
    let (link, bits) = map.body().split_at(16);
    let with_bits = |bits: &[u8]| map.with_body(&[link, bits].concat());
    // Every page of the files, in use or not, and those of the last byte that there are none of.
    for bit in 0..bits.len() * 8 {
        let mut changed = bits.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        let what = refused(&written, &with_bits(&changed), &format!("bit {bit}"));
        assert!(what.contains("marked as") || what.contains("marks pages"), "{what}: bit {bit}");
    }
    for bytes in [0, 1, bits.len() - 1] {
        let what = refused(&written, &with_bits(&bits[..bytes]), &format!("{bytes} bytes"));
        assert!(what.contains("shorter than its part"), "{what}");
    }
    refused(&written, &with_bits(&vec![0xff; bits.len()]), "all in use");
    refused(&written, &with_bits(&vec![0; bits.len()]), "all free");
    refused(&written, &map.with_body(&[]), "nothing");
    // A part of a value, or a leaf, in its place.
    for (at, byte) in [(4, OVERFLOW), (4, LEAF), (4, 1), (4, 0), (5, 1), (28, 1), (24, 0xff)] {
        refused(&written, &map.with_byte(at, byte), &format!("byte {at} is {byte}"));
    }
}

/// The manifest says that the map is somewhere else: at a page of a tree, at none, or beyond the files.
#[test]
fn free_maps_elsewhere() {
    let written = store();
    let leaf = pages(&written.disk, LEAF).remove(0);
    let all = contents(&written.disk);
    let (name, manifest) = all.iter().find(|(name, _)| name.starts_with("manifest-")).unwrap();
    let map_at = MANIFEST_BODY + 48;
    let far = [200_u64.to_le_bytes(), 800_u64.to_le_bytes()].concat();
    for link in [&leaf.link()[..], &[0; 16], &far, &[0xff; 16]] {
        let (disk, mut changed) = (copy(&written.disk), manifest.clone());
        changed[map_at..map_at + 16].copy_from_slice(link);
        seal_manifest(&mut changed);
        overwrite(&disk, name, 0, &changed);
        let Err(error) = open_with(&copy(&disk), compressed()) else { panic!("it opens: {link:?}") };
        assert!(matches!(error, OpenError::Checkpoint(CheckpointError::Damaged { .. })), "{error}");
        assert!(!verify(&disk).is_sound(), "{link:?}");
        let (_, held) = salvage(&disk, "map elsewhere").unwrap();
        assert!(written.now.iter().all(|(key, value)| held.get(key) == Some(value)), "{link:?}");
    }
}
