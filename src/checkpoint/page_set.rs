//! Which pages are in use: one bit each.

use super::page::PageId;
use std::ops::Range;

const BITS: u64 = u64::BITS as u64;

/// See the module. Pages beyond its end are free.
#[derive(Clone, Default)]
pub(crate) struct PageSet(Vec<u64>);

#[cfg(all(test, not(any(loom, shuttle))))]
impl FromIterator<PageId> for PageSet {
    fn from_iter<I: IntoIterator<Item = PageId>>(pages: I) -> PageSet {
        let mut set = PageSet::default();
        for page in pages {
            set.insert(page);
        }
        set
    }
}

impl PageSet {
    pub(crate) fn contains(&self, page: PageId) -> bool {
        self.0.get((page.0 / BITS) as usize).is_some_and(|word| word >> (page.0 % BITS) & 1 == 1)
    }

    /// True if it was not in.
    pub(crate) fn insert(&mut self, page: PageId) -> bool {
        let index = (page.0 / BITS) as usize;
        if index >= self.0.len() {
            self.0.resize(index + 1, 0);
        }
        let was_in = self.contains(page);
        self.0[index] |= 1 << (page.0 % BITS);
        !was_in
    }

    pub(crate) fn remove(&mut self, page: PageId) {
        debug_assert!(self.contains(page));
        self.0[(page.0 / BITS) as usize] &= !(1 << (page.0 % BITS));
    }

    /// Puts in what the other one holds.
    pub(crate) fn add_all(&mut self, other: &PageSet) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word |= other);
    }

    /// What is in this one and not in the other.
    pub(crate) fn without(&self, other: &PageSet) -> PageSet {
        let others = other.0.iter().chain(std::iter::repeat(&0));
        PageSet(self.0.iter().zip(others).map(|(word, other)| word & !other).collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = PageId> {
        let end = self.last().map_or(0, |last| last.0 + 1);
        self.runs(0..end, u64::MAX).flatten().map(PageId)
    }

    /// One bit for each of the first pages, the lowest of each byte first.
    pub(crate) fn to_bytes(&self, pages: u64) -> Vec<u8> {
        let len = usize::try_from(pages.div_ceil(8)).expect("they fit the memory");
        let mut bytes: Vec<u8> = self.0.iter().flat_map(|word| word.to_le_bytes()).take(len).collect();
        bytes.resize(len, 0);
        bytes
    }

    /// Reads what [`PageSet::to_bytes`] made.
    pub(crate) fn from_bytes(bytes: &[u8]) -> PageSet {
        let word = |bytes: &[u8]| {
            let mut word = [0; size_of::<u64>()];
            word[..bytes.len()].copy_from_slice(bytes);
            u64::from_le_bytes(word)
        };
        PageSet(bytes.chunks(size_of::<u64>()).map(word).collect())
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// The first pages of `within` that are free and next to each other, `max` at most; none if all are in use.
    pub(crate) fn free_run(&self, within: Range<u64>, max: u64) -> Option<Range<u64>> {
        let mut at = within.start;
        while at < within.end && self.contains(PageId(at)) {
            let word = self.0[(at / BITS) as usize] >> (at % BITS);
            at += u64::from(word.trailing_ones());
        }
        let end = within.end.min(at.saturating_add(max));
        let len = (at..end).take_while(|&page| !self.contains(PageId(page))).count() as u64;
        (len > 0).then_some(at..at + len)
    }

    /// Those of `within` that are in use, in runs next to each other, `max` at most in each.
    pub(crate) fn runs(&self, within: Range<u64>, max: u64) -> impl Iterator<Item = Range<u64>> {
        let mut at = within.start;
        std::iter::from_fn(move || {
            let start = (at..within.end).find(|&page| self.contains(PageId(page)))?;
            let limit = within.end.min(start.saturating_add(max));
            at = (start..limit).find(|&page| !self.contains(PageId(page))).unwrap_or(limit);
            Some(start..at)
        })
    }

    /// Whether both hold the same pages.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(crate) fn same_as(&self, other: &PageSet) -> bool {
        let pages = self.last().max(other.last()).map_or(0, |last| last.0 + 1);
        (0..pages).all(|page| self.contains(PageId(page)) == other.contains(PageId(page)))
    }

    /// The last page that is in use.
    pub(crate) fn last(&self) -> Option<PageId> {
        let index = self.0.iter().rposition(|&word| word != 0)?;
        Some(PageId(index as u64 * BITS + BITS - 1 - u64::from(self.0[index].leading_zeros())))
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn does_what_a_plain_set_does() {
        let mut random = fastrand::Rng::with_seed(1);
        let (mut set, mut plain) = (PageSet::default(), BTreeSet::new());
        for _ in 0..20_000 {
            let page = random.u64(0..400);
            if plain.contains(&page) && random.bool() {
                plain.remove(&page);
                set.remove(PageId(page));
            } else {
                assert_eq!(set.insert(PageId(page)), plain.insert(page));
            }
            assert_eq!(set.last().map(|page| page.0), plain.last().copied());
            let (start, len, max) = (random.u64(0..450), random.u64(0..200), random.u64(1..10));
            let within = start..start + len;
            let first = within.clone().find(|page| !plain.contains(page));
            let expected = first.map(|first| {
                let len =
                    (first..within.end).take_while(|page| !plain.contains(page)).take(max as usize).count();
                first..first + len as u64
            });
            assert_eq!(set.free_run(within.clone(), max), expected);
            let runs: Vec<_> = set.runs(within.clone(), max).collect();
            assert!(runs.iter().all(|run| (1..=max).contains(&(run.end - run.start))));
            assert!(runs.into_iter().flatten().eq(plain.range(within).copied()));
        }
        let bytes = set.to_bytes(413);
        assert_eq!(bytes.len(), 52);
        for page in 0..416 {
            let bit = bytes[page / 8] >> (page % 8) & 1 == 1;
            assert_eq!(bit, plain.contains(&(page as u64)));
        }
        let low: PageSet = (0..200).filter(|page| plain.contains(page)).map(PageId).collect();
        let mut high = set.without(&low);
        assert!(high.iter().map(|page| page.0).eq(plain.range(200..).copied()));
        assert!(low.without(&set).iter().next().is_none());
        high.add_all(&low);
        assert!(high.same_as(&set));
        assert_eq!(set.count(), plain.len() as u64);
        assert!(set.iter().map(|page| page.0).eq(plain));
    }
}
