//! Labelled steps of the protocols, and a hook that parks a thread at one of them for good.
//!
//! Outside of tests `step` is nothing. The progress tests park one thread at each step in turn, and show that the others
//! go on without end; `docs/concurrency.md` has the table.

/// Where in a protocol a thread is. The names are those of `docs/concurrency.md`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(
    any(not(test), loom, shuttle),
    allow(unused, reason = "only the progress tests look at the label")
)]
pub(crate) enum Step {
    /// A version is at the head of its record, the transaction undecided.
    Installed,
    /// `Positioning` is entered, the position not taken yet.
    Positioning,
    /// The position is taken, the commit not decided.
    Positioned,
    /// `Validating` is entered, nothing looked at yet.
    Validating,
    /// Committed, the frame not published yet.
    Committed,
    /// The frame is published, the versions not stamped yet.
    Published,
    /// All versions are stamped, nothing pruned yet.
    Stamped,
    /// The prune flag of a record is held.
    Pruning,
    /// A node's slot in the directory is frozen, and no later table has it yet.
    Moving,
    /// A snapshot's slot is written, the announcement not looked at yet.
    Registering,
    /// A record is dead, but still in the map.
    Unlinking,
    /// Leading a group commit, before the write.
    Leading,
}

#[cfg(any(not(test), loom, shuttle))]
#[inline(always)]
pub(crate) fn step(_: Step) {}

#[cfg(all(test, not(any(loom, shuttle))))]
pub(crate) use hook::{park_at, release_parked, step};

#[cfg(all(test, not(any(loom, shuttle))))]
mod hook {
    use super::Step;
    use std::cell::Cell;
    use std::sync::{Condvar, Mutex};
    use std::time::Duration;

    thread_local! {
        static PARK_AT: Cell<Option<Step>> = const { Cell::new(None) };
    }

    struct Lot {
        parked: usize,
        generation: usize,
    }
    static LOT: Mutex<Lot> = Mutex::new(Lot { parked: 0, generation: 0 });
    static CHANGED: Condvar = Condvar::new();

    /// The calling thread parks when it next comes to `at`; returns how to wait until it has.
    pub(crate) fn park_at(at: Step) {
        PARK_AT.set(Some(at));
    }

    /// Far more than any thread takes to come to its step.
    const DEADLINE: Duration = Duration::from_secs(60);

    /// Waits until `count` threads are parked, runs `meanwhile`, and lets them all go on. Panics if they do not come.
    pub(crate) fn release_parked<T>(count: usize, meanwhile: impl FnOnce() -> T) -> T {
        let lot = LOT.lock().unwrap();
        let (lot, waited) = CHANGED.wait_timeout_while(lot, DEADLINE, |lot| lot.parked < count).unwrap();
        drop(lot);
        assert!(!waited.timed_out(), "nobody came to the step to park at");
        let result = meanwhile();
        LOT.lock().unwrap().generation += 1;
        CHANGED.notify_all();
        result
    }

    pub(crate) fn step(at: Step) {
        if PARK_AT.get() != Some(at) {
            return;
        }
        PARK_AT.set(None);
        let mut lot = LOT.lock().unwrap();
        lot.parked += 1;
        CHANGED.notify_all();
        let generation = lot.generation;
        while lot.generation == generation {
            lot = CHANGED.wait(lot).unwrap();
        }
        lot.parked -= 1;
    }
}
