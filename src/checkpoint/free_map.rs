//! The free map: which pages are in use, one bit for each page of the files, in pages of its own.
//!
//! Whoever loads a checkpoint walks its trees, and so knows which pages are in use; the map says the same another way. So a tree that leads
//! where it should not, or misses a part of itself, does not go unnoticed, and every page has one owner: a tree, the map, or nobody.

use super::error::CheckpointError;
use super::manifest::Manifest;
use super::page::{BadPage, Kind, Link, OVERFLOW_BYTES, PageId};
use super::page_set::PageSet;
use super::pages::{Pages, Source};
use super::tree::read_chain;
use super::walk;

/// The map belongs to no keyspace.
pub(super) const SPACE: u32 = 0;

/// How many pages the map of so many pages takes.
pub(super) fn page_count(pages: u64) -> u64 {
    byte_count(pages).div_ceil(OVERFLOW_BYTES as u64)
}

fn byte_count(pages: u64) -> u64 {
    pages.div_ceil(8)
}

/// Hands the pages of a checkpoint's map to `visit`, with what they hold.
pub(super) fn read(
    pages: &Pages,
    manifest: &Manifest,
    visit: impl FnMut(Link, &[u8]) -> Result<(), CheckpointError>,
) -> Result<(), CheckpointError> {
    let Some(first) = manifest.map else { return Ok(()) };
    let source = Source { pages, space: SPACE, position: manifest.position };
    read_chain(source, Kind::Free, first, byte_count(manifest.extents * manifest.extent_pages), visit)
}

/// Adds the pages of the map to others.
pub(super) fn take(pages: &Pages, manifest: &Manifest, set: &mut PageSet) -> Result<(), CheckpointError> {
    let source = Source { pages, space: SPACE, position: manifest.position };
    read(pages, manifest, |link, _| walk::take(source, set, link))
}

/// The pages that are in use, as the map of a checkpoint says.
pub(crate) fn used(pages: &Pages, manifest: &Manifest) -> Result<PageSet, CheckpointError> {
    let mut map = Vec::new();
    read(pages, manifest, |_, part| {
        map.extend_from_slice(part);
        Ok(())
    })?;
    Ok(PageSet::from_bytes(&map))
}

/// Adds the pages of the map to those that the trees lead to; the map must say the same.
pub(crate) fn check(pages: &Pages, manifest: &Manifest, used: &mut PageSet) -> Result<(), CheckpointError> {
    let (mut links, mut map) = (Vec::new(), Vec::new());
    let source = Source { pages, space: SPACE, position: manifest.position };
    read(pages, manifest, |link, part| {
        walk::take(source, used, link)?;
        links.push(link);
        map.extend_from_slice(part);
        Ok(())
    })?;
    let total = manifest.extents * manifest.extent_pages;
    let expected = used.to_bytes(if links.is_empty() { 0 } else { total });
    let Some(at) = map.iter().zip(&expected).position(|(found, expected)| found != expected) else {
        return Ok(());
    };
    let bit = (map[at] ^ expected[at]).trailing_zeros();
    let page = at as u64 * 8 + u64::from(bit);
    if page >= total {
        return Err(source.bad(links[0], "marks pages as in use that are not there"));
    }
    let is_marked = map[at] >> bit & 1 == 1;
    let what = if is_marked {
        "is marked as in use, and nothing leads to it"
    } else {
        "is marked as free, and a tree leads to it"
    };
    Err(pages.damaged(PageId(page), BadPage(what)))
}
