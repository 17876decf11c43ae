//! Checkpoints where they meet large transactions, other checkpoints, a disk that lies, a full disk, and failures in a row: each was got wrong once.

use super::harness::{
    MANIFEST_BODY, Opened, bytes, config, contents, copy, open, open_with, overwrite, put, seal_manifest,
    seal_page, sealed_pages,
};
use crate::Durability;
use crate::checkpoint::{HEADER_BYTES, PAGE_BYTES};
use crate::engine::config::Config;
use crate::io::{CrashOutcome, Fault, Repeat, SimulatedDisk};
use crate::log::batch::Write;
use crate::log::segment::{Geometry, file_name};
use crate::lsn::{LogEnd, Lsn};

fn power_loss(disk: &SimulatedDisk) -> SimulatedDisk {
    disk.after_crash(CrashOutcome::DropAll)
}

fn commit(opened: &Opened, key: &str, value: impl AsRef<[u8]>) {
    opened.commit(&[put(key, value)], Durability::Sync).unwrap();
}

/// A begins, B begins, A commits, checkpoint while B is unfinished: the log is kept from where B began, and holds A's commit, not its chunks.
#[test]
fn two_large_transactions_that_overlap() {
    let disk = SimulatedDisk::new(1);
    let opened = open(&disk).unwrap();
    commit(&opened, "small", "1");
    disk.block_writes();
    let large = bytes(9, 200_000);
    let announced = std::thread::scope(|scope| {
        let a = scope.spawn(|| commit(&opened, "a", &large));
        disk.wait_for_blocked_writers(1);
        let announced = opened.engine.log().unwrap().unfinished().announce(opened.engine.store().end());
        disk.unblock_writes();
        a.join().unwrap();
        announced
    });
    opened.db.checkpoint().unwrap();
    let state = opened.state();
    commit(&opened, "later", "1");
    let again = opened.db.checkpoint();
    let found = open(&power_loss(&disk));
    drop(announced);
    let mut found = found.unwrap_or_else(|error| panic!("{error}")).state();
    found.remove(&b"later"[..]);
    assert_eq!(found, state);
    again.unwrap();
}

/// More large transactions at once than have a place to say where they began.
#[test]
fn many_large_transactions_at_once() {
    let disk = SimulatedDisk::new(1);
    let opened = open(&disk).unwrap();
    commit(&opened, "small", "1");
    checkpoint_among_many(&disk, &opened);
}

/// Takes a checkpoint among them, and finds it after a power loss.
fn checkpoint_among_many(disk: &SimulatedDisk, opened: &Opened) {
    let log = opened.engine.log().unwrap();
    let announced: Vec<_> = (0..65).map(|_| log.unfinished().announce(opened.engine.store().end())).collect();
    opened.db.checkpoint().unwrap();
    let state = opened.state();
    drop(announced);
    let found = open(&power_loss(disk)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(found.state(), state);
}

/// The same after a checkpoint that gave segments up.
#[test]
fn many_large_transactions_at_once_later_in_a_session() {
    let disk = SimulatedDisk::new(1);
    let opened = open(&disk).unwrap();
    drop(opened);
    let opened = open(&disk).unwrap();
    (0..30).for_each(|n| commit(&opened, "k", bytes(n, 9_000)));
    opened.db.checkpoint().unwrap();
    (0..30).for_each(|n| commit(&opened, "k", bytes(n, 9_000)));
    checkpoint_among_many(&disk, &opened);
}

/// Between looking at the log's end and saying so a large transaction is descheduled; meanwhile a checkpoint gives up that part of the log.
#[test]
fn a_late_announcement_asks_for_log_that_is_gone() {
    let disk = SimulatedDisk::new(1);
    let opened = open(&disk).unwrap();
    commit(&opened, "k", "0");
    let seen = LogEnd::new(opened.engine.store().end().load());
    (0..30).for_each(|n| commit(&opened, "k", bytes(n, 9_000)));
    opened.db.checkpoint().unwrap();
    (0..30).for_each(|n| commit(&opened, "k", bytes(n, 9_000)));
    let announced = opened.engine.log().unwrap().unfinished().announce(&seen);
    opened.db.checkpoint().unwrap();
    drop(announced);
    let state = opened.state();
    let found = open(&power_loss(&disk)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(found.state(), state);
}

/// The manifest proves that the log was durable up to its position: a log that ends before is damaged, whatever is behind.
#[test]
fn a_log_that_ends_before_the_checkpoint_is_damage() {
    let disk = SimulatedDisk::new(1);
    let opened = open(&disk).unwrap();
    commit(&opened, "small", "1");
    let log = opened.engine.log().unwrap();
    let space = opened.engine.find(crate::engine::catalog::Kind::Keyspace, "k").unwrap();
    let large = bytes(9, 40_000);
    let prepared = log.prepare([Write { space, key: b"large", value: Some(&large) }].into_iter()).unwrap();
    let checkpoint = opened.db.checkpoint().unwrap().unwrap();
    let crashed = power_loss(&disk);
    drop(prepared);
    let geometry = Geometry { segment_bytes: super::harness::SEGMENT_BYTES };
    let last = Lsn::new(checkpoint.position.get() - 8);
    crashed.corrupt(&file_name(geometry.index_of(last)), geometry.offset_of(last), 1);
    let Ok(opened) = open(&crashed) else { return };
    let end = opened.db.recovery().end;
    commit(&opened, "acknowledged", "1");
    drop(opened);
    let found = open(&power_loss(&crashed)).unwrap_or_else(|error| panic!("{error}")).state();
    assert!(
        found.contains_key(&b"acknowledged"[..]),
        "opened with the end at {end}, before the checkpoint at {}; what was acknowledged then is gone",
        checkpoint.position
    );
}

/// Where the first page of a file says whose it is.
const STORE_IN_META: std::ops::Range<usize> = HEADER_BYTES + 16..HEADER_BYTES + 32;

fn page_files(disk: &SimulatedDisk) -> Vec<(String, Vec<u8>)> {
    contents(disk).into_iter().filter(|(name, _)| name.starts_with("pages-")).collect()
}

/// A position with the tag of a pointer to a transaction's state, in a leaf whose checksum is right.
#[test]
fn a_position_that_is_none_is_refused() {
    let disk = SimulatedDisk::new(1);
    let opened = open(&disk).unwrap();
    commit(&opened, "a", "1");
    opened.db.checkpoint().unwrap();
    drop(opened);
    for (tag, what) in [(1_u64, "a tagged pointer"), (1 << 40, "a position far behind the checkpoint")] {
        let disk = copy(&disk);
        let mut changed = 0;
        for (file, bytes) in page_files(&disk) {
            let store = &bytes[STORE_IN_META];
            for (number, page) in bytes.chunks(PAGE_BYTES).enumerate() {
                let mut page = page.to_vec();
                let crc = crc32c::crc32c_append(crc32c::crc32c(store), &page[4..]).to_le_bytes();
                if page[4] != 3
                    || page[..4] != crc
                    || u32::from_le_bytes(page[28..32].try_into().unwrap()) == 0
                {
                    continue;
                }
                let cell = HEADER_BYTES + 2 * usize::from(u16::from_le_bytes([page[6], page[7]]));
                let lsn = u64::from_le_bytes(page[cell + 6..cell + 14].try_into().unwrap()) | tag;
                page[cell + 6..cell + 14].copy_from_slice(&lsn.to_le_bytes());
                seal_page(&mut page, store);
                overwrite(&disk, &file, number * PAGE_BYTES, &page);
                changed += 1;
            }
        }
        assert!(changed > 0);
        // Were it accepted, reading or freeing it would follow the pointer.
        assert!(open(&disk).is_err(), "{what} was accepted");
    }
}

/// A write of a page that the disk acknowledged and never made: the page holds what an earlier checkpoint put there.
#[test]
fn an_old_page_in_the_place_of_a_new_one_is_found() {
    [config(), sealed_pages()].into_iter().for_each(old_pages_are_found);
}

fn old_pages_are_found(config: Config) {
    let disk = SimulatedDisk::new(1);
    let opened = open_with(&disk, config.clone()).unwrap();
    let mut past: Vec<Vec<(String, Vec<u8>)>> = Vec::new();
    for round in 0..6_u8 {
        commit(&opened, "a", [round; 100]);
        opened.db.checkpoint().unwrap();
        past.push(page_files(&disk));
    }
    let state = opened.state();
    drop(opened);
    let mut wrong = Vec::new();
    for (round, old) in past.iter().enumerate() {
        for (file, bytes) in old {
            for (number, page) in bytes.chunks(PAGE_BYTES).enumerate().skip(1) {
                let disk = copy(&disk);
                overwrite(&disk, file, number * PAGE_BYTES, page);
                if let Ok(opened) = open_with(&disk, config.clone())
                    && opened.state() != state
                {
                    wrong.push((round, file.clone(), number));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "old data was taken for the checkpoint's: {wrong:?}");
}

/// Two attempts that fail, the power goes in the third.
#[test]
fn two_failed_attempts_and_a_power_loss_in_the_third() {
    let (mut tried, mut bad) = (0, Vec::new());
    for (first, second, seed) in
        (0..16).flat_map(|first| (0..16).map(move |second| (first, second, first % 3)))
    {
        for crash in 0.. {
            let disk = SimulatedDisk::new(seed * 1000 + first * 20 + second);
            let opened = open(&disk).unwrap();
            commit(&opened, "a", "0");
            opened.db.checkpoint().unwrap();
            commit(&opened, "a", "1");
            let mut failed = true;
            for (at, round) in [(first, "2"), (second, "3")] {
                disk.fail(at, Fault::FlushEio, Repeat::Once);
                failed &= opened.db.checkpoint().is_err();
                disk.mend();
                commit(&opened, "a", round);
            }
            if !failed {
                break;
            }
            let state = opened.state();
            disk.crash_after(crash);
            let _ = opened.db.checkpoint();
            let crashed = disk.has_crashed();
            tried += 1;
            for outcome in [CrashOutcome::DropAll, CrashOutcome::KeepAll] {
                let context =
                    format!("flushes {first} and {second}, crash {crash}, seed {seed}, {outcome:?}");
                match open(&disk.after_crash(outcome)) {
                    Ok(found) if found.state() == state => {}
                    Ok(_) => bad.push(format!("wrong state: {context}")),
                    Err(error) => bad.push(format!("{error}: {context}")),
                }
            }
            if !crashed {
                break;
            }
        }
    }
    assert!(tried > 100, "{tried}");
    assert!(bad.is_empty(), "{} of {tried}: {:#?}", bad.len(), &bad[..bad.len().min(6)]);
}

/// A checkpoint that fills the disk gives back what it took.
#[test]
fn a_checkpoint_for_which_there_is_no_room_leaves_the_log_its_own() {
    let goes_on = |blocks: usize, with_checkpoint: bool| {
        let disk = SimulatedDisk::new(1);
        let opened = open(&disk).unwrap();
        (0..8).for_each(|n| commit(&opened, &format!("{n}"), bytes(n, 15_000)));
        disk.set_capacity_bytes(blocks * 4096);
        let failed = with_checkpoint && opened.db.checkpoint().is_err();
        if with_checkpoint && !failed {
            return true;
        }
        (0..50).all(|n| opened.commit(&[put("more", bytes(n, 3_000))], Durability::Sync).is_ok())
    };
    let harmed: Vec<usize> =
        (30..260).filter(|&blocks| goes_on(blocks, false) && !goes_on(blocks, true)).collect();
    assert!(
        harmed.is_empty(),
        "read-only for want of room that a failed checkpoint holds: {harmed:?} blocks"
    );
}

/// Positions in a manifest whose checksum is right that no frame can have: commits there would be stamped with tagged pointers.
#[test]
fn a_manifest_with_positions_that_are_none_is_refused() {
    let disk = SimulatedDisk::new(1);
    let opened = open(&disk).unwrap();
    commit(&opened, "a", "1");
    opened.db.checkpoint().unwrap();
    let disk = power_loss(&disk);
    drop(opened);
    let (name, mut manifest) =
        contents(&disk).into_iter().find(|(name, _)| name.starts_with("manifest-")).unwrap();
    // Position, and from where on the log is needed.
    manifest[MANIFEST_BODY + 8] += 1;
    manifest[MANIFEST_BODY + 16] += 1;
    seal_manifest(&mut manifest);
    overwrite(&disk, &name, 0, &manifest);
    assert!(open(&disk).is_err(), "opened; the log goes on at a position that is no multiple of 8");
}

/// A thread of a rayon pool that waits for another pool runs other jobs of its own meanwhile; here another checkpoint.
#[test]
fn checkpoints_from_the_threads_of_a_pool() {
    let disk = SimulatedDisk::new(1);
    let opened = open(&disk).unwrap();
    commit(&opened, "a", "1");
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        pool.scope(|scope| {
            for n in 0..20 {
                let opened = &opened;
                scope.spawn(move |_| {
                    commit(opened, "a", n.to_string());
                    opened.db.checkpoint().unwrap();
                });
            }
        });
        done.send(()).unwrap();
    });
    is_done.recv_timeout(std::time::Duration::from_secs(20)).expect("a deadlock");
}
