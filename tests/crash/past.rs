//! The past from before an opening: as far back as the setting says, each position of it, whatever was opened, closed, crashed and checkpointed since.

use super::harness::*;
use super::verifying::verify_with;
use crate::checkpoint::manifest;
use crate::engine::config::Config;
use crate::io::{CrashOutcome, Device, SimulatedDisk};
use crate::lsn::Lsn;
use crate::{Durability, Error, Retention};

const KEPT_BYTES: u64 = 3 * SEGMENT_BYTES;

fn keeping(config: Config) -> Config {
    Config { retention: Some(Retention::new().bytes(KEPT_BYTES)), ..config }
}

/// A store that is written to at random, and what was in it at each position.
struct Remembered {
    disk: SimulatedDisk,
    config: Config,
    opened: Option<Opened>,
    states: Vec<(Lsn, State)>,
    random: fastrand::Rng,
}

impl Remembered {
    fn new(config: Config, seed: u64) -> Remembered {
        let (disk, random) = (SimulatedDisk::new(seed), fastrand::Rng::with_seed(seed));
        let mut new = Remembered { disk, config, opened: None, states: Vec::new(), random };
        new.open();
        new
    }

    fn opened(&self) -> &Opened {
        self.opened.as_ref().expect("it is open")
    }

    fn open(&mut self) {
        self.opened = None;
        self.opened = Some(open_with(&self.disk, self.config.clone()).unwrap());
    }

    /// Keys that come and go, some with values that need pages of their own.
    fn commit(&mut self) {
        let random = &mut self.random;
        let mut write = |_| {
            let key = format!("{:03}", random.u32(..300));
            let len = if random.u8(..) < 10 { random.usize(8_000..20_000) } else { random.usize(..400) };
            if random.u8(..) < 80 { delete(key) } else { put(key, bytes(random.u64(..), len)) }
        };
        let writes: Vec<_> = (0..8).map(&mut write).collect();
        self.opened().commit(&writes, Durability::Sync).unwrap();
        let now = (self.opened().db.position(), self.opened().state());
        self.states.push(now);
    }

    fn act(&mut self) {
        match self.random.u8(..) {
            ..20 => {
                self.opened().db.checkpoint().unwrap();
            }
            20..30 => self.open(),
            30..36 => {
                let outcome = CrashOutcome::Random(self.random.u64(..));
                self.disk = self.disk.after_crash(outcome);
                self.open();
            }
            36..40 => {
                self.opened().db.sweep().unwrap();
            }
            _ => self.commit(),
        }
    }

    /// Each position that can be read shows what was there, and those that are to be kept can be read.
    fn check(&self, context: &str) -> usize {
        let db = &self.opened().db;
        let (oldest, end) = (db.oldest_position(), db.position());
        let kept_from = Lsn::new(end.get().saturating_sub(KEPT_BYTES));
        assert!(oldest <= kept_from, "{oldest} of {end}: {context}");
        assert_eq!(db.recovery().lost_history, None, "{context}");
        let mut read = 0;
        for (position, state) in &self.states {
            match db.at(*position) {
                Ok(then) => {
                    assert!(self.opened().state_of(&then) == *state, "{position} of {end}: {context}");
                    read += 1;
                }
                // Somebody may be pruning.
                Err(Error::HistoryGone { oldest, .. }) => {
                    assert!(*position < oldest && oldest <= kept_from, "{position} of {oldest}: {context}");
                }
                Err(error) => panic!("{error}: {context}"),
            }
        }
        read
    }
}

#[test]
fn the_past_outlives_openings_crashes_and_checkpoints() {
    for seed in 0..12 {
        let kind =
            [config(), sealed_pages(), encrypted(1), small_segments()].into_iter().nth(seed as usize % 4);
        let mut store = Remembered::new(keeping(kind.unwrap()), seed);
        let (mut read, mut acts) = (0, 0);
        while acts < 400 {
            store.act();
            acts += 1;
            if acts % 20 == 0 {
                store.open();
                read += store.check(&format!("seed {seed}, {acts} acts"));
            }
        }
        assert!(read > 400, "{read}, seed {seed}");
        store.opened().db.sweep().unwrap();
        store.check(&format!("seed {seed}, swept"));
        let verified = store.opened().db.verify().unwrap();
        assert!(verified.is_sound(), "{:#?}", verified.findings);
        drop(store.opened.take());
        assert!(verify_with(&store.disk, &store.config).is_sound());
        // What it is held by is given up with it.
        let files = store.disk.list().unwrap().len();
        store.config.retention = Some(Retention::new());
        store.open();
        store.commit();
        store.opened().db.checkpoint().unwrap();
        drop(store.opened.take());
        assert!(store.disk.list().unwrap().len() < files);
        let manifests = store.disk.list().unwrap();
        assert_eq!(manifests.iter().filter(|name| manifest::parse_file_name(name).is_some()).count(), 1);
    }
}

/// Who says nothing of it goes by what was said before, and with that keeps the past.
#[test]
fn the_setting_is_the_stores() {
    let mut store = Remembered::new(keeping(config()), 1);
    (0..30).for_each(|_| store.commit());
    store.opened().db.checkpoint().unwrap();
    store.config.retention = None;
    for _ in 0..5 {
        store.open();
        assert_eq!(store.opened().db.retention(), Retention::new().bytes(KEPT_BYTES));
        store.commit();
        store.opened().db.checkpoint().unwrap();
        store.check("opened without a setting");
    }
    // A setting alone is worth a checkpoint at closing, and nothing is kept from then on.
    store.config.checkpoint_at_close = true;
    store.opened().db.set_retention(Retention::new()).unwrap();
    store.open();
    store.opened().db.set_retention(Retention::new()).unwrap();
    store.open();
    assert_eq!(store.opened().db.retention(), Retention::new());
    assert_eq!(store.opened().db.oldest_position(), store.opened().db.recovery().end);
}

/// A store that was never told to keep a past has one from the last checkpoint on, once it is told to.
#[test]
fn what_the_log_has_is_there_at_once() {
    let mut store = Remembered::new(config(), 2);
    (0..20).for_each(|_| store.commit());
    store.opened().db.checkpoint().unwrap();
    let position = store.opened().db.position();
    (0..5).for_each(|_| store.commit());
    store.config = keeping(config());
    store.open();
    assert!(store.opened().db.oldest_position() <= position);
    let seen: Vec<_> = store.states.iter().filter(|(at, _)| *at >= position).collect();
    assert_eq!(seen.len(), 6);
    assert!(seen.iter().all(|(at, state)| store.opened().state_at(*at) == *state));
}

/// Damage to what the past alone needs costs the past, and nothing else: the store says so, and keeps one from then on.
#[test]
fn damage_to_the_past_costs_the_past_alone() {
    for config in [config(), sealed_pages()].map(keeping) {
        let mut store = Remembered::new(config, 3);
        for _ in 0..60 {
            store.commit();
            store.opened().db.checkpoint().unwrap();
        }
        store.open();
        store.check("before the damage");
        let now = store.opened().state();
        drop(store.opened.take());
        let sound = copy(&store.disk);
        let manifests = sound.list().unwrap();
        let manifests: Vec<_> =
            manifests.iter().filter(|name| manifest::parse_file_name(name).is_some()).collect();
        assert_eq!(manifests.len(), 3);
        let mut lost = 0;
        let files = contents(&sound);
        for (name, bytes) in &files {
            for offset in (0..bytes.len()).step_by(4_096).skip(1) {
                if !name.starts_with("pages-") && !name.starts_with("log-")
                    || bytes[offset..][..64] == [0; 64]
                {
                    continue;
                }
                let damaged = copy(&sound);
                damaged.corrupt(name, offset as u64 + 40, 8);
                let Ok(opened) = open_with(&damaged, store.config.clone()) else { continue };
                assert!(opened.state() == now, "{name} at {offset}");
                let Some(why) = &opened.db.recovery().lost_history else { continue };
                assert!(
                    why.contains("disk/log-") || why.contains(name.as_str()),
                    "{name} at {offset}: {why}"
                );
                lost += 1;
                opened.db.checkpoint().unwrap();
                drop(opened);
                let opened = open_with(&damaged, store.config.clone()).unwrap();
                assert!(opened.state() == now && opened.db.recovery().lost_history.is_none());
                assert!(opened.db.verify().unwrap().is_sound(), "{name} at {offset}");
            }
        }
        assert!(lost > 10, "{lost}");
        // Without its manifest the past is shorter.
        overwrite(&store.disk, manifests[0], 0, &bytes(1, 4_096));
        let opened = open_with(&store.disk, store.config.clone()).unwrap();
        assert!(opened.state() == now);
    }
}

/// The old data key stays as long as a past that it sealed.
#[test]
fn a_changed_key_leaves_the_past_readable() {
    let mut store = Remembered::new(keeping(sealed_pages_of(1)), 4);
    for round in 0..6_u8 {
        for _ in 0..15 {
            (0..3).for_each(|_| store.commit());
            store.opened().db.checkpoint().unwrap();
        }
        store.open();
        store.check("before a change of the key");
        store.opened().db.rotate_key(&provider(round + 2)).unwrap();
        store.config = keeping(sealed_pages_of(round + 2));
        store.check("after a change of the key");
        store.open();
        store.check("opened with another key");
    }
}
