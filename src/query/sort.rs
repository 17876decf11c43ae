//! Sorting what comes in no order, or in another one: all of it, or as much as is asked for by a heap.

use super::execute::{Row, Rows, document};
use super::order::Order;
use super::request::QueryError;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A document with its place.
struct Placed<'t> {
    place: Vec<u8>,
    row: Row<'t>,
}

impl Placed<'_> {
    fn bytes(&self) -> usize {
        let owned = |bytes: &std::borrow::Cow<'_, [u8]>| match bytes {
            std::borrow::Cow::Borrowed(_) => 0,
            std::borrow::Cow::Owned(bytes) => bytes.capacity(),
        };
        size_of::<Self>() + self.place.capacity() + owned(&self.row.key) + owned(&self.row.value)
    }
}

impl PartialEq for Placed<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for Placed<'_> {}

impl PartialOrd for Placed<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Placed<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place.cmp(&other.place)
    }
}

/// The first `wanted` rows behind a place, in order. Takes the memory of those, which has a limit.
pub(super) fn sort<'t>(
    rows: Rows<'t>,
    order: &Order,
    after: Option<&[u8]>,
    wanted: usize,
    bytes_max: usize,
) -> Result<impl Iterator<Item = Row<'t>> + use<'t>, QueryError> {
    let mut bytes = 0;
    let mut heap = BinaryHeap::new();
    for row in rows {
        let Some(place) = document(&row).map(|document| order.key(document, &row.key)) else { continue };
        let is_behind = after.is_none_or(|after| *place > *after);
        let is_wanted =
            heap.len() < wanted || heap.peek().is_some_and(|last: &Placed<'_>| place < last.place);
        if !is_behind || !is_wanted {
            continue;
        }
        let placed = Placed { place, row };
        bytes += placed.bytes();
        heap.push(placed);
        if heap.len() > wanted {
            bytes -= heap.pop().map_or(0, |last| last.bytes());
        }
        if bytes > bytes_max {
            return Err(QueryError::SortTooLarge { limit_bytes: bytes_max, fields: order.to_string() });
        }
    }
    Ok(heap.into_sorted_vec().into_iter().map(|placed| placed.row))
}
