//! Copies pages of a checkpoint to another directory, as they are.

use super::error::CheckpointError;
use super::pace::Pace;
use super::page::{BadPage, PAGE_BYTES, Page, PageId};
use super::page_set::PageSet;
use super::pages::Pages;
use super::writer::RUN_PAGES_MAX;
use crate::io::AlignedBuf;
use crate::lsn::Lsn;

/// Copies those of `pages` that are in `set`, and were written by a checkpoint at `position` at the latest, to the same places of `copies`, as far as there are such. Each page is
/// checked on the way: damage is not copied. They are durable after the next flush; returns how many they are.
pub(crate) fn copy(
    pages: &Pages,
    (set, position): (&PageSet, Lsn),
    copies: &Pages,
    pace: &Pace<'_>,
) -> Result<u64, CheckpointError> {
    let mut buffer = AlignedBuf::zeroed(RUN_PAGES_MAX as usize * PAGE_BYTES);
    let mut copied = 0;
    for extent in 0..copies.extents() {
        for run in set.runs(pages.usable(extent), RUN_PAGES_MAX) {
            copied += run.end - run.start;
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
    Ok(copied)
}
