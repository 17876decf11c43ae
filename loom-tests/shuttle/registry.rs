//! The registry of snapshots by itself, with several collectors: no horizon, however old, takes what a registered position sees.

use super::*;
use crate::lsn::LogEnd;
use crate::mvcc::active::{Active, Registration};
use crate::mvcc::horizon::Horizon;
use std::collections::BTreeSet;
use std::sync::Mutex;

/// What is registered right now, and the positions at which somebody was free to prune what is seen there. Horizons hold for ever, so
/// nobody may ever register at one of these. Book-keeping, unseen by the checker.
#[derive(Default)]
struct Known {
    registered: Vec<Lsn>,
    pruned: BTreeSet<Lsn>,
}

impl Known {
    fn prune(&mut self, horizon: &Horizon) {
        let is_pruned = |&at: &u64| horizon.is_garbage(Lsn::new(at - Lsn::ALIGN), Lsn::new(at));
        let positions = (Lsn::ALIGN..horizon.announced().get()).step_by(Lsn::ALIGN as usize);
        self.pruned.extend(positions.filter(is_pruned).map(Lsn::new));
    }

    fn check(&self) {
        let taken = self.registered.iter().find(|position| self.pruned.contains(position));
        assert_eq!(taken, None, "pruned under a registered position");
    }
}

struct Registry {
    active: Active,
    end: LogEnd,
    known: Mutex<Known>,
}

impl Registry {
    fn note(&self, change: impl FnOnce(&mut Known)) {
        let mut known = self.known.lock().unwrap();
        change(&mut known);
        known.check();
    }

    fn collect(&self) {
        for _ in 0..3 {
            self.end.reserve(Lsn::ALIGN);
            let guard = epoch::pin();
            let horizon = self.active.advance(self.end.load(), &guard);
            self.note(|known| known.prune(horizon));
        }
    }

    fn open(&self) -> Option<Registration> {
        let back = thread_rng().gen_range(0..5);
        // At the end of the log, or in the past.
        let registration = match back {
            0 | 1 => self.active.register(&self.end),
            _ => {
                let at = self.end.load().get() - (back - 2) * Lsn::ALIGN;
                self.active.register_at(Lsn::new(at)).ok()?
            }
        };
        self.note(|known| known.registered.push(registration.position()));
        Some(registration)
    }

    fn share(&self, registration: &Registration) -> Registration {
        let shared = registration.clone();
        self.note(|known| known.registered.push(shared.position()));
        shared
    }

    fn close(&self, registration: Registration) {
        let position = registration.position();
        self.note(|known| {
            let index = known.registered.iter().position(|&known| known == position);
            known.registered.swap_remove(index.expect("it was noted"));
        });
        drop(registration);
    }

    /// Opens, shares and closes; the last shares are returned.
    fn read(&self) -> Vec<Registration> {
        let mut rng = thread_rng();
        let mut open: Vec<Registration> = Vec::new();
        for _ in 0..4 {
            match rng.gen_range(0..4) {
                0 if !open.is_empty() => self.close(open.swap_remove(rng.gen_range(0..open.len()))),
                1 if !open.is_empty() => open.push(self.share(&open[rng.gen_range(0..open.len())])),
                _ => open.extend(self.open()),
            }
        }
        open
    }
}

#[test]
fn no_horizon_takes_what_is_registered() {
    explore("registry, five threads", 60_000, || {
        let registry = Arc::new(Registry {
            active: Active::new(),
            end: LogEnd::new(Lsn::new(64)),
            known: Mutex::default(),
        });
        let readers = [(); 3].map(|()| {
            let registry = Arc::clone(&registry);
            thread::spawn(move || registry.read())
        });
        let collectors = [(); 2].map(|()| {
            let registry = Arc::clone(&registry);
            thread::spawn(move || registry.collect())
        });
        let open: Vec<Registration> = join(readers).into_iter().flatten().collect();
        join(collectors);
        registry.collect();
        let oldest = open.iter().map(Registration::position).min();
        assert_eq!(registry.active.open().1, oldest, "who is open");
        open.into_iter().for_each(|registration| registry.close(registration));
        assert_eq!(registry.active.open(), (0, None), "a slot is left over");
    });
}
