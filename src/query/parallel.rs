//! A walk in parts, on several threads: each part a range of keys with about as many entries.

use super::execute::{self, Ground, Row};
use super::meter::Meter;
use super::plan::{Access, Plan, Walk};
use super::ranges::KeyRange;
use super::view::View;
use crate::index::set::Kept;
use crate::map::Towards;
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

/// A key between two parts.
type Bound = Box<[u8]>;

/// Counts what a plan gives, if it is long, and asks for nothing but documents or entries that meet conditions.
pub(super) fn count<'t, 's: 't>(plan: &Arc<Plan>, ground: Ground<'t, 's>) -> Option<u64> {
    if plan.covering().is_none() && !matches!(plan.access, Access::Documents(_)) {
        return None;
    }
    let counted = of_parts(plan, ground, &|part, ground| match part.counted() {
        Some((index, walk)) => execute::entry_count(index, walk, ground, usize::MAX, Meter::default()),
        None => execute::matching(part, ground, Meter::default()).count(),
    })?;
    Some(counted.into_iter().sum::<usize>() as u64)
}

/// Hands all documents of a plan to several threads, if it is a long walk. False if it is not: then nothing was done.
pub(super) fn for_each<'t, 's: 't>(
    plan: &Arc<Plan>,
    ground: Ground<'t, 's>,
    each: &(impl Fn(Row<'t>) + Sync),
) -> bool {
    let of_part = |part: &Arc<Plan>, ground: Ground<'t, 's>| {
        execute::matching(part, ground, Meter::default()).for_each(each);
    };
    of_parts(plan, ground, &of_part).is_some()
}

/// What is made of each part of a plan, in the order of its walk; none if it is too short, or cannot be divided.
pub(super) fn of_parts<'t, 's: 't, T: Send>(
    plan: &Arc<Plan>,
    ground: Ground<'t, 's>,
    of_part: &(impl Fn(&Arc<Plan>, Ground<'t, 's>) -> T + Sync),
) -> Option<Vec<T>> {
    let View::Snapshot(snapshot) = ground.view else { return None };
    let collection = ground.collection;
    let (kept, walk) = match &plan.access {
        Access::Documents(walk) => (None, walk),
        // A document with several entries comes by one of them: which that is, only the whole walk can tell.
        Access::Index(kept, walk) if !walk.are_several => (Some(kept), walk),
        _ => return None,
    };
    let parts_wanted = rayon::current_num_threads() * PARTS_EACH;
    if walk.entries < WORTH || parts_wanted == PARTS_EACH {
        return None;
    }
    let bounds = match kept {
        Some(kept) => entry_bounds(kept, collection, parts_wanted),
        None => sampled(collection, parts_wanted),
    };
    let made = parts(walk, &bounds).into_par_iter().map(|range| {
        let walk = Walk { ranges: Arc::new([range]), ..walk.clone() };
        let access = match kept {
            Some(kept) => Access::Index(Arc::clone(kept), walk),
            None => Access::Documents(walk),
        };
        let part = Arc::new(Plan { access, ..Plan::clone(plan) });
        of_part(&part, Ground { view: View::Snapshot(snapshot), collection, wanted: usize::MAX })
    });
    Some(made.collect())
}

/// The ranges of a walk, divided, in its order.
fn parts(walk: &Walk, bounds: &[Bound]) -> Vec<KeyRange> {
    let mut parts = Vec::new();
    for (low, high) in &*walk.ranges {
        let mut from = low.clone();
        for bound in bounds.iter().filter(|bound| **low < ***bound && ***bound < **high) {
            parts.push((std::mem::replace(&mut from, bound.to_vec()), bound.to_vec()));
        }
        parts.push((from, high.clone()));
    }
    if walk.towards == Towards::Lesser {
        parts.reverse();
    }
    parts
}

/// Bounds of parts with about as many entries of an index: what its statistics know, or what a sample says.
fn entry_bounds(index: &Kept, collection: &Space, parts: usize) -> Vec<Bound> {
    let known = index.statistics.read(|known| known.map(|known| thinned(known.bounds.clone(), parts)));
    known.unwrap_or_else(|| sampled(index.space(collection), parts))
}

fn sampled(space: &Space, parts: usize) -> Vec<Bound> {
    let keys = space.records().sample(parts * SAMPLES, &epoch::pin());
    let mut keys: Vec<Bound> = keys.iter().map(|key| (**key).into()).collect();
    keys.sort_unstable();
    thinned(keys, parts)
}

/// About as many of sorted keys, and as far from each other.
fn thinned(keys: Vec<Bound>, wanted: usize) -> Vec<Bound> {
    let every = (keys.len() / wanted).max(1);
    keys.into_iter().step_by(every).collect()
}
