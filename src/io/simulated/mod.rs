//! A disk in memory that loses, tears and reorders what was not flushed, and fails on demand.
//!
//! It is a device like the others, built from raw operations: read, write, flush a file, give, change or take away a
//! name, flush the names. Its writes go through the loop that the real devices run (see [`super::raw`]). Each raw operation
//! has a number; a crash or a fault is set for one of them, counted from the next. A crash strikes *in* its operation:
//! what a write or a change of names does is left unflushed, and a flush does nothing, so every outcome from "not
//! begun" to "done, but nobody was told" is among what [`SimulatedDisk::after_crash`] can make of it. Everything
//! follows from the seeds; errors name the disk's.
//!
//! A durable write is a write and a flush. When it succeeds the flush covers what was written and no more, as
//! `RWF_DSYNC` does; when it fails it may lose whatever the file had unflushed, as `fdatasync` does. So a caller is found
//! out who counts on more than both real devices do. Direct I/O is not modelled.

mod device;
mod faults;
mod platter;
mod tests;

pub(crate) use faults::{Fault, Repeat};
use faults::{FaultPlan, Operation};
pub(crate) use platter::CrashOutcome;
use platter::Platter;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a test waits for writers to pile up before it gives up.
const BLOCKED_WRITERS_TIMEOUT: Duration = Duration::from_secs(30);

/// A handle on a simulated disk; clones share the disk.
#[derive(Clone)]
pub(crate) struct SimulatedDisk {
    shared: Arc<Shared>,
}

struct Shared {
    seed: u64,
    state: Mutex<State>,
    /// Notified when writers are let through, and when one begins to wait.
    gate: Condvar,
}

struct State {
    platter: Platter,
    random: fastrand::Rng,
    operations: u64,
    crash_at: Option<u64>,
    crashed: bool,
    faults: FaultPlan,
    faults_struck: u64,
    events: Vec<String>,
    capacity_bytes: usize,
    writes_blocked: bool,
    blocked_writers: usize,
}

/// How an operation that was let through is to go.
#[derive(Debug)]
enum Course {
    Succeed,
    Fail(Fault, io::Error),
    /// Do what you do, unflushed, and report this.
    Crash(io::Error),
}

impl SimulatedDisk {
    /// An empty disk.
    pub(crate) fn new(seed: u64) -> SimulatedDisk {
        SimulatedDisk::holding(Platter::default(), seed, usize::MAX)
    }

    fn holding(platter: Platter, seed: u64, capacity_bytes: usize) -> SimulatedDisk {
        let state = State {
            platter,
            random: fastrand::Rng::with_seed(seed),
            operations: 0,
            crash_at: None,
            crashed: false,
            faults: FaultPlan::default(),
            faults_struck: 0,
            events: Vec::new(),
            capacity_bytes,
            writes_blocked: false,
            blocked_writers: 0,
        };
        SimulatedDisk { shared: Arc::new(Shared { seed, state: Mutex::new(state), gate: Condvar::new() }) }
    }

    /// How many raw operations were begun.
    pub(crate) fn operations(&self) -> u64 {
        self.shared.lock().operations
    }

    /// Lets `operations` more succeed; the power fails in the one after them, and nothing works any more.
    pub(crate) fn crash_after(&self, operations: u64) {
        let mut state = self.shared.lock();
        state.crash_at = Some(state.operations + operations);
    }

    /// Whether the power has failed.
    pub(crate) fn has_crashed(&self) -> bool {
        self.shared.lock().crashed
    }

    /// How many sectors and changes of names a power loss now could keep or drop: the bits of
    /// [`CrashOutcome::Subset`].
    pub(crate) fn unflushed(&self) -> usize {
        self.shared.lock().platter.unflushed()
    }

    /// The disk as it is found after a power loss, now or when it happened; without faults, with the same capacity.
    pub(crate) fn after_crash(&self, outcome: CrashOutcome) -> SimulatedDisk {
        let state = self.shared.lock();
        let seed = self.shared.seed.wrapping_add(1);
        SimulatedDisk::holding(state.platter.after_power_loss(outcome), seed, state.capacity_bytes)
    }

    /// The disk as another process finds it when this one was killed, now or when it crashed: with everything in the cache, flushed or not.
    pub(crate) fn after_kill(&self) -> SimulatedDisk {
        let state = self.shared.lock();
        SimulatedDisk::holding(state.platter.clone(), self.shared.seed.wrapping_add(1), state.capacity_bytes)
    }

    /// Plans a fault for the first operation it can strike among those after the next `operations`.
    pub(crate) fn fail(&self, operations: u64, fault: Fault, repeat: Repeat) {
        let mut state = self.shared.lock();
        let from = state.operations + operations;
        state.faults.add(from, fault, repeat);
    }

    /// Forgets all faults that are still to come.
    pub(crate) fn mend(&self) {
        self.shared.lock().faults = FaultPlan::default();
    }

    /// How many operations a fault struck.
    pub(crate) fn faults_struck(&self) -> u64 {
        self.shared.lock().faults_struck
    }

    /// What was done, operation by operation, and what went wrong.
    pub(crate) fn events(&self) -> Vec<String> {
        self.shared.lock().events.clone()
    }

    /// Makes the disk as large as this; what is on it stays.
    pub(crate) fn set_capacity_bytes(&self, bytes: usize) {
        self.shared.lock().capacity_bytes = bytes;
    }

    /// Flips the bits of `xor_mask` in one byte of a file, in the cache and on the disk.
    pub(crate) fn corrupt(&self, name: &str, offset: u64, xor_mask: u8) {
        let mut state = self.shared.lock();
        let file = state.platter.names()[name];
        state.platter.flip(file, offset as usize, xor_mask);
    }

    /// Holds every write before it does anything, until [`SimulatedDisk::unblock_writes`].
    pub(crate) fn block_writes(&self) {
        self.shared.lock().writes_blocked = true;
    }

    /// Lets the held writes go on.
    pub(crate) fn unblock_writes(&self) {
        self.shared.lock().writes_blocked = false;
        self.shared.gate.notify_all();
    }

    /// Waits until this many writes are held.
    pub(crate) fn wait_for_blocked_writers(&self, count: usize) {
        let state = self.shared.lock();
        let (state, _) = self
            .shared
            .gate
            .wait_timeout_while(state, BLOCKED_WRITERS_TIMEOUT, |state| state.blocked_writers < count)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(
            state.blocked_writers >= count,
            "{} writers of {count} came: {self:?}",
            state.blocked_writers
        );
    }
}

impl fmt::Debug for SimulatedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimulatedDisk(seed {})", self.shared.seed)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one raw operation, after the gate if it is a write, and tells it how to go.
    fn run<T>(
        &self,
        operation: Operation,
        act: impl FnOnce(&mut State, Course) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.lock();
        if operation == Operation::Write {
            state = self.pass_gate(state);
        }
        let number = state.operations;
        let no_power = || io::Error::other(format!("simulated power loss, seed {}", self.seed));
        if state.crashed {
            return Err(no_power());
        }
        state.operations += 1;
        let State { faults, faults_struck, random, crash_at, crashed, events, .. } = &mut *state;
        let course = if *crash_at == Some(number) {
            *crashed = true;
            Course::Crash(no_power())
        } else if let Some(fault) = faults.strike(number, operation, random) {
            *faults_struck += 1;
            Course::Fail(fault, fault.error(number, self.seed))
        } else {
            Course::Succeed
        };
        events.push(format!("{number} {operation:?} {course:?}"));
        act(&mut state, course)
    }

    fn pass_gate<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.blocked_writers += 1;
        self.gate.notify_all();
        let mut state =
            self.gate.wait_while(state, |state| state.writes_blocked).unwrap_or_else(PoisonError::into_inner);
        state.blocked_writers -= 1;
        state
    }

    /// Flushes the bytes of `range` of a file.
    fn flush_file(&self, file: usize, range: &Range<usize>) -> io::Result<()> {
        self.flush(Operation::FlushFile, Some(file), |platter| platter.flush_file(file, range))
    }

    fn flush_names(&self) -> io::Result<()> {
        self.flush(Operation::FlushNames, None, Platter::flush_names)
    }

    /// Does what `succeed` says, or fails the flush of a file, or, with `None`, that of the names.
    fn flush(
        &self,
        operation: Operation,
        file: Option<usize>,
        succeed: impl FnOnce(&mut Platter),
    ) -> io::Result<()> {
        self.run(operation, |state, course| match course {
            Course::Crash(error) => Err(error),
            Course::Fail(_, error) => {
                state.platter.fail_flush(file, &mut state.random);
                Err(error)
            }
            Course::Succeed => {
                succeed(&mut state.platter);
                Ok(())
            }
        })
    }
}
