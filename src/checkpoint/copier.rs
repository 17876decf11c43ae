//! Copies the pages of a checkpoint to another directory, as they are, and as many as are in use.

use super::error::CheckpointError;
use super::pace::Pace;
use super::page::{BadPage, PAGE_BYTES, Page, PageId};
use super::page_set::PageSet;
use super::pages::Pages;
use super::writer::RUN_PAGES_MAX;
use crate::io::{AlignedBuf, Device};
use crate::lsn::Lsn;
use crate::sync::Arc;

/// Copies the first `extents` of `pages`, those that a checkpoint at `position` uses, to an empty directory. Each page is checked on the way: damage is not copied. All of it is durable on
/// return.
pub(crate) fn copy(
    pages: &Pages,
    (used, extents, position): (&PageSet, u64, Lsn),
    target: &Arc<dyn Device>,
    pace: &Pace<'_>,
) -> Result<(), CheckpointError> {
    let copies = Pages::open(Arc::clone(target), pages.binding().clone(), pages.extent_pages(), 0)?;
    let mut buffer = AlignedBuf::zeroed(RUN_PAGES_MAX as usize * PAGE_BYTES);
    for extent in 0..extents {
        copies.add_extent()?;
        for run in used.runs(pages.usable(extent), RUN_PAGES_MAX) {
            let (first, bytes) = (PageId(run.start), (run.end - run.start) as usize * PAGE_BYTES);
            let buffer = &mut buffer[..bytes];
            pages.read(first, buffer)?;
            for (page, bytes) in run.zip(buffer.chunks(PAGE_BYTES)) {
                if !pages.binding().is_intact(bytes) {
                    return Err(pages.damaged(PageId(page), BadPage("does not agree with its checksum")));
                }
                if !Page::is_in_place(bytes, PageId(page), position) {
                    return Err(pages.damaged(PageId(page), BadPage("belongs to another place or time")));
                }
            }
            copies.write(first, buffer)?;
            pace.wrote(bytes as u64);
        }
    }
    Ok(copies.flush()?)
}
