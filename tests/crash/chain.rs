//! A store on a simulated disk with a chain of backups, and what it held at each position.

use super::harness::{Opened, State, Write, bytes, config, delete, open_with, put};
use crate::engine::backup::Backup;
use crate::engine::config::Config;
use crate::engine::descriptor::Descriptor;
use crate::engine::error::{BackupError, RestoreError};
use crate::engine::restore::{Restored, Until, restore_on};
use crate::io::{Device, SimulatedDisk};
use crate::{Durability, Lsn};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) fn device(disk: &SimulatedDisk) -> Arc<dyn Device> {
    Arc::new(disk.clone())
}

pub(super) fn descriptor(disk: &SimulatedDisk) -> Descriptor {
    Descriptor::read(disk, Path::new("previous")).unwrap()
}

/// The store there, if there is one.
pub(super) fn open_copy(disk: &SimulatedDisk) -> Option<Opened> {
    open_with(disk, Config { create: false, ..config() }).ok()
}

/// A backup since the one before, or a full one.
pub(super) fn back_up(
    opened: &Opened,
    previous: Option<&SimulatedDisk>,
    target: &SimulatedDisk,
) -> Result<Backup, BackupError> {
    let previous = previous.map(descriptor);
    let previous = previous.as_ref().map(|previous| (Path::new("previous"), previous));
    opened.engine.back_up_on(previous, &device(target)).map(|made| made.expect("the store is on a disk"))
}

pub(super) fn restore(
    backups: &[SimulatedDisk],
    target: &SimulatedDisk,
    until: Until,
) -> Result<Restored, RestoreError> {
    restore_with(backups, target, until, &config())
}

pub(super) fn restore_with<'b>(
    backups: impl IntoIterator<Item = &'b SimulatedDisk>,
    target: &SimulatedDisk,
    until: Until,
    config: &Config,
) -> Result<Restored, RestoreError> {
    let name = |index| PathBuf::from(format!("backup-{index}"));
    let chain = backups.into_iter().enumerate().map(|(index, disk)| (name(index), device(disk))).collect();
    restore_on(chain, &device(target), until, config)
}

/// Keeps all of its log, so that there are no gaps.
pub(super) fn keeping_log() -> Config {
    Config { backup_log_bytes: u64::MAX, ..config() }
}

/// See the module.
pub(super) struct Chained {
    pub(super) source: SimulatedDisk,
    pub(super) opened: Opened,
    pub(super) backups: Vec<SimulatedDisk>,
    pub(super) made: Vec<Backup>,
    /// Each commit, and what the store held after it.
    pub(super) states: Vec<(Lsn, State)>,
}

impl Chained {
    pub(super) fn new(config: Config) -> Chained {
        let source = SimulatedDisk::new(1);
        let opened = open_with(&source, config).unwrap();
        opened.keyspace().unwrap();
        Chained { source, opened, backups: Vec::new(), made: Vec::new(), states: Vec::new() }
    }

    pub(super) fn commit(&mut self, writes: &[Write]) -> Lsn {
        let lsn = self.opened.commit(writes, Durability::Sync).unwrap();
        self.states.push((lsn, self.opened.state()));
        lsn
    }

    pub(super) fn back_up(&mut self) -> &Backup {
        let target = SimulatedDisk::new(100 + self.backups.len() as u64);
        self.made.push(back_up(&self.opened, self.backups.last(), &target).unwrap());
        self.backups.push(target);
        self.made.last().unwrap()
    }

    /// Full, then two that go on from it: with new pages of each kind, pages written over, deletions, checkpoints in between, and a transaction larger than the ring.
    pub(super) fn standard(config: Config) -> Chained {
        let mut chained = Chained::new(config);
        let many =
            |seed| (0..200_u64).map(|n| put(format!("many{n:03}"), bytes(seed + n, 50))).collect::<Vec<_>>();
        let large =
            |seed| (0..8_u64).map(|n| put(format!("large{n}"), bytes(seed + n, 9000))).collect::<Vec<_>>();
        chained.commit(&[put("a", "1")]);
        chained.commit(&many(1));
        chained.commit(&large(300));
        chained.back_up();
        chained.commit(&[put("a", "2"), delete("large3")]);
        chained.commit(&[put("many100", bytes(7, 4500))]);
        chained.opened.db.checkpoint().unwrap();
        chained.commit(&large(500));
        chained.opened.db.checkpoint().unwrap();
        chained.commit(&(0..150).map(|n| delete(format!("many{n:03}"))).collect::<Vec<_>>());
        chained.back_up();
        chained.commit(&[put("a", "3"), put("large1", "small")]);
        chained.opened.db.checkpoint().unwrap();
        chained.opened.db.checkpoint().unwrap();
        chained.commit(&many(900)[..20]);
        chained.back_up();
        chained.commit(&[put("a", "beyond")]);
        chained
    }

    /// What the store held at a position.
    pub(super) fn at(&self, position: Lsn) -> State {
        let before = self.states.iter().rev().find(|(lsn, _)| *lsn < position);
        before.map_or(State::new(), |(_, state)| state.clone())
    }

    /// Restores to a disk of its own; returns what is there when that is opened, with power lost in between.
    pub(super) fn restored(&self, until: Until) -> Result<(Restored, State), RestoreError> {
        let target = SimulatedDisk::new(7);
        let made = restore(&self.backups, &target, until)?;
        let target = target.after_crash(crate::io::CrashOutcome::DropAll);
        let copy = open_copy(&target).expect("a store was restored");
        assert_eq!(copy.db.recovery().end, made.position);
        assert_eq!(copy.db.recovery().cut_bytes, 0);
        Ok((made, copy.state()))
    }
}
