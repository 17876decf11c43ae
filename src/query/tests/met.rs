//! Which plans were met, so that a test can say that it met them all.

use crate::map::Towards;
use crate::query::plan::{Access, Plan, Walk};
use crate::query::request::Answer;
use std::cell::Cell;

/// How often there was what has to be met.
#[derive(Default)]
pub(super) struct Met {
    scans: Cell<u32>,
    indexes: Cell<u32>,
    intersections: Cell<u32>,
    unions: Cell<u32>,
    of_several_ranges: Cell<u32>,
    backward: Cell<u32>,
    backward_of_several_ranges: Cell<u32>,
    sorted: Cell<u32>,
    counted_by_entries: Cell<u32>,
    made_of_entries: Cell<u32>,
    divided_scans: Cell<u32>,
    divided_indexes: Cell<u32>,
    after_a_cursor: Cell<u32>,
}

fn count(counter: &Cell<u32>, is_met: bool) {
    counter.set(counter.get() + u32::from(is_met));
}

impl Met {
    pub(super) fn note(&self, plan: &Plan) {
        let walks = |of: fn(&Walk) -> bool| match &plan.access {
            Access::Documents(walk) | Access::Index(_, walk) => of(walk),
            Access::Intersection(..) | Access::Union(..) => false,
        };
        count(&self.scans, matches!(plan.access, Access::Documents(..)));
        count(&self.indexes, matches!(plan.access, Access::Index(..)));
        count(&self.intersections, matches!(plan.access, Access::Intersection(..)));
        count(&self.unions, matches!(plan.access, Access::Union(..)));
        count(&self.of_several_ranges, walks(|walk| walk.ranges.len() > 1));
        count(&self.backward, walks(|walk| walk.towards == Towards::Lesser));
        let of_several = |walk: &Walk| walk.towards == Towards::Lesser && walk.ranges.len() > 1;
        count(&self.backward_of_several_ranges, walks(of_several) && !plan.is_sorted);
        count(&self.sorted, plan.is_sorted);
        let is_counted = plan.query.answer == Answer::Count;
        count(&self.counted_by_entries, plan.is_covering && is_counted);
        count(&self.made_of_entries, plan.is_covering && !is_counted);
        count(&self.after_a_cursor, plan.query.after.is_some());
    }

    /// Of a plan that was divided.
    pub(super) fn note_divided(&self, plan: &Plan) {
        count(&self.divided_scans, matches!(plan.access, Access::Documents(..)));
        count(&self.divided_indexes, matches!(plan.access, Access::Index(..)));
    }

    /// Panics unless each was met so often.
    pub(super) fn expect_each(&self, each: u32) {
        let Met { scans, indexes, intersections, unions, of_several_ranges, backward, .. } = self;
        let Met {
            backward_of_several_ranges,
            sorted,
            counted_by_entries,
            made_of_entries,
            divided_scans,
            divided_indexes,
            after_a_cursor,
            ..
        } = self;
        let all = [
            ("scans", scans),
            ("walks of an index", indexes),
            ("intersections", intersections),
            ("unions", unions),
            ("walks of several ranges", of_several_ranges),
            ("backward walks", backward),
            ("backward walks of several ranges", backward_of_several_ranges),
            ("sorted", sorted),
            ("counts of entries", counted_by_entries),
            ("documents made of entries", made_of_entries),
            ("scans on several threads", divided_scans),
            ("walks of an index on several threads", divided_indexes),
            ("plans after a cursor", after_a_cursor),
        ];
        for (name, met) in all {
            assert!(met.get() >= each, "{name}: {}", met.get());
        }
    }
}
