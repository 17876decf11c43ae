//! What the steps of a query came to: rows, time and versions, if anybody wants to know.
//!
//! There is a place for each step of each access of a plan, in the same tree: two inputs of a union that walk the same index are told apart. Whoever does not
//! want to know has no such tree, and pays nothing for it.

use super::plan::Access;
use super::stream::Stream;
use std::cell::{Cell, OnceCell};
use std::time::{Duration, Instant};

/// A step of a query: of one access, or behind that of the whole plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Documents,
    Index,
    Common,
    Fetch,
    Union,
    Filter,
    Sort,
    Slice,
    Summary,
}

const STEPS: usize = Step::Summary as usize + 1;

/// What a step came to.
#[derive(Default, Debug)]
pub(super) struct Reading {
    /// How many it gave.
    pub(super) rows: Cell<u64>,
    /// How long it took, with the steps before it.
    pub(super) time: Cell<Duration>,
    /// The versions that it walked by itself. In a transaction nobody counts them.
    pub(super) versions: OnceCell<Cell<u64>>,
}

impl Reading {
    pub(super) fn versions(&self) -> Option<u64> {
        self.versions.get().map(Cell::get)
    }

    fn timed<T>(&self, make: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let made = make();
        self.time.set(self.time.get() + began.elapsed());
        made
    }

    fn add(&self, rows: u64) {
        self.rows.set(self.rows.get() + rows);
    }
}

/// What the steps of an access came to, and those of its inputs.
#[derive(Default, Debug)]
pub(super) struct Readings {
    steps: [Reading; STEPS],
    inputs: Vec<Readings>,
}

impl Readings {
    pub(super) fn of(access: &Access) -> Readings {
        let inputs = match access {
            Access::Documents(_) | Access::Index(..) => Vec::new(),
            Access::Intersection(..) => access.walks().iter().map(|_| Readings::default()).collect(),
            Access::Union(branches) => branches.iter().map(|(access, _)| Readings::of(access)).collect(),
        };
        Readings { inputs, ..Readings::default() }
    }
}

/// The readings of an access, for who takes part in it; see the module.
#[derive(Clone, Copy, Default)]
pub(super) struct Meter<'m>(Option<&'m Readings>);

impl<'m> Meter<'m> {
    pub(super) fn on(readings: &'m Readings) -> Meter<'m> {
        Meter(Some(readings))
    }

    pub(super) fn is_on(self) -> bool {
        self.0.is_some()
    }

    /// That of an input of this access.
    pub(super) fn input(self, at: usize) -> Meter<'m> {
        Meter(self.0.map(|readings| &readings.inputs[at]))
    }

    pub(super) fn reading(self, step: Step) -> Option<&'m Reading> {
        self.0.map(|readings| &readings.steps[step as usize])
    }

    /// What a part of a step makes, the time of which counts.
    pub(super) fn timed<T>(self, step: Step, make: impl FnOnce() -> T) -> T {
        match self.reading(step) {
            Some(reading) => reading.timed(make),
            None => make(),
        }
    }

    /// Rows that a step gave all at once.
    pub(super) fn add(self, step: Step, rows: u64) {
        self.reading(step).into_iter().for_each(|reading| reading.add(rows));
    }

    /// The rows of a step, with what they come to. As they are made, if nobody wants to know.
    pub(super) fn over<T: 'm>(self, step: Step, make: impl FnOnce() -> Stream<'m, T>) -> Stream<'m, T> {
        let Some(reading) = self.reading(step) else { return make() };
        match reading.timed(make) {
            Stream::One(row) => {
                reading.add(row.is_some().into());
                Stream::One(row)
            }
            Stream::Many(rows) => Stream::of(Metered { rows, reading }),
        }
    }
}

struct Metered<'m, T> {
    rows: Box<dyn Iterator<Item = T> + 'm>,
    reading: &'m Reading,
}

impl<T> Iterator for Metered<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let row = self.reading.timed(|| self.rows.next());
        self.reading.add(row.is_some().into());
        row
    }
}
