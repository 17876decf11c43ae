//! What goes wrong on the simulated disk, and when.

use std::io;

/// Something that a raw operation can do instead of succeeding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A write takes only a beginning of its bytes, of random length, and says so.
    ShortWrite,
    /// A write is interrupted (`EINTR`) before it took anything; for ever means every second one, at random.
    Interrupted,
    /// A write fails; a random beginning of its bytes is in the cache. Or room is not given back, though the bytes there are gone.
    WriteEio,
    /// A flush, of a file or of the directory, fails: some of what it covered is lost, and no later flush says so.
    FlushEio,
    /// A write, or the naming of a new file, finds the disk full.
    NoSpace,
    /// A read fails.
    ReadEio,
}

/// How often a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// The first operation that it can strike.
    Once,
    /// Every operation that it can strike.
    Forever,
}

/// The raw operations of a disk, as far as faults tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Read,
    Write,
    Discard,
    FlushFile,
    FlushNames,
    Link,
    Rename,
    Unlink,
}

impl Fault {
    fn strikes(self, operation: Operation) -> bool {
        match self {
            Fault::ShortWrite | Fault::Interrupted => operation == Operation::Write,
            Fault::WriteEio => matches!(operation, Operation::Write | Operation::Discard),
            Fault::FlushEio => matches!(operation, Operation::FlushFile | Operation::FlushNames),
            Fault::NoSpace => matches!(operation, Operation::Write | Operation::Link),
            Fault::ReadEio => operation == Operation::Read,
        }
    }

    /// The error that the operation reports. It names the operation and the seed, so that a failure can be repeated.
    pub(super) fn error(self, number: u64, seed: u64) -> io::Error {
        let kind = match self {
            Fault::NoSpace => io::ErrorKind::StorageFull,
            Fault::Interrupted => io::ErrorKind::Interrupted,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, format!("simulated {self:?} at operation {number}, seed {seed}"))
    }
}

/// The faults that are still to come.
#[derive(Debug, Default)]
pub(super) struct FaultPlan {
    planned: Vec<(u64, Fault, Repeat)>,
}

impl FaultPlan {
    /// Plans a fault for the first operation that it can strike from number `from` on.
    pub(super) fn add(&mut self, from: u64, fault: Fault, repeat: Repeat) {
        self.planned.push((from, fault, repeat));
    }

    /// The fault that strikes this operation, if one does; of several the one that was planned first.
    pub(super) fn strike(
        &mut self,
        number: u64,
        operation: Operation,
        random: &mut fastrand::Rng,
    ) -> Option<Fault> {
        let due = |&(from, fault, _): &(u64, Fault, Repeat)| from <= number && fault.strikes(operation);
        let index = self.planned.iter().position(due)?;
        let (_, fault, repeat) = self.planned[index];
        match (fault, repeat) {
            (Fault::Interrupted, Repeat::Forever) if random.bool() => return None,
            (_, Repeat::Forever) => {}
            (_, Repeat::Once) => {
                self.planned.remove(index);
            }
        }
        Some(fault)
    }
}
