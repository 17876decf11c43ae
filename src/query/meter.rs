//! What the steps of a query came to: rows and time, if anybody wants to know.

use super::stream::Stream;
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A step of a query.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Documents,
    Index,
    Fetch,
    Filter,
    Sort,
}

/// Rows that a step gave, and the time until then, with the steps before it.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Reading {
    pub(super) rows: u64,
    pub(super) time: Duration,
}

/// See the module.
#[derive(Clone, Default)]
pub(super) struct Meter(Option<Rc<[Cell<Reading>; 5]>>);

impl Meter {
    pub(super) fn on() -> Meter {
        Meter(Some(Rc::default()))
    }

    /// An iterator, and what it comes to. Itself, if nobody wants to know.
    pub(super) fn over<'t, T: 't>(&self, step: Step, rows: Stream<'t, T>) -> Stream<'t, T> {
        match &self.0 {
            Some(readings) => Stream::of(Metered { rows, readings: Rc::clone(readings), step }),
            None => rows,
        }
    }

    pub(super) fn reading(&self, step: Step) -> Option<Reading> {
        self.0.as_ref().map(|readings| readings[step as usize].get())
    }
}

struct Metered<'t, T> {
    rows: Stream<'t, T>,
    readings: Rc<[Cell<Reading>; 5]>,
    step: Step,
}

impl<T> Iterator for Metered<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let began = Instant::now();
        let row = self.rows.next();
        let cell = &self.readings[self.step as usize];
        let before = cell.get();
        let rows = before.rows + u64::from(row.is_some());
        cell.set(Reading { rows, time: before.time + began.elapsed() });
        row
    }
}
