//! Each bit of a small store's files flipped in turn: verifying reports it, or opening does, or what is read is right; never wrong data, never a
//! panic. And whatever is flipped, salvaging brings over nothing that was not written.

use super::harness::{compressed, config, contents, copy, open_with, sealed_pages};
use super::salvaging::{Written, held, salvage_with};
use crate::engine::config::Config;
use crate::engine::verify::verify_on;
use crate::io::{BLOCK, Device, SimulatedDisk};
use bson::doc;
use std::path::Path;
use std::sync::Arc;

fn tiny(config: Config) -> Config {
    Config { segment_bytes: 3 * BLOCK as u64, ..config }
}

/// A branch, leaves, a value on a page of its own, a catalog, pages that are free again, and a log behind.
fn store(config: &Config) -> Written {
    Written::on(config.clone(), |opened, look| {
        let towns = opened.db.collection("towns").unwrap();
        towns.insert(doc! { "_id": 0, "text": "older" }).unwrap();
        look(opened);
        opened.db.checkpoint().unwrap();
        for id in 0..3 {
            towns.upsert(doc! { "_id": id, "text": "t".repeat(3_000) }).unwrap();
        }
        opened.db.keyspace("bytes").unwrap().put(b"long", &[7; 4_200]).unwrap();
        look(opened);
        opened.db.checkpoint().unwrap();
        towns.delete(1).unwrap();
        look(opened);
        towns.upsert(doc! { "_id": 3, "text": "behind" }).unwrap();
    })
}

/// The bits to flip: all those of every byte, but for runs of equal ones: of those the first, the last, and every 61st.
fn bits(bytes: &[u8]) -> impl Iterator<Item = (u64, u8)> {
    let in_run = |at: usize| {
        at > 0 && at + 1 < bytes.len() && bytes[at - 1] == bytes[at] && bytes[at] == bytes[at + 1]
    };
    let offsets = (0..bytes.len()).filter(move |&at| !in_run(at) || at.is_multiple_of(61));
    offsets.flat_map(|at| (0..8).map(move |bit| (at as u64, 1 << bit)))
}

/// Calls `check` for each flipped bit, with the disk as it is then.
fn with_each_bit_flipped(
    disk: &SimulatedDisk,
    step: usize,
    check: impl Fn(&SimulatedDisk, &str) + Sync,
) -> usize {
    let files = contents(disk);
    let flips: Vec<(&str, u64, u8)> = files
        .iter()
        .flat_map(|(name, bytes)| bits(bytes).map(move |(offset, mask)| (&**name, offset, mask)))
        .step_by(step)
        .collect();
    std::thread::scope(|scope| {
        for part in flips.chunks(flips.len().div_ceil(4)) {
            let (mine, check) = (copy(disk), &check);
            scope.spawn(move || {
                for (name, offset, mask) in part {
                    mine.corrupt(name, *offset, *mask);
                    check(&mine, &format!("{name} byte {offset} mask {mask:#x}"));
                    mine.corrupt(name, *offset, *mask);
                }
            });
        }
    });
    flips.len()
}

/// Of some of the bits it is told, or what is read is right.
fn none_is_taken_for_what_was_written(config: &Config, step: usize) -> usize {
    let written = store(config);
    with_each_bit_flipped(&written.disk, step, |disk, context| {
        let device: Arc<dyn Device> = Arc::new(disk.clone());
        let is_reported =
            verify_on(&device, Path::new("disk"), config).map_or(true, |found| !found.is_sound());
        // Whether it is reported or not, opening never reads anything else; of those that are reported, some bits will do.
        let is_tried = !is_reported || context.ends_with("0x4");
        if is_tried && let Ok(opened) = open_with(&copy(disk), config.clone()) {
            assert!(held(&opened) == written.now, "{context}, reported: {is_reported}");
        }
    })
}

fn nothing_else_is_brought_over(config: &Config, step: usize) -> usize {
    let written = store(config);
    with_each_bit_flipped(&written.disk, step, |disk, context| {
        if let Some((_, held)) = salvage_with(disk, config, context) {
            written.assert_written(&held, context);
        }
    })
}

#[test]
fn verifying_or_opening_reports_it_or_what_is_read_is_right() {
    let flips = none_is_taken_for_what_was_written(&tiny(config()), 1);
    assert!(flips > 15_000, "{flips}");
}

#[test]
fn so_it_is_with_compressed_pages_and_with_those_that_are_encrypted_too() {
    for config in [tiny(compressed()), tiny(sealed_pages())] {
        let flips = none_is_taken_for_what_was_written(&config, 11);
        assert!(flips > 1_400, "{flips}");
    }
}

#[test]
fn salvaging_brings_over_nothing_that_was_not_written() {
    let flips = nothing_else_is_brought_over(&tiny(config()), 29);
    assert!(flips > 500, "{flips}");
}

#[test]
fn so_it_does_with_compressed_pages_and_with_those_that_are_encrypted_too() {
    for config in [tiny(compressed()), tiny(sealed_pages())] {
        let flips = nothing_else_is_brought_over(&config, 59);
        assert!(flips > 250, "{flips}");
    }
}
