//! Restoring from backups: to each position of a history, to times, from and to disks that fail, from damaged and from wrong ones.

use super::chain::{Chained, back_up, keeping_log, open_copy, restore};
use super::harness::{REPEATS, bytes, config, contents, copy, open, put};
use crate::engine::config::Config;
use crate::engine::error::{BackupError, ChainError, Covered, RestoreError};
use crate::engine::restore::Until;
use crate::io::{CrashOutcome, Fault, SimulatedDisk};
use crate::{Durability, Lsn};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

fn not_covered(error: RestoreError) -> Vec<Covered> {
    match error {
        RestoreError::NotCovered { covered, .. } => covered,
        error => panic!("{error}"),
    }
}

fn chain_error(error: RestoreError) -> ChainError {
    match error {
        RestoreError::Chain(error) => error,
        error => panic!("{error}"),
    }
}

#[test]
fn each_position_from_the_first_checkpoint_to_the_last_end() {
    let chained = Chained::standard(keeping_log());
    assert!(chained.made.iter().all(|made| made.gap.is_none()), "{:?}", chained.made);
    let (first, last) = (chained.made[0].checkpoint, chained.made[2].position);
    let mut positions = vec![first, last];
    let mut random = fastrand::Rng::with_seed(1);
    for (lsn, _) in &chained.states {
        positions.extend([lsn.get() - 8, lsn.get(), lsn.get() + 1, lsn.get() + 8].map(Lsn::new));
        positions.push(Lsn::new(random.u64(first.get()..last.get())));
    }
    for made in &chained.made {
        positions.extend([made.checkpoint, made.position, made.position.plus(8)]);
    }
    positions.retain(|position| (first..=last).contains(position));
    assert!(positions.len() > 40, "{positions:?}");
    for position in positions {
        let (made, state) = chained.restored(Until::Position(position)).unwrap();
        assert!(state == chained.at(position), "position {position}, {made:?}");
        assert!(made.position >= position && made.checkpoint <= position);
    }
    let (made, state) = chained.restored(Until::End).unwrap();
    assert_eq!((made.position, made.checkpoint), (last, chained.made[2].checkpoint));
    assert!(state == chained.at(last) && state != chained.opened.state());
    for outside in [Lsn::new(first.get() - 8), last.plus(8)] {
        let covered = not_covered(chained.restored(Until::Position(outside)).unwrap_err());
        assert_eq!(covered.len(), 1);
        assert_eq!((covered[0].from, covered[0].to), (first, last));
    }
}

/// Without the setting that keeps it, the log between two backups is gone as soon as there was a checkpoint in between.
#[test]
fn a_gap_is_told_of_when_it_comes_about_and_when_it_is_asked_for() {
    let mut chained = Chained::new(config());
    chained.commit(&[put("a", "1")]);
    chained.back_up();
    for n in 0..40 {
        chained.commit(&[put([b'k', n], bytes(n.into(), 4000))]);
    }
    chained.opened.db.checkpoint().unwrap();
    chained.back_up();
    chained.commit(&[put("a", "2")]);
    chained.back_up();
    let (full, first, second) = (&chained.made[0], &chained.made[1], &chained.made[2]);
    assert_eq!((&first.gap, &second.gap), (&Some(full.position..first.checkpoint), &None));
    for position in [full.checkpoint, full.position, first.checkpoint, first.position, second.position] {
        let (_, state) = chained.restored(Until::Position(position)).unwrap();
        assert!(state == chained.at(position), "position {position}");
    }
    let between = Lsn::new((full.position.get() + first.checkpoint.get()) / 16 * 8);
    let error = chained.restored(Until::Position(between)).unwrap_err();
    assert!(error.to_string().contains(", and positions "), "{error}");
    let ranges: Vec<_> = not_covered(error).into_iter().map(|covered| (covered.from, covered.to)).collect();
    assert_eq!(ranges, [(full.checkpoint, full.position), (first.checkpoint, second.position)]);
}

#[test]
fn a_restored_store_goes_on_and_is_backed_up_from_the_start() {
    let chained = Chained::standard(keeping_log());
    let target = SimulatedDisk::new(9);
    let middle = chained.states[chained.states.len() / 2].0;
    restore(&chained.backups, &target, Until::Position(middle)).unwrap();
    for n in 0..3_u8 {
        let restored = open_copy(&target).unwrap();
        let mut state = restored.state();
        (0..n).for_each(|before| assert!(state.remove(&vec![before]).is_some()));
        assert!(state == chained.at(middle));
        restored.commit(&[put([n], bytes(n.into(), 30_000))], Durability::Sync).unwrap();
        if n == 1 {
            restored.db.checkpoint().unwrap();
        }
    }
    // It has grown beyond the backups, with the same id and other contents.
    let restored = open_copy(&target).unwrap();
    restored.commit(&[put("more", bytes(5, 60_000))], Durability::Sync).unwrap();
    let error = back_up(&restored, chained.backups.last(), &SimulatedDisk::new(3)).unwrap_err();
    assert!(matches!(error, BackupError::Previous(ChainError::OtherTimeline { .. })), "{error}");
    let (full, next) = (SimulatedDisk::new(4), SimulatedDisk::new(5));
    back_up(&restored, None, &full).unwrap();
    restored.commit(&[put("last", "1")], Durability::Sync).unwrap();
    back_up(&restored, Some(&full), &next).unwrap();
    let again = SimulatedDisk::new(6);
    restore(&[full, next], &again, Until::End).unwrap();
    assert_eq!(open_copy(&again).unwrap().state(), restored.state());
}

static NOW: AtomicU64 = AtomicU64::new(0);

/// The clock is set by hand; each commit is at a time of its own, with a mark behind it.
#[test]
fn to_a_time() {
    // Relaxed: one thread sets it; whoever else looks at it is not asked for anything.
    let set = |millis| NOW.store(millis, Ordering::Relaxed);
    let time = |millis| Until::Time(SystemTime::UNIX_EPOCH + Duration::from_millis(millis));
    set(1_000);
    let clock = || NOW.load(Ordering::Relaxed);
    let mut chained = Chained::new(Config { clock, ..keeping_log() });
    let mut expected = Vec::new();
    for n in 2..20_u8 {
        set(u64::from(n) * 1_000);
        chained.commit(&[put([n], bytes(n.into(), 3_000))]);
        chained.opened.engine.log().unwrap().mark_time().unwrap();
        if [5, 9, 16].contains(&n) {
            set(u64::from(n) * 1_000 + 10);
            chained.back_up();
        }
        if n == 12 {
            chained.opened.db.checkpoint().unwrap();
        }
        expected.push((u64::from(n) * 1_000, chained.opened.state()));
    }
    for (millis, state) in &expected {
        for asked in [*millis + 10, *millis + 999] {
            let restored = chained.restored(time(asked));
            if (5_010..=16_010).contains(&asked) {
                let (made, found) = restored.unwrap();
                assert!(found == *state, "time {asked}: {made:?}");
                assert!(made.as_of <= SystemTime::UNIX_EPOCH + Duration::from_millis(asked));
            } else {
                let covered = not_covered(restored.unwrap_err());
                let millis = |time| crate::log::clock::millis(time);
                let times: Vec<_> =
                    covered.iter().map(|all| (millis(all.from_time), millis(all.to_time))).collect();
                assert_eq!(times, [(5_010, 16_010)], "time {asked}");
            }
        }
    }
    // A mark is at its time, not after it.
    assert!(chained.restored(time(8_000)).unwrap().1 == expected[6].1);
    assert!(chained.restored(time(7_999)).unwrap().1 == expected[5].1);
}

#[test]
fn a_power_loss_at_the_target_leaves_all_or_no_store() {
    let chained = Chained::standard(keeping_log());
    let position = chained.states[5].0.plus(8);
    let (mut crashed, mut at, mut whole) = (true, 0, 0);
    while crashed {
        let target = SimulatedDisk::new(at);
        target.crash_after(at);
        let made = restore(&chained.backups, &target, Until::Position(position));
        crashed = target.has_crashed();
        assert_eq!(made.is_err(), crashed, "crash at {at}");
        for outcome in [CrashOutcome::DropAll, CrashOutcome::KeepAll, CrashOutcome::Random(at)] {
            if let Some(copy) = open_copy(&target.after_crash(outcome)) {
                assert!(copy.state() == chained.at(position), "crash at {at}, {outcome:?}");
                whole += 1;
            } else {
                assert!(crashed, "{outcome:?}");
            }
        }
        at += 1;
    }
    assert!(at > 60 && whole >= 4, "{at} operations, {whole} whole");
}

#[test]
fn a_fault_on_any_disk_is_reported_and_the_next_restore_succeeds() {
    let chained = Chained::standard(keeping_log());
    let position = chained.states[7].0.plus(8);
    let before: Vec<_> = chained.backups.iter().map(contents).collect();
    for (fault, repeat) in [Fault::WriteEio, Fault::FlushEio, Fault::NoSpace, Fault::ReadEio]
        .into_iter()
        .flat_map(|fault| REPEATS.map(|repeat| (fault, repeat)))
    {
        for backup in [None, Some(0), Some(1)] {
            if backup.is_some() && fault != Fault::ReadEio {
                continue;
            }
            let (mut struck, mut at) = (true, 0);
            while struck {
                let target = SimulatedDisk::new(at);
                let failing = backup.map_or(&target, |index: usize| &chained.backups[index]);
                let strikes = failing.faults_struck();
                failing.fail(at, fault, repeat);
                let context = format!("{fault:?} {repeat:?} at {at}, backup {backup:?}");
                let made = restore(&chained.backups, &target, Until::Position(position));
                struck = failing.faults_struck() > strikes;
                failing.mend();
                match made {
                    Ok(_) => {
                        let copy = open_copy(&target).expect(&context);
                        assert!(copy.state() == chained.at(position), "{context}");
                    }
                    Err(error) => {
                        assert!(struck && error.to_string().contains("simulated"), "{error}: {context}");
                        let _ = open_copy(&target)
                            .map(|copy| assert!(copy.state() == chained.at(position), "{context}"));
                    }
                }
                at += 1;
            }
            assert!(at > 5, "{fault:?}, backup {backup:?}: {at}");
        }
    }
    assert!(chained.backups.iter().map(contents).eq(before), "the backups are as they were");
}

/// Whatever byte of a backup is another: it is found, or nobody needs it.
#[test]
fn flipped_bytes_are_found() {
    let chained = Chained::standard(keeping_log());
    let expected = chained.at(chained.made[2].position);
    let (mut found, mut harmless, mut random) = (0_u32, 0_u32, fastrand::Rng::with_seed(3));
    for index in 0..3 {
        for (name, content) in contents(&chained.backups[index]) {
            // Every byte at the front, where the fields are; of the rest one here and there.
            let front = 0..if name == "store" { 0 } else { 160.min(content.len()) };
            let rest = (0..content.len() / 600).map(|_| random.usize(0..content.len()));
            for offset in front.chain(rest).collect::<Vec<_>>() {
                let mut backups = chained.backups.clone();
                backups[index] = copy(&chained.backups[index]);
                backups[index].corrupt(&name, offset as u64, 1 << random.u8(0..8));
                let target = SimulatedDisk::new(1);
                match restore(&backups, &target, Until::End) {
                    Ok(_) => {
                        let copy = open_copy(&target).expect("it was restored");
                        assert!(copy.state() == expected, "backup {index}, `{name}`, byte {offset}");
                        harmless += 1;
                    }
                    Err(error) => {
                        assert!(open_copy(&target).is_none(), "{error}");
                        let text = error.to_string();
                        assert!(text.contains(&format!("backup-{index}")), "`{name}`, byte {offset}: {text}");
                        found += 1;
                    }
                }
            }
        }
    }
    assert!(found > 500 && harmless > 50, "{found} found, {harmless} harmless");
}

#[test]
fn what_makes_no_chain_is_refused() {
    let chained = Chained::standard(keeping_log());
    let other = Chained::standard(keeping_log());
    let [full, first, second] = &chained.backups[..] else { panic!("three backups") };
    let refused = |chain: &[&SimulatedDisk]| {
        let (chain, target) = (chain.iter().copied().cloned().collect::<Vec<_>>(), SimulatedDisk::new(1));
        let error = chain_error(restore(&chain, &target, Until::End).unwrap_err());
        assert!(target.operations() == 0, "nothing was written: {error}");
        error
    };
    assert!(matches!(refused(&[]), ChainError::Empty));
    assert!(matches!(refused(&[first, second]), ChainError::NotFull { .. }));
    assert!(matches!(refused(&[full, second]), ChainError::NotNext { .. }), "one is missing");
    assert!(matches!(refused(&[full, second, first]), ChainError::NotNext { .. }), "in the wrong order");
    assert!(matches!(refused(&[full, first, first]), ChainError::NotNext { .. }), "twice");
    assert!(matches!(refused(&[full, &other.backups[1]]), ChainError::OtherStore { .. }));
    assert!(matches!(refused(&[full, &chained.source]), ChainError::NotABackup { .. }));
    // A second chain of the same store.
    let another = SimulatedDisk::new(50);
    back_up(&chained.opened, None, &another).unwrap();
    assert!(matches!(refused(&[&another, first]), ChainError::NotNext { .. }));
    assert!(restore(&[full.clone(), first.clone()], &SimulatedDisk::new(1), Until::End).is_ok());
}

#[test]
fn a_full_backup_that_was_used_as_a_store_serves_as_long_as_it_holds_what_it_did() {
    let chained = Chained::standard(keeping_log());
    let mut backups: Vec<_> = chained.backups.iter().map(copy).collect();
    let used = open_copy(&backups[0]).unwrap();
    used.commit(&[put("own", bytes(1, 50_000))], Durability::Sync).unwrap();
    let end = Until::Position(chained.made[0].position);
    let target = SimulatedDisk::new(1);
    restore(&backups[..1], &target, end).unwrap();
    assert!(open_copy(&target).unwrap().state() == chained.at(chained.made[0].position), "without its own");
    let error = back_up(&used, Some(&backups[0]), &SimulatedDisk::new(2)).unwrap_err();
    assert!(matches!(error, BackupError::Previous(ChainError::OtherTimeline { .. })), "{error}");
    used.db.checkpoint().unwrap();
    drop(used);
    let error = chain_error(restore(&backups, &SimulatedDisk::new(3), Until::End).unwrap_err());
    assert!(matches!(error, ChainError::Changed { .. }), "{error}");
    backups[0] = copy(&chained.backups[0]);
    restore(&backups, &SimulatedDisk::new(4), Until::End).unwrap();
}

#[test]
fn an_incremental_backup_is_no_store_and_is_left_alone() {
    let chained = Chained::standard(keeping_log());
    let incremental = copy(&chained.backups[1]);
    let before = contents(&incremental);
    let error = open(&incremental).err().expect("it is no store");
    assert!(matches!(error, crate::OpenError::IsBackup { .. }), "{error}");
    assert!(error.to_string().contains("skipstone restore"), "{error}");
    assert!(contents(&incremental) == before);
}
