//! Documents that answer a plan, one after the other.
//!
//! ```text
//!   access: documents, or entries and then documents ─► conditions ─► order ─► offset, limit
//! ```
//!
//! Each step is an iterator over the one before, and holds one document at a time, but for the order, if it has to be made.

use super::interval::behind;
use super::meter::{Meter, Step};
use super::order::Order;
use super::plan::{Access, Plan, Walk};
use super::ranges::KeyRange;
use super::request::QueryError;
use super::sort;
use super::stream::Stream;
use super::view::{Entries, Entry, Found, View};
use crate::document::stored;
use crate::filter::tree::Node;
use crate::index::entry;
use crate::index::restore::restore;
use crate::index::set::Kept;
use crate::map::Towards;
use crate::mvcc::store::Space;
use crate::sync::Arc;
use bson::{RawBsonRef, RawDocument};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::collections::HashSet;

/// A document as it is stored, under the key of its id.
pub(crate) type Row<'t> = Entry<'t>;

pub(super) type Rows<'t> = Stream<'t, Row<'t>>;

/// What a query gives.
pub(crate) struct Results<'t> {
    rows: Rows<'t>,
    /// So many are left out first, and so many are given then.
    offset: usize,
    limit: usize,
}

impl<'t> Results<'t> {
    pub(super) fn all(rows: Rows<'t>) -> Results<'t> {
        Results { rows, offset: 0, limit: usize::MAX }
    }
}

impl<'t> Iterator for Results<'t> {
    type Item = Row<'t>;

    fn next(&mut self) -> Option<Row<'t>> {
        while self.offset > 0 {
            self.rows.next()?;
            self.offset -= 1;
        }
        self.limit = self.limit.checked_sub(1)?;
        self.rows.next()
    }
}

/// More ids than this are not kept to be compared; conditions are asked of the documents then.
const KEPT_IDS_MAX: usize = 1 << 20;

/// What a plan is carried out on.
#[derive(Clone, Copy)]
pub(super) struct Ground<'t, 's> {
    pub(super) view: View<'t, 's>,
    pub(super) collection: &'s Space,
    /// How many rows will be wanted, if that is known; else 0.
    pub(super) wanted: usize,
}

/// Answers a plan.
pub(super) fn run<'t, 's: 't>(
    plan: &Arc<Plan>,
    ground: Ground<'t, 's>,
    meter: Meter<'t>,
) -> Result<Results<'t>, QueryError> {
    let query = &plan.query;
    if query.limit == Some(0) {
        return Ok(Results::all(Stream::One(None)));
    }
    let offset = usize::try_from(query.offset).unwrap_or(usize::MAX);
    let limit = query.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let rows = match plan.order.as_ref().filter(|_| plan.is_sorted) {
        Some(order) => {
            let after = query.after.as_ref().map(|cursor| &cursor.key[..]);
            let wanted = limit.saturating_add(offset);
            let sort = || {
                let matching = matching(plan, ground, meter);
                sort::sort(matching, order, after, wanted, query.sort_bytes_max)
            };
            let sorted = meter.timed(Step::Sort, sort)?;
            meter.over(Step::Sort, || Stream::of(sorted))
        }
        None => matching(plan, ground, meter),
    };
    Ok(Results { rows, offset, limit })
}

/// The documents that match, in the order of the access.
pub(super) fn matching<'t, 's: 't>(plan: &Arc<Plan>, ground: Ground<'t, 's>, meter: Meter<'t>) -> Rows<'t> {
    if plan.residual.is_empty() {
        return unfiltered(plan, ground, meter);
    }
    meter.over(Step::Filter, || {
        let of_rows = Arc::clone(plan);
        let matches = move |row: &Row<'t>| document(row).is_some_and(|document| of_rows.matches(document));
        unfiltered(plan, ground, meter).keep(matches)
    })
}

/// What the access gives.
pub(super) fn unfiltered<'t, 's: 't>(plan: &Plan, ground: Ground<'t, 's>, meter: Meter<'t>) -> Rows<'t> {
    let after = plan.query.after.as_ref().zip(plan.order.as_ref()).filter(|_| !plan.is_sorted);
    let after = after.map(|(cursor, order)| Begin { key: cursor.key.clone(), order: order.clone() });
    match plan.covering() {
        Some((index, walk)) => metered(meter, Step::Index, ground, |ground| {
            restored(index, walk, ground, walked(index, walk, ground, after.as_ref()), meter)
        }),
        None => rows(&plan.access, ground, after.as_ref(), meter),
    }
}

/// The rows of a step that reads, with what they come to.
fn metered<'t, 's: 't, T: 't>(
    meter: Meter<'t>,
    step: Step,
    ground: Ground<'t, 's>,
    make: impl FnOnce(Ground<'t, 's>) -> Stream<'t, T>,
) -> Stream<'t, T> {
    let versions = meter.reading(step).map(|reading| &reading.versions);
    meter.over(step, || make(Ground { view: ground.view.counting(versions), ..ground }))
}

/// The document of a row; none if it is no document.
pub(super) fn document<'r>(row: &'r Row<'_>) -> Option<&'r RawDocument> {
    stored::decode(&row.value).map(|(_, document)| document)
}

/// Behind which place a walk begins.
struct Begin {
    key: Vec<u8>,
    order: Order,
}

fn rows<'t, 's: 't>(
    access: &Access,
    ground: Ground<'t, 's>,
    after: Option<&Begin>,
    meter: Meter<'t>,
) -> Rows<'t> {
    match access {
        Access::Documents(walk) => metered(meter, Step::Documents, ground, |ground| {
            scan(ground, ground.collection, clipped(walk, after, 0), walk.towards)
        }),
        Access::Index(index, walk) => metered(meter, Step::Fetch, ground, |ground| {
            fetched(index, walk, ground, entries(index, walk, ground, after, meter))
        }),
        Access::Intersection(index, walk, others) => metered(meter, Step::Fetch, ground, |ground| {
            let common = meter.over(Step::Common, || common((index, walk), others, ground, meter));
            fetched(index, walk, ground, common)
        }),
        Access::Union(branches) => {
            let nodes: Arc<[Node]> = branches.iter().map(|(_, node)| node.clone()).collect();
            let of_branch = |(at, (access, _)): (usize, &(Access, Node))| {
                let nodes = Arc::clone(&nodes);
                let is_first = move |row: &Row<'t>| {
                    document(row).is_some_and(|document| {
                        let matches = |node: &Node| node.matches(RawBsonRef::Document(document));
                        matches(&nodes[at]) && !nodes[..at].iter().any(matches)
                    })
                };
                rows(access, ground, None, meter.input(at)).filter(is_first)
            };
            meter.over(Step::Union, || {
                let all: Vec<_> = branches.iter().enumerate().map(of_branch).collect();
                Stream::of(all.into_iter().flatten())
            })
        }
    }
}

/// The entries of a walk whose documents are in the others too.
fn common<'t, 's: 't>(
    (index, walk): (&Arc<Kept>, &Walk),
    others: &[(Arc<Kept>, Walk)],
    ground: Ground<'t, 's>,
    meter: Meter<'t>,
) -> Entries<'t> {
    let of_other =
        |(at, (other, walk)): (usize, &(Arc<Kept>, Walk))| ids(other, walk, ground, meter.input(at + 1));
    let kept: Vec<_> = others.iter().enumerate().filter_map(of_other).collect();
    let of_entry = Arc::clone(index);
    let is_common = move |entry: &Entry<'t>| {
        let id = entry::document_key(&of_entry.definition, &entry.key, &entry.value);
        kept.iter().all(|ids| ids.contains(id))
    };
    entries(index, walk, ground, None, meter.input(0)).keep(is_common)
}

/// The ranges of a walk, in its direction, as far as they lie behind a place.
fn clipped(walk: &Walk, after: Option<&Begin>, unique_fields: usize) -> Arc<[KeyRange]> {
    let is_as_planned = after.is_none() && (walk.towards == Towards::Greater || walk.ranges.len() == 1);
    if is_as_planned {
        return Arc::clone(&walk.ranges);
    }
    let mut ranges = walk.ranges.to_vec();
    if let Some(begin) = after {
        clip(&mut ranges, begin, walk.towards, unique_fields);
    }
    if walk.towards == Towards::Lesser {
        ranges.reverse();
    }
    ranges.into()
}

/// Leaves of ascending ranges what comes behind a place. Of a unique index the keys end before the id, after so many fields; the key at the place is left too, for
/// whom it belongs to now.
fn clip(ranges: &mut Vec<KeyRange>, begin: &Begin, towards: Towards, unique_fields: usize) {
    let mut key = begin.key.clone();
    let is_unique = unique_fields > 0;
    if is_unique {
        let bytes = entry::fields_bytes(&begin.order.fields, &key);
        key.truncate(bytes);
    }
    match towards {
        Towards::Greater => {
            // The first key that is greater.
            if !is_unique {
                key.push(0);
            }
            ranges.iter_mut().for_each(|(low, _)| *low = std::mem::take(low).max(key.clone()));
        }
        Towards::Lesser => {
            key.iter_mut().for_each(|byte| *byte = !*byte);
            if is_unique {
                key.push(0);
            }
            ranges.iter_mut().for_each(|(_, high)| *high = std::mem::take(high).min(key.clone()));
        }
    }
    ranges.retain(|(low, high)| low < high);
}

fn scan<'t, 's: 't>(
    ground: Ground<'t, 's>,
    space: &'s Space,
    ranges: Arc<[KeyRange]>,
    towards: Towards,
) -> Entries<'t> {
    let of_range = move |(low, high): &KeyRange| ground.view.scan(space, (low, high), towards, ground.wanted);
    if let [range] = &*ranges {
        return of_range(range);
    }
    Stream::of((0..ranges.len()).flat_map(move |at| of_range(&ranges[at])))
}

/// The key, if a walk of a unique index is about one.
fn one_key<'w>(index: &Kept, walk: &'w Walk) -> Option<&'w [u8]> {
    let [(low, high)] = &*walk.ranges else { return None };
    let fields = index.definition.fields();
    let is_one = index.definition.is_unique() && entry::is_of_fields(fields, low) && behind(low) == *high;
    is_one.then_some(low)
}

fn entries<'t, 's: 't>(
    index: &Kept,
    walk: &Walk,
    ground: Ground<'t, 's>,
    after: Option<&Begin>,
    meter: Meter<'t>,
) -> Entries<'t> {
    metered(meter, Step::Index, ground, |ground| walked(index, walk, ground, after))
}

fn walked<'t, 's: 't>(
    index: &Kept,
    walk: &Walk,
    ground: Ground<'t, 's>,
    after: Option<&Begin>,
) -> Entries<'t> {
    let space = index.space(ground.collection);
    if let Some(key) = one_key(index, walk).filter(|_| after.is_none()) {
        return Stream::One(ground.view.entry(space, key));
    }
    let unique_fields = if index.definition.is_unique() { index.definition.fields().len() } else { 0 };
    let ranges = clipped(walk, after, unique_fields);
    let all = scan(ground, space, ranges, walk.towards);
    match after.filter(|_| unique_fields > 0) {
        Some(begin) => {
            let (place, towards) = (begin.key.clone(), walk.towards);
            Stream::of(all.skip_while(move |entry| unique_place(entry, towards) <= place))
        }
        None => all,
    }
}

/// The place of an entry of a unique index, in the order of a walk.
fn unique_place(entry: &Entry<'_>, towards: Towards) -> Vec<u8> {
    let mut place = [&entry.key, entry::holder(&entry.value)].concat();
    if towards == Towards::Lesser {
        place.iter_mut().for_each(|byte| *byte = !*byte);
    }
    place
}

/// The documents of entries, some at a time; one that has several entries in the ranges comes by the first of them.
fn fetched<'t, 's: 't>(
    index: &Arc<Kept>,
    walk: &Walk,
    ground: Ground<'t, 's>,
    entries: Entries<'t>,
) -> Rows<'t> {
    let mut entries = match entries {
        Stream::One(entry) => {
            return Stream::One(entry.and_then(|entry| fetch_one(index, walk, ground, &entry)));
        }
        Stream::Many(entries) => entries,
    };
    let (index, walk) = (Arc::clone(index), walk.clone());
    // What a transaction reads it has read, and validates.
    let most = if matches!(ground.view, View::Txn(_)) { 1 } else { FETCHED_LAST };
    let mut together = ground.wanted.clamp(FETCHED_FIRST.min(most), most);
    let batches = std::iter::from_fn(move || {
        let batch: Vec<_> = entries.by_ref().take(together).collect();
        together = (together * 2).min(most);
        (!batch.is_empty()).then(|| fetch(&index, &walk, ground, &batch))
    });
    Stream::of(batches.flatten())
}

/// What entries have of their documents, in the place of those; the document of one that does not say what it has.
fn restored<'t, 's: 't>(
    index: &Arc<Kept>,
    walk: &Walk,
    ground: Ground<'t, 's>,
    entries: Entries<'t>,
    meter: Meter<'t>,
) -> Rows<'t> {
    let (index, walk) = (Arc::clone(index), walk.clone());
    entries.map_some(move |entry| {
        let id = entry::document_key(&index.definition, &entry.key, &entry.value);
        let mut made = stored::begin_unversioned();
        match restore(&index.definition, &entry.key, &entry.value, id, &mut made) {
            Some(()) => Some(Row { key: id_of(&index, &entry, id), lsn: entry.lsn, value: Cow::Owned(made) }),
            None => {
                let fetch = |ground| Stream::One(fetch_one(&index, &walk, ground, &entry));
                metered(meter, Step::Fetch, ground, fetch).next()
            }
        }
    })
}

/// Documents that are fetched together: few at first, for those who stop early.
const FETCHED_FIRST: usize = 4;
const FETCHED_LAST: usize = 32;

fn fetch<'e, 't, 's: 't>(
    index: &Kept,
    walk: &Walk,
    ground: Ground<'t, 's>,
    entries: &'e [Entry<'t>],
) -> Vec<Row<'t>> {
    let id = |entry: &'e Entry<'t>| entry::document_key(&index.definition, &entry.key, &entry.value);
    let ids: SmallVec<[&[u8]; FETCHED_LAST]> = entries.iter().map(id).collect();
    let found = ground.view.get_each(ground.collection, &ids);
    let rows = entries.iter().zip(ids).zip(found);
    rows.filter_map(|((entry, id), found)| row_of(index, walk, entry, id, found?)).collect()
}

fn fetch_one<'t, 's: 't>(
    index: &Kept,
    walk: &Walk,
    ground: Ground<'t, 's>,
    entry: &Entry<'t>,
) -> Option<Row<'t>> {
    let id = entry::document_key(&index.definition, &entry.key, &entry.value);
    row_of(index, walk, entry, id, ground.view.get(ground.collection, id)?)
}

/// The document of an entry, unless it comes by another one of its own.
fn row_of<'t>(
    index: &Kept,
    walk: &Walk,
    entry: &Entry<'t>,
    id: &[u8],
    (lsn, value): Found<'t>,
) -> Option<Row<'t>> {
    let row = Row { key: id_of(index, entry, id), lsn, value };
    let is_first = !entry::is_one_of_several(&entry.value)
        || document(&row).is_some_and(|document| is_first(index, walk, document, id, &entry.key));
    is_first.then_some(row)
}

/// The key of a document as a part of its entry, copied only if the entry is.
fn id_of<'t>(index: &Kept, entry: &Entry<'t>, id: &[u8]) -> Cow<'t, [u8]> {
    let within = if index.definition.is_unique() { &entry.value } else { &entry.key };
    match within {
        // It is at the end of either.
        Cow::Borrowed(all) => Cow::Borrowed(&all[all.len() - id.len()..]),
        Cow::Owned(_) => Cow::Owned(id.to_vec()),
    }
}

/// Whether an entry of a document is the first that a walk meets.
fn is_first(index: &Kept, walk: &Walk, document: &RawDocument, id: &[u8], key: &[u8]) -> bool {
    let Ok(keys) = entry::keys(&index.definition, document, id) else { return false };
    let is_within = |key: &&Vec<u8>| {
        let behind = walk.ranges.partition_point(|(low, _)| low <= *key);
        behind.checked_sub(1).is_some_and(|at| **key < walk.ranges[at].1)
    };
    let first = match walk.towards {
        Towards::Greater => keys.keys.iter().find(is_within),
        Towards::Lesser => keys.keys.iter().rev().find(is_within),
    };
    first.is_some_and(|first| **first == *key)
}

/// The keys of all documents that a walk comes by; none if there are too many to keep.
fn ids<'t, 's: 't>(
    index: &Kept,
    walk: &Walk,
    ground: Ground<'t, 's>,
    meter: Meter<'t>,
) -> Option<HashSet<Vec<u8>>> {
    let mut ids = HashSet::new();
    for entry in entries(index, walk, ground, None, meter) {
        if ids.len() == KEPT_IDS_MAX {
            return None;
        }
        ids.insert(entry::document_key(&index.definition, &entry.key, &entry.value).to_vec());
    }
    Some(ids)
}

/// How many entries a walk comes by, up to so many.
pub(super) fn entry_count<'t, 's: 't>(
    index: &Kept,
    walk: &Walk,
    ground: Ground<'t, 's>,
    most: usize,
    meter: Meter<'t>,
) -> usize {
    entries(index, walk, ground, None, meter).take(most).count()
}
