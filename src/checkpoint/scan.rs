//! Looks at every page of the files by itself, for leaves that no tree leads to any more.
//!
//! A leaf that is whole says whose keyspace it is, and its entries say when they were committed. It does not say whether it belongs to the
//! last checkpoint: an entry may be older than what was there last, or deleted since.

use super::cells::Stored;
use super::page::{Kind, Page, PageId};
use super::pages::{Pages, Source};
use super::walk::{Entry, read_value};
use crate::io::AlignedBuf;

/// Hands the entries of each whole leaf to `visit`, of those keyspaces that `wanted` says. Values that are not whole are passed over.
pub(crate) fn scan(pages: &Pages, wanted: impl Fn(u32) -> bool, mut visit: impl FnMut(u32, &Entry<'_>)) {
    let (mut bytes, mut raw) = (AlignedBuf::zeroed(super::PAGE_BYTES), Vec::new());
    for page in (0..pages.extents()).flat_map(|extent| pages.usable(extent)).map(PageId) {
        if pages.read(page, &mut bytes).is_err() {
            continue;
        }
        if let Some((leaf, own)) = Page::by_itself(&mut bytes, &mut raw, pages.binding(), page)
            && own.kind == Kind::Leaf
            && wanted(own.space)
        {
            let source = Source { pages, space: own.space, position: own.link.position };
            scan_leaf(source, &leaf, page, &mut visit);
        }
    }
}

fn scan_leaf(source: Source<'_>, leaf: &Page<'_>, page: PageId, visit: &mut impl FnMut(u32, &Entry<'_>)) {
    let mut joined = Vec::new();
    for cell in (0..leaf.slots()).map_while(|slot| leaf.leaf_cell(slot)) {
        if cell.lsn >= source.position {
            continue;
        }
        let value = match cell.value {
            Stored::Inline(value) => value,
            Stored::Overflow { first, bytes, stored } => {
                if read_value(source, first, (bytes, stored), &mut joined, |_| Ok(())).is_err() {
                    continue;
                }
                &joined
            }
        };
        visit(source.space, &Entry { key: cell.key, lsn: cell.lsn, value, page });
    }
}
