//! A walk in parts, on several threads: each part a range of keys with about as many entries.

use super::execute::{Ground, Row, Rows, document};
use super::plan::{Access, Plan, Walk};
use super::ranges::KeyRange;
use super::view::View;
use crate::map::Towards;
use crate::mvcc::snapshot::Snapshot;
use crate::mvcc::store::Space;
use crate::sync::Arc;
use crate::sync::epoch;
use rayon::prelude::*;

/// Fewer entries than this are walked by one thread.
const WORTH: f64 = 50_000.0;
/// Parts for each thread, so that all have something to do until the end.
const PARTS_EACH: usize = 8;
/// Keys that are looked at for each part.
const SAMPLES: usize = 32;

/// Counts what a plan gives, if it is long, and asks for nothing but documents or entries that meet conditions.
pub(super) fn count<'t, 's: 't>(plan: &Arc<Plan>, ground: Ground<'t, 's>) -> Option<u64> {
    let View::Snapshot(snapshot) = ground.view else { return None };
    let (space, walk) = match &plan.access {
        Access::Documents(walk) => (ground.collection, walk),
        Access::Index(index, walk) if plan.is_covered().is_some() => (index.space(ground.collection), walk),
        _ => return None,
    };
    let is_all = plan.residual.is_empty();
    let parts = parts(space, walk)?;
    let of_part = |(low, high): &KeyRange| {
        let entries = View::Snapshot(snapshot).scan(space, (low, high), Towards::Greater, usize::MAX);
        let matches = |row: &Row<'_>| is_all || document(row).is_some_and(|document| plan.matches(document));
        entries.filter(matches).count() as u64
    };
    Some(parts.par_iter().map(of_part).sum())
}

/// Hands all documents of a plan to several threads, if it is a long walk over documents. False if it is not: then nothing was done.
pub(super) fn for_each<'t, 's: 't>(
    plan: &Arc<Plan>,
    (snapshot, collection): (&'t Snapshot, &'s Space),
    each: &(impl Fn(Row<'t>) + Sync),
) -> bool {
    let Access::Documents(walk) = &plan.access else { return false };
    let Some(parts) = parts(collection, walk) else { return false };
    parts.par_iter().for_each(|(low, high)| {
        let rows: Rows<'t> =
            View::Snapshot(snapshot).scan(collection, (low, high), Towards::Greater, usize::MAX);
        let matches = |row: &Row<'_>| document(row).is_some_and(|document| plan.matches(document));
        rows.filter(matches).for_each(each);
    });
    true
}

/// The parts of a walk, if it is long enough.
fn parts(space: &Space, walk: &Walk) -> Option<Vec<KeyRange>> {
    let wanted = rayon::current_num_threads() * PARTS_EACH;
    if walk.entries < WORTH || wanted == PARTS_EACH {
        return None;
    }
    let mut keys = space.records().sample(wanted * SAMPLES, &epoch::pin());
    keys.sort_unstable();
    let every = (keys.len() / wanted).max(1);
    let bounds: Vec<_> = keys.into_iter().step_by(every).collect();
    let mut parts = Vec::new();
    for (low, high) in &walk.ranges {
        let mut from = low.clone();
        for bound in bounds.iter().filter(|bound| **low < ***bound && ***bound < **high) {
            parts.push((std::mem::replace(&mut from, bound.to_vec()), bound.to_vec()));
        }
        parts.push((from, high.clone()));
    }
    Some(parts)
}
